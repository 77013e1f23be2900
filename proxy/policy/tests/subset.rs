//! Subsets: even over the endpoints, and nearly the same when one of them leaves or is down.

mod common;

use std::{collections::BTreeSet, sync::Arc};

use common::strategies;
use policy::{
    Candidates, Endpoint, Endpoints, Instant, Seed, Transition,
    balance::{self, BalanceConfig, subset::SubsetConfig},
};
use proptest::prelude::*;

fn upstream(names: impl Iterator<Item = u64>) -> Endpoints {
    Endpoints::new(names.map(|i| Arc::new(Endpoint::new(format!("e{i}"), 1, u32::MAX))).collect())
}

fn subset(endpoints: &Endpoints, size: u32, index: u32) -> Candidates {
    let subset = Some(SubsetConfig { size, index });
    let mut candidates = Candidates::by(&BalanceConfig { subset, ..BalanceConfig::default() });
    candidates.prepare(endpoints, Instant::START);
    candidates
}

/// The names of those in it.
fn names(endpoints: &Endpoints, size: u32, index: u32) -> BTreeSet<String> {
    let candidates = subset(endpoints, size, index);
    assert!(candidates.ready().is_sorted());
    candidates.ready().iter().map(|i| endpoints.list()[*i as usize].name.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_endpoint_is_used_by_as_many_proxies(count in 1_u64..150, size in 1_u32..40, proxies in 1_u32..80, first: u64) {
        let endpoints = upstream((0..count).map(|i| first.wrapping_add(i)));
        let mut used = vec![0_u32; count as usize];
        for index in 0..proxies {
            let candidates = subset(&endpoints, size, index);
            prop_assert_eq!(candidates.ready().len() as u64, count.min(u64::from(size)));
            candidates.ready().iter().for_each(|i| used[*i as usize] += 1);
        }
        let mean = f64::from(proxies) * (f64::from(size) / count as f64).min(1.0);
        let bound = if proxies.is_power_of_two() { 1.0 } else { 1.0 + f64::from(proxies).log2() };
        for used in &used {
            prop_assert!((f64::from(*used) - mean).abs() <= bound + 1e-9, "{used} and not {mean}: {bound}");
        }
    }

    /// Who leaves takes itself out, and at most two are exchanged besides.
    #[test]
    fn a_subset_changes_little_when_an_endpoint_leaves(count in 2_u64..150, size in 1_u32..40, index in 0_u32..1000, leaves: u64) {
        let leaves = leaves % count;
        let before = names(&upstream(0..count), size, index);
        let after = names(&upstream((0..count).filter(|i| *i != leaves)), size, index);
        let gone = before.difference(&after).filter(|name| **name != format!("e{leaves}")).count();
        prop_assert!(gone <= 2, "{gone} more are gone");
    }

    /// Who is down is passed over: one other comes in for it, in those subsets alone that had it, and goes when it is back.
    #[test]
    fn who_is_down_is_replaced_by_one(count in 2_u64..150, size in 1_u32..40, index in 0_u32..1000, down: u64) {
        let endpoints = upstream(0..count);
        let down = (down % count) as u32;
        let before = names(&endpoints, size, index);
        endpoints.set_up(down, Transition::Down);
        let after = names(&endpoints, size, index);
        let name = format!("e{down}");
        if before.contains(&name) {
            prop_assert!(before.difference(&after).eq([&name]));
            prop_assert!(after.difference(&before).count() <= 1);
            prop_assert_eq!(after.len() as u64, (count - 1).min(u64::from(size)));
        } else {
            prop_assert_eq!(&before, &after);
        }
        endpoints.set_up(down, Transition::Up);
        prop_assert_eq!(names(&endpoints, size, index), before);
    }

    /// No strategy picks from outside, and each tier has a subset of its own.
    #[test]
    fn picks_stay_in_the_subset(size in 1_u32..6, index in 0_u32..100, first in 1_usize..12, second in 0_usize..12) {
        let tier = |i: usize| u8::from(i >= first);
        for strategy in strategies() {
            let list = (0..first + second)
                .map(|i| Arc::new(Endpoint::new(format!("e{i}"), 1, u32::MAX).with_priority(tier(i))));
            let endpoints = Endpoints::new(list.collect());
            // A third of the first tier is left: the second is in use.
            for i in (0..first as u32).filter(|i| i % 3 > 0) {
                endpoints.set_up(i, Transition::Down);
            }
            let subset = Some(SubsetConfig { size, index });
            let config = BalanceConfig { subset, strategy: strategy.clone(), ..BalanceConfig::default() };
            let mut candidates = Candidates::by(&config);
            let mut balancer = config.build(&endpoints);
            let mut rng = Seed(3).stream("balancer");
            let mut seen = BTreeSet::new();
            for pick in 0..100 {
                candidates.prepare(&endpoints, Instant::START);
                let key = strategy.key().map(|_| Seed(1).nth(pick).rng().bits());
                let view = candidates.view(&endpoints, &[], Instant::START).with_key(key);
                let picked = balance::pick(&mut *balancer, &view, &mut rng).expect("some are ready");
                prop_assert!(candidates.ready().contains(&picked), "{}", strategy.name());
                seen.insert(picked);
            }
            let of = |wanted: u8| seen.iter().filter(|i| tier(**i as usize) == wanted).count();
            prop_assert!(of(0) <= size as usize && of(1) <= size as usize);
        }
    }
}
