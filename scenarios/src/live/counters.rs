//! What the proxy itself counted, since the end of the warm-up.
//!
//! The load generator sees what a client sees; retries, ejections and connections are the proxy's own knowledge. They are
//! read twice, at the end of the warm-up and at the end, and the difference is the run's.

use std::sync::atomic::Ordering::Relaxed;

use proxy::engine::{Counter, Proxy, WorkerStats};
use reports::Measurement;

/// The counters at a moment, or between two.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters(Vec<(&'static str, u64)>);

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

impl Counters {
    /// As they are now.
    pub(super) fn read(proxy: &Proxy) -> Self {
        let shared = proxy.shared();
        let sum = |of: fn(&WorkerStats) -> &Counter| {
            shared.stats.iter().map(|stats| of(stats).get()).sum()
        };
        let mut all: Vec<_> = NAMED.iter().map(|(name, of)| (*name, sum(*of))).collect();
        let sites = &proxy.state().upstream.sites;
        all.push(("ejections", sites.iter().map(|site| site.ejections.load(Relaxed)).sum()));
        Self(all)
    }

    /// The same counters of another proxy, which ran before, added.
    pub(super) fn plus(mut self, other: &Self) -> Self {
        for (name, value) in &mut self.0 {
            *value += other.get(name);
        }
        self
    }

    /// What was counted since `before`.
    pub(super) fn since(mut self, before: &Self) -> Self {
        for (name, value) in &mut self.0 {
            *value = value.saturating_sub(before.get(name));
        }
        self
    }

    fn get(&self, name: &str) -> u64 {
        self.0.iter().find(|(known, _)| *known == name).map_or(0, |(_, value)| *value)
    }

    /// Puts them among the metrics.
    pub(super) fn insert_into(&self, measurement: &mut Measurement) {
        for (name, value) in &self.0 {
            super::insert(measurement, &format!("proxy.{name}"), *value);
        }
        super::insert(measurement, "retries", self.get("retries"));
        super::insert(measurement, "ejections", self.get("ejections"));
        let requests = measurement.metrics.get("requests").unwrap_or(0.0);
        if requests > 0.0 {
            let ratio = self.get("retries") as f64 / requests;
            measurement.metrics.insert("retry_ratio", ratio, reports::Unit::Ratio);
        }
    }
}
