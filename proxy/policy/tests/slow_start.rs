//! Slow start, over every strategy: an endpoint that comes back gets what its growing weight says, and never jumps.

mod common;

use std::{collections::VecDeque, time::Duration};

use common::{strategies, weighted};
use policy::{
    Balancer, Candidates, Endpoints, Instant, Outcome, Rng, Seed, Transition,
    balance::{
        self, BalanceConfig, Strategy as Balance,
        slow_start::{CREDIT, FLOOR},
    },
    quantity::TimeSpan,
};
use proptest::{collection::vec, prelude::*};

/// So many picks in a window of 10 s.
const PICKS: u32 = 5000;
const WINDOW: Duration = Duration::from_secs(10);

/// A worker whose requests last for so many picks.
struct Worker {
    candidates: Candidates,
    balancer: Box<dyn Balancer>,
    rng: Rng,
    running: VecDeque<u32>,
    last: usize,
    now: Instant,
}

impl Worker {
    fn new(strategy: Balance, seed: u64, last: usize) -> Self {
        let balancer = strategy.build();
        let slow_start = Some(TimeSpan(WINDOW));
        let config = BalanceConfig { strategy, slow_start, ..BalanceConfig::default() };
        Self {
            candidates: Candidates::by(&config),
            balancer,
            rng: Seed(seed).stream("balancer"),
            running: VecDeque::new(),
            last,
            now: Instant::START,
        }
    }

    fn choose(&mut self, endpoints: &Endpoints, key: Option<u64>) -> Option<u32> {
        self.candidates.prepare(endpoints, self.now);
        let view = self.candidates.view(endpoints, &[], self.now).with_key(key);
        balance::pick(&mut *self.balancer, &view, &mut self.rng)
    }

    /// The next pick, a 5000th of the window after the last.
    fn pick(&mut self, endpoints: &Endpoints, key: Option<u64>) -> u32 {
        self.now += WINDOW / PICKS;
        let index = self.choose(endpoints, key).expect("all are ready");
        assert!(endpoints.list()[index as usize].try_begin());
        self.candidates.took(index);
        self.balancer.on_start(index, self.now);
        self.running.push_back(index);
        if self.running.len() > self.last {
            let ended = self.running.pop_front().expect("one is running");
            endpoints.list()[ended as usize].end();
            let took = WINDOW / PICKS * self.last as u32;
            self.balancer.on_end(ended, self.now, took, Outcome::Success);
        }
        index
    }
}

fn back(endpoints: &Endpoints, index: u32) {
    endpoints.set_up(index, Transition::Down);
    endpoints.set_up(index, Transition::Up);
}

