//! Whether a run fits into memory, before it begins.
//!
//! A run that needs more than there is would be killed by the system, and nobody would know why. So what it could need at
//! most is estimated from its scenario, and a run that could need more than is at hand is refused, with what needs it and
//! what to write instead. The estimate is plain: how many there may be of each thing at a time, and how much one of them
//! takes. Requests under way are counted as if none were answered before its client's patience ends, for that is what a
//! fault can make of them.
//!
//! How much things take was measured as the greatest resident size (`VmHWM`) of a release build on x86-64 Linux, by taking
//! more of one thing at a time, and rounded up; the constants say what was found. What is in memory already when a run
//! begins (a trace, for one) is not counted again.

use std::{fmt::Write, num::NonZeroUsize, time::Duration};

use loadgen::{
    MAX_CONNECTIONS,
    config::{Arrivals, Key, Load, Trace},
};
use policy::distribution::Distribution;
use reports::{RecorderConfig, World, format};

use crate::language::Scenario;

mod machine;

pub use machine::at_hand;

/// The program itself, its runtime and its threads: 6 to 12 MB.
const BASE: u64 = 16 << 20;
/// A request under way in the model, with its user, deadline and messages: 436 bytes without latency, 494 with (1,000,000
/// users).
const MODEL_REQUEST: u64 = 640;
/// A connection through client, proxy and backend with a small request on it: 46 KiB live (4,000 users), 48 KiB in sim
/// (4,000 users; 37 KiB with 16,000). The rest is for what the kernel keeps of it, and what watches it in sim.
const CONNECTION: u64 = 64 << 10;
/// A body that is on its way is held in the buffers of three parties and two streams: so many times its length. Found (500
/// users in step): 4.0 times 16 KiB and 64 KiB in sim, 4.2 and 3.1 times live.
const COPIES: f64 = 4.0;
/// But not more than so much a connection, since windows are bounded: with 1 MiB 1.6 MiB in sim, 0.7 MiB live.
const BODY_SIM: u64 = 1_700 << 10;
const BODY_LIVE: u64 = 800 << 10;
/// An endpoint: 2.9 KiB in the model (10,000), 7.6 KiB in sim and 6.5 KiB live (5,000).
const MODEL_ENDPOINT: u64 = 3 << 10;
const ENDPOINT: u64 = 8 << 10;
/// A proxy, when there are several, and what it keeps of each endpoint: 0.94 KiB in the model (1,000 by 1,000), 0.85 KiB in sim (200 by
/// 1,000), and 17 KiB with a connection that idles there (50 by 100).
const MODEL_PROXY: u64 = 4 << 10;
const PROXY: u64 = 64 << 10;
const MODEL_VIEW: u64 = 1 << 10;
const VIEW: u64 = 18 << 10;
/// An interval of the time series with its histogram and what is drawn of it: 140 KiB.
const INTERVAL: u64 = 140 << 10;
/// The figures of a load or a phase: 580 KiB in the model, 890 KiB in sim, where what is sent a little late has histograms
/// of its own.
const MODEL_FIGURES: u64 = 600 << 10;
const FIGURES: u64 = 900 << 10;
/// For each endpoint, in the figures of each load and phase.
const FIGURES_ENDPOINT: u64 = 16;
/// A key of a Zipf distribution: 12 bytes, and the model has them twice.
const MODEL_KEY: u64 = 24;
const KEY: u64 = 12;

/// Something that a run needs memory for.
#[derive(Clone, Debug)]
struct Part {
    /// The key of the scenario file that there are so many of them by.
    key: String,
    /// What they are: `connections`.
    what: &'static str,
    /// How many at most.
    count: u64,
    /// How many bytes each.
    each: u64,
}

impl Part {
    fn bytes(&self) -> u64 {
        self.count.saturating_mul(self.each)
    }
}

/// Why this scenario cannot run in this world, if it could need more memory than its share of what is at hand; `jobs` runs
/// share it. `None` too where nobody knows how much is at hand.
pub fn refusal(
    scenario: &Scenario,
    world: World,
    jobs: NonZeroUsize,
    at_hand: Option<u64>,
) -> Option<String> {
    let jobs = if world.is_virtual() { jobs.get() as u64 } else { 1 };
    // A tenth is left to the rest of the machine.
    let free = at_hand?;
    let room = |jobs: u64| (free - free / 10) / jobs;
    let parts = parts(scenario, world);
    let need = sum(&parts);
    if need <= room(jobs) {
        return None;
    }
    let largest = parts.iter().max_by_key(|part| part.bytes())?;
    let Part { key, what, count, each } = largest;
    let bytes = |n: u64| format::bytes(n as f64);
    let number = |n: u64| format::count(n as f64);
    let shared =
        if jobs > 1 { format!(" for each of {jobs} runs at a time") } else { String::new() };
    let mut text = format!(
        "it could need {} of memory in {world}, and {} are at hand{shared}: {} of it would be for {} {what}, {} each \
         (`{key}`)",
        bytes(need),
        bytes(room(jobs)),
        bytes(largest.bytes()),
        number(*count),
        bytes(*each),
    );
    let others = need - largest.bytes();
    let fits = room(jobs).saturating_sub(others) / each;
    if fits > 0 {
        let _ = write!(text, "; write at most {} there", round(fits));
    } else {
        text.push_str("; make it smaller");
    }
    if need <= room(1) {
        text.push_str(", or run it with `--jobs 1`");
    }
    let in_model = sum(&self::parts(scenario, World::Model));
    if world != World::Model && scenario.worlds.contains(&World::Model) && in_model <= room(jobs) {
        let _ = write!(text, ", or run it in `model`, where {} would do", bytes(in_model));
    }
    Some(text)
}

