//! Who gets the next request.
//!
//! A strategy is one file here and one line in the registry below (and its `mod`). It is a state machine that each
//! worker has for itself, over figures that all workers share: [`View`] shows it the endpoints, and it names one. It
//! must never name one that was tried for this request or is at its limit; it names none only if there is none.
//!
//! A pick must not allocate, must not lock, and should not cost more with many endpoints than with few; each
//! file says what it costs. Tables that depend on who is ready are rebuilt when the view's generation moves.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Instant, LoadReport, Rng,
    endpoint::{Endpoints, OVERPROVISIONING, Outcome, View},
    quantity::TimeSpan,
};

mod alias;
pub mod c3;
mod config;
pub mod first;
pub mod hash;
pub mod ip_hash;
pub mod join_idle_queue;
pub mod key;
mod latency;
pub mod least_connections;
pub mod least_request;
pub mod least_time;
pub mod maglev;
mod members;
pub mod p2c;
pub mod peak_ewma;
pub mod prequal;
pub mod random;
pub mod rendezvous;
pub mod ring;
pub mod round_robin;
pub mod slow_start;
mod stale;
pub mod sticky;
pub mod subset;
mod tiered;
pub mod weighted_by_load;

pub use key::Key;
pub use slow_start::SlowStart;
pub use sticky::{Sticky, StickyConfig};
pub use subset::SubsetConfig;

/// A balancing strategy at work, for one worker and one upstream.
pub trait Balancer: fmt::Debug + Send {
    /// The strategy's name, as the configuration writes it.
    fn name(&self) -> &'static str;

    /// The index of the endpoint that the request shall go to: one of `view.ready` that
    /// [may be taken](View::may_take). Nothing when there is none.
    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32>;

    /// A request to this endpoint has begun.
    fn on_start(&mut self, endpoint: u32, now: Instant) {
        let _ = (endpoint, now);
    }

    /// A request to this endpoint has ended so, this long after it had begun.
    fn on_end(&mut self, endpoint: u32, now: Instant, elapsed: Duration, outcome: Outcome) {
        let _ = (endpoint, now, elapsed, outcome);
    }

    /// An answer of this endpoint has said how loaded it is. Only for those that [need](Strategy::needs) it.
    fn on_report(&mut self, endpoint: u32, now: Instant, report: &LoadReport) {
        let _ = (endpoint, now, report);
    }

    /// An endpoint that shall be asked how loaded it is, without waiting for what it says. To be called after each pick until there
    /// is none. Only for those that [need](Strategy::needs) it.
    fn next_probe(&mut self) -> Option<u32> {
        None
    }

    /// What an endpoint that was to be asked has said; nothing if it has not, or not in time.
    fn on_probe(&mut self, endpoint: u32, now: Instant, answer: Option<&LoadReport>) {
        let _ = (endpoint, now, answer);
    }
}

/// What a strategy needs of its world besides being told which requests begin and end. Decisions do no I/O: the strategy says what
/// it wants to know, and whoever it works for finds out. That one asks once, when it builds the balancer, and does nothing of it for the
/// strategies that need nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Needs<'a> {
    /// Nothing more.
    #[default]
    Nothing,
    /// What the answers say of their endpoint's load ([`Balancer::on_report`]).
    Reports,
    /// Endpoints to be asked how loaded they are ([`Balancer::next_probe`]), with a GET for this path that is answered by a report or,
    /// after so long, not at all ([`Balancer::on_probe`]).
    Probes {
        /// The path.
        path: &'a str,
        /// How long an answer is waited for.
        timeout: Duration,
    },
}

/// The endpoint that the request is bound to, or what the strategy picks. Where slow start holds everybody back who could be taken, it
/// does not count.
pub fn pick(balancer: &mut dyn Balancer, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
    if let Some(bound) = view.bound
        && (View { slow_start: None, ..*view }).may_take(bound)
    {
        return Some(bound);
    }
    let picked = balancer.pick(view, rng);
    if picked.is_some() || view.slow_start.is_none() {
        return picked;
    }
    balancer.pick(&View { slow_start: None, ..*view }, rng)
}

/// What a strategy is and what it can be told: for lists, documentation and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrategyInfo {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// What it can be told.
    pub parameters: &'static [ParameterInfo],
}

/// A parameter of a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterInfo {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Its default, as the configuration writes it.
    pub default: &'static str,
    /// What it means, and its range.
    pub doc: &'static str,
}

/// What every strategy's `Config` can do.
trait Parameters {
    /// One worker's balancer for one upstream.
    fn build(&self) -> Box<dyn Balancer>;

    /// What of a request it chooses by, if it does.
    fn key(&self) -> Option<&Key> {
        None
    }

    /// What it needs of its world.
    fn needs(&self) -> Needs<'_> {
        Needs::Nothing
    }

    /// What is impossible about the parameters: the field below `balance`, and what it must be.
    fn problem(&self) -> Option<(&'static str, String)> {
        None
    }
}

