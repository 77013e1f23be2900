//! Who comes most often, in bounded memory: Space-Saving.
//!
//! Metwally, Agrawal and El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams" (2005). There are `k` counters. A key that has one
//! adds to it; a key that has none takes over the smallest, and with it what that had counted, which is from then on the most by which its
//! count may be too high. So after `n` keys
//!
//! - a counter's estimate is never below the truth, and above it by no more than the error that stands beside it,
//! - no error is above `n / k`, because the smallest of `k` counters that add up to `n` is not,
//! - every key that came more than `n / k` times has a counter.
//!
//! Sketches of several workers are merged into one with the same promises (Agarwal et al., "Mergeable Summaries", 2012): where one has
//! no counter for a key, the key may have come there as often as its smallest counter says.
//!
//! Counters are kept in order of their counts: one that grows by one changes places with the first of those that were equal to it. A search by
//! key is one in a balanced tree and not in a hash table, since keys are chosen by strangers: there is nothing to be flooded.

use std::{collections::BTreeMap, sync::Arc};

/// A key is cut off after so many bytes; those that agree so far are one.
pub const LONGEST_KEY: usize = 256;

/// Keys and how often they came, as far as `k` counters can tell.
#[derive(Clone, Debug)]
pub struct Sketch {
    slots: Vec<Slot>,
    /// Slots by their counts, the largest first.
    order: Vec<u32>,
    places: BTreeMap<Arc<[u8]>, u32>,
    capacity: usize,
    total: u64,
}

#[derive(Clone, Debug)]
struct Slot {
    key: Arc<[u8]>,
    count: u64,
    error: u64,
    /// Where it stands in the order.
    rank: u32,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The key.
    pub key: Arc<[u8]>,
    /// It came at most so often.
    pub count: u64,
    /// And at least so many fewer: the truth is between `count - error` and `count`.
    pub error: u64,
}

