//! Collapsed misses: one request goes for what many wait for.
//!
//! When something that many ask for is not in the cache, or is no longer fresh, all of them would turn to the endpoints at once (a
//! stampede). Here the first becomes the *lead* of a flight; whoever comes while it is under way follows. Who leads, who follows and who goes
//! alone is decided in [`policy::cache::Collapse`]; here is what waits. Leads and followers may sit on different workers.
//!
//! A follower waits for the head of the lead's answer. If that is for others, it is given the answer from then on while it comes ([`Fill`]), as Varnish's busy
//! objects and Traffic Server's readers while writer are. If it is another variant than it needs, it waits for the end and looks into the
//! cache again.
//!
//! Nobody waits for nothing. A lead whose answer turns out not to be for others releases its followers as soon as the head is there, and
//! for a while nobody queues for that key (what Varnish calls hit-for-miss). A follower waits no longer than the configuration says, and not
//! when its client has gone.
//!
//! **A lead whose client leaves before there is a head hands over**: its followers wake, and the first of them leads the next flight. It does not go on
//! fetching, because here a connection to an endpoint lives in the task of its client: what nobody waits for is not fetched, and an
//! endpoint sees that at once. The price is one more request to the endpoint for each lead that leaves. Once others follow its answer, that is
//! fetched on for them ([`carry`](super::carry)).

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use policy::{
    Instant,
    cache::{Ending, KeyHash, Ticket},
};
use tokio::sync::{Notify, futures::Notified};

use super::{fill::Fill, shards::Shards};

/// A request that others wait for.
#[derive(Debug, Default)]
pub(super) struct Flight {
    over: AtomicBool,
    fill: OnceLock<Arc<Fill>>,
    news: Notify,
}

impl Flight {
    /// Rung when there is an answer, and when it ends. Look after this: what happened before rings nothing.
    pub(super) fn news(&self) -> Notified<'_> {
        self.news.notified()
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// The answer that is on its way, once its head has shown that it is for others.
    pub(super) fn fill(&self) -> Option<&Arc<Fill>> {
        self.fill.get()
    }

    /// It has ended: all who wait wake.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.news.notify_waiters();
    }
}

/// The one that goes. Dropped without a word it has failed, and hands over.
#[derive(Debug)]
pub(crate) struct Lead {
    pub(super) shards: Arc<Shards>,
    pub(super) hash: KeyHash,
    pub(super) ticket: Ticket,
    pub(super) flight: Arc<Flight>,
    /// When it began: for whoever drops it, who has no clock.
    pub(super) began: Instant,
    pub(super) done: bool,
}

impl Lead {
    /// The head of its answer is there, and it is for others: all who wait wake.
    pub(super) fn show(&self, fill: &Arc<Fill>) {
        // A lead brings one answer; were it shown two, the first would stay.
        let _ = self.flight.fill.set(Arc::clone(fill));
        self.flight.news.notify_waiters();
    }

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
