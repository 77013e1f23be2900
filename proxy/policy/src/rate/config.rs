//! What limits can be told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AdaptiveConfig, By, Quota, ShedConfig};
use crate::{message::Asked, path, quantity::TimeSpan, redis::RedisConfig};

/// At most so many limits of a kind: a request asks each.
pub const MOST_LIMITS: usize = 8;

/// Limits. A route's own stand in place of the proxy's, all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitingConfig {
    /// How often clients may come; at most 8 limits. A request must pass each that is for it, and one that any of them refuses is charged by none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate: Vec<RateConfig>,
    /// How many requests clients may have under way; at most 8 limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub concurrency: Vec<ConcurrencyConfig>,
    /// How many requests an upstream may have under way: found out from how long they take. No such limit by default; `adaptive = {}` for
    /// one with defaults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveConfig>,
    /// Who is refused first when the `adaptive` limit is reached; all alike by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shed: Option<ShedConfig>,
    /// Clients that each limit remembers; beyond it the one is forgotten who has not come for longest.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub keys: u32,
    /// So many bits of an IPv6 address are a client: who has one of them mostly has 2^64.
    #[schemars(range(min = 1, max = 128))]
    pub ipv6_prefix: u8,
    /// Whose answers tell the client where it stands, in the fields `RateLimit` and `RateLimit-Policy`.
    pub tell: Tell,
    /// A Redis through which proxies share their `rate` limits, those of routes as well; each decision costs a round trip to it. Each proxy
    /// has its own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisConfig>,
    /// What holds while the Redis does not answer; what the proxy's own section says counts for routes as well.
    pub on_failure: OnFailure,
}

impl Default for LimitingConfig {
    fn default() -> Self {
        let Memory { keys, ipv6_prefix } = Memory::default();
        Self {
            rate: Vec::new(),
            concurrency: Vec::new(),
            adaptive: None,
            shed: None,
            keys,
            ipv6_prefix,
            tell: Tell::default(),
            redis: None,
            on_failure: OnFailure::default(),
        }
    }
}

/// Whose answers tell the client where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tell {
    /// Every answer to a request that a rate limit is for.
    #[default]
    All,
    /// Refusals only.
    Refused,
    /// None.
    None,
}

/// What holds while the Redis that limits are shared through does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Each proxy's own count: together they admit as many times as much as they are.
    #[default]
    Local,
    /// No limit.
    Open,
    /// Every request that a limit is for is refused with 503.
    Closed,
}

/// How many requests may come in how much time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateConfig {
    /// Its name in logs, figures and in what clients are told; `rate-1`, `rate-2` … by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whom it counts apart: "address", "header:NAME", "cookie:NAME", "path", "query:NAME" or a list of these for a combination; all
    /// requests together by default. A request that has no such part is not limited by it: a client that leaves a header out is
    /// caught by another limit, by "address".
    pub by: By,
    /// How many requests in `per`, in the long run. Required.
    #[schemars(range(min = 1))]
    pub requests: u64,
    /// In how much time.
    pub per: TimeSpan,
    /// How many may come at once, after a pause; as many as `requests` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub burst: Option<u64>,
    /// What those beyond it are answered.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// The methods that it is for; all by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// What the paths begin with that it is for; all by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

impl Default for RateConfig {
    fn default() -> Self {
        Self {
            name: None,
            by: By::default(),
            requests: 0,
            per: TimeSpan::secs(1),
            burst: None,
            status: 429,
            methods: Vec::new(),
            paths: Vec::new(),
        }
    }
}

/// How many requests may be under way at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConcurrencyConfig {
    /// Its name in logs, figures and in what clients are told; `concurrency-1`, `concurrency-2` … by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whom it counts apart, as with `rate`.
    pub by: By,
    /// How many requests at once, from the head of the request to the end of its answer. Required.
    #[schemars(range(min = 1))]
    pub most: u32,
    /// What those beyond it are answered.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// The methods that it is for; all by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// What the paths begin with that it is for; all by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

impl Default for ConcurrencyConfig {
    fn default() -> Self {
        Self {
            name: None,
            by: By::default(),
            most: 0,
            status: 429,
            methods: Vec::new(),
            paths: Vec::new(),
        }
    }
}

/// How much is remembered of clients, by each limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// At most so many of them; beyond it the one is forgotten who has not come for longest.
    pub keys: u32,
    /// So many bits of an IPv6 address are a client.
    pub ipv6_prefix: u8,
}

impl Default for Memory {
    fn default() -> Self {
        Self { keys: 1 << 16, ipv6_prefix: 64 }
    }
}

