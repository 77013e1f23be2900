//! `redirect`: sends the client elsewhere, to another path, host or scheme.
//!
//! A request that would be sent to where it is already passes: a rule for `www.example.org` need not say that it is not for itself. What TLS
//! is ended before the proxy comes as plain HTTP, always; there `when = { header = { X-Forwarded-Proto = "http" } }` keeps a
//! redirect to `https` from going round in circles.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Filter, FromFile, Verdict,
    target::{Change, Wanted},
    when::{Test, When},
};
use crate::{
    Instant, Seed,
    message::{Asked, Edits, Reply},
    pattern,
};

/// Where the client is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// For which requests; all by default.
    #[serde(skip_serializing_if = "When::is_any")]
    pub when: When,
    /// 301 or 308 for ever, 302 or 307 for now; with 307 and 308 the client sends the same method and body again. 303 is for what has been done.
    #[schemars(range(min = 301, max = 308))]
    pub status: u16,
    /// What the path begins with, and what `to` replaces. Other paths pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// A regular expression; what it finds first in the path (decoded, without `//`, `.` and `..`) is replaced by `to`. Other paths pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// What comes in its place; without `prefix` and `regex` in the place of every path. With `regex`, `$1` and `${name}` are what its groups have found.
    /// If it has a query, the request's own is appended to it. The path stays by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `"http"` or `"https"`; the client's by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The host, and a port if it is not the usual one; the client's by default, without its port if `scheme` is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            when: When::default(),
            status: 307,
            prefix: None,
            regex: None,
            to: None,
            scheme: None,
            host: None,
        }
    }
}

impl Config {
    fn change(&self) -> Result<Option<Change>, (&'static str, String)> {
        let Self { prefix, regex, to, .. } = self;
        Wanted { prefix: prefix.as_deref(), regex: regex.as_deref(), to: to.as_deref() }.change()
    }
}

fn host_problem(host: &str) -> Option<String> {
    let name = str::from_utf8(pattern::bare_host(host.as_bytes())).unwrap_or(host);
    let port = host.strip_prefix(name).unwrap_or_default();
    if name.starts_with('*') {
        return Some(format!("`{host}` is many hosts; write one, like \"www.example.org\""));
    }
    let number = port.strip_prefix(':').map(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if !port.is_empty() && number != Some(true) {
        return Some(format!(
            "`{host}` is no host; write one like \"www.example.org\" or \"www.example.org:8443\""
        ));
    }
    pattern::host_problem(name)
}

impl super::Config for Config {
    fn problem(&self) -> Option<(String, String)> {
        if let Some(problem) = self.when.problem_below("when") {
            return Some(problem);
        }
        if !matches!(self.status, 301 | 302 | 303 | 307 | 308) {
            return Some(("status".to_owned(), "must be 301, 302, 303, 307 or 308".to_owned()));
        }
        if let Some(scheme) = self.scheme.as_ref().filter(|s| !matches!(&***s, "http" | "https")) {
            let message = format!("`{scheme}` must be \"http\" or \"https\"");
            return Some(("scheme".to_owned(), message));
        }
        if let Some(message) = self.host.as_ref().and_then(|host| host_problem(host)) {
            return Some(("host".to_owned(), message));
        }
        match self.change() {
            Err((key, message)) => Some((key.to_owned(), message)),
            Ok(None) if self.scheme.is_none() && self.host.is_none() => {
                let message = "leads nowhere; write one of `to`, `scheme` and `host`, like `{ prefix = \"/old/\", to = \"/new/\" }`";
                Some((String::new(), message.to_owned()))
            }
            Ok(_) => None,
        }
    }

    fn files(&mut self) -> Vec<(&'static str, &mut FromFile)> {
        self.when.files_below()
    }

    fn build(&self, _seed: Seed) -> Box<dyn Filter> {
        let change = self.change().ok().flatten();
        Box::new(Redirect { test: Test::new(&self.when), change, config: self.clone() })
    }
}

#[derive(Debug)]
struct Redirect {
    test: Test,
    change: Option<Change>,
    config: Config,
}

impl Redirect {
    /// Where the request is sent; nothing if nowhere.
    fn location(&self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let Config { scheme, host, .. } = &self.config;
        let changed = match &self.change {
            Some(change) => Some(change.apply(asked.target)?),
            None => None,
        };
        let target = changed.as_deref().unwrap_or(asked.target);
        let same_host = host.as_ref().is_none_or(|host| {
            let port = host.len() > pattern::bare_host(host.as_bytes()).len();
            let known = if port { asked.host } else { pattern::bare_host(asked.host) };
            known.eq_ignore_ascii_case(host.as_bytes())
        });
        if scheme.is_none() && same_host && target == asked.target {
            return None;
        }
        let mut location = Vec::with_capacity(target.len() + 32);
        if scheme.is_some() || host.is_some() {
            if let Some(scheme) = scheme {
                location.extend_from_slice(scheme.as_bytes());
                location.push(b':');
            }
            let known = pattern::bare_host(asked.host);
            let host = host.as_ref().map_or(known, |host| host.as_bytes());
            if host.is_empty() {
                return None;
            }
            location.extend_from_slice(b"//");
            location.extend_from_slice(host);
        }
        location.extend_from_slice(target);
        Some(location)
    }
}

impl Filter for Redirect {
    fn on_request(&self, asked: &Asked<'_>, _now: Instant, _edits: &mut Edits) -> Verdict {
        // `OPTIONS *` has no path.
        if !asked.target.starts_with(b"/") || !self.test.passes(asked) {
            return Verdict::Pass;
        }
        match self.location(asked) {
            Some(location) => {
                let reply = Reply {
                    status: self.config.status,
                    fields: vec![("Location".into(), location)],
                    body: [].into(),
                    reason: "redirected",
                };
                Verdict::Answer(reply)
            }
            None => Verdict::Pass,
        }
    }
}
