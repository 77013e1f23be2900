//! What a `purge` forgets: an event's words for what an operator would purge over the admin listener.
//!
//! A scenario's clients reach its proxies by an address that is another in each world, so an event names paths and no hosts: a path is meant
//! for every host that the loads name, be it in a `host` header of their own.

use std::fmt;

use policy::cache::Purging;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Scenario;

/// What is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// What is kept for one path, with its query.
    Path(String),
    /// For all paths that begin so.
    Prefix(String),
    /// All answers with this tag.
    Tag(String),
    /// Everything.
    Everything,
}

impl Forgotten {
    /// The same for proxies that clients call `host` where they are not told otherwise.
    pub(crate) fn purging(&self, scenario: &Scenario, host: &str) -> Vec<Purging> {
        let hosts = hosts(scenario, host);
        match self {
            Self::Path(path) => {
                let url = |host: String| Purging::Url {
                    host: host.into_bytes(),
                    target: path.clone().into_bytes(),
                };
                hosts.into_iter().map(url).collect()
            }
            Self::Prefix(path) => {
                let prefix = |host: String| Purging::Prefix(format!("{host}{path}").into_bytes());
                hosts.into_iter().map(prefix).collect()
            }
            Self::Tag(tag) => vec![Purging::Tag(tag.clone().into_bytes())],
            Self::Everything => vec![Purging::Everything],
        }
    }

    /// The key that is impossible, and what it must be.
    pub(crate) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let is_path = |path: &str| path.starts_with('/');
        match self {
            Self::Path(path) if !is_path(path) => {
                Some(("path", "must begin with `/`; write a path such as \"/item/1\""))
            }
            Self::Prefix(path) if !is_path(path) => {
                Some(("prefix", "must begin with `/`; write a path such as \"/item/\""))
            }
            Self::Tag(tag) if tag.is_empty() => {
                Some(("tag", "must not be empty; write a tag that answers carry"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Prefix(path) => write!(f, "{path}*"),
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::Everything => f.write_str("everything"),
        }
    }
}

/// Every host that requests name, in small letters: the proxies' own, and those that loads write in a `host` header. One that is another
/// for each request is none that could be listed.
fn hosts(scenario: &Scenario, own: &str) -> Vec<String> {
    let mut all = vec![own.to_owned()];
    let requests = scenario.load.values().flat_map(|load| &load.request);
    for (name, host) in requests.flat_map(|request| &request.headers) {
        let host = host.to_ascii_lowercase();
        if name.eq_ignore_ascii_case("host") && !all.contains(&host) {
            all.push(host);
        }
    }
    all
}

/// What to forget: exactly one of `path`, `prefix`, `tag` and `everything`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PurgeTable {
    /// What is kept for this path, query included: "/item/1".
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// What is kept for all paths that begin so: "/item/".
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    /// What its endpoint has given this tag (`content.tags` of a backend).
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    /// Whether all that is kept is meant.
    #[serde(skip_serializing_if = "is_not")]
    everything: bool,
    /// It is kept, but stale from now on: it is validated, or given once more where stale answers may be.
    #[serde(skip_serializing_if = "is_not")]
    soft: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_not(flag: &bool) -> bool {
    !flag
}

impl PurgeTable {
    /// What is forgotten, and whether softly.
    pub(super) fn read(self) -> Result<(Forgotten, bool), String> {
        let all = [
            self.path.map(Forgotten::Path),
            self.prefix.map(Forgotten::Prefix),
            self.tag.map(Forgotten::Tag),
            self.everything.then_some(Forgotten::Everything),
        ];
        let mut named = all.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(what), None) => Ok((what, self.soft)),
            _ => Err("a purge names exactly one thing; write `path = \"/item/1\"`, `prefix = \"/item/\"`, \
                      `tag = \"news\"` or `everything = true`"
                .to_owned()),
        }
    }

    /// The table that says this.
    pub(super) fn write(what: Forgotten, soft: bool) -> Self {
        let table = Self { soft, ..Self::default() };
        match what {
            Forgotten::Path(path) => Self { path: Some(path), ..table },
            Forgotten::Prefix(prefix) => Self { prefix: Some(prefix), ..table },
            Forgotten::Tag(tag) => Self { tag: Some(tag), ..table },
            Forgotten::Everything => Self { everything: true, ..table },
        }
    }
}
