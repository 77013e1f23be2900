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
    warmup: u64,
    /// How many intervals the warm-up has.
    warm: usize,
    /// End of the run, where it is known.
    end: Option<u64>,
}

/// An interval that was looked up, from the instant with which it begins to the first after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    index: usize,
    from: u64,
    to: u64,
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
        let mut slots = Self { interval: interval.max(1), warmup, warm: 0, end };
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
        let (first, from) = if t < self.warmup { (0, 0) } else { (self.warm, self.warmup) };
        first + ((t - from) / self.interval) as usize
    }

    /// Where an instant lies; nothing when that is after the end. `near` is where somebody has looked before, who forgets it when the
    /// intervals change. Nearly always it is the same interval: two of these are on the path of every request, and a division is long.
    #[inline]
    pub(crate) fn place(&self, t: u64, near: &mut Span) -> Option<Place> {
        if t < near.from || t >= near.to {
            if !self.is_within(t) {
                return None;
            }
            *near = self.span(t);
        }
        Some(Place { index: near.index, left: near.to - t })
    }

    #[inline(never)]
    fn span(&self, t: u64) -> Span {
        let index = self.index(t);
        Span { index, from: self.start(index), to: self.end(index) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_restart_at_the_end_of_the_warm_up() {
        let slots = Slots::new(10, 25, Some(60));
        let bounds: Vec<_> =
            (0..slots.known_len().unwrap()).map(|i| (slots.start(i), slots.end(i))).collect();
        assert_eq!(bounds, [(0, 10), (10, 20), (20, 25), (25, 35), (35, 45), (45, 55), (55, 60)]);
        for t in 0..60 {
            let i = slots.index(t);
            assert!(slots.start(i) <= t && t < slots.end(i), "{t} in {i}");
            let there = Some(Place { index: i, left: slots.end(i) - t });
            for before in [0, 9, 24, 25, 34, 59] {
                let mut near = Span::default();
                slots.place(before, &mut near);
                assert_eq!(slots.place(t, &mut near), there, "{t} after {before}");
            }
            assert_eq!(slots.is_warmup(i), t < 25);
        }
        assert_eq!(slots.place(60, &mut slots.span(59)), None);
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
