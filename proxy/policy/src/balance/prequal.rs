//! Prequal: probe a few endpoints at random with each request, and send later ones to the best of those that have answered.
//!
//! Wydrowski, Kleinberg, Rumble and Archer, *Load is not what you should balance: Introducing Prequal* (NSDI 2024, arXiv 2312.10172). A probe asks
//! an endpoint for two figures: its requests in flight (RIF), and how long requests take lately that find about as many. Nobody waits for
//! probes: with each request some are sent (`probes`, 3), and what they say goes into a pool (`pool`, 16) for the requests to come.
//!
//! *The rule* (hot–cold lexicographic): from the RIFs of the last 128 probes a quantile is taken (`quantile`, 2^-0.25 ≈ 0.84). Endpoints of the pool with more
//! are *hot*. If any is cold, the cold one with the lowest latency is taken, else the hot one with the fewest in flight. So latency decides as
//! long as nobody is unusually full, and what is already in flight, which is known before it has become latency, where all are.
//! With a quantile of 0 only the RIF counts, with 1 only the latency. With fewer than two in the pool that may be taken it is `random`.
//!
//! *The pool* holds one probe an endpoint, the latest. A probe goes (a) when it is older than `max_age` (1 s); (b) when the pool is full, the
//! oldest; (c) with each request `remove` (1), in turns the oldest and the worst (by the rule, reversed), so that what nobody takes does not stay;
//! (d) when it has been used
//!
//! ```text
//! max(1, (1 + delta) / ((1 - pool / endpoints) × probes - remove))
//! ```
//!
//! times, rounded at random: as often as keeps the pool filled, and a little more (`delta`, 1). Where the pool has room for nearly all
//! endpoints that has no bound: their probes are replaced before they are used up. A request that goes to an endpoint counts at once as
//! one more in flight in its probe. A probe that is not answered in time takes the endpoint's earlier one with it, which is ours: an
//! endpoint that hangs would be held to be fast for another second.
//!
//! *Weights*, which the paper does not have: probes are drawn in proportion, and RIFs are compared by weight.
//!
//! What the paper says it does against *sinkholes* (an endpoint that fails at once looks idle and fast) it does not say in detail; here that is
//! outlier ejection's business. Each worker has a pool of its own.
//!
//! Parameters: `probes` (3), `pool` (16), `quantile` (0.84), `max_age` (1 s), `remove` (1), `delta` (1), `path` ("/loadz": an endpoint answers it with a report as
//! `report.rs` has it), `timeout` (100 ms; the paper's 3 ms are for one data centre). Cost of a pick: constant, some random numbers and a pass over
//! the pool; a probe that comes back moves up to 128 numbers. And the probes themselves: three small requests for each.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Balancer, Needs, ParameterInfo, Parameters, StrategyInfo, alias::Sampler, random::Random,
};
use crate::{Instant, LoadReport, Rng, endpoint::View, quantity::TimeSpan, time::nanos};

/// What `prequal` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "prequal",
    summary: "Probes a few at random with each request; the fastest of those that are not unusually full, by what probes have said.",
    parameters: &[
        ParameterInfo {
            name: "probes",
            default: "3.0",
            doc: "Probes that are sent with each request, 0.01 to 16.",
        },
        ParameterInfo {
            name: "pool",
            default: "16",
            doc: "Answers of probes that are kept, 2 to 64.",
        },
        ParameterInfo {
            name: "quantile",
            default: "0.84",
            doc: "Endpoints with more requests in flight than this part of all have are hot, 0 to 1.",
        },
        ParameterInfo {
            name: "max_age",
            default: "\"1s\"",
            doc: "How long the answer of a probe is used, more than 0.",
        },
        ParameterInfo {
            name: "remove",
            default: "1.0",
            doc: "Answers that are dropped with each request, the oldest and the worst in turns, 0 to 16.",
        },
        ParameterInfo {
            name: "delta",
            default: "1.0",
            doc: "How much more often an answer is used than keeps the pool filled, 0 to 100.",
        },
        ParameterInfo {
            name: "path",
            default: "\"/loadz\"",
            doc: "What a probe asks an endpoint for.",
        },
        ParameterInfo {
            name: "timeout",
            default: "\"100ms\"",
            doc: "How long a probe's answer is waited for, more than 0.",
        },
    ],
};

/// At most so many probes with a request.
const MAX_PROBES: usize = 16;
const MAX_POOL: u32 = 64;
/// The RIFs that the quantile is taken of.
const RIFS: usize = 128;
/// Draws beyond those that are needed, when the same endpoint is drawn again.
const SPARE_DRAWS: usize = 16;

