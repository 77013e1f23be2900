//! What a run comes to, in whichever world it was, and who watches it meanwhile.

use std::time::Duration;

use loadgen::Ledger;
use reports::{InvariantResult, Measurement};

use crate::model;

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// The figures.
    pub measurement: Measurement,
    /// What the world watched over by itself; nothing in `live`.
    pub invariants: Vec<InvariantResult>,
    /// Why the figures cannot be believed; empty when they can.
    pub problems: Vec<String>,
    /// Whether they can be believed, in a word.
    pub validity: Validity,
    /// What should have happened and did not: then it was not the scenario that ran.
    pub undone: Vec<String>,
    /// What the reader should know.
    pub notes: Vec<String>,
    /// Whether a person ended it early.
    pub interrupted: bool,
}

impl From<model::Outcome> for Outcome {
    /// The model cannot be disturbed, and does all that the scenario says or refuses it.
    fn from(outcome: model::Outcome) -> Self {
        let model::Outcome { measurement, invariants, problems, notes, interrupted, .. } = outcome;
        let (validity, undone) = (Validity::Valid, Vec::new());
        Self { measurement, invariants, problems, validity, undone, notes, interrupted }
    }
}

/// Whether a measurement can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It can.
    Valid,
    /// Everything was sent, but some of it late: the machine had something else to do for a while.
    Disturbed,
    /// What was asked for could not be sent.
    Unreachable,
}

/// Whoever watches a run while it runs.
pub trait Watcher {
    /// So far it has come: the time since its start, and what was sent and answered.
    fn at(&mut self, elapsed: Duration, progress: loadgen::Snapshot);
}

/// What the reader should know of what the load generator saw: one line for each kind of failure, with its first example.
pub fn what_the_load_saw(ledger: &Ledger) -> Vec<String> {
    let mut notes = Vec::new();
    if ledger.resent > 0 {
        let n = ledger.resent;
        notes.push(format!(
            "{n} requests were sent anew because the proxy had just closed their idle connection"
        ));
    }
    notes.extend(ledger.failures.iter().map(|(kind, failures)| {
        format!("{kind}: {} times, first: {}", failures.count, failures.example)
    }));
    notes
}
