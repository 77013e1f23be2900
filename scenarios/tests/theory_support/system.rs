//! A queueing system as a scenario, run in the model, with its batches.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use reports::Measurement;
use scenarios::{language::Scenario, model::Parts};

use super::estimate::{Batch, Estimate};

/// Nanoseconds of a mean service time. All times of systems and laws are in units of it.
pub(crate) const SERVICE: f64 = 1e7;
/// Batches of a run.
const BATCHES: usize = 10;
/// Requests of a batch, at least; and its length: two of the recorder's intervals.
const REQUESTS: f64 = 2000.0;
const SHORTEST: f64 = 20.0;

/// Requests that were simulated, in all.
pub(crate) static SIMULATED: AtomicU64 = AtomicU64::new(0);

/// A system, and how long it is watched.
#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) proxies: u32,
    pub(crate) endpoints: u32,
    pub(crate) workers: u32,
    /// More keys of the backend: `service`, `discipline`, `queue`.
    pub(crate) backend: String,
    pub(crate) strategy: &'static str,
    /// How long it remembers at a load.
    pub(crate) memory: fn(f64) -> f64,
    /// The length of a batch in memories.
    pub(crate) memories: f64,
    pub(crate) parts: Parts,
}

/// The relaxation time of an M/M/1 queue: 1/(1-√ρ)² (Cohen, *The Single Server Queue*, section III.7.3).
fn relaxation(load: f64) -> f64 {
    (1.0 - load.sqrt()).powi(-2)
}

impl System {
    pub(crate) fn new(endpoints: u32, strategy: &'static str) -> Self {
        let backend = "service = { exponential = { mean = \"10ms\" } }".to_owned();
        let (memory, parts): (fn(f64) -> f64, _) = (relaxation, Parts::default());
        let (proxies, workers, memories) = (1, 1, 20.0);
        Self { proxies, endpoints, workers, backend, strategy, memory, memories, parts }
    }

    pub(crate) fn proxies(self, proxies: u32) -> Self {
        Self { proxies, ..self }
    }

    pub(crate) fn workers(self, workers: u32) -> Self {
        Self { workers, ..self }
    }

    pub(crate) fn backend(self, backend: &str) -> Self {
        Self { backend: backend.to_owned(), ..self }
    }

    pub(crate) fn memories(self, memories: f64) -> Self {
        Self { memories, ..self }
    }

    pub(crate) fn memory(self, memory: fn(f64) -> f64) -> Self {
        Self { memory, ..self }
    }

    pub(crate) fn parts(self, parts: Parts) -> Self {
        Self { parts, ..self }
    }

    fn run(&self, load: f64, seed: u64) -> Measurement {
        let Self { proxies, endpoints, workers, backend, strategy, parts, .. } = self;
        let servers = f64::from(endpoints * workers);
        let memory = (self.memory)(load);
        let warmup = (10.0 * memory).ceil();
        let batch = (self.memories * memory).max(REQUESTS / (load * servers)).max(SHORTEST);
        let length = (BATCHES as f64 * batch).ceil();
        let rate = load * servers * 100.0;
        let queue = if backend.contains("queue") { "" } else { "queue = 1000000" };
        let text = format!(
            "duration = \"{}ms\"\nwarmup = \"{}ms\"\nproxies = {proxies}\n[proxy]\nbalance.strategy = {strategy}\noutlier.enabled = false\n\
             timeouts.response_head = \"10000s\"\n[backends.web]\ncount = {endpoints}\nworkers = {workers}\n{queue}\n{backend}\n\
             [load.all]\narrivals = {{ poisson = {{ rate = {rate} }} }}\ntimeout = \"10000s\"\nmax_connections = 100000\n",
            (length + warmup) * 10.0,
            warmup * 10.0,
        );
        let scenario: Scenario = toml::from_str(&text).expect("a scenario");
        let outcome = parts.run(&scenario, seed).expect("the model can do this");
        assert_eq!(outcome.problems, Vec::<String>::new());
        SIMULATED.fetch_add(outcome.requests, Relaxed);
        littles_law(&outcome.measurement, length * SERVICE);
        outcome.measurement
    }

    /// A run for each seed.
    pub(crate) fn runs(&self, load: f64, seeds: &[u64]) -> Vec<Measurement> {
        seeds.iter().map(|seed| self.run(load, *seed)).collect()
    }
}

/// L = λT (Little 1961). Both are measured over the same time; what differs are the requests that straddle its ends, at most as many as
/// were ever under way, and each by at most the longest time that one took. What is refused takes no time, and counts in neither.
fn littles_law(measurement: &Measurement, nanos: f64) {
    let get = |name: &str| measurement.metrics.get(name).expect(name);
    let level = get("in_flight.mean");
    let flow = get("goodput") * get("latency.mean") / 1000.0;
    let ends = 2.0 * get("in_flight.max") * get("latency.max") * 1e6 / nanos;
    assert!((level - flow).abs() <= ends + 1e-9, "L = {level}, λT = {flow}, ends {ends}");
}

/// The mean response time.
pub(crate) fn mean(runs: &[Measurement]) -> Estimate {
    estimate(runs, |buckets| buckets.mean() * buckets.len() as f64 / SERVICE)
}

/// The part of the requests that took longer than this.
pub(crate) fn beyond(runs: &[Measurement], time: f64) -> Estimate {
    let nanos = (time * SERVICE) as u64;
    estimate(runs, |buckets| buckets.count_between(nanos, buckets.high()) as f64)
}

fn estimate(runs: &[Measurement], sum: impl Fn(&Buckets) -> f64) -> Estimate {
    let batches = |run: &Measurement| -> Vec<Batch> {
        let size = run.intervals.len() / BATCHES;
        assert!(size >= 1, "{} intervals", run.intervals.len());
        let batches = run.intervals.chunks_exact(size).take(BATCHES);
        let batch = batches.map(|intervals| {
            let each = intervals.iter().map(|interval| interval.buckets.to_hdr());
            each.fold((0.0, 0.0), |(a, b), buckets| (a + sum(&buckets), b + buckets.len() as f64))
        });
        batch.collect()
    };
    Estimate::of(&runs.iter().map(batches).collect::<Vec<_>>())
}

type Buckets = hdrhistogram::Histogram<u32>;

/// The part of the requests that was refused.
pub(crate) fn refused(runs: &[Measurement]) -> Estimate {
    let batches = |run: &Measurement| -> Vec<Batch> {
        let line = |metric| &run.series.line(metric, "").expect(metric).values;
        let both = line("refused_rps").iter().zip(line("offered_rps")).zip(&run.series.slots);
        let measured: Vec<Batch> = both
            .filter(|(_, slot)| !slot.is_warmup)
            .map(|((refused, offered), slot)| {
                let count = |rate: &Option<f64>| rate.unwrap_or(0.0) * slot.seconds();
                (count(refused), count(offered))
            })
            .collect();
        let size = measured.len() / BATCHES;
        let add = |batch: &[Batch]| batch.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        measured.chunks_exact(size).take(BATCHES).map(add).collect()
    };
    Estimate::of(&runs.iter().map(batches).collect::<Vec<_>>())
}
