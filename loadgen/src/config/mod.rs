//! What a load is, as a scenario's `[load.NAME]` table states it.
//!
//! A load is either *open loop* (`arrivals`: requests come at their times whatever becomes of the earlier ones,
//! as from a large population that does not know of each other) or *closed loop* (`users` and `think`: each
//! user waits for the answer before the next request). The two answer different questions (Schroeder,
//! Wierman and Harchol-Balter 2006), so a table has exactly one of them.
//!
//! Reading gives types; [`Load::problem`] then says what is impossible about their values, and where.

use std::fmt;

use policy::{
    distribution::{Distribution, Quantity},
    quantity::TimeSpan,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod arrivals;
mod request;

pub use arrivals::{Arrivals, Bursts, Rate, Spacing, Stage, Stages, Trace, TraceFormat};
pub use request::{Key, MAX_BODY, MAX_KEYS, Request};

/// At most so many users in a closed loop: their number is a part of each request's number.
pub const MAX_USERS: u32 = 1_000_000;

/// One load: who sends what, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Open loop: when requests arrive, whatever becomes of the earlier ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Arrivals>,
    /// Closed loop: so many users, each with at most one request under way; 1 to 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u32>,
    /// Closed loop: how long a user thinks between an answer and the next request; not at all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think: Option<Distribution<TimeSpan>>,
    /// The client's patience: a request that has no complete answer by then has timed out. Counted from its
    /// intended time.
    #[serde(default = "default_timeout")]
    pub timeout: TimeSpan,
    /// What is asked for; one of these is drawn by weight for each request. `GET /` by default.
    #[serde(default = "default_requests")]
    pub request: Vec<Request>,
    /// Whether connections serve many requests.
    #[serde(default)]
    pub connections: Connections,
    /// Open loop: at most so many connections at a time, 10,000 by default. A request that would need one
    /// more is dropped and counted as such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// So many distinct clients, each named in the request field `windtunnel-client`. In an open loop none by
    /// default; in a closed loop each user is a client. A client keeps the last cookie that it was given, and sends it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<u32>,
    /// The load ends after so many requests, if nothing else ends it earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
}

/// Whether connections serve many requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Connections {
    /// Connections are kept and used again, the last used first.
    #[default]
    KeepAlive,
    /// Each request opens a connection of its own and asks for its end.
    PerRequest,
}

fn default_timeout() -> TimeSpan {
    TimeSpan::secs(30)
}

fn default_requests() -> Vec<Request> {
    vec![Request::default()]
}

impl Default for Load {
    /// `GET /` by nobody: neither arrivals nor users, so it is not valid yet.
    fn default() -> Self {
        Self {
            arrivals: None,
            users: None,
            think: None,
            timeout: default_timeout(),
            request: default_requests(),
            connections: Connections::KeepAlive,
            max_connections: None,
            clients: None,
            requests: None,
        }
    }
}

/// A value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a dotted path from the load's table: `request[1].key.zipf.n`.
    pub at: String,
    /// What it must be: `must be above 0`.
    pub what: String,
}

impl Problem {
    pub(crate) fn new(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self { at: at.into(), what: what.into() }
    }

    /// The same problem, seen from one table further out.
    pub(crate) fn under(self, table: &str) -> Self {
        if self.at.is_empty() {
            return Self { at: table.to_owned(), ..self };
        }
        Self { at: format!("{table}.{}", self.at), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.at, self.what)
    }
}

impl std::error::Error for Problem {}

/// What is impossible about a distribution called `name`.
pub(crate) fn distribution_problem<Q: Quantity>(
    name: &str,
    distribution: Option<&Distribution<Q>>,
) -> Option<Problem> {
    let (parameter, what) = distribution?.problem()?;
    Some(Problem::new(format!("{name}.{parameter}"), what))
}

impl Load {
    /// What is impossible about it, if anything is: where, and what it must be.
    pub fn problem(&self) -> Option<Problem> {
        self.loop_problem()
            .or_else(|| {
                self.arrivals.as_ref().and_then(Arrivals::problem).map(|p| p.under("arrivals"))
            })
            .or_else(|| distribution_problem("think", self.think.as_ref()))
            .or_else(|| self.limit_problem())
            .or_else(|| {
                self.request.iter().enumerate().find_map(|(index, request)| {
                    request.problem().map(|problem| problem.under(&format!("request[{index}]")))
                })
            })
    }

    fn loop_problem(&self) -> Option<Problem> {
        match (&self.arrivals, self.users) {
            (Some(_), Some(_)) => Some(Problem::new(
                "users",
                "cannot stand beside `arrivals`: a load is an open loop (`arrivals`) or a closed one (`users`)",
            )),
            (None, None) => Some(Problem::new(
                "arrivals",
                "is missing: write `arrivals` for an open loop or `users` for a closed one",
            )),
            (Some(_), None) if self.think.is_some() => Some(Problem::new(
                "think",
                "belongs to a closed loop: it needs `users`, not `arrivals`",
            )),
            (None, Some(users)) if !(1..=MAX_USERS).contains(&users) => {
                Some(Problem::new("users", format!("must be 1 to {MAX_USERS}")))
            }
            (None, Some(_)) if self.max_connections.is_some() => Some(Problem::new(
                "max_connections",
                "belongs to an open loop: in a closed one each user has one connection",
            )),
            _ => None,
        }
    }

