//! What the workers of a proxy share for the stages of a request, and what outlives a change of the configuration.
//!
//! A rate limit that each worker counted by itself would let through as many times as much as there are workers, and a cache of its own for
//! each would hold everything as many times. So these are made once for the proxy, with the state that is in force
//! ([`State`](super::State)), and handed on from one configuration to the next where what they hold still means the same.

use std::sync::Arc;

use policy::{
    Seed,
    cache::{CacheConfig, Rules},
};

use super::{
    cache::{Cache, Shards},
    limit::{self, Limits},
    redis::{Held, Outside},
};
use crate::config::ProxyConfig;

/// What all workers share besides the endpoints.
#[derive(Debug)]
pub struct Commons {
    seed: Seed,
    outside: Outside,
    /// The Redis that it goes on without.
    pub(super) redis: Held,
    /// The cache of each service that has one, in the order of services.
    pub(super) caches: Vec<Option<Cache>>,
    /// The limits of each service that has any.
    pub(super) limits: Vec<Option<Arc<Limits>>>,
}

impl Commons {
    /// At the proxy's start. What is drawn or hashed is so by this seed.
    pub(super) fn new(config: &ProxyConfig, seed: Seed, outside: Outside) -> Self {
        let seed = seed.child("commons");
        let redis = Held::new(config, &Held::default(), &outside, seed);
        let limits = limit::limits(config, &[], redis.limit.as_ref());
        let caches = caches(config, seed, None, &redis);
        Self { seed, outside, redis, caches, limits }
    }

    /// For another configuration.
    pub(super) fn renewed(&self, before: &ProxyConfig, config: &ProxyConfig) -> Self {
        let kept = self.shards().filter(|_| Shards::fits(&before.cache, &config.cache));
        let redis = Held::new(config, &self.redis, &self.outside, self.seed);
        let caches = caches(config, self.seed, kept, &redis);
        let limits = limit::limits(config, &self.limits, redis.limit.as_ref());
        Self { seed: self.seed, outside: self.outside.clone(), redis, caches, limits }
    }

    /// What is hashed or drawn for the stages is so by this.
    pub(super) fn seed(&self) -> Seed {
        self.seed
    }

    /// What is stored, if anything is.
    pub(super) fn shards(&self) -> Option<&Arc<Shards>> {
        self.caches.iter().flatten().next().map(|cache| &cache.shards)
    }
}

/// The caches of all services, which share one store: this one, or a new one.
fn caches(
    config: &ProxyConfig,
    seed: Seed,
    kept: Option<&Arc<Shards>>,
    redis: &Held,
) -> Vec<Option<Cache>> {
    let of = |number: usize| -> &CacheConfig {
        let route = number.checked_sub(1).and_then(|route| config.routes.get(route));
        route.and_then(|route| route.cache.as_ref()).unwrap_or(&config.cache)
    };
    let services = 0..=config.routes.len();
    // What is sent elsewhere is answered elsewhere.
    let carries = config.mode.is_forward();
    if !(carries && services.clone().any(|number| of(number).enabled)) {
        return Vec::new();
    }
    let new = || Arc::new(Shards::new(&config.cache));
    let shards = kept.map_or_else(new, Arc::clone);
    let rules = |number: usize| {
        let route = number.checked_sub(1).and_then(|route| config.routes.get(route));
        let upstream = route.and_then(|route| route.upstream.as_deref()).unwrap_or_default();
        let rules = || Arc::new(Rules::new(of(number), seed).of_upstream(upstream));
        of(number).enabled.then(rules)
    };
    let rules: Vec<Option<Arc<Rules>>> = services.map(rules).collect();
    let all: Arc<[Arc<Rules>]> = rules.iter().flatten().cloned().collect();
    let cache = |rules: Arc<Rules>| Cache {
        rules,
        all: Arc::clone(&all),
        shards: Arc::clone(&shards),
        tier: redis.tier.clone(),
    };
    rules.into_iter().map(|rules| rules.map(cache)).collect()
}
