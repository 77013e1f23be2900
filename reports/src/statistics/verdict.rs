//! What is said in the end: better, worse, no difference, or too few runs to tell.
//!
//! A difference is called only where it is significant *and* beyond the noise floor. And where even the clearest outcome
//! could not become significant it says so: n pairs that all agree have p = 2 / 2^n, and Holm multiplies that by the
//! number of comparisons. Ten pairs carry 25 comparisons, eight carry 6, five carry none.

use super::{
    bootstrap::{Interval, median_ratio_interval},
    holm::holm,
    noise::NoiseFloor,
    permutation::sign_flip_p,
    ratio::{median_ratio, paired_ratios},
};

/// The chance to call any difference in a family of comparisons in which there is none.
pub const ALPHA: f64 = 0.05;

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Latencies, failures, imbalance.
    Smaller,
    /// Rates, shares of success.
    Larger,
}

/// One variant against the baseline by one metric, not yet corrected for others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// So many pairs had a value on both sides.
    pub pairs: usize,
    /// The median of the paired ratios, variant over baseline.
    pub ratio: Option<f64>,
    /// Its 95 % interval; `None` with fewer than two pairs.
    pub interval: Option<Interval>,
    /// The two-sided p of the paired permutation test.
    pub p: f64,
}

impl Comparison {
    /// Compares two lists of figures, one a run, whose places are the pairs. `seed` is that of the resampling.
    pub fn of(baseline: &[f64], candidate: &[f64], seed: u64) -> Self {
        Self::of_ratios(&paired_ratios(baseline, candidate), seed)
    }

    /// The same from the ratios.
    pub fn of_ratios(ratios: &[f64], seed: u64) -> Self {
        let effects: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
        Self {
            pairs: ratios.len(),
            ratio: median_ratio(ratios),
            interval: median_ratio_interval(ratios, seed),
            p: sign_flip_p(&effects, seed),
        }
    }

    /// What is said of it as one of a family: with its p after correction, and the pairs that the family needs.
    pub fn judged(
        &self,
        corrected: f64,
        needed: usize,
        floor: NoiseFloor,
        better: Better,
    ) -> Judged {
        let verdict = match self.ratio {
            Some(ratio) if corrected <= ALPHA && floor.is_below(ratio) => {
                if (ratio < 1.0) == (better == Better::Smaller) {
                    Verdict::Better
                } else {
                    Verdict::Worse
                }
            }
            Some(_) if corrected <= ALPHA || self.pairs >= needed => Verdict::NoDifference,
            _ => Verdict::TooFew,
        };
        Judged { comparison: *self, corrected, verdict }
    }
}

/// What is said about a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Better than the baseline.
    Better,
    /// Worse than the baseline.
    Worse,
    /// None that could be told from chance, or none beyond the noise.
    NoDifference,
    /// Even if all pairs agreed, it could not be told from chance.
    TooFew,
}

impl Verdict {
    /// In a word or two.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NoDifference => "no difference",
            Self::TooFew => "too few",
        }
    }
}

/// A comparison within its family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// What was compared.
    pub comparison: Comparison,
    /// p after Holm's correction over the family.
    pub corrected: f64,
    /// What is said.
    pub verdict: Verdict,
}

/// Judges a family of comparisons by one metric: all variants against one baseline.
pub fn judge(family: &[Comparison], floor: NoiseFloor, better: Better) -> Vec<Judged> {
    let p: Vec<f64> = family.iter().map(|comparison| comparison.p).collect();
    let needed = pairs_needed(family.len());
    let judged = family
        .iter()
        .zip(holm(&p))
        .map(|(comparison, corrected)| comparison.judged(corrected, needed, floor, better));
    judged.collect()
}

/// The fewest pairs with which each of so many comparisons can be called at all: 2 / 2^n × comparisons ≤ [`ALPHA`].
pub fn pairs_needed(comparisons: usize) -> usize {
    let possible = |pairs: i32| comparisons.max(1) as f64 * 2.0_f64.powi(1 - pairs) <= ALPHA;
    (1..64).find(|pairs| possible(*pairs)).unwrap_or(64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ratio: f64, pairs: usize) -> Comparison {
        Comparison::of_ratios(&vec![ratio; pairs], 1)
    }

    #[test]
    fn ten_seeds_reach_significance_with_twenty_five_variants() {
        assert_eq!([1, 2, 6, 7, 25, 26].map(pairs_needed), [6, 7, 8, 9, 10, 11]);
        let family = |variants| vec![all(1.5, 10); variants];
        let verdicts = |variants| judge(&family(variants), NoiseFloor::NONE, Better::Smaller);
        assert!(verdicts(25).iter().all(|judged| judged.verdict == Verdict::Worse));
        assert!(verdicts(26).iter().all(|judged| judged.verdict == Verdict::TooFew));
    }

    #[test]
    fn certain_but_small_is_no_difference() {
        let floor = NoiseFloor::NONE.at_least(5.0);
        let one = |ratio, better| judge(&[all(ratio, 10)], floor, better)[0].verdict;
        assert_eq!(one(1.04, Better::Smaller), Verdict::NoDifference);
        assert_eq!(one(1.06, Better::Smaller), Verdict::Worse);
        assert_eq!(one(0.5, Better::Smaller), Verdict::Better);
        assert_eq!(one(0.5, Better::Larger), Verdict::Worse);
    }

    #[test]
    fn large_but_by_chance_is_no_difference() {
        let mixed = Comparison::of(&[1.0; 8], &[9.0, 0.2, 5.0, 0.3, 4.0, 0.1, 0.5, 6.0], 1);
        let judged = judge(&[mixed], NoiseFloor::NONE, Better::Smaller)[0];
        assert_eq!(judged.verdict, Verdict::NoDifference);
        assert!(judged.corrected > 0.5, "{judged:?}");
        let few = Comparison::of(&[1.0; 3], &[9.0; 3], 1);
        assert_eq!(judge(&[few], NoiseFloor::NONE, Better::Smaller)[0].verdict, Verdict::TooFew);
        let none = Comparison::of(&[], &[], 1);
        assert_eq!(judge(&[none], NoiseFloor::NONE, Better::Smaller)[0].verdict, Verdict::TooFew);
    }
}
