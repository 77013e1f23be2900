//! Weighted by load: in turns, with the weights that the endpoints' own reports make.
//!
//! gRPC's `weighted_round_robin` (proposal A58) and Envoy's `client_side_weighted_round_robin`. With each answer an endpoint says how many
//! requests it answers per second (q), how much of itself that takes (u), and how many of them fail (e), in the header field that
//! `report.rs` describes. Its weight is
//!
//! ```text
//! q / (u + e/q × error_penalty)
//! ```
//!
//! What a request costs an endpoint is u/q of it, so that in turns by q/u all of them come to the same utilisation: a machine that is twice
//! as strong gets twice as much, and one that has turned slow gets less at the next update, though nobody has measured a response
//! time. It balances *utilisation*; what waits in queues it does not see. (It is what Prequal's authors replaced.)
//!
//! The weights in use are made anew each `update`. An endpoint's reports count only after it has reported for `blackout`, because a process that has just
//! started says strange things, and no longer when the last is older than `expiration`. One without a weight gets the mean of the
//! others'; while fewer than two have one it is plain `round_robin`, by the configured weights. (The configured weights mean nothing
//! beyond that: what they would say is measured.) Each worker goes by the answers that it has seen itself.
//!
//! Turns are by earliest deadline: an endpoint is due again 1/weight after it was. An update moves nobody: who was halfway to its next turn
//! still is. One that may not be taken (tried, full) loses its turn; after 16 in vain the one that is due first of all who may be
//! taken is.
//!
//! Parameters: `blackout` (10 s), `expiration` (3 min), `update` (1 s, at least 100 ms), `error_penalty` (1.0). Cost of a pick: a heap's, logarithmic; a
//! pass over all at each update.

use std::collections::BinaryHeap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Balancer, Needs, ParameterInfo, Parameters, StrategyInfo, least_request::Turn,
    round_robin::RoundRobin,
};
use crate::{Instant, LoadReport, Rng, endpoint::View, quantity::TimeSpan};

/// What `weighted_by_load` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "weighted_by_load",
    summary: "In turns, by weights that the endpoints' load reports make: rate / (utilisation + errors).",
    parameters: &[
        ParameterInfo {
            name: "blackout",
            default: "\"10s\"",
            doc: "How long an endpoint must have reported before its reports count.",
        },
        ParameterInfo {
            name: "expiration",
            default: "\"180s\"",
            doc: "How long a report counts, more than 0.",
        },
        ParameterInfo {
            name: "update",
            default: "\"1s\"",
            doc: "How often the weights are made anew, at least 100 ms.",
        },
        ParameterInfo {
            name: "error_penalty",
            default: "1.0",
            doc: "How much of a whole endpoint it counts when every request fails, 0 to 1000.",
        },
    ],
};

/// The parameters of `weighted_by_load`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long an endpoint must have reported before its reports count.
    pub blackout: TimeSpan,
    /// How long a report counts.
    pub expiration: TimeSpan,
    /// How often the weights are made anew, at least 100 ms.
    pub update: TimeSpan,
    /// How much of a whole endpoint it counts when every request fails.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub error_penalty: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            blackout: TimeSpan::secs(10),
            expiration: TimeSpan::secs(180),
            update: TimeSpan::secs(1),
            error_penalty: 1.0,
        }
    }
}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(WeightedByLoad {
            config: self.clone(),
            generation: None,
            due: Instant::START,
            figures: Vec::new(),
            now: 0.0,
            schedule: BinaryHeap::new(),
            turns: RoundRobin::default(),
        })
    }

    fn needs(&self) -> Needs<'_> {
        Needs::Reports
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        if self.expiration.0.is_zero() {
            return Some(("strategy.expiration", "must be more than 0".to_owned()));
        }
        if self.update.0 < std::time::Duration::from_millis(100) {
            return Some(("strategy.update", "must be at least 100ms".to_owned()));
        }
        let possible = (0.0..=1000.0).contains(&self.error_penalty);
        (!possible).then(|| ("strategy.error_penalty", "must be 0 to 1000".to_owned()))
    }
}

