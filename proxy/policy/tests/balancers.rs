//! What holds for every strategy: whom it may pick, and that everything that begins also ends.

mod common;

use common::{Worker, limited, strategies, weighted};
use policy::{
    Instant, Outcome, Transition,
    balance::{Strategy as Balance, p2c},
    outlier::{self, OutlierConfig},
};
use proptest::{collection::vec, prelude::*};

proptest! {
    #[test]
    fn no_balancer_picks_who_is_out_tried_or_full_while_another_is_ready(
        list in vec((1_u32..10, 1_u32..4, 0_u8..6, 0_u32..5), 1..14),
        tried in vec(0_u32..14, 0..4),
        seed: u64,
    ) {
        let endpoints = limited(&list.iter().map(|e| (e.0, e.1)).collect::<Vec<_>>());
        let config = OutlierConfig { consecutive_failures: 1, max_ejected_share: 1.0, ..OutlierConfig::default() };
        for (index, (_, _, state, busy)) in (0..).zip(&list) {
            match state {
                0 => endpoints.set_up(index, Transition::Down),
                1 => endpoints.set_draining(index),
                2 => {
                    outlier::on_result(&config, &endpoints, index, Instant::START, Outcome::Failure);
                }
                _ => {}
            }
            for _ in 0..*busy {
                let _ = endpoints.list()[index as usize].try_begin();
            }
        }
        let allowed = |index: u32| {
            let endpoint = &endpoints.list()[index as usize];
            endpoint.is_ready() && !endpoint.is_full() && !tried.contains(&index)
        };
        let any = (0..list.len() as u32).any(allowed);
        for strategy in strategies() {
            let mut worker = Worker::new(&strategy, 0.0, seed);
            for _ in 0..20 {
                let picked = worker.pick(&endpoints, &tried);
                prop_assert_eq!(picked.is_some(), any, "{}", strategy.name());
                prop_assert!(picked.is_none_or(allowed), "{} picks {:?}", strategy.name(), picked);
            }
        }
    }

    #[test]
    fn in_flight_counts_return_to_zero_after_any_interleaving(
        list in vec((1_u32..10, 1_u32..4), 1..8),
        steps in vec((any::<bool>(), 0_usize..64, 0_u32..8), 0..200),
        seed: u64,
    ) {
        let endpoints = limited(&list);
        for strategy in strategies() {
            let mut worker = Worker::new(&strategy, 0.5, seed);
            let mut running = Vec::new();
            for (begin, place, index) in &steps {
                let now = Instant::START;
                if *begin {
                    if let Some(index) = worker.pick(&endpoints, &[]) {
                        prop_assert!(endpoints.list()[index as usize].try_begin(), "picked a full one");
                        worker.balancer.on_start(index, now);
                        running.push(index);
                    }
                } else if !running.is_empty() {
                    let index = running.swap_remove(place % running.len());
                    endpoints.list()[index as usize].end();
                    worker.balancer.on_end(index, now, std::time::Duration::ZERO, Outcome::Cancelled);
                } else {
                    let index = index % list.len() as u32;
                    let up = endpoints.list()[index as usize].is_up();
                    endpoints.set_up(index, if up { Transition::Down } else { Transition::Up });
                }
            }
            for index in running {
                endpoints.list()[index as usize].end();
            }
            prop_assert!(endpoints.list().iter().all(|e| e.in_flight() == 0));
            prop_assert!(list.iter().zip(endpoints.list()).all(|(e, got)| got.max_in_flight == e.1));
        }
    }

    #[test]
    fn random_draws_in_proportion_to_the_weights(weights in vec(1_u32..50, 1..10), full in 0_usize..20, seed: u64) {
        const DRAWS: u32 = 20_000;
        let limits: Vec<_> = weights.iter().map(|&w| (w, 1)).collect();
        let endpoints = limited(&limits);
        // Often one of them is full: the others keep their proportions.
        if weights.len() > 1 && full < weights.len() {
            prop_assert!(endpoints.list()[full].try_begin());
        }
        let total: u32 = weights.iter().zip(endpoints.list()).filter(|(_, e)| !e.is_full()).map(|(w, _)| w).sum();
        let mut worker = Worker::new(&Balance::named("random").expect("registered"), 0.5, seed);
        let mut counts = vec![0_u32; weights.len()];
        for pick in worker.picks(&endpoints, DRAWS as usize) {
            counts[pick as usize] += 1;
        }
        for (index, &count) in counts.iter().enumerate() {
            let full = endpoints.list()[index].is_full();
            let p = if full { 0.0 } else { f64::from(weights[index]) / f64::from(total) };
            // Six standard deviations of a binomial and one: once in 10⁸ draws of such a test.
            let bound = 6.0 * (f64::from(DRAWS) * p * (1.0 - p)).sqrt() + 1.0;
            prop_assert!((f64::from(count) - f64::from(DRAWS) * p).abs() < bound, "{:?} for {:?}", counts, weights);
        }
    }

    #[test]
    fn least_connections_takes_a_least_loaded_one(list in vec((1_u32..10, 0_u32..20), 1..12), seed: u64) {
        let endpoints = weighted(&list.iter().map(|e| e.0).collect::<Vec<_>>());
        for (endpoint, (_, busy)) in endpoints.list().iter().zip(&list) {
            (0..*busy).for_each(|_| assert!(endpoint.try_begin()));
        }
        let mut worker = Worker::new(&Balance::named("least_connections").expect("registered"), 0.5, seed);
        let load = |i: usize| f64::from(list[i].1 + 1) / f64::from(list[i].0);
        let picked = worker.pick(&endpoints, &[]).expect("all are ready") as usize;
        prop_assert!((0..list.len()).all(|i| load(picked) <= load(i) + 1e-9));
    }
}

