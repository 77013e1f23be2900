//! The retry budget never lets more than its share through, in any interval.

use std::time::Duration;

use policy::{
    Instant,
    quantity::TimeSpan,
    retry::{RetryBudget, RetryConfig},
};
use proptest::{collection::vec, prelude::*};

/// What happened, with its moment in seconds.
struct History {
    requests: Vec<f64>,
    granted: Vec<f64>,
}

fn play(config: &RetryConfig, workers: u32, steps: &[(u64, u8, u8)]) -> History {
    let mut now = Instant::START;
    let mut budget = RetryBudget::new(config, workers, now);
    let mut history = History { requests: vec![], granted: vec![] };
    for &(pause, requests, retries) in steps {
        now += Duration::from_millis(pause);
        for _ in 0..requests {
            budget.on_request(now);
            history.requests.push(now.as_secs_f64());
        }
        for _ in 0..retries {
            if budget.try_retry(now) {
                history.granted.push(now.as_secs_f64());
            }
        }
    }
    history
}

proptest! {
    #[test]
    fn granted_retries_stay_within_the_budget(
        share in 0.0..1.0_f64, floor in 0.0..10.0_f64, window in 1_u64..20, workers in 1_u32..9,
        steps in vec((0_u64..4000, 0_u8..12, 0_u8..12), 1..40),
    ) {
        let config = RetryConfig {
            budget: share, min_per_second: floor, window: TimeSpan::secs(window), ..RetryConfig::default()
        };
        let History { requests, granted } = play(&config, workers, &steps);
        let (window, floor) = (window as f64, floor / f64::from(workers));
        let saved = (floor * window).max(if floor > 0.0 { 1.0 } else { 0.0 });
        // The intervals that could be worst begin and end with a granted retry.
        for (i, &from) in granted.iter().enumerate() {
            let before = requests.partition_point(|&at| at < from - window);
            for (j, &to) in granted.iter().enumerate().skip(i) {
                let recent = requests.partition_point(|&at| at <= to) - before;
                let allowed = share * recent as f64 + floor * (to - from) + saved;
                prop_assert!((j - i + 1) as f64 <= allowed + 1e-6, "{}..{}: {} of {}", from, to, j - i + 1, allowed);
            }
        }
        // Over the whole run without the window's requests before it, as there are none.
        let end = steps.iter().map(|step| step.0).sum::<u64>() as f64 / 1e3;
        let allowed = share * requests.len() as f64 + floor * (end + window);
        prop_assert!(granted.len() as f64 <= allowed + 1e-6);
    }
}

#[test]
fn what_is_asked_for_within_the_share_is_granted() {
    let config = RetryConfig { min_per_second: 0.0, ..RetryConfig::default() };
    // 1,000 a second, every fifth retried: all granted, up to the one token that rounding may cost.
    let steps: Vec<_> = (0..600).map(|_| (5, 5, 1)).collect();
    assert!(play(&config, 1, &steps).granted.len() >= 598);
    // Twice as many: half.
    let steps: Vec<_> = (0..600).map(|_| (5, 5, 2)).collect();
    let granted = play(&config, 1, &steps).granted.len();
    assert!((598..=600).contains(&granted), "{granted}");
}

#[test]
fn the_floor_lets_little_traffic_retry_and_is_shared_by_the_workers() {
    let config = RetryConfig::default();
    let steps: Vec<_> = (0..100).map(|_| (1000, 0, 10)).collect();
    // What 10 s saved up, and 3 for each of the 99 s after the first retries; a sixth of it for each of six workers.
    assert_eq!(play(&config, 1, &steps).granted.len(), 30 + 297);
    assert_eq!(play(&config, 6, &steps).granted.len(), 5 + 49);
    // 64 workers have less than one token in 10 s each; they may save one up.
    assert_eq!(play(&config, 64, &steps).granted.len(), 5);
}

#[test]
fn deposits_are_void_after_the_window() {
    let config = RetryConfig { min_per_second: 0.0, ..RetryConfig::default() };
    assert_eq!(play(&config, 1, &[(0, 50, 0), (8_900, 0, 20)]).granted.len(), 9);
    assert_eq!(play(&config, 1, &[(0, 50, 0), (10_000, 0, 20)]).granted.len(), 0);
    let none = RetryConfig { budget: 0.0, min_per_second: 0.0, ..RetryConfig::default() };
    assert_eq!(play(&none, 1, &[(0, 50, 20), (1_000, 0, 20)]).granted.len(), 0);
}
