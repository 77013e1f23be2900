//! Peak EWMA: of two endpoints drawn at random, the one with the lower (response time × (requests in flight + 1)).
//!
//! Finagle's `p2c` with its `PeakEwma` load metric (Twitter 2015), which linkerd, linkerd2-proxy and tower took over. What is
//! compared is how long the next request would wait if the endpoint went on as it did last: a moving average of response times
//! that jumps to each peak at once and comes down slowly (see `latency.rs`), by those who are there already, and
//! itself. A slow endpoint is found by its first slow answer, and by the requests that pile up before there is one.
//!
//! Drawn are distinct endpoints in proportion to their weights, and the cost is divided by the weight, as in `p2c`. The figures are
//! each worker's own, from picking to the last byte of the answer; the requests in flight are those of all workers. As in
//! linkerd2-proxy an endpoint that has not answered yet counts with `default_rtt`, which fades like every other figure.
//! Unlike Finagle's, failures and cancelled requests can only raise it.
//!
//! Parameters: `decay` (10 s), `default_rtt` (30 ms), `choices` (2, 1 to 16). Cost of a pick: constant, like `p2c`'s, and one more
//! figure for each choice; an answer costs two exponentials. A pass over all only where nearly all are full.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Balancer, Parameters, StrategyInfo,
    latency::{self, Latencies, Rise},
    p2c::{self, Draws, MAX_CHOICES},
};
use crate::{
    Instant, Rng,
    endpoint::{Outcome, View},
    quantity::TimeSpan,
};

/// What `peak_ewma` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "peak_ewma",
    summary: "Two choices by response time (a moving average that follows peaks at once) × requests in flight, by weight.",
    parameters: &[latency::DECAY, latency::DEFAULT_RTT, p2c::CHOICES],
};

/// The parameters of `peak_ewma`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The time in which what is known of an endpoint fades to 1/e.
    pub decay: TimeSpan,
    /// The response time that is assumed before the first answer.
    pub default_rtt: TimeSpan,
    /// How many endpoints are drawn and compared.
    #[schemars(range(min = 1, max = 16))]
    pub choices: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { decay: TimeSpan::secs(10), default_rtt: TimeSpan::millis(30), choices: 2 }
    }
}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(PeakEwma {
            draws: Draws::distinct(self.choices),
            latencies: Latencies::new(Rise::Peak, self.decay, self.default_rtt),
        })
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        if self.decay.0.is_zero() {
            return Some(("strategy.decay", "must be more than 0".to_owned()));
        }
        let possible = (1..=MAX_CHOICES as u32).contains(&self.choices);
        (!possible).then(|| ("strategy.choices", "must be 1 to 16".to_owned()))
    }
}

#[derive(Debug)]
struct PeakEwma {
    draws: Draws,
    latencies: Latencies,
}

impl Balancer for PeakEwma {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        self.latencies.prepare(view);
        let mut best: Option<(u32, f64)> = None;
        for &index in self.draws.draw(view, rng) {
            let cost = cost(&self.latencies, view, index);
            if best.is_none_or(|(_, least)| cost < least) {
                best = Some((index, cost));
            }
        }
        best.map(|(index, _)| index).or_else(|| cheapest(&self.latencies, view, rng))
    }

    fn on_end(&mut self, endpoint: u32, now: Instant, elapsed: Duration, outcome: Outcome) {
        self.latencies.record(endpoint, now, elapsed, outcome);
    }
}

/// Response time × (requests in flight + 1) / weight, for comparison.
fn cost(latencies: &Latencies, view: &View<'_>, index: u32) -> f64 {
    let Some(endpoint) = view.endpoints.get(index as usize) else { return f64::INFINITY };
    let requests = f64::from(endpoint.in_flight()) + 1.0;
    latencies.relative(index) * requests / f64::from(endpoint.weight)
}

/// The cheapest of all candidates that may be taken; any of them when several are.
pub(super) fn cheapest(latencies: &Latencies, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
    let mut best: Option<(u32, f64)> = None;
    let mut tied = 0;
    for &index in view.ready.iter().filter(|&&index| view.may_take(index)) {
        let cost = cost(latencies, view, index);
        let least = best.map_or(f64::INFINITY, |(_, least)| least);
        if best.is_none() || cost < least {
            (best, tied) = (Some((index, cost)), 1);
        } else if cost <= least {
            tied += 1;
            if rng.below(tied) == 0 {
                best = Some((index, cost));
            }
        }
    }
    best.map(|(index, _)| index)
}
