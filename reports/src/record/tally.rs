//! Counts and distributions of a set of requests: one load, one phase, or all of them.
//!
//! `latency.*` and `service_time.*` are those of requests that were answered as they should be *or
//! timed out*. A failure or a refusal that comes back in a millisecond would flatter a percentile; a
//! time-out that is left out would beautify it (its time counts as the patience that it used up,
//! which is a lower bound of the truth). Failures are counted, not timed.

use super::histogram::{Distribution, samples_needed};
use super::proxies::Spread;
use super::sample::{FailClass, Outcome, Sample, Timed};
use crate::metrics::{Metrics, Unit};

/// Statuses from 0 (none) to 599; whatever is beyond counts as 599.
const STATUSES: usize = 600;

/// The percentiles that we report, with the ends of their names.
pub const QUANTILES: [(&str, f64); 7] = [
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
    ("p9999", 0.9999),
];

#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) ok: u64,
    pub(crate) failed: [u64; FailClass::ALL.len()],
    pub(crate) timed_out: u64,
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
    pub(crate) sent_late: u64,
    retries: u64,
    bytes_in: u64,
    bytes_out: u64,
    statuses: Vec<u64>,
    pub(crate) per_endpoint: Vec<u64>,
    /// Times of requests that were sent when they were due: response and service time are one.
    punctual: Distribution,
    /// Response times of the others.
    response: Distribution,
    /// Service times of the others.
    service: Distribution,
}

impl Tally {
    pub(crate) fn new(endpoints: usize) -> Self {
        Self {
            requests: 0,
            ok: 0,
            failed: [0; FailClass::ALL.len()],
            timed_out: 0,
            refused: 0,
            dropped: 0,
            sent_late: 0,
            retries: 0,
            bytes_in: 0,
            bytes_out: 0,
            statuses: vec![0; STATUSES],
            per_endpoint: vec![0; endpoints],
            punctual: Distribution::new(),
            response: Distribution::new(),
            service: Distribution::new(),
        }
    }