/// What is impossible about a value: the field's name, and what it must be.
type Impossible = Option<(&'static str, String)>;

impl LimitingConfig {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// How much is remembered of clients.
    pub fn memory(&self) -> Memory {
        Memory { keys: self.keys, ipv6_prefix: self.ipv6_prefix }
    }

    /// Every impossible value: its path below this section, and what it must be.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let rates: Vec<_> =
            self.rate.iter().enumerate().map(|(n, one)| (one.name(n), one.problem())).collect();
        let counts = self.concurrency.iter().enumerate();
        let counts: Vec<_> = counts.map(|(n, one)| (one.name(n), one.problem())).collect();
        let mut names: Vec<&str> = Vec::new();
        for (section, list) in [("rate", &rates), ("concurrency", &counts)] {
            if list.len() > MOST_LIMITS {
                let what =
                    format!("must be at most {MOST_LIMITS} limits: each request asks all of them");
                problems.push((section.to_owned(), what));
            }
            for (number, (name, problem)) in list.iter().enumerate() {
                if let Some((field, message)) = problem {
                    problems.push((format!("{section}[{number}].{field}"), message.clone()));
                } else if names.contains(&name.as_str()) {
                    let what = format!(
                        "`{name}` is the name of another limit already; give it one of its own"
                    );
                    problems.push((format!("{section}[{number}].name"), what));
                }
                names.push(name);
            }
        }
        let mut add = |section: &str, problem: Option<(&str, String)>| {
            problems.extend(problem.map(|(field, what)| (format!("{section}.{field}"), what)));
        };
        add("adaptive", self.adaptive.as_ref().and_then(AdaptiveConfig::problem));
        add("shed", self.shed.as_ref().and_then(ShedConfig::problem));
        let mut bad = |path: &str, what: &str| problems.push((path.to_owned(), what.to_owned()));
        if self.shed.is_some() && self.adaptive.is_none() {
            bad("shed", "needs the limit that it is about; write `adaptive = {}` beside it");
        }
        if !(1..=10_000_000).contains(&self.keys) {
            bad("keys", "must be 1 to 10000000");
        }
        if !(1..=128).contains(&self.ipv6_prefix) {
            bad("ipv6_prefix", "must be 1 to 128");
        }
        if let Some((field, what)) = self.redis.as_ref().and_then(RedisConfig::problem) {
            problems.push((format!("redis.{field}"), what));
        }
        problems
    }
}

impl RateConfig {
    /// What it amounts to.
    pub fn quota(&self) -> Quota {
        Quota::new(self.requests, self.per.0, self.burst.unwrap_or(self.requests))
    }

    /// What it is called, the `number`th, from 0.
    pub fn name(&self, number: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("rate-{}", number + 1))
    }

    /// Whether it is for such a request.
    pub fn covers(&self, asked: &Asked<'_>) -> bool {
        covers(&self.methods, &self.paths, asked)
    }

    /// What is impossible about the values: the field's name and what it must be.
    pub fn problem(&self) -> Impossible {
        let bad = |field, what: &str| Some((field, what.to_owned()));
        if self.requests == 0 {
            return bad(
                "requests",
                "must say how many may come in `per`; write for example `requests = 100`",
            );
        }
        let per = self.per.0.as_secs_f64();
        if !(0.001..=86_400.0 * 366.0).contains(&per) {
            return bad("per", "must be 1ms to 366 days");
        }
        if self.requests as f64 / per > 1e6 {
            return bad("requests", "must be at most 1000000 a second");
        }
        if self.burst == Some(0) {
            return bad(
                "burst",
                "must be at least 1: it counts the first request, too (write `burst = 1` for none at once)",
            );
        }
        let burst = self.burst.unwrap_or(self.requests);
        if burst as f64 * per / self.requests as f64 > 86_400.0 * 3660.0 {
            return bad("burst", "must refill within ten years");
        }
        common(self.name.as_deref(), &self.by, self.status, &self.methods, &self.paths)
    }
}

impl ConcurrencyConfig {
    /// What it is called, the `number`th, from 0.
    pub fn name(&self, number: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("concurrency-{}", number + 1))
    }

    /// Whether it is for such a request.
    pub fn covers(&self, asked: &Asked<'_>) -> bool {
        covers(&self.methods, &self.paths, asked)
    }

    /// What is impossible about the values: the field's name and what it must be.
    pub fn problem(&self) -> Impossible {
        if self.most == 0 {
            let what = "must say how many may be under way at once; write for example `most = 10`";
            return Some(("most", what.to_owned()));
        }
        common(self.name.as_deref(), &self.by, self.status, &self.methods, &self.paths)
    }
}

fn covers(methods: &[String], paths: &[String], asked: &Asked<'_>) -> bool {
    (methods.is_empty() || methods.iter().any(|method| method.as_bytes() == asked.method))
        && (paths.is_empty() || {
            let path = path::normal(asked.path());
            paths.iter().any(|prefix| path.starts_with(prefix.as_bytes()))
        })
}

