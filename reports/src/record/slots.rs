//! The intervals of a time series.
//!
//! Time is cut into intervals of one length, at most [`MAX_SLOTS`] of them. The cut restarts where the
//! warm-up ends, so that each interval lies wholly inside or wholly outside of the measured time, and
//! the measured ones add up to exactly the figures of the run. Where nobody knows beforehand how long
//! the run will be, intervals double in length each time that they would become too many.

/// No series has more intervals than about this.
pub const MAX_SLOTS: usize = 600;

/// How time is cut. All in nanoseconds since the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots {
    interval: u64,
    /// 2^64 / interval, rounded down.
    reciprocal: u64,
    warmup: u64,
    /// How many intervals the warm-up has.
    warm: usize,
    /// End of the run, where it is known.
    end: Option<u64>,
}

/// Where an instant lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// In which interval.
    pub(crate) index: usize,
    /// Nanoseconds from there to the interval's end.
    pub(crate) left: u64,
}

impl Slots {
    pub(crate) fn new(interval: u64, warmup: u64, end: Option<u64>) -> Self {
        let warmup = end.map_or(warmup, |end| warmup.min(end));
        // Of one nanosecond there is no reciprocal below 2^64; nobody asks for less than two.
        let interval = interval.max(2);
        let mut slots = Self { interval, reciprocal: reciprocal(interval), warmup, warm: 0, end };
        slots.warm = warmup.div_ceil(slots.interval) as usize;
        while slots.warm > MAX_SLOTS || slots.known_len().is_some_and(|len| len > MAX_SLOTS) {
            slots.double();
        }
        slots
    }

    pub(crate) fn interval(&self) -> u64 {
        self.interval
    }

    /// How many intervals the whole run has, where its end is known.
    pub(crate) fn known_len(&self) -> Option<usize> {
        let end = self.end?;
        Some(self.warm + (end - self.warmup).div_ceil(self.interval) as usize)
    }

    /// Whether it is known when the run ends, so that there are enough intervals for all of it.
    pub(crate) fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// Whether another interval may be added for an instant as late as this.
    pub(crate) fn is_within(&self, t: u64) -> bool {
        self.end.is_none_or(|end| t < end)
    }

    /// The interval that an instant lies in. It may be beyond [`MAX_SLOTS`] where the end is not known.
    pub(crate) fn index(&self, t: u64) -> usize {
        self.place(t).index
    }

    /// Where an instant lies. Two of these are on the path of every request.
    #[inline]
    pub(crate) fn place(&self, t: u64) -> Place {
        let (first, from, to) = if t < self.warmup {
            (0, 0, self.warmup)
        } else {
            (self.warm, self.warmup, self.end.unwrap_or(u64::MAX))
        };
        // A division by multiplication: the reciprocal is rounded down, so the quotient is right or too small by one.
        let since = t - from;
        let quotient = ((u128::from(since) * u128::from(self.reciprocal)) >> 64) as u64;
        let past = since - quotient * self.interval;
        let (quotient, past) = if past < self.interval {
            (quotient, past)
        } else {
            (quotient + 1, past - self.interval)
        };
        let left = (self.interval - past).min(to.saturating_sub(t));
        Place { index: first + quotient as usize, left }
    }

    /// Start of an interval.
    pub(crate) fn start(&self, index: usize) -> u64 {
        if index < self.warm {
            index as u64 * self.interval
        } else {
            self.warmup.saturating_add((index - self.warm) as u64 * self.interval)
        }
    }

    /// Its end, cut at the ends of the warm-up and of the run.
    pub(crate) fn end(&self, index: usize) -> u64 {
        let full = self.start(index).saturating_add(self.interval);
        if index < self.warm {
            full.min(self.warmup)
        } else {
            self.end.map_or(full, |end| full.min(end))
        }
    }

    pub(crate) fn is_warmup(&self, index: usize) -> bool {
        index < self.warm
    }

    pub(crate) fn set_end(&mut self, end: u64) {
        self.end = Some(end.max(self.warmup));
    }

    /// Makes intervals twice as long.
    pub(crate) fn double(&mut self) {
        self.interval = self.interval.saturating_mul(2);
        self.reciprocal = reciprocal(self.interval);
        self.warm = self.warm.div_ceil(2);
    }

    /// Where interval `index` goes when intervals become twice as long (asked before [`Self::double`]),
    /// and whether it is the first part of that one.
    pub(crate) fn doubled(&self, index: usize) -> (usize, bool) {
        if index < self.warm {
            (index / 2, index.is_multiple_of(2))
        } else {
            let measured = index - self.warm;
            (self.warm.div_ceil(2) + measured / 2, measured.is_multiple_of(2))
        }
    }
}

fn reciprocal(interval: u64) -> u64 {
    ((1_u128 << 64) / u128::from(interval)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividing_by_the_reciprocal_is_dividing() {
        for interval in [2, 3, 10, 999, 1_000_000_000, 3_000_000_007, 1 << 40, u64::MAX / 2] {
            let slots = Slots::new(interval, 0, None);
            let far = [0, 1, u64::MAX - 1, u64::MAX];
            let near = (1..1000).flat_map(|n| {
                let t = interval.saturating_mul(n);
                [t.saturating_sub(1), t, t.saturating_add(1)]
            });
            for t in near.chain(far) {
                assert_eq!(slots.index(t) as u64, t / interval, "{t} / {interval}");
            }
        }
    }

    #[test]
    fn intervals_restart_at_the_end_of_the_warm_up() {
        let slots = Slots::new(10, 25, Some(60));
        let bounds: Vec<_> =
            (0..slots.known_len().unwrap()).map(|i| (slots.start(i), slots.end(i))).collect();
        assert_eq!(bounds, [(0, 10), (10, 20), (20, 25), (25, 35), (35, 45), (45, 55), (55, 60)]);
        for t in 0..60 {
            let i = slots.index(t);
            assert!(slots.start(i) <= t && t < slots.end(i), "{t} in {i}");
            assert_eq!(slots.place(t), Place { index: i, left: slots.end(i) - t }, "{t}");
            assert_eq!(slots.is_warmup(i), t < 25);
        }
    }

    #[test]
    fn doubling_keeps_every_instant_in_its_interval() {
        let before = Slots::new(10, 25, None);
        let mut after = before;
        after.double();
        for t in 0..200 {
            assert_eq!(before.doubled(before.index(t)).0, after.index(t), "{t}");
        }
    }

    #[test]
    fn a_long_run_has_coarse_intervals() {
        let slots = Slots::new(2, 7, Some(100_000));
        assert!(slots.known_len().unwrap() <= MAX_SLOTS);
    }
}
