//! `answer`: gives the same answer always: a `robots.txt`, a page for while something is repaired, a status for a probe.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Filter, FromFile, Verdict,
    headers::{Changes, Way},
    when::{Test, When},
};
use crate::{
    Instant, Seed,
    message::{Asked, Edits, Reply},
    pattern::Texts,
};

/// The largest body.
const MOST: usize = 1 << 20;

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// For which requests; all by default.
    #[serde(skip_serializing_if = "When::is_any")]
    pub when: When,
    /// The status.
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    /// The header fields; `Content-Type` is `text/plain; charset=utf-8` where this is silent and there is a body.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<String, String>,
    /// The body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// A file that is the body, of at most 1 MiB. It is read when the configuration is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FromFile>,
}

impl Default for Config {
    fn default() -> Self {
        Self { when: When::default(), status: 200, header: BTreeMap::new(), body: None, file: None }
    }
}

impl super::Config for Config {
    fn problem(&self) -> Option<(String, String)> {
        let wrong = |key: &str, message: &str| Some((key.to_owned(), message.to_owned()));
        if let Some(problem) = self.when.problem_below("when") {
            return Some(problem);
        }
        if !(200..=599).contains(&self.status) {
            return wrong("status", "must be 200 to 599");
        }
        let (none, nothing) = (BTreeMap::new(), BTreeMap::new());
        let fields =
            Changes { set: &self.header, add: &none, remove: &Texts::default(), rewrite: &nothing };
        if !self.header.is_empty()
            && let Some((key, message)) = fields.problem(Way::Back)
        {
            return Some((key.replacen("set", "header", 1), message));
        }
        if self.file.is_some() && self.body.is_some() {
            return wrong("file", "cannot stand beside `body`; keep one");
        }
        let bodyless = matches!(self.status, 204 | 205 | 304);
        if let Some(file) = &self.file {
            match file.bytes() {
                Err(message) => return wrong("file", &message),
                Ok(bytes) if bytes.len() > MOST => {
                    return wrong(
                        "file",
                        "must have at most 1MiB; let an endpoint serve larger ones",
                    );
                }
                Ok(_) if bodyless => {
                    return wrong(
                        "file",
                        &format!("an answer of status {} has no body", self.status),
                    );
                }
                Ok(_) => {}
            }
        }
        if bodyless && self.body.is_some() {
            return wrong("body", &format!("an answer of status {} has no body", self.status));
        }
        None
    }

    fn files(&mut self) -> Vec<(&'static str, &mut FromFile)> {
        let mut files = self.when.files_below();
        files.extend(self.file.as_mut().map(|file| ("file", file)));
        files
    }

    fn build(&self, _seed: Seed) -> Box<dyn Filter> {
        let file = self.file.as_ref().and_then(|file| file.contents.as_ref());
        let body: Arc<[u8]> = match (file, &self.body) {
            (Some(contents), _) => Arc::clone(&contents.0),
            (None, Some(text)) => text.as_bytes().into(),
            (None, None) => [].into(),
        };
        let typed = self.header.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
        let usual = ("Content-Type".into(), b"text/plain; charset=utf-8".to_vec());
        let usual = (!typed && !body.is_empty()).then_some(usual);
        let own = self.header.iter();
        let own = own.map(|(name, value)| (name.clone().into(), value.as_bytes().to_vec()));
        let reply = Reply {
            status: self.status,
            fields: usual.into_iter().chain(own).collect(),
            body,
            reason: "answered",
        };
        Box::new(Answer { test: Test::new(&self.when), reply })
    }
}

#[derive(Debug)]
struct Answer {
    test: Test,
    reply: Reply,
}

impl Filter for Answer {
    fn on_request(&self, asked: &Asked<'_>, _now: Instant, _edits: &mut Edits) -> Verdict {
        if self.test.passes(asked) { Verdict::Answer(self.reply.clone()) } else { Verdict::Pass }
    }
}
