//! Who may be picked: ejection and its cap, generations, panic, reloads.

mod common;

use std::{sync::Arc, time::Duration};

use common::weighted;
use policy::{
    Candidates, Endpoint, Endpoints, Instant, Outcome, Transition,
    outlier::{self, Ejection, OutlierConfig},
    quantity::TimeSpan,
};
use proptest::{collection::vec, prelude::*};

fn seconds(secs: u64) -> Instant {
    Instant::START + Duration::from_secs(secs)
}

fn fail(
    config: &OutlierConfig,
    endpoints: &Endpoints,
    index: u32,
    now: Instant,
) -> Option<Ejection> {
    let ejections: Vec<_> = (0..config.consecutive_failures)
        .filter_map(|_| outlier::on_result(config, endpoints, index, now, Outcome::Failure))
        .collect();
    assert!(ejections.len() <= 1);
    ejections.first().copied()
}

fn ejected(endpoints: &Endpoints) -> u32 {
    endpoints.list().iter().filter(|e| e.is_ejected()).count() as u32
}

#[derive(Clone, Debug)]
enum Step {
    Result(u32, Outcome),
    Up(u32),
    Down(u32),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u32..12).prop_map(|i| Step::Result(i, Outcome::Failure)),
        1 => (0_u32..12).prop_map(|i| Step::Result(i, Outcome::Success)),
        1 => (0_u32..12).prop_map(|i| Step::Result(i, Outcome::Cancelled)),
        1 => (0_u32..12).prop_map(Step::Up),
        1 => (0_u32..12).prop_map(Step::Down),
        2 => (0_u64..60).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn the_ejected_share_never_passes_its_cap(
        n in 1_usize..12, share in 0.0..=1.0_f64, steps in vec(steps(), 0..300), threshold in 1_u32..4,
    ) {
        let config = OutlierConfig {
            consecutive_failures: threshold, max_ejected_share: share, ..OutlierConfig::default()
        };
        let endpoints = weighted(&vec![1; n]);
        let mut candidates = Candidates::new(0.0);
        let mut now = Instant::START;
        for step in steps {
            match step {
                Step::Result(index, outcome) => {
                    if let Some(ejection) = outlier::on_result(&config, &endpoints, index, now, outcome) {
                        prop_assert_eq!(outcome, Outcome::Failure);
                        prop_assert_eq!(endpoints.list()[index as usize].ejected_until(), Some(ejection.until));
                        prop_assert!(ejection.until > now && ejection.times >= 1);
                    }
                }
                Step::Up(index) => endpoints.set_up(index, Transition::Up),
                Step::Down(index) => endpoints.set_up(index, Transition::Down),
                Step::Wait(secs) => {
                    now += Duration::from_secs(secs);
                    outlier::expire(&endpoints, now);
                    prop_assert!(endpoints.list().iter().all(|e| e.ejected_until().is_none_or(|until| until > now)));
                }
            }
            prop_assert_eq!(endpoints.ejected(), ejected(&endpoints));
            prop_assert!(f64::from(ejected(&endpoints)) <= share * n as f64 + 1e-9);
            prop_assert!((ejected(&endpoints) as usize) < n);
            // Nobody is forgotten: whoever is ejected returns at `next_return` or after it.
            let first = endpoints.list().iter().filter_map(|e| e.ejected_until()).min();
            prop_assert!(first.is_none_or(|first| endpoints.next_return() <= first));
            // The generation has told of every change.
            candidates.refresh(&endpoints);
            let ready: Vec<u32> = (0..n as u32).filter(|&i| endpoints.list()[i as usize].is_ready()).collect();
            prop_assert_eq!(candidates.ready(), &ready);
        }
    }

    #[test]
    fn panic_uses_all_that_do_not_drain(states in vec(0_u8..4, 1..20), threshold in 0.0..=1.0_f64) {
        let endpoints = weighted(&vec![1; states.len()]);
        for (index, state) in (0..).zip(&states) {
            match state {
                0 => endpoints.set_draining(index),
                1 => endpoints.set_up(index, Transition::Down),
                _ => {}
            }
        }
        let mut candidates = Candidates::new(threshold);
        prop_assert!(candidates.refresh(&endpoints) && !candidates.refresh(&endpoints));
        let (up, serving) = (states.iter().filter(|s| **s > 1).count(), states.iter().filter(|s| **s > 0).count());
        prop_assert_eq!(candidates.is_panic(), (up as f64) < threshold * serving as f64);
        prop_assert_eq!(candidates.ready().len(), if candidates.is_panic() { serving } else { up });
        prop_assert!(candidates.ready().is_sorted());
    }
}

