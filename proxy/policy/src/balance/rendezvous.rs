//! Rendezvous: each endpoint draws a lot for the key, and the highest wins.
//!
//! Thaler and Ravishankar 1998 (*highest random weight*); by weight as Schindelhauer and Schomaker 2005: with u uniform of (key, endpoint),
//! the highest of w / −ln u wins, which each endpoint does with a probability of exactly its share. No table, perfectly even, and
//! whoever leaves moves no key but its own: each of them goes to its own second, so they spread over all others by weight. So does the choice
//! when one may not be taken: the highest of those that may.
//!
//! The logarithm is `libm`'s, and no key depends on the machine. Where all candidates have one weight, the hashes themselves are compared.
//!
//! Parameters: `key` ("path"). A request without the key goes to a random endpoint by weight. Cost of a pick: a pass over all candidates, a
//! few nanoseconds each, and a logarithm each where weights differ: for tens of endpoints, not for thousands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Balancer, Parameters, StrategyInfo,
    key::{KEY, Key},
    members::{Bound, Members, Moved},
    random::Random,
};
use crate::{Rng, endpoint::View, rng::mix};

/// What `rendezvous` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "rendezvous",
    summary: "The highest random weight: each endpoint draws a lot for the key.",
    parameters: &[KEY],
};

/// The parameters of `rendezvous`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is hashed.
    pub key: Key,
}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(Rendezvous {
            members: Members::default(),
            alike: true,
            keyless: Random::default(),
        })
    }

    fn key(&self) -> Option<&Key> {
        Some(&self.key)
    }
}

#[derive(Debug)]
struct Rendezvous {
    members: Members,
    /// Whether all weights are equal.
    alike: bool,
    keyless: Random,
}

impl Balancer for Rendezvous {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        let Some(key) = view.key else { return self.keyless.pick(view, rng) };
        if self.members.refresh(view) == Moved::Members {
            let first = view.endpoints.first().map(|endpoint| endpoint.weight);
            self.alike = view.endpoints.iter().all(|endpoint| Some(endpoint.weight) == first);
        }
        if self.alike {
            return self.members.last_resort(view, key, &Bound::default());
        }
        let mut best: Option<(u32, f64)> = None;
        for &index in view.ready.iter().filter(|index| view.may_take(**index)) {
            let lot = lot(mix(key ^ self.members.names()[index as usize]), view.weight(index));
            if best.is_none_or(|(_, highest)| lot > highest) {
                best = Some((index, lot));
            }
        }
        best.map(|(index, _)| index)
    }
}

/// w / −ln u, of the upper 53 bits of a hash as a u in (0, 1).
fn lot(hash: u64, weight: u32) -> f64 {
    let unit = ((hash >> 11) as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64);
    f64::from(weight) / -libm::log(unit)
}
