//! The run over time: one value an interval, for each of a handful of metrics.
//!
//! A request counts as *offered* in the interval in which it was due, as *sent* in the one in which it
//! was sent, and as answered, failed, timed out or refused in the one in which it ended. Its response
//! time belongs to the interval in which it was *due*: that is what somebody who came at that moment
//! had to bear. Unlike the metrics, the series show the warm-up too (a reader must see whether it was
//! long enough); [`Slot::is_warmup`] says which intervals those are.

use super::buckets::Buckets;
use super::histogram::samples_needed;
use super::occupancy::{Occupancy, Stay};
use super::sample::{FailClass, Outcome, Sample, Timed};
use super::slots::{MAX_SLOTS, Slots};
use crate::results;
use serde::{Deserialize, Serialize};

/// One interval, in nanoseconds since the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, bool)", into = "(u64, u64, bool)")]
pub struct Slot {
    /// Start.
    pub from: u64,
    /// End, not included.
    pub to: u64,
    /// Whether it belongs to the warm-up, which no metric counts.
    pub is_warmup: bool,
}

impl Slot {
    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.to.saturating_sub(self.from) as f64 / 1e9
    }
}

impl From<(u64, u64, bool)> for Slot {
    fn from((from, to, is_warmup): (u64, u64, bool)) -> Self {
        Self { from, to, is_warmup }
    }
}

impl From<Slot> for (u64, u64, bool) {
    fn from(slot: Slot) -> Self {
        (slot.from, slot.to, slot.is_warmup)
    }
}

/// The course of one metric: a value for each [`Slot`], or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The metric, its unit in the name: `latency_p99_ms`, `ok_rps`, `in_flight`.
    pub metric: String,
    /// Which endpoint, status class or error class; empty for the run as a whole.
    pub label: String,
    /// One value for each interval.
    pub values: Vec<Option<f64>>,
}

/// Every course of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeSeries {
    /// The intervals.
    pub slots: Vec<Slot>,
    /// The courses.
    pub lines: Vec<Line>,
}

impl TimeSeries {
    /// The course of this metric and label.
    pub fn line(&self, metric: &str, label: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.metric == metric && line.label == label)
    }

    /// Every course of this metric.
    pub fn lines_of<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.metric == metric)
    }

    /// Adds the course of a metric that somebody else observed: points (nanoseconds since the start,
    /// value), in any order; an interval shows the mean of the points in it.
    pub fn insert(&mut self, metric: &str, label: &str, points: &[(u64, f64)]) {
        let mut sums = vec![(0.0, 0_u32); self.slots.len()];
        for (t, value) in points {
            let after = self.slots.partition_point(|slot| slot.from <= *t);
            let Some(index) = after.checked_sub(1).filter(|i| *t < self.slots[*i].to) else {
                continue;
            };
            sums[index].0 += value;
            sums[index].1 += 1;
        }
        let mean = |(sum, n): (f64, u32)| (n > 0).then(|| sum / f64::from(n));
        let values = sums.into_iter().map(mean).collect();
        self.lines.push(Line { metric: metric.to_owned(), label: label.to_owned(), values });
    }
}

/// The response times of requests that were due in one interval of the measured time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Interval {
    /// When.
    pub slot: Slot,
    /// Of how many there were.
    #[serde(with = "results::buckets")]
    pub buckets: Buckets<u32>,
    /// The longest, in nanoseconds; exact.
    pub greatest: u64,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    offered: u64,
    sent: u64,
    ok: u64,
    timed_out: u64,
    refused: u64,
    dropped: u64,
    failed: [u64; FailClass::ALL.len()],
    /// Responses by the first digit of their status; the first entry is never used.
    statuses: [u64; 6],
    greatest: u64,
    times: Buckets<u32>,
}

impl Counts {
    fn merge(&mut self, other: &Counts) {
        self.offered += other.offered;
        self.sent += other.sent;
        self.ok += other.ok;
        self.timed_out += other.timed_out;
        self.refused += other.refused;
        self.dropped += other.dropped;
        for (a, b) in self.failed.iter_mut().zip(&other.failed) {
            *a += b;
        }
        for (a, b) in self.statuses.iter_mut().zip(&other.statuses) {
            *a += b;
        }
        self.greatest = self.greatest.max(other.greatest);
        self.times.add(&other.times);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    counts: Vec<Counts>,
    in_flight: Occupancy,
}

impl Series {
    #[inline]
    fn at(&mut self, slot: usize) -> &mut Counts {
        if slot >= self.counts.len() {
            self.grow(slot);
        }
        &mut self.counts[slot]
    }

    #[cold]
    fn grow(&mut self, slot: usize) {
        self.counts.resize_with(slot + 1, Counts::default);
    }

