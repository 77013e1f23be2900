//! Counts that are only read every so often.
//!
//! A balancer that learns of its endpoints' load by asking them, or from some other balancer, knows how it was. Between two
//! readings it sends to whoever looked idle at the last one, and the better it is at finding the least loaded, the more of its
//! requests meet there: Mitzenmacher, *How useful is old information?* (2000); Dahlin, *Interpreting stale load information* (2000).
//! That two choices at random still know enough, and not too much, is half of their fame.
//!
//! The counts of all endpoints are read at once when the next reading is due, or another endpoint may be picked than before.

use std::time::Duration;

use crate::{
    Instant,
    endpoint::{Load, View},
};

/// How things were at the last reading.
#[derive(Debug)]
pub(super) struct Readings {
    every: Duration,
    next: Instant,
    generation: u64,
    loads: Vec<Load>,
}

impl Readings {
    /// One reading in so long.
    pub(super) fn every(every: Duration) -> Self {
        Self { every, next: Instant::START, generation: u64::MAX, loads: Vec::new() }
    }

    /// Reads, if it is time.
    pub(super) fn refresh(&mut self, view: &View<'_>) {
        if view.now < self.next && view.generation == self.generation {
            return;
        }
        if view.now >= self.next {
            self.next = view.now + self.every;
        }
        self.generation = view.generation;
        self.loads.clear();
        self.loads.extend(view.endpoints.iter().map(|endpoint| endpoint.load()));
    }

    /// What an endpoint had.
    pub(super) fn load(&self, index: u32) -> Load {
        self.loads[index as usize]
    }
}