/// The parameters of `prequal`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Probes that are sent with each request.
    #[schemars(range(min = 0.01, max = 16.0))]
    pub probes: f64,
    /// Answers of probes that are kept.
    #[schemars(range(min = 2, max = 64))]
    pub pool: u32,
    /// Endpoints with more requests in flight than this part of all have are hot.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub quantile: f64,
    /// How long the answer of a probe is used.
    pub max_age: TimeSpan,
    /// Answers that are dropped with each request, the oldest and the worst in turns.
    #[schemars(range(min = 0.0, max = 16.0))]
    pub remove: f64,
    /// How much more often an answer is used than keeps the pool filled.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub delta: f64,
    /// What a probe asks an endpoint for.
    pub path: String,
    /// How long a probe's answer is waited for.
    pub timeout: TimeSpan,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            probes: 3.0,
            pool: 16,
            quantile: 0.84,
            max_age: TimeSpan::secs(1),
            remove: 1.0,
            delta: 1.0,
            path: "/loadz".to_owned(),
            timeout: TimeSpan::millis(100),
        }
    }
}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(prequal(self, Vec::new()))
    }

    fn needs(&self) -> Needs<'_> {
        Needs::Probes { path: &self.path, timeout: self.timeout.0 }
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        let bad = |name, what: &str| Some((name, what.to_owned()));
        if !(0.01..=MAX_PROBES as f64).contains(&self.probes) {
            return bad("strategy.probes", "must be 0.01 to 16");
        }
        if !(2..=MAX_POOL).contains(&self.pool) {
            return bad("strategy.pool", "must be 2 to 64");
        }
        if !(0.0..=1.0).contains(&self.quantile) {
            return bad("strategy.quantile", "must be 0 to 1");
        }
        if self.max_age.0.is_zero() {
            return bad("strategy.max_age", "must be more than 0");
        }
        if !(0.0..=16.0).contains(&self.remove) {
            return bad("strategy.remove", "must be 0 to 16");
        }
        if !(0.0..=100.0).contains(&self.delta) {
            return bad("strategy.delta", "must be 0 to 100");
        }
        let graphic = self.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if !self.path.starts_with('/') || !graphic {
            return bad("strategy.path", "must begin with `/` and have neither spaces nor `#`");
        }
        if self.timeout.0.is_zero() {
            return bad("strategy.timeout", "must be more than 0");
        }
        None
    }
}

fn prequal(config: &Config, weights: Vec<u32>) -> Prequal {
    Prequal {
        pool: Vec::with_capacity(config.pool as usize),
        rifs: Rifs::default(),
        generation: None,
        weights,
        uses: f64::INFINITY,
        sampler: Sampler::default(),
        random: Random::default(),
        next: Removal::Oldest,
        to_remove: 0.0,
        to_probe: 0.0,
        wanted: Vec::new(),
        config: config.clone(),
    }
}

#[derive(Debug)]
struct Prequal {
    config: Config,
    /// The oldest first.
    pool: Vec<Probe>,
    rifs: Rifs,
    generation: Option<u64>,
    /// By endpoint; 0 for those that are no candidates.
    weights: Vec<u32>,
    /// How often a probe is used.
    uses: f64,
    sampler: Sampler,
    random: Random,
    /// What goes next, and what of a whole one is due.
    next: Removal,
    to_remove: f64,
    to_probe: f64,
    /// Who is to be probed.
    wanted: Vec<u32>,
}

/// What a probe has said.
#[derive(Clone, Copy, Debug)]
struct Probe {
    endpoint: u32,
    /// Requests in flight, with those that we have sent since, and the same by weight.
    rif: u64,
    load: f64,
    /// Nanoseconds.
    latency: u64,
    at: Instant,
    uses: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removal {
    Oldest,
    Worst,
}

impl Balancer for Prequal {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        if self.generation != Some(view.generation) {
            self.refresh(view);
        }
        let old = |probe: &Probe| view.now.since(probe.at) >= self.config.max_age.0;
        let expired = self.pool.iter().take_while(|probe| old(probe)).count();
        self.pool.drain(..expired);
        let index = self.best(view).or_else(|| self.random.pick(view, rng))?;
        self.use_up(index, rng);
        self.to_remove += self.config.remove;
        while self.to_remove >= 1.0 {
            self.to_remove -= 1.0;
            self.remove();
        }
        self.want(view, rng);
        Some(index)
    }