fn common(
    name: Option<&str>,
    by: &By,
    status: u16,
    methods: &[String],
    paths: &[String],
) -> Impossible {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if name.is_some_and(|name| !(1..=64).contains(&name.len()) || !name.bytes().all(good)) {
        let what = "must be 1 to 64 letters, digits and any of -_.: (clients are told it)";
        return Some(("name", what.to_owned()));
    }
    if by.0.len() > 4 {
        return Some(("by", "must be at most 4 parts".to_owned()));
    }
    if !(400..=599).contains(&status) {
        return Some(("status", "must be 400 to 599".to_owned()));
    }
    if methods.iter().any(|method| !method.bytes().all(|byte| byte.is_ascii_uppercase())) {
        return Some(("methods", "must be in capitals, like [\"POST\"]".to_owned()));
    }
    if paths.iter().any(|prefix| !prefix.starts_with('/')) {
        return Some(("paths", "must begin with a slash, like [\"/api/\"]".to_owned()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Key;

    #[test]
    fn impossible_values_are_named() {
        let good = RateConfig { requests: 100, ..RateConfig::default() };
        assert_eq!(good.problem(), None);
        let field = |config: RateConfig| config.problem().map(|(field, _)| field);
        let or = || good.clone();
        let long = TimeSpan::secs(1_000_000_000);
        for (config, expected) in [
            (RateConfig::default(), "requests"),
            (RateConfig { requests: 2_000_000, ..or() }, "requests"),
            (RateConfig { per: TimeSpan::secs(0), ..or() }, "per"),
            (RateConfig { per: long, ..or() }, "per"),
            (RateConfig { burst: Some(0), ..or() }, "burst"),
            (RateConfig { burst: Some(1 << 50), ..or() }, "burst"),
            (RateConfig { name: Some("a \"b\"".to_owned()), ..or() }, "name"),
            (RateConfig { by: By(vec![Key::Path; 5]), ..or() }, "by"),
            (RateConfig { status: 200, ..or() }, "status"),
            (RateConfig { methods: vec!["post".to_owned()], ..or() }, "methods"),
            (RateConfig { paths: vec!["api".to_owned()], ..or() }, "paths"),
        ] {
            assert_eq!(field(config), Some(expected));
        }
        assert_eq!(ConcurrencyConfig::default().problem().map(|(field, _)| field), Some("most"));
    }

    #[test]
    fn what_does_not_fit_together_is_said_with_what_to_write() {
        let problems = |text: &str| {
            let config: LimitingConfig = serde_json::from_str(text).expect(text);
            config
                .problems()
                .into_iter()
                .map(|(path, what)| format!("{path} {what}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(LimitingConfig::default().problems(), []);
        assert_eq!(
            problems(
                r#"{ "rate": [{ "requests": 1, "name": "a" }, {}], "concurrency": [{ "most": 1, "name": "a" }] }"#
            ),
            [
                "rate[1].requests must say how many may come in `per`; write for example `requests = 100`",
                "concurrency[0].name `a` is the name of another limit already; give it one of its own",
            ]
        );
        assert_eq!(
            problems(r#"{ "shed": { "retry_after": "2h" }, "keys": 0, "ipv6_prefix": 200 }"#),
            [
                "shed.retry_after must be 1ms to 1h",
                "shed needs the limit that it is about; write `adaptive = {}` beside it",
                "keys must be 1 to 10000000",
                "ipv6_prefix must be 1 to 128",
            ]
        );
        assert_eq!(
            problems(r#"{ "redis": { "prefix": "{a}" } }"#),
            ["redis.prefix must be at most 256 bytes without braces"]
        );
        let nine = LimitingConfig {
            rate: vec![RateConfig { requests: 1, ..RateConfig::default() }; 9],
            ..LimitingConfig::default()
        };
        assert_eq!(nine.problems()[0].1, "must be at most 8 limits: each request asks all of them");
    }

    #[test]
    fn a_limit_may_be_for_some_requests() {
        let fields: &[(&str, &str)] = &[];
        let asked = |method: &'static str, target: &'static str| Asked {
            client: [127, 0, 0, 1].into(),
            method: method.as_bytes(),
            host: b"shop",
            target: target.as_bytes(),
            fields: &fields,
        };
        let some = RateConfig {
            methods: vec!["POST".to_owned()],
            paths: vec!["/api/".to_owned()],
            ..RateConfig::default()
        };
        assert!(some.covers(&asked("POST", "//api/x?y")));
        assert!(!some.covers(&asked("GET", "/api/x")));
        assert!(!some.covers(&asked("POST", "/apix")));
        assert!(RateConfig::default().covers(&asked("GET", "/")));
    }
}
