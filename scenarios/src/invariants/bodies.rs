//! `intact_bodies`: each body is the one that the backend sent, and each request's the one that the client sent.
//!
//! The load generator and the simulated backends check every byte that passes (a body is a function of its request's number).
//! A body that is *wrong* breaks the promise; one that a reset cut short does not: whoever was reading it knew.

use reports::InvariantResult;

use super::{Invariants, count::Count};

/// What was seen of bodies.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    count: Count,
    why: Option<String>,
}

impl Invariants {
    /// So many bodies came to their end, of which so many were wrong, the first of them like this.
    pub fn bodies(&mut self, ended: u64, wrong: u64, example: Option<&str>) {
        self.bodies.count.check_many(ended.max(wrong));
        if wrong > 0 {
            let example = || example.unwrap_or("a body was wrong").to_owned();
            self.bodies.count.fail_many(wrong, example);
        }
    }

    /// Nobody looks at bodies in this run, and why.
    pub fn without_bodies(&mut self, why: &str) {
        self.bodies.why = Some(why.to_owned());
    }
}

impl Bodies {
    pub(super) fn result(&self) -> InvariantResult {
        let why = self.why.as_deref().unwrap_or("no body came to its end");
        let promise = "Each body that came to its end is, byte by byte, the one that was sent.";
        self.count.result("intact_bodies", promise, why)
    }
}
