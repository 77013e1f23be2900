//! What happens next: the event core of the model.
//!
//! Time is whole nanoseconds. Two kinds of things happen. *Once*: a message arrives, a thought ends; these stand in a 4-ary heap
//! of small copied values (half the depth of a binary one, and a node's children on one or two cache lines: Johnson 1975; LaMarca and
//! Ladner 1996), and one that is overtaken by events is recognised as stale when its time comes. *Again and again*: a station's
//! next completion, a load's next arrival, the deadline that comes next; each of these is a *source* with at most one time, which
//! moves with nearly every request, so that they stand in an indexed heap in which a time can be changed in place and
//! nothing stale ever piles up.
//!
//! What happens at the same nanosecond happens in the order in which it was planned, so a run is a function of its seed.
//! Only deadlines come last: an answer that arrives at the very moment at which patience ends has arrived.

use policy::Instant;

/// When, and for the same nanosecond, in which order.
type Key = (u64, u64);

/// The children of a node.
const ARITY: usize = 4;

/// Things that happen once.
#[derive(Clone, Debug)]
struct Once<E> {
    entries: Vec<(Key, E)>,
}

impl<E: Copy> Once<E> {
    fn push(&mut self, key: Key, event: E) {
        let mut at = self.entries.len();
        self.entries.push((key, event));
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if self.entries[parent].0 <= key {
                break;
            }
            self.entries[at] = self.entries[parent];
            at = parent;
        }
        self.entries[at] = (key, event);
    }

    fn pop(&mut self) -> Option<E> {
        let first = self.entries.first()?.1;
        let last = self.entries.pop()?;
        let len = self.entries.len();
        if len == 0 {
            return Some(first);
        }
        let mut at = 0;
        loop {
            let child = ARITY * at + 1;
            if child >= len {
                break;
            }
            let mut least = child;
            for other in child + 1..len.min(child + ARITY) {
                if self.entries[other].0 < self.entries[least].0 {
                    least = other;
                }
            }
            if self.entries[least].0 >= last.0 {
                break;
            }
            self.entries[at] = self.entries[least];
            at = least;
        }
        self.entries[at] = last;
        Some(first)
    }
}

/// Where a source stands that has no time.
const NOWHERE: u32 = u32::MAX;

/// Sources, ordered by their next times.
#[derive(Clone, Debug, Default)]
struct Sources {
    entries: Vec<(Key, u32)>,
    positions: Vec<u32>,
}

impl Sources {
    fn add(&mut self) -> u32 {
        self.positions.push(NOWHERE);
        (self.positions.len() - 1) as u32
    }

    fn at(&self, source: u32) -> Option<u64> {
        let position = self.positions[source as usize];
        self.entries.get(position as usize).map(|(key, _)| key.0)
    }

    fn set(&mut self, source: u32, key: Key) {
        let position = self.positions[source as usize];
        if position == NOWHERE {
            self.entries.push((key, source));
            self.rise(self.entries.len() - 1);
        } else {
            let position = position as usize;
            let before = std::mem::replace(&mut self.entries[position].0, key);
            if key < before { self.rise(position) } else { self.sink(position) }
        }
    }

    fn clear(&mut self, source: u32) {
        let position = std::mem::replace(&mut self.positions[source as usize], NOWHERE);
        if position == NOWHERE {
            return;
        }
        let position = position as usize;
        self.entries.swap_remove(position);
        if position < self.entries.len() {
            self.rise(position);
            self.sink(self.positions[self.entries[position].1 as usize] as usize);
        }
    }

    fn rise(&mut self, mut at: usize) {
        let entry = self.entries[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if self.entries[parent].0 <= entry.0 {
                break;
            }
            self.put(at, self.entries[parent]);
            at = parent;
        }
        self.put(at, entry);
    }

    fn sink(&mut self, mut at: usize) {
        let entry = self.entries[at];
        let len = self.entries.len();
        loop {
            let child = ARITY * at + 1;
            if child >= len {
                break;
            }
            let mut least = child;
            for other in child + 1..len.min(child + ARITY) {
                if self.entries[other].0 < self.entries[least].0 {
                    least = other;
                }
            }
            if self.entries[least].0 >= entry.0 {
                break;
            }
            self.put(at, self.entries[least]);
            at = least;
        }
        self.put(at, entry);
    }

