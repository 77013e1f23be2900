//! What the proxy itself counted: the metrics `proxy.NAME`, `retries` and `ejections`.
//!
//! The load generator sees what a client sees; retries, ejections and connections are the proxy's own knowledge. The
//! counters only ever grow, so they are read at moments (the end of the warm-up, the borders of the phases, at even steps for
//! the charts over time, the end) and the difference is what happened between. Their names are those of the proxy's own statistics, and this table is also
//! what a threshold's name is checked against.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Duration};

use proxy::engine::{Counter, FAULTS, Shared, UpstreamShared, WorkerStats};
use reports::{Measurement, RecorderConfig, Unit};

use crate::{
    features::{self, Feature},
    language::Scenario,
    sent::{Courses, Sent},
};

type Named = (&'static str, fn(&WorkerStats) -> &Counter);

const NAMED: [Named; 7] = [
    ("retries", |stats| &stats.retries),
    ("retries_refused", |stats| &stats.retries_refused),
    ("queued", |stats| &stats.queued),
    ("upgrades", |stats| &stats.upgrades),
    ("client_connections", |stats| &stats.connections_total),
    ("upstream_connects", |stats| &stats.upstream_connects),
    ("upstream_reuses", |stats| &stats.upstream_reuses),
];

/// Those of features that are off by default; they are among the metrics where theirs is on.
const FEATURED: [(Feature, Named); 13] = [
    (Feature::Cache, ("cache.hits", |stats| &stats.cache.hits)),
    (Feature::Cache, ("cache.stale", |stats| &stats.cache.stale)),
    (Feature::Cache, ("cache.revalidated", |stats| &stats.cache.revalidated)),
    (Feature::Cache, ("cache.misses", |stats| &stats.cache.misses)),
    (Feature::Cache, ("cache.passed", |stats| &stats.cache.passed)),
    (Feature::Cache, ("cache.collapsed", |stats| &stats.cache.collapsed)),
    (Feature::Cache, ("cache.stored", |stats| &stats.cache.stored)),
    (Feature::Cache, ("cache.refreshes", |stats| &stats.cache.refreshes)),
    (Feature::Limit, ("limited", |stats| &stats.limited)),
    (Feature::Shed, ("shed", |stats| &stats.shed)),
    (Feature::Compression, ("compression.bytes_before", |stats| &stats.compression_in)),
    (Feature::Compression, ("compression.bytes_after", |stats| &stats.compression_out)),
    (Feature::Compression, ("bytes_sent", |stats| &stats.bytes_sent)),
];

const EJECTIONS: &str = "ejections";

/// At most so many points over the time of a run.
const POINTS: u32 = 120;

/// The names of all counters: `retries`, …, `faults.queue_full`, ….
pub fn names() -> impl Iterator<Item = String> {
    all().map(|(_, name)| name)
}

/// The same with the feature that each belongs to.
fn all() -> impl Iterator<Item = (Option<Feature>, String)> {
    let named = NAMED.iter().map(|(name, _)| (None, (*name).to_owned()));
    let faults = FAULTS.iter().map(|name| (None, format!("faults.{name}")));
    let featured = FEATURED.iter().map(|(of, (name, _))| (Some(*of), (*name).to_owned()));
    named.chain([(None, EJECTIONS.to_owned())]).chain(faults).chain(featured)
}

/// The counters at a moment, or between two.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    named: [u64; NAMED.len()],
    faults: [u64; FAULTS.len()],
    ejections: u64,
    featured: [u64; FEATURED.len()],
    /// By proxy, where there are several.
    sent: Sent,
}

