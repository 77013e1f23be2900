//! `retry_budget`: the retries stay within their budget, in every window of time.
//!
//! The budget says ([`policy::retry::RetryBudget`]): of the retries granted in an interval there are at most share × (requests in
//! it and in the window before it) + floor × (its length) + what the floor had saved up (a window's worth). This file counts what
//! was *made*, in slices of an eighth of a window, and compares the latest eight slices with that bound, and the whole time with the same. Between grant and
//! retry lies a wait for a place and a dial, so that the requests are counted over that much more time: a bound that is a
//! little too generous, and never too strict.

use policy::{Instant, time::nanos};
use proxy::config::ProxyConfig;

use super::Invariants;

/// Slices in a window.
const WINDOW: usize = 8;
/// More slices than this are not kept; then requests are counted from the start on.
const MOST: usize = 4096;

/// What was asked and retried lately, under one configuration.
#[derive(Debug)]
pub(super) struct Budget {
    /// Retries for each request.
    share: f64,
    /// Retries a nanosecond, and how many may have been saved up.
    floor: f64,
    saved: f64,
    /// All in nanoseconds. A retry is made at most `late` after it was granted.
    begun: u64,
    slice: u64,
    slice_end: u64,
    late: u64,
    /// Requests and retries by slice, in a ring, and where the latest is.
    slices: Vec<(u64, u64)>,
    latest: usize,
    forgets: bool,
    /// The sums of requests in all slices and of retries in the latest window.
    requests: u64,
    retries: u64,
    /// Requests that are in none of the sums yet.
    fresh: u64,
    /// Since the beginning.
    all_requests: u64,
    all_retries: u64,
}

/// How many retries there were, and how many there may have been.
#[derive(Clone, Copy, Debug)]
struct Spent {
    made: u64,
    most: f64,
    since: &'static str,
}

impl Budget {
    pub(super) fn new(config: &ProxyConfig, now: Instant) -> Self {
        let retry = &config.retry;
        let slice = (nanos(retry.window.0) / WINDOW as u64).max(1);
        // A request may wait in line again when there is no connection to be had at the endpoint that it got.
        let waits = match config.limits.endpoint_connections {
            None => 1,
            Some(_) => config.endpoints.len().max(1) as u64,
        };
        let wait = nanos(config.queue.timeout.0).saturating_mul(waits);
        let late = wait.saturating_add(nanos(config.timeouts.connect.0));
        let needed = usize::try_from(late / slice).unwrap_or(MOST).saturating_add(2 * WINDOW + 2);
        let floor = retry.min_per_second / 1e9;
        let saved = retry.min_per_second * retry.window.0.as_secs_f64();
        let at_least = if floor > 0.0 { 1.0 } else { 0.0 };
        Self {
            share: retry.budget,
            floor,
            saved: saved.max(at_least),
            begun: now.as_nanos(),
            slice,
            slice_end: now.as_nanos().saturating_add(slice),
            late,
            slices: vec![(0, 0); needed.min(MOST)],
            latest: 0,
            forgets: needed <= MOST,
            requests: 0,
            retries: 0,
            fresh: 0,
            all_requests: 0,
            all_retries: 0,
        }
    }

    /// Goes on to the slice of now.
    #[inline]
    fn turn(&mut self, now: Instant) {
        if now.as_nanos() >= self.slice_end {
            self.turn_far(now.as_nanos());
        }
    }

    /// Puts the requests of the latest slice into the sums.
    fn gather(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        self.slices[self.latest].0 += fresh;
        self.requests += fresh;
        self.all_requests += fresh;
    }

    #[cold]
    fn turn_far(&mut self, now: u64) {
        self.gather();
        let passed = (now - self.slice_end) / self.slice + 1;
        let count = self.slices.len();
        for _ in 0..passed.min(count as u64) {
            self.latest = (self.latest + 1) % count;
            let (requests, _) = std::mem::take(&mut self.slices[self.latest]);
            if self.forgets {
                self.requests -= requests;
            }
            let (_, retries) = self.slices[(self.latest + count - WINDOW) % count];
            self.retries -= retries;
        }
        self.slice_end = self.slice_end.saturating_add(passed.saturating_mul(self.slice));
    }

    #[inline]
    fn ask(&mut self, now: Instant) {
        self.turn(now);
        self.fresh += 1;
    }

    /// Counts a retry, and looks at the latest window and at the whole time.
    fn retry(&mut self, now: Instant) -> [Spent; 2] {
        self.turn(now);
        self.gather();
        self.slices[self.latest].1 += 1;
        self.retries += 1;
        self.all_retries += 1;
        let elapsed = now.as_nanos().saturating_sub(self.begun);
        let window = self.slice.saturating_mul(WINDOW as u64);
        let length = if self.forgets { elapsed.min(window + self.late) } else { elapsed };
        let most = |requests: u64, time: u64| {
            self.share * requests as f64 + self.saved + self.floor * time as f64
        };
        let whole = most(self.all_requests, elapsed);
        [
            Spent {
                made: self.retries,
                most: most(self.requests, length),
                since: "in the latest window",
            },
            Spent { made: self.all_retries, most: whole, since: "under this configuration" },
        ]
    }
}

impl Invariants {
    /// A request came that will be passed on.
    #[inline]
    pub fn asked(&mut self, now: Instant, configuration: u32) {
        self.book.setup(configuration).budget.ask(now);
    }

    /// A request turns to an endpoint once more.
    pub(super) fn retried(&mut self, now: Instant, configuration: u32) {
        self.budget.check();
        let spent = self.book.setup(configuration).budget.retry(now);
        // Sums of fractions are not exact.
        let over = |spent: &Spent| spent.made as f64 > spent.most + 1e-6;
        if let Some(Spent { made, most, since }) = spent.into_iter().find(over) {
            let at = self.at(now);
            self.budget.fail(|| {
                format!("{at} {made} retries had been made {since}, and {most:.1} may be")
            });
        }
    }
}
