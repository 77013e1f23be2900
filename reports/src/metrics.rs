//! Metrics: names, units and values.
//!
//! A metric that exists but has no number in this run (a p99.9 of a hundred requests) is *absent with a
//! reason*, not zero: [`Metrics::read`] says which of the two it is. Which names exist at all is the
//! matter of [`crate::catalogue`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a value counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// How many.
    Count,
    /// A part of one, or any quotient of equal things.
    Ratio,
    /// Per second (requests, unless the name says otherwise).
    PerSecond,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// What follows the number in text: ` ms`, `/s`, … Empty for counts and ratios.
    pub fn symbol(self) -> &'static str {
        match self {
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
            Unit::Count | Unit::Ratio => "",
            Unit::PerSecond => "/s",
            Unit::Bytes => "B",
        }
    }

    /// The word in a list of metrics: `ms`, `s`, `count`, `ratio`, `per second`, `bytes`.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
            Unit::Count => "count",
            Unit::Ratio => "ratio",
            Unit::PerSecond => "per second",
            Unit::Bytes => "bytes",
        }
    }

    /// What a column's name ends in: `_ms`, `_rps`, … Empty where the name says it already.
    pub fn column_suffix(self) -> &'static str {
        match self {
            Unit::Milliseconds => "_ms",
            Unit::Seconds => "_s",
            Unit::PerSecond => "_rps",
            Unit::Count | Unit::Ratio | Unit::Bytes => "",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(f64, Unit)", into = "(f64, Unit)")]
pub struct Metric {
    /// The number, always finite.
    pub value: f64,
    /// What it counts in.
    pub unit: Unit,
}

impl From<(f64, Unit)> for Metric {
    fn from((value, unit): (f64, Unit)) -> Self {
        Self { value, unit }
    }
}

impl From<Metric> for (f64, Unit) {
    fn from(metric: Metric) -> Self {
        (metric.value, metric.unit)
    }
}

/// What [`Metrics::read`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading<'a> {
    /// A number.
    Value(Metric),
    /// The metric exists, but not as a number in this run; and why.
    Absent(&'a str),
    /// No metric of this name was measured.
    Unknown,
}

/// The figures of one run, by name, in order of their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    values: BTreeMap<String, Metric>,
    absent: BTreeMap<String, String>,
}

impl Metrics {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a metric; what stood there before is replaced. A value that is not finite is not a number
    /// and becomes an absence.
    pub fn insert(&mut self, name: impl Into<String>, value: f64, unit: Unit) {
        let name = name.into();
        if value.is_finite() {
            self.absent.remove(&name);
            self.values.insert(name, Metric { value, unit });
        } else {
            self.set_absent(name, "not a number");
        }
    }

    /// Says that a metric has no number in this run, and why.
    pub fn set_absent(&mut self, name: impl Into<String>, why: impl Into<String>) {
        let name = name.into();
        self.values.remove(&name);
        self.absent.insert(name, why.into());
    }

    /// The number under this name, if there is one.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name).map(|metric| metric.value)
    }

    /// The number, or why there is none.
    pub fn read(&self, name: &str) -> Reading<'_> {
        if let Some(metric) = self.values.get(name) {
            Reading::Value(*metric)
        } else if let Some(why) = self.absent.get(name) {
            Reading::Absent(why)
        } else {
            Reading::Unknown
        }
    }

    /// Every number, in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Metric)> {
        self.values.iter().map(|(name, metric)| (name.as_str(), *metric))
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_absent() {
        let mut metrics = Metrics::new();
        metrics.insert("rate", f64::NAN, Unit::PerSecond);
        assert_eq!(metrics.read("rate"), Reading::Absent("not a number"));
        metrics.insert("rate", 2.0, Unit::PerSecond);
        assert_eq!(metrics.get("rate"), Some(2.0));
        assert_eq!(metrics.read("speed"), Reading::Unknown);
    }
}
