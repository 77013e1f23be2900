//! Subsetting: each of many proxies uses some of the endpoints, so that not everybody is connected with everybody.
//!
//! The well-known way is the deterministic subsetting of Google's *Site Reliability Engineering* (ch. 20): proxies are taken in rounds, each round
//! shuffles the list of endpoints and hands out consecutive pieces of it. It is perfectly even, and when one endpoint leaves every
//! shuffle is another one and nearly every proxy gets another subset; that churn is why Google has replaced it (Ward, Wankadia and Guliani, "Reinventing
//! Backend Subsetting at Google", 2023). Choosing by highest random weight moves the least that can be, and is as uneven as chance: of
//! 100 endpoints of which ten proxies use 20 each, ten are used by nobody.
//!
//! Here both are had by a ring, as in that paper's first step (and in Twitter's aperture): the endpoints stand in the order of the hashes of
//! their names, proxy i begins at the fraction φ(i) of them, and takes the next `size`. φ is van der Corput's sequence in base 2 (0, 1/2, 1/4, 3/4,
//! 1/8, …): any number of its first points is spread evenly, so nobody has to know how many proxies there are, and one more changes nothing
//! for the others. Its discrepancy bounds the unevenness: of N proxies each endpoint has N·size/n, give or take 1 + log₂ N,
//! and less than one where N is a power of 2. When an endpoint leaves, all positions move by less than one place: a subset loses it if it had it, and at
//! most two others are exchanged.
//!
//! An endpoint that is not a candidate (down, ejected, draining) is passed over, and the subset reaches one further for as long; so a subset has
//! its size while there are so many. Each tier has a subset of its own. Neighbours on the ring share most of their proxies, so that
//! the load of one that fails goes to those near it; each gets at most 1/(size − 1) more by that, 5 % with subsets of 21. Weights are not looked at: within a subset they count as ever, but an endpoint
//! of twice the weight is in no more subsets.
//!
//! Cost: nothing at a pick; when candidates change, a sort of the hashes of all names.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key;
use crate::endpoint::Endpoint;

/// Which endpoints this proxy uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubsetConfig {
    /// So many endpoints of each tier; at least 1.
    #[schemars(range(min = 1))]
    pub size: u32,
    /// Which of the proxies this one is, from 0; each has another. In a scenario with several proxies it is their number.
    #[serde(default)]
    pub index: u32,
}

impl SubsetConfig {
    /// What is impossible about the values: the field, and what it must be.
    pub(super) fn problem(self) -> Option<(&'static str, String)> {
        (self.size == 0).then(|| ("subset.size", "must be at least 1".to_owned()))
    }

    /// Leaves only those of the candidates that are in this proxy's subset of `members`. Both are in rising order.
    pub(crate) fn narrow(
        self,
        endpoints: &[Arc<Endpoint>],
        members: impl Iterator<Item = u32>,
        candidates: &mut Vec<u32>,
    ) {
        let size = self.size as usize;
        if candidates.len() <= size {
            return;
        }
        let hash = |index: u32| {
            let name = endpoints.get(index as usize).map_or("", |endpoint| &endpoint.name);
            (key::hash(name.as_bytes()), index)
        };
        let mut ring: Vec<(u64, u32)> = members.map(hash).collect();
        ring.sort_unstable();
        // The fraction of the ring at which it begins has 32 bits.
        let start = (u64::from(self.index.reverse_bits()) * ring.len() as u64) >> 32;
        let (before, after) = ring.split_at(start as usize);
        let walk = after.iter().chain(before).map(|(_, index)| *index);
        let chosen = walk.filter(|index| candidates.binary_search(index).is_ok());
        let mut chosen: Vec<u32> = chosen.take(size).collect();
        chosen.sort_unstable();
        *candidates = chosen;
    }
}
