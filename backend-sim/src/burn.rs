//! Work that keeps a processor busy: a chain of hashes as long as it takes.
//!
//! Each hash needs the one before, so no compiler and no superscalar core can shorten the chain. How many fit into a
//! nanosecond is measured once a process. It is work that is fixed, not time: on a core that is shared, it takes longer.

use std::{cell::Cell, hint::black_box, sync::OnceLock, time::Duration};

use net::Clock;
use policy::rng::mix;

/// Hashes in a nanosecond, on this machine.
static RATE: OnceLock<f64> = OnceLock::new();

/// Burns.
#[derive(Debug)]
pub(crate) struct Burner {
    rate: f64,
    chain: Cell<u64>,
}

impl Burner {
    /// A burner; `None` where time stands still while a processor works, as in simulated time.
    pub(crate) fn for_clock(clock: &Clock) -> Option<Self> {
        let begin = clock.now();
        black_box(hashes(1, 1 << 14));
        if clock.now() == begin {
            return None;
        }
        Some(Self { rate: *RATE.get_or_init(|| calibrate(clock)), chain: Cell::new(0) })
    }

    /// Works as long as `time` takes on an idle core.
    pub(crate) fn burn(&self, time: Duration) {
        let count = time.as_nanos() as f64 * self.rate;
        self.chain.set(hashes(self.chain.get(), count as u64));
    }
}

fn hashes(start: u64, count: u64) -> u64 {
    let mut value = start;
    for _ in 0..count {
        value = mix(value);
    }
    black_box(value)
}

/// The best of five: whatever else the machine does can only make it look slower.
fn calibrate(clock: &Clock) -> f64 {
    const ENOUGH: u64 = 2_000_000;
    let timed = |count: u64| {
        let begin = clock.now();
        black_box(hashes(count, count));
        clock.now().nanos_since(begin).max(1)
    };
    let mut count = 1 << 14;
    while count < 1 << 40 && timed(count) < ENOUGH {
        count *= 2;
    }
    let best = (0..5).map(|_| timed(count)).min().unwrap_or(1);
    count as f64 / best as f64
}
