//! The retry budget: how much of what is sent may be sent for the second time.
//!
//! Retries turn a small fault into a storm: when everything fails, `attempts = 3` is four times the load on endpoints
//! that already have too much. A budget ties retries to requests instead (Finagle's `RetryBudget`, linkerd): each
//! request deposits a share of a token, each retry costs a whole one, and deposits that nobody used are void
//! after a window. A floor of so many a second lets little traffic retry at all. With a budget of 20 % the load
//! on the endpoints is at most 1.2 times what was asked, whatever happens.
//!
//! What holds, for every interval of time: the retries granted in it are at most
//! share × (requests in it and in the window before it) + floor × (its length + window), where floor × window counts as at least
//! one token a worker. Over a whole run: share × requests + floor × (length + window).
//!
//! Each worker has a budget of its own, with its part of the floor: nothing is shared and nothing waits. Tokens are
//! whole numbers of 2⁻³² and are always rounded down, so no error adds up over a long run. The deposits of a
//! window are kept in ten slices, oldest spent first: a deposit lasts for nine to ten tenths of the window.

use super::RetryConfig;
use crate::{Instant, time::nanos};

const TOKEN: u64 = 1 << 32;
const SLICES: usize = 10;

/// One worker's allowance of retries.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    /// What a request deposits.
    share: u64,
    /// Unspent deposits by slice of the window; `newest` is the slice of now.
    slices: [u64; SLICES],
    newest: usize,
    /// When the newest slice ends, and how long one is, in nanoseconds.
    slice_end: u64,
    slice: u64,
    /// The floor: a token bucket that fills at `floor_rate` tokens (of 2⁻³²) a second up to `floor_cap`.
    floor: u64,
    floor_rate: u64,
    floor_cap: u64,
    floor_at: Instant,
}

impl RetryBudget {
    /// The budget of one of so many workers, with the whole floor of one window to begin with.
    pub fn new(config: &RetryConfig, workers: u32, now: Instant) -> Self {
        let tokens = |amount: f64| (amount * TOKEN as f64) as u64;
        let slice = (nanos(config.window.0) / SLICES as u64).max(1);
        let floor_per_second = config.min_per_second / f64::from(workers.max(1));
        let floor = tokens(floor_per_second * config.window.0.as_secs_f64());
        let floor_rate = tokens(floor_per_second);
        Self {
            share: tokens(config.budget),
            slices: [0; SLICES],
            newest: 0,
            slice_end: now.as_nanos().saturating_add(slice),
            slice,
            floor,
            floor_rate,
            // A worker whose part is less than one token could otherwise never save one up.
            floor_cap: if floor_rate == 0 { 0 } else { floor.max(TOKEN) },
            floor_at: now,
        }
    }

    /// Counts a request (not a retry) and deposits its share.
    pub fn on_request(&mut self, now: Instant) {
        self.turn(now);
        self.slices[self.newest] = self.slices[self.newest].saturating_add(self.share);
    }

    /// Takes one token for a retry; false when there is none, and then the request must not be sent again.
    #[must_use]
    pub fn try_retry(&mut self, now: Instant) -> bool {
        self.turn(now);
        self.fill_floor(now);
        let deposits = self.slices.iter().fold(0_u64, |sum, slice| sum.saturating_add(*slice));
        if deposits.saturating_add(self.floor) < TOKEN {
            return false;
        }
        // Deposits first, the oldest before the others: they are void soon.
        let mut due = TOKEN;
        for age in 1..=SLICES {
            let slice = &mut self.slices[(self.newest + age) % SLICES];
            let taken = due.min(*slice);
            *slice -= taken;
            due -= taken;
        }
        self.floor -= due;
        true
    }

    /// Voids the slices that are older than the window.
    fn turn(&mut self, now: Instant) {
        let now = now.as_nanos();
        if now < self.slice_end {
            return;
        }
        let passed = (now - self.slice_end) / self.slice + 1;
        for _ in 0..passed.min(SLICES as u64) {
            self.newest = (self.newest + 1) % SLICES;
            self.slices[self.newest] = 0;
        }
        self.slice_end = self.slice_end.saturating_add(passed.saturating_mul(self.slice));
    }

    fn fill_floor(&mut self, now: Instant) {
        let elapsed = u128::from(now.nanos_since(self.floor_at));
        let earned = elapsed * u128::from(self.floor_rate) / 1_000_000_000;
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        if earned > 0 {
            self.floor = self.floor.saturating_add(earned).min(self.floor_cap);
            self.floor_at = self.floor_at.max(now);
        }
    }
}
