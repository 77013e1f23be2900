//! The recorder: from the outcomes of single requests to every metric of a run.
//!
//! All three worlds and the load generator feed the same recorder, so that a metric means the same
//! wherever it was measured. It is written to be called millions of times a second: once warm, a
//! record allocates nothing; it is some counts, a histogram increment or two for the load, one for the
//! interval, and one or two for each phase that the request falls in. Totals are not counted: they are the
//! sum of the loads.
//!
//! What is counted when:
//! - A request belongs to the measured time, and to a phase, by its *intended* time. Requests due in
//!   the warm-up are in no metric at all; only the time series show them.
//! - Requests that end after the run are in the metrics, but in no interval of the series.

mod buckets;
mod endpoints;
mod histogram;
mod occupancy;
mod proxies;
mod sample;
mod series;
mod slots;
mod tally;

pub(crate) use buckets::empty_hdr;
pub use buckets::{Bucket, Buckets};
pub use endpoints::{EndpointRow, MAX_ENDPOINT_SERIES};
pub use histogram::{Distribution, SAMPLES_BEYOND, samples_needed};
pub use proxies::{ProxyRow, Spread};
pub use sample::{FailClass, Outcome, Sample};
pub use series::{Interval, Line, Slot, TimeSeries};
pub use slots::MAX_SLOTS;
pub use tally::QUANTILES;

use crate::metrics::{Metrics, Unit};
use crate::run::Phase;
use endpoints::Endpoints;
use occupancy::Stay;
use sample::Timed;
use serde::{Deserialize, Serialize};
use series::Series;
use slots::{Place, Slots, Span};
use std::time::Duration;
use tally::Tally;

/// What a recorder must know beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderConfig {
    /// The loads, by name. Without any there is one, called `load`.
    pub loads: Vec<String>,
    /// The endpoints, by name.
    pub endpoints: Vec<String>,
    /// The named windows.
    pub phases: Vec<Phase>,
    /// The part at the start that no metric counts.
    pub warmup: Duration,
    /// How long load is offered, warm-up included; `None` where that shows only at the end (so many
    /// requests, however long they take): then [`Recorder::finish_at`] must say it.
    pub duration: Option<Duration>,
    /// The length of an interval of the time series. It is doubled while there would be more than
    /// [`MAX_SLOTS`] of them.
    pub interval: Duration,
    /// A request sent later than this after its intended time counts as `sent_late`.
    pub late_after: Duration,
}

impl RecorderConfig {
    /// For a run of this length: intervals of one second, finer when the run is short (a chart wants
    /// some points) and coarser when it is long; late is what is sent more than 10 ms late.
    pub fn new(duration: Option<Duration>, warmup: Duration) -> Self {
        let interval = match duration {
            Some(d) if d <= Duration::from_secs(5) => Duration::from_millis(100),
            Some(d) if d <= Duration::from_secs(20) => Duration::from_millis(250),
            Some(d) if d <= Duration::from_secs(40) => Duration::from_millis(500),
            Some(_) => Duration::from_secs(1),
            None => Duration::from_millis(100),
        };
        Self {
            loads: Vec::new(),
            endpoints: Vec::new(),
            phases: Vec::new(),
            warmup,
            duration,
            interval,
            late_after: Duration::from_millis(10),
        }
    }
}

/// All that was measured in one run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measurement {
    /// The figures, by name. Open: what the proxy counted (retries, ejections) may be inserted.
    pub metrics: Metrics,
    /// Response times of the measured time, from the intended send.
    pub response: Distribution,
    /// Service times of the measured time, from the actual send.
    pub service: Distribution,
    /// Response times by interval; the warm-up is left out, so these add up to `response`, but for
    /// requests due after the end.
    pub intervals: Vec<Interval>,
    /// The run over time, warm-up included.
    pub series: TimeSeries,
    /// The endpoints.
    pub endpoints: Vec<EndpointRow>,
    /// The proxies, where there are several and somebody counted; else none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<ProxyRow>,
    /// The names of the loads.
    pub loads: Vec<String>,
}

impl Measurement {
    /// Nothing measured: for a run that could not be carried out.
    pub fn empty() -> Self {
        Self::default()
    }
}

