//! What is remembered of clients, in bounded memory.
//!
//! A table holds a number for each client that has come lately; where it is full, the one is forgotten who has not come for longest. That is
//! mostly one whose number lies in the past, and then nothing is lost. Else a client gets a new burst too early: the limit
//! errs in favour of the client, never against it. Only a request that is admitted makes a new entry, so that who is
//! refused cannot drive others out.
//!
//! All workers share it, because a limit that each kept for itself would be as many times the limit. It is cut into shards, each under a
//! lock of its own that is held for as long as one decision takes: some tens of nanoseconds. The map hashes with a
//! random key (who cannot know the hash cannot choose keys that collide), and nothing ever goes through it in order, so the same seed
//! still means the same decisions.

use std::{
    hash::RandomState,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;

use super::Identity;

/// A part of a table.
pub(super) type Shard = LruCache<Identity, u64, RandomState>;

/// What is remembered of clients.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Mutex<Shard>]>,
}

/// At most so many shards, and none below so many entries.
const SHARDS: usize = 16;
const LEAST: usize = 64;

impl Table {
    /// For so many clients, at least one.
    pub(super) fn new(keys: usize) -> Self {
        let shards = (keys / LEAST).clamp(1, SHARDS);
        let each = NonZeroUsize::new(keys / shards).unwrap_or(NonZeroUsize::MIN);
        let shard = |_| Mutex::new(LruCache::with_hasher(each, RandomState::new()));
        Self { shards: (0..shards).map(shard).collect() }
    }

    /// The shard that knows of `who`, if any does.
    pub(super) fn shard(&self, who: Identity) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[(who >> 64) as usize % self.shards.len()];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many clients are remembered.
    pub(super) fn len(&self) -> usize {
        let lens = self
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len());
        lens.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::mix;

    #[test]
    fn it_never_holds_more_than_it_may() {
        for bound in [1, 2, 63, 64, 1000, 5000] {
            let table = Table::new(bound);
            for number in 0..20_000 {
                let who = u128::from(mix(number)) << 64 | u128::from(number);
                table.shard(who).put(who, number);
                assert!(table.len() <= bound, "{bound}");
            }
            assert!(table.len() * 10 >= bound * 9, "{} of {bound}", table.len());
        }
    }

    #[test]
    fn who_has_not_come_for_longest_is_forgotten() {
        let table = Table::new(2);
        for who in [1, 2] {
            table.shard(who).put(who, 7);
        }
        table.shard(1).get(&1);
        table.shard(3).put(3, 7);
        assert_eq!([1, 2, 3].map(|who| table.shard(who).contains(&who)), [true, false, true]);
    }
}
