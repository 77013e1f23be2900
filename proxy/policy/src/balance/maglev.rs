//! Maglev: consistent hashing by a table of 65,537 entries, a pick of which costs one look.
//!
//! Eisenbud et al., *Maglev: A Fast and Reliable Software Network Load Balancer* (NSDI 2016), section 3.4. Each endpoint has an order of
//! preference over the table (an offset and a skip from its name; the table's size is prime, so each order visits every entry), and
//! in turns each takes the first entry of its order that is still free, until it has its share of the entries: its weight's, to
//! within one entry. So the table is far more even than a ring (ten endpoints: 6,553 or 6,554 entries each); even within 1 % up to
//! 655 endpoints of one weight. The price is paid when the *list* changes: besides the keys that must move, some of the others do (of ten equal ones 0.3 %, of a hundred 0.6 %; more where weights differ).
//!
//! When it only changes who is ready, the paper builds the table anew. Here the entries of those who are out go to
//! the next candidate in table order and all others stay: a pass over the table instead of a build, no key moves but theirs, and they have them all
//! back when they return. One that is full, tried or at its bound is passed over in the same way, up to 64 entries on; after
//! that by highest random weight among those that may be taken.
//!
//! Parameters: `key` ("path"), `load_bound` (0: none; 1.25 is usual): see `members.rs`. A request without the key goes to a random endpoint by
//! weight. Cost of a pick: constant. Memory: 512 KiB for each worker.

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

/// What `maglev` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "maglev",
    summary: "Consistent hashing by a table of 65,537 entries: even, and the same cost for any number of endpoints.",
    parameters: &[KEY, LOAD_BOUND],
};

/// Prime, as the paper wants it.
const SIZE: usize = 65_537;
const FREE: u32 = u32::MAX;

/// The parameters of `maglev`.
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
        Box::new(Maglev {
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
struct Maglev {
    members: Members,
    /// Who has each entry if all are candidates.
    all: Vec<u32>,
    /// Who has it now.
    now: Vec<u32>,
    bound: Bound,
    keyless: Random,
}

/// An endpoint while the table is filled.
struct Turn {
    index: u32,
    next: usize,
    skip: usize,
    left: u64,
}

impl Maglev {
    fn build(&mut self, view: &View<'_>) {
        self.all.clear();
        self.all.resize(SIZE, FREE);
        let whole: u64 = view.endpoints.iter().map(|e| u64::from(e.weight)).sum();
        let mut before = 0;
        let mut turns: Vec<Turn> = Vec::with_capacity(view.endpoints.len());
        // In the order of the names' hashes: a table does not depend on the order of the list.
        let mut order: Vec<u32> = (0..view.endpoints.len() as u32).collect();
        order.sort_by_key(|index| self.members.names()[*index as usize]);
        for index in order {
            let name = self.members.names()[index as usize];
            // Shares are whole numbers that add up to the size: each ends where the sum of the weights so far ends.
            let entries = |weights: u64| {
                (SIZE as u128 * u128::from(weights) / u128::from(whole.max(1))) as u64
            };
            let after = before + u64::from(view.weight(index));
            turns.push(Turn {
                index,
                next: (name % SIZE as u64) as usize,
                skip: (mix(name) % (SIZE as u64 - 1)) as usize + 1,
                left: entries(after) - entries(before),
            });
            before = after;
        }
        turns.retain(|turn| turn.left > 0);
        while !turns.is_empty() {
            for turn in &mut turns {
                while self.all[turn.next] != FREE {
                    turn.next = (turn.next + turn.skip) % SIZE;
                }
                self.all[turn.next] = turn.index;
                turn.left -= 1;
            }
            turns.retain(|turn| turn.left > 0);
        }
    }

    /// Gives the entries of those who are out to the next candidate in table order.
    fn patch(&mut self) {
        let Self { members, all, now, .. } = self;
        now.clone_from(all);
        let candidate = |index: &&u32| members.is_candidate(**index);
        let Some(mut next) = now.iter().find(candidate).copied() else { return };
        for entry in now.iter_mut().rev() {
            if members.is_candidate(*entry) {
                next = *entry;
            } else {
                *entry = next;
            }
        }
    }
}

impl Balancer for Maglev {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        if view.ready.is_empty() {
            return None;
        }
        let Some(key) = view.key else { return self.keyless.pick(view, rng) };
        let moved = self.members.refresh(view);
        if moved == Moved::Members {
            self.build(view);
        }
        if moved != Moved::Nothing {
            self.patch();
        }
        let first = ((u128::from(key) * SIZE as u128) >> 64) as usize;
        let mut entries = self.now[first..].iter().chain(&self.now[..first]).take(STEPS).copied();
        let fits = |index: &u32| {
            view.may_take(*index)
                && self.members.is_candidate(*index)
                && self.bound.allows(view, &self.members, *index)
        };
        entries.find(fits).or_else(|| self.members.last_resort(view, key, &self.bound))
    }

    fn on_start(&mut self, endpoint: u32, _: Instant) {
        self.bound.on_start(endpoint);
    }

    fn on_end(&mut self, endpoint: u32, _: Instant, _: Duration, _: Outcome) {
        self.bound.on_end(endpoint);
    }
}
