//! What is kept: answers by their keys, bounded in bytes, and who was asked for least recently goes first (LRU).
//!
//! A store holds whatever its owner wants (`V`): the engine's objects, or nothing at all in the model, which counts sizes. It is found by the hash
//! of a key and the key is compared, so that two texts with one hash are never taken for each other. One URL may have several answers
//! (`Vary`, parts), which share a place in the order of use.
//!
//! Everything that is kept counts: key, head, tags and a little for the tables, so that the bound is one on memory. Nothing here walks the
//! whole but a purge by prefix; and what is dropped is handed back, so that a large body is freed when the lock is open again.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use lru::LruCache;

use super::{KeyHash, Meta};
use crate::Instant;

/// An answer that is kept.
#[derive(Clone, Debug)]
pub struct Stored<V> {
    /// What decisions are made from.
    pub meta: Arc<Meta>,
    /// The answer itself.
    pub value: V,
    /// The bytes of the answer itself.
    pub size: u64,
    /// When a soft purge made it stale.
    pub stale_since: Option<Instant>,
}

impl<V> Stored<V> {
    /// An answer as it came.
    pub fn new(meta: Arc<Meta>, value: V, size: u64) -> Self {
        Self { meta, value, size, stale_since: None }
    }

    fn weight(&self) -> u64 {
        self.size + self.meta.weight() as u64 + size_of::<Self>() as u64
    }

    /// Whether this takes the other's place.
    fn replaces(&self, other: &Self) -> bool {
        // A part does not push out the whole; the whole does push out parts.
        (self.meta.part.is_none() || other.meta.part.is_some())
            && self.meta.vary.same(&other.meta.vary)
    }
}

/// What is removed, or made stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purge {
    /// The answers to one URL: [`super::Rules::url`] makes it.
    Url {
        /// The hash of the text.
        hash: KeyHash,
        /// The key's text.
        text: Vec<u8>,
    },
    /// The same where the key has more than the URL. It walks.
    UrlWithExtras {
        /// The text of the URL.
        text: Vec<u8>,
    },
    /// All answers to URLs that begin so: `host/path`. It walks.
    Prefix(Vec<u8>),
    /// All answers with this tag.
    Tag(Vec<u8>),
}

impl Purge {
    /// The one place where there can be something, if there is only one.
    pub fn hash(&self) -> Option<KeyHash> {
        match self {
            Self::Url { hash, .. } => Some(*hash),
            _ => None,
        }
    }
}

/// How something is purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is gone.
    Hard,
    /// It is stale from now on: it is validated, and may still be given where stale answers may.
    Soft(Instant),
}

/// What putting an answer into a store has done.
#[derive(Debug)]
pub struct Put<V> {
    /// Whether it is in; if not it is among what was dropped.
    pub stored: bool,
    /// How many other answers had to make room. One whose place was taken is not counted.
    pub evicted: u64,
    /// What is no longer kept.
    pub dropped: Vec<Stored<V>>,
}

/// Answers by their keys.
#[derive(Debug)]
pub struct Store<V> {
    entries: LruCache<KeyHash, Entry<V>, BuildHasherDefault<Passing>>,
    tags: BTreeMap<Box<[u8]>, BTreeSet<KeyHash>>,
    answers: usize,
    bytes: u64,
    limit: u64,
    variants: usize,
}

#[derive(Debug)]
struct Entry<V> {
    key: Box<[u8]>,
    variants: Vec<Stored<V>>,
}

/// What the tables take for an entry beside what is in it, about.
const OVERHEAD: u64 = 192;

impl<V> Entry<V> {
    fn weight(&self) -> u64 {
        self.overhead() + self.variants.iter().map(Stored::weight).sum::<u64>()
    }

    fn overhead(&self) -> u64 {
        self.key.len() as u64 + OVERHEAD
    }
}