/// Turns requests into metrics. One for each thread that sends; then [`Recorder::merge`].
#[derive(Clone, Debug)]
pub struct Recorder {
    config: RecorderConfig,
    warmup: u64,
    late_after: u64,
    phase_bounds: Vec<(u64, u64)>,
    slots: Slots,
    /// Where the latest was sent, and where it ended.
    near: (Span, Span),
    loads: Vec<Tally>,
    phases: Vec<Tally>,
    endpoints: Endpoints,
    series: Series,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Recorder {
    /// An empty one.
    pub fn new(mut config: RecorderConfig) -> Self {
        if config.loads.is_empty() {
            config.loads.push("load".to_owned());
        }
        let endpoints = config.endpoints.len();
        let warmup = nanos(config.warmup);
        Self {
            warmup,
            late_after: nanos(config.late_after),
            phase_bounds: config.phases.iter().map(|p| (nanos(p.from), nanos(p.to))).collect(),
            slots: Slots::new(nanos(config.interval), warmup, config.duration.map(nanos)),
            near: Default::default(),
            loads: config.loads.iter().map(|_| Tally::new(endpoints)).collect(),
            phases: config.phases.iter().map(|_| Tally::new(endpoints)).collect(),
            endpoints: Endpoints::new(endpoints),
            series: Series::default(),
            config,
        }
    }

    /// Counts one request. An unknown load counts as the last one; an unknown endpoint as none.
    #[inline]
    pub fn record(&mut self, sample: &Sample) {
        let is_measured = sample.intended >= self.warmup;
        let timed = Timed::of(sample);
        let timed = timed.as_ref();
        if is_measured {
            let load = sample.load.min(self.loads.len() - 1);
            self.loads[load].record(sample, timed, self.late_after);
            for ((from, to), phase) in self.phase_bounds.iter().zip(&mut self.phases) {
                if (*from..*to).contains(&sample.intended) {
                    phase.record(sample, timed, self.late_after);
                }
            }
        }
        self.make_room(sample.finished);
        let (near_sent, near_end) = &mut self.near;
        let sent = self.slots.place(sample.sent, near_sent);
        let finished = self.slots.place(sample.finished, near_end);
        let intended = if sample.intended == sample.sent {
            sent
        } else {
            self.slots.place(sample.intended, near_sent)
        };
        let stay = sent.map(|first| Stay { first, last: finished });
        let index = |place: Option<Place>| place.map(|place| place.index);
        let (intended, sent, finished) = (index(intended), index(sent), index(finished));
        self.series.record(sample, timed, intended, sent.zip(stay), finished);
        if sample.outcome != Outcome::Dropped {
            self.endpoints.record(sample, stay, finished, is_measured);
        }
    }

    /// Notes how many requests were in flight to an endpoint at an instant, where somebody knows.
    /// Without it, `endpoint.<name>.in_flight.max` is the highest *mean* over one interval.
    #[inline]
    pub fn in_flight(&mut self, endpoint: usize, at: u64, value: u32) {
        self.make_room(at);
        if self.slots.is_within(at) {
            self.endpoints.observe(endpoint, self.slots.index(at), value);
        }
    }

    /// Doubles the intervals until this instant has one (only where the end of the run is not known).
    #[inline]
    fn make_room(&mut self, t: u64) {
        if !self.slots.has_end() {
            self.make_more_room(t);
        }
    }

    fn make_more_room(&mut self, t: u64) {
        while self.slots.index(t) >= MAX_SLOTS {
            self.double();
        }
    }

    #[cold]
    fn double(&mut self) {
        self.series.double(&self.slots);
        self.endpoints.double(&self.slots);
        self.slots.double();
        self.near = Default::default();
    }

    /// Adds what another recorder of the same configuration saw.
    ///
    /// # Errors
    /// When the configurations differ; then nothing is added.
    pub fn merge(&mut self, mut other: Recorder) -> Result<(), String> {
        if self.config != other.config {
            return Err("recorders of different runs cannot be merged: loads, endpoints, phases, \
                        warm-up, duration and interval must be the same"
                .to_owned());
        }
        while self.slots.interval() < other.slots.interval() {
            self.double();
        }
        while other.slots.interval() < self.slots.interval() {
            other.double();
        }
        let pairs = self.loads.iter_mut().zip(&other.loads);
        for (mine, theirs) in pairs.chain(self.phases.iter_mut().zip(&other.phases)) {
            mine.merge(theirs);
        }
        self.endpoints.merge(&other.endpoints);
        self.series.merge(&other.series);
        Ok(())
    }

    /// Requests due in the measured time so far, and those of them that ended ok. For a progress bar.
    pub fn progress(&self) -> (u64, u64) {
        let requests = self.loads.iter().map(|load| load.requests).sum();
        (requests, self.loads.iter().map(|load| load.ok).sum())
    }

    /// The figures of a run that was as long as it was to be. Where no duration was given, the run
    /// ends with its last interval.
    pub fn finish(self) -> Measurement {
        let end = self.config.duration.map(nanos);
        let end = end.unwrap_or_else(|| match self.series.len() {
            0 => self.warmup,
            len => self.slots.end(len - 1),
        });
        self.finish_at(Duration::from_nanos(end))
    }

    /// The figures of a run that ended at `end` (interrupted, or when the last request was answered).
    /// Rates are per second up to there.
    pub fn finish_at(mut self, end: Duration) -> Measurement {
        let latest = self.config.duration.map_or(u64::MAX, nanos);
        let end = nanos(end).min(latest).max(self.warmup);
        if self.slots.is_within(end) && end > 0 {
            let last = self.slots.index(end - 1);
            let early = self.slots.end(last) - end;
            self.series.cut(last, early);
            self.endpoints.cut(last, early);
            self.slots.set_end(end);
        }
        let len = self.slots.known_len().unwrap_or(0);
        let slots = self.slots;
        let mut total = Tally::new(self.config.endpoints.len());
        for load in &self.loads {
            total.merge(load);
        }
        let mut metrics = Metrics::new();
        let seconds = (end - self.warmup) as f64 / 1e9;
        total.emit("", seconds, &mut metrics);
        for (name, load) in self.config.loads.iter().zip(&self.loads) {
            load.emit(&format!("load.{name}."), seconds, &mut metrics);
        }
        for ((phase, tally), (from, to)) in
            self.config.phases.iter().zip(&self.phases).zip(&self.phase_bounds)
        {
            let length = (*to).min(end).saturating_sub((*from).max(self.warmup));
            tally.emit(&format!("phase.{}.", phase.name), length as f64 / 1e9, &mut metrics);
        }
        let courses = self.endpoints.courses(&slots, len);
        let names = &self.config.endpoints;
        let endpoints = self.endpoints.rows(&slots, len, names, &total.per_endpoint, &courses);
        endpoints::emit(&endpoints, &mut metrics);
        let (mut series, intervals) = self.series.finish(&slots, len);
        for (name, course) in names.iter().zip(courses) {
            let rates = course.finished.iter().zip(&series.slots);
            let rate = |(count, slot): (&u64, &Slot)| {
                (slot.seconds() > 0.0).then(|| *count as f64 / slot.seconds())
            };
            let rates = rates.map(rate).collect();
            let in_flight = course.in_flight.into_iter().map(Some).collect();
            for (metric, values) in [("endpoint_rps", rates), ("endpoint_in_flight", in_flight)] {
                series.lines.push(Line { metric: metric.to_owned(), label: name.clone(), values });
            }
        }
        emit_in_flight(&series, &mut metrics);
        Measurement {
            metrics,
            response: total.response_times(),
            service: total.service_times(),
            intervals,
            series,
            endpoints,
            proxies: Vec::new(),
            loads: self.config.loads,
        }
    }
}

fn emit_in_flight(series: &TimeSeries, metrics: &mut Metrics) {
    let Some(line) = series.line("in_flight", "") else { return };
    let (mut area, mut seconds, mut highest) = (0.0, 0.0, 0.0_f64);
    for (value, slot) in line.values.iter().zip(&series.slots).filter(|(_, s)| !s.is_warmup) {
        let level = value.unwrap_or(0.0);
        area += level * slot.seconds();
        seconds += slot.seconds();
        highest = highest.max(level);
    }
    if seconds > 0.0 {
        metrics.insert("in_flight.mean", area / seconds, Unit::Count);
        metrics.insert("in_flight.max", highest, Unit::Count);
    } else {
        for name in ["in_flight.mean", "in_flight.max"] {
            metrics.set_absent(name, "nothing was measured");
        }
    }
}
