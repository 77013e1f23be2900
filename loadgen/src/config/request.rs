//! What is asked for, as a scenario states it.
//!
//! A template with holes: the key (which item: real traffic favours a few, hence Zipf), the sizes of both bodies and the
//! work are drawn for each request. The path and the values of fields may name `{key}` and `{client}`.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Method, Uri};
use policy::{
    distribution::Distribution,
    quantity::{ByteSize, TimeSpan},
    work::{ID_HEADER, SIZE_HEADER, WORK_HEADER},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Problem, distribution_problem};

/// The largest number of keys: their table is held in memory (12 bytes each).
pub const MAX_KEYS: u64 = 1_000_000;
/// No body is drawn larger than this.
pub const MAX_BODY: u64 = 1 << 30;

/// A kind of request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// How often it is drawn, in proportion to the others' weights.
    #[serde(default = "unit_weight")]
    pub weight: f64,
    /// The method.
    #[serde(default = "default_method")]
    pub method: String,
    /// The path, with a query where wanted; `{key}` and `{client}` are filled in.
    #[serde(default = "default_path")]
    pub path: String,
    /// How the key is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The size of the request's body; none by default, at most 1 GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Distribution<ByteSize>>,
    /// The size of the answer's body, which a simulated backend obeys; its own choice by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Distribution<ByteSize>>,
    /// The work, which a simulated backend obeys; the backend's `service` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Distribution<TimeSpan>>,
    /// More header fields; `{key}` and `{client}` are filled in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The statuses that count as ok; every 2xx and 3xx by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<u16>,
}

/// How a key is drawn: a whole number from 1 to `n`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Key {
    /// The key's probability falls as its own power: key k has one in proportion to k to the power of -s.
    Zipf {
        /// How many keys, 1 to 1,000,000.
        n: u64,
        /// The exponent, 0 (all alike) to 10.
        s: f64,
    },
    /// All alike.
    Uniform {
        /// How many keys.
        n: u64,
    },
    /// One after the other and round again: by the request's number in an open loop, by that and the user's in
    /// a closed one.
    Sequential {
        /// How many keys.
        n: u64,
    },
}

fn unit_weight() -> f64 {
    1.0
}

fn default_method() -> String {
    "GET".to_owned()
}

fn default_path() -> String {
    "/".to_owned()
}

impl Default for Request {
    /// `GET /`.
    fn default() -> Self {
        Self {
            weight: unit_weight(),
            method: default_method(),
            path: default_path(),
            key: None,
            body: None,
            size: None,
            work: None,
            headers: BTreeMap::new(),
            expect: Vec::new(),
        }
    }
}

impl Request {
    /// What is impossible about it.
    pub(super) fn problem(&self) -> Option<Problem> {
        if !(0.0..=1e9).contains(&self.weight) {
            return Some(Problem::new("weight", "must be 0 to 1000000000"));
        }
        match Method::from_bytes(self.method.as_bytes()) {
            Err(_) => {
                return Some(Problem::new("method", "must be a method such as GET or POST"));
            }
            Ok(Method::CONNECT) => {
                return Some(Problem::new("method", "cannot be CONNECT: no tunnel is opened"));
            }
            Ok(_) => {}
        }
        self.path_problem()
            .or_else(|| self.key.as_ref().and_then(Key::problem).map(|p| p.under("key")))
            .or_else(|| distribution_problem("body", self.body.as_ref()))
            .or_else(|| distribution_problem("size", self.size.as_ref()))
            .or_else(|| distribution_problem("work", self.work.as_ref()))
            .or_else(|| self.headers.iter().find_map(|(name, value)| header_problem(name, value)))
            .or_else(|| {
                let bad = self.expect.iter().any(|status| !(200..=599).contains(status));
                bad.then(|| Problem::new("expect", "must list statuses from 200 to 599"))
            })
    }

    fn path_problem(&self) -> Option<Problem> {
        if !self.path.starts_with('/') {
            return Some(Problem::new("path", "must start with `/`"));
        }
        let plain = self.path.replace("{key}", "1").replace("{client}", "1");
        if let Some(open) = plain.find('{') {
            let hole = &plain[open..];
            let hole = &hole[..hole.find('}').map_or(hole.len(), |end| end + 1)];
            let what = format!("has `{hole}` in it; only {{key}} and {{client}} are known");
            return Some(Problem::new("path", what));
        }
        if plain.contains('#') || plain.parse::<Uri>().is_err() {
            return Some(Problem::new(
                "path",
                "must be a path as it stands in a URL: no blanks and no `#`; write %20 for a blank",
            ));
        }
        if self.key.is_some() {
            return None;
        }
        if self.path.contains("{key}") {
            return Some(Problem::new("key", "is missing: the path has `{key}` in it"));
        }
        let (name, _) = self.headers.iter().find(|(_, value)| value.contains("{key}"))?;
        Some(Problem::new("key", format!("is missing: the field `{name}` has `{{key}}` in it")))
    }
}

impl Key {
    fn problem(&self) -> Option<Problem> {
        match *self {
            Self::Zipf { n, .. } if !(1..=MAX_KEYS).contains(&n) => {
                Some(Problem::new("zipf.n", format!("must be 1 to {MAX_KEYS}")))
            }
            Self::Zipf { s, .. } if !(0.0..=10.0).contains(&s) => {
                Some(Problem::new("zipf.s", "must be 0 to 10"))
            }
            Self::Uniform { n: 0 } => Some(Problem::new("uniform.n", "must be above 0")),
            Self::Sequential { n: 0 } => Some(Problem::new("sequential.n", "must be above 0")),
            _ => None,
        }
    }
}

fn header_problem(name: &str, value: &str) -> Option<Problem> {
    let at = format!("headers.{name}");
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        return Some(Problem::new(at, "is not the name of a header field"));
    };
    if HeaderValue::from_str(value).is_err() {
        return Some(Problem::new(at, "must be visible ASCII text"));
    }
    let own = ["content-length", "transfer-encoding", "connection", "upgrade", "expect"];
    if own.contains(&parsed.as_str()) {
        let what = "is the generator's own: it says how the message is framed";
        return Some(Problem::new(at, what));
    }
    let drawn = [ID_HEADER, WORK_HEADER, SIZE_HEADER, crate::client::CLIENT_HEADER];
    drawn
        .contains(&parsed.as_str())
        .then(|| Problem::new(at, "is the generator's own: it carries what was drawn"))
}