impl Counters {
    /// As they are now, of every proxy and of every set of endpoints that there has been in the run.
    pub fn read<'a>(
        proxies: impl Iterator<Item = &'a Shared>,
        upstreams: impl Iterator<Item = &'a UpstreamShared>,
    ) -> Self {
        let mut all = Self::default();
        for stats in proxies.flat_map(|shared| &shared.stats) {
            for (sum, (_, of)) in all.named.iter_mut().zip(NAMED) {
                *sum += of(stats).get();
            }
            for (sum, (_, (_, of))) in all.featured.iter_mut().zip(FEATURED) {
                *sum += of(stats).get();
            }
            for (sum, counter) in all.faults.iter_mut().zip(&stats.faults) {
                *sum += counter.get();
            }
        }
        let sites = upstreams.flat_map(|upstream| &upstream.sites);
        all.ejections = sites.map(|site| site.ejections.load(Relaxed)).sum();
        all
    }

    /// The counters of a world that counts for itself; `count` is asked for each of the [`names`].
    pub fn of(count: impl Fn(&str) -> u64) -> Self {
        Self {
            named: NAMED.map(|(name, _)| count(name)),
            faults: FAULTS.map(|name| count(&format!("faults.{name}"))),
            ejections: count(EJECTIONS),
            featured: FEATURED.map(|(_, (name, _))| count(name)),
            sent: Sent::default(),
        }
    }

    /// With what each of several proxies has sent.
    pub fn with(self, sent: Sent) -> Self {
        Self { sent, ..self }
    }

    /// What was counted since `before`.
    pub fn since(mut self, before: &Self) -> Self {
        let subtract = |(mine, theirs): (&mut u64, &u64)| *mine = mine.saturating_sub(*theirs);
        self.named.iter_mut().zip(&before.named).for_each(subtract);
        self.faults.iter_mut().zip(&before.faults).for_each(subtract);
        self.featured.iter_mut().zip(&before.featured).for_each(subtract);
        self.ejections = self.ejections.saturating_sub(before.ejections);
        self
    }

    fn retries(&self) -> u64 {
        self.named[0]
    }

    /// The counter of a feature; 0 if there is none of this name.
    pub(crate) fn featured(&self, name: &str) -> u64 {
        let place = FEATURED.iter().position(|(_, (known, _))| *known == name);
        place.map_or(0, |place| self.featured[place])
    }

    fn values(&self) -> impl Iterator<Item = u64> + '_ {
        self.named.iter().copied().chain([self.ejections]).chain(self.faults).chain(self.featured)
    }
}

/// The counters at the moments that matter.
#[derive(Debug, Default)]
pub struct Readings {
    /// By time since the start; `None` where the time has not come yet.
    at: BTreeMap<Duration, Option<Counters>>,
    /// From one point of the charts over time to the next.
    step: Duration,
    /// What each of several proxies has sent.
    sent: Courses,
}

impl Readings {
    /// For the warm-up and the phases of a scenario, and its charts over time.
    pub fn new(scenario: &Scenario) -> Self {
        let borders = scenario.phases.values().flat_map(|window| [window.from(), window.to()]);
        let length = scenario.duration.0;
        let interval = RecorderConfig::new(Some(length), scenario.warmup.0).interval;
        let step = interval.max(length / POINTS);
        let points = (1..=POINTS).map(|point| step * point).filter(|at| *at <= length);
        let all = borders.chain([scenario.warmup.0]).chain(points).filter(|at| !at.is_zero());
        let sent = Courses::new(scenario.warmup.0, step);
        Self { at: all.map(|at| (at, None)).collect(), step, sent }
    }

    /// When the next reading is due.
    pub fn next(&self) -> Option<Duration> {
        self.at.iter().find(|(_, reading)| reading.is_none()).map(|(at, _)| *at)
    }

    /// When all readings are due, in order.
    pub fn moments(&self) -> impl Iterator<Item = Duration> + '_ {
        self.at.keys().copied()
    }

    /// Takes the reading that is due.
    pub fn take(&mut self, mut counters: Counters) {
        if let Some((at, reading)) = self.at.iter_mut().find(|(_, reading)| reading.is_none()) {
            self.sent.take(*at, std::mem::take(&mut counters.sent));
            *reading = Some(counters);
        }
    }

    /// Puts what the proxy counted among the metrics; `end` is how the counters stood at the end.
    pub fn insert_into(&self, measurement: &mut Measurement, scenario: &Scenario, end: &Counters) {
        let warmup = scenario.warmup.0;
        let reading = |at: Duration| match self.at.get(&at) {
            _ if at.is_zero() => Counters::default(),
            Some(Some(counters)) => counters.clone(),
            _ => end.clone(),
        };
        let total = end.clone().since(&reading(warmup));
        for ((feature, name), value) in all().zip(total.values()) {
            if feature.is_none_or(|feature| feature.is_on(scenario)) {
                insert(measurement, &format!("proxy.{name}"), value);
            }
        }
        insert(measurement, EJECTIONS, total.ejections);
        insert_retries(measurement, "", total.retries());
        features::insert(measurement, scenario, "", Some(&total));
        for (name, window) in &scenario.phases {
            let (from, to) = (window.from().max(warmup), window.to().max(warmup));
            let counted = reading(to).since(&reading(from));
            let prefix = format!("phase.{name}.");
            insert_retries(measurement, &prefix, counted.retries());
            features::insert(measurement, scenario, &prefix, Some(&counted));
        }
        self.insert_courses(measurement);
        self.sent.insert_into(measurement, scenario, &end.sent);
        for name in scenario.load.keys() {
            let prefix = format!("load.{name}.");
            if scenario.load.len() == 1 {
                insert_retries(measurement, &prefix, total.retries());
                features::insert(measurement, scenario, &prefix, Some(&total));
            } else {
                features::insert(measurement, scenario, &prefix, None);
                for metric in ["retries", "retry_ratio"] {
                    measurement.metrics.set_absent(format!("{prefix}{metric}"), features::ANY_LOAD);
                }
            }
        }
    }
}