    fn put(&mut self, at: usize, entry: (Key, u32)) {
        self.entries[at] = entry;
        self.positions[entry.1 as usize] = at as u32;
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next<E> {
    /// Something that happens once; it is off the agenda.
    Once(E),
    /// A source whose time has come; it keeps that time until it is given another.
    Source(u32),
}

/// All that is to happen.
#[derive(Clone, Debug)]
pub(super) struct Agenda<E> {
    once: Once<E>,
    sources: Sources,
    sequence: u64,
}

impl<E: Copy> Agenda<E> {
    pub(super) fn new() -> Self {
        Self { once: Once { entries: Vec::new() }, sources: Sources::default(), sequence: 0 }
    }

    /// Plans something that happens once.
    pub(super) fn plan(&mut self, at: Instant, event: E) {
        self.sequence += 1;
        self.once.push((at.as_nanos(), self.sequence), event);
    }

    /// A new source, without a time.
    pub(super) fn add_source(&mut self) -> u32 {
        self.sources.add()
    }

    /// The source's time is this; [`Instant::NEVER`] for none. A time that stays keeps its place in the order.
    pub(super) fn set(&mut self, source: u32, at: Instant) {
        if at == Instant::NEVER {
            self.sources.clear(source);
        } else if self.sources.at(source) != Some(at.as_nanos()) {
            self.sequence += 1;
            self.sources.set(source, (at.as_nanos(), self.sequence));
        }
    }

    /// The same for a deadline: after all else that happens at that nanosecond.
    pub(super) fn set_last(&mut self, source: u32, at: Instant) {
        if at == Instant::NEVER {
            self.sources.clear(source);
        } else {
            self.sources.set(source, (at.as_nanos(), u64::MAX - u64::from(source)));
        }
    }

    /// Whether the source has a time.
    pub(super) fn is_set(&self, source: u32) -> bool {
        self.sources.at(source).is_some()
    }

    /// What comes next, and when.
    pub(super) fn next(&mut self) -> Option<(Instant, Next<E>)> {
        let once = self.once.entries.first().map(|(key, _)| *key);
        let source = self.sources.entries.first().copied();
        match (once, source) {
            (Some(once), source) if source.is_none_or(|(key, _)| once < key) => {
                let event = self.once.pop()?;
                Some((Instant::from_nanos(once.0), Next::Once(event)))
            }
            (_, source) => {
                let (key, source) = source?;
                Some((Instant::from_nanos(key.0), Next::Source(source)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a list that is sorted each time: the same things in the same order.
        #[test]
        fn the_order_is_that_of_time_and_then_of_planning(
            steps in proptest::collection::vec((0_u8..4, 0_u32..6, 0_u64..50), 0..300),
        ) {
            let mut agenda = Agenda::new();
            let sources: Vec<u32> = (0..6).map(|_| agenda.add_source()).collect();
            let mut plain: Vec<(Key, Next<u64>)> = Vec::new();
            let mut sequence = 0;
            for (step, source, at) in steps {
                let time = Instant::from_nanos(at);
                match step {
                    0 => {
                        agenda.plan(time, at);
                        sequence += 1;
                        plain.push(((at, sequence), Next::Once(at)));
                    }
                    1 => {
                        agenda.set(sources[source as usize], time);
                        let same = |(key, next): &(Key, Next<u64>)| *next == Next::Source(source) && key.0 == at;
                        if !plain.iter().any(same) {
                            sequence += 1;
                            plain.retain(|(_, next)| *next != Next::Source(source));
                            plain.push(((at, sequence), Next::Source(source)));
                        }
                    }
                    2 => {
                        agenda.set(sources[source as usize], Instant::NEVER);
                        plain.retain(|(_, next)| *next != Next::Source(source));
                    }
                    _ => {
                        plain.sort_by_key(|(key, _)| *key);
                        let expected = plain.first().copied();
                        let found = agenda.next();
                        prop_assert_eq!(found, expected.map(|(key, next)| (Instant::from_nanos(key.0), next)));
                        match found {
                            Some((_, Next::Source(source))) => {
                                agenda.set(source, Instant::NEVER);
                                plain.remove(0);
                            }
                            Some(_) => drop(plain.remove(0)),
                            None => {}
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_deadline_comes_last() {
        let mut agenda = Agenda::new();
        let (deadline, other) = (agenda.add_source(), agenda.add_source());
        let at = Instant::from_nanos(7);
        agenda.set_last(deadline, at);
        agenda.set(other, at);
        agenda.plan(at, ());
        assert_eq!(agenda.next(), Some((at, Next::Source(other))));
        agenda.set(other, Instant::NEVER);
        assert_eq!(agenda.next(), Some((at, Next::Once(()))));
        assert_eq!(agenda.next(), Some((at, Next::Source(deadline))));
    }
}
