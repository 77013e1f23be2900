//! The statistics on data of which the truth is known.
//!
//! Bounds are binomial: of N tries with a chance of p, the share found lies within 4 √(p (1 − p) / N) of p but for one
//! time in 16,000. Everything is seeded, so that what passes once passes always.

use reports::statistics::{
    Better, Comparison, NoiseFloor, Verdict, judge, median_ratio_interval, paired_ratios,
    random::SplitMix64,
};

/// In (0, 1).
fn uniform(random: &mut SplitMix64) -> f64 {
    ((random.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// A normal variate, of Box and Muller.
fn normal(random: &mut SplitMix64) -> f64 {
    let (u, v) = (uniform(random), uniform(random));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Within four standard deviations of a binomial share.
fn tolerance(p: f64, tries: u32) -> f64 {
    4.0 * (p * (1.0 - p) / f64::from(tries)).sqrt()
}

/// In what share of tries the interval holds `truth`.
fn coverage(
    pairs: usize,
    tries: u32,
    truth: f64,
    mut draw: impl FnMut(&mut SplitMix64) -> f64,
) -> f64 {
    let mut random = SplitMix64::new(11);
    let held = (0..tries).filter(|seed| {
        let ratios: Vec<f64> = (0..pairs).map(|_| draw(&mut random)).collect();
        let interval = median_ratio_interval(&ratios, u64::from(*seed)).expect("several pairs");
        interval.contains(truth)
    });
    held.count() as f64 / f64::from(tries)
}

#[test]
fn the_interval_holds_the_truth_as_often_as_it_says() {
    const TRIES: u32 = 500;
    for pairs in [10, 15] {
        let symmetric = coverage(pairs, TRIES, 1.2, |random| 1.2 * (0.3 * normal(random)).exp());
        // The logarithm is exponential: its median is ln 2, and its tail is long on one side.
        let skewed = coverage(pairs, TRIES, 2.0, |random| 1.0 / uniform(random));
        for found in [symmetric, skewed] {
            assert!((found - 0.95).abs() <= tolerance(0.95, TRIES), "{pairs} pairs: {found}");
        }
    }
}

/// One A/A comparison of so many variants at once: figures that differ by luck alone, which pairs share by half.
fn same_against_same(variants: usize, pairs: usize, random: &mut SplitMix64) -> Vec<Verdict> {
    let mut figures = |shared: &[f64]| -> Vec<f64> {
        shared.iter().map(|luck| (0.1 * (luck + normal(random))).exp()).collect()
    };
    let zeros = vec![0.0; pairs];
    let shared = figures(&zeros);
    let baseline = figures(&shared);
    let again = figures(&zeros);
    let family: Vec<Comparison> = (0..variants)
        .map(|variant| Comparison::of(&baseline, &figures(&shared), variant as u64))
        .collect();
    let floor = NoiseFloor::of(&paired_ratios(&baseline, &again), 1).expect("several pairs");
    judge(&family, floor, Better::Smaller).iter().map(|judged| judged.verdict).collect()
}

#[test]
fn the_same_against_itself_is_called_different_in_at_most_five_percent() {
    const TRIES: usize = 200;
    for variants in [1, 8] {
        let mut random = SplitMix64::new(5);
        let called = (0..TRIES).filter(|_| {
            let verdicts = same_against_same(variants, 10, &mut random);
            assert!(!verdicts.contains(&Verdict::TooFew));
            verdicts.iter().any(|verdict| *verdict != Verdict::NoDifference)
        });
        let called = called.count();
        assert!(called * 20 <= TRIES, "{variants} variants: {called} of {TRIES}");
    }
}

#[test]
fn without_a_floor_the_test_alone_keeps_its_five_percent() {
    const TRIES: u32 = 1_000;
    let mut random = SplitMix64::new(6);
    let called = (0..TRIES).filter(|_| {
        let ratios: Vec<f64> = (0..10).map(|_| (0.2 * normal(&mut random)).exp()).collect();
        let family = [Comparison::of_ratios(&ratios, 1)];
        judge(&family, NoiseFloor::NONE, Better::Smaller)[0].verdict != Verdict::NoDifference
    });
    let share = f64::from(u32::try_from(called.count()).expect("few")) / f64::from(TRIES);
    // An exact test has its alpha exactly, but for the steps of 2/1024: from 48/1024 to 51.2/1024 nothing changes.
    assert!((share - 0.05).abs() <= tolerance(0.05, TRIES), "{share}");
}

#[test]
fn a_true_difference_is_found() {
    let mut random = SplitMix64::new(9);
    let found = (0..200).filter(|_| {
        let shared: Vec<f64> = (0..10).map(|_| normal(&mut random)).collect();
        let mut figures = |factor: f64| -> Vec<f64> {
            shared
                .iter()
                .map(|luck| factor * (0.1 * luck + 0.03 * normal(&mut random)).exp())
                .collect()
        };
        let (baseline, faster) = (figures(1.0), figures(0.8));
        let family = vec![Comparison::of(&baseline, &faster, 1); 16];
        let floor = NoiseFloor::NONE.at_least(5.0);
        judge(&family, floor, Better::Smaller)[0].verdict == Verdict::Better
    });
    assert!(found.count() >= 195);
}
