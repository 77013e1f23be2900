//! Hash: the endpoint that the key's hash falls on, by weight. nginx's `hash key`.
//!
//! The weights stand in a row, and the hash is scaled to a place in it. The simplest way to send the same to the same, and the most even: each
//! endpoint has exactly its share of the space of keys. Its price is paid when the list changes: with one endpoint more, nearly all keys
//! move (of n endpoints about half, as places in a row; `ring`, `maglev` and `rendezvous` are made to avoid that).
//!
//! The row is made of all endpoints, ready or not. If the one that is hit may not be taken (down, ejected, full, or tried), the
//! hash is hashed again, up to 20 times as in nginx, which spreads an endpoint's keys over all others by weight and brings them back to it
//! later; after that, by highest random weight among those that may be taken.
//!
//! Parameters: `key` ("path"). A request without the key goes to a random endpoint by weight. Cost of a pick: a binary search in the
//! row, and in nothing where all weights are equal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Balancer, Parameters, StrategyInfo,
    key::{KEY, Key},
    members::{Bound, Members, Moved},
    random::Random,
};
use crate::{Rng, endpoint::View, rng::mix};

/// What `hash` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "hash",
    summary: "By the hash of a key: the place that it falls on in a row of the weights.",
    parameters: &[KEY],
};

/// The parameters of `hash`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is hashed.
    pub key: Key,
}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(Hash::named(INFO.name))
    }

    fn key(&self) -> Option<&Key> {
        Some(&self.key)
    }
}

/// nginx's bound.
const HASHES: usize = 20;

#[derive(Debug)]
pub(super) struct Hash {
    name: &'static str,
    members: Members,
    /// Where each endpoint's part of the row ends; empty where all weights are equal.
    ends: Vec<u64>,
    keyless: Random,
}

impl Hash {
    pub(super) fn named(name: &'static str) -> Self {
        Self { name, members: Members::default(), ends: Vec::new(), keyless: Random::default() }
    }

    fn build(&mut self, view: &View<'_>) {
        self.ends.clear();
        let weights = || view.endpoints.iter().map(|endpoint| u64::from(endpoint.weight));
        let first = weights().next();
        if weights().all(|weight| Some(weight) == first) {
            return;
        }
        self.ends.extend(weights().scan(0, |end, weight| {
            *end += weight;
            Some(*end)
        }));
    }

    fn place(&self, hash: u64, endpoints: usize) -> u32 {
        let scaled = |to: u64| ((u128::from(hash) * u128::from(to)) >> 64) as u64;
        match self.ends.last() {
            None => scaled(endpoints as u64) as u32,
            Some(&whole) => {
                let place = scaled(whole);
                self.ends.partition_point(|end| *end <= place) as u32
            }
        }
    }
}

impl Balancer for Hash {
    fn name(&self) -> &'static str {
        self.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        let Some(key) = view.key else { return self.keyless.pick(view, rng) };
        if self.members.refresh(view) == Moved::Members {
            self.build(view);
        }
        let mut hash = key;
        for _ in 0..HASHES {
            let index = self.place(hash, view.endpoints.len());
            if self.members.is_candidate(index) && view.may_take(index) {
                return Some(index);
            }
            hash = mix(hash);
        }
        self.members.last_resort(view, key, &Bound::default())
    }
}