impl<V> Store<V> {
    /// An empty store for so many bytes, and so many answers to one URL.
    pub fn new(limit: u64, variants: usize) -> Self {
        Self {
            entries: LruCache::unbounded_with_hasher(BuildHasherDefault::default()),
            tags: BTreeMap::new(),
            answers: 0,
            bytes: 0,
            limit,
            variants: variants.max(1),
        }
    }

    /// The answers to a key. It counts as a use.
    pub fn get(&mut self, hash: KeyHash, key: &[u8]) -> Option<&[Stored<V>]> {
        let entry = self.entries.get(&hash)?;
        (*entry.key == *key).then_some(&entry.variants)
    }

    /// The same without counting as a use.
    pub fn peek(&self, hash: KeyHash, key: &[u8]) -> Option<&[Stored<V>]> {
        let entry = self.entries.peek(&hash)?;
        (*entry.key == *key).then_some(&entry.variants)
    }

    /// Keeps an answer. It takes the place of one for the same requests; others make room, the least recently used first.
    pub fn put(&mut self, hash: KeyHash, key: &[u8], stored: Stored<V>) -> Put<V> {
        let mut put = Put { stored: true, evicted: 0, dropped: Vec::new() };
        if stored.weight() + key.len() as u64 + OVERHEAD > self.limit {
            // What it would have replaced is no longer true.
            self.remove_where(
                hash,
                |entry, old| *entry == *key && stored.replaces(old),
                &mut put.dropped,
            );
            put.stored = false;
            put.dropped.push(stored);
            return put;
        }
        if self.entries.peek(&hash).is_some_and(|entry| *entry.key != *key) {
            // Two texts with one hash: the later one has the place.
            put.evicted += self.remove_where(hash, |_, _| true, &mut put.dropped) as u64;
        }
        self.remove_where(hash, |_, old| stored.replaces(old), &mut put.dropped);
        while self.entries.peek(&hash).is_some_and(|entry| entry.variants.len() >= self.variants) {
            let oldest = self
                .entries
                .peek(&hash)
                .and_then(|entry| entry.variants.iter().map(|stored| stored.meta.taken).min());
            let mut found = false;
            let is_oldest = |_: &[u8], old: &Stored<V>| {
                let is = !found && Some(old.meta.taken) == oldest;
                found |= is;
                is
            };
            put.evicted += self.remove_where(hash, is_oldest, &mut put.dropped) as u64;
        }
        for tag in &stored.meta.tags {
            match self.tags.get_mut(tag) {
                Some(keys) => {
                    keys.insert(hash);
                }
                None => {
                    self.tags.insert(tag.clone(), BTreeSet::from([hash]));
                }
            }
        }
        self.answers += 1;
        self.bytes += stored.weight();
        if let Some(entry) = self.entries.get_mut(&hash) {
            entry.variants.push(stored);
        } else {
            let entry = Entry { key: key.into(), variants: vec![stored] };
            self.bytes += entry.overhead();
            self.entries.put(hash, entry);
        }
        // What was put last is used last, so it is never reached here: it fits by itself.
        while self.bytes > self.limit {
            let Some((hash, entry)) = self.entries.pop_lru() else { break };
            put.evicted += entry.variants.len() as u64;
            self.bytes -= entry.weight();
            self.answers -= entry.variants.len();
            for stored in entry.variants {
                self.forget_tags(hash, &stored.meta, &[]);
                put.dropped.push(stored);
            }
        }
        put
    }

    /// Removes the answers to a key that `which` names.
    pub fn remove(
        &mut self,
        hash: KeyHash,
        key: &[u8],
        mut which: impl FnMut(&Stored<V>) -> bool,
    ) -> Vec<Stored<V>> {
        let mut dropped = Vec::new();
        self.remove_where(hash, |text, stored| *text == *key && which(stored), &mut dropped);
        dropped
    }

