//! `size`: what is larger than this is refused.
//!
//! A body that says its length is refused before any of it is read; of one that does not, the bytes are counted while they pass, by
//! whoever passes them ([`Verdict::Body`]). Heads have a limit of their own in the codec (`limits.head`, `limits.fields`), which is the proxy's as a
//! whole and protects it; these here are for services that want less. The statuses are those of RFC 9110 (413, 414) and RFC 6585 (431).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Filter, FromFile, Verdict,
    when::{Test, When},
};
use crate::{
    Instant, Seed,
    message::{Asked, Edits, Reply},
    quantity::ByteSize,
};

/// How large a request may be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// For which requests; all by default.
    #[serde(skip_serializing_if = "When::is_any")]
    pub when: When,
    /// Bytes of the body; beyond it 413.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<ByteSize>,
    /// Bytes of path and query; beyond it 414.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<ByteSize>,
    /// How many header fields; beyond it 431.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<usize>,
    /// Bytes of one header field, name and value; beyond it 431.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<ByteSize>,
    /// Bytes of all header fields; beyond it 431.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<ByteSize>,
}

impl super::Config for Config {
    fn problem(&self) -> Option<(String, String)> {
        let Self { when, body, target, fields, field, head } = self;
        if let Some(problem) = when.problem_below("when") {
            return Some(problem);
        }
        let sizes = [("target", target), ("field", field), ("head", head)];
        let zero = sizes.iter().find(|(_, size)| size.is_some_and(|size| size.0 == 0));
        if let Some((key, _)) = zero {
            return Some(((*key).to_owned(), "must be at least 1B".to_owned()));
        }
        let nothing =
            body.is_none() && fields.is_none() && sizes.iter().all(|(_, size)| size.is_none());
        nothing.then(|| {
            let message = "limits nothing; write one of `body`, `target`, `fields`, `field` and `head`, like `{ body = \"1MiB\" }`";
            (String::new(), message.to_owned())
        })
    }

    fn files(&mut self) -> Vec<(&'static str, &mut FromFile)> {
        self.when.files_below()
    }

    fn build(&self, _seed: Seed) -> Box<dyn Filter> {
        Box::new(Size { test: Test::new(&self.when), most: self.clone() })
    }
}

#[derive(Debug)]
struct Size {
    test: Test,
    most: Config,
}

impl Filter for Size {
    fn on_request(&self, asked: &Asked<'_>, _now: Instant, _edits: &mut Edits) -> Verdict {
        if !self.test.passes(asked) {
            return Verdict::Pass;
        }
        let beyond = |most: Option<ByteSize>, bytes: u64| most.is_some_and(|most| bytes > most.0);
        let refused = |status, reason, line| Verdict::Answer(Reply::text(status, reason, line));
        if beyond(self.most.target, asked.target.len() as u64) {
            return refused(414, "target_too_long", "the address is too long");
        }
        let (mut count, mut bytes, mut longest) = (0, 0, 0);
        let mut length = None;
        asked.fields.each(&mut |name, value| {
            let size = (name.len() + value.len()) as u64;
            (count, bytes, longest) = (count + 1, bytes + size, size.max(longest));
            if name.eq_ignore_ascii_case(b"content-length") {
                // What is no number the codec has refused.
                length = str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
            }
            true
        });
        if self.most.fields.is_some_and(|most| count > most)
            || beyond(self.most.field, longest)
            || beyond(self.most.head, bytes)
        {
            return refused(431, "fields_too_large", "the header fields are too large");
        }
        match self.most.body {
            Some(most) if length.is_some_and(|length: u64| length > most.0) => {
                refused(413, "body_too_large", "the body is too large")
            }
            Some(most) => Verdict::Body(most.0),
            None => Verdict::Pass,
        }
    }
}
