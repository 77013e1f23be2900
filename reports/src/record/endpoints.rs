//! What each endpoint got: requests, failures, and how many were in flight to it over time.

use super::occupancy::{Occupancy, Stay};
use super::sample::{Outcome, Sample};
use super::slots::Slots;
use crate::metrics::{Metrics, Unit};
use serde::{Deserialize, Serialize};

/// With more endpoints than this, their courses over time are not kept: nobody could read them.
pub const MAX_ENDPOINT_SERIES: usize = 128;

/// One row of the table of endpoints: figures of the measured time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointRow {
    /// Its name.
    pub name: String,
    /// Requests that it answered last.
    pub requests: u64,
    /// Its part of all requests that reached an endpoint.
    pub share: f64,
    /// Those that did not end ok.
    pub failed: u64,
    /// Mean number in flight to it; `None` where the course over time was not kept.
    pub in_flight_mean: Option<f64>,
    /// Most in flight: as observed, or else the highest mean over one interval.
    pub in_flight_max: Option<f64>,
}

#[derive(Clone, Debug, Default)]
struct Course {
    finished: Vec<u64>,
    occupancy: Occupancy,
    observed: Vec<u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    failed: Vec<u64>,
    courses: Vec<Course>,
}

/// The courses of one endpoint over time, one value an interval.
pub(crate) struct EndpointCourse {
    pub(crate) finished: Vec<u64>,
    pub(crate) in_flight: Vec<f64>,
}

fn add_at<T: Clone + Default + std::ops::AddAssign>(list: &mut Vec<T>, index: usize, value: T) {
    if index >= list.len() {
        list.resize(index + 1, T::default());
    }
    list[index] += value;
}

impl Endpoints {
    pub(crate) fn new(count: usize) -> Self {
        let courses = if count <= MAX_ENDPOINT_SERIES { count } else { 0 };
        Self { failed: vec![0; count], courses: vec![Course::default(); courses] }
    }

    #[inline]
    pub(crate) fn record(
        &mut self,
        sample: &Sample,
        stay: Option<Stay>,
        finished_slot: Option<usize>,
        is_measured: bool,
    ) {
        let Some(endpoint) = sample.endpoint else { return };
        if is_measured
            && sample.outcome != Outcome::Ok
            && let Some(failed) = self.failed.get_mut(endpoint)
        {
            *failed += 1;
        }
        let Some(course) = self.courses.get_mut(endpoint) else { return };
        if let Some(slot) = finished_slot {
            add_at(&mut course.finished, slot, 1);
        }
        if let Some(stay) = stay {
            course.occupancy.add(stay);
        }
    }

    pub(crate) fn observe(&mut self, endpoint: usize, slot: usize, value: u32) {
        let Some(course) = self.courses.get_mut(endpoint) else { return };
        if slot >= course.observed.len() {
            course.observed.resize(slot + 1, 0);
        }
        course.observed[slot] = course.observed[slot].max(value);
    }

    pub(crate) fn double(&mut self, slots: &Slots) {
        for course in &mut self.courses {
            let mut finished = Vec::with_capacity(course.finished.len());
            for (index, count) in course.finished.iter().enumerate() {
                add_at(&mut finished, slots.doubled(index).0, *count);
            }
            course.finished = finished;
            let mut observed: Vec<u32> = Vec::with_capacity(course.observed.len());
            for (index, value) in course.observed.iter().enumerate() {
                let target = slots.doubled(index).0;
                if target >= observed.len() {
                    observed.resize(target + 1, 0);
                }
                observed[target] = observed[target].max(*value);
            }
            course.observed = observed;
            course.occupancy.double(slots);
        }
    }

    pub(crate) fn cut(&mut self, index: usize, early: u64) {
        for course in &mut self.courses {
            course.occupancy.cut(index, early);
        }
    }

    pub(crate) fn merge(&mut self, other: &Endpoints) {
        for (mine, theirs) in self.failed.iter_mut().zip(&other.failed) {
            *mine += theirs;
        }
        for (mine, theirs) in self.courses.iter_mut().zip(&other.courses) {
            for (index, count) in theirs.finished.iter().enumerate() {
                add_at(&mut mine.finished, index, *count);
            }
            // Two observers of one endpoint each see their own part of it.
            for (index, value) in theirs.observed.iter().enumerate() {
                add_at(&mut mine.observed, index, *value);
            }
            mine.occupancy.merge(&theirs.occupancy);
        }
    }

    pub(crate) fn courses(&self, slots: &Slots, len: usize) -> Vec<EndpointCourse> {
        let course = |course: &Course| {
            let mut finished = course.finished.clone();
            finished.resize(len, 0);
            EndpointCourse { finished, in_flight: course.occupancy.means(slots, len) }
        };
        self.courses.iter().map(course).collect()
    }

    /// The table, from the counts of the measured time.
    pub(crate) fn rows(
        &self,
        slots: &Slots,
        len: usize,
        names: &[String],
        requests: &[u64],
        courses: &[EndpointCourse],
    ) -> Vec<EndpointRow> {
        let total: u64 = requests.iter().sum();
        let row = |index: usize, name: &String| {
            let measured = || (0..len).filter(|slot| !slots.is_warmup(*slot));
            let length = |slot: usize| slots.end(slot).saturating_sub(slots.start(slot)) as f64;
            let whole: f64 = measured().map(length).sum();
            let in_flight_mean = courses.get(index).filter(|_| whole > 0.0).map(|course| {
                measured().map(|slot| course.in_flight[slot] * length(slot)).sum::<f64>() / whole
            });
            let observed = self.courses.get(index).and_then(|course| {
                measured().filter_map(|slot| course.observed.get(slot)).max().copied()
            });
            let derived = courses
                .get(index)
                .map(|course| measured().map(|slot| course.in_flight[slot]).fold(0.0, f64::max));
            EndpointRow {
                name: name.clone(),
                requests: requests[index],
                share: if total > 0 { requests[index] as f64 / total as f64 } else { 0.0 },
                failed: self.failed[index],
                in_flight_mean,
                in_flight_max: observed.map(f64::from).or(derived),
            }
        };
        names.iter().enumerate().map(|(index, name)| row(index, name)).collect()
    }
}

/// Writes the `endpoint.<name>.…` metrics.
pub(crate) fn emit(rows: &[EndpointRow], metrics: &mut Metrics) {
    for row in rows {
        let mut put = |end: &str, value: Option<f64>, unit: Unit| {
            let name = format!("endpoint.{}.{end}", row.name);
            match value {
                Some(value) => metrics.insert(name, value, unit),
                None => metrics.set_absent(name, "too many endpoints to follow each over time"),
            }
        };
        put("requests", Some(row.requests as f64), Unit::Count);
        put("share", Some(row.share), Unit::Ratio);
        put("failed", Some(row.failed as f64), Unit::Count);
        put("in_flight.mean", row.in_flight_mean, Unit::Count);
        put("in_flight.max", row.in_flight_max, Unit::Count);
    }
}
