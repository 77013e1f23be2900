//! What the strategies that choose by a key share: who belongs, who is a candidate now, how much each may have, and a last resort.
//!
//! An endpoint is known by the hash of its *name*, so that a table does not depend on the order of a list, on addresses, or on how
//! many reloads there were. A table is made of all endpoints, ready or not; those that are not candidates are passed over. So an
//! endpoint that goes down moves no key but its own, and has them all back when it returns.
//!
//! *Bounded load* (Mirrokni, Thorup and Zadimoghaddam, arXiv 1608.01350): no endpoint has more than ⌈c · (m + 1) · share⌉ of the m requests in flight;
//! whoever is at its bound is passed over like one that is full. Each worker counts its own requests, which needs no sum over all endpoints
//! and shares no line; where each of K workers keeps its bound, all together keep the same one to within K requests.

use crate::{endpoint::View, rng::mix};

use super::{ParameterInfo, key};

/// So many places in a ring or a table are looked at before the last resort.
pub(super) const STEPS: usize = 64;

/// The parameter `load_bound`, as the strategies that have it document it.
pub(super) const LOAD_BOUND: ParameterInfo = ParameterInfo {
    name: "load_bound",
    default: "0.0",
    doc: "How much of its even share of the requests in flight an endpoint may have, above 1 to 100; 0: no bound.",
};

/// What is impossible about a bound.
pub(super) fn bound_problem(bound: f64) -> Option<(&'static str, String)> {
    let possible = bound == 0.0 || (bound > 1.0 && bound <= 100.0);
    (!possible).then(|| ("strategy.load_bound", "must be above 1 to 100, or 0 for none".to_owned()))
}

/// What has moved since a strategy looked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    Nothing,
    /// Who is a candidate.
    Candidates,
    /// Who there is at all.
    Members,
}

/// The endpoints as a table is made of them.
#[derive(Debug, Default)]
pub(super) struct Members {
    generation: Option<u64>,
    fingerprint: u64,
    /// Of each endpoint the hash of its name.
    names: Vec<u64>,
    candidates: Vec<bool>,
    /// The sum of the candidates' weights.
    weight: u64,
}

impl Members {
    /// Brings it up to date: a comparison, unless the generation has moved.
    pub(super) fn refresh(&mut self, view: &View<'_>) -> Moved {
        if self.generation == Some(view.generation) {
            return Moved::Nothing;
        }
        let first = self.generation.replace(view.generation).is_none();
        self.candidates.clear();
        self.candidates.resize(view.endpoints.len(), false);
        self.weight = 0;
        for &index in view.ready {
            if let Some(candidate) = self.candidates.get_mut(index as usize) {
                *candidate = true;
                self.weight += u64::from(view.weight(index));
            }
        }
        self.names.clear();
        self.names.extend(view.endpoints.iter().map(|e| key::hash(e.name.as_bytes())));
        let both = self.names.iter().zip(view.endpoints);
        let fingerprint =
            both.fold(0, |sum, (name, e)| mix(sum ^ name.wrapping_add(u64::from(e.weight))));
        let before = std::mem::replace(&mut self.fingerprint, fingerprint);
        if first || before != fingerprint { Moved::Members } else { Moved::Candidates }
    }

    pub(super) fn names(&self) -> &[u64] {
        &self.names
    }

    pub(super) fn is_candidate(&self, index: u32) -> bool {
        self.candidates.get(index as usize).is_some_and(|candidate| *candidate)
    }

    /// Where a walk has found nobody: by highest random weight among those that may be taken, at first within the bound.
    /// A pass over all, and the same for the same key.
    pub(super) fn last_resort(&self, view: &View<'_>, key: u64, bound: &Bound) -> Option<u32> {
        let highest = |bounded: bool| {
            let fits = |index: &&u32| {
                view.may_take(**index) && (!bounded || bound.allows(view, self, **index))
            };
            let candidates = view.ready.iter().filter(fits);
            candidates.copied().max_by_key(|index| mix(key ^ self.names[*index as usize]))
        };
        highest(true).or_else(|| if bound.is_set() { highest(false) } else { None })
    }
}

/// The bound on the load, and what this worker has in flight.
#[derive(Debug, Default)]
pub(super) struct Bound {
    factor: f64,
    running: Vec<u32>,
    total: u64,
}

impl Bound {
    /// `factor` times the even share; none at 0.
    pub(super) fn new(factor: f64) -> Self {
        Self { factor, ..Self::default() }
    }

    fn is_set(&self) -> bool {
        self.factor > 0.0
    }

    /// Whether the endpoint may have one more.
    pub(super) fn allows(&self, view: &View<'_>, members: &Members, index: u32) -> bool {
        if !self.is_set() {
            return true;
        }
        let share = f64::from(view.weight(index)) / members.weight as f64;
        let most = (self.factor * (self.total + 1) as f64 * share).ceil();
        f64::from(self.running.get(index as usize).copied().unwrap_or(0) + 1) <= most
    }

    pub(super) fn on_start(&mut self, index: u32) {
        if !self.is_set() {
            return;
        }
        let index = index as usize;
        if index >= self.running.len() {
            // Once for each endpoint at most.
            self.running.resize(index + 1, 0);
        }
        self.running[index] += 1;
        self.total += 1;
    }

    pub(super) fn on_end(&mut self, index: u32) {
        if let Some(running) = self.running.get_mut(index as usize)
            && *running > 0
        {
            *running -= 1;
            self.total -= 1;
        }
    }
}
