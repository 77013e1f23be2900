//! How many requests were in flight, over time, from no more than when each began and ended.
//!
//! A request that is in flight from `a` to `b` adds one to a step function between them. We want the
//! mean of that function over each interval, exactly, at a fixed price per request however long it
//! took. So we note two things per interval: the area that a request adds inside the interval in which
//! it begins (and takes away in the one in which it ends), and by how much the level of all later
//! intervals rises (and falls). One pass over the intervals at the end adds it up.
//!
//! Areas are added modulo 2^64: on the way a sum may overflow, but what comes out at the end (mean
//! times length of an interval) fits, and then it is exact.

use super::slots::{Place, Slots};

#[derive(Clone, Debug, Default)]
struct Change {
    /// Nanoseconds × requests, within this interval alone.
    area: i64,
    /// Change of level from the start of this interval on.
    level: i64,
}

/// From when to when a request was in flight, as several step functions are told; `last` is `None` when it ended after the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stay {
    pub(crate) first: Place,
    pub(crate) last: Option<Place>,
}

/// A step function over the intervals of [`Slots`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Occupancy {
    changes: Vec<Change>,
}

impl Occupancy {
    #[inline]
    fn at(&mut self, index: usize) -> &mut Change {
        if index >= self.changes.len() {
            self.grow(index);
        }
        &mut self.changes[index]
    }

    #[cold]
    fn grow(&mut self, index: usize) {
        self.changes.resize_with(index + 1, Change::default);
    }

    /// One request.
    #[inline]
    pub(crate) fn add(&mut self, Stay { first, last }: Stay) {
        match last {
            // Within one interval the levels around it stay as they are.
            Some(last) if last.index == first.index => {
                let change = self.at(last.index);
                change.area = change.area.wrapping_add(first.left.wrapping_sub(last.left) as i64);
            }
            last => {
                self.step(first, 1);
                if let Some(last) = last {
                    self.step(last, -1);
                }
            }
        }
    }

    #[inline(never)]
    fn step(&mut self, Place { index, left }: Place, by: i64) {
        // The later one first, so that the list grows once.
        self.at(index + 1).level += by;
        let change = &mut self.changes[index];
        change.area = change.area.wrapping_add((left as i64).wrapping_mul(by));
    }

    /// The mean level over each of the first `len` intervals.
    pub(crate) fn means(&self, slots: &Slots, len: usize) -> Vec<f64> {
        let mut level: i64 = 0;
        (0..len)
            .map(|index| {
                let (area, step) =
                    self.changes.get(index).map_or((0, 0), |change| (change.area, change.level));
                level += step;
                let length = slots.end(index).saturating_sub(slots.start(index));
                if length == 0 {
                    return level as f64;
                }
                let total = level.wrapping_mul(length as i64).wrapping_add(area);
                total as f64 / length as f64
            })
            .collect()
    }

    /// Halves the number of intervals; to be called with the old `slots`.
    pub(crate) fn double(&mut self, slots: &Slots) {
        let mut coarse = Occupancy::default();
        for (index, change) in self.changes.iter().enumerate() {
            let (target, is_first) = slots.doubled(index);
            if is_first {
                let merged = coarse.at(target);
                merged.area = merged.area.wrapping_add(change.area);
                merged.level += change.level;
            } else {
                let length = slots.end(index).saturating_sub(slots.start(index));
                let risen = change.level.wrapping_mul(length as i64);
                let merged = coarse.at(target);
                merged.area = merged.area.wrapping_add(change.area).wrapping_add(risen);
                coarse.at(target + 1).level += change.level;
            }
        }
        *self = coarse;
    }

    /// The run turned out to end `early` nanoseconds before the end of interval `index`.
    pub(crate) fn cut(&mut self, index: usize, early: u64) {
        let risen = self.changes.get(index + 1).map_or(0, |change| change.level);
        if let Some(change) = self.changes.get_mut(index) {
            change.area = change.area.wrapping_sub(risen.wrapping_mul(early as i64));
        }
    }

    pub(crate) fn merge(&mut self, other: &Occupancy) {
        for (index, change) in other.changes.iter().enumerate() {
            let mine = self.at(index);
            mine.area = mine.area.wrapping_add(change.area);
            mine.level += change.level;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slots::Span;
    use super::*;

    fn brute(slots: &Slots, len: usize, requests: &[(u64, u64)]) -> Vec<f64> {
        (0..len)
            .map(|i| {
                let (from, to) = (slots.start(i), slots.end(i));
                let area: u64 =
                    requests.iter().map(|&(a, b)| b.min(to).saturating_sub(a.max(from))).sum();
                area as f64 / (to - from) as f64
            })
            .collect()
    }

    #[test]
    fn means_are_those_of_the_step_function() {
        let requests = [(0, 5), (3, 3), (3, 47), (9, 10), (10, 20), (24, 26), (25, 60), (58, 59)];
        let mut slots = Slots::new(5, 12, None);
        let mut occupancy = Occupancy::default();
        for (a, b) in requests {
            let place = |t| slots.place(t, &mut Span::default()).expect("there is no end");
            occupancy.add(Stay { first: place(a), last: Some(place(b)) });
        }
        let len = slots.index(59) + 1;
        assert_eq!(occupancy.means(&slots, len), brute(&slots, len, &requests));
        occupancy.double(&slots);
        slots.double();
        let len = slots.index(59) + 1;
        assert_eq!(occupancy.means(&slots, len), brute(&slots, len, &requests));
    }
}
