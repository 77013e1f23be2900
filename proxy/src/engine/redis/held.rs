//! Which Redis a proxy has, and what for.
//!
//! One that is named for the cache and for the limits alike is one. What a configuration leaves as it was goes on as it was: its connections, and what
//! its breaker knows.

use std::sync::Arc;

use policy::{Seed, redis::RedisConfig};
use serde_json::{Map, Value, json};

use super::{Redis, StandIn, Unavailable, tier::Tier};
use crate::config::ProxyConfig;

/// What is outside of the proxy's network.
#[derive(Clone, Debug, Default)]
pub enum Outside {
    /// This machine's own network: Redis is where the configuration says.
    #[default]
    Real,
    /// A simulated world, in which this stands for every Redis.
    Simulated(StandIn),
}

/// The Redis of a proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// The cache's second tier.
    pub(crate) tier: Option<Arc<Tier>>,
    /// What rate limits are shared over.
    pub(crate) limit: Option<Arc<Redis>>,
}

impl Held {
    /// What `config` names, where `before` has it already.
    pub(crate) fn new(config: &ProxyConfig, before: &Self, outside: &Outside, seed: Seed) -> Self {
        let known = before.all();
        let open = |config: &RedisConfig, known: &[&Arc<Redis>]| {
            let same = known.iter().find(|redis| redis.config() == config);
            same.map_or_else(|| make(config, outside, seed), |redis| Arc::clone(redis))
        };
        let tier = config.cache.redis.as_ref().map(|config| {
            let redis = open(config, &known);
            let former = before.tier.as_ref().filter(|tier| Arc::ptr_eq(tier.redis(), &redis));
            former.map_or_else(|| Tier::new(Arc::clone(&redis), seed.child("tier")), Arc::clone)
        });
        let own = tier.iter().map(|tier| tier.redis());
        let known: Vec<&Arc<Redis>> = own.chain(known).collect();
        let limit = config.limit.redis.as_ref().map(|config| open(config, &known));
        Self { tier, limit }
    }

    /// Each once.
    pub(crate) fn all(&self) -> Vec<&Arc<Redis>> {
        let mut all: Vec<&Arc<Redis>> = Vec::new();
        for redis in self.tier.iter().map(|tier| tier.redis()).chain(&self.limit) {
            if !all.iter().any(|known| Arc::ptr_eq(known, redis)) {
                all.push(redis);
            }
        }
        all
    }

    /// What has come of the calls to all of them.
    pub(crate) fn calls(&self) -> Vec<(&'static str, u64)> {
        let all = self.all();
        let answered = all.iter().map(|redis| redis.figures().answered()).sum();
        let mut calls = vec![("answered", answered)];
        for (place, why) in Unavailable::ALL.into_iter().enumerate() {
            let counts = all.iter().filter_map(|redis| redis.figures().unavailable().nth(place));
            calls.push((why.name(), counts.map(|(_, count)| count).sum()));
        }
        calls
    }

    /// The figures; null where there is none.
    pub(crate) fn json(&self) -> Value {
        let all = self.all();
        if all.is_empty() {
            return Value::Null;
        }
        let table = |figures: &[(&'static str, u64)]| -> Map<String, Value> {
            figures.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect()
        };
        json!({
            "available": all.iter().all(|redis| redis.is_available()),
            "calls": table(&self.calls()),
            "second_tier": self.tier.as_ref().map(|tier| table(&tier.figures().all())),
        })
    }
}

fn make(config: &RedisConfig, outside: &Outside, seed: Seed) -> Arc<Redis> {
    let seed = seed.child("redis");
    match outside {
        Outside::Real => Redis::real(config.clone(), seed),
        Outside::Simulated(stand_in) => Redis::in_memory(config.clone(), stand_in.clone(), seed),
    }
}