    /// Counts one request; slots are `None` beyond the end of the run.
    #[inline]
    pub(crate) fn record(
        &mut self,
        sample: &Sample,
        timed: Option<&Timed>,
        intended: Option<usize>,
        sent: Option<(usize, Stay)>,
        finished: Option<usize>,
    ) {
        if let Some(slot) = intended {
            let counts = self.at(slot);
            counts.offered += 1;
            if let Some(Timed { response, .. }) = timed {
                counts.greatest = counts.greatest.max(response.nanos);
                counts.times.record(response.bucket);
            }
            if sample.outcome == Outcome::Dropped {
                counts.dropped += 1;
            }
        }
        if sample.outcome == Outcome::Dropped {
            return;
        }
        if let Some((slot, stay)) = sent {
            self.at(slot).sent += 1;
            self.in_flight.add(stay);
        }
        if let Some(slot) = finished {
            let counts = self.at(slot);
            match sample.outcome {
                Outcome::Ok => counts.ok += 1,
                Outcome::Failed(class) => counts.failed[class as usize] += 1,
                Outcome::TimedOut => counts.timed_out += 1,
                Outcome::Refused => counts.refused += 1,
                Outcome::Dropped => {}
            }
            if sample.status > 0 {
                counts.statuses[usize::from(sample.status / 100).clamp(1, 5)] += 1;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    pub(crate) fn double(&mut self, slots: &Slots) {
        let mut coarse: Vec<Counts> = Vec::with_capacity(MAX_SLOTS);
        for (index, counts) in self.counts.drain(..).enumerate() {
            let (target, _) = slots.doubled(index);
            if target < coarse.len() {
                coarse[target].merge(&counts);
            } else {
                coarse.resize_with(target, Counts::default);
                coarse.push(counts);
            }
        }
        self.counts = coarse;
        self.in_flight.double(slots);
    }

    pub(crate) fn cut(&mut self, index: usize, early: u64) {
        self.in_flight.cut(index, early);
    }

    pub(crate) fn merge(&mut self, other: &Series) {
        for (index, counts) in other.counts.iter().enumerate() {
            self.at(index).merge(counts);
        }
        self.in_flight.merge(&other.in_flight);
    }

    /// The courses over the first `len` intervals, and the response times of the measured ones.
    pub(crate) fn finish(mut self, slots: &Slots, len: usize) -> (TimeSeries, Vec<Interval>) {
        self.counts.resize_with(len, Counts::default);
        let slot = |index: usize| Slot {
            from: slots.start(index),
            to: slots.end(index),
            is_warmup: slots.is_warmup(index),
        };
        let mut series =
            TimeSeries { slots: (0..len).map(slot).collect(), lines: Vec::with_capacity(24) };
        let counts = &self.counts;
        let spans = series.slots.clone();
        let lines = &mut series.lines;
        let mut put = |metric: &str, label: &str, value: &dyn Fn(usize) -> Option<f64>| {
            let values: Vec<Option<f64>> = (0..len).map(value).collect();
            lines.push(Line { metric: metric.to_owned(), label: label.to_owned(), values });
        };
        let rate = |index: usize, count: u64| {
            let seconds = spans[index].seconds();
            (seconds > 0.0).then(|| count as f64 / seconds)
        };
        let answered = |c: &Counts| c.statuses.iter().sum::<u64>();
        put("offered_rps", "", &|i| rate(i, counts[i].offered));
        put("sent_rps", "", &|i| rate(i, counts[i].sent));
        put("answered_rps", "", &|i| rate(i, answered(&counts[i])));
        put("ok_rps", "", &|i| rate(i, counts[i].ok));
        put("failed_rps", "", &|i| rate(i, counts[i].failed.iter().sum()));
        put("timed_out_rps", "", &|i| rate(i, counts[i].timed_out));
        put("refused_rps", "", &|i| rate(i, counts[i].refused));
        put("dropped_rps", "", &|i| rate(i, counts[i].dropped));
        for (metric, quantile) in
            [("latency_p50_ms", 0.5), ("latency_p90_ms", 0.9), ("latency_p99_ms", 0.99)]
        {
            put(metric, "", &|i| {
                let Counts { times, greatest, .. } = &counts[i];
                let enough = times.len() >= samples_needed(quantile);
                enough.then(|| times.value_at_quantile(quantile).min(*greatest) as f64 / 1e6)
            });
        }
        put("latency_max_ms", "", &|i| {
            (!counts[i].times.is_empty()).then(|| counts[i].greatest as f64 / 1e6)
        });
        let in_flight = self.in_flight.means(slots, len);
        put("in_flight", "", &|i| Some(in_flight[i]));
        for class in 1..=5 {
            if counts.iter().any(|c| c.statuses[class] > 0) {
                let label = format!("{class}xx");
                put("status_rps", &label, &|i| rate(i, counts[i].statuses[class]));
            }
        }
        for class in FailClass::ALL {
            if counts.iter().any(|c| c.failed[class as usize] > 0) {
                put("failed_class_rps", class.as_str(), &|i| {
                    rate(i, counts[i].failed[class as usize])
                });
            }
        }
        let interval = |(counts, slot): (Counts, &Slot)| {
            let Counts { times: buckets, greatest, .. } = counts;
            let shows = !slot.is_warmup && !buckets.is_empty();
            shows.then_some(Interval { slot: *slot, buckets, greatest })
        };
        let intervals = self.counts.into_iter().zip(&series.slots).filter_map(interval).collect();
        (series, intervals)
    }
}
