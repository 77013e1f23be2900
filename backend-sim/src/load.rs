//! How loaded an endpoint is, as it says it of itself: the figures behind its load report.
//!
//! Three kinds of figures. *Now*: how many requests it has, and how many of them beyond what it serves at once. *Lately*: rate,
//! failures, utilisation and service time over the present slice of time and the one before it. A slice is at least a second long and
//! ends with an event, so that what lies in it is known exactly; nothing is smoothed. The service time is workers' time by requests
//! (the utilisation law), which needs no look at a single request and holds for every discipline.
//!
//! *At this many requests*: the latency that Prequal's probes ask for (Wydrowski et al., NSDI 2024, section 4): each request remembers how many
//! were there when it came, and of each number the last eight are kept for ten seconds; the estimate is the median of the five that found
//! as many as there are now, or nearly as many. Kept by number, because the estimate must rise in the very moment in which requests
//! come: of the latest requests alone, none has seen so many yet, and everything would go on coming here until they have. When there is
//! none the estimate is 0: nothing is known, and a probe that says so invites a request that will tell.
//!
//! It is a plain state machine, like the station beside it: the model drives the very same one.

use std::{collections::VecDeque, time::Duration};

use policy::{Instant, LoadReport, time::nanos};

use crate::station::Station;

/// A slice of time is at least so long.
const SLICE: Duration = Duration::from_secs(1);
/// So many requests that found the same number are remembered, for so long.
const RECENT: (usize, Duration) = (8, Duration::from_secs(10));
/// Whoever found more than so many is remembered with those who found so many.
const MOST: usize = 255;
/// So many make a median: of one or two it would be a lot that is drawn.
const NEAREST: usize = 5;

/// A request that has come: when, and how many were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    at: Instant,
    in_flight: u32,
}

/// An endpoint's figures.
#[derive(Clone, Debug)]
pub struct Meter {
    workers: u32,
    /// When the present slice began, and how long the workers had been busy by then.
    begun: Instant,
    busy: Duration,
    present: Slice,
    before: Slice,
    /// By the number that they found.
    recent: Vec<VecDeque<Recent>>,
}

/// What happened in a slice of time.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    length: Duration,
    answered: u64,
    served: u64,
    failed: u64,
    busy: Duration,
}

/// A request that was served.
#[derive(Clone, Copy, Debug)]
struct Recent {
    at: Instant,
    latency: u64,
}

impl Meter {
    /// Of an endpoint with so many workers.
    pub fn new(workers: u32) -> Self {
        Self {
            workers: workers.max(1),
            begun: Instant::START,
            busy: Duration::ZERO,
            present: Slice::default(),
            before: Slice::default(),
            recent: Vec::new(),
        }
    }

    /// A request comes to the station.
    pub fn arrived(&self, now: Instant, station: &Station) -> Arrival {
        Arrival { at: now, in_flight: station.jobs() as u32 }
    }

    /// A request has been served.
    pub fn served(&mut self, now: Instant, arrival: Arrival, station: &Station) {
        self.roll(now, station);
        self.present.answered += 1;
        self.present.served += 1;
        let found = (arrival.in_flight as usize).min(MOST);
        if self.recent.len() <= found {
            self.recent.resize_with(found + 1, VecDeque::new);
        }
        let same = &mut self.recent[found];
        if same.len() == RECENT.0 {
            same.pop_front();
        }
        same.push_back(Recent { at: now, latency: now.nanos_since(arrival.at) });
    }

    /// A request has been answered instead of being served.
    pub fn failed(&mut self, now: Instant, station: &Station) {
        self.roll(now, station);
        self.present.answered += 1;
        self.present.failed += 1;
    }

    /// What the endpoint says of itself.
    pub fn report(&mut self, now: Instant, station: &Station) -> LoadReport {
        self.roll(now, station);
        let busy = station.busy_until(now).saturating_sub(self.busy) + self.before.busy;
        let length = (now.since(self.begun) + self.before.length).as_secs_f64();
        let count = |of: fn(&Slice) -> u64| of(&self.present) + of(&self.before);
        let per_second = |count: u64| if length > 0.0 { count as f64 / length } else { 0.0 };
        let served = count(|slice| slice.served);
        let in_flight = station.jobs() as u32;
        LoadReport {
            utilization: if length > 0.0 {
                busy.as_secs_f64() / (length * f64::from(self.workers))
            } else {
                0.0
            },
            rate: per_second(count(|slice| slice.answered)),
            errors: per_second(count(|slice| slice.failed)),
            in_flight,
            queue: in_flight.saturating_sub(self.workers),
            latency: self.latency(now, in_flight),
            service_time: Duration::from_nanos(nanos(busy).checked_div(served).unwrap_or(0)),
        }
    }

