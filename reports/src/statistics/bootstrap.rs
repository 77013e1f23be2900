//! The interval of a median ratio: the percentile bootstrap.
//!
//! Efron 1979: draw as many pairs as there are, with replacement, take the median, and do so [`RESAMPLES`] times; the
//! middle 95 % of those medians are the interval.
//!
//! Why not BCa, the usual improvement (Efron 1987)? Its acceleration comes from the jackknife, and the jackknife is
//! inconsistent for a median (Efron and Tibshirani, *An Introduction to the Bootstrap*, section 11.6): leaving out one of
//! ten values moves the median to one of two places, whatever the shape of the rest. The percentile method needs no
//! such thing and is invariant under the logarithm: the interval of the ratio is that of its logarithm, carried back. Its
//! price: with few pairs it can only end on values that were seen, or between two of them. Measured in the tests: with
//! ten to thirty pairs it covers the truth in 93 to 95 % of tries, for symmetric and for skewed ratios alike: a little less
//! than it says. What is called a difference does not hang on it: that is the permutation test's matter, which is exact.

use super::{random::SplitMix64, ratio};

/// So many resamples: the ends of an interval then move by less than the gap between neighbouring samples.
pub const RESAMPLES: usize = 4_000;

/// An interval that holds the truth in 95 % of cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies in it.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// The 95 % interval of the median of `ratios`, which are positive; `None` if there are fewer than two.
///
/// The same ratios in any order and the same `seed` give the same interval.
pub fn median_ratio_interval(ratios: &[f64], seed: u64) -> Option<Interval> {
    if ratios.len() < 2 {
        return None;
    }
    let mut sorted = ratios.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut random = SplitMix64::new(seed);
    let mut places = vec![0_usize; sorted.len()];
    let mut drawn = vec![0.0; sorted.len()];
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            // Places sort faster than values, and in the same order.
            places.fill_with(|| random.below(sorted.len()));
            places.sort_unstable();
            for (value, place) in drawn.iter_mut().zip(&places) {
                *value = sorted[*place];
            }
            ratio::of_sorted(&drawn)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    let beyond = RESAMPLES / 40;
    Some(Interval { low: *medians.get(beyond)?, high: *medians.get(medians.len() - 1 - beyond)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_samples_agree_with_every_resample_there_is() {
        // 5^5 resamples of five values, all of them.
        let ratios: [f64; 5] = [0.8, 0.9, 1.1, 1.3, 2.0];
        let mut all = Vec::new();
        for number in 0..5_usize.pow(5) {
            let mut drawn: Vec<f64> =
                (0..5).map(|digit| ratios[number / 5_usize.pow(digit) % 5]).collect();
            drawn.sort_by(f64::total_cmp);
            all.push(drawn[2]);
        }
        all.sort_by(f64::total_cmp);
        let cut = all.len() / 40;
        let exact = Interval { low: all[cut], high: all[all.len() - 1 - cut] };
        assert_eq!(median_ratio_interval(&ratios, 1), Some(exact));
    }

    #[test]
    fn order_does_not_matter_and_one_pair_has_no_interval() {
        let there = median_ratio_interval(&[1.0, 1.2, 0.7, 3.0], 5);
        assert_eq!(there, median_ratio_interval(&[3.0, 0.7, 1.2, 1.0], 5));
        assert_eq!(median_ratio_interval(&[1.0], 5), None);
    }
}
