//! What the tests of the cache share: heads as tables, and the way of a request through the rules.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::{net::IpAddr, sync::Arc};

use policy::{
    Instant, Seed,
    cache::{CacheConfig, Decision, Intake, Meta, Received, Rules, Stored, Taken, Wanted, dates},
    message::{Answered, Asked, Fields},
};

/// Fields of a head.
pub(crate) type Head<'a> = &'a [(&'a str, &'a str)];

/// The wall clock when the first request comes: Sun, 06 Nov 1994 08:49:37 GMT.
pub(crate) const WALL: u64 = 784_111_777;

/// So many seconds after the first request came.
pub(crate) fn at(seconds: f64) -> Instant {
    Instant::from_secs_f64(1000.0 + seconds)
}

/// An answer that comes so many seconds after the first request came, without delay.
pub(crate) fn received(seconds: u64) -> Received {
    let now = at(seconds as f64);
    Received { sent: now, at: now, wall: WALL + seconds }
}

/// The date so many seconds after (or before) the first request came.
pub(crate) fn date(seconds: i64) -> String {
    dates::format(WALL as i64 + seconds)
}

/// A request as the rules see it.
pub(crate) fn ask<'a>(method: &'a str, target: &'a str, fields: &'a dyn Fields) -> Asked<'a> {
    Asked {
        client: IpAddr::from([127, 0, 0, 1]),
        method: method.as_bytes(),
        host: b"shop",
        target: target.as_bytes(),
        fields,
    }
}

/// A cache with these rules.
pub(crate) fn rules(change: impl FnOnce(&mut CacheConfig)) -> Rules {
    let mut config = CacheConfig { enabled: true, ..CacheConfig::default() };
    change(&mut config);
    assert_eq!(config.problem(), None, "the test's own configuration");
    Rules::new(&config, Seed(7))
}

/// What becomes of an answer to a GET.
pub(crate) fn intake(rules: &Rules, request: Head<'_>, status: u16, response: Head<'_>) -> Intake {
    let asked = ask("GET", "/a", &request);
    let wanted = rules.read(&asked);
    rules.take_in(&asked, &wanted, &Answered { status, fields: &response }, received(0))
}

/// The same where it must be kept.
pub(crate) fn taken(rules: &Rules, request: Head<'_>, status: u16, response: Head<'_>) -> Taken {
    match intake(rules, request, status, response) {
        Intake::Store(taken) => *taken,
        Intake::Leave(why) => panic!("not kept: {why:?}, {response:?}"),
    }
}

/// What is kept of an answer to a GET that came when the first request came.
pub(crate) fn meta(rules: &Rules, response: Head<'_>) -> Meta {
    taken(rules, &[], 200, response).meta
}

/// An answer in a store of the model's.
pub(crate) fn stored(meta: Meta) -> Stored<()> {
    Stored::new(Arc::new(meta), (), 100)
}

/// What is done with a GET so many seconds after the answer came.
pub(crate) fn serve(rules: &Rules, request: Head<'_>, metas: &[Meta], seconds: f64) -> Decision {
    let asked = ask("GET", "/a", &request);
    let wanted: Wanted = rules.read(&asked);
    let variants: Vec<Stored<()>> = metas.iter().cloned().map(stored).collect();
    rules.serve(&asked, &wanted, &variants, at(seconds))
}

/// The same in a word.
pub(crate) fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Fresh(_) => "fresh",
        Decision::Stale(hit) if hit.refresh => "refresh",
        Decision::Stale(_) => "stale",
        Decision::Validate(_) => "validate",
        Decision::Miss(why) => why.word(),
        Decision::OnlyIfCached => "504",
    }
}
