//! What each of the younger strategies promises for itself; what holds for all of them is in `balancers.rs`.

mod common;

use std::time::Duration;

use common::{Worker, limited, weighted};
use policy::{
    Endpoints, Instant, Outcome, Transition,
    balance::{Strategy as Balance, least_request},
};
use proptest::{collection::vec, prelude::*};

fn worker(strategy: &str, seed: u64) -> Worker {
    Worker::new(&Balance::named(strategy).expect("registered"), 0.0, seed)
}

/// How often each endpoint is picked while nothing changes.
fn counts(worker: &mut Worker, endpoints: &Endpoints, picks: usize) -> Vec<f64> {
    let mut counts = vec![0.0; endpoints.list().len()];
    for pick in worker.picks(endpoints, picks) {
        counts[pick as usize] += 1.0;
    }
    counts
}

/// An answer that came at once, after so long, at `now`.
fn answered(worker: &mut Worker, endpoint: u32, now: Instant, took: Duration, how: Outcome) {
    worker.balancer.on_start(endpoint, now);
    worker.balancer.on_end(endpoint, now, took, how);
}

/// "With 2 hosts picks the worse 25 % of the time" (Envoy), and of n the busy one is picked 1/n².
#[test]
fn least_request_draws_with_replacement() {
    const PICKS: f64 = 100_000.0;
    for n in [2, 5] {
        let endpoints = weighted(&vec![3; n]);
        assert!(endpoints.list()[0].try_begin());
        let busy = counts(&mut worker("least_request", 9), &endpoints, PICKS as usize)[0];
        let p = 1.0 / (n * n) as f64;
        assert!((busy - PICKS * p).abs() < 5.0 * (PICKS * p * (1.0 - p)).sqrt(), "{n}: {busy}");
    }
}

proptest! {
    /// While loads stand still, each endpoint gets its share of weight / (in flight + 1)^bias.
    #[test]
    fn least_request_schedules_by_weight_and_load(
        list in vec((1_u32..20, 0_u32..6), 2..12), bias in prop_oneof![Just(0.0), Just(1.0), 0.1_f64..2.0], seed: u64,
    ) {
        const PICKS: usize = 3000;
        let mut list = list;
        // Different weights, whatever was drawn.
        list[0].0 = 30;
        let endpoints = weighted(&list.iter().map(|e| e.0).collect::<Vec<_>>());
        for (endpoint, (_, busy)) in endpoints.list().iter().zip(&list) {
            (0..*busy).for_each(|_| assert!(endpoint.try_begin()));
        }
        let config = least_request::Config { bias, ..least_request::Config::default() };
        let mut worker = Worker::new(&Balance::LeastRequest(config), 0.0, seed);
        let share = |i: usize| f64::from(list[i].0) / f64::from(list[i].1 + 1).powf(bias);
        let total: f64 = (0..list.len()).map(share).sum();
        let counts = counts(&mut worker, &endpoints, PICKS);
        for (i, count) in counts.iter().enumerate() {
            // Each is due in turn, so that it is off by one for itself, and by its share of what all others are off.
            let bound = 1.0 + list.len() as f64 * share(i) / total + 1e-6;
            let expected = PICKS as f64 * share(i) / total;
            prop_assert!((count - expected).abs() <= bound, "{i}: {count}, not {expected}, of {list:?}");
        }
    }

    /// With a single worker, whoever is idle and may be taken comes before anybody who is busy, and nobody is forgotten.
    #[test]
    fn an_idle_endpoint_is_joined_while_there_is_one(
        list in vec((1_u32..5, 1_u32..4), 1..10),
        steps in vec((0_u8..5, 0_usize..64, vec(0_u32..10, 0..3)), 1..200),
        seed: u64,
    ) {
        let endpoints = limited(&list);
        let mut worker = worker("join_idle_queue", seed);
        let mut running: Vec<u32> = vec![];
        for (step, place, tried) in steps {
            match step {
                0..=2 => {
                    let idle = (0..list.len() as u32).any(|i| {
                        let endpoint = &endpoints.list()[i as usize];
                        endpoint.is_ready() && endpoint.in_flight() == 0 && !tried.contains(&i)
                    });
                    if let Some(index) = worker.pick(&endpoints, &tried) {
                        let endpoint = &endpoints.list()[index as usize];
                        prop_assert!(!idle || endpoint.in_flight() == 0, "{index} is busy");
                        prop_assert!(endpoint.try_begin());
                        worker.balancer.on_start(index, Instant::START);
                        running.push(index);
                    }
                }
                3 if !running.is_empty() => {
                    let index = running.swap_remove(place % running.len());
                    endpoints.list()[index as usize].end();
                    worker.balancer.on_end(index, Instant::START, Duration::ZERO, Outcome::Success);
                }
                _ => {
                    let index = (place % list.len()) as u32;
                    let up = endpoints.list()[index as usize].is_up();
                    endpoints.set_up(index, if up { Transition::Down } else { Transition::Up });
                }
            }
        }
    }

    /// The first with room, and so: no endpoint has any request while one before it has room.
    #[test]
    fn first_fills_one_up_before_the_next(
        limits in vec(1_u32..6, 1..10), steps in vec((any::<bool>(), 0_usize..64), 1..200), seed: u64,
    ) {
        let endpoints = limited(&limits.iter().map(|&limit| (1, limit)).collect::<Vec<_>>());
        let mut worker = worker("first", seed);
        let mut running: Vec<u32> = vec![];
        for (begin, place) in steps {
            if begin {
                let expected = (0..).zip(endpoints.list()).find(|(_, e)| !e.is_full()).map(|(i, _)| i);
                let index = worker.pick(&endpoints, &[]);
                prop_assert_eq!(index, expected);
                if let Some(index) = index {
                    prop_assert!(endpoints.list()[index as usize].try_begin());
                    running.push(index);
                }
            } else if !running.is_empty() {
                endpoints.list()[running.swap_remove(place % running.len()) as usize].end();
            }
        }
    }

    /// It is the least of time × (in flight + 1) / weight, of all.
    #[test]
    fn least_time_takes_the_least_of_all(
        list in vec((1_u32..10, 0_u32..8, 1_u64..500), 1..12), seed: u64,
    ) {
        let endpoints = weighted(&list.iter().map(|e| e.0).collect::<Vec<_>>());
        let mut worker = worker("least_time", seed);
        let _ = worker.pick(&endpoints, &[]);
        for (index, (_, busy, millis)) in (0..).zip(&list) {
            (0..*busy).for_each(|_| assert!(endpoints.list()[index as usize].try_begin()));
            answered(&mut worker, index, Instant::START, Duration::from_millis(*millis), Outcome::Success);
        }
        let cost = |i: usize| (list[i].2 * u64::from(list[i].1 + 1)) as f64 / f64::from(list[i].0);
        let picked = worker.pick(&endpoints, &[]).expect("all are ready") as usize;
        prop_assert!((0..list.len()).all(|i| cost(picked) <= cost(i) * (1.0 + 1e-9)));
    }
}

