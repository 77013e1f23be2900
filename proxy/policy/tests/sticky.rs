//! Sticky sessions stick: over every strategy, while endpoints come and go, fill up and are tried in vain.

mod common;

use std::collections::BTreeMap;

use common::{limited, strategies};
use policy::{
    Candidates, Instant, Outcome, Seed, Transition,
    balance::{self, BalanceConfig, StickyConfig, sticky::Token},
    quantity::TimeSpan,
};
use proptest::{collection::vec, prelude::*};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Who brings a cookie goes where it says, exactly when that endpoint may be taken; who goes elsewhere gets another cookie, and stays there.
    #[test]
    fn a_session_moves_only_when_it_must(
        limits in vec(1_u32..4, 1..8),
        steps in vec((0_u8..8, 0_u32..12, 0_usize..64), 1..250),
        slow in any::<bool>(),
        seed: u64,
    ) {
        for strategy in strategies() {
            let endpoints = limited(&limits.iter().map(|&limit| (1, limit)).collect::<Vec<_>>());
            let config = BalanceConfig {
                sticky: Some(StickyConfig::default()),
                slow_start: slow.then_some(TimeSpan::secs(30)),
                panic_threshold: 0.0,
                strategy: strategy.clone(),
                ..BalanceConfig::default()
            };
            let mut candidates = Candidates::by(&config);
            let mut balancer = config.build(&endpoints);
            let mut rng = Seed(seed).stream("balancer");
            let mut sessions: BTreeMap<u32, u32> = BTreeMap::new();
            let mut running = Vec::new();
            let now = Instant::START;
            for (step, number, place) in &steps {
                match step {
                    0..=4 => {
                        let tried: Vec<u32> = (*step == 4).then_some(number % limits.len() as u32).into_iter().collect();
                        candidates.prepare(&endpoints, now);
                        let cookie = sessions.get(number).map(|at| Token::of(&format!("e{at}")).key);
                        let bound = cookie.and_then(|cookie| candidates.bound(cookie));
                        let key = strategy.key().map(|_| u64::from(*number));
                        let view = candidates.view(&endpoints, &tried, now).with_key(key).with_bound(bound);
                        let fits = |index: u32| {
                            let endpoint = &endpoints.list()[index as usize];
                            endpoint.is_ready() && !endpoint.is_full() && !tried.contains(&index)
                        };
                        let home = sessions.get(number).copied().filter(|home| fits(*home));
                        let picked = balance::pick(&mut *balancer, &view, &mut rng);
                        let name = strategy.name();
                        prop_assert!(picked.is_none_or(fits), "{name}");
                        prop_assert_eq!(picked.is_some(), (0..limits.len() as u32).any(fits), "{}", name);
                        if home.is_some() {
                            prop_assert_eq!(picked, home, "{}", name);
                        }
                        if let Some(index) = picked {
                            prop_assert!(endpoints.list()[index as usize].try_begin());
                            candidates.took(index);
                            balancer.on_start(index, now);
                            running.push(index);
                            sessions.insert(*number, index);
                        }
                    }
                    5 | 6 if !running.is_empty() => {
                        let index = running.swap_remove(place % running.len());
                        endpoints.list()[index as usize].end();
                        balancer.on_end(index, now, std::time::Duration::ZERO, Outcome::Success);
                    }
                    _ => {
                        let index = number % limits.len() as u32;
                        let up = endpoints.list()[index as usize].is_up();
                        endpoints.set_up(index, if up { Transition::Down } else { Transition::Up });
                    }
                }
            }
        }
    }
}

/// A cookie that is none of ours, or of an endpoint that is gone, binds nobody.
#[test]
fn a_strangers_cookie_binds_nobody() {
    let endpoints = limited(&[(1, 9), (1, 9)]);
    let config =
        BalanceConfig { sticky: Some(StickyConfig::default()), ..BalanceConfig::default() };
    let mut candidates = Candidates::by(&config);
    candidates.prepare(&endpoints, Instant::START);
    assert_eq!(candidates.bound(Token::of("e1").key), Some(1));
    assert_eq!(candidates.bound(Token::of("e2").key), None);
    assert_eq!(candidates.bound(balance::key::hash(b"e1")), None);
    let mut off = Candidates::by(&BalanceConfig::default());
    off.prepare(&endpoints, Instant::START);
    assert_eq!(off.bound(Token::of("e1").key), None);
}
