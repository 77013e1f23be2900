//! Collapsed misses: one request goes for what many wait for.
//!
//! When something that many ask for is not in the cache, or is no longer fresh, all of them would turn to the endpoints at once (a
//! stampede). Here the first becomes the *lead* of a flight; whoever comes while it is under way follows: waits until it has ended
//! and looks into the cache again. Who leads, who follows and who goes alone is decided in [`policy::cache::Collapse`]; here is what waits.
//! Leads and followers may sit on different workers.
//!
//! Nobody waits for nothing. A lead whose answer turns out not to be for others releases its followers as soon as the head is there, and
//! for a while nobody queues for that key (what Varnish calls hit-for-miss). A follower waits no longer than the configuration says, and not
//! when its client has gone.
//!
//! **A lead whose client leaves hands over**: its followers wake, and the first of them leads the next flight. It does not go on
//! fetching, because here a connection to an endpoint lives in the task of its client: what nobody waits for is not fetched, and an
//! endpoint sees that at once. The price is one more request to the endpoint for each lead that leaves.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use policy::{
    Instant,
    cache::{Ending, KeyHash, Ticket},
};
use tokio::sync::{Notify, futures::Notified};

use super::shards::Shards;

/// A request that others wait for.
#[derive(Debug, Default)]
pub(super) struct Flight {
    over: AtomicBool,
    ended: Notify,
}

impl Flight {
    /// Rung when it ends. Ask whether it [is over](Self::is_over) after this: what ended before rings nothing.
    pub(super) fn ended(&self) -> Notified<'_> {
        self.ended.notified()
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// It has ended: all who wait wake.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.ended.notify_waiters();
    }
}

/// The one that goes. Dropped without a word it has failed, and hands over.
#[derive(Debug)]
pub(crate) struct Lead {
    pub(super) shards: Arc<Shards>,
    pub(super) hash: KeyHash,
    pub(super) ticket: Ticket,
    /// When it began: for whoever drops it, who has no clock.
    pub(super) began: Instant,
    pub(super) done: bool,
}

impl Lead {
    /// What it went for is in the store.
    pub(super) fn land(self, now: Instant) {
        self.conclude(Ending::Stored, now);
    }

    /// What it brings is for nobody else: its followers go by themselves, and for a while nobody waits for this key.
    pub(super) fn release(self, now: Instant) {
        self.conclude(Ending::Uncacheable, now);
    }

    /// It brings nothing that others could use, this time.
    pub(super) fn fail(self, now: Instant) {
        self.conclude(Ending::Failed, now);
    }

    fn conclude(mut self, ending: Ending, now: Instant) {
        self.done = true;
        self.shards.end(self.hash, self.ticket, ending, now);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if !self.done {
            self.shards.end(self.hash, self.ticket, Ending::Failed, self.began);
        }
    }
}
