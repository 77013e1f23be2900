//! Credentials that were checked a short while ago.
//!
//! A password's hash takes tens of milliseconds, and a client sends its password with every request. So what has been checked is
//! remembered: not the credentials, but their keyed hash, which says nothing to whoever reads the memory without the key. Good and bad
//! are remembered apart and each is bounded: guesses push out guesses, and never a user who was let in.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use crate::Instant;

/// A keyed hash of credentials.
pub(super) type Mark = [u8; 16];

/// A bounded set of marks that each stay for a while.
#[derive(Debug)]
pub(super) struct Marks {
    until: HashMap<Mark, Instant>,
    order: VecDeque<Mark>,
    most: usize,
    stay: Duration,
}

impl Marks {
    /// At most so many, each for so long.
    pub(super) fn new(most: usize, stay: Duration) -> Self {
        Self { until: HashMap::new(), order: VecDeque::new(), most, stay }
    }

    /// Whether it is there.
    pub(super) fn has(&self, mark: &Mark, now: Instant) -> bool {
        self.until.get(mark).is_some_and(|until| now < *until)
    }

    /// Puts it there; the oldest goes if it is one too many.
    pub(super) fn put(&mut self, mark: Mark, now: Instant) {
        if self.until.insert(mark, now + self.stay).is_none() {
            self.order.push_back(mark);
        }
        while self.order.len() > self.most {
            let Some(oldest) = self.order.pop_front() else { break };
            self.until.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stay_for_a_while_and_are_bounded() {
        let mut marks = Marks::new(2, Duration::from_secs(5));
        let at = |secs| Instant::START + Duration::from_secs(secs);
        marks.put([1; 16], at(0));
        assert!(marks.has(&[1; 16], at(4)) && !marks.has(&[1; 16], at(5)));
        assert!(!marks.has(&[2; 16], at(0)));
        marks.put([1; 16], at(6));
        marks.put([2; 16], at(6));
        assert!(marks.has(&[1; 16], at(7)) && marks.has(&[2; 16], at(7)));
        marks.put([3; 16], at(6));
        assert!(!marks.has(&[1; 16], at(7)) && marks.has(&[3; 16], at(7)));
        assert_eq!((marks.until.len(), marks.order.len()), (2, 2));
    }
}
