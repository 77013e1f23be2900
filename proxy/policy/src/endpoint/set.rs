//! The endpoints of one upstream: what is shared by all workers beyond each endpoint's own figures.
//!
//! A generation number moves whenever who is ready may have changed. Workers compare it with the one that
//! they have seen, one load a request, and rebuild their own lists and tables only when it moved: readiness changes
//! a few times a minute and is asked for a million times a second.

use std::sync::{
    Arc,
    atomic::{
        AtomicBool, AtomicU32, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
};

use super::{
    DOWN, DRAINING, EJECTED, Endpoint, OWNER, OWNER_SHIFT, Transition, ejection, ejection_bits,
};
use crate::{Instant, rng::mix};

/// Distinguishes sets from each other. Its numbers mean nothing and are only compared for equality, so
/// that no result depends on what else the process has made.
static SETS: AtomicU64 = AtomicU64::new(1);

/// The endpoints of one upstream, shared by its workers.
///
/// An endpoint belongs to the set that it was last given to. After a reload, make a set of the survivors and the
/// newcomers: it takes over who is down, draining or ejected, and whatever is still said to the old set about an
/// endpoint that has moved is ignored. Who still picks from the old set has to see what the new one does to its endpoints:
/// tell the old one that it is [superseded](Self::supersede).
#[derive(Debug)]
pub struct Endpoints {
    list: Box<[Arc<Endpoint>]>,
    /// This set's mark in the state words of its endpoints.
    owner: u64,
    shared: Shared,
}

/// On cache lines of their own: read for every request, written seldom.
#[derive(Debug)]
#[repr(align(128))]
struct Shared {
    generation: AtomicU64,
    superseded: AtomicBool,
    /// Never less than the number of endpoints whose word says that they are ejected.
    ejected: AtomicU32,
    /// Nanoseconds; never later than the earliest end of an ejection, `u64::MAX` when there is none.
    next_return: AtomicU64,
}

impl Endpoints {
    /// A set of these endpoints, in this order: an endpoint's index is its place here.
    pub fn new(list: Vec<Arc<Endpoint>>) -> Self {
        let id = SETS.fetch_add(1, Relaxed);
        let owner = id << OWNER_SHIFT;
        let (mut ejected, mut next_return) = (0, Instant::NEVER);
        for endpoint in &list {
            let claim = |word: u64| Some(word & !OWNER | owner);
            let word = endpoint.state.fetch_update(AcqRel, Acquire, claim).unwrap_or(0);
            if let Some(until) = ejection(word) {
                ejected += 1;
                next_return = next_return.min(until);
            }
        }
        Self {
            list: list.into_boxed_slice(),
            owner,
            shared: Shared {
                generation: AtomicU64::new(id << 32),
                superseded: AtomicBool::new(false),
                ejected: AtomicU32::new(ejected),
                next_return: AtomicU64::new(next_return.as_nanos()),
            },
        }
    }

    /// The endpoints; an index is a place in this list.
    pub fn list(&self) -> &[Arc<Endpoint>] {
        &self.list
    }

    /// A number that moves whenever who is ready may have changed; two sets never share one.
    pub fn generation(&self) -> u64 {
        let own = self.shared.generation.load(Acquire);
        if !self.shared.superseded.load(Acquire) {
            return own;
        }
        // Another set changes its endpoints and cannot tell it so: it looks for itself. Only requests that began before a
        // reload pay for that.
        let states = self.list.iter().map(|endpoint| endpoint.state.load(Acquire) & !OWNER);
        let digest = states.fold(own, |digest, state| mix(digest ^ state));
        own >> 32 << 32 | digest & u64::from(u32::MAX)
    }

    /// Endpoints of this set have been given to another one, and requests may still be picked for from this one.
    pub fn supersede(&self) {
        self.shared.superseded.store(true, Release);
    }

    /// How many are ejected.
    pub fn ejected(&self) -> u32 {
        self.shared.ejected.load(Relaxed)
    }

    /// When the next ejection ends, or a little earlier; [`Instant::NEVER`] when none is ejected. One load: ask before
    /// each pick, and call [`outlier::expire`](crate::outlier::expire) when it has come.
    pub fn next_return(&self) -> Instant {
        Instant::from_nanos(self.shared.next_return.load(Relaxed))
    }

    /// Records what active health checks have found. An endpoint that comes back from being down is also no
    /// longer ejected: what it was ejected for happened before it was down, to what may be another process.
    pub fn set_up(&self, index: u32, transition: Transition) {
        let before = self.change(index, |word| match transition {
            Transition::Up if word & DOWN != 0 => word & !(DOWN | EJECTED),
            Transition::Up => word,
            Transition::Down => word | DOWN,
        });
        if let Some((word, endpoint)) = before
            && transition == Transition::Up
        {
            endpoint.succeeded();
            if word & EJECTED != 0 {
                self.release();
            }
        }
    }

    /// The endpoint finishes what it has and takes nothing new.
    pub fn set_draining(&self, index: u32) {
        self.change(index, |word| word | DRAINING);
    }

    /// The endpoint takes requests again.
    pub fn set_serving(&self, index: u32) {
        self.change(index, |word| word & !DRAINING);
    }

    /// Ejects an endpoint that is up and not ejected, if that leaves at most `limit` ejected; until when.
    pub(crate) fn eject(
        &self,
        index: u32,
        until: Instant,
        times: u32,
        limit: u32,
    ) -> Option<Instant> {
        // First the place, then the endpoint: never more than `limit` at any moment.
        let reserve = |n: u32| (n < limit).then(|| n + 1);
        self.shared.ejected.fetch_update(AcqRel, Acquire, reserve).ok()?;
        let bits = ejection_bits(until);
        let fits = |word: u64| word & (EJECTED | DOWN) == 0;
        let Some((_, endpoint)) =
            self.change(index, |word| if fits(word) { word | bits } else { word })
        else {
            self.release();
            return None;
        };
        let until = Instant::from_nanos(bits * 1000);
        endpoint.consecutive_failures.store(0, Relaxed);
        endpoint.times_ejected.store(times, Relaxed);
        endpoint.last_return.store(until.as_nanos(), Relaxed);
        self.shared.next_return.fetch_min(until.as_nanos(), AcqRel);
        Some(until)
    }

    /// Ends the ejections whose time is over; how many. `next_return` is exact afterwards.
    pub(crate) fn expire(&self, now: Instant) -> u32 {
        if now < self.next_return() {
            return 0;
        }
        // Emptied before the scan: an ejection that the scan misses comes after it and lowers it again.
        self.shared.next_return.swap(u64::MAX, AcqRel);
        let mut expired = 0;
        for (index, endpoint) in self.list.iter().enumerate() {
            let over = |word: u64| ejection(word).is_some_and(|until| until <= now);
            let clear = |word: u64| if over(word) { word & !EJECTED } else { word };
            if self.change(index as u32, clear).is_some() {
                self.release();
                expired += 1;
            }
            // An end that is over and still there is another set's business.
            if let Some(until) = endpoint.ejected_until().filter(|until| *until > now) {
                self.shared.next_return.fetch_min(until.as_nanos(), AcqRel);
            }
        }
        expired
    }

    /// Changes an endpoint's state word and moves the generation. The word as it was; nothing when the change changes
    /// nothing, or the endpoint belongs to another set by now.
    fn change(&self, index: u32, change: impl Fn(u64) -> u64) -> Option<(u64, &Endpoint)> {
        let endpoint = self.list.get(index as usize)?;
        let step = |word: u64| {
            let changed = change(word);
            (changed != word && word & OWNER == self.owner).then_some(changed)
        };
        let before = endpoint.state.fetch_update(AcqRel, Acquire, step).ok()?;
        // Before the generation moves: whoever sees it come back must see that it is cold.
        if before & !OWNER != 0 && change(before) & !OWNER == 0 {
            endpoint.cool();
        }
        self.shared.generation.fetch_add(1, Release);
        Some((before, endpoint))
    }

    /// One fewer is ejected: only after its word says so.
    fn release(&self) {
        self.shared.ejected.fetch_sub(1, AcqRel);
    }
}
