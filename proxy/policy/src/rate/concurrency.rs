//! Concurrency limits: how many requests a client may have under way at once.
//!
//! What costs is often not how often a client asks but how long its requests stay: downloads, long polls, slow reports. So its requests
//! are counted from their heads to the ends of their answers. A count exists only while it is above zero, so that the tables are bounded by
//! what is under way; and beyond `keys` clients at once a new one is refused, for a count that is forgotten could not be taken back.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{ConcurrencyConfig, Identity, MOST_LIMITS, Memory, rates::Identities};
use crate::message::{Asked, Reply};

/// The concurrency limits of a proxy, or of a route.
#[derive(Debug)]
pub struct Concurrency {
    limits: Vec<Limit>,
    memory: Memory,
}

#[derive(Debug)]
struct Limit {
    config: ConcurrencyConfig,
    name: Box<str>,
    under_way: Arc<Counts>,
    refused: Arc<AtomicU64>,
}

/// Cut into shards, each under its own lock. Keyed by a random hash, never gone through in order.
type Counts = [Mutex<HashMap<Identity, u32>>; 16];

/// What a request has been counted at; to be given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "what is counted must be given back"]
pub struct Places(Identities);

impl Concurrency {
    /// These limits, at most [`MOST_LIMITS`] of them.
    pub fn new(configs: &[ConcurrencyConfig], memory: Memory) -> Self {
        let limits = configs.iter().take(MOST_LIMITS).enumerate();
        let limits = limits.map(|(number, config)| Limit {
            name: config.name(number).into(),
            under_way: Arc::default(),
            refused: Arc::default(),
            config: config.clone(),
        });
        Self { limits: limits.collect(), memory }
    }

    /// Other limits in place of these: one that counts as one of these did goes on where that was. Places are given back to
    /// the limits that they were taken of.
    pub fn renewed(&self, configs: &[ConcurrencyConfig], memory: Memory) -> Self {
        let mut made = Self::new(configs, memory);
        for limit in &mut made.limits {
            let same = |former: &&Limit| {
                former.name == limit.name
                    && former.config.by == limit.config.by
                    && self.memory.ipv6_prefix == memory.ipv6_prefix
            };
            if let Some(former) = self.limits.iter().find(same) {
                limit.under_way = Arc::clone(&former.under_way);
                limit.refused = Arc::clone(&former.refused);
            }
        }
        made
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// One more request: what it takes, if all limits have a place for it.
    ///
    /// # Errors
    /// The place of the limit that has none.
    pub fn enter(&self, asked: &Asked<'_>) -> Result<Places, usize> {
        let mut places = Places::default();
        for (at, limit) in self.limits.iter().enumerate() {
            if !limit.config.covers(asked) {
                continue;
            }
            let Some(who) = limit.config.by.identify(asked, self.memory.ipv6_prefix) else {
                continue;
            };
            if !limit.take(who, self.memory.keys as usize) {
                self.leave(places);
                limit.refused.fetch_add(1, Relaxed);
                return Err(at);
            }
            places.0[at] = Some(who);
        }
        Ok(places)
    }

    /// A request that had entered has ended. Exactly once for each.
    pub fn leave(&self, places: Places) {
        for (limit, who) in self.limits.iter().zip(places.0) {
            if let Some(who) = who {
                limit.give_back(who);
            }
        }
    }

    /// The answer to a request for which the limit at this place has no place.
    pub fn reply(&self, at: usize) -> Option<Reply> {
        let limit = self.limits.get(at)?;
        let (name, most, status) = (&limit.name, limit.config.most, limit.config.status);
        let line = format!(
            "{status}: the limit `{name}` is {most} requests at once; try again when one has ended"
        );
        let reply = Reply::text(status, "concurrency_limited", &line)
            // Nobody knows when one ends.
            .with("Retry-After", "1")
            .with("RateLimit-Policy", format!("\"{name}\";q={most};qu=\"concurrent-requests\""))
            .with("RateLimit", format!("\"{name}\";r=0"));
        Some(reply)
    }

    /// Each limit's name, how many it has refused, and how many clients have requests under way.
    pub fn figures(&self) -> impl Iterator<Item = (&str, u64, usize)> {
        self.limits.iter().map(|limit| {
            let clients = limit.under_way.iter().map(|shard| lock(shard).len()).sum();
            (&*limit.name, limit.refused.load(Relaxed), clients)
        })
    }
}

impl Limit {
    fn take(&self, who: Identity, keys: usize) -> bool {
        let mut counts = lock(self.shard(who));
        let known = counts.get(&who).copied().unwrap_or(0);
        let room = known > 0 || counts.len() < keys.div_ceil(self.under_way.len());
        if known < self.config.most && room {
            counts.insert(who, known + 1);
            return true;
        }
        false
    }