/// The registry. A strategy's module has `INFO`, a `Config` with [`Parameters`], and the balancer.
macro_rules! strategies {
    ($($(#[$doc:meta])* $variant:ident = $module:ident,)*) => {
        /// Every strategy there is.
        pub const STRATEGIES: &[StrategyInfo] = &[$($module::INFO),*];

        /// The names of all strategies.
        const NAMES: &[&str] = &[$($module::INFO.name),*];

        /// A strategy with its parameters: `"p2c"`, or `{ strategy = "p2c", choices = 3 }`.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Strategy {
            $($(#[$doc])* $variant($module::Config),)*
        }

        impl Strategy {
            /// The strategy of this name with the defaults of its parameters.
            pub fn named(name: &str) -> Option<Self> {
                $(if name == $module::INFO.name {
                    return Some(Self::$variant($module::Config::default()));
                })*
                None
            }

            /// What it is and can be told.
            pub fn info(&self) -> &'static StrategyInfo {
                match self { $(Self::$variant(_) => &$module::INFO,)* }
            }

            /// One worker's balancer for one upstream.
            pub fn build(&self) -> Box<dyn Balancer> {
                match self { $(Self::$variant(config) => config.build(),)* }
            }

            /// What of a request it chooses by, if it does: whoever picks must then show it
            /// [the request's](crate::View::with_key).
            pub fn key(&self) -> Option<&Key> {
                match self { $(Self::$variant(config) => config.key(),)* }
            }

            /// What it needs of its world.
            pub fn needs(&self) -> Needs<'_> {
                match self { $(Self::$variant(config) => config.needs(),)* }
            }

            /// What is impossible about the parameters: the field below `balance`, and what it must be.
            pub fn problem(&self) -> Option<(&'static str, String)> {
                match self { $(Self::$variant(config) => config.problem(),)* }
            }

            /// The strategy of this name with the parameters that `map` still holds.
            fn read<'de, A: serde::de::MapAccess<'de>>(name: &str, map: A) -> Result<Self, A::Error> {
                let reader = serde::de::value::MapAccessDeserializer::new(map);
                $(if name == $module::INFO.name {
                    return $module::Config::deserialize(reader).map(Self::$variant);
                })*
                Err(serde::de::Error::unknown_variant(name, NAMES))
            }

            /// Writes the table form.
            fn write<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(config) => config::write($module::INFO.name, config, serializer),)*
                }
            }

            /// The schemas of the table forms.
            fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<schemars::Schema> {
                vec![$(config::schema::<$module::Config>(&$module::INFO, generator)),*]
            }
        }
    };
}

strategies! {
    /// Each in turn, by weight.
    RoundRobin = round_robin,
    /// Any, with a probability by weight.
    Random = random,
    /// The one with the fewest requests in flight by weight.
    LeastConnections = least_connections,
    /// The less loaded of a few that are drawn at random.
    P2c = p2c,
    /// Envoy's: two choices, or a schedule by weight and load.
    LeastRequest = least_request,
    /// The faster of two by response time × requests in flight.
    PeakEwma = peak_ewma,
    /// The fastest of all by response time × requests in flight.
    LeastTime = least_time,
    /// One that is idle, or any.
    JoinIdleQueue = join_idle_queue,
    /// The first that has room.
    First = first,
    /// By the client's address.
    IpHash = ip_hash,
    /// By the hash of a key.
    Hash = hash,
    /// By a key, on a ring.
    Ring = ring,
    /// By a key, in a table.
    Maglev = maglev,
    /// By a key, the highest lot.
    Rendezvous = rendezvous,
    /// In turns, by weights that load reports make.
    WeightedByLoad = weighted_by_load,
    /// By what probes have said.
    Prequal = prequal,
    /// The lowest score by response time and queue.
    C3 = c3,
}

impl Strategy {
    /// Its name, as the configuration writes it.
    pub fn name(&self) -> &'static str {
        self.info().name
    }
}

impl Default for Strategy {
    fn default() -> Self {
        Self::RoundRobin(round_robin::Config::default())
    }
}

/// Which endpoint gets a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BalanceConfig {
    /// The strategy: a name, or a table with a name and parameters.
    pub strategy: Strategy,
    /// The share of ready endpoints below which all are used, whatever health checks and ejection say; 0: never.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub panic_threshold: f64,
    /// How long an endpoint that is new or has come back takes to get its full share: its weight grows linearly from 10 %.
    /// None by default; at the start of the proxy all endpoints count as warm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<TimeSpan>,
    /// Where endpoints have priorities: how many times more endpoints a tier has than its load needs. A tier keeps all of its load
    /// until fewer than 1 / this of its endpoints are ready; then a part of it spills over to the next. 1 to 100.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub overprovisioning: f64,
    /// Sticky sessions: a cookie that binds a client to the endpoint that it has been at. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<StickyConfig>,
    /// Of many endpoints this proxy uses some only, and other proxies use others: `{ size = 20, index = 3 }`. All by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset: Option<SubsetConfig>,
}

impl Default for BalanceConfig {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            panic_threshold: 0.5,
            slow_start: None,
            overprovisioning: OVERPROVISIONING,
            sticky: None,
            subset: None,
        }
    }
}

impl BalanceConfig {
    /// One worker's balancer for these endpoints: the strategy's, or one for each tier of them.
    pub fn build(&self, endpoints: &Endpoints) -> Box<dyn Balancer> {
        tiered::build(&self.strategy, endpoints)
    }

    /// What is impossible about the values: the field's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if !(0.0..=1.0).contains(&self.panic_threshold) {
            return Some(("panic_threshold", "must be 0 to 1".to_owned()));
        }
        if let Some(message) = self.slow_start.and_then(slow_start::problem) {
            return Some(("slow_start", message));
        }
        if let Some(problem) = self.subset.and_then(SubsetConfig::problem) {
            return Some(problem);
        }
        let sticky = self.sticky.as_ref();
        if let Some(problem) = sticky.and_then(|sticky| sticky.problem(self.strategy.key())) {
            return Some(problem);
        }
        if !(1.0..=100.0).contains(&self.overprovisioning) {
            return Some(("overprovisioning", "must be 1 to 100".to_owned()));
        }
        self.strategy.problem()
    }
}