/// Turns that may be passed on before a pass over all decides.
const PASSES: usize = 16;

#[derive(Debug)]
struct WeightedByLoad {
    config: Config,
    generation: Option<u64>,
    /// When the weights are to be made anew.
    due: Instant,
    /// By endpoint.
    figures: Vec<Figure>,
    /// Where the schedule stands.
    now: f64,
    /// Empty while fewer than two weights are known.
    schedule: BinaryHeap<Turn>,
    turns: RoundRobin,
}

/// What is known of an endpoint.
#[derive(Clone, Copy, Debug, Default)]
struct Figure {
    /// By its last report that made one.
    weight: f64,
    /// Since when it has reported, and when it did last.
    reports: Option<(Instant, Instant)>,
    /// The weight in use.
    used: f64,
    /// Which part of the way to its next turn is still ahead of it.
    ahead: Option<f64>,
}

impl Figure {
    /// The weight that counts now, if one does; reports that are too old are forgotten.
    fn weigh(&mut self, now: Instant, config: &Config) -> Option<f64> {
        let (since, last) = self.reports?;
        if now.since(last) >= config.expiration.0 {
            self.reports = None;
            return None;
        }
        (now.since(since) >= config.blackout.0).then_some(self.weight)
    }
}

impl Balancer for WeightedByLoad {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        if self.generation != Some(view.generation) || view.now >= self.due {
            self.update(view, rng);
        }
        if self.schedule.is_empty() {
            return self.turns.pick(view, rng);
        }
        for _ in 0..PASSES {
            let mut turn = self.schedule.peek_mut()?;
            let index = turn.index;
            self.now = turn.due;
            turn.due += 1.0 / self.figures[index as usize].used;
            // Moves it to its new place.
            drop(turn);
            if view.may_take(index) {
                return Some(index);
            }
        }
        let may = self.schedule.iter().filter(|turn| view.may_take(turn.index));
        // The greatest is the one that is due first.
        may.max().map(|turn| turn.index)
    }

    fn on_report(&mut self, endpoint: u32, now: Instant, report: &LoadReport) {
        let LoadReport { utilization, rate, errors, .. } = *report;
        if rate <= 0.0 || utilization <= 0.0 {
            return;
        }
        let index = endpoint as usize;
        if index >= self.figures.len() {
            self.figures.resize(index + 1, Figure::default());
        }
        let figure = &mut self.figures[index];
        figure.weight = rate / (utilization + errors / rate * self.config.error_penalty);
        figure.reports = Some((figure.reports.map_or(now, |(since, _)| since), now));
    }
}

impl WeightedByLoad {
    /// Makes the weights anew.
    fn update(&mut self, view: &View<'_>, rng: &mut Rng) {
        self.generation = Some(view.generation);
        self.due = view.now + self.config.update.0;
        if self.figures.len() < view.endpoints.len() {
            self.figures.resize(view.endpoints.len(), Figure::default());
        }
        let mut turns = std::mem::take(&mut self.schedule).into_vec();
        for Turn { due, index } in turns.drain(..) {
            let figure = &mut self.figures[index as usize];
            figure.ahead = Some(((due - self.now) * figure.used).clamp(0.0, 1.0));
        }
        let (mut known, mut sum) = (0_u32, 0.0);
        for &index in view.ready {
            let figure = &mut self.figures[index as usize];
            figure.used = figure.weigh(view.now, &self.config).unwrap_or(0.0);
            known += u32::from(figure.used > 0.0);
            sum += figure.used;
        }
        self.now = 0.0;
        if known < 2 {
            return;
        }
        let mean = sum / f64::from(known);
        for &index in view.ready {
            let figure = &mut self.figures[index as usize];
            // So that no turn is endlessly far away, and none no step at all.
            figure.used =
                if figure.used > 0.0 { figure.used.clamp(mean * 1e-6, mean * 1e6) } else { mean };
            let ahead = figure.ahead.unwrap_or_else(|| rng.unit());
            turns.push(Turn { due: ahead / figure.used, index });
        }
        self.schedule = turns.into();
    }
}
