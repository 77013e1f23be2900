//! A search that finds nothing may be one that finds nothing ever: here it has something to find.
//!
//! Two bugs that the engine has only with the feature `planted-bugs` are each found within 500 runs, and what is left of
//! the timeline is at most three events.
#![cfg(feature = "planted-bugs")]

use proxy::engine::planted::{Bug, plant};
use reports::World;
use scenarios::{
    fuzz::{
        campaign::{Campaign, Searched},
        draft::drafts,
        judge::{Judge, Judged, Kind},
        smallest::{Smallest, smallest},
    },
    interrupt::Interrupt,
    language::suite,
};

/// Reads and writes, retries, and a patience for endpoints that ends before that of the clients.
const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/shop.toml");

fn campaign(before: fn(), runs: u64) -> Campaign {
    let found = suite::find(&[SHOP.into()]).expect("it is there");
    let drafts = drafts(&found[0], &[], World::Sim).expect("it is right");
    let judge = Judge { judged: Judged::Invariants, before, ..Judge::of(World::Sim) };
    Campaign { drafts, judge, seed: 1, runs, jobs: 2 }
}

/// What is found with the bug that `before` plants, made small.
fn found(before: fn()) -> Smallest {
    let campaign = campaign(before, 500);
    let interrupt = Interrupt::never();
    let Searched { found, ended, .. } = campaign.search(&interrupt, &mut |_| {});
    let found = found.unwrap_or_else(|| panic!("nothing was found in {ended} runs"));
    let small = smallest(&campaign.judge, &found, 300, &interrupt, &mut |_| {});
    let small = small.expect("something broke");
    assert!(small.case.events.len() <= 3, "{}", small.case.text());
    println!("{}\n{}", small.broken, small.case.text());
    small
}

#[test]
fn a_retry_of_a_post_is_found() {
    let small = found(|| plant(Some(Bug::PostRetry)));
    assert_eq!((small.broken.kind, small.broken.name.as_str()), (Kind::Invariant, "never_twice"));
}

#[test]
fn a_leak_of_what_is_in_flight_is_found() {
    let small = found(|| plant(Some(Bug::LeakedInFlight)));
    assert_eq!((small.broken.kind, small.broken.name.as_str()), (Kind::Invariant, "in_flight"));
}

/// The bugs are what is found, and nothing else.
#[test]
fn without_them_the_same_runs_find_nothing() {
    let searched = campaign(|| plant(None), 40).search(&Interrupt::never(), &mut |_| {});
    assert!(searched.found.is_none(), "{:#?}", searched.found);
    assert_eq!(searched.ended, 40);
}