/// A single slow answer, or one that never came, is enough: whoever gave it is taken only where nobody better is drawn.
#[test]
fn peak_ewma_leaves_whoever_was_slow_once() {
    for how in [Outcome::Success, Outcome::Failure, Outcome::Cancelled] {
        let endpoints = weighted(&[1; 5]);
        let mut worker = worker("peak_ewma", 3);
        let _ = worker.pick(&endpoints, &[]);
        for index in 0..5 {
            answered(
                &mut worker,
                index,
                Instant::START,
                Duration::from_millis(10),
                Outcome::Success,
            );
        }
        answered(&mut worker, 3, Instant::START, Duration::from_secs(1), how);
        let counts = counts(&mut worker, &endpoints, 1000);
        assert!(counts[3] == 0.0, "{how:?}: {counts:?}");
        // 33 times as slow as the others' 30 ms: alone it is worth as much as 33 requests in flight.
        for other in [0, 1, 2, 4] {
            (0..40).for_each(|_| assert!(endpoints.list()[other].try_begin()));
        }
        let counts = self::counts(&mut worker, &endpoints, 1000);
        assert!(counts[3] > 300.0, "{how:?}: {counts:?}");
    }
}

/// What was slow is forgotten by and by: 200 times slower is 1/200 after 5.3 times the decay.
#[test]
fn peak_ewma_asks_again_who_was_slow_long_ago() {
    let endpoints = weighted(&[1; 2]);
    let mut worker = worker("peak_ewma", 3);
    let _ = worker.pick(&endpoints, &[]);
    let slow = Duration::from_secs(2);
    answered(&mut worker, 0, Instant::START, slow, Outcome::Success);
    let mut first = None;
    for second in 1..100 {
        let now = Instant::START + Duration::from_secs(second);
        worker.candidates.refresh(&endpoints);
        let view = worker.candidates.view(&endpoints, &[], now);
        let pick = worker.balancer.pick(&view, &mut worker.rng).expect("both are ready");
        if pick == 0 {
            first.get_or_insert(second);
            break;
        }
        answered(&mut worker, 1, now, Duration::from_millis(10), Outcome::Success);
    }
    // The other's figure is 10 ms and somewhat more, of its default of 30 ms.
    let first = first.expect("it is asked again");
    assert!((45..=54).contains(&first), "{first}");
}

/// A refused connection comes back at once: that is no reason to send more there.
#[test]
fn failing_at_once_does_not_look_fast() {
    for strategy in ["peak_ewma", "least_time"] {
        let endpoints = weighted(&[1; 4]);
        let mut worker = worker(strategy, 3);
        let _ = worker.pick(&endpoints, &[]);
        for index in 0..4 {
            let took = Duration::from_millis(if index == 2 { 60 } else { 50 });
            answered(&mut worker, index, Instant::START, took, Outcome::Success);
        }
        for _ in 0..100 {
            answered(&mut worker, 2, Instant::START, Duration::ZERO, Outcome::Failure);
        }
        let counts = counts(&mut worker, &endpoints, 1000);
        assert!(counts[2] == 0.0, "{strategy}: {counts:?}");
    }
}

/// Between two readings whoever looked idle gets everything; at the next one it does not.
#[test]
fn old_counts_are_believed_until_they_are_read_again() {
    use std::sync::Arc;

    use policy::{Candidates, Endpoint, Seed, balance::p2c, quantity::TimeSpan};

    let strategy = Balance::P2c(p2c::Config {
        choices: 4,
        refresh: TimeSpan::secs(1),
        ..p2c::Config::default()
    });
    let mut balancer = strategy.build();
    let list = (0..4).map(|n| Arc::new(Endpoint::new(format!("e{n}"), 1, u32::MAX)));
    let endpoints = Endpoints::new(list.collect());
    for index in [0, 1, 3] {
        assert!(endpoints.list()[index].try_begin());
    }
    let mut candidates = Candidates::new(0.5);
    candidates.refresh(&endpoints);
    let mut rng = Seed(1).rng();
    let mut pick = |millis| {
        let now = Instant::START + Duration::from_millis(millis);
        let picked = balancer.pick(&candidates.view(&endpoints, &[], now), &mut rng);
        let picked = picked.expect("there is room");
        assert!(endpoints.list()[picked as usize].try_begin());
        picked
    };
    assert_eq!([pick(0), pick(10), pick(999)], [2, 2, 2]);
    assert_ne!(pick(1000), 2);
}
