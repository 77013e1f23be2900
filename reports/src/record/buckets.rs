//! Counts of times in the buckets of an HdrHistogram.
//!
//! The buckets are Gil Tene's: their width doubles with the value, and each doubling has 1,024 of them, so that any time from 128 ns
//! up is known to three significant digits and two histograms add up to exactly that of both. What is written to files is such
//! a histogram ([`Buckets::to_hdr`]), and the library's are read. The counting is our own, because a request's time belongs in several
//! histograms at once, its load's, its interval's and each phase's: which [`Bucket`] it is in is found out once, and each of them costs an
//! addition.

use hdrhistogram::{Counter, Histogram as Hdr};

/// Times below 2 to this power, in nanoseconds, share the first bucket.
const UNIT: u32 = 7;
/// Each doubling has 2 to this power buckets; the first two powers together are the first doubling.
const HALF: u32 = 10;
/// Significant digits: what [`HALF`] comes to.
const DIGITS: u8 = 3;
/// Where the written histograms end at first, in nanoseconds; they grow when a longer time comes.
const FIRST_HIGHEST: u64 = 16_000_000;

/// In which bucket a time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket(usize);

impl Bucket {
    /// Of a time in nanoseconds.
    #[inline]
    pub fn of(nanos: u64) -> Self {
        let highest_bit = (nanos | ((1 << (UNIT + HALF + 1)) - 1)).ilog2();
        let doubling = highest_bit - (UNIT + HALF);
        Self(((doubling as usize) << HALF) + (nanos >> (doubling + UNIT)) as usize)
    }

    /// The least time in it, in nanoseconds, and the power of two that is its width.
    fn bounds(self) -> (u64, u32) {
        let doubling = (self.0 >> HALF).saturating_sub(1);
        let width = doubling as u32 + UNIT;
        (((self.0 - (doubling << HALF)) as u64) << width, width)
    }

    /// The least time in it, in nanoseconds.
    pub fn lowest(self) -> u64 {
        self.bounds().0
    }

    /// The greatest time in it, in nanoseconds.
    pub fn highest(self) -> u64 {
        let (lowest, width) = self.bounds();
        lowest + ((1 << width) - 1)
    }
}

/// How many times there were in each bucket.
#[derive(Clone, Debug)]
pub struct Buckets<C> {
    counts: Vec<C>,
    total: u64,
}

impl<C: Counter> Default for Buckets<C> {
    fn default() -> Self {
        Self { counts: Vec::new(), total: 0 }
    }
}

impl<C: Counter> PartialEq for Buckets<C> {
    /// The same times, however far each has grown.
    fn eq(&self, other: &Self) -> bool {
        self.total == other.total && self.recorded().eq(other.recorded())
    }
}

impl<C: Counter> Buckets<C> {
    /// Counts a time that is in this bucket.
    #[inline]
    pub fn record(&mut self, bucket: Bucket) {
        let count = self.at(bucket);
        *count = count.saturating_add(C::one());
        self.total += 1;
    }

    #[inline]
    fn at(&mut self, Bucket(index): Bucket) -> &mut C {
        if index >= self.counts.len() {
            self.grow(index);
        }
        &mut self.counts[index]
    }

