//! The power of two choices: draw two endpoints at random, take the less loaded.
//!
//! Azar, Broder, Karlin and Upfal 1994; Mitzenmacher 1996; Vvedenskaya, Dobrushin and Karpelevich 1996. One more choice turns the
//! longest queue from logarithmic to doubly logarithmic, and unlike the least loaded of all, a random pair does not send
//! every worker to the same endpoint at once: it stays good when what is known is a little old.
//!
//! Drawn are endpoints in proportion to their weights, compared is (in flight + 1) / weight: were they drawn evenly, one
//! that is as strong as all others together could never get its half. Of the equally loaded the one drawn first is taken, which
//! is a fair coin, as the draws are in random order.
//!
//! By default the drawn are distinct: with replacement, one of n pairs is an endpoint compared with itself (with two endpoints the
//! more loaded one gets a quarter of the requests). An endpoint that may not be taken is drawn again, up to
//! 16 draws beyond `choices`. If these find any at all it is taken, and if none, the least loaded of all is.
//! Where there are no more candidates than choices, all are compared.
//!
//! Parameters: `choices` (2, 1 to 16), `replacement` (false), `refresh` (0: how old the counts may be, see `stale`). Cost of a pick: constant, some random numbers and `choices`
//! shared counters; a pass over all only where nearly all are full.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Balancer, ParameterInfo, Parameters, StrategyInfo, alias::Sampler, least_connections::least_by,
    stale::Readings,
};
use crate::{
    Rng,
    endpoint::{Load, View},
    quantity::TimeSpan,
};

/// What `p2c` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "p2c",
    summary: "The power of two choices: the less loaded by weight of a few that are drawn at random.",
    parameters: &[
        CHOICES,
        ParameterInfo {
            name: "replacement",
            default: "false",
            doc: "Whether an endpoint may be drawn more than once for a request.",
        },
        ParameterInfo {
            name: "refresh",
            default: "\"0ns\"",
            doc: "How often the counts that are compared are read, as where endpoints are polled; 0: at each pick.",
        },
    ],
};

/// The parameter `choices`, as the strategies that have it document it.
pub(super) const CHOICES: ParameterInfo = ParameterInfo {
    name: "choices",
    default: "2",
    doc: "How many endpoints are drawn and compared, 1 to 16.",
};

pub(super) const MAX_CHOICES: usize = 16;
const SPARE_DRAWS: usize = 16;

/// The parameters of `p2c`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many endpoints are drawn and compared.
    #[schemars(range(min = 1, max = 16))]
    pub choices: u32,
    /// Whether an endpoint may be drawn more than once for a request.
    pub replacement: bool,
    /// How often the counts that are compared are read; 0: at each pick.
    pub refresh: TimeSpan,
}

impl Default for Config {
    fn default() -> Self {
        Self { choices: 2, replacement: false, refresh: TimeSpan::millis(0) }
    }
}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(PowerOfChoices {
            draws: if self.replacement {
                Draws::with_replacement(self.choices)
            } else {
                Draws::distinct(self.choices)
            },
            readings: (!self.refresh.0.is_zero()).then(|| Readings::every(self.refresh.0)),
        })
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        let possible = (1..=MAX_CHOICES as u32).contains(&self.choices);
        (!possible).then(|| ("strategy.choices", "must be 1 to 16".to_owned()))
    }
}

/// Endpoints drawn at random for one request after another, in proportion to their weights.
#[derive(Debug)]
pub(super) struct Draws {
    choices: usize,
    replacement: bool,
    sampler: Sampler,
    drawn: [u32; MAX_CHOICES],
}

impl Draws {
    /// So many different ones; all, where there are no more candidates than that.
    pub(super) fn distinct(choices: u32) -> Self {
        Self {
            choices: (choices as usize).clamp(1, MAX_CHOICES),
            replacement: false,
            sampler: Sampler::default(),
            drawn: [0; MAX_CHOICES],
        }
    }

    /// So many, of which some may be the same.
    pub(super) fn with_replacement(choices: u32) -> Self {
        Self { replacement: true, ..Self::distinct(choices) }
    }

