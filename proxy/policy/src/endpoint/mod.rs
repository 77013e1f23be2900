//! One endpoint of an upstream, as every worker sees it: who it is, how busy it is, whether it is ready.
//!
//! The figures are atomics, because all workers share them and none may wait for another. An endpoint fills a pair of cache
//! lines of its own (`align(128)`: processors fetch lines in pairs), so that two workers that use two endpoints never
//! touch the same line, and a balancer that compares loads reads one place for each endpoint.
//!
//! Whether it is ready is one word: how long it is ejected, whether it is down, whether it drains, and which
//! [`Endpoints`] it belongs to. One word, so that a reader needs one load and a writer one compare-and-swap; and the
//! set's mark is in it, so that a set which a reload has replaced cannot change an endpoint that it no longer
//! owns: the figures of the new set (how many are ejected, when the next returns) stay exact.

use std::{
    fmt,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use crate::Instant;

mod candidates;
mod set;
mod tiers;

pub use candidates::{Candidates, View};
pub use set::Endpoints;
pub(crate) use tiers::{OVERPROVISIONING, priorities};
pub use tiers::{Tier, Tiers};

/// How a request to an endpoint ended, as far as the endpoint is to be judged by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was answered.
    Success,
    /// It was not answered, or answered with a status that counts as a failure.
    Failure,
    /// The client gave it up, or the proxy did: says nothing about the endpoint.
    Cancelled,
}

/// What an active health check has found an endpoint to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// It answers again.
    Up,
    /// It no longer answers.
    Down,
}

/// The state word: 48 bits of microseconds at which an ejection ends (0: not ejected; they last for 8.9 years of
/// run time), two flags, and the mark of the set that may change it. A word that is 0 below the mark is "ready".
const EJECTED: u64 = (1 << 48) - 1;
const DOWN: u64 = 1 << 48;
const DRAINING: u64 = 1 << 49;
const OWNER: u64 = !(EJECTED | DOWN | DRAINING);
const OWNER_SHIFT: u32 = 50;

/// The count word: how many requests are in flight, and above that how many have begun, so that beginning one is one
/// atomic addition and not two. There is memory for four million requests in flight nowhere, and those that have begun count from 0
/// again after four million million.
const IN_FLIGHT_BITS: u32 = 22;
const IN_FLIGHT: u64 = (1 << IN_FLIGHT_BITS) - 1;
const BEGUN: u64 = 1 << IN_FLIGHT_BITS;

/// What stands in for a time of warming up.
const WARM: u64 = 0;
const COLD: u64 = u64::MAX;

/// One endpoint: what the configuration says of it, and its figures, shared by all workers.
#[repr(align(128))]
pub struct Endpoint {
    /// Its name in logs and figures.
    pub name: String,
    /// Its share, relative to the others; at least 1.
    pub weight: u32,
    /// Requests in flight at once; `u32::MAX` for no limit.
    pub max_in_flight: u32,
    /// Its tier: those of a lower number are used first ([`Tiers`]).
    pub priority: u8,
    count: AtomicU64,
    state: AtomicU64,
    failures: AtomicU64,
    consecutive_failures: AtomicU32,
    times_ejected: AtomicU32,
    /// When the latest ejection ended or will end, in nanoseconds; 0 before the first.
    last_return: AtomicU64,
    /// Since when it warms up, in nanoseconds; `WARM` if it was there from the start, `COLD` until it is first looked at.
    warms_since: AtomicU64,
}

impl Endpoint {
    /// An endpoint that is up and idle. A weight of 0 is taken for 1, and so is a limit of 0.
    pub fn new(name: impl Into<String>, weight: u32, max_in_flight: u32) -> Self {
        Self {
            name: name.into(),
            weight: weight.max(1),
            max_in_flight: max_in_flight.max(1),
            priority: 0,
            count: AtomicU64::new(0),
            state: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            consecutive_failures: AtomicU32::new(0),
            times_ejected: AtomicU32::new(0),
            last_return: AtomicU64::new(0),
            warms_since: AtomicU64::new(WARM),
        }
    }

    /// The same in another tier than the first.
    #[must_use]
    pub fn with_priority(self, priority: u8) -> Self {
        Self { priority, ..self }
    }

    /// It is new, or has come back: it may need to warm up ([`slow_start`](crate::balance::slow_start)).
    pub fn cool(&self) {
        self.warms_since.store(COLD, Relaxed);
    }

    /// It is the process that `former` is, under another weight or limit: as warm as that.
    pub fn as_warm_as(&self, former: &Self) {
        self.warms_since.store(former.warms_since.load(Relaxed), Relaxed);
    }

    /// Since when it warms up; nothing if it was there from the start. Who looks first says when that is: `now`.
    pub(crate) fn warms_since(&self, now: Instant) -> Option<Instant> {
        let now = now.as_nanos().clamp(WARM + 1, COLD - 1);
        let stamp = |since: u64| (since == COLD).then_some(now);
        match self.warms_since.fetch_update(Relaxed, Relaxed, stamp) {
            Ok(_) => Some(Instant::from_nanos(now)),
            Err(WARM) => None,
            Err(since) => Some(Instant::from_nanos(since)),
        }
    }

