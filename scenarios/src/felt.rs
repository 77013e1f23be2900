//! Whether anybody felt the faults that were injected.
//!
//! A fault that met nobody has tested nothing: a run that went well in spite of it went well without it. So every world
//! remembers what it injected, and says at the end what of it touched no request and no connection.

use std::collections::BTreeSet;

use backend_sim::{Fault, Snapshot};

use crate::language::Moment;

/// What was injected at endpoints.
#[derive(Debug, Default)]
pub struct Injected(BTreeSet<(String, &'static str)>);

impl Injected {
    /// `fault` was injected at `endpoint`.
    pub fn note(&mut self, endpoint: &str, fault: &Fault) {
        let name = match fault {
            Fault::Slow { .. } => "slow",
            Fault::Fail { .. } => "fail",
            Fault::Hang => "hang",
            Fault::Crash => "crash",
            Fault::Restart | Fault::Restore => return,
        };
        self.0.insert((endpoint.to_owned(), name));
    }

    /// What touched nobody, by what the endpoints have seen: the endpoint and the fault.
    pub fn unfelt(self, seen: &[(String, Snapshot)]) -> Vec<(String, &'static str)> {
        let hits = |endpoint: &str, fault: &str| {
            let found = seen.iter().find(|(name, _)| name == endpoint);
            found.map_or(0, |(_, snapshot)| hits_of(snapshot, fault))
        };
        self.0.into_iter().filter(|(name, fault)| hits(name, fault) == 0).collect()
    }
}

fn hits_of(snapshot: &Snapshot, fault: &str) -> u64 {
    match fault {
        "slow" => snapshot.hits.slow,
        "fail" => snapshot.hits.fail,
        "hang" => snapshot.hits.hang,
        _ => snapshot.hits.crash,
    }
}

/// What a purge found to be forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub struct Purged {
    /// Answers that the proxies kept in memory.
    pub answers: usize,
    /// Whether some have a second tier besides, of which nobody knows how much it had.
    pub second: bool,
}

impl Purged {
    /// How the report says that it was nothing.
    pub fn note(self, moment: &Moment) -> Option<String> {
        let at = if self.second { " in any proxy's memory" } else { "" };
        (self.answers == 0)
            .then(|| format!("the event at {:?}, {}, found nothing{at}", moment.at, moment.label))
    }
}

/// How the report says it.
pub fn touched_nobody(endpoint: &str, fault: &str) -> String {
    format!("the fault `{fault}` on {endpoint} touched nobody")
}