    fn limit_problem(&self) -> Option<Problem> {
        let zero = |name, value: Option<u64>| {
            (value == Some(0)).then(|| Problem::new(name, "must be above 0"))
        };
        if self.timeout.0.is_zero() {
            return Some(Problem::new("timeout", "must be above 0"));
        }
        let total: f64 = self.request.iter().map(|request| request.weight).sum();
        if self.request.is_empty() || self.request.len() > 1000 {
            return Some(Problem::new("request", "must list 1 to 1000 requests"));
        }
        zero("max_connections", self.max_connections.map(u64::from))
            .or_else(|| zero("clients", self.clients.map(u64::from)))
            .or_else(|| zero("requests", self.requests))
            .or_else(|| {
                (total <= 0.0)
                    .then(|| Problem::new("request", "must have a weight above 0 somewhere"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Load, String> {
        let load: Load = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        match load.problem() {
            Some(problem) => Err(problem.to_string()),
            None => Ok(load),
        }
    }

    #[test]
    fn reads_the_design() {
        for text in [
            "arrivals = { poisson = { rate = 400.0 } }\ntimeout = \"5s\"\n\
             request = [{ weight = 9, method = \"GET\", path = \"/item/{key}\", key = { zipf = { n = 1000, s = 1.1 } } },\n\
             { weight = 1, method = \"POST\", path = \"/buy\", body = { constant = \"2KiB\" } }]",
            "users = 50\nthink = { exponential = { mean = \"1s\" } }\nrequest = [{ path = \"/feed\" }]",
            "arrivals = { constant = { rate = 1 } }\nconnections = \"per_request\"\nclients = 3\nrequests = 7",
            "arrivals = { stages = [{ target = 100.0, for = \"10s\" }, { target = 0, for = \"0s\" }] }",
            "arrivals = { stages = { start = 5, spacing = \"poisson\", steps = [{ target = 1, for = \"1s\" }] } }",
            "arrivals = { bursts = { size = 10, every = \"1s\", over = \"10ms\" } }",
        ] {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let cases = [
            (
                "",
                "`arrivals` is missing: write `arrivals` for an open loop or `users` for a closed one",
            ),
            (
                "users = 1\narrivals = { poisson = { rate = 1.0 } }",
                "`users` cannot stand beside `arrivals`: a load is an open loop (`arrivals`) or a closed one (`users`)",
            ),
            ("users = 0", "`users` must be 1 to 1000000"),
            (
                "users = 1\nmax_connections = 3",
                "`max_connections` belongs to an open loop: in a closed one each user has one connection",
            ),
            (
                "arrivals = { poisson = { rate = -1.0 } }",
                "`arrivals.poisson.rate` must be above 0 and at most 10000000 a second",
            ),
            ("arrivals = { stages = [] }", "`arrivals.stages` must list at least one stage"),
            (
                "arrivals = { stages = [{ target = 0, for = \"1s\" }] }",
                "`arrivals.stages` never ask for a request: every target is 0",
            ),
            (
                "arrivals = { bursts = { size = 3, every = \"1s\", over = \"2s\" } }",
                "`arrivals.bursts.over` must not be longer than `every`",
            ),
            (
                "users = 1\nthink = { uniform = { min = \"2s\", max = \"1s\" } }",
                "`think.max` must not be less than `min`",
            ),
            ("users = 1\ntimeout = \"0s\"", "`timeout` must be above 0"),
            ("users = 1\nrequest = []", "`request` must list 1 to 1000 requests"),
            ("users = 1\nrequest = [{ path = \"feed\" }]", "`request[0].path` must start with `/`"),
            (
                "users = 1\nrequest = [{ path = \"/{key}\" }]",
                "`request[0].key` is missing: the path has `{key}` in it",
            ),
            (
                "users = 1\nrequest = [{ path = \"/{kex}\" }]",
                "`request[0].path` has `{kex}` in it; only {key} and {client} are known",
            ),
            (
                "users = 1\nrequest = [{ path = \"/{key}\", key = { zipf = { n = 0, s = 1 } } }]",
                "`request[0].key.zipf.n` must be 1 to 1000000",
            ),
            (
                "users = 1\nrequest = [{ method = \"G ET\" }]",
                "`request[0].method` must be a method such as GET or POST",
            ),
            (
                "users = 1\nrequest = [{ headers = { \"content-length\" = \"1\" } }]",
                "`request[0].headers.content-length` is the generator's own: it says how the message is framed",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(read(text).err().as_deref(), Some(message), "{text}");
        }
    }

    #[test]
    fn unknown_words_are_errors() {
        let error = read("users = 1\nusrs = 2").unwrap_err();
        assert!(error.contains("unknown field `usrs`"), "{error}");
        let error =
            read("arrivals = { stages = [{ target = 1, for = \"1s\", rate = 3 }] }").unwrap_err();
        assert!(error.contains("unknown field `rate`"), "{error}");
    }

    #[test]
    fn editors_get_a_schema() {
        let schema = serde_json::to_string(&schemars::schema_for!(Load)).unwrap();
        for word in ["stages", "bursts", "spacing", "zipf", "keep_alive", "The client's patience"] {
            assert!(schema.contains(word), "{word}");
        }
        assert!(schema.contains("additionalProperties"), "unknown words are errors there too");
    }

    #[test]
    fn written_and_read_again_is_the_same() {
        let load = read("arrivals = { stages = [{ target = 100.0, for = \"10s\" }] }").unwrap();
        let again: Load = toml::from_str(&toml::to_string(&load).unwrap()).unwrap();
        assert_eq!(load, again);
    }
}
