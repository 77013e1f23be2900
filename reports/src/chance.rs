//! How far apart two runs of the same thing come by chance alone.
//!
//! Of n requests of which each ends ok with probability p, a share is off by a standard error of √(p (1 − p) / n), and the
//! shares of two runs are apart by √(p (1 − p) (1/n₁ + 1/n₂)), p being that of both together (the two-sample test of
//! proportions; Agresti, *Categorical Data Analysis*, section 3.1). What a share can do the q-quantile can too, since it is the time
//! below which a share of q lies: its sample lies where the ranks n q ± z √(n q (1 − q)) of the truth are, whatever the shape
//! (distribution-free intervals from order statistics; David and Nagaraja, *Order Statistics*, section 7.1).
//!
//! We allow [`DEVIATIONS`] standard errors. Two would be passed by one figure in twenty, and a table has a dozen; and requests that
//! share a queue are not independent, so that the truth is somewhat wider than the formula. Runs of many requests are held
//! as narrowly as before: at 100,000 requests three errors of a share of one half are 0.7 points.

use crate::record::Distribution;

/// So many standard errors are chance.
pub const DEVIATIONS: f64 = 3.0;

/// How far apart the shares of two runs may be by chance: `shares` and `requests` of both. Zero where all or none is ok.
pub fn of_shares(shares: (f64, f64), requests: (f64, f64)) -> f64 {
    let total = requests.0 + requests.1;
    if requests.0 <= 0.0 || requests.1 <= 0.0 {
        return 0.0;
    }
    let pooled = (shares.0 * requests.0 + shares.1 * requests.1) / total;
    DEVIATIONS * error(pooled, requests)
}

/// Between which times, in milliseconds, the quantile of another run with `requests` timed ones may lie by chance.
pub fn of_quantile(reference: &Distribution, quantile: f64, requests: u64) -> Option<(f64, f64)> {
    if reference.is_empty() || requests == 0 {
        return None;
    }
    let off = DEVIATIONS * error(quantile, (reference.count() as f64, requests as f64));
    let at = |quantile: f64| reference.any_quantile_ms(quantile.clamp(0.0, 1.0));
    Some((at(quantile - off), at(quantile + off)))
}

fn error(share: f64, requests: (f64, f64)) -> f64 {
    (share * (1.0 - share)).max(0.0).sqrt() * (1.0 / requests.0 + 1.0 / requests.1).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::random::SplitMix64;

    #[test]
    fn by_hand() {
        // √(0.25 × 2 / 5000) = 0.01.
        assert!((of_shares((0.5, 0.5), (5000.0, 5000.0)) - 0.03).abs() < 1e-12);
        assert!(of_shares((1.0, 1.0), (10.0, 10.0)).abs() < 1e-12);
        assert!(of_shares((0.5, 0.5), (0.0, 10.0)).abs() < 1e-12);
        // The smaller of two runs decides.
        let small = of_shares((0.5, 0.5), (100.0, 1e9));
        assert!((small - 0.15).abs() < 1e-4, "{small}");
    }

    fn uniform(random: &mut SplitMix64) -> f64 {
        (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Exponential times, as of one run.
    fn run(random: &mut SplitMix64, requests: usize) -> Distribution {
        let mut times = Distribution::new();
        for _ in 0..requests {
            times.record((-20e6 * (1.0 - uniform(random)).ln()) as u64);
        }
        times
    }

    #[test]
    fn two_runs_of_the_same_are_seldom_farther_apart() {
        let mut random = SplitMix64::new(11);
        let (mut shares, mut p99s) = (0, 0);
        for _ in 0..400 {
            let mut ok = || (0..500).filter(|_| uniform(&mut random) < 0.7).count() as f64 / 500.0;
            let (a, b) = (ok(), ok());
            shares += usize::from((a - b).abs() > of_shares((a, b), (500.0, 500.0)));
            let (a, b) = (run(&mut random, 2_000), run(&mut random, 1_500));
            let (low, high) = of_quantile(&a, 0.99, b.count()).expect("not empty");
            p99s += usize::from(!(low..=high).contains(&b.any_quantile_ms(0.99)));
        }
        // Three standard errors: 0.27 % of 400 is one.
        assert!(shares <= 5 && p99s <= 5, "{shares} {p99s}");
    }

    #[test]
    fn what_differs_is_no_chance() {
        let mut random = SplitMix64::new(5);
        let reference = run(&mut random, 20_000);
        let (low, high) = of_quantile(&reference, 0.99, 20_000).expect("not empty");
        // The 99th percentile of an exponential is 4.605 means.
        assert!(low < 92.1 && 92.1 < high && high < 1.2 * low, "{low} {high}");
        assert_eq!(of_quantile(&Distribution::new(), 0.99, 10), None);
    }
}