    /// Counts one more request in flight, unless the endpoint is at its limit. Pair it with [`end`](Self::end).
    #[must_use]
    pub fn try_begin(&self) -> bool {
        if self.max_in_flight == u32::MAX {
            self.count.fetch_add(BEGUN + 1, Relaxed);
            return true;
        }
        let most = u64::from(self.max_in_flight);
        let room = |count: u64| (count & IN_FLIGHT < most).then(|| count.wrapping_add(BEGUN + 1));
        self.count.fetch_update(Relaxed, Relaxed, room).is_ok()
    }

    /// One request in flight fewer: exactly once for each [`try_begin`](Self::try_begin) that succeeded.
    pub fn end(&self) {
        let before = self.count.fetch_sub(1, Relaxed) & IN_FLIGHT;
        debug_assert!(before > 0, "`end` without `try_begin`");
        if before == 0 {
            // Better one request too few in the count than an endpoint that is full for ever.
            self.count.fetch_add(1, Relaxed);
        }
    }

    /// Requests in flight, over all workers.
    pub fn in_flight(&self) -> u32 {
        (self.count.load(Relaxed) & IN_FLIGHT) as u32
    }

    /// Whether it is at its limit.
    pub fn is_full(&self) -> bool {
        self.in_flight() >= self.max_in_flight
    }

    /// Whether active health checks find it up; it starts up.
    pub fn is_up(&self) -> bool {
        self.state.load(Relaxed) & DOWN == 0
    }

    /// Whether it is ejected because its answers went wrong.
    pub fn is_ejected(&self) -> bool {
        self.state.load(Relaxed) & EJECTED != 0
    }

    /// Whether it finishes what it has and takes nothing new.
    pub fn is_draining(&self) -> bool {
        self.state.load(Relaxed) & DRAINING != 0
    }

    /// Whether it is up, not ejected and not draining.
    pub fn is_ready(&self) -> bool {
        self.state.load(Relaxed) & !OWNER == 0
    }

    /// When its ejection ends, if it is ejected.
    pub fn ejected_until(&self) -> Option<Instant> {
        ejection(self.state.load(Relaxed))
    }

    /// Requests begun, over all workers.
    pub fn requests(&self) -> u64 {
        self.count.load(Relaxed) >> IN_FLIGHT_BITS
    }

    /// Requests that ended in [`Outcome::Failure`].
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Failures since the last success or the last ejection.
    pub fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures.load(Relaxed)
    }

    /// By how many times the base the latest ejection lasted (before the cap); good periods since are not yet taken off.
    pub fn times_ejected(&self) -> u32 {
        self.times_ejected.load(Relaxed)
    }

    /// Load relative to weight as a fraction: what one more request would make of it.
    pub(crate) fn load(&self) -> Load {
        Load { requests: u64::from(self.in_flight()) + 1, weight: u64::from(self.weight) }
    }

    /// Counts a success: the run of failures is over.
    pub(crate) fn succeeded(&self) {
        // A load is cheaper than a store to a line that others read, and it is nearly always 0.
        if self.consecutive_failures.load(Relaxed) != 0 {
            self.consecutive_failures.store(0, Relaxed);
        }
    }

    /// Counts a failure; how many there have been in a row.
    pub(crate) fn failed(&self) -> u32 {
        self.failures.fetch_add(1, Relaxed);
        self.consecutive_failures.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// When the latest ejection ended or will end; the start before the first.
    pub(crate) fn last_return(&self) -> Instant {
        Instant::from_nanos(self.last_return.load(Relaxed))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("weight", &self.weight)
            .field("in_flight", &self.in_flight())
            .field("up", &self.is_up())
            .field("draining", &self.is_draining())
            .field("ejected_until", &self.ejected_until())
            .finish_non_exhaustive()
    }
}

/// Requests by weight, compared without division: exact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    requests: u64,
    weight: u64,
}

impl Load {
    /// Both factors are at most 2³², so neither product can overflow.
    pub(crate) fn compare(self, other: Self) -> std::cmp::Ordering {
        (self.requests * other.weight).cmp(&(other.requests * self.weight))
    }
}

/// The end of the ejection that a state word holds.
fn ejection(word: u64) -> Option<Instant> {
    match word & EJECTED {
        0 => None,
        micros => Some(Instant::from_nanos(micros * 1000)),
    }
}

/// An instant as an ejection's end: in whole microseconds, rounded up, within 1 to 48 bits.
fn ejection_bits(until: Instant) -> u64 {
    until.as_nanos().div_ceil(1000).clamp(1, EJECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_its_cache_lines_to_itself() {
        assert_eq!((size_of::<Endpoint>(), align_of::<Endpoint>()), (128, 128));
    }

    #[test]
    fn the_limit_is_kept_and_given_back() {
        let endpoint = Endpoint::new("a", 0, 2);
        assert_eq!(endpoint.weight, 1);
        assert!(endpoint.try_begin() && endpoint.try_begin());
        assert!(endpoint.is_full() && !endpoint.try_begin());
        endpoint.end();
        assert!(!endpoint.is_full() && endpoint.try_begin());
        assert_eq!((endpoint.in_flight(), endpoint.requests()), (2, 3));
    }

    #[test]
    fn loads_are_compared_by_weight() {
        let (light, heavy) =
            (Endpoint::new("a", 1, 9), Endpoint::new("b", IN_FLIGHT as u32, u32::MAX));
        assert!(light.load().compare(heavy.load()).is_gt());
        heavy.count.store(IN_FLIGHT, Relaxed);
        assert!(light.load().compare(heavy.load()).is_lt());
    }
}
