//! Is it chance? The exact paired permutation test, by sign flips.
//!
//! Fisher 1935 (*The Design of Experiments*, section 21): were both variants the same, then in each pair either could as
//! well have been the other, and the logarithm of the ratio would have its sign by the toss of a coin. So all 2^n ways to
//! toss are gone through, and p is the share of them whose sum is at least as far from zero as the one that was seen.
//! Nothing is assumed about the shape of the values, and p is exact for as few as six pairs.
//!
//! Beyond [`EXACT`] pairs the tosses are sampled; the one that was seen counts as one of them, so that p is never zero
//! and the test stays valid (Phipson and Smyth 2010).

use super::{median::middle, random::SplitMix64};

/// With so many pairs or fewer, every way to toss is gone through.
pub const EXACT: usize = 20;

/// Beyond that, so many are sampled.
pub const SAMPLES: u32 = 100_000;

/// The two-sided p of the hypothesis that `effects` (the logarithms of paired ratios, or differences) are as likely to be
/// the other way round; 1 if there is none. `seed` is used beyond [`EXACT`] pairs only.
pub fn sign_flip_p(effects: &[f64], seed: u64) -> f64 {
    let mut sizes: Vec<f64> = effects.iter().map(|effect| effect.abs()).collect();
    // Sorted, so that rounding does not depend on the order of the pairs.
    sizes.sort_by(f64::total_cmp);
    let mut signed = effects.to_vec();
    signed.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let seen = signed.iter().sum::<f64>().abs();
    // Sums that are equal but for rounding are equal.
    let seen = seen - 1e-9 * sizes.iter().sum::<f64>();
    if middle(&sizes).is_none() || seen <= 0.0 {
        return 1.0;
    }
    let n = sizes.len();
    if n <= EXACT {
        // One and its mirror image are equally far: half of them will do.
        let half = 1_u32 << (n - 1);
        let extreme = gray_sums(&sizes).filter(|sum| sum.abs() >= seen).count();
        return extreme as f64 / f64::from(half);
    }
    let mut random = SplitMix64::new(seed);
    let extreme = (0..SAMPLES).filter(|_| toss(&sizes, &mut random).abs() >= seen).count();
    (extreme + 1) as f64 / f64::from(SAMPLES + 1)
}

/// The sums for all ways to sign `sizes` in which the last keeps its own: in the order of the Gray code, where neighbours
/// differ in one sign, so that each costs one addition.
fn gray_sums(sizes: &[f64]) -> impl Iterator<Item = f64> {
    let free = sizes.len() - 1;
    let mut sum: f64 = sizes.iter().sum();
    let mut negative = 0_u32;
    (0..1_u32 << free).map(move |step| {
        if step > 0 {
            let place = step.trailing_zeros();
            negative ^= 1 << place;
            let twice = 2.0 * sizes[place as usize];
            sum += if negative >> place & 1 == 1 { -twice } else { twice };
        }
        sum
    })
}

/// The sum with every sign tossed.
fn toss(sizes: &[f64], random: &mut SplitMix64) -> f64 {
    sizes
        .chunks(64)
        .map(|chunk| {
            let coins = random.next_u64();
            let signed = |(place, size): (usize, &f64)| {
                if coins >> place & 1 == 1 { -size } else { *size }
            };
            chunk.iter().enumerate().map(signed).sum::<f64>()
        })
        .sum()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    /// Every sign of every value, one after the other.
    fn brute_force(effects: &[f64]) -> f64 {
        let seen = effects.iter().sum::<f64>().abs();
        let all = 1_u32 << effects.len();
        let extreme = (0..all).filter(|signs| {
            let signed = effects
                .iter()
                .enumerate()
                .map(|(place, effect)| if signs >> place & 1 == 1 { -effect } else { *effect });
            signed.sum::<f64>().abs() >= seen - 1e-9
        });
        extreme.count() as f64 / f64::from(all)
    }

    #[test]
    fn it_is_what_brute_force_finds() {
        let mut random = SplitMix64::new(3);
        for n in 1..=10 {
            for _ in 0..30 {
                // Whole numbers, so that ties are frequent and exact.
                let effects: Vec<f64> = (0..n).map(|_| random.below(9) as f64 - 3.0).collect();
                assert_eq!(sign_flip_p(&effects, 0), brute_force(&effects), "{effects:?}");
            }
        }
    }

    #[test]
    fn ten_pairs_that_agree_give_the_smallest_p_there_is() {
        assert_eq!(sign_flip_p(&[0.1; 10], 0), 2.0 / 1024.0);
        assert_eq!(sign_flip_p(&[0.1, -0.1], 0), 1.0);
        assert_eq!(sign_flip_p(&[0.0; 10], 0), 1.0);
        assert_eq!(sign_flip_p(&[], 0), 1.0);
    }

    #[test]
    fn sampled_and_exact_agree() {
        // Twenty pairs exactly, and the same with a twenty-first that weighs nothing.
        let mut effects: Vec<f64> = (0..20).map(|i| f64::from(i % 7) - 2.4).collect();
        let exact = sign_flip_p(&effects, 0);
        effects.push(0.0);
        let sampled = sign_flip_p(&effects, 1);
        // Five standard deviations of a share of 100,000 are at most 0.008.
        assert!((exact - sampled).abs() < 0.008, "{exact} {sampled}");
        assert!((0.05..0.95).contains(&exact), "{exact} tells little");
        assert_eq!(sign_flip_p(&[1.0; 40], 1), 1.0 / f64::from(SAMPLES + 1));
    }
}
