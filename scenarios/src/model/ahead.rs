//! The open loops' schedule, drawn a handful of requests ahead.
//!
//! A schedule depends on nothing that happens, so it can be drawn whenever it suits. One request at a time would suit a processor
//! badly: a draw is a chain of logarithms and divisions that wait for each other, and between two of them the rest of the model
//! would run. In a row, one request's chain overlaps with the next one's.

use loadgen::schedule::{MergedSchedule, Planned};
use policy::Instant;

/// So many are drawn at a time: enough to overlap, few enough to stay in the nearest cache.
const MANY: usize = 32;

/// What is left of the schedule.
#[derive(Debug)]
pub(super) struct Ahead {
    schedule: MergedSchedule,
    drawn: Vec<Planned>,
    next: usize,
}

impl Ahead {
    pub(super) fn new(schedule: MergedSchedule) -> Self {
        let mut ahead = Self { schedule, drawn: Vec::with_capacity(MANY), next: 0 };
        ahead.draw();
        ahead
    }

    /// When the next request is due; [`Instant::NEVER`] when there is none.
    pub(super) fn due(&self) -> Instant {
        self.drawn.get(self.next).map_or(Instant::NEVER, |planned| planned.at)
    }

    /// The next request.
    pub(super) fn first(&self) -> Option<&Planned> {
        self.drawn.get(self.next)
    }

    /// Whether all requests are taken.
    pub(super) fn is_over(&self) -> bool {
        self.next >= self.drawn.len()
    }

    /// The next request is taken.
    pub(super) fn advance(&mut self) {
        self.next += 1;
        if self.is_over() {
            self.draw();
        }
    }

    fn draw(&mut self) {
        self.next = 0;
        self.drawn.clear();
        self.schedule.draw_row(MANY, &mut self.drawn);
    }
}
