//! Ring: consistent hashing. Each endpoint has many points on a circle, and a key belongs to the next point clockwise.
//!
//! Karger et al. 1997; the many points are ketama's (Last.fm, 2007), 160 for each unit of weight as in nginx and Pingora. When an endpoint
//! leaves, its keys go to its neighbours on the circle, which are many, and no other key moves; one that joins takes only what becomes its
//! own. The price is evenness: with v points each, shares differ by √((n − 1) / (n·v + 1)), 7.5 % for ten endpoints.
//! The points are hashes of the name and a number; they are not nginx's (CRC-32), so a key has another place here than there.
//!
//! The points of all endpoints are sorted once; when it changes who is a candidate, the others' points are filtered out, which is
//! the very ring that would have been built without them. One that is full, tried or at its bound is passed over: the next on
//! the ring, up to 64 points on; after that by highest random weight among those that may be taken.
//! There are at most 2,097,152 points, and fewer for each unit of weight where that would be exceeded (then whoever joins may move a
//! few keys of others).
//!
//! Parameters: `key` ("path"), `load_bound` (0: none; 1.25 is usual): see `members.rs`. A request without the key goes to a random endpoint by
//! weight. Cost of a pick: a binary search over the points. Cost of a change: a pass over the points.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Balancer, Parameters, StrategyInfo,
    key::{KEY, Key},
    members::{Bound, LOAD_BOUND, Members, Moved, STEPS, bound_problem},
    random::Random,
};
use crate::{
    Instant, Rng,
    endpoint::{Outcome, View},
    rng::mix,
};

/// What `ring` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "ring",
    summary: "Consistent hashing on a ring of 160 points a weight: whoever leaves moves no key but its own.",
    parameters: &[KEY, LOAD_BOUND],
};

const POINTS: u64 = 160;
const MOST_POINTS: u64 = 1 << 21;

/// The parameters of `ring`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is hashed.
    pub key: Key,
    /// How much of its even share of the requests in flight an endpoint may have, above 1 to 100; 0: no bound.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub load_bound: f64,
}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(Ring {
            members: Members::default(),
            all: Vec::new(),
            now: Vec::new(),
            bound: Bound::new(self.load_bound),
            keyless: Random::default(),
        })
    }

    fn key(&self) -> Option<&Key> {
        Some(&self.key)
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        bound_problem(self.load_bound)
    }
}

#[derive(Debug)]
struct Ring {
    members: Members,
    /// The points of all in their order: the place in the upper half, the endpoint in the lower.
    all: Vec<u64>,
    /// Those of the candidates.
    now: Vec<u64>,
    bound: Bound,
    keyless: Random,
}

const PLACE: u64 = !(u32::MAX as u64);

impl Ring {
    fn build(&mut self, view: &View<'_>) {
        self.all.clear();
        let total: u64 = view.endpoints.iter().map(|e| u64::from(e.weight)).sum();
        for (index, (endpoint, name)) in
            (0_u64..).zip(view.endpoints.iter().zip(self.members.names()))
        {
            let wanted = POINTS * u64::from(endpoint.weight);
            let share =
                u128::from(MOST_POINTS) * u128::from(endpoint.weight) / u128::from(total.max(1));
            let points = wanted.min(share as u64).max(1);
            let point = |number: u64| (mix(name ^ mix(number)) & PLACE) | index;
            self.all.extend((0..points).map(point));
        }
        self.all.sort_unstable();
    }
}

impl Balancer for Ring {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        let Some(key) = view.key else { return self.keyless.pick(view, rng) };
        let moved = self.members.refresh(view);
        if moved == Moved::Members {
            self.build(view);
        }
        if moved != Moved::Nothing {
            let members = &self.members;
            self.now.clear();
            let candidates = self.all.iter().filter(|point| members.is_candidate(**point as u32));
            self.now.extend(candidates);
        }
        let first = self.now.partition_point(|point| *point < key & PLACE);
        let clockwise = self.now[first..].iter().chain(&self.now[..first]);
        let mut places = clockwise.take(STEPS).map(|point| *point as u32);
        let fits =
            |index: &u32| view.may_take(*index) && self.bound.allows(view, &self.members, *index);
        places.find(fits).or_else(|| self.members.last_resort(view, key, &self.bound))
    }

    fn on_start(&mut self, endpoint: u32, _: Instant) {
        self.bound.on_start(endpoint);
    }

    fn on_end(&mut self, endpoint: u32, _: Instant, _: Duration, _: Outcome) {
        self.bound.on_end(endpoint);
    }
}
