//! Two runs of a scenario, held against each other.

use reports::{Measurement, Unit};

/// How far two runs may be apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// A median: a part of it …
    pub(crate) part: f64,
    /// … and a 99th percentile …
    pub(crate) tail: f64,
    /// … or so many milliseconds, if that is more.
    pub(crate) ms: f64,
    /// The rate of good answers, as a part of it.
    pub(crate) rate: f64,
    /// An endpoint's part of all requests, in points of a hundred.
    pub(crate) share: f64,
    /// A count of what failed, timed out, was refused, dropped or tried again, as a part of all requests …
    pub(crate) errors: f64,
    /// … or so many, if that is more.
    pub(crate) few: f64,
}

const COUNTS: [&str; 6] = ["failed", "timed_out", "refused", "dropped", "retries", "ejections"];

/// Where two runs are farther apart than the bounds; empty when they agree.
pub(crate) fn apart(one: &Measurement, other: &Measurement, bounds: Bounds) -> Vec<String> {
    let mut apart = Vec::new();
    let read = |name: &str| (one.metrics.get(name), other.metrics.get(name));
    let mut hold = |name: &str, (a, b): (f64, f64), most: f64| {
        if (a - b).abs() > most {
            apart.push(format!("{name} is {a} and {b}, {most} apart at most"));
        }
    };
    for name in ["latency.p50", "latency.p99", "service_time.p50", "service_time.p99"] {
        let part = if name.ends_with("p99") { bounds.tail } else { bounds.part };
        match read(name) {
            (Some(a), Some(b)) => hold(name, (a, b), (part * a.max(b)).max(bounds.ms)),
            // Without samples enough there is no percentile, and that in both.
            (a, b) => hold(name, (f64::from(a.is_some()), f64::from(b.is_some())), 0.0),
        }
    }
    let count = |name: &str| {
        let (a, b) = read(name);
        (a.unwrap_or(0.0), b.unwrap_or(0.0))
    };
    let requests = count("requests");
    hold("requests", requests, (bounds.rate * requests.0).max(bounds.few));
    let rates = count("goodput");
    hold("goodput", rates, bounds.rate * rates.0.max(rates.1));
    for name in COUNTS {
        hold(name, count(name), (bounds.errors * requests.0).max(bounds.few));
    }
    let shares = |of: &Measurement| -> Vec<_> {
        of.endpoints.iter().map(|row| (row.name.clone(), 100.0 * row.share)).collect()
    };
    let (ours, theirs) = (shares(one), shares(other));
    hold("endpoints", (ours.len() as f64, theirs.len() as f64), 0.0);
    for ((name, a), (_, b)) in ours.into_iter().zip(theirs) {
        hold(&format!("{name}'s share in points"), (a, b), bounds.share);
    }
    apart
}

/// Every figure in which two runs differ, but for those that end like one of `but`. Times, and figures that are made of them, may
/// be so many milliseconds apart.
pub(crate) fn differences(
    one: &Measurement,
    other: &Measurement,
    ms: f64,
    but: &[&str],
) -> Vec<String> {
    let excepted = |name: &str| but.iter().any(|end| name.ends_with(end));
    let differs = |a: f64, b: f64, unit| {
        // The last digits of a mean depend on the order of its sum.
        let rounding = 1e-9 * a.abs().max(b.abs());
        let most = match unit {
            Unit::Milliseconds => ms + rounding,
            // A mean number in flight is a sum of times by the length of an interval: of so many times 40 in 10 ms.
            Unit::Ratio | Unit::Count if a.fract() != 0.0 => {
                (40.0 * ms / 10.0).min(1e-4) + rounding
            }
            _ => rounding,
        };
        (a - b).abs() > most
    };
    let mut found = Vec::new();
    for (name, metric) in one.metrics.iter().filter(|(name, _)| !excepted(name)) {
        match other.metrics.get(name) {
            Some(value) if !differs(metric.value, value, metric.unit) => {}
            Some(value) => found.push(format!("{name} is {} and {value}", metric.value)),
            None => found.push(format!("{name} is {} and nothing", metric.value)),
        }
    }
    let only = other.metrics.iter().map(|(name, _)| name).filter(|name| !excepted(name));
    let only = only.filter(|name| one.metrics.get(name).is_none());
    found.extend(only.map(|name| format!("{name} is nothing in the first")));
    found
}