    /// Draws for a request among those that may be taken. Nothing comes of it where all that are drawn are full or tried, or
    /// where no more candidates are there than distinct choices: then all are to be compared.
    #[inline]
    pub(super) fn draw(&mut self, view: &View<'_>, rng: &mut Rng) -> &[u32] {
        let all = !self.replacement && view.ready.len() <= self.choices;
        if all || view.ready.is_empty() {
            return &[];
        }
        if self.choices != 2 || self.replacement {
            return self.draw_more(view, rng, (0, 0));
        }
        // What is nearly always asked for, without a list: it is the same to look at each when both are drawn.
        let first = self.sampler.draw(view, rng);
        let second = self.sampler.draw(view, rng);
        self.drawn[0] = first;
        let len = usize::from(view.may_take(first));
        self.drawn[len] = second;
        let len = len + usize::from(second != first && view.may_take(second));
        if len == 2 { &self.drawn[..2] } else { self.draw_more(view, rng, (len, 2)) }
    }

    /// The same when so many are found after so many draws.
    #[inline(never)]
    fn draw_more(
        &mut self,
        view: &View<'_>,
        rng: &mut Rng,
        (mut len, draws): (usize, usize),
    ) -> &[u32] {
        let mut left = self.choices + SPARE_DRAWS - draws;
        while len < self.choices && left > 0 {
            left -= 1;
            let index = self.sampler.draw(view, rng);
            let again = !self.replacement && self.drawn[..len].contains(&index);
            if !again && view.may_take(index) {
                self.drawn[len] = index;
                len += 1;
            }
        }
        &self.drawn[..len]
    }
}

#[derive(Debug)]
struct PowerOfChoices {
    draws: Draws,
    readings: Option<Readings>,
}

impl Balancer for PowerOfChoices {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        if self.readings.is_some() {
            return self.pick_by_readings(view, rng);
        }
        let load = |index: u32| view.endpoints[index as usize].load();
        match *self.draws.draw(view, rng) {
            // Nobody can foresee which of two it is, so it is looked up and not jumped to.
            [first, second] => {
                let is_second = load(second).compare(load(first)).is_lt();
                Some([first, second][usize::from(is_second)])
            }
            ref drawn => least_of(drawn, load, view, rng),
        }
    }
}

impl PowerOfChoices {
    #[inline(never)]
    fn pick_by_readings(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        let readings = self.readings.as_mut()?;
        readings.refresh(view);
        least_of(self.draws.draw(view, rng), |index| readings.load(index), view, rng)
    }
}

/// The first of the least loaded of those that were drawn; if there are none, the least loaded of all.
#[inline(never)]
fn least_of(
    drawn: &[u32],
    load: impl Fn(u32) -> Load,
    view: &View<'_>,
    rng: &mut Rng,
) -> Option<u32> {
    let less = |least: u32, other: u32| {
        if load(other).compare(load(least)).is_lt() { other } else { least }
    };
    drawn.iter().copied().reduce(less).or_else(|| least_by(view, rng, load))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{Candidates, Endpoint, Endpoints, Instant, Seed};

    proptest! {
        #[test]
        fn the_drawn_are_distinct_and_may_be_taken(
            weights in proptest::collection::vec(1_u32..100, 1..20),
            choices in 1_u32..=16, full in 0_usize..20, seed: u64,
        ) {
            let list: Vec<_> = weights.iter().map(|&w| Arc::new(Endpoint::new("e", w, 1))).collect();
            let endpoints = Endpoints::new(list);
            let full = full % weights.len();
            prop_assert!(endpoints.list()[full].try_begin());
            let mut candidates = Candidates::new(0.5);
            candidates.refresh(&endpoints);
            let (mut rng, mut draws) = (Seed(seed).rng(), Draws::distinct(choices));
            let tried = [(seed % 20) as u32];
            for _ in 0..50 {
                let view = candidates.view(&endpoints, &tried, Instant::START);
                let drawn = draws.draw(&view, &mut rng);
                for (i, index) in drawn.iter().enumerate() {
                    prop_assert!(view.may_take(*index) && !drawn[..i].contains(index));
                }
            }
        }
    }
}
