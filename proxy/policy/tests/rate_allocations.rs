//! A decision about a client that is known allocates nothing.

use std::alloc::System;

use policy::{
    Instant,
    balance::Key,
    message::Asked,
    quantity::TimeSpan,
    rate::{By, Concurrency, ConcurrencyConfig, Memory, RateConfig, Rates},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_known_client_costs_no_memory() {
    let by = |parts: &[Key]| By(parts.to_vec());
    let rate = |parts| RateConfig {
        by: by(parts),
        requests: 5,
        per: TimeSpan::secs(1),
        ..RateConfig::default()
    };
    let several = [Key::Address, Key::Header("x-user".to_owned()), Key::Cookie("s".to_owned())];
    let rates = Rates::new(&[rate(&several), rate(&[Key::Path]), rate(&[])], Memory::default());
    let concurrency =
        ConcurrencyConfig { by: by(&several), most: 3, ..ConcurrencyConfig::default() };
    let concurrency = Concurrency::new(&[concurrency], Memory::default());
    let fields: &[(&str, &str)] = &[("X-User", "u1"), ("Cookie", "a=b; s=1")];
    let asked = Asked {
        client: [192, 0, 2, 7].into(),
        method: b"GET",
        host: b"shop",
        target: b"/path?query",
        fields: &fields,
    };
    let decide = || {
        let admitted = rates.ask(&rates.identify(&asked), Instant::START).admits();
        let places = [0; 4].map(|_| concurrency.enter(&asked));
        places.into_iter().flatten().for_each(|places| concurrency.leave(places));
        admitted
    };
    decide();
    let region = Region::new(ALLOCATOR);
    let admitted = (0..100).filter(|_| decide()).count();
    let change = region.change();
    assert_eq!((admitted, change.allocations, change.reallocations), (4, 0, 0));
}
