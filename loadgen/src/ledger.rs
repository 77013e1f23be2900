//! What a run has seen, request by request.
//!
//! The recorder turns samples into metrics; beside it stand what only the generator knows: how late it was, whether it sent
//! what was asked, what the errors said, and how many connections it took. One of these a thread, merged at
//! the end.

use std::collections::BTreeMap;

use policy::time::nanos;
use reports::{Distribution, Outcome, Recorder, RecorderConfig, Sample};

/// What went wrong, of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// How often.
    pub count: u64,
    /// The first of them, in words.
    pub example: String,
}

/// How well one load was sent, in the measured time (after the warm-up).
#[derive(Clone, Debug, Default)]
pub struct Sending {
    /// Whether it is an open loop; in a closed one nothing is due but by the answers.
    pub is_open: bool,
    /// Requests that were due.
    pub offered: u64,
    /// Those that were sent.
    pub sent: u64,
    /// Those that could not be sent at all.
    pub dropped: u64,
    /// How long after its time each was sent, in nanoseconds.
    pub lateness: Distribution,
}

/// All that a run has seen.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The figures.
    pub recorder: Recorder,
    /// How each load was sent, in the order of the loads.
    pub sending: Vec<Sending>,
    /// What went wrong, by kind: `failed.reset`, `refused`, …
    pub failures: BTreeMap<String, Failures>,
    /// Connections that were opened.
    pub connections: u64,
    /// Requests sent anew on a fresh connection because theirs had just been closed, idle.
    pub resent: u64,
    /// Requests that were never taken up because every connection was taken.
    pub unsent: u64,
    /// Requests that were under way when the run was stopped: in no figure.
    pub abandoned: u64,
    /// When the last request ended, in nanoseconds since the start.
    pub last: u64,
    warmup: u64,
}

impl Ledger {
    pub(crate) fn new(config: RecorderConfig, open: impl Iterator<Item = bool>) -> Self {
        let warmup = nanos(config.warmup);
        Self {
            recorder: Recorder::new(config),
            sending: open.map(|is_open| Sending { is_open, ..Sending::default() }).collect(),
            failures: BTreeMap::new(),
            connections: 0,
            resent: 0,
            unsent: 0,
            abandoned: 0,
            last: 0,
            warmup,
        }
    }

    pub(crate) fn record(&mut self, sample: &Sample) {
        self.recorder.record(sample);
        self.last = self.last.max(sample.finished);
        let Some(sending) = self.sending.get_mut(sample.load) else { return };
        if !sending.is_open || sample.intended < self.warmup {
            return;
        }
        sending.offered += 1;
        if sample.outcome == Outcome::Dropped {
            sending.dropped += 1;
        } else {
            sending.sent += 1;
            sending.lateness.record(sample.sent.saturating_sub(sample.intended));
        }
    }

    pub(crate) fn explain(&mut self, outcome: Outcome, example: String) {
        let kind = match outcome {
            Outcome::Failed(class) => format!("failed.{}", class.as_str()),
            other => other.as_str().to_owned(),
        };
        let failures = self.failures.entry(kind).or_insert_with(|| Failures { count: 0, example });
        failures.count += 1;
    }

    /// Adds what another thread of the same run has seen.
    pub fn merge(&mut self, other: Self) -> Result<(), String> {
        self.recorder.merge(other.recorder)?;
        for (mine, theirs) in self.sending.iter_mut().zip(&other.sending) {
            mine.offered += theirs.offered;
            mine.sent += theirs.sent;
            mine.dropped += theirs.dropped;
            mine.lateness.merge(&theirs.lateness);
        }
        for (kind, failures) in other.failures {
            let mine = self
                .failures
                .entry(kind)
                .or_insert(Failures { count: 0, example: failures.example });
            mine.count += failures.count;
        }
        self.connections += other.connections;
        self.resent += other.resent;
        self.unsent += other.unsent;
        self.abandoned += other.abandoned;
        self.last = self.last.max(other.last);
        Ok(())
    }
}
