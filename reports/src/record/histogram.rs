//! A distribution of times.
//!
//! The buckets are an HdrHistogram's ([`Buckets`]): any time from 128 ns up is known to three significant digits at a fixed price
//! per record (no sorting, no samples kept) and two of them add up to exactly the histogram of both. Beside it stand the exact
//! least, greatest, sum and sum of squares, in integers, so that merging in any order gives
//! the same mean to the last bit.

use super::buckets::{Bucket, Buckets};
use crate::results;
use serde::{Deserialize, Serialize};

/// Nanoseconds in a millisecond.
const MS: f64 = 1e6;

/// A percentile needs this many samples beyond it before we print it.
pub const SAMPLES_BEYOND: f64 = 10.0;

/// How many samples the percentile at `quantile` (0 to 1) needs.
pub fn samples_needed(quantile: f64) -> u64 {
    (SAMPLES_BEYOND / (1.0 - quantile) - 1e-6).ceil() as u64
}

/// Times in nanoseconds, to three significant digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Distribution {
    #[serde(with = "results::buckets")]
    buckets: Buckets<u64>,
    least: u64,
    greatest: u64,
    #[serde(with = "results::wide")]
    sum: u128,
    #[serde(with = "results::wide")]
    squares: u128,
}

impl Default for Distribution {
    fn default() -> Self {
        Self::new()
    }
}

impl Distribution {
    /// An empty one.
    pub fn new() -> Self {
        Self { buckets: Buckets::default(), least: u64::MAX, greatest: 0, sum: 0, squares: 0 }
    }

    /// Counts one time, in nanoseconds.
    pub fn record(&mut self, nanos: u64) {
        self.record_in(Bucket::of(nanos), nanos);
    }

    /// The same where its bucket is known.
    #[inline]
    pub(crate) fn record_in(&mut self, bucket: Bucket, nanos: u64) {
        self.buckets.record(bucket);
        self.least = self.least.min(nanos);
        self.greatest = self.greatest.max(nanos);
        self.sum += u128::from(nanos);
        self.squares += u128::from(nanos) * u128::from(nanos);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Distribution) {
        self.buckets.add(&other.buckets);
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
        // Sums from a file may be anything.
        self.sum = self.sum.saturating_add(other.sum);
        self.squares = self.squares.saturating_add(other.squares);
    }

    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.buckets.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The least, in milliseconds; exact.
    pub fn min_ms(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.least as f64 / MS)
    }

    /// The greatest, in milliseconds; exact.
    pub fn max_ms(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.greatest as f64 / MS)
    }

    /// The mean, in milliseconds; exact.
    pub fn mean_ms(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum as f64 / self.count() as f64 / MS)
    }

    /// The standard deviation, in milliseconds; exact. Needs two samples.
    pub fn stddev_ms(&self) -> Option<f64> {
        let n = self.count() as f64;
        if n < 2.0 {
            return None;
        }
        let mean = self.sum as f64 / n;
        let variance = (self.squares as f64 / n - mean * mean).max(0.0);
        Some(variance.sqrt() / MS)
    }

    /// The time that a part `quantile` (0 to 1) of all samples does not exceed, in milliseconds.
    /// `None` where fewer than ten samples lie beyond it: that number would be chance.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        (self.count() >= samples_needed(quantile)).then(|| self.any_quantile_ms(quantile))
    }

    /// The same without that rule; 0 when empty. For drawing.
    pub fn any_quantile_ms(&self, quantile: f64) -> f64 {
        self.buckets.value_at_quantile(quantile).min(self.greatest) as f64 / MS
    }

    /// The spectrum for a chart on a 1/(1-q) axis: (q, milliseconds), from 0 up to the last quantile
    /// that has ten samples beyond it, with `steps` points for each halving of what is beyond.
    pub fn spectrum(&self, steps: u32) -> Vec<(f64, f64)> {
        let mut points = Vec::new();
        let steps = f64::from(steps.max(1));
        for step in 0.. {
            let beyond = (-f64::from(step) / steps).exp2();
            if self.count() as f64 * beyond < SAMPLES_BEYOND || step > 2000 {
                break;
            }
            points.push((1.0 - beyond, self.any_quantile_ms(1.0 - beyond)));
        }
        points
    }

    /// The buckets.
    pub fn buckets(&self) -> &Buckets<u64> {
        &self.buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_needs_ten_samples_beyond_it() {
        assert_eq!(samples_needed(0.5), 20);
        assert_eq!(samples_needed(0.99), 1000);
        assert_eq!(samples_needed(0.9999), 100_000);
        let mut d = Distribution::new();
        for i in 0..999 {
            d.record(1_000_000 + i);
        }
        assert_eq!(d.quantile_ms(0.99), None);
        d.record(5_000_000);
        assert!(d.quantile_ms(0.99).is_some());
        assert_eq!(d.max_ms(), Some(5.0));
    }

    #[test]
    fn an_empty_one_has_no_figures() {
        let d = Distribution::new();
        assert_eq!((d.min_ms(), d.mean_ms(), d.max_ms(), d.stddev_ms()), (None, None, None, None));
        assert!(d.spectrum(4).is_empty());
    }

    #[test]
    fn times_beyond_an_hour_are_counted() {
        let mut d = Distribution::new();
        d.record(u64::MAX);
        d.record(0);
        assert_eq!(d.count(), 2);
        assert_eq!(d.min_ms(), Some(0.0));
    }
}
