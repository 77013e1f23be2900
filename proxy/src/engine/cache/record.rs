//! A response is stored while it goes to its client.
//!
//! A recorder looks on while the body passes and copies it aside, in the order of its bytes and never more than the largest object may have.
//! When the body has ended as its framing said, the whole goes into the store at once: nobody finds half of it there. Where it
//! grows too large, or where so much is being recorded that half of the cache's size would be needed for it, it is not stored, and
//! the body goes on without. Where it breaks off, because the endpoint dies or nobody is left who wants it, the recorder is dropped with what it had.
//!
//! Those who asked for the same meanwhile are given it as it comes ([`Fill`](super::fill::Fill)), and whoever waits for it ([`Lead`]) hears of each of these ends.

use std::{sync::Arc, task::Context};

use bytes::Bytes;
use net::Clock;
use policy::cache::{
    KeyHash, Meta, Stored,
    combine::{self, Joined, Side},
};

use super::{
    super::stats::WorkerStats,
    fill::{Audience, Follower, Source},
    flights::Lead,
    object::{Draft, Object},
    second::Second,
    shards::Shards,
};

/// Where a response goes in the store.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) shards: Arc<Shards>,
    pub(super) hash: KeyHash,
    pub(super) key: Box<[u8]>,
    /// The largest body that is stored.
    pub(super) most: u64,
    /// Where else it goes.
    pub(super) second: Option<Box<Second>>,
}

/// Copies a body aside.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(super) spot: Spot,
    // Before the lead: where both are dropped, those who follow learn that it broke off before others begin anew.
    pub(super) source: Source,
    pub(super) lead: Option<Lead>,
    pub(super) clock: Clock,
    pub(super) stats: Arc<WorkerStats>,
}

impl Recorder {
    /// Content passes.
    pub(crate) fn content(&mut self, piece: &[u8]) {
        if !self.source.push(piece, self.spot.most)
            && let Some(lead) = self.lead.take()
        {
            lead.release(self.clock.now());
        }
    }

    /// The body is complete.
    pub(crate) fn finish(self) {
        let Self { spot, source, lead, clock, stats } = self;
        let Some(body) = source.complete() else { return };
        // A part that is shorter or longer than it says is dropped, and with it the lead.
        let fill = &source.0;
        if !fill.meta.fits(body.len() as u64) {
            return;
        }
        spot.store(fill.head.with_body(body), Arc::clone(&fill.meta));
        stats.cache.stored.add(1);
        if let Some(lead) = lead {
            lead.land(clock.now());
        }
    }

    /// Who else is given it. The caller is woken when that has changed.
    pub(super) fn audience(&self, cx: &Context<'_>) -> Audience {
        self.source.audience(cx)
    }

    /// Whether others are given it.
    pub(super) fn is_followed(&self) -> bool {
        self.source.is_followed()
    }

    /// Its own client is given it as those others are.
    pub(super) fn join(&self) -> Follower {
        self.source.join()
    }
}

/// Memory for what is not stored yet, out of what all recorders together may have.
#[derive(Debug)]
pub(super) struct Room {
    shards: Arc<Shards>,
    taken: u64,
}

impl Room {
    /// None so far.
    pub(super) fn new(shards: &Arc<Shards>) -> Self {
        Self { shards: Arc::clone(shards), taken: 0 }
    }

    /// Whether there is room for so many bytes.
    pub(super) fn covers(&mut self, bytes: u64) -> bool {
        if bytes <= self.taken {
            return true;
        }
        // A step ahead, or the very bytes where there is no more.
        let taken = [bytes.next_multiple_of(STEP), bytes]
            .into_iter()
            .find(|wanted| self.shards.take_room(wanted - self.taken));
        self.taken = taken.unwrap_or(self.taken);
        taken.is_some()
    }

    /// How much it has.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn give_back(&mut self) {
        self.shards.give_room(std::mem::take(&mut self.taken));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Room is taken in steps of so many bytes.
const STEP: u64 = 64 << 10;

impl Spot {
    /// Puts it into the store; a part together with the parts that are there, where they are of the same bytes.
    pub(super) fn store(&self, object: Object, meta: impl Into<Arc<Meta>>) {
        let meta = meta.into();
        let (object, meta) = match meta.part {
            Some(_) => {
                let (object, meta) = self.joined(object, Arc::unwrap_or_clone(meta));
                (object, Arc::new(meta))
            }
            None => (object, meta),
        };
        if let Some(second) = &self.second {
            second.keep(&self.key, &object, &meta);
        }
        let size = object.size();
        let stored = Stored::new(meta, Arc::new(object), size);
        self.shards.put(self.hash, &self.key, stored);
    }

    /// Forgets this one, which is no longer true.
    pub(super) fn forget(&self, object: &Arc<Object>) {
        self.shards.remove(self.hash, &self.key, object);
        if let Some(second) = &self.second {
            second.forget(self.hash, &self.key);
        }
    }

    fn joined(&self, mut object: Object, mut meta: Meta) -> (Object, Meta) {
        let kept = self.shards.lock(self.hash).store.peek(self.hash, &self.key).map(<[_]>::to_vec);
        for Stored { meta: known, value, .. } in kept.unwrap_or_default() {
            let Some(Joined { part, first, second }) = combine::join(&known, &meta) else {
                continue;
            };
            if first.length + second.length > self.most {
                continue;
            }
            let mut body = Vec::with_capacity((first.length + second.length) as usize);
            for piece in [first, second] {
                let of = if piece.of == Side::Kept { value.body() } else { object.body() };
                let from = piece.from as usize;
                body.extend_from_slice(&of[from..from + piece.length as usize]);
            }
            let (status, reason) =
                if part.is_some() { (206, "Partial Content") } else { (200, "OK") };
            let mut draft = Draft::new(status, reason.as_bytes());
            object.fields().for_each(|(name, value)| draft.field(name, value));
            object = draft.finish(object.own(), Bytes::from(body));
            (meta.part, meta.status) = (part, status);
        }
        (object, meta)
    }
}