impl Sketch {
    /// With so many counters, at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            slots: Vec::new(),
            order: Vec::new(),
            places: BTreeMap::new(),
            capacity: capacity.max(1),
            total: 0,
        }
    }

    /// A key came once.
    pub fn note(&mut self, key: &[u8]) {
        let key = &key[..key.len().min(LONGEST_KEY)];
        self.total += 1;
        let slot = match self.places.get(key) {
            Some(slot) => *slot,
            None if self.slots.len() < self.capacity => self.begin(key.into()),
            None => self.take_over(key.into()),
        };
        self.add_one(slot);
    }

    fn begin(&mut self, key: Arc<[u8]>) -> u32 {
        let slot = self.slots.len() as u32;
        self.places.insert(Arc::clone(&key), slot);
        self.order.push(slot);
        self.slots.push(Slot { key, count: 0, error: 0, rank: slot });
        slot
    }

    /// The smallest counter becomes this key's.
    fn take_over(&mut self, key: Arc<[u8]>) -> u32 {
        let slot = self.order[self.order.len() - 1];
        let Slot { key: known, count, error, .. } = &mut self.slots[slot as usize];
        self.places.remove(&**known);
        *error = *count;
        *known = Arc::clone(&key);
        self.places.insert(key, slot);
        slot
    }

    fn add_one(&mut self, slot: u32) {
        let Slot { count, rank, .. } = self.slots[slot as usize];
        let first = self.order[..rank as usize]
            .partition_point(|other| self.slots[*other as usize].count > count);
        let other = self.order[first];
        self.order.swap(first, rank as usize);
        self.slots[other as usize].rank = rank;
        let grown = &mut self.slots[slot as usize];
        grown.rank = first as u32;
        grown.count += 1;
    }

    /// How many keys came in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// No count is too high by more, and no key that came more often is missing.
    pub fn bound(&self) -> u64 {
        self.total / self.capacity as u64
    }

    /// How often a key without a counter may have come.
    fn floor(&self) -> u64 {
        let full = self.slots.len() == self.capacity;
        self.order.last().filter(|_| full).map_or(0, |slot| self.slots[*slot as usize].count)
    }

    fn of(&self, key: &[u8]) -> (u64, u64) {
        match self.places.get(key) {
            Some(slot) => {
                let Slot { count, error, .. } = self.slots[*slot as usize];
                (count, error)
            }
            None => (self.floor(), self.floor()),
        }
    }

    /// The keys that came most often over all of these sketches, at most `most` of them: the most frequent first, and by their bytes where
    /// they are equal.
    pub fn merged(sketches: &[&Self], most: usize) -> Vec<Estimate> {
        let keys: BTreeMap<&[u8], &Arc<[u8]>> = sketches
            .iter()
            .flat_map(|sketch| &sketch.slots)
            .map(|slot| (&*slot.key, &slot.key))
            .collect();
        let mut list: Vec<Estimate> = keys
            .into_values()
            .map(|key| {
                let parts = sketches.iter().map(|sketch| sketch.of(key));
                let (count, error) =
                    parts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
                Estimate { key: Arc::clone(key), count, error }
            })
            .collect();
        list.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        list.truncate(most);
        list
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketched(capacity: usize, keys: &[u8]) -> Sketch {
        let mut sketch = Sketch::new(capacity);
        for key in keys {
            sketch.note(&[*key]);
        }
        sketch
    }

    fn truth(keys: &[u8], key: u8) -> u64 {
        keys.iter().map(|known| u64::from(*known == key)).sum()
    }

    /// What the paper promises, of a list of estimates over these keys.
    fn holds(list: &[Estimate], capacity: usize, keys: &[u8]) -> Result<(), TestCaseError> {
        let bound = keys.len() as u64 / capacity as u64;
        for Estimate { key, count, error } in list {
            let true_count = truth(keys, key[0]);
            prop_assert!(*count >= true_count && count - error <= true_count, "{list:?}");
            prop_assert!(*error <= bound, "{list:?}");
        }
        for key in 0..=u8::MAX {
            if truth(keys, key) > bound {
                prop_assert!(list.iter().any(|known| known.key[0] == key), "{key} is missing");
            }
        }
        prop_assert!(list.is_sorted_by_key(|known| std::cmp::Reverse(known.count)));
        Ok(())
    }

    fn keys() -> impl Strategy<Value = Vec<u8>> {
        // A few that come often, and many that come seldom.
        prop::collection::vec(prop_oneof![0_u8..4, 0_u8..40, any::<u8>()], 0..600)
    }

    proptest! {
        #[test]
        fn estimates_are_within_their_errors(capacity in 1_usize..40, keys in keys()) {
            let sketch = sketched(capacity, &keys);
            prop_assert_eq!(sketch.total(), keys.len() as u64);
            let list = Sketch::merged(&[&sketch], usize::MAX);
            holds(&list, capacity, &keys)?;
            prop_assert!(list.len() <= capacity);
            // All that came is counted somewhere, and nowhere twice.
            prop_assert_eq!(list.iter().map(|known| known.count).sum::<u64>(), keys.len() as u64);
            prop_assert!(list.iter().all(|known| known.error <= sketch.bound()));
        }

        /// Those of several workers together promise the same over all that came.
        #[test]
        fn merged_ones_promise_the_same(capacity in 1_usize..30, parts in prop::collection::vec(keys(), 1..5)) {
            let sketches: Vec<Sketch> = parts.iter().map(|keys| sketched(capacity, keys)).collect();
            let list = Sketch::merged(&sketches.iter().collect::<Vec<_>>(), usize::MAX);
            holds(&list, capacity, &parts.concat())?;
        }

        #[test]
        fn few_keys_are_counted_exactly(keys in prop::collection::vec(0_u8..10, 0..200)) {
            for Estimate { key, count, error } in Sketch::merged(&[&sketched(10, &keys)], 100) {
                prop_assert_eq!((count, error), (truth(&keys, key[0]), 0));
            }
        }
    }

    #[test]
    fn long_keys_are_cut() {
        let mut sketch = Sketch::new(3);
        let long = [b'x'; 1000];
        sketch.note(&long);
        sketch.note(&long[..900]);
        let list = Sketch::merged(&[&sketch], 3);
        assert_eq!((list.len(), list[0].key.len(), list[0].count), (1, LONGEST_KEY, 2));
    }
}
