//! Envoy's least request: two choices where all weights are equal, and a weighted schedule where they are not.
//!
//! With equal weights it draws `choices` endpoints *with* replacement and takes the one with the fewest requests in flight, the first of
//! equals. Replacement is Envoy's, and its documentation says what it costs: of two endpoints the busier one is picked in a
//! quarter of all cases. (`p2c` draws distinct ones.)
//!
//! With different weights it is a schedule by earliest deadline: the endpoint that is due first is picked, and due again
//! after (in flight + 1)^bias / weight. So at any time each gets requests in proportion to weight / (in flight + 1)^bias: with
//! `bias` 0 this is weighted round robin, with 1 those with twice the load get half the requests, and more is harsher. An endpoint's
//! load is looked at only when it is picked, as in Envoy: one that was due late because it was busy stays so when it no longer is.
//!
//! One that may not be taken (tried, full) loses its turn. After 16 in vain one pass over all takes the greatest
//! weight / (in flight + 1)^bias. When endpoints come or go the schedule is made anew, each due somewhere within its first interval
//! at random (Envoy begins at a random place), so that neither workers nor rebuilds favour anyone.
//!
//! Parameters: `choices` (2, 1 to 16), `bias` (1.0, 0 to 10). Cost of a pick: constant with equal weights; else a heap's, logarithmic, and a power
//! where the bias is neither 0 nor 1.

use std::{cmp::Ordering, collections::BinaryHeap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Balancer, ParameterInfo, Parameters, StrategyInfo,
    p2c::{Draws, MAX_CHOICES},
};
use crate::{Rng, endpoint::View};

/// What `least_request` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "least_request",
    summary: "Envoy's: two choices with replacement when weights are equal, else a schedule by weight / (in flight + 1)^bias.",
    parameters: &[
        ParameterInfo {
            name: "choices",
            default: "2",
            doc: "How many endpoints are drawn and compared when weights are equal, 1 to 16.",
        },
        ParameterInfo {
            name: "bias",
            default: "1.0",
            doc: "How much requests in flight count when weights differ, 0 (not at all) to 10.",
        },
    ],
};

/// The parameters of `least_request`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many endpoints are drawn and compared when weights are equal.
    #[schemars(range(min = 1, max = 16))]
    pub choices: u32,
    /// How much requests in flight count when weights differ; 0: not at all.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub bias: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { choices: 2, bias: 1.0 }
    }
}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(LeastRequest {
            draws: Draws::with_replacement(self.choices),
            bias: self.bias,
            generation: None,
            weights: Weights::Equal,
            schedule: BinaryHeap::new(),
        })
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        if !(0.0..=10.0).contains(&self.bias) {
            return Some(("strategy.bias", "must be 0 to 10".to_owned()));
        }
        let possible = (1..=MAX_CHOICES as u32).contains(&self.choices);
        (!possible).then(|| ("strategy.choices", "must be 1 to 16".to_owned()))
    }
}

/// Turns that may be passed on before a pass over all decides.
const PASSES: usize = 16;

#[derive(Debug)]
struct LeastRequest {
    draws: Draws,
    bias: f64,
    generation: Option<u64>,
    weights: Weights,
    /// Empty when the weights are equal.
    schedule: BinaryHeap<Turn>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weights {
    Equal,
    Different,
}

/// When an endpoint is due; the greatest is the one that is due first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) due: f64,
    pub(super) index: u32,
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        other.due.total_cmp(&self.due).then(other.index.cmp(&self.index))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Turn {}

impl Balancer for LeastRequest {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        if self.generation != Some(view.generation) {
            self.rebuild(view, rng);
        }
        match self.weights {
            Weights::Equal => {
                let busy = |index: &u32| view.endpoints[*index as usize].in_flight();
                self.draws.draw(view, rng).iter().copied().min_by_key(busy)
            }
            Weights::Different => self.due(view),
        }
        .or_else(|| self.pass_over_all(view, rng))
    }
}

impl LeastRequest {
    /// The endpoint that is due first and may be taken.
    fn due(&mut self, view: &View<'_>) -> Option<u32> {
        for _ in 0..PASSES {
            let mut turn = self.schedule.peek_mut()?;
            let index = turn.index;
            turn.due += interval(view, index, self.bias);
            // Moves it to its new place.
            drop(turn);
            if view.may_take(index) {
                return Some(index);
            }
        }
        None
    }

    /// The shortest interval of all candidates that may be taken; any of them when several are.
    fn pass_over_all(&self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        let mut best: Option<(u32, f64)> = None;
        let mut tied = 0;
        for &index in view.ready.iter().filter(|&&index| view.may_take(index)) {
            let interval = interval(view, index, self.bias);
            let least = best.map_or(f64::INFINITY, |(_, least)| least);
            if best.is_none() || interval < least {
                (best, tied) = (Some((index, interval)), 1);
            } else if interval <= least {
                tied += 1;
                if rng.below(tied) == 0 {
                    best = Some((index, interval));
                }
            }
        }
        best.map(|(index, _)| index)
    }

    fn rebuild(&mut self, view: &View<'_>, rng: &mut Rng) {
        self.generation = Some(view.generation);
        let mut weights = view.ready.iter().map(|&index| view.weight(index));
        let first = weights.next();
        let equal = weights.all(|weight| Some(weight) == first);
        self.weights = if equal { Weights::Equal } else { Weights::Different };
        let mut turns = std::mem::take(&mut self.schedule).into_vec();
        turns.clear();
        if !equal {
            turns.extend(
                view.ready.iter().map(|&index| Turn {
                    due: interval(view, index, self.bias) * rng.unit(),
                    index,
                }),
            );
        }
        self.schedule = turns.into();
    }
}

/// How long after a pick an endpoint is due again: (in flight + 1)^bias / weight.
fn interval(view: &View<'_>, index: u32, bias: f64) -> f64 {
    let Some(endpoint) = view.endpoints.get(index as usize) else { return 1.0 };
    let requests = f64::from(endpoint.in_flight()) + 1.0;
    let load = match bias {
        1.0 => requests,
        0.0 => 1.0,
        // Bounded: what is due must come, and the sum must still see the small ones.
        _ => libm::pow(requests, bias).min(1e9),
    };
    load / f64::from(endpoint.weight)
}
