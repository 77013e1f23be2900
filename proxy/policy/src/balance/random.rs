//! Random: any endpoint, with a probability by its weight.
//!
//! No state, no memory, nothing shared: what every cleverer strategy is measured against. With Poisson arrivals each endpoint
//! is a queue of its own with Poisson arrivals, so the response times are those of the textbook (M/M/1, M/G/1).
//!
//! A draw that hits an endpoint which may not be taken is drawn again, which leaves the others their exact proportions. After
//! 16 draws in vain a single pass over all draws among those that may be taken, in the same proportions.
//!
//! Parameters: none. Cost of a pick: constant (an alias table, see `alias.rs`); the pass only where nearly all are full.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Balancer, Parameters, StrategyInfo, alias::Sampler};
use crate::{Rng, endpoint::View};

/// What `random` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "random",
    summary: "Any endpoint, with a probability by its weight.",
    parameters: &[],
};

/// `random` has no parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(Random::default())
    }
}

const DRAWS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Random {
    sampler: Sampler,
}

impl Balancer for Random {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        if view.ready.is_empty() {
            return None;
        }
        (0..DRAWS)
            .map(|_| self.sampler.draw(view, rng))
            .find(|&index| view.may_take(index))
            .or_else(|| any_by_weight(view, rng))
    }
}

/// One pass: each that may be taken replaces the one before with its share of the weight so far.
fn any_by_weight(view: &View<'_>, rng: &mut Rng) -> Option<u32> {
    let (mut chosen, mut total) = (None, 0);
    for &index in view.ready.iter().filter(|&&index| view.may_take(index)) {
        let weight = u64::from(view.weight(index));
        total += weight;
        if rng.below(total) < weight {
            chosen = Some(index);
        }
    }
    chosen
}