    #[cold]
    fn grow(&mut self, index: usize) {
        let wanted = ((index >> HALF) + 1) << HALF;
        self.counts.reserve_exact(wanted.saturating_sub(self.counts.len()));
        self.counts.resize(wanted, C::zero());
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        if other.counts.len() > self.counts.len() {
            self.grow(other.counts.len() - 1);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.total = self.total.saturating_add(other.total);
    }

    /// How many times were counted.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The time that a part `quantile` (0 to 1) of all does not exceed, in nanoseconds: the greatest of its bucket, for a quantile of 0
    /// the least. Below 128 ns it is 0, as when empty: what takes no time at all in the model should not seem to take some.
    pub fn value_at_quantile(&self, quantile: f64) -> u64 {
        let is_least = |bucket: Bucket| quantile <= 0.0 || bucket == Bucket(0);
        let time = |bucket| if is_least(bucket) { bucket.lowest() } else { bucket.highest() };
        let wanted = (quantile.clamp(0.0, 1.0) * self.total as f64).ceil().max(1.0) as u64;
        let mut before = 0;
        // Sums of many first: most of the way is over buckets that nobody wants to know by themselves.
        const MANY: usize = 64;
        for (place, many) in self.counts.chunks(MANY).enumerate() {
            let sum: u64 = many.iter().map(Counter::as_u64).sum();
            if before + sum < wanted {
                before += sum;
                continue;
            }
            for (index, count) in many.iter().enumerate() {
                before += count.as_u64();
                if before >= wanted {
                    return time(Bucket(place * MANY + index));
                }
            }
        }
        // Empty, or a count could rise no further.
        self.recorded().last().map_or(0, |(bucket, _)| time(bucket))
    }

    /// The buckets that have any, and how many.
    fn recorded(&self) -> impl Iterator<Item = (Bucket, C)> {
        let all = self.counts.iter().enumerate();
        all.filter(|(_, count)| **count != C::zero()).map(|(index, count)| (Bucket(index), *count))
    }

    /// The library's histogram of the same times, in nanoseconds, for whoever writes it.
    pub fn to_hdr(&self) -> Hdr<C> {
        let mut hdr = empty_hdr();
        for (bucket, count) in self.recorded() {
            // It grows; and what could not be recorded at all would be counted at its end.
            if hdr.record_n(bucket.highest(), count).is_err() {
                hdr.saturating_record_n(bucket.highest(), count);
            }
        }
        hdr
    }

    /// What is in one of the library's histograms.
    pub(crate) fn of_hdr(hdr: &Hdr<C>) -> Self {
        let mut buckets = Self::default();
        for step in hdr.iter_recorded() {
            let count = buckets.at(Bucket::of(step.value_iterated_to()));
            *count = count.saturating_add(step.count_at_value());
            buckets.total = buckets.total.saturating_add(step.count_at_value().as_u64());
        }
        buckets
    }
}

/// A histogram of the library's with the same buckets.
pub(crate) fn empty_hdr<C: Counter>() -> Hdr<C> {
    let mut hdr = Hdr::new_with_bounds(1 << UNIT, FIRST_HIGHEST, DIGITS)
        .expect("the bounds are constants that fit");
    hdr.auto(true);
    hdr
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Times of every order of magnitude, up to 292 years: in its very last bucket the library is off by one.
    fn times() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(
            (any::<u64>(), 1_u32..64).prop_map(|(bits, less)| bits >> less),
            1..200,
        )
    }

    proptest! {
        /// The library is the judge.
        #[test]
        fn they_are_those_of_the_library(times in times(), quantile in 0.0..=1.0_f64) {
            let (mut own, mut hdr) = (Buckets::<u64>::default(), empty_hdr::<u64>());
            for &time in &times {
                own.record(Bucket::of(time));
                hdr.record(time).expect("it grows");
                prop_assert_eq!(Bucket::of(time).lowest(), hdr.lowest_equivalent(time));
                prop_assert_eq!(Bucket::of(time).highest(), hdr.highest_equivalent(time));
            }
            prop_assert_eq!(own.len(), hdr.len());
            for quantile in [quantile, 0.0, 1e-9, 0.5, 0.9, 0.99, 1.0] {
                let theirs = hdr.value_at_quantile(quantile);
                let theirs = if theirs < 1 << UNIT { 0 } else { theirs };
                prop_assert_eq!(own.value_at_quantile(quantile), theirs);
            }
            // Not compared as they stand: the library also keeps the least time itself, and nobody wants to read 7,000 counts.
            let written = own.to_hdr();
            prop_assert_eq!((written.len(), written.max()), (hdr.len(), hdr.max()));
            prop_assert!(Buckets::of_hdr(&written) == own && Buckets::of_hdr(&hdr) == own);
        }

        #[test]
        fn two_add_up_to_both(one in times(), other in times()) {
            let of = |times: &[u64]| {
                let mut buckets = Buckets::<u32>::default();
                for time in times {
                    buckets.record(Bucket::of(*time));
                }
                buckets
            };
            let mut sum = of(&one);
            sum.add(&of(&other));
            prop_assert!(sum == of(&[one, other].concat()));
        }
    }

    #[test]
    fn an_empty_one_has_no_times() {
        let empty = Buckets::<u32>::default();
        assert_eq!((empty.len(), empty.value_at_quantile(0.5)), (0, 0));
        assert!(empty.to_hdr() == empty_hdr::<u32>());
    }
}
