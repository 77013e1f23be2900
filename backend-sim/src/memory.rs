//! What an endpoint remembers: the paths that it was asked for of late.
//!
//! Most servers have something that makes a request cheap when another one like it came before: a page cache, a buffer pool, a compiled
//! query, an open handle. That is why consistent hashing is worth its imbalance. So an endpoint may have a memory of so many
//! paths, of which it forgets the least recently used, and a request for one that it remembers needs only a part of its service
//! demand. The demand itself stays the request's: every strategy faces the same, and what differs is where it is cheap.
//!
//! A path is remembered from the moment in which the first request for it comes, so of many that come together one pays.
//! A crash or a restart forgets everything.

use std::{
    hash::{BuildHasherDefault, DefaultHasher},
    num::NonZeroUsize,
    time::Duration,
};

use lru::LruCache;
use policy::balance::key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an endpoint remembers, and what that is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// How many paths (with their queries) it remembers, 1 to 1000000; the least recently used is forgotten.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub paths: u32,
    /// The part of its service demand that a request for one of them needs, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub part: f64,
}

impl MemoryConfig {
    pub(crate) fn problem(self) -> Option<(&'static str, &'static str)> {
        if !(1..=1_000_000).contains(&self.paths) {
            return Some(("paths", "must be 1 to 1000000"));
        }
        (!(0.0..=1.0).contains(&self.part)).then_some(("part", "must be 0 to 1"))
    }
}

/// The memory of one endpoint.
#[derive(Debug)]
pub struct Memory {
    // The hasher has no seed of its own; what is iterated is the order of use.
    paths: LruCache<u64, (), BuildHasherDefault<DefaultHasher>>,
    part: f64,
}

impl Memory {
    /// An empty one.
    pub fn new(config: MemoryConfig) -> Self {
        let most = NonZeroUsize::new(config.paths as usize).unwrap_or(NonZeroUsize::MIN);
        Self {
            paths: LruCache::with_hasher(most, BuildHasherDefault::default()),
            part: config.part,
        }
    }

    /// What is left of the demand of a request for this path and query, which is remembered from now on.
    pub fn demand(&mut self, target: &[u8], demand: Duration) -> Duration {
        let known = self.paths.put(key::hash(target), ()).is_some();
        if known { demand.mul_f64(self.part) } else { demand }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.paths.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_of_late_is_cheap() {
        let mut memory = Memory::new(MemoryConfig { paths: 2, part: 0.25 });
        let whole = Duration::from_millis(8);
        let mut ask = |path: &str| memory.demand(path.as_bytes(), whole).as_millis();
        assert_eq!([ask("/a"), ask("/b"), ask("/a"), ask("/c")], [8, 8, 2, 8]);
        // The least recently used was /b.
        assert_eq!([ask("/a"), ask("/c"), ask("/b"), ask("/b")], [2, 2, 8, 2]);
        memory.clear();
        assert_eq!(memory.demand(b"/b", whole), whole);
    }
}
