//! Two worlds over many seeds: is one of them slower than the other, or busier?
//!
//! A bound on one run has to leave room for what an order that changed makes of a few hundred requests, so it would not see a
//! world that is always a little off. Pairs of runs do: each seed's difference is one draw, and if neither world is off, their mean is
//! zero but for its standard error (a paired t test; Student 1908). Five standard errors, since some hundred of these are
//! looked at and none may be found by chance, and on top what rounding moves every run by.

use std::collections::BTreeMap;

use reports::Measurement;

/// With fewer seeds the standard error is itself a guess.
const FEWEST: usize = 10;
/// The figures that are looked at.
const FIGURES: [&str; 5] =
    ["latency.mean", "latency.p50", "latency.p99", "goodput", "in_flight.mean"];
/// Standard errors.
const ERRORS: f64 = 5.0;
/// What rounding to whole microseconds and the buckets of a histogram move a figure by, as a part of it.
const ROUNDING: f64 = 0.001;

/// The differences of pairs of runs, as parts of the first's figure.
#[derive(Debug, Default)]
pub(crate) struct Pairs(BTreeMap<&'static str, Vec<f64>>);

impl Pairs {
    /// Another seed's runs.
    pub(crate) fn add(&mut self, one: &Measurement, other: &Measurement) {
        for name in FIGURES {
            if let (Some(a), Some(b)) = (one.metrics.get(name), other.metrics.get(name))
                && a > 0.0
            {
                self.0.entry(name).or_default().push((b - a) / a);
            }
        }
    }

    /// In which figures one is off; empty when there were too few seeds to tell.
    pub(crate) fn off(&self) -> Vec<String> {
        let tested = self.0.iter().filter(|(_, found)| found.len() >= FEWEST);
        tested.filter_map(|(name, found)| off(name, found)).collect()
    }
}

fn off(name: &str, found: &[f64]) -> Option<String> {
    let n = found.len() as f64;
    let mean = found.iter().sum::<f64>() / n;
    let variance = found.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let most = ERRORS * (variance / n).sqrt() + ROUNDING;
    (mean.abs() > most).then(|| {
        format!(
            "{name} is off by {:.2} % in the mean of {n} seeds, {:.2} % at most",
            100.0 * mean,
            100.0 * most
        )
    })
}

#[test]
fn who_is_always_a_little_off_is_found_and_chance_is_not() {
    let chance: Vec<f64> = (0..20).map(|n| f64::from(n * 7 % 20 - 10) / 500.0).collect();
    assert_eq!(off("x", &chance), None);
    let all_off: Vec<f64> = chance.iter().map(|x| x + 0.03).collect();
    assert!(off("x", &all_off).is_some());
    assert!(off("x", &[0.002; 10]).is_some() && off("x", &[0.0005; 10]).is_none());
}
