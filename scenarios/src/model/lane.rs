//! Deadlines that are all as far away.
//!
//! Every request sets two or three deadlines, and nearly none of them ever comes. Those of one kind (the patience of one load, the
//! wait for a response's head) lie equally far ahead, so they come in the order in which they were set: a queue does, where a heap
//! would hold millions. What is over is dropped, a handful at a time, when it stands at the front as others come, so that the queue stays
//! about as short as what is alive and in the processor's nearest cache; or all at once when one that lasts has let it grow to twice
//! that.

use std::collections::VecDeque;

use policy::Instant;

/// A deadline of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// When.
    pub(super) at: Instant,
    /// The request's slot.
    pub(super) slot: u32,
    /// What the slot's stamp must still be.
    pub(super) stamp: u32,
}

/// Deadlines in the order in which they come.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    /// Its source on the agenda, which comes no later than the first that is alive.
    pub(super) source: u32,
    entries: VecDeque<Due>,
    /// How many have come since the front was last looked at.
    fresh: u32,
}

/// So few are never cleared out.
const FEW: usize = 1024;

/// So many come between two looks at the front. Whether the first is alive is a toss-up for a processor when it is asked each
/// time; in a row the answer is *no* until the last.
const HANDFUL: u32 = 32;

impl Lane {
    pub(super) fn new(source: u32) -> Self {
        Self { source, entries: VecDeque::new(), fresh: 0 }
    }

    /// Adds one, not before the last. `alive` tells who is still waited for, and `live` bounds how many those are.
    pub(super) fn push(&mut self, due: Due, live: usize, alive: impl Fn(&Due) -> bool) {
        self.fresh += 1;
        if self.fresh >= HANDFUL {
            self.clear_out(live, alive);
        }
        self.entries.push_back(due);
    }

    fn clear_out(&mut self, live: usize, alive: impl Fn(&Due) -> bool) {
        self.fresh = 0;
        // Two for one: it shrinks, and nobody ever waits for a long clearing.
        for _ in 0..2 * HANDFUL {
            if self.entries.front().is_none_or(&alive) {
                break;
            }
            self.entries.pop_front();
        }
        if self.entries.len() >= 2 * live + FEW {
            self.entries.retain(alive);
        }
    }

    /// The first that is alive; those before it are forgotten.
    pub(super) fn first(&mut self, alive: impl Fn(&Due) -> bool) -> Option<Due> {
        while let Some(due) = self.entries.front() {
            if alive(due) {
                return Some(*due);
            }
            self.entries.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_does_not_pile_up() {
        let mut lane = Lane::new(0);
        for n in 0..1_000_000_u32 {
            let due = Due { at: Instant::from_nanos(u64::from(n)), slot: n, stamp: 0 };
            // Ten are alive: the first, which waits for ever, and the latest nine.
            lane.push(due, 10, |due| due.slot == 0 || due.slot + 9 > n);
        }
        assert!(lane.entries.len() <= FEW + 20 + HANDFUL as usize, "{}", lane.entries.len());
        assert_eq!(lane.first(|_| true).map(|due| due.slot), Some(0));
        assert_eq!(lane.first(|due| due.slot > 999_995).map(|due| due.slot), Some(999_996));
    }
}