fn sum(parts: &[Part]) -> u64 {
    parts.iter().fold(BASE, |sum, part| sum.saturating_add(part.bytes()))
}

/// Two digits, rounded down: nobody wants to write 339,821.
fn round(number: u64) -> u64 {
    let mut unit = 1;
    while number / unit >= 100 {
        unit *= 10;
    }
    number / unit * unit
}

fn parts(scenario: &Scenario, world: World) -> Vec<Part> {
    let is_model = world == World::Model;
    let of_world = |model, other| if is_model { model } else { other };
    let endpoints = scenario.all_endpoints().len() as u64;
    let mut parts = Vec::new();
    for (name, load) in &scenario.load {
        let key = if load.users.is_some() { "users" } else { "max_connections" };
        parts.push(Part {
            key: format!("load.{name}.{key}"),
            what: if is_model { "requests under way" } else { "connections" },
            count: under_way(load, scenario.duration.0),
            each: of_world(MODEL_REQUEST, CONNECTION + bodies(scenario, load, world)),
        });
        let keys = load.request.iter().enumerate().filter_map(|(index, request)| {
            let Some(Key::Zipf { n, .. }) = request.key else { return None };
            let key = format!("load.{name}.request[{index}].key.zipf.n");
            Some(Part { key, what: "keys", count: n, each: of_world(MODEL_KEY, KEY) })
        });
        parts.extend(keys);
    }
    let recorder = RecorderConfig::new(Some(scenario.duration.0), scenario.warmup.0);
    let intervals = scenario.duration.0.div_duration_f64(recorder.interval).ceil() as u64;
    let figures = of_world(MODEL_FIGURES, FIGURES) + FIGURES_ENDPOINT * endpoints;
    let part = |key: &str, what, count, each| Part { key: key.to_owned(), what, count, each };
    if scenario.proxies > 1 {
        let each = of_world(MODEL_PROXY, PROXY) + of_world(MODEL_VIEW, VIEW) * endpoints;
        parts.push(part("proxies", "proxies", u64::from(scenario.proxies), each));
    }
    parts.extend([
        part("backends", "endpoints", endpoints, of_world(MODEL_ENDPOINT, ENDPOINT)),
        part("phases", "phases with their figures", scenario.phases.len() as u64, figures),
        part("load", "loads with their figures", scenario.load.len() as u64, figures),
        part(
            "duration",
            "intervals of the time series",
            intervals.min(reports::record::MAX_SLOTS as u64),
            INTERVAL,
        ),
    ]);
    parts
}

/// How many requests of a load may be under way at a time: all that are due within the patience of its clients.
fn under_way(load: &Load, duration: Duration) -> u64 {
    let patience = load.timeout.0.min(duration);
    let all = load.requests.unwrap_or(u64::MAX);
    let Some(arrivals) = &load.arrivals else {
        return u64::from(load.users.unwrap_or(0)).min(all);
    };
    let at_rate = |rate: f64| (rate * patience.as_secs_f64()).ceil() as u64;
    let due = match arrivals {
        Arrivals::Constant(rate) | Arrivals::Poisson(rate) => at_rate(rate.rate),
        Arrivals::Stages(stages) => {
            let targets = stages.steps.iter().map(|stage| stage.target);
            at_rate(targets.fold(stages.start, f64::max))
        }
        Arrivals::Bursts(bursts) => {
            let times = patience.div_duration_f64(bursts.every.0).floor() as u64 + 1;
            bursts.size.saturating_mul(times)
        }
        Arrivals::Trace(trace) => busiest(trace, patience),
    };
    due.min(all).min(u64::from(load.max_connections.unwrap_or(MAX_CONNECTIONS)))
}

/// The most requests of a trace that are due within this time.
fn busiest(trace: &Trace, patience: Duration) -> u64 {
    let within = patience.as_nanos() as f64 * trace.speed;
    let (mut first, mut most) = (0, 0);
    for last in 0..trace.requests.len() {
        let at = |index| trace.requests.at(index).unwrap_or(0) as f64;
        while at(last) - at(first) > within {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most as u64
}

/// What bodies take of a connection, in the mean.
fn bodies(scenario: &Scenario, load: &Load, world: World) -> u64 {
    let most = if world == World::Sim { BODY_SIM } else { BODY_LIVE };
    let answers = scenario.backends.values().map(|backend| backend.response.mean());
    let answer = answers.fold(0.0, f64::max);
    let total: f64 = load.request.iter().map(|request| request.weight).sum();
    let mean: f64 = load
        .request
        .iter()
        .map(|request| {
            let body = request.body.as_ref().map_or(0.0, Distribution::mean);
            let answer = request.size.as_ref().map_or(answer, Distribution::mean);
            (body + answer) * request.weight
        })
        .sum();
    ((COPIES * mean / total.max(f64::MIN_POSITIVE)) as u64).min(most)
}