/// What the first endpoint is due of each pick, from its return on: its growing weight's share.
fn due(weights: &[u32], pick: u32) -> f64 {
    let windows = f64::from(pick) / f64::from(PICKS);
    let grown = if windows < 1.0 { windows.max(FLOOR) } else { (windows - 1.0).exp2() };
    let others: u32 = weights[1..].iter().sum();
    let own = f64::from(weights[0]) * grown;
    own / (own + f64::from(others))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// In every stretch of picks, over every strategy that goes by no key, whatever requests last: at most what is due, and what
    /// may be saved up.
    #[test]
    fn no_strategy_gives_more_than_is_due(
        weights in vec(1_u32..6, 2..12), last in prop_oneof![Just(0_usize), 1_usize..200], seed: u64,
    ) {
        for strategy in strategies().filter(|strategy| strategy.key().is_none()) {
            let endpoints = weighted(&weights);
            let name = strategy.name();
            let mut worker = Worker::new(strategy, seed, last);
            (0..500).for_each(|_| {
                worker.pick(&endpoints, None);
            });
            back(&endpoints, 0);
            // How far the picks are ahead of what is due: its rise from any earlier moment is the excess of that stretch.
            let (mut ahead, mut least) = (0.0_f64, 0.0_f64);
            // After the window the bound stays where it is felt, and for `first` there is nobody better.
            let until = if name == "first" { 3 * PICKS } else { PICKS };
            for pick in 0..until {
                let index = worker.pick(&endpoints, None);
                ahead += f64::from(u8::from(index == 0)) - due(&weights, pick);
                least = least.min(ahead);
                prop_assert!(ahead - least <= CREDIT + 1.5, "{name}: {} at {pick}", ahead - least);
            }
        }
    }

    /// Who is wanted gets all of it: in turn, or because it is the least loaded.
    #[test]
    fn who_is_wanted_gets_what_is_due(weights in vec(1_u32..6, 2..12), seed: u64) {
        for (name, last) in [("round_robin", 0), ("least_connections", 400)] {
            let endpoints = weighted(&weights);
            let mut worker = Worker::new(Balance::named(name).expect("registered"), seed, last);
            (0..500).for_each(|_| {
                worker.pick(&endpoints, None);
            });
            back(&endpoints, 0);
            let mut behind = 0.0;
            for pick in 0..PICKS {
                behind += due(&weights, pick);
                behind -= f64::from(u8::from(worker.pick(&endpoints, None) == 0));
                // Where loads are compared in whole requests an endpoint may wait for one of its turns.
                prop_assert!(behind <= 8.0 + 0.02 * f64::from(pick), "{name}: {behind} at {pick}");
            }
        }
    }

    /// By a key, each key comes home once, and the share of those that are home is the age's.
    #[test]
    fn keys_come_home_one_by_one(weights in vec(1_u32..4, 2..10), seed: u64) {
        const KEYS: u64 = 2000;
        for strategy in strategies().filter(|strategy| strategy.key().is_some()) {
            let endpoints = weighted(&weights);
            let name = strategy.name();
            let mut worker = Worker::new(strategy, seed, 0);
            let keys: Vec<u64> = (0..KEYS).map(|key| Seed(seed).nth(key).rng().bits()).collect();
            let of_it: Vec<u64> =
                keys.iter().copied().filter(|key| worker.choose(&endpoints, Some(*key)) == Some(0)).collect();
            back(&endpoints, 0);
            let start = worker.now;
            let mut before = 0;
            for tenth in 0_u32..=10 {
                worker.now = start + WINDOW * tenth / 10;
                let home = of_it.iter().filter(|key| worker.choose(&endpoints, Some(**key)) == Some(0));
                let home = home.count();
                let others = keys.iter().filter(|key| worker.choose(&endpoints, Some(**key)) == Some(0)).count();
                prop_assert_eq!(home, others, "{}: it gets keys that are not its own", name);
                prop_assert!(home >= before, "{}: keys left again", name);
                before = home;
                let (n, p) = (of_it.len() as f64, (f64::from(tenth) / 10.0).max(FLOOR));
                let bound = 6.0 * (n * p * (1.0 - p)).sqrt() + 1.0;
                prop_assert!((home as f64 - n * p).abs() <= bound, "{name}: {home} of {n} at {p}");
            }
        }
    }

    /// Where nobody else may be taken a cold one is; and where all are equally new nobody is held back.
    #[test]
    fn slow_start_refuses_nobody(count in 1_usize..6, seed: u64) {
        for strategy in strategies() {
            let endpoints = weighted(&vec![1; count]);
            (0..count as u32).for_each(|index| back(&endpoints, index));
            let mut worker = Worker::new(strategy.clone(), seed, 0);
            let keyed = strategy.key().is_some();
            for pick in 0..200 {
                worker.pick(&endpoints, keyed.then_some(pick));
            }
        }
    }
}

/// At the start of a proxy everybody is warm; who comes later is not, and no worker begins its window anew.
#[test]
fn the_window_is_the_same_for_all_workers() {
    let endpoints = weighted(&[1, 1]);
    let round_robin = || Balance::named("round_robin").expect("registered");
    let mut first = Worker::new(round_robin(), 1, 0);
    let picks = |worker: &mut Worker, count| {
        (0..count).filter(|_| worker.pick(&endpoints, None) == 0).count()
    };
    assert_eq!(picks(&mut first, 100), 50);
    back(&endpoints, 0);
    assert!(picks(&mut first, 500) < 60);
    // Another worker looks for the first time when nine tenths are over.
    let mut second = Worker::new(round_robin(), 2, 0);
    second.now = first.now + WINDOW * 8 / 10;
    assert!((44..=50).contains(&picks(&mut second, 100)));
}
