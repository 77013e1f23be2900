//! Parameters that faults are likely to be found with.
//!
//! Faults sit at edges (zero, one, all, just now, never) and at sizes nobody thought of, seldom in the middle of a
//! range. So half of the draws are values from a list of edges, and the others are spread evenly over orders of
//! magnitude: as many between 1 ms and 10 ms as between 10 s and 100 s.

use std::time::Duration;

use policy::{Rng, distribution::Distribution, quantity::TimeSpan};
use serde_json::{Map, Value, json};

/// One of a list that is not empty.
pub(super) fn one_of<'a, T>(rng: &mut Rng, list: &'a [T]) -> &'a T {
    &list[rng.index(list.len())]
}

/// Between two positive numbers, evenly over orders of magnitude.
fn spread(rng: &mut Rng, least: f64, most: f64) -> f64 {
    libm::exp(libm::log(least) + rng.unit() * (libm::log(most) - libm::log(least)))
}

/// The same for times, to the microsecond.
pub(super) fn span(rng: &mut Rng, least: Duration, most: Duration) -> TimeSpan {
    let micros = spread(rng, least.as_micros().max(1) as f64, most.as_micros().max(2) as f64);
    TimeSpan(Duration::from_micros(micros as u64))
}

/// How many times as slow.
pub(super) fn factor(rng: &mut Rng) -> f64 {
    if rng.chance(0.5) {
        return *one_of(rng, &[0.01, 0.5, 1.0, 2.0, 10.0, 100.0, 1000.0]);
    }
    // Two decimals: nobody reads more.
    (spread(rng, 1.0, 1e4) * 100.0).round() / 100.0
}

/// How likely.
pub(super) fn probability(rng: &mut Rng) -> f64 {
    if rng.chance(0.5) {
        return *one_of(rng, &[1.0, 0.5, 0.1, 0.01]);
    }
    ((rng.unit() * 100.0).round() / 100.0).max(0.01)
}

/// How likely a packet is lost: where all are lost that is a cut, which is another event.
pub(super) fn loss(rng: &mut Rng) -> f64 {
    probability(rng).min(0.9)
}

/// What a failing endpoint answers.
pub(super) fn status(rng: &mut Rng) -> u16 {
    *one_of(rng, &[500, 502, 503, 503, 504, 429, 404, 200])
}

/// How long a packet is under way.
pub(super) fn latency(rng: &mut Rng) -> Distribution<TimeSpan> {
    let least = Duration::from_micros(10);
    let time = span(rng, least, Duration::from_secs(10));
    match rng.below(4) {
        0 => Distribution::Exponential { mean: time },
        1 => Distribution::Uniform { min: TimeSpan::default(), max: time },
        _ => Distribution::Constant(time),
    }
}

/// What a reload changes: one to three settings, or nothing at all.
pub(super) fn changes(rng: &mut Rng, strategies: &[&str]) -> Map<String, Value> {
    let mut changes = Map::new();
    for _ in 0..rng.below(4) {
        let (section, settings) = setting(rng, strategies);
        let entry = changes.entry(section).or_insert_with(|| Value::Object(Map::new()));
        if let (Value::Object(entry), Value::Object(settings)) = (entry, settings) {
            entry.extend(settings);
        }
    }
    changes
}

fn setting(rng: &mut Rng, strategies: &[&str]) -> (&'static str, Value) {
    let count = |rng: &mut Rng| *one_of(rng, &[1, 2, 8, 1000]);
    let time = |rng: &mut Rng| span(rng, Duration::from_millis(10), Duration::from_secs(10));
    match rng.below(13) {
        0..=2 => ("balance", json!({ "strategy": one_of(rng, strategies) })),
        3 => ("retry", json!({ "attempts": rng.below(4) })),
        4 => ("retry", json!({ "statuses": [500, 502, 503], "attempts": 1 + rng.below(3) })),
        5 => ("outlier", json!({ "enabled": rng.chance(0.5) })),
        6 => {
            let (failures, time) = (count(rng), time(rng));
            let ejections = json!({ "consecutive_failures": failures, "base_ejection": time, "max_ejection": time });
            ("outlier", ejections)
        }
        7 => ("limits", json!({ "endpoint_in_flight": count(rng) })),
        8 => ("limits", json!({ "endpoint_idle": *one_of(rng, &[0, 1, 256]) })),
        9 => ("timeouts", json!({ "response_head": time(rng) })),
        10 => ("timeouts", json!({ "connect": time(rng), "upstream_idle": time(rng) })),
        11 => {
            let (kind, interval) = (*one_of(rng, &["off", "tcp", "http"]), time(rng));
            let checks = json!({ "kind": kind, "interval": interval, "timeout": interval });
            ("health", checks)
        }
        _ => ("queue", json!({ "max_waiting": *one_of(rng, &[0, 1, 1024]) })),
    }
}
