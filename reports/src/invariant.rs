//! Invariants: what has to hold in every run, whatever the scenario is about.
//!
//! A threshold is what a person asked of one scenario; an invariant is what the proxy promises always: every request has
//! one outcome, no limit is exceeded, nothing is sent to an endpoint that is down. The simulated worlds see everything, so
//! they check these while they run and say for each how often they looked and how often it did not hold. Real sockets
//! show too little for that: a live run has none.

use crate::metrics::{Metrics, Unit};
use serde::{Deserialize, Serialize};

/// The metric that counts the invariants that did not hold.
pub const BROKEN: &str = "invariants_broken";

/// What became of one invariant in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvariantResult {
    /// Its name, one word: `one_outcome`.
    pub name: String,
    /// What it promises, in a sentence: `Every request that was sent ends in exactly one outcome.`
    pub promise: String,
    /// How often it was checked.
    pub checked: u64,
    /// How often it did not hold; at most `checked`.
    pub broken: u64,
    /// The first few times that it did not hold: when, where, and what was seen instead. A sentence each.
    pub examples: Vec<String>,
    /// Why it could not be checked in this run; `None` where it could.
    pub unchecked: Option<String>,
}

impl InvariantResult {
    /// Whether nothing broke it. True as well of one that could not be checked.
    pub fn holds(&self) -> bool {
        self.broken == 0
    }
}

/// Counts those that are broken as the metric [`BROKEN`]. Where none was checked the metric is absent, not zero.
pub fn insert_into(metrics: &mut Metrics, invariants: &[InvariantResult]) {
    if invariants.iter().all(|invariant| invariant.unchecked.is_some()) {
        metrics.set_absent(BROKEN, "no invariant was checked in this run");
    } else {
        let broken = invariants.iter().filter(|invariant| !invariant.holds()).count();
        metrics.insert(BROKEN, broken as f64, Unit::Count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Reading;

    fn invariant(broken: u64, unchecked: Option<&str>) -> InvariantResult {
        InvariantResult {
            name: "one_outcome".to_owned(),
            checked: 10,
            broken,
            unchecked: unchecked.map(str::to_owned),
            ..InvariantResult::default()
        }
    }

    #[test]
    fn what_nobody_checked_is_not_said_to_hold() {
        let count = |invariants: &[InvariantResult]| {
            let mut metrics = Metrics::new();
            insert_into(&mut metrics, invariants);
            metrics
        };
        assert!(matches!(count(&[]).read(BROKEN), Reading::Absent(_)));
        assert!(matches!(
            count(&[invariant(0, Some("one client"))]).read(BROKEN),
            Reading::Absent(_)
        ));
        assert_eq!(count(&[invariant(0, None), invariant(0, Some("none"))]).get(BROKEN), Some(0.0));
        assert_eq!(count(&[invariant(3, None), invariant(0, None)]).get(BROKEN), Some(1.0));
    }
}
