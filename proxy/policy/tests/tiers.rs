//! Tiers: the lower one is used only as far as the higher cannot carry the load, over every strategy.

mod common;

use std::sync::Arc;

use common::strategies;
use policy::{
    Balancer, Candidates, Endpoint, Endpoints, Instant, Rng, Seed, Transition,
    balance::{self, BalanceConfig, Strategy as Balance},
};
use proptest::{collection::vec, prelude::*};

/// One worker: what an upstream of several tiers is picked from with.
struct Worker {
    candidates: Candidates,
    balancer: Box<dyn Balancer>,
    rng: Rng,
}

impl Worker {
    fn new(strategy: Balance, panic_threshold: f64, endpoints: &Endpoints) -> Self {
        let config = BalanceConfig { strategy, panic_threshold, ..BalanceConfig::default() };
        Self {
            candidates: Candidates::by(&config),
            balancer: config.build(endpoints),
            rng: Seed(11).stream("balancer"),
        }
    }

    fn pick(&mut self, endpoints: &Endpoints, tried: &[u32], key: Option<u64>) -> Option<u32> {
        self.candidates.prepare(endpoints, Instant::START);
        let view = self.candidates.view(endpoints, tried, Instant::START).with_key(key);
        let picked = balance::pick(&mut *self.balancer, &view, &mut self.rng)?;
        self.balancer.on_start(picked, Instant::START);
        self.balancer.on_end(
            picked,
            Instant::START,
            std::time::Duration::ZERO,
            policy::Outcome::Success,
        );
        Some(picked)
    }
}

/// Endpoints of these priorities, none of which has a limit.
fn upstream(priorities: &[u8]) -> Endpoints {
    limited(&priorities.iter().map(|&priority| (priority, u32::MAX)).collect::<Vec<_>>())
}

fn limited(endpoints: &[(u8, u32)]) -> Endpoints {
    let endpoint = |(i, &(priority, limit))| {
        Arc::new(Endpoint::new(format!("e{i}"), 1, limit).with_priority(priority))
    };
    Endpoints::new(endpoints.iter().enumerate().map(endpoint).collect())
}

