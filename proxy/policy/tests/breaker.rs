//! What holds for every circuit breaker, whatever comes.

use std::time::Duration;

use policy::{
    Instant, Outcome, Rng, Seed,
    breaker::{Breaker, BreakerConfig, Change, Ticket},
    quantity::TimeSpan,
};
use proptest::prelude::*;

fn at(millis: u64) -> Instant {
    Instant::START + Duration::from_millis(millis)
}

/// With a share that is never reached, so that only failures in a row count.
fn in_a_row(failures: u32) -> BreakerConfig {
    BreakerConfig { failures, least: u32::MAX, ..BreakerConfig::default() }
}

fn rng() -> Rng {
    Seed(1).rng()
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_does_not() {
    let (mut breaker, mut rng) = (Breaker::new(in_a_row(3)), rng());
    let outcomes = [Outcome::Failure, Outcome::Failure, Outcome::Success, Outcome::Cancelled];
    for outcome in outcomes.into_iter().cycle().take(40) {
        let ticket = breaker.ask(at(0)).expect("it is closed");
        assert_eq!(breaker.tell(ticket, outcome, at(0), &mut rng), None);
    }
    let mut changes = Vec::new();
    for _ in 0..3 {
        let ticket = breaker.ask(at(1)).expect("it is closed");
        changes.extend(breaker.tell(ticket, Outcome::Failure, at(1), &mut rng));
    }
    assert!(matches!(changes[..], [Change::Opened { .. }]), "{changes:?}");
    assert_eq!(breaker.ask(at(1)), None);
}

#[test]
fn a_share_of_failures_over_the_window_opens_it() {
    let config = BreakerConfig { failures: 100, share: 0.5, least: 20, ..BreakerConfig::default() };
    let (mut breaker, mut rng) = (Breaker::new(config), rng());
    let mut call = |breaker: &mut Breaker, millis, outcome| {
        let ticket = breaker.ask(at(millis)).expect("it is closed");
        breaker.tell(ticket, outcome, at(millis), &mut rng)
    };
    // Long ago: no longer in the window of 10 s when it comes to it.
    for _ in 0..19 {
        assert_eq!(call(&mut breaker, 0, Outcome::Failure), None);
    }
    for second in 0..10 {
        let millis = 20_000 + second * 500;
        assert_eq!(call(&mut breaker, millis, Outcome::Success), None);
        let changed = call(&mut breaker, millis, Outcome::Failure);
        assert_eq!(changed.is_some(), second == 9, "at {second}: {changed:?}");
    }
}

#[test]
fn calls_that_time_out_together_open_it_once_and_a_late_success_does_not_close_it() {
    let (mut breaker, mut rng) = (Breaker::new(in_a_row(5)), rng());
    let tickets: Vec<Ticket> = (0..100).filter_map(|_| breaker.ask(at(0))).collect();
    let told =
        tickets.iter().map(|ticket| breaker.tell(*ticket, Outcome::Failure, at(20), &mut rng));
    assert_eq!(told.flatten().count(), 1);
    assert_eq!(breaker.tell(tickets[0], Outcome::Success, at(21), &mut rng), None);
    assert!(!breaker.is_closed());
}

#[test]
fn one_probe_at_a_time_decides() {
    let (mut breaker, mut rng) = (Breaker::new(in_a_row(1)), rng());
    let ticket = breaker.ask(at(0)).expect("it is closed");
    let opened = breaker.tell(ticket, Outcome::Failure, at(0), &mut rng);
    let Some(Change::Opened { until }) = opened else { panic!("{opened:?}") };
    assert!(until > at(0) + Duration::from_millis(199) && until <= at(250), "{until}");
    assert_eq!(breaker.ask(until.max(at(1)).min(at(100))), None);
    let probe = breaker.ask(until).expect("its time is over");
    assert!(probe.is_probe());
    assert_eq!(breaker.ask(until), None, "one at a time");
    // A client that goes away makes room for the next probe.
    assert_eq!(breaker.tell(probe, Outcome::Cancelled, until, &mut rng), None);
    let probe = breaker.ask(until).expect("the place is free again");
    let again = breaker.tell(probe, Outcome::Failure, until, &mut rng);
    let Some(Change::StaysOpen { until: later }) = again else { panic!("{again:?}") };
    assert!(later.since(until) > Duration::from_millis(399), "twice as long, less a fifth");
    let probe = breaker.ask(later).expect("its time is over");
    assert_eq!(breaker.tell(probe, Outcome::Success, later, &mut rng), Some(Change::Closed));
    assert!(breaker.is_closed());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Tell(usize, Outcome),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Failure),
        2 => Just(Outcome::Success),
        1 => Just(Outcome::Cancelled),
    ];
    let step = prop_oneof![
        4 => Just(Step::Ask),
        4 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::Tell(which, outcome)),
        1 => (0_u64..3000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..400)
}