#[test]
fn the_cap_holds_with_several_threads_at_it() {
    const ENDPOINTS: usize = 9;
    let config = OutlierConfig {
        consecutive_failures: 2,
        base_ejection: TimeSpan(Duration::from_micros(3)),
        ..OutlierConfig::default()
    };
    let endpoints = weighted(&[1; ENDPOINTS]);
    let cap = config.max_ejected(ENDPOINTS);
    assert_eq!(cap, 4);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (config, endpoints) = (&config, &endpoints);
            scope.spawn(move || {
                let mut rng = policy::Seed(thread).rng();
                for step in 0..20_000_u64 {
                    let (index, now) =
                        (rng.index(ENDPOINTS) as u32, Instant::from_nanos(1_000 * step));
                    let transition =
                        if rng.chance(0.5) { Transition::Up } else { Transition::Down };
                    match rng.below(16) {
                        0 => endpoints.set_up(index, transition),
                        1..=3 => {
                            outlier::expire(endpoints, now);
                        }
                        _ => {
                            outlier::on_result(config, endpoints, index, now, Outcome::Failure);
                        }
                    }
                    // The reservation bounds the words, and is never above the cap itself.
                    assert!(endpoints.ejected() <= cap);
                }
            });
        }
    });
    assert_eq!(endpoints.ejected(), ejected(&endpoints));
    assert!(endpoints.list().iter().any(|e| e.times_ejected() > 0));
    outlier::expire(&endpoints, Instant::NEVER);
    assert_eq!((endpoints.ejected(), ejected(&endpoints)), (0, 0));
    assert_eq!(endpoints.next_return(), Instant::NEVER);
}

#[test]
fn limits_hold_with_several_threads_at_them() {
    let endpoint = Endpoint::new("a", 1, 3);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    if endpoint.try_begin() {
                        assert!((1..=3).contains(&endpoint.in_flight()));
                        endpoint.end();
                    }
                }
            });
        }
    });
    assert_eq!(endpoint.in_flight(), 0);
}