    /// Purges, and says how many answers that were; those that are gone go into `dropped`.
    pub fn purge(&mut self, purge: &Purge, mode: Mode, dropped: &mut Vec<Stored<V>>) -> usize {
        match purge {
            Purge::Url { hash, text } => {
                self.purge_at(*hash, mode, |key, _| *key == **text, dropped)
            }
            Purge::UrlWithExtras { text } => self.purge_walking(mode, dropped, |key| {
                key.strip_prefix(&**text).is_some_and(|rest| rest.is_empty() || rest[0] == b'\n')
            }),
            Purge::Prefix(prefix) => {
                self.purge_walking(mode, dropped, |key| key.starts_with(prefix))
            }
            Purge::Tag(tag) => {
                let Some(keys) = self.tags.get(&**tag) else { return 0 };
                let keys: Vec<KeyHash> = keys.iter().copied().collect();
                let has = |_: &[u8], stored: &Stored<V>| {
                    stored.meta.tags.iter().any(|known| **known == **tag)
                };
                keys.into_iter().map(|hash| self.purge_at(hash, mode, has, dropped)).sum()
            }
        }
    }

    /// How many answers are kept.
    pub fn len(&self) -> usize {
        self.answers
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.answers == 0
    }

    /// How many URLs have answers.
    pub fn keys(&self) -> usize {
        self.entries.len()
    }

    /// The bytes of all that is kept.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes that may be kept.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    fn purge_walking(
        &mut self,
        mode: Mode,
        dropped: &mut Vec<Stored<V>>,
        is: impl Fn(&[u8]) -> bool,
    ) -> usize {
        let found: Vec<KeyHash> = self
            .entries
            .iter()
            .filter(|(_, entry)| is(&entry.key))
            .map(|(hash, _)| *hash)
            .collect();
        found.into_iter().map(|hash| self.purge_at(hash, mode, |_, _| true, dropped)).sum()
    }

    fn purge_at(
        &mut self,
        hash: KeyHash,
        mode: Mode,
        which: impl Fn(&[u8], &Stored<V>) -> bool,
        dropped: &mut Vec<Stored<V>>,
    ) -> usize {
        let Mode::Soft(now) = mode else { return self.remove_where(hash, which, dropped) };
        let Some(entry) = self.entries.peek_mut(&hash) else { return 0 };
        let mut made = 0;
        for stored in &mut entry.variants {
            if which(&entry.key, stored) {
                stored.stale_since.get_or_insert(now);
                made += 1;
            }
        }
        made
    }

    /// Removes those of an entry that `which` names.
    fn remove_where(
        &mut self,
        hash: KeyHash,
        mut which: impl FnMut(&[u8], &Stored<V>) -> bool,
        dropped: &mut Vec<Stored<V>>,
    ) -> usize {
        let Some(entry) = self.entries.peek_mut(&hash) else { return 0 };
        let before = dropped.len();
        let mut index = 0;
        while index < entry.variants.len() {
            if which(&entry.key, &entry.variants[index]) {
                dropped.push(entry.variants.swap_remove(index));
            } else {
                index += 1;
            }
        }
        if dropped.len() == before {
            return 0;
        }
        let removed = &dropped[before..];
        self.answers -= removed.len();
        self.bytes -= removed.iter().map(Stored::weight).sum::<u64>();
        let left: Vec<Arc<Meta>> =
            entry.variants.iter().map(|stored| Arc::clone(&stored.meta)).collect();
        if left.is_empty() {
            self.bytes -= entry.overhead();
            self.entries.pop(&hash);
        }
        let metas: Vec<Arc<Meta>> = removed.iter().map(|stored| Arc::clone(&stored.meta)).collect();
        for meta in &metas {
            self.forget_tags(hash, meta, &left);
        }
        metas.len()
    }

    /// Takes a key out of the index for those tags that nothing else of the key has.
    fn forget_tags(&mut self, hash: KeyHash, meta: &Meta, left: &[Arc<Meta>]) {
        for tag in &meta.tags {
            if left.iter().any(|other| other.tags.contains(tag)) {
                continue;
            }
            if let Some(keys) = self.tags.get_mut(tag) {
                keys.remove(&hash);
                if keys.is_empty() {
                    self.tags.remove(tag);
                }
            }
        }
    }
}

/// A hasher for what is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passing(u64);

impl Hasher for Passing {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}