fn down(endpoints: &Endpoints, index: u32) {
    endpoints.set_up(index, Transition::Down);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// As long as 1/1.4 of the first tier are ready; and from there on the share of the others rises linearly.
    #[test]
    fn load_spills_over_linearly_and_not_before(first in 1_usize..15, out in 0_usize..15, second in 1_usize..8) {
        const PICKS: u64 = 3000;
        let out = out % (first + 1);
        let priorities = [vec![3; first], vec![7; second]].concat();
        let share = (1.4 * (first - out) as f64 / first as f64).min(1.0);
        for strategy in strategies() {
            let endpoints = upstream(&priorities);
            (0..out as u32).for_each(|index| down(&endpoints, index));
            let keyed = strategy.key().is_some();
            let name = strategy.name();
            let mut worker = Worker::new(strategy, 0.5, &endpoints);
            let mut kept = 0;
            for pick in 0..PICKS {
                let key = keyed.then(|| Seed(5).nth(pick).rng().bits());
                let index = worker.pick(&endpoints, &[], key).expect("some are ready");
                prop_assert!(endpoints.list()[index as usize].is_ready(), "{name}");
                kept += u64::from(endpoints.list()[index as usize].priority == 3);
                if keyed {
                    prop_assert_eq!(worker.pick(&endpoints, &[], key), Some(index), "{}: a key moved", name);
                }
            }
            let bound = 6.0 * (PICKS as f64 * share * (1.0 - share)).sqrt();
            prop_assert!((kept as f64 - PICKS as f64 * share).abs() <= bound, "{name}: {kept}, not {share}");
            if share >= 1.0 {
                prop_assert_eq!(kept, PICKS);
            }
        }
    }

    /// The shares, worked out another way: what a tier cannot carry goes down, and what none can carry is divided by health.
    #[test]
    fn the_shares_are_those_of_the_rule(
        list in vec((0_u8..4, 0_u8..4), 1..20), threshold in prop_oneof![Just(0.0), 0.0_f64..1.0],
    ) {
        let endpoints = upstream(&list.iter().map(|each| each.0).collect::<Vec<_>>());
        for (index, (_, state)) in (0..).zip(&list) {
            match state {
                0 => down(&endpoints, index),
                1 => endpoints.set_draining(index),
                _ => {}
            }
        }
        let mut candidates = Candidates::by(&BalanceConfig { panic_threshold: threshold, ..BalanceConfig::default() });
        candidates.prepare(&endpoints, Instant::START);
        let Some(tiers) = candidates.tiers() else {
            prop_assert!(list.iter().all(|each| each.0 == list[0].0));
            return Ok(());
        };
        let count = |priority: u8, good: &dyn Fn(&Endpoint) -> bool| {
            endpoints.list().iter().filter(|e| e.priority == priority && good(e)).count() as f64
        };
        let mut priorities: Vec<u8> = list.iter().map(|each| each.0).collect();
        priorities.sort_unstable();
        priorities.dedup();
        prop_assert_eq!(tiers.list().len(), priorities.len());
        let health = |p: u8| (1.4 * count(p, &Endpoint::is_ready) / count(p, &|e| !e.is_draining()).max(1.0)).min(1.0);
        let total: f64 = priorities.iter().map(|p| health(*p)).sum();
        let mut left = 1.0;
        let mut anybody = false;
        for (tier, &priority) in tiers.list().iter().zip(&priorities) {
            let (ready, serving) = (count(priority, &Endpoint::is_ready), count(priority, &|e| !e.is_draining()));
            let panic = total < 1.0 && ready < threshold * serving;
            prop_assert_eq!(tier.candidates().len(), if panic { serving } else { ready } as usize);
            let expected = if total >= 1.0 {
                health(priority).min(left)
            } else if total > 0.0 {
                health(priority) / total
            } else if !anybody && !tier.candidates().is_empty() {
                1.0
            } else {
                0.0
            };
            anybody |= !tier.candidates().is_empty();
            left = (left - expected).max(0.0);
            prop_assert!((tier.share() - expected).abs() < 1e-9, "{} and not {expected}", tier.share());
        }
        let sum: f64 = tiers.list().iter().map(policy::endpoint::Tier::share).sum();
        prop_assert!((sum - f64::from(u8::from(anybody))).abs() < 1e-9);
        let mut ready: Vec<u32> = Vec::new();
        for tier in tiers.list().iter().filter(|tier| tier.share() > 0.0) {
            ready.extend(tier.candidates());
        }
        ready.sort_unstable();
        prop_assert_eq!(candidates.ready(), &ready);
    }
}

/// While anybody of the first tier is left to try, nobody asks the second; then everybody of it.
#[test]
fn a_request_goes_down_when_it_has_tried_all_above() {
    for strategy in strategies() {
        let endpoints = upstream(&[0, 0, 1, 1]);
        let mut worker = Worker::new(strategy.clone(), 0.5, &endpoints);
        let key = strategy.key().map(|_| 77);
        let mut tried = Vec::new();
        while let Some(index) = worker.pick(&endpoints, &tried, key) {
            let others = worker.candidates.others(&endpoints, &tried, index);
            // Of the first tier as long as there is one, and then of the second.
            let expected = [1, 2, 1, 0][tried.len()];
            assert_eq!(others, (expected, expected), "{} after {tried:?}", strategy.name());
            tried.push(index);
        }
        assert_eq!(tried.len(), 4, "{}", strategy.name());
        assert!(tried[..2].iter().all(|index| *index < 2), "{}: {tried:?}", strategy.name());
    }
}

/// Who is full is not unhealthy: its requests wait, unless another tier is in use anyhow.
#[test]
fn a_full_tier_is_waited_for() {
    for strategy in strategies() {
        let name = strategy.name();
        let endpoints = limited(&[(0, 1), (0, 1), (1, 9)]);
        let mut worker = Worker::new(strategy.clone(), 0.0, &endpoints);
        let key = strategy.key().map(|_| 5);
        assert!(endpoints.list()[..2].iter().all(|endpoint| endpoint.try_begin()));
        assert_eq!(worker.pick(&endpoints, &[], key), None, "{name}");
        // Half of it is out: 70 % stay, and who finds no room goes to where the other 30 % go.
        down(&endpoints, 0);
        for key in 0..50 {
            assert_eq!(
                worker.pick(&endpoints, &[], strategy.key().map(|_| key)),
                Some(2),
                "{name}"
            );
        }
    }
}
