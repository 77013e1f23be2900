//! What happens next: the event core of the model.
//!
//! Time is whole nanoseconds. Two kinds of things happen. *Once*: a message arrives, a thought ends; these stand in a 4-ary heap
//! of small copied values (half the depth of a binary one, and a node's children on one or two cache lines: Johnson 1975; LaMarca and
//! Ladner 1996), and one that is overtaken by events is recognised as stale when its time comes. *Again and again*: a station's
//! next completion, a load's next arrival, the deadline that comes next; each of these is a *source* with at most one time, which
//! moves with nearly every request, so that they play a tournament in which a time can be changed in place and nothing stale
//! ever piles up. (A heap needs fewer comparisons, but no processor can foresee how they end.)
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

    #[inline(never)]
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

/// A source can be any of so many, and a run plans fewer things than fit in the rest (8 trillion).
const SOURCE_BITS: u32 = 21;

/// The last in the order of planning: after it comes only who has no time.
const LAST: u64 = (1 << (64 - SOURCE_BITS)) - 2;

/// When a source's time comes, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// In nanoseconds. The highest bit is free, so that the sign of a difference tells who comes first.
    time: u64,
    /// The place in the order of planning, and in the lowest [`SOURCE_BITS`] the source.
    order: u64,
}

impl Rank {
    /// Of a source that has no time: after all others.
    const NO_TIME: Self = Self { time: u64::MAX >> 1, order: u64::MAX };

    fn new((at, sequence): Key, source: u32) -> Self {
        let time = at.min(u64::MAX >> 1);
        Self { time, order: sequence << SOURCE_BITS | u64::from(source) }
    }

    fn source(self) -> u32 {
        self.order as u32 & ((1 << SOURCE_BITS) - 1)
    }

    fn number(self) -> u128 {
        u128::from(self.time) << 64 | u128::from(self.order)
    }

    /// The lesser of two. Nobody can foresee which one it is, so there must be no jump in here: all bits of the mask are set if it is the
    /// other one. (It is the sign of a difference, because a comparison, or `select_unpredictable`, is made a jump again.)
    #[inline]
    fn or_earlier(self, other: Self) -> Self {
        let mask = (other.number().wrapping_sub(self.number()) as i128 >> 127) as u64;
        Self {
            time: self.time ^ (self.time ^ other.time) & mask,
            order: self.order ^ (self.order ^ other.order) & mask,
        }
    }
}

/// Sources and their next times: a tournament (Knuth 3, section 5.4.1), in which each source has a leaf of its own and every
/// node above has the rank of the first of those below it, which says whose it is. The source that was added first does not play: in the
/// model that is the next arrival, which moves with every request, and is compared with the winner.
#[derive(Clone, Debug)]
struct Sources {
    /// The rank of source 0.
    aside: Rank,
    /// Of the others, from source 1 on. The root is 1, the children of `n` are `2n` and `2n + 1`, and the leaves, a power of two, are the
    /// second half.
    nodes: Vec<Rank>,
    count: u32,
}

impl Sources {
    fn new() -> Self {
        Self { aside: Rank::NO_TIME, nodes: vec![Rank::NO_TIME; 2], count: 0 }
    }

    fn leaves(&self) -> usize {
        self.nodes.len() / 2
    }

    fn add(&mut self) -> u32 {
        let source = self.count;
        assert!(source < 1 << SOURCE_BITS, "an agenda has at most {} sources", 1 << SOURCE_BITS);
        self.count += 1;
        if source as usize > self.leaves() {
            self.grow();
        }
        source
    }

    /// Twice as many leaves.
    fn grow(&mut self) {
        let leaves = 2 * self.leaves();
        let mut nodes = vec![Rank::NO_TIME; 2 * leaves];
        nodes[leaves..leaves + leaves / 2].copy_from_slice(&self.nodes[leaves / 2..]);
        for node in (1..leaves).rev() {
            nodes[node] = nodes[2 * node].min(nodes[2 * node + 1]);
        }
        self.nodes = nodes;
    }

    fn rank(&self, source: u32) -> Rank {
        match source {
            0 => self.aside,
            source => self.nodes[self.leaves() + source as usize - 1],
        }
    }

    fn has_time(&self, source: u32) -> bool {
        self.rank(source).order != Rank::NO_TIME.order
    }

    /// The rank of the first of all; [`Rank::NO_TIME`] when none has a time.
    fn first(&self) -> Rank {
        self.nodes[1].or_earlier(self.aside)
    }

    fn clear(&mut self, source: u32) {
        if self.has_time(source) {
            self.set(source, Rank::NO_TIME);
        }
    }

    fn set(&mut self, source: u32, rank: Rank) {
        let Some(player) = source.checked_sub(1) else {
            self.aside = rank;
            return;
        };
        let mut node = self.leaves() + player as usize;
        let nodes = &mut self.nodes[..];
        nodes[node] = rank;
        let mut least = rank;
        while node > 1 {
            // Whom it has to play is known beforehand on the whole way up, only the results wait for each other.
            least = least.or_earlier(nodes[node ^ 1]);
            node /= 2;
            nodes[node] = least;
        }
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
        Self { once: Once { entries: Vec::new() }, sources: Sources::new(), sequence: 0 }
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
            return self.sources.clear(source);
        }
        let before = self.sources.rank(source);
        let rank = Rank::new((at.as_nanos(), self.sequence + 1), source);
        if before.time != rank.time || before == Rank::NO_TIME {
            self.sequence += 1;
            self.sources.set(source, rank);
        }
    }

    /// The same for a deadline: after all else that happens at that nanosecond.
    pub(super) fn set_last(&mut self, source: u32, at: Instant) {
        if at == Instant::NEVER {
            self.sources.clear(source);
        } else {
            let key = (at.as_nanos(), LAST - u64::from(source));
            self.sources.set(source, Rank::new(key, source));
        }
    }

    /// Whether the source has a time.
    pub(super) fn is_set(&self, source: u32) -> bool {
        self.sources.has_time(source)
    }

    /// What comes next, and when. Within the loop that asks: most of it is a number, which goes into a register there, and would
    /// have to go through memory with the largest event that there is.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured: 3 % of a run")]
    pub(super) fn next(&mut self) -> Option<(Instant, Next<E>)> {
        let first = self.sources.first();
        if let Some((once, _)) = self.once.entries.first()
            && Rank::new(*once, 0) < first
        {
            let at = Instant::from_nanos(once.0);
            return Some((at, Next::Once(self.once.pop()?)));
        }
        let at = Instant::from_nanos(first.time);
        (first != Rank::NO_TIME).then_some((at, Next::Source(first.source())))
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
