//! The last day, minute by minute.
//!
//! A ring of 1,440 minutes, each with a few numbers. A minute is begun anew when something happens in it, so that nothing has to be done when time
//! passes, and an old one is known by its number.

use std::time::Duration;

use serde::Serialize;

use crate::Instant;

/// How many minutes are kept: a day.
pub const KEPT: u64 = 1440;

/// The upper bounds of the latency buckets in milliseconds; one more is for all that took longer.
pub const BOUNDS_MS: [u64; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/// What happened in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Requests that ended.
    pub requests: u64,
    /// The same by the class of their status: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub statuses: [u64; 5],
    /// Bytes of bodies that clients sent.
    pub received: u64,
    /// Bytes of bodies that clients were sent.
    pub sent: u64,
    /// Requests by how long they took, by [`BOUNDS_MS`].
    pub latency: [u64; BOUNDS_MS.len() + 1],
    /// Requests that looked into the cache.
    pub cache_looked: u64,
    /// Those of them that were answered from it.
    pub cache_hits: u64,
}

impl Sums {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.received += other.received;
        self.sent += other.sent;
        self.cache_looked += other.cache_looked;
        self.cache_hits += other.cache_hits;
        for (own, other) in self.statuses.iter_mut().zip(other.statuses) {
            *own += other;
        }
        for (own, other) in self.latency.iter_mut().zip(other.latency) {
            *own += other;
        }
    }

    /// A time that so large a share of requests did not exceed, as the bound of its bucket; nothing where nothing came or the bucket has none.
    pub fn quantile_ms(&self, share: f64) -> Option<u64> {
        let rank = (share * self.requests as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.latency.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        bucket.filter(|_| self.requests > 0).and_then(|bucket| BOUNDS_MS.get(bucket).copied())
    }

    /// The share of those that looked into the cache that were answered from it.
    pub fn cache_ratio(&self) -> Option<f64> {
        (self.cache_looked > 0).then(|| self.cache_hits as f64 / self.cache_looked as f64)
    }
}

/// The bucket for this time.
pub(super) fn bucket(took: Duration) -> usize {
    BOUNDS_MS.partition_point(|bound| took > Duration::from_millis(*bound))
}

/// The number of the minute in which this moment lies.
pub fn minute(now: Instant) -> u64 {
    now.as_nanos() / 60_000_000_000
}

/// The last day.
#[derive(Clone, Debug, Default)]
pub struct Minutes {
    /// By the remainder of their numbers; empty until the first request.
    ring: Vec<(u64, Sums)>,
}

impl Minutes {
    /// The present one.
    pub fn at(&mut self, now: Instant) -> &mut Sums {
        let number = minute(now);
        if self.ring.is_empty() {
            self.ring = vec![(0, Sums::default()); KEPT as usize];
        }
        let (known, sums) = &mut self.ring[(number % KEPT) as usize];
        if *known != number {
            (*known, *sums) = (number, Sums::default());
        }
        sums
    }

    /// The minutes of the last day in which something happened, with their numbers; in no order.
    pub fn last_day(&self, now: Instant) -> impl Iterator<Item = (u64, &Sums)> {
        let now = minute(now);
        let recent = move |number: u64| number <= now && now - number < KEPT;
        let used =
            self.ring.iter().filter(move |(number, sums)| recent(*number) && sums.requests > 0);
        used.map(|(number, sums)| (*number, sums))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at(minute: u64) -> Instant {
        Instant::from_nanos(minute * 60_000_000_000 + 7)
    }

    proptest! {
        /// It is a table of the last day's minutes that never forgets too early or too late.
        #[test]
        fn it_is_a_table_of_the_last_day(steps in prop::collection::vec(0_u64..700, 1..40)) {
            let (mut minutes, mut table) = (Minutes::default(), BTreeMap::<u64, u64>::new());
            let mut now = 0;
            for step in steps {
                now += step;
                minutes.at(at(now)).requests += 1;
                *table.entry(now).or_default() += 1;
                table.retain(|number, _| now - number < KEPT);
                let found: BTreeMap<u64, u64> =
                    minutes.last_day(at(now)).map(|(number, sums)| (number, sums.requests)).collect();
                prop_assert_eq!(&found, &table);
            }
        }
    }

    #[test]
    fn buckets_and_quantiles() {
        let millis = Duration::from_millis;
        for (took, index) in
            [(0, 0), (1, 0), (2, 1), (3, 2), (10_000, 12), (10_001, 13), (99_999, 13)]
        {
            assert_eq!(bucket(millis(took)), index, "{took}");
        }
        let mut sums = Sums::default();
        assert_eq!((sums.quantile_ms(0.5), sums.cache_ratio()), (None, None));
        for took in [1, 1, 4, 30, 20_000] {
            sums.requests += 1;
            sums.latency[bucket(millis(took))] += 1;
        }
        let quantiles = [0.0, 0.4, 0.5, 0.8, 1.0].map(|share| sums.quantile_ms(share));
        assert_eq!(quantiles, [Some(1), Some(1), Some(5), Some(50), None]);
    }
}
