//! Keys whose popularity falls as a power: Zipf's law.
//!
//! Exact, by inverting a table of the cumulative distribution. A guide table (Chen and Asau 1974) says for each of n even
//! slices of the unit interval where to start looking, so that a draw takes one uniform number and about two
//! comparisons however many keys there are. And because it is an inversion, one uniform number gives nearly the
//! same rank under a slightly different exponent: two schedules that differ in it stay comparable.

use policy::Rng;

/// A Zipf distribution over the ranks 1 to n.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// The probability of a rank up to this one.
    cumulative: Box<[f64]>,
    /// For each slice of the unit interval, the first rank (from 0) that may be meant.
    guide: Box<[u32]>,
}

impl Zipf {
    /// Over `n` ranks (at least 1 is taken), with exponent `s`.
    pub fn new(n: u64, s: f64) -> Self {
        let n = n.clamp(1, crate::config::MAX_KEYS) as usize;
        let mut sum = 0.0;
        let mut cumulative: Box<[f64]> = (1..=n)
            .map(|rank| {
                sum += libm::pow(rank as f64, -s);
                sum
            })
            .collect();
        for value in &mut cumulative {
            *value /= sum;
        }
        let mut rank = 0;
        let guide = (0..n)
            .map(|slice| {
                let low = slice as f64 / n as f64;
                while rank + 1 < n && cumulative[rank] <= low {
                    rank += 1;
                }
                rank as u32
            })
            .collect();
        Self { cumulative, guide }
    }

    /// Draws a rank.
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        let u = rng.unit();
        let n = self.cumulative.len();
        let slice = ((u * n as f64) as usize).min(n - 1);
        let mut rank = self.guide[slice] as usize;
        // Rounding may have put the start one slice too far.
        while rank > 0 && u < self.cumulative[rank - 1] {
            rank -= 1;
        }
        while rank + 1 < n && u >= self.cumulative[rank] {
            rank += 1;
        }
        rank as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Seed;
    use proptest::prelude::*;

    #[test]
    fn draws_follow_the_law() {
        const DRAWS: usize = 1_000_000;
        for (n, s) in [(1000_u32, 1.1), (50, 0.0), (200, 2.0)] {
            let zipf = Zipf::new(u64::from(n), s);
            let mut rng = Seed(17).rng();
            let mut counts = vec![0_u64; n as usize];
            for _ in 0..DRAWS {
                counts[zipf.draw(&mut rng) as usize - 1] += 1;
            }
            let weight = |rank: usize| (rank as f64).powf(-s);
            let total: f64 = (1..=n as usize).map(weight).sum();
            // Pearson's chi-square over cells of at least 20 expected draws each; rare ranks share a cell.
            let (mut statistic, mut cells) = (0.0, 0_u32);
            let (mut expected, mut seen) = (0.0, 0.0);
            for (index, count) in counts.iter().enumerate() {
                expected += DRAWS as f64 * weight(index + 1) / total;
                seen += *count as f64;
                if expected >= 20.0 || index + 1 == counts.len() {
                    statistic += (seen - expected).powi(2) / expected;
                    cells += 1;
                    (expected, seen) = (0.0, 0.0);
                }
            }
            // Mean k and variance 2k for k degrees of freedom: five standard deviations.
            let freedom = f64::from(cells - 1);
            assert!(
                (statistic - freedom).abs() < 5.0 * (2.0 * freedom).sqrt(),
                "n {n}, s {s}: chi-square {statistic} for {freedom} degrees of freedom"
            );
        }
    }

    proptest! {
        #[test]
        fn ranks_are_in_range_and_the_guide_changes_nothing(n in 1_u64..400, s in 0.0_f64..10.0, seed: u64) {
            let zipf = Zipf::new(n, s);
            let mut rng = Seed(seed).rng();
            for _ in 0..50 {
                let u = rng.clone().unit();
                let rank = zipf.draw(&mut rng);
                prop_assert!((1..=n).contains(&rank));
                let plain = zipf.cumulative.partition_point(|value| *value <= u) as u64;
                prop_assert_eq!(rank, plain.min(n - 1) + 1);
            }
        }
    }
}
