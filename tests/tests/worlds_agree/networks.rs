//! The network in memory against turmoil's.
//!
//! They have no line about time, links or streams in common. turmoil moves in ticks of 10 µs here, and a packet arrives in the tick
//! after the one in which its time has come: a request crosses four links, so it takes up to some 100 µs longer, and every
//! service begins that much later, which where a queue is never empty adds up. A dial that a cut swallows is tried again by
//! different code at the same times.

use scenarios::sim::Network::{Memory, Turmoil};

use crate::{
    compare::{Bounds, apart},
    in_sim, only, show,
};

/// A tick for each crossing, and for each of the services before it in the queue.
const TICKS: Bounds =
    Bounds { part: 0.01, tail: 0.01, ms: 0.2, rate: 0.002, share: 0.5, errors: 0.003, few: 1.0 };

fn agree(name: &str) {
    let scenario = only(name);
    let seed = 1;
    let (memory, turmoil) = (in_sim(&scenario, seed, Memory), in_sim(&scenario, seed, Turmoil));
    show(
        name,
        &apart(&memory, &turmoil, Bounds { part: 0.0, tail: 0.0, ms: 0.0, rate: 0.0, ..TICKS }),
    );
    let found = apart(&memory, &turmoil, TICKS);
    assert!(found.is_empty(), "{name}, seed {seed}:\n{found:#?}");
}

#[test]
fn a_queue() {
    agree("queue");
}

#[test]
fn a_slow_link_a_cut_one_and_cut_clients() {
    agree("links");
}

#[test]
fn refusals_that_are_tried_elsewhere() {
    agree("live/refusals");
}

#[test]
fn turns_with_kept_connections_and_without() {
    agree("live/turns");
}
