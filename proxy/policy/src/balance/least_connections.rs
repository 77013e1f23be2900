//! Least connections: the endpoint with the fewest requests in flight by weight, over all of them.
//!
//! Compared is what one more request would make of it, (in flight + 1) / weight (Envoy's least_request and HAProxy's leastconn
//! compare so): of idle endpoints the heaviest comes first, and a weight of 2 holds twice the requests. The counts are those
//! of all workers. Without ties broken at random, the first endpoint of the list would get every request
//! of a quiet time; here each of the tied is as likely (a reservoir of one: Knuth, TAOCP 2, section 3.4.2).
//!
//! With perfect information this is the best that a balancer can do which knows only counts (join the shortest queue). Workers that
//! pick at the very same moment can pick the same endpoint, because a count changes only when the request begins.
//!
//! Parameters: none. Cost of a pick: a pass over all candidates, one shared counter each. Take `p2c` for hundreds of endpoints.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Balancer, Parameters, StrategyInfo};
use crate::{
    Rng,
    endpoint::{Load, View},
};

/// What `least_connections` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "least_connections",
    summary: "The endpoint with the fewest requests in flight by weight; ties are broken at random.",
    parameters: &[],
};

/// `least_connections` has no parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(LeastConnections)
    }
}

#[derive(Debug)]
struct LeastConnections;

impl Balancer for LeastConnections {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        least_loaded(view, rng)
    }
}

/// The least loaded of all candidates that may be taken; any of them when several are.
pub(super) fn least_loaded(view: &View<'_>, rng: &mut Rng) -> Option<u32> {
    least_by(view, rng, |index| view.endpoints[index as usize].load())
}

/// The same by what somebody knows of their loads.
pub(super) fn least_by(view: &View<'_>, rng: &mut Rng, load: impl Fn(u32) -> Load) -> Option<u32> {
    let mut best: Option<(u32, Load)> = None;
    let mut tied = 0;
    for &index in view.ready.iter().filter(|&&index| view.may_take(index)) {
        let load = load(index);
        let order = best.map_or(Ordering::Less, |(_, least)| load.compare(least));
        match order {
            Ordering::Less => (best, tied) = (Some((index, load)), 1),
            Ordering::Equal => {
                tied += 1;
                if rng.below(tied) == 0 {
                    best = Some((index, load));
                }
            }
            Ordering::Greater => {}
        }
    }
    best.map(|(index, _)| index)
}
