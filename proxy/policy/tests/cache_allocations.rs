//! What a hit costs: no allocation, from the request's head to `Cache-Status`.

mod caching;

use std::alloc::System;

use caching::{Head, ask, at, rules, stored, taken, word};
use policy::cache::{CacheStatus, Decision, Shape, Store};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_hit_allocates_nothing() {
    let rules = rules(|_| {});
    let request: Head<'_> = &[
        ("Host", "shop"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Accept-Language", "de,en-US;q=0.7,en;q=0.3"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Cookie", "lang=de; theme=dark"),
        ("Cache-Control", "max-age=600"),
    ];
    let response: Head<'_> = &[
        ("Cache-Control", "public, max-age=600"),
        ("ETag", "\"a\""),
        ("Vary", "Accept-Encoding, Accept-Language"),
    ];
    let mut store: Store<()> = Store::new(1 << 20, 8);
    let mut key = Vec::with_capacity(256);
    let mut out = Vec::with_capacity(256);
    let asked = ask("GET", "/products/4711?page=2", &request);
    let hash = rules.key(&asked, &mut key);
    let _ = store.put(hash, &key, stored(taken(&rules, request, 200, response).meta));
    // The test harness has a thread of its own that allocates when it likes; it does not do so in each of many rounds.
    let cleanest = (1..20).map(|_| {
        let region = Region::new(ALLOCATOR);
        for second in 1..100 {
            let wanted = rules.read(&asked);
            let _ = rules.gate(&asked, &wanted);
            let hash = rules.key(&asked, &mut key);
            let variants = store.get(hash, &key).unwrap_or_default();
            let decision = rules.serve(&asked, &wanted, variants, at(f64::from(second)));
            assert_eq!(word(&decision), "fresh");
            let Decision::Fresh(hit) = decision else { continue };
            assert_eq!(
                rules.shape(&asked, &wanted, &variants[hit.variant].meta, 100),
                Shape::Whole
            );
            out.clear();
            CacheStatus { cache: "windtunnel", ttl: Some(hit.ttl), ..CacheStatus::default() }
                .write(&mut out);
        }
        let change = region.change();
        change.allocations + change.reallocations
    });
    assert_eq!(cleanest.min(), Some(0));
}