    fn give_back(&self, who: Identity) {
        let mut counts = lock(self.shard(who));
        match counts.get_mut(&who) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) => {
                counts.remove(&who);
            }
            None => debug_assert!(false, "given back twice"),
        }
    }

    fn shard(&self, who: Identity) -> &Mutex<HashMap<Identity, u32>> {
        &self.under_way[(who >> 64) as usize % self.under_way.len()]
    }
}

fn lock(shard: &Mutex<HashMap<Identity, u32>>) -> MutexGuard<'_, HashMap<Identity, u32>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

const _: () = assert!(MOST_LIMITS <= 8, "places are copied: keep them small");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{balance::Key, rate::By};

    fn limits(list: &[(Key, u32)]) -> Concurrency {
        let config = |(key, most): &(Key, u32)| ConcurrencyConfig {
            by: By(vec![key.clone()]),
            most: *most,
            ..ConcurrencyConfig::default()
        };
        let configs: Vec<ConcurrencyConfig> = list.iter().map(config).collect();
        Concurrency::new(&configs, Memory::default())
    }

    fn asked<'a>(client: u8, target: &'a str, fields: &'a &'a [(&'a str, &'a str)]) -> Asked<'a> {
        Asked {
            client: [192, 0, 2, client].into(),
            method: b"GET",
            host: b"a",
            target: target.as_bytes(),
            fields,
        }
    }

    #[test]
    fn each_client_has_its_places_and_gets_them_back() {
        let limits = limits(&[(Key::Path, 3), (Key::Address, 2)]);
        let none: &[(&str, &str)] = &[];
        let enter = |client, target| limits.enter(&asked(client, target, &none));
        let first = enter(1, "/a").expect("room");
        let second = enter(1, "/b").expect("room");
        assert_eq!(enter(1, "/c"), Err(1));
        // What was refused by the second limit has taken nothing of the first.
        let third = enter(2, "/c").expect("room");
        assert_eq!(
            limits.figures().map(|(_, refused, clients)| (refused, clients)).collect::<Vec<_>>(),
            [(0, 3), (1, 2)]
        );
        limits.leave(first);
        let fourth = enter(1, "/c").expect("room again");
        for places in [second, third, fourth] {
            limits.leave(places);
        }
        assert!(limits.figures().all(|(_, _, clients)| clients == 0));
    }

    #[test]
    fn a_reload_goes_on_counting() {
        let former = limits(&[(Key::Address, 1)]);
        let none: &[(&str, &str)] = &[];
        let places = former.enter(&asked(1, "/", &none)).expect("room");
        let config = ConcurrencyConfig {
            by: By(vec![Key::Address]),
            most: 2,
            ..ConcurrencyConfig::default()
        };
        let next = former.renewed(&[config], Memory::default());
        let second = next.enter(&asked(1, "/", &none)).expect("one more than before");
        assert_eq!(next.enter(&asked(1, "/", &none)), Err(0));
        former.leave(places);
        next.leave(second);
        assert!(next.figures().all(|(_, _, clients)| clients == 0));
    }

    #[test]
    fn the_table_is_bounded() {
        let config =
            ConcurrencyConfig { by: By(vec![Key::Path]), most: 1, ..ConcurrencyConfig::default() };
        let limits = Concurrency::new(&[config], Memory { keys: 32, ..Memory::default() });
        let none: &[(&str, &str)] = &[];
        let targets: Vec<String> = (0..1000).map(|number| format!("/{number}")).collect();
        let entered =
            targets.iter().filter_map(|target| limits.enter(&asked(1, target, &none)).ok());
        let entered: Vec<Places> = entered.collect();
        assert!(entered.len() <= 32 && entered.len() > 16, "{}", entered.len());
    }
}
