//! What the workers of a proxy share for the stages of a request, and what outlives a change of the configuration.
//!
//! A rate limit that each worker counted by itself would let through as many times as much as there are workers, and a cache of its own for
//! each would hold everything as many times. So these are made once for the proxy, with the state that is in force
//! ([`State`](super::State)), and handed on from one configuration to the next where what they hold still means the same.

use std::sync::Arc;

use policy::Seed;

use super::limit::{self, Limits};
use crate::config::ProxyConfig;

/// What all workers share besides the endpoints.
#[derive(Debug)]
pub struct Commons {
    seed: Seed,
    /// The limits of each service that has any.
    pub(super) limits: Vec<Option<Arc<Limits>>>,
}

impl Commons {
    /// At the proxy's start. What is drawn or hashed is so by this seed.
    pub(super) fn new(config: &ProxyConfig, seed: Seed) -> Self {
        Self { seed: seed.child("commons"), limits: limit::limits(config, &[]) }
    }

    /// What is hashed or drawn for the stages is so by this.
    pub(super) fn seed(&self) -> Seed {
        self.seed
    }

    /// For another configuration.
    pub(super) fn renewed(&self, config: &ProxyConfig) -> Self {
        Self { seed: self.seed, limits: limit::limits(config, &self.limits) }
    }
}