    fn next_probe(&mut self) -> Option<u32> {
        self.wanted.pop()
    }

    fn on_probe(&mut self, endpoint: u32, now: Instant, answer: Option<&LoadReport>) {
        self.pool.retain(|probe| probe.endpoint != endpoint);
        let weight = self.weights.get(endpoint as usize).copied().unwrap_or(0);
        let Some(report) = answer.filter(|_| weight > 0) else { return };
        let load = f64::from(report.in_flight) / f64::from(weight);
        self.rifs.add(load, (now, endpoint));
        if self.pool.len() >= self.config.pool as usize {
            self.pool.remove(0);
        }
        // What comes in the same moment comes in the order of the endpoints, whichever is read first.
        let place = self.pool.partition_point(|probe| (probe.at, probe.endpoint) < (now, endpoint));
        let probe = Probe {
            endpoint,
            rif: u64::from(report.in_flight),
            load,
            latency: nanos(report.latency),
            at: now,
            uses: self.uses,
        };
        self.pool.insert(place, probe);
    }
}

impl Prequal {
    /// Other endpoints are candidates.
    fn refresh(&mut self, view: &View<'_>) {
        self.generation = Some(view.generation);
        self.weights.clear();
        self.weights.resize(view.endpoints.len(), 0);
        for &index in view.ready {
            self.weights[index as usize] = view.weight(index);
        }
        let weights = &self.weights;
        self.pool.retain(|probe| weights[probe.endpoint as usize] > 0);
        self.uses = uses(&self.config, view.ready.len());
    }

    /// The best of the pool that may be taken; nothing if that is not two of them.
    fn best(&self, view: &View<'_>) -> Option<u32> {
        let hot = self.rifs.quantile(self.config.quantile);
        let mut best: Option<&Probe> = None;
        let mut count = 0;
        for probe in self.pool.iter().filter(|probe| view.may_take(probe.endpoint)) {
            count += 1;
            if best.is_none_or(|best| is_better(probe, best, hot)) {
                best = Some(probe);
            }
        }
        best.filter(|_| count >= 2).map(|best| best.endpoint)
    }

    /// A request goes to this endpoint.
    fn use_up(&mut self, endpoint: u32, rng: &mut Rng) {
        let Some(place) = self.pool.iter().position(|probe| probe.endpoint == endpoint) else {
            return;
        };
        let weight = self.weights[endpoint as usize];
        let probe = &mut self.pool[place];
        probe.rif += 1;
        probe.load = probe.rif as f64 / f64::from(weight.max(1));
        probe.uses -= 1.0;
        // The rest of a use is one with that probability.
        if probe.uses <= 0.0 || probe.uses < 1.0 && !rng.chance(probe.uses) {
            self.pool.remove(place);
        }
    }

    fn remove(&mut self) {
        let place = match self.next {
            Removal::Oldest => 0,
            Removal::Worst => {
                let hot = self.rifs.quantile(self.config.quantile);
                let mut worst = 0;
                for place in 1..self.pool.len() {
                    if is_better(&self.pool[worst], &self.pool[place], hot) {
                        worst = place;
                    }
                }
                worst
            }
        };
        self.next = match self.next {
            Removal::Oldest => Removal::Worst,
            Removal::Worst => Removal::Oldest,
        };
        if place < self.pool.len() {
            self.pool.remove(place);
        }
    }

    /// Draws whom to probe: different ones, by weight.
    fn want(&mut self, view: &View<'_>, rng: &mut Rng) {
        self.wanted.clear();
        self.to_probe += self.config.probes;
        let count = self.to_probe as usize;
        self.to_probe -= count as f64;
        if count >= view.ready.len() {
            self.wanted.extend_from_slice(view.ready);
            return;
        }
        for _ in 0..count + SPARE_DRAWS {
            if self.wanted.len() == count {
                break;
            }
            let index = self.sampler.draw(view, rng);
            if !self.wanted.contains(&index) {
                self.wanted.push(index);
            }
        }
    }
}

/// Whether one is to be taken before the other: hot ones have more than `hot` in flight.
fn is_better(one: &Probe, other: &Probe, hot: f64) -> bool {
    match (one.load > hot, other.load > hot) {
        (false, true) => true,
        (true, false) => false,
        (false, false) => {
            one.latency < other.latency || one.latency == other.latency && one.load < other.load
        }
        (true, true) => {
            one.load < other.load || one.load <= other.load && one.latency < other.latency
        }
    }
}