    /// How long requests take that find so many.
    fn latency(&self, now: Instant, in_flight: u32) -> Duration {
        let here = (in_flight as usize).min(MOST);
        let mut latencies = [0; NEAREST + 2 * RECENT.0];
        let mut count = 0;
        let mut add = |found: Option<usize>| {
            let same = found.and_then(|found| self.recent.get(found)).into_iter().flatten();
            for each in same.filter(|each| now.since(each.at) < RECENT.1) {
                latencies[count] = each.latency;
                count += 1;
            }
            count
        };
        // Ever further away, to both sides at once.
        for distance in 0..=self.recent.len().max(here) {
            let above = (distance > 0).then_some(here + distance);
            add(above);
            if add(here.checked_sub(distance)) >= NEAREST {
                break;
            }
        }
        let Some(middle) = count.checked_sub(1) else { return Duration::ZERO };
        let (_, median, _) = latencies[..count].select_nth_unstable(middle / 2);
        Duration::from_nanos(*median)
    }

    fn roll(&mut self, now: Instant, station: &Station) {
        let length = now.since(self.begun);
        if length < SLICE {
            return;
        }
        let busy = station.busy_until(now);
        let ended = std::mem::take(&mut self.present);
        self.before = Slice { length, busy: busy.saturating_sub(self.busy), ..ended };
        (self.begun, self.busy) = (now, busy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::station::{Discipline, Layout};

    fn station(workers: u32) -> Station {
        Station::new(Layout { workers, queue: 100, discipline: Discipline::Fifo, speed: 1.0 })
    }

    fn at(millis: u64) -> Instant {
        Instant::START + Duration::from_millis(millis)
    }

    /// Serves requests of 10 ms, one each 20 ms, for so long.
    fn served(meter: &mut Meter, station: &mut Station, from: u64, until: u64) {
        for millis in (from..until).step_by(20) {
            let arrival = meter.arrived(at(millis), station);
            station.submit(at(millis), Duration::from_millis(10)).expect("there is room");
            assert!(station.complete(at(millis + 10)).is_some());
            meter.served(at(millis + 10), arrival, station);
        }
    }

    #[test]
    fn figures_are_those_of_the_last_seconds() {
        let (mut meter, mut station) = (Meter::new(1), station(1));
        assert_eq!(meter.report(at(0), &station), LoadReport::default());
        served(&mut meter, &mut station, 0, 5000);
        let report = meter.report(at(5000), &station);
        assert!((report.utilization - 0.5).abs() < 0.01, "{report:?}");
        assert!((report.rate - 50.0).abs() < 1.0, "{report:?}");
        assert_eq!((report.errors, report.in_flight, report.queue), (0.0, 0, 0));
        assert_eq!(report.latency, Duration::from_millis(10));
        assert!(
            report.service_time.abs_diff(Duration::from_millis(10)) < Duration::from_micros(300)
        );
        for millis in 5000..5100 {
            meter.failed(at(millis), &station);
        }
        let report = meter.report(at(5100), &station);
        assert!(report.errors > 40.0 && report.errors < report.rate, "{report:?}");
        // Serving costs what it did; failing costs nothing.
        assert!(
            report.service_time.abs_diff(Duration::from_millis(10)) < Duration::from_micros(300)
        );
    }

    #[test]
    fn the_latency_is_the_median_of_those_who_found_as_many() {
        let (mut meter, mut station) = (Meter::new(1), station(1));
        let arrival = |in_flight| Arrival { at: at(0), in_flight };
        let found = |in_flight: u32, took: [u64; 5]| took.map(|took| (in_flight, took));
        // More of those who found none than are kept: the first are forgotten.
        let all = [[1, 1, 1, 1, 1], [9, 1, 2, 3, 2], [2, 2, 2, 2, 2]].map(|took| found(0, took));
        let others = [found(5, [50, 70, 60, 60, 61]), found(9, [200, 200, 200, 199, 201])];
        for (in_flight, took) in all.into_iter().chain(others).flatten() {
            meter.served(at(took), arrival(in_flight), &station);
        }
        let mut latency = |jobs: usize, now: u64| {
            while station.jobs() < jobs {
                station.submit(at(0), Duration::from_secs(100)).expect("there is room");
            }
            meter.report(at(now), &station).latency.as_millis()
        };
        assert_eq!(latency(0, 500), 2);
        assert_eq!(latency(2, 500), 2);
        assert_eq!(latency(3, 500), 60);
        assert_eq!(latency(5, 500), 60);
        assert_eq!(latency(30, 500), 200);
        // What happened too long ago says nothing of now.
        assert_eq!(latency(30, 10_199), 200);
        assert_eq!(latency(30, 10_201), 0);
    }

    #[test]
    fn the_queue_is_what_the_workers_do_not_serve() {
        let (mut meter, mut station) = (Meter::new(2), station(2));
        for _ in 0..5 {
            station.submit(at(0), Duration::from_secs(1)).expect("there is room");
        }
        let report = meter.report(at(500), &station);
        assert_eq!((report.in_flight, report.queue), (5, 3));
        assert!((report.utilization - 1.0).abs() < 1e-9, "{report:?}");
    }
}
