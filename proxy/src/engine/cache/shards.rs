//! What all workers of a proxy share of the cache: the store, in shards, and who is under way for what.
//!
//! A key belongs to one shard, by its hash. A shard is a short lock around plain memory: what is done under it is to find an entry, to
//! decide whether it may be used, and to count a reference up; never a copy of a body, never I/O, and nobody waits for anything while
//! holding it. The same lock covers the flights of the shard's keys, so that nobody can find nothing in the store and nobody
//! under way where both have just changed places.
//!
//! How many shards there are depends on the configuration alone, never on the machine, so that the same seed gives the same run everywhere.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use policy::{
    Instant,
    cache::{CacheConfig, Collapse, Ending, KeyHash, Mode, Purge, Role, Store, Stored, Ticket},
};

use super::{
    flights::{Flight, Lead},
    object::Object,
};

/// The most shards. There are fewer where a shard would not hold a few of the largest objects.
const MOST: u64 = 16;

/// Requests of the cache's own at a time, over all workers.
const REFRESHES: u32 = 64;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shards {
    list: Box<[Mutex<Shard>]>,
    refreshes: AtomicU32,
    evictions: AtomicU64,
    /// Bytes of what is being recorded, and how many there may be.
    recorded: AtomicU64,
    most_recorded: u64,
}

/// What is under one lock.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) store: Store<Arc<Object>>,
    collapse: Collapse,
    flights: BTreeMap<KeyHash, Arc<Flight>>,
}

/// What a request is to a flight.
#[derive(Debug)]
pub(super) enum Seat {
    /// It goes, and others may wait for it.
    Lead(Lead),
    /// It waits for this one, until then at most.
    Follower(Arc<Flight>, Instant),
    /// It goes alone.
    Alone,
}

/// A place among the cache's own requests.
#[derive(Debug)]
pub(super) struct RefreshPlace(Arc<Shards>);

impl Drop for RefreshPlace {
    fn drop(&mut self) {
        self.0.refreshes.fetch_sub(1, Relaxed);
    }
}

/// What is in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheContent {
    /// Responses.
    pub objects: u64,
    /// The memory that they take.
    pub bytes: u64,
    /// How many have made room for others so far.
    pub evictions: u64,
    /// Requests that others wait for, or may.
    pub under_way: u64,
}

impl Shards {
    /// As the proxy's own section says.
    pub(crate) fn new(config: &CacheConfig) -> Self {
        let count = (config.size.0 / config.object.0.saturating_mul(4).max(1)).clamp(1, MOST);
        let shard = |_| {
            let store = Store::new(config.size.0 / count, config.variants);
            let collapse = Collapse::new(&config.collapse);
            Mutex::new(Shard { store, collapse, flights: BTreeMap::new() })
        };
        Self {
            list: (0..count).map(shard).collect(),
            refreshes: AtomicU32::new(0),
            evictions: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            // The largest object has room: it is no larger than that.
            most_recorded: config.size.0 / 2,
        }
    }

    /// Takes so many bytes of the room for what is being recorded, if they are there.
    pub(super) fn take_room(&self, bytes: u64) -> bool {
        let more = |recorded: u64| {
            recorded.checked_add(bytes).filter(|recorded| *recorded <= self.most_recorded)
        };
        self.recorded.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Gives them back.
    pub(super) fn give_room(&self, bytes: u64) {
        self.recorded.fetch_sub(bytes, Relaxed);
    }

    /// Whether what is stored by one configuration can go on under another.
    pub(crate) fn fits(before: &CacheConfig, after: &CacheConfig) -> bool {
        let of = |config: &CacheConfig| {
            (config.size, config.object, config.variants, config.collapse, config.tags.clone())
        };
        of(before) == of(after)
    }

    /// The shard of this key.
    pub(super) fn lock(&self, hash: KeyHash) -> MutexGuard<'_, Shard> {
        // What it guards is whole after each call, even if somebody panicked between two.
        self.list[hash.shard(self.list.len())].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request for this key, which found nothing that it may have, goes or waits. `since` is when it began to wait, if it did.
    pub(super) fn board(
        self: &Arc<Self>,
        shard: &mut Shard,
        hash: KeyHash,
        now: Instant,
        since: Option<Instant>,
    ) -> Seat {
        match shard.collapse.ask(hash, now, since) {
            Role::Alone => Seat::Alone,
            Role::Lead(ticket) => {
                let flight: Arc<Flight> = Arc::default();
                shard.flights.insert(hash, Arc::clone(&flight));
                let shards = Arc::clone(self);
                Seat::Lead(Lead { shards, hash, ticket, flight, began: now, done: false })
            }
            Role::Follow { until, .. } => match shard.flights.get(&hash) {
                Some(flight) => Seat::Follower(Arc::clone(flight), until),
                None => Seat::Alone,
            },
        }
    }

    /// The same for a request of the cache's own, which waits for nobody: nothing if somebody is under way.
    pub(super) fn lead(
        self: &Arc<Self>,
        shard: &mut Shard,
        hash: KeyHash,
        now: Instant,
    ) -> Option<(Lead, RefreshPlace)> {
        let more = |count: u32| (count < REFRESHES).then(|| count + 1);
        self.refreshes.fetch_update(Relaxed, Relaxed, more).ok()?;
        let place = RefreshPlace(Arc::clone(self));
        match self.board(shard, hash, now, None) {
            Seat::Lead(lead) => Some((lead, place)),
            Seat::Follower(..) | Seat::Alone => None,
        }
    }

    /// A flight has ended.
    pub(super) fn end(&self, hash: KeyHash, ticket: Ticket, ending: Ending, now: Instant) {
        let mut shard = self.lock(hash);
        shard.collapse.end(hash, ticket, ending, now);
        let flight = shard.flights.remove(&hash);
        drop(shard);
        if let Some(flight) = flight {
            flight.end();
        }
    }

    /// Stores a response.
    pub(super) fn put(&self, hash: KeyHash, key: &[u8], stored: Stored<Arc<Object>>) {
        let put = self.lock(hash).store.put(hash, key, stored);
        self.evictions.fetch_add(put.evicted, Relaxed);
        // What has made room is freed here, where nobody waits for the lock.
    }

    /// Forgets one that is stored.
    pub(super) fn remove(&self, hash: KeyHash, key: &[u8], which: &Arc<Object>) {
        let same = |stored: &Stored<Arc<Object>>| Arc::ptr_eq(&stored.value, which);
        let dropped = self.lock(hash).store.remove(hash, key, same);
        drop(dropped);
    }

    /// Forgets what is stored, or makes it stale; how much that was.
    pub(crate) fn purge(&self, purge: &Purge, mode: Mode) -> usize {
        let mut dropped = Vec::new();
        if let Some(hash) = purge.hash() {
            return self.lock(hash).store.purge(purge, mode, &mut dropped);
        }
        let mut count = 0;
        for shard in &self.list {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            count += shard.store.purge(purge, mode, &mut dropped);
        }
        count
    }

    /// What is in it.
    pub(crate) fn content(&self) -> CacheContent {
        let mut content =
            CacheContent { evictions: self.evictions.load(Relaxed), ..CacheContent::default() };
        for shard in &self.list {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            content.objects += shard.store.len() as u64;
            content.bytes += shard.store.bytes();
            content.under_way += shard.flights.len() as u64;
        }
        content
    }
}
