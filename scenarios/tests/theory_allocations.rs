//! Nothing is allocated for a request of the model once it is warm.
//!
//! A run of four times as many requests allocates as often as the shorter one: whatever grows with the run is bounded (the recorder has
//! 600 intervals at most, a histogram grows until it has seen the longest time). In a program of its own, because the
//! allocator that counts is the whole program's.

use std::alloc::System;

use scenarios::{language::Scenario, model};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often a run of so many seconds allocates (or allocates anew), and its requests.
fn allocations(text: &str, seconds: u32) -> (usize, u64) {
    let text = format!("duration = \"{seconds}s\"\n{text}");
    let scenario: Scenario = toml::from_str(&text).expect("a scenario");
    let region = Region::new(ALLOCATOR);
    let outcome = model::run(&scenario, 1).expect("the model can do this");
    let change = region.change();
    (change.allocations + change.reallocations, outcome.requests)
}

#[test]
fn a_longer_run_allocates_no_more() {
    let open = "[load.all]\narrivals = { poisson = { rate = 80 } }\n";
    let backends = "[backends.web]\ncount = 10\nqueue = 100\nservice = { exponential = { mean = \"100ms\" } }\n";
    let cases = [
        format!("proxy.balance.strategy = \"p2c\"\n{backends}{open}"),
        format!(
            "proxy.balance.strategy = \"p2c\"\n{backends}{open}[network]\nlatency = {{ exponential = {{ mean = \"5ms\" }} }}\n"
        ),
        // Users, who wait in line for a place, and endpoints that fail, so that requests are tried again.
        format!(
            "[proxy]\nbalance.strategy = \"least_connections\"\nlimits.endpoint_in_flight = 1\nretry = {{ statuses = [500], budget = 1.0 }}\n\
             outlier.enabled = false\n{backends}faults = {{ status = [{{ status = 500, probability = 0.05 }}] }}\n[load.all]\nusers = 15\n\
             think = {{ exponential = {{ mean = \"100ms\" }} }}\n"
        ),
    ];
    for text in cases {
        // Both are so long that the recorder has as many intervals as it ever has.
        let (short, requests) = allocations(&text, 600);
        let (long, more) = allocations(&text, 2400);
        assert!(more > 3 * requests && requests > 40_000, "{requests}, {more}");
        let grown = long.saturating_sub(short);
        println!("{short} for {requests}, {long} for {more}");
        assert!(grown < 1000, "{grown} allocations for {} more requests", more - requests);
    }
}