/// A course over time, its unit in the name, from what was counted in so many seconds.
type Course = (&'static str, fn(&Counters, f64) -> f64);

const COURSES: [Course; 2] = [
    ("retries_rps", |counted, seconds| counted.retries() as f64 / seconds),
    ("ejections", |counted, _| counted.ejections as f64),
];

impl Readings {
    /// Retries and ejections over time, where there are any: each step by its middle.
    fn insert_courses(&self, measurement: &mut Measurement) {
        let mut steps = Vec::new();
        let (mut before, mut from) = (Counters::default(), Duration::ZERO);
        while let Some(Some(counters)) = self.at.get(&(from + self.step)) {
            let middle = (from + self.step / 2).as_nanos() as u64;
            steps.push((middle, counters.clone().since(&before)));
            (before, from) = (counters.clone(), from + self.step);
        }
        for (metric, value) in COURSES {
            let value = |counted: &Counters| value(counted, self.step.as_secs_f64());
            let points: Vec<_> = steps.iter().map(|(at, counted)| (*at, value(counted))).collect();
            if points.iter().any(|(_, value)| *value > 0.0) {
                measurement.series.insert(metric, "", &points);
            }
        }
    }
}

fn insert(measurement: &mut Measurement, name: &str, value: u64) {
    measurement.metrics.insert(name, value as f64, Unit::Count);
}

fn insert_retries(measurement: &mut Measurement, prefix: &str, retries: u64) {
    insert(measurement, &format!("{prefix}retries"), retries);
    let requests = measurement.metrics.get(&format!("{prefix}requests")).unwrap_or(0.0);
    if requests > 0.0 {
        let ratio = retries as f64 / requests;
        measurement.metrics.insert(format!("{prefix}retry_ratio"), ratio, Unit::Ratio);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        let text = "duration = \"9s\"\nwarmup = \"1s\"\n[load.a]\nusers = 1\n[phases]\nearly = [\"0s\", \"3s\"]\n\
                    late = [\"3s\", \"9s\"]";
        toml::from_str(text).expect("a scenario")
    }

    fn counted(retries: u64, ejections: u64) -> Counters {
        let mut counters = Counters { ejections, ..Counters::default() };
        counters.named[0] = retries;
        counters
    }

    #[test]
    fn what_is_counted_belongs_to_its_time() {
        let scenario = scenario();
        let mut readings = Readings::new(&scenario);
        // Five in each second up to the first, then two, then nothing up to the last second.
        while let Some(at) = readings.next() {
            let seconds = at.as_secs_f64();
            let (early, late) = (seconds.min(1.0) * 5.0, (seconds - 8.0).max(0.0) * 12.0);
            let middle = if seconds < 2.0 { 0.0 } else { 3.0 };
            readings.take(counted((early + middle + late) as u64, u64::from(seconds >= 1.0)));
        }
        let second = |n: u64| reports::record::Slot {
            from: n * 1_000_000_000,
            to: (n + 1) * 1_000_000_000,
            is_warmup: false,
        };
        let mut measurement = Measurement::empty();
        measurement.series.slots = (0..9).map(second).collect();
        measurement.metrics.insert("phase.late.requests", 24.0, Unit::Count);
        readings.insert_into(&mut measurement, &scenario, &counted(21, 2));
        let course = |metric: &str| {
            let line = measurement.series.line(metric, "").expect("something happened");
            line.values.iter().map(|value| value.expect("a reading")).collect::<Vec<f64>>()
        };
        assert_eq!(course("retries_rps"), [5.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 12.0]);
        assert_eq!(course("ejections")[..2], [0.25, 0.0]);
        let get = |name: &str| measurement.metrics.get(name);
        assert_eq!(get("retries"), Some(16.0));
        assert_eq!(get("proxy.ejections"), Some(1.0));
        assert_eq!(get("phase.early.retries"), Some(3.0));
        assert_eq!(get("phase.late.retries"), Some(12.0));
        assert_eq!(get("phase.late.retry_ratio"), Some(0.5));
        assert_eq!(get("load.a.retries"), Some(16.0));
    }

    #[test]
    fn a_run_that_ended_early_is_counted_up_to_there() {
        let scenario = scenario();
        let mut readings = Readings::new(&scenario);
        while readings.next().is_some_and(|at| at <= Duration::from_secs(1)) {
            readings.take(counted(5, 0));
        }
        let mut measurement = Measurement::empty();
        readings.insert_into(&mut measurement, &scenario, &counted(7, 0));
        assert_eq!(measurement.metrics.get("phase.early.retries"), Some(2.0));
        assert_eq!(measurement.metrics.get("phase.late.retries"), Some(0.0));
    }
}