    #[inline]
    pub(crate) fn record(&mut self, sample: &Sample, timed: Option<&Timed>, late_after: u64) {
        self.requests += 1;
        match sample.outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::TimedOut => self.timed_out += 1,
            Outcome::Failed(class) => self.failed[class as usize] += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Dropped => self.dropped += 1,
        }
        match timed {
            Some(Timed { response, service: None }) => {
                self.punctual.record_in(response.bucket, response.nanos);
            }
            Some(Timed { response, service: Some(service) }) => {
                self.response.record_in(response.bucket, response.nanos);
                self.service.record_in(service.bucket, service.nanos);
            }
            None => {}
        }
        if sample.outcome != Outcome::Dropped
            && sample.sent.saturating_sub(sample.intended) > late_after
        {
            self.sent_late += 1;
        }
        self.retries += u64::from(sample.retries);
        self.bytes_in += sample.bytes_in;
        self.bytes_out += sample.bytes_out;
        self.statuses[usize::from(sample.status).min(STATUSES - 1)] += 1;
        if let Some(count) = sample.endpoint.and_then(|index| self.per_endpoint.get_mut(index)) {
            *count += 1;
        }
    }

    pub(crate) fn merge(&mut self, other: &Tally) {
        self.requests += other.requests;
        self.ok += other.ok;
        self.timed_out += other.timed_out;
        self.refused += other.refused;
        self.dropped += other.dropped;
        self.sent_late += other.sent_late;
        self.retries += other.retries;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        let pairs = [
            (&mut self.failed[..], &other.failed[..]),
            (&mut self.statuses[..], &other.statuses[..]),
            (&mut self.per_endpoint[..], &other.per_endpoint[..]),
        ];
        for (mine, theirs) in pairs {
            for (a, b) in mine.iter_mut().zip(theirs) {
                *a += b;
            }
        }
        self.punctual.merge(&other.punctual);
        self.response.merge(&other.response);
        self.service.merge(&other.service);
    }

    /// Response times of all.
    pub(crate) fn response_times(&self) -> Distribution {
        let mut all = self.response.clone();
        all.merge(&self.punctual);
        all
    }

    /// Service times of all.
    pub(crate) fn service_times(&self) -> Distribution {
        let mut all = self.service.clone();
        all.merge(&self.punctual);
        all
    }

    fn answered(&self) -> u64 {
        self.statuses[1..].iter().sum()
    }

    /// Writes every metric of this set of requests, each name after `prefix`; `seconds` is how long
    /// they were due over.
    pub(crate) fn emit(&self, prefix: &str, seconds: f64, metrics: &mut Metrics) {
        let failed: u64 = self.failed.iter().sum();
        let name = |end: &str| format!("{prefix}{end}");
        let counts = [
            ("requests", self.requests),
            ("ok", self.ok),
            ("failed", failed),
            ("timed_out", self.timed_out),
            ("refused", self.refused),
            ("dropped", self.dropped),
            ("answered", self.answered()),
            ("sent_late", self.sent_late),
            ("retries", self.retries),
        ];
        for (end, count) in counts {
            metrics.insert(name(end), count as f64, Unit::Count);
        }
        metrics.insert(name("bytes_in"), self.bytes_in as f64, Unit::Bytes);
        metrics.insert(name("bytes_out"), self.bytes_out as f64, Unit::Bytes);
        let rates =
            [("rate", self.answered()), ("goodput", self.ok), ("offered_rate", self.requests)];
        for (end, count) in rates {
            if seconds > 0.0 {
                metrics.insert(name(end), count as f64 / seconds, Unit::PerSecond);
            } else {
                metrics.set_absent(name(end), "nothing was due in a window of no length");
            }
        }
        let ratios = [
            ("success_ratio", self.ok),
            ("failed_ratio", failed),
            ("timed_out_ratio", self.timed_out),
            ("refused_ratio", self.refused),
            ("dropped_ratio", self.dropped),
            ("retry_ratio", self.retries),
        ];
        for (end, count) in ratios {
            if self.requests > 0 {
                metrics.insert(name(end), count as f64 / self.requests as f64, Unit::Ratio);
            } else {
                metrics.set_absent(name(end), "no request was due");
            }
        }
        for class in FailClass::ALL {
            let count = self.failed[class as usize] as f64;
            metrics.insert(name("failed.") + class.as_str(), count, Unit::Count);
        }
        for (status, count) in self.statuses.iter().enumerate().skip(1).filter(|(_, n)| **n > 0) {
            metrics.insert(name("status.") + &format!("{status:03}"), *count as f64, Unit::Count);
        }
        emit_distribution(&self.response_times(), &name("latency."), metrics);
        emit_distribution(&self.service_times(), &name("service_time."), metrics);
        emit_balance(&self.per_endpoint, prefix, metrics);
    }
}

fn emit_distribution(times: &Distribution, prefix: &str, metrics: &mut Metrics) {
    let mut put = |end: &str, value: Option<f64>, needed: u64| {
        let name = format!("{prefix}{end}");
        match value {
            Some(value) => metrics.insert(name, value, Unit::Milliseconds),
            None => metrics.set_absent(
                name,
                format!("needs {needed} timed requests, and there were {}", times.count()),
            ),
        }
    };
    put("min", times.min_ms(), 1);
    put("mean", times.mean_ms(), 1);
    put("max", times.max_ms(), 1);
    put("stddev", times.stddev_ms(), 2);
    for (end, quantile) in QUANTILES {
        put(end, times.quantile_ms(quantile), samples_needed(quantile));
    }
}

/// How evenly requests fell on endpoints.
fn emit_balance(per_endpoint: &[u64], prefix: &str, metrics: &mut Metrics) {
    if let Some(Spread { imbalance, jain }) = Spread::of(per_endpoint) {
        metrics.insert(format!("{prefix}imbalance"), imbalance, Unit::Ratio);
        metrics.insert(format!("{prefix}jain"), jain, Unit::Ratio);
    } else {
        for end in ["imbalance", "jain"] {
            metrics.set_absent(
                format!("{prefix}{end}"),
                "no request is known to have reached an endpoint",
            );
        }
    }
}
