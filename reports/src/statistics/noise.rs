//! The noise floor: how far apart the same thing is from itself.
//!
//! A variant is run against itself with other seeds (A/A runs). Whatever difference shows there is luck of the draw, and a
//! difference between two variants that is no larger is not worth a word, however certain it is: with common random
//! numbers a test finds differences of a tenth of a percent.
//!
//! What is judged is the median of n ratios; so the floor is about medians of n ratios too: from the A/A ratios n are
//! drawn with replacement, each turned round by the toss of a coin (which of two equal runs is divided by which is
//! arbitrary), and the floor is the size that 95 % of such medians stay below. A/A pairs do not share their requests, and
//! pairs of a comparison do: the floor errs on the side of silence.

use super::{random::SplitMix64, ratio};

/// So many medians.
const RESAMPLES: usize = 4_000;

/// How far a median ratio is from 1 by luck alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseFloor {
    /// 1 or larger: 95 % of A/A medians lie between one over it and it.
    factor: f64,
}

impl NoiseFloor {
    /// No noise at all: every difference is beyond it.
    pub const NONE: Self = Self { factor: 1.0 };

    /// From the ratios of A/A runs, for medians of so many ratios as they are; `None` if there are fewer than two.
    pub fn of(ratios: &[f64], seed: u64) -> Option<Self> {
        if ratios.len() < 2 {
            return None;
        }
        let mut sorted = ratios.to_vec();
        sorted.sort_by(f64::total_cmp);
        let mut random = SplitMix64::new(seed);
        let mut drawn = vec![0.0; sorted.len()];
        let mut sizes: Vec<f64> = (0..RESAMPLES)
            .filter_map(|_| {
                drawn.fill_with(|| {
                    let ratio = sorted[random.below(sorted.len())];
                    if random.below(2) == 0 { ratio } else { 1.0 / ratio }
                });
                drawn.sort_by(f64::total_cmp);
                ratio::of_sorted(&drawn).map(|median| median.max(1.0 / median))
            })
            .collect();
        sizes.sort_by(f64::total_cmp);
        Some(Self { factor: *sizes.get(RESAMPLES - 1 - RESAMPLES / 20)? })
    }

    /// At least this: `percent` 2.0 makes every difference below 2 % one that is not worth a word.
    pub fn at_least(self, percent: f64) -> Self {
        Self { factor: self.factor.max(1.0 + percent / 100.0) }
    }

    /// How far above 1 an A/A median comes, in percent.
    pub fn percent(self) -> f64 {
        (self.factor - 1.0) * 100.0
    }

    /// Whether a median ratio is farther from 1 than the floor.
    pub fn is_below(self, ratio: f64) -> bool {
        ratio.max(1.0 / ratio) > self.factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_the_noise_and_shrinks_with_the_pairs() {
        let quiet = NoiseFloor::of(&[1.01, 0.99, 1.0, 1.02, 0.98, 1.0], 1).expect("six");
        let loud = NoiseFloor::of(&[1.5, 0.6, 1.0, 2.0, 0.7, 1.1], 1).expect("six");
        assert!(quiet.percent() < 3.0 && loud.percent() > 20.0, "{quiet:?} {loud:?}");
        let many: Vec<f64> = [1.5, 0.6, 1.0, 2.0, 0.7, 1.1].repeat(8);
        assert!(NoiseFloor::of(&many, 1).expect("many").percent() < loud.percent());
        assert_eq!(NoiseFloor::of(&[1.0; 6], 1), Some(NoiseFloor::NONE));
        assert_eq!(NoiseFloor::of(&[1.0], 1), None);
    }

    #[test]
    fn twice_and_half_are_equally_far() {
        let floor = NoiseFloor::NONE.at_least(10.0);
        assert!(floor.is_below(1.2) && floor.is_below(1.0 / 1.2));
        assert!(!floor.is_below(1.05) && !floor.is_below(1.0 / 1.05));
    }
}