#[test]
fn least_connections_breaks_ties_evenly() {
    let endpoints = weighted(&[1; 4]);
    assert!(endpoints.list()[1].try_begin());
    let mut worker = Worker::new(&Balance::named("least_connections").expect("registered"), 0.5, 5);
    let mut counts = [0_u32; 4];
    for pick in worker.picks(&endpoints, 30_000) {
        counts[pick as usize] += 1;
    }
    assert_eq!(counts[1], 0);
    // 10,000 each, standard deviation 82: five of them.
    assert!([0, 2, 3].iter().all(|&i| counts[i].abs_diff(10_000) < 410), "{counts:?}");
}

/// Among n endpoints of which one is busy, distinct pairs never take the busy one, and pairs with
/// replacement take it exactly when it is drawn twice: 1/n².
#[test]
fn with_replacement_an_endpoint_may_be_compared_with_itself_and_by_default_not() {
    const DRAWS: u32 = 100_000;
    let endpoints = weighted(&[1; 5]);
    assert!(endpoints.list()[3].try_begin());
    for (replacement, expected) in [(false, 0.0), (true, 1.0 / 25.0)] {
        let strategy =
            Balance::P2c(p2c::Config { choices: 2, replacement, ..p2c::Config::default() });
        let mut worker = Worker::new(&strategy, 0.5, 9);
        let picks = worker.picks(&endpoints, DRAWS as usize);
        let busy = picks.iter().filter(|&&pick| pick == 3).count() as f64;
        let bound = 5.0 * (f64::from(DRAWS) * expected * (1.0 - expected)).sqrt();
        assert!((busy - f64::from(DRAWS) * expected).abs() <= bound, "{replacement}: {busy}");
    }
}

/// Where no request ever ends, loads must follow the weights: a heavy endpoint gets its share although pairs are few.
#[test]
fn p2c_gives_a_heavy_endpoint_its_share() {
    let endpoints = weighted(&[9, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    let mut worker = Worker::new(&Balance::named("p2c").expect("registered"), 0.5, 2);
    for _ in 0..1800 {
        let pick = worker.pick(&endpoints, &[]).expect("all are ready");
        assert!(endpoints.list()[pick as usize].try_begin());
    }
    let heavy = endpoints.list()[0].in_flight();
    assert!(heavy.abs_diff(900) < 45, "{heavy}");
}