/// How often a probe is used, with so many endpoints.
fn uses(config: &Config, endpoints: usize) -> f64 {
    let new = (1.0 - f64::from(config.pool) / endpoints.max(1) as f64) * config.probes;
    let left = new - config.remove;
    if left > 0.0 { ((1.0 + config.delta) / left).max(1.0) } else { f64::INFINITY }
}

/// The latest RIFs by weight, in the order in which they came and in rising order.
#[derive(Debug, Default)]
struct Rifs {
    latest: VecDeque<((Instant, u32), f64)>,
    sorted: Vec<f64>,
}

impl Rifs {
    /// Of an endpoint at this moment.
    fn add(&mut self, rif: f64, when: (Instant, u32)) {
        if self.latest.len() == RIFS
            && let Some((_, oldest)) = self.latest.pop_front()
        {
            let place = self.sorted.partition_point(|other| *other < oldest);
            self.sorted.remove(place);
        }
        let later = self.latest.iter().rev().take_while(|(other, _)| *other > when).count();
        self.latest.insert(self.latest.len() - later, (when, rif));
        let place = self.sorted.partition_point(|other| *other < rif);
        self.sorted.insert(place, rif);
    }

    /// By the nearest rank; without any, nothing is above it.
    fn quantile(&self, quantile: f64) -> f64 {
        let rank = (quantile * self.sorted.len() as f64).ceil() as usize;
        self.sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The figures that the paper's formula gives for a hundred endpoints.
    #[test]
    fn a_probe_is_used_as_often_as_the_paper_says() {
        for (probes, remove, expected) in
            [(3.0, 1.0, 1.3158), (2.0, 1.0, 2.9412), (1.0, 0.25, 3.3898), (0.5, 0.25, 11.7647)]
        {
            let config = Config { probes, remove, ..Config::default() };
            let uses = uses(&config, 100);
            assert!((uses - expected).abs() < 1e-4, "{probes} {remove}: {uses}");
        }
        assert!(uses(&Config::default(), 10).is_infinite());
        assert!((uses(&Config { remove: 0.0, ..Config::default() }, 1000) - 1.0).abs() < 1e-9);
    }

    proptest! {
        /// However many probes come back: the pool has its size, and one of each endpoint.
        #[test]
        fn the_pool_is_bounded(
            answers in proptest::collection::vec((0_u32..40, 0_u32..9, proptest::bool::weighted(0.9)), 1..300), size in 2_u32..=64,
        ) {
            let config = Config { pool: size, ..Config::default() };
            let mut weights = vec![1; 30];
            weights[7] = 0;
            let mut prequal = prequal(&config, weights);
            for (endpoint, in_flight, answered) in answers {
                let report = LoadReport { in_flight, ..LoadReport::default() };
                prequal.on_probe(endpoint, Instant::START, answered.then_some(&report));
                let mut there: Vec<u32> = prequal.pool.iter().map(|probe| probe.endpoint).collect();
                there.sort_unstable();
                prop_assert!(there.len() <= size as usize && there.is_sorted_by(|a, b| a < b));
                // Only those that are candidates, the oldest first.
                let order = prequal.pool.is_sorted_by_key(|probe| (probe.at, probe.endpoint));
                prop_assert!(order);
                prop_assert!(!there.contains(&7) && there.iter().all(|endpoint| *endpoint < 30));
                let is_candidate = answered && endpoint < 30 && endpoint != 7;
                prop_assert_eq!(there.contains(&endpoint), is_candidate);
            }
            prop_assert!(prequal.rifs.sorted.len() <= RIFS && prequal.rifs.sorted.is_sorted());
            for _ in 0..70 {
                prequal.remove();
            }
            prop_assert!(prequal.pool.is_empty());
        }

        #[test]
        fn the_quantile_is_that_of_the_latest(rifs in proptest::collection::vec(0_u32..20, 1..400), quantile in 0.0_f64..=1.0) {
            let mut all = Rifs::default();
            for (nanos, rif) in (0..).zip(&rifs) {
                all.add(f64::from(*rif), (Instant::from_nanos(nanos), 0));
            }
            let mut latest = rifs[rifs.len().saturating_sub(RIFS)..].to_vec();
            latest.sort_unstable();
            let found = all.quantile(quantile);
            let at_most = latest.iter().filter(|rif| f64::from(**rif) <= found).count() as f64;
            let below = latest.iter().filter(|rif| f64::from(**rif) < found).count() as f64;
            prop_assert!(at_most >= quantile * latest.len() as f64 - 1e-9);
            prop_assert!(below == 0.0 || below < quantile * latest.len() as f64 + 1e-9);
        }
    }
}
