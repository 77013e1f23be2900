//! What is going on: who asks for what, minute by minute, in memory that has a bound.
//!
//! One of these belongs to one worker, which tells it of each request that has ended ([`Analytics::note`]); nobody else touches it. Whoever wants to
//! know gets copies of all workers' and has them put together ([`Summary`]). What is a list of names that strangers choose (paths, clients, user agents,
//! referrers) is a [sketch] with its error; what is a matter of time is a ring of the last day's minutes, for each route.
//!
//! Memory for each worker: four sketches of `keys` counters (about 400 bytes each with a long key), and 330 KiB for each route that has had a request, of at most
//! 64; those beyond are counted together.

use std::{net::IpAddr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod minutes;
pub mod sketch;
mod summary;

pub use minutes::{Minutes, Sums};
pub use sketch::{Estimate, Sketch};
pub use summary::{Figures, MinuteLine, RouteLine, Summary, TopLine};

use crate::Instant;

/// Top lists and the last day, on the admin listener under `/analytics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AnalyticsConfig {
    /// Whether they are kept.
    pub enabled: bool,
    /// Counters of each top list: a count is too high by no more than all requests divided by this.
    #[schemars(range(min = 10, max = 100_000))]
    pub keys: usize,
}

impl Default for AnalyticsConfig {
    fn default() -> Self {
        Self { enabled: false, keys: 1000 }
    }
}

impl AnalyticsConfig {
    /// Whether it says nothing else than the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is impossible about the values: the field's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let fits = (10..=100_000).contains(&self.keys);
        (!fits).then(|| ("keys", "must be 10 to 100000".to_owned()))
    }
}

/// How many routes are told apart.
const ROUTES: usize = 64;
/// What those beyond are called.
const OTHERS: &str = "(others)";

/// What a request that has ended had to do with the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached {
    /// Nothing: there is none, or it is not for this request.
    Apart,
    /// It was answered from it.
    Hit,
    /// It was not there, or no longer good.
    Miss,
}

/// A request that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The name of its route; empty where none matched.
    pub route: &'a str,
    /// What it asked for, without the query.
    pub path: &'a [u8],
    /// Who asked.
    pub client: IpAddr,
    /// By what.
    pub user_agent: Option<&'a [u8]>,
    /// From where.
    pub referer: Option<&'a [u8]>,
    /// What it was answered.
    pub status: u16,
    /// Bytes of its body.
    pub received: u64,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// How long it took.
    pub took: Duration,
    /// What the cache did.
    pub cached: Cached,
}

/// What one worker knows.
#[derive(Clone, Debug)]
pub struct Analytics {
    keys: usize,
    paths: Sketch,
    clients: Sketch,
    user_agents: Sketch,
    referers: Sketch,
    /// By name, in the order in which they came.
    routes: Vec<(Box<str>, Minutes)>,
}

impl Analytics {
    /// That nothing has happened.
    pub fn new(config: &AnalyticsConfig) -> Self {
        let keys = config.keys;
        let sketch = || Sketch::new(keys);
        Self {
            keys,
            paths: sketch(),
            clients: sketch(),
            user_agents: sketch(),
            referers: sketch(),
            routes: Vec::new(),
        }
    }

    /// Whether it is what this configuration wants.
    pub fn fits(&self, config: &AnalyticsConfig) -> bool {
        config.enabled && self.keys == config.keys
    }

    /// A request has ended.
    pub fn note(&mut self, now: Instant, ended: &Ended<'_>) {
        self.paths.note(ended.path);
        match ended.client {
            IpAddr::V4(address) => self.clients.note(&address.octets()),
            IpAddr::V6(address) => self.clients.note(&address.octets()),
        }
        if let Some(agent) = ended.user_agent {
            self.user_agents.note(agent);
        }
        if let Some(referer) = ended.referer {
            self.referers.note(referer);
        }
        let sums = self.route(ended.route).at(now);
        sums.requests += 1;
        sums.statuses[usize::from(ended.status / 100).clamp(1, 5) - 1] += 1;
        sums.received += ended.received;
        sums.sent += ended.sent;
        sums.latency[minutes::bucket(ended.took)] += 1;
        sums.cache_looked += u64::from(ended.cached != Cached::Apart);
        sums.cache_hits += u64::from(ended.cached == Cached::Hit);
    }

    /// The minutes of this route.
    fn route(&mut self, name: &str) -> &mut Minutes {
        let known = |routes: &[(Box<str>, Minutes)], name: &str| {
            routes.iter().position(|(known, _)| **known == *name)
        };
        let place = known(&self.routes, name).unwrap_or_else(|| {
            let full = self.routes.len() >= ROUTES - 1;
            let name = if full { OTHERS } else { name };
            known(&self.routes, name).unwrap_or_else(|| {
                self.routes.push((name.into(), Minutes::default()));
                self.routes.len() - 1
            })
        });
        &mut self.routes[place].1
    }
}
