//! Least time: the endpoint with the lowest (response time × (requests in flight + 1) / weight), over all of them.
//!
//! After NGINX Plus's `least_time`, "the lowest average response time and the least number of active connections, with
//! weights taken into account". Its source is not public: how it averages is not known here. This one takes the moving average of
//! `latency.rs` that follows slower and faster answers alike, from picking to the last byte (its `last_byte`), and as figure of
//! load those in flight over all workers (its `inflight`). Ties are broken at random.
//!
//! It looks at all endpoints where `peak_ewma` looks at two: what is known is used to the full, and misled to the full. Each
//! worker has its own averages and several may rush to the same endpoint, but each request there raises the
//! cost that all of them see. An endpoint that gets no requests is tried again because what is known of it fades.
//!
//! Parameters: `decay` (10 s), `default_rtt` (30 ms, until the first answer). Cost of a pick: a pass over all candidates, a shared
//! counter and a figure each. Take `peak_ewma` for hundreds of endpoints.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Balancer, Parameters, StrategyInfo,
    latency::{self, Latencies, Rise},
    peak_ewma::cheapest,
};
use crate::{
    Instant, Rng,
    endpoint::{Outcome, View},
    quantity::TimeSpan,
};

/// What `least_time` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "least_time",
    summary: "The lowest average response time × requests in flight of all endpoints, by weight.",
    parameters: &[latency::DECAY, latency::DEFAULT_RTT],
};

/// The parameters of `least_time`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The time in which what is known of an endpoint fades to 1/e.
    pub decay: TimeSpan,
    /// The response time that is assumed before the first answer.
    pub default_rtt: TimeSpan,
}

impl Default for Config {
    fn default() -> Self {
        Self { decay: TimeSpan::secs(10), default_rtt: TimeSpan::millis(30) }
    }
}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(LeastTime {
            latencies: Latencies::new(Rise::Average, self.decay, self.default_rtt),
        })
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        let possible = !self.decay.0.is_zero();
        (!possible).then(|| ("strategy.decay", "must be more than 0".to_owned()))
    }
}

#[derive(Debug)]
struct LeastTime {
    latencies: Latencies,
}

impl Balancer for LeastTime {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        self.latencies.prepare(view);
        cheapest(&self.latencies, view, rng)
    }

    fn on_end(&mut self, endpoint: u32, now: Instant, elapsed: Duration, outcome: Outcome) {
        self.latencies.record(endpoint, now, elapsed, outcome);
    }
}