#[test]
fn ejections_grow_to_their_cap_and_are_forgotten_one_by_one() {
    let (config, endpoints) = (OutlierConfig::default(), weighted(&[1; 4]));
    let mut now = seconds(1);
    let mut lasted = Vec::new();
    for _ in 0..12 {
        let ejection = fail(&config, &endpoints, 2, now).expect("below the cap");
        lasted.push(ejection.until.since(now).as_secs());
        now = ejection.until;
        assert_eq!(outlier::expire(&endpoints, now), 1);
    }
    assert_eq!(lasted, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
    // 75 s without another ejection: seven of twelve are forgotten, this is the sixth again.
    let ejection =
        fail(&config, &endpoints, 2, now + Duration::from_secs(75)).expect("below the cap");
    assert_eq!(ejection.times, 6);
}

#[test]
fn a_success_ends_the_run_of_failures_and_a_cancelled_request_does_not() {
    let (config, endpoints) = (OutlierConfig::default(), weighted(&[1; 4]));
    let results = |outcome, count| {
        (0..count)
            .filter_map(|_| outlier::on_result(&config, &endpoints, 0, seconds(1), outcome))
            .count()
    };
    assert_eq!(results(Outcome::Failure, 4), 0);
    assert_eq!(results(Outcome::Success, 1), 0);
    assert_eq!(results(Outcome::Failure, 4), 0);
    assert_eq!(results(Outcome::Cancelled, 3), 0);
    assert_eq!(results(Outcome::Failure, 1), 1);
}

#[test]
fn a_single_endpoint_is_never_ejected_nor_one_that_is_down() {
    let config = OutlierConfig { max_ejected_share: 1.0, ..OutlierConfig::default() };
    assert_eq!(fail(&config, &weighted(&[1]), 0, seconds(1)), None);
    let endpoints = weighted(&[1; 3]);
    endpoints.set_up(0, Transition::Down);
    assert_eq!(fail(&config, &endpoints, 0, seconds(1)), None);
    assert_eq!(endpoints.ejected(), 0);
    assert_eq!(config.max_ejected(3), 2);
    let config = OutlierConfig { max_ejected_share: 0.29, ..OutlierConfig::default() };
    assert_eq!(config.max_ejected(100), 29);
}

#[test]
fn only_coming_back_from_down_ends_an_ejection_early() {
    let (config, endpoints) = (OutlierConfig::default(), weighted(&[1; 4]));
    fail(&config, &endpoints, 1, seconds(1)).expect("below the cap");
    endpoints.set_up(1, Transition::Up);
    assert!(endpoints.list()[1].is_ejected());
    endpoints.set_up(1, Transition::Down);
    endpoints.set_up(1, Transition::Up);
    assert!(endpoints.list()[1].is_ready());
    assert_eq!(endpoints.ejected(), 0);
}

/// A request that began before a reload may be picked for after it, a second time: it must not go where it is known by
/// then that nothing answers.
#[test]
fn who_picks_from_a_superseded_set_sees_what_its_successor_does() {
    let config = OutlierConfig { max_ejected_share: 1.0, ..OutlierConfig::default() };
    let old = weighted(&[1; 4]);
    let mut candidates = Candidates::new(0.0);
    candidates.refresh(&old);
    let new = Endpoints::new(old.list()[1..].to_vec());
    old.supersede();
    candidates.refresh(&old);
    assert!(!candidates.refresh(&old), "nothing has changed");
    fail(&config, &new, 0, seconds(1)).expect("below the cap");
    assert!(candidates.refresh(&old));
    assert_eq!(candidates.ready(), [0, 2, 3]);
    new.set_up(2, Transition::Down);
    assert!(candidates.refresh(&old));
    assert_eq!(candidates.ready(), [0, 2]);
    assert_eq!(outlier::expire(&new, seconds(100)), 1);
    assert!(candidates.refresh(&old));
    assert_eq!(candidates.ready(), [0, 1, 2]);
    assert_ne!(old.generation(), new.generation());
}

#[test]
fn a_reload_keeps_what_is_known_and_silences_the_old_set() {
    let config = OutlierConfig::default();
    let old = weighted(&[1; 4]);
    fail(&config, &old, 1, seconds(1)).expect("below the cap");
    old.set_up(2, Transition::Down);
    let mut survivors = old.list()[1..].to_vec();
    survivors.push(Arc::new(Endpoint::new("new", 1, u32::MAX)));
    let new = Endpoints::new(survivors);
    assert_ne!(new.generation(), old.generation());
    assert_eq!((new.ejected(), new.next_return()), (1, seconds(31)));
    assert!(new.list()[0].is_ejected() && !new.list()[1].is_up() && new.list()[3].is_ready());
    // What the old set still hears of endpoints that have moved changes nothing; of the one that stayed, it does.
    let generation = new.generation();
    old.set_up(2, Transition::Up);
    assert_eq!(fail(&config, &old, 3, seconds(2)), None);
    assert_eq!(outlier::expire(&old, seconds(100)), 0);
    assert_eq!(old.next_return(), Instant::NEVER);
    assert_eq!((new.generation(), new.ejected()), (generation, 1));
    old.set_draining(0);
    assert!(old.list()[0].is_draining());
    assert_eq!(outlier::expire(&new, seconds(31)), 1);
    assert_eq!(new.next_return(), Instant::NEVER);
}
