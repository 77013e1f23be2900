//! Did anything change at all? One exact test of all metrics of the same pairs of runs together.
//!
//! Were OLD and NEW the same, then in each pair either run could as well have been the other, *with all its figures at once*.
//! So the signs of a pair are flipped for all metrics together, which keeps whatever the metrics have to do with each other
//! (Westfall and Young, *Resampling-Based Multiple Testing*, 1993, chapter 2): ten figures of latency that move as one count as one question
//! and not as ten. What is looked at is the sum over the metrics of the squared sum of effects, each metric scaled by the root of
//! its sum of squares, which no flip changes. n pairs in which the metrics agree reach 2 / 2^n, as one metric alone does.
//!
//! It says that something changed, and not what: that is for the metrics one by one.

use super::{
    permutation::{EXACT, SAMPLES},
    random::SplitMix64,
};

/// The p of the hypothesis that every pair could as well be the other way round, from several metrics' effects in the same
/// pairs, a list each (0 where a pair has none); 1 if nothing differs. `seed` is used beyond [`EXACT`] pairs only.
pub fn joint_sign_flip_p(metrics: &[Vec<f64>], seed: u64) -> f64 {
    let pairs = metrics.iter().map(Vec::len).max().unwrap_or(0);
    // A list of the metrics' effects for each pair.
    let mut columns = vec![Vec::with_capacity(metrics.len()); pairs];
    for effects in metrics {
        let size = effects.iter().map(|effect| effect * effect).sum::<f64>().sqrt();
        if size > 0.0 && size.is_finite() {
            for (pair, column) in columns.iter_mut().enumerate() {
                column.push(effects.get(pair).copied().unwrap_or(0.0) / size);
            }
        }
    }
    columns.retain(|column| column.iter().any(|effect| *effect != 0.0));
    let Some(scaled) = columns.first().map(Vec::len) else { return 1.0 };
    let mut sums = vec![0.0_f64; scaled];
    for column in &columns {
        add(&mut sums, column, 1.0);
    }
    // Sums that are equal but for rounding are equal.
    let seen = squares(&sums) * (1.0 - 1e-9);
    let n = columns.len();
    if n <= EXACT {
        // One and its mirror image are equally far: half of them will do, in the order of the Gray code.
        let half = 1_u32 << (n - 1);
        let mut negative = 0_u32;
        let mut extreme = 0_u32;
        for step in 0..half {
            if step > 0 {
                let place = step.trailing_zeros();
                negative ^= 1 << place;
                let sign = if negative >> place & 1 == 1 { -2.0 } else { 2.0 };
                add(&mut sums, &columns[place as usize], sign);
            }
            extreme += u32::from(squares(&sums) >= seen);
        }
        return f64::from(extreme) / f64::from(half);
    }
    let mut random = SplitMix64::new(seed);
    let mut extreme = 0_u32;
    for _ in 0..SAMPLES {
        sums.fill(0.0);
        for column in &columns {
            add(&mut sums, column, if random.below(2) == 0 { 1.0 } else { -1.0 });
        }
        extreme += u32::from(squares(&sums) >= seen);
    }
    f64::from(extreme + 1) / f64::from(SAMPLES + 1)
}

fn add(sums: &mut [f64], column: &[f64], times: f64) {
    for (sum, effect) in sums.iter_mut().zip(column) {
        *sum += times * effect;
    }
}

fn squares(sums: &[f64]) -> f64 {
    sums.iter().map(|sum| sum * sum).sum()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;
    use crate::statistics::sign_flip_p;

    fn brute_force(metrics: &[Vec<f64>]) -> f64 {
        let n = metrics[0].len();
        let stat = |signs: u32| -> f64 {
            let of = |effects: &Vec<f64>| {
                let size: f64 = effects.iter().map(|effect| effect * effect).sum();
                let signed = effects
                    .iter()
                    .enumerate()
                    .map(|(pair, effect)| if signs >> pair & 1 == 1 { -effect } else { *effect });
                let sum: f64 = signed.sum();
                if size > 0.0 { sum * sum / size } else { 0.0 }
            };
            metrics.iter().map(of).sum()
        };
        let seen = stat(0) * (1.0 - 1e-9);
        let extreme = (0..1_u32 << n).filter(|signs| stat(*signs) >= seen).count();
        extreme as f64 / f64::from(1_u32 << n)
    }

    #[test]
    fn it_is_what_brute_force_finds() {
        let mut random = SplitMix64::new(9);
        for n in 1..=8 {
            for _ in 0..20 {
                let mut metric = || (0..n).map(|_| random.below(9) as f64 - 3.0).collect();
                let metrics: Vec<Vec<f64>> = vec![metric(), metric(), metric()];
                assert_eq!(joint_sign_flip_p(&metrics, 0), brute_force(&metrics), "{metrics:?}");
            }
        }
    }

    #[test]
    fn one_metric_alone_is_the_plain_test() {
        let effects = vec![0.3, -0.1, 0.4, 0.2, 0.5, 0.1];
        assert_eq!(joint_sign_flip_p(std::slice::from_ref(&effects), 0), sign_flip_p(&effects, 0));
    }

    #[test]
    fn metrics_that_move_as_one_are_one_question() {
        let clear = vec![0.1; 10];
        let noise = vec![0.1, -0.2, 0.1, 0.3, -0.1, -0.2, 0.1, 0.1, -0.3, 0.1];
        let together = joint_sign_flip_p(&[clear.clone(), clear.clone(), clear, noise], 0);
        assert_eq!(together, 2.0 / 1024.0);
        assert_eq!(joint_sign_flip_p(&[], 0), 1.0);
        assert_eq!(joint_sign_flip_p(&[vec![0.0; 10]], 0), 1.0);
    }

    #[test]
    fn sampled_and_exact_agree() {
        let metric = |shift: usize| -> Vec<f64> {
            (0..20).map(|pair| ((pair + shift) % 7) as f64 - 2.4).collect()
        };
        let mut metrics = vec![metric(0), metric(3)];
        let exact = joint_sign_flip_p(&metrics, 0);
        metrics[0].push(1e-12);
        let sampled = joint_sign_flip_p(&metrics, 1);
        assert!((exact - sampled).abs() < 0.008, "{exact} {sampled}");
        assert!((0.02..0.98).contains(&exact), "{exact} tells little");
    }
}
