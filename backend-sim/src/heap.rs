//! The jobs in service, ordered by when they will be finished.
//!
//! A binary heap that remembers where each slot stands, so that a cancelled job leaves it at once: the heap is never
//! larger than the number of jobs in service, however many clients give up.

/// A job in service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The attained service at which it is finished.
    pub(crate) finish: f64,
    /// Who came first; decides ties.
    pub(crate) sequence: u64,
    /// Which slot it lives in. As wide as the others: what is copied in pieces of another width than it was written in makes a
    /// processor wait, and every job is written once and copied twice.
    pub(crate) slot: u64,
}

impl Entry {
    fn before(&self, other: &Self) -> bool {
        self.finish < other.finish
            || (self.finish <= other.finish && self.sequence < other.sequence)
    }
}

/// A min-heap of entries that can lose any of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heap {
    entries: Vec<Entry>,
    /// Where the entry of a slot stands; stale for slots that have none.
    positions: Vec<u32>,
}

impl Heap {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn first(&self) -> Option<&Entry> {
        self.entries.first()
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        if self.positions.len() <= entry.slot as usize {
            self.positions.resize(entry.slot as usize + 1, 0);
        }
        self.entries.push(entry);
        self.rise(self.entries.len() - 1, entry);
    }

    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let first = *self.entries.first()?;
        self.take_out(0);
        Some(first)
    }

    /// Takes out the entry of `slot`, which must be in the heap.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.take_out(self.positions[slot as usize] as usize);
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Lowers every finish mark by `by`; the order stays.
    pub(crate) fn wind_back(&mut self, by: f64) {
        for entry in &mut self.entries {
            entry.finish -= by;
        }
    }

    fn take_out(&mut self, position: usize) {
        if position + 1 == self.entries.len() {
            self.entries.pop();
            return;
        }
        self.entries.swap_remove(position);
        if position < self.entries.len() {
            // The last entry took the place: it may belong nearer to either end.
            self.rise(position, self.entries[position]);
            self.sink(position);
        }
    }

    /// Moves the entry at this position up to where it belongs.
    fn rise(&mut self, mut position: usize, entry: Entry) {
        while position > 0 {
            let parent = (position - 1) / 2;
            if !entry.before(&self.entries[parent]) {
                break;
            }
            self.put(position, self.entries[parent]);
            position = parent;
        }
        self.put(position, entry);
    }

    fn sink(&mut self, mut position: usize) {
        let entry = self.entries[position];
        loop {
            let mut child = 2 * position + 1;
            if child >= self.entries.len() {
                break;
            }
            if child + 1 < self.entries.len()
                && self.entries[child + 1].before(&self.entries[child])
            {
                child += 1;
            }
            if !self.entries[child].before(&entry) {
                break;
            }
            self.put(position, self.entries[child]);
            position = child;
        }
        self.put(position, entry);
    }

    fn put(&mut self, position: usize, entry: Entry) {
        self.entries[position] = entry;
        self.positions[entry.slot as usize] = position as u32;
    }
}