fn configs() -> impl Strategy<Value = BreakerConfig> {
    (1_u32..6, 0.05_f64..=1.0, 1_u64..2000, 1_u32..30, 1_u64..500, 0_u64..5000, 0.0_f64..=1.0)
        .prop_map(|(failures, share, window, least, open, more, jitter)| BreakerConfig {
            failures,
            share,
            window: TimeSpan::millis(window),
            least,
            open: TimeSpan::millis(open),
            max_open: TimeSpan::millis(open + more),
            jitter,
        })
}

proptest! {
    /// Never two probes, never a call while it is open, never open for longer than allowed, and changes alternate.
    #[test]
    fn states_are_what_they_say(config in configs(), steps in steps(), seed: u64) {
        prop_assert_eq!(config.problem(), None);
        let (mut breaker, mut rng) = (Breaker::new(config.clone()), Seed(seed).rng());
        let (mut now, mut open, mut until) = (Instant::START, false, Instant::START);
        let mut under_way: Vec<Ticket> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Ask => {
                    let probing = under_way.iter().filter(|ticket| ticket.is_probe()).count();
                    let ticket = breaker.ask(now);
                    prop_assert_eq!(breaker.is_closed(), !open);
                    match ticket {
                        Some(ticket) if open => {
                            prop_assert!(ticket.is_probe() && now >= until && probing == 0);
                        }
                        Some(ticket) => prop_assert!(!ticket.is_probe()),
                        None => prop_assert!(open && (now < until || probing == 1)),
                    }
                    under_way.extend(ticket);
                }
                Step::Tell(_, _) if under_way.is_empty() => {}
                Step::Tell(which, outcome) => {
                    let ticket = under_way.swap_remove(which % under_way.len());
                    match breaker.tell(ticket, outcome, now, &mut rng) {
                        None => {}
                        Some(Change::Opened { until: next }) => {
                            prop_assert!(!open && outcome == Outcome::Failure);
                            prop_assert!(next.since(now) <= config.max_open.0);
                            (open, until) = (true, next);
                        }
                        Some(Change::StaysOpen { until: next }) => {
                            prop_assert!(open && ticket.is_probe() && outcome == Outcome::Failure);
                            prop_assert!(next.since(now) <= config.max_open.0);
                            until = next;
                        }
                        Some(Change::Closed) => {
                            prop_assert!(open && ticket.is_probe() && outcome == Outcome::Success);
                            open = false;
                        }
                    }
                }
            }
        }
    }

    /// A server that is down for good is asked a handful of times, and one that comes back is found within the longest opening.
    #[test]
    fn what_is_down_is_left_alone_and_what_is_back_is_found(config in configs(), seed: u64) {
        let config = BreakerConfig { jitter: config.jitter.min(0.5), ..config };
        let (mut breaker, mut rng) = (Breaker::new(config.clone()), Seed(seed).rng());
        let mut asked = 0_u32;
        for millis in 0..60_000 {
            if let Some(ticket) = breaker.ask(at(millis)) {
                asked += 1;
                breaker.tell(ticket, Outcome::Failure, at(millis), &mut rng);
            }
        }
        // As many as open it, then one for each opening: all but the growing ones last at least half of the longest.
        let openings = 60_000 / (config.max_open.0.as_millis() as u32 / 2).max(1) + 12;
        prop_assert!(asked <= config.failures + openings, "{asked} calls");
        let back = 60_000 + config.max_open.0.as_millis() as u64;
        let probe = breaker.ask(at(back)).expect("its time is over");
        prop_assert_eq!(breaker.tell(probe, Outcome::Success, at(back), &mut rng), Some(Change::Closed));
    }
}
