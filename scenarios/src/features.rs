//! What the proxy's features came to: the metrics `cache.hit_ratio`, `limited_ratio`, `shed_ratio` and `bytes_saved_ratio`.
//!
//! They are among the metrics of a run whose proxy has the feature, be it from the start, in a route, or by a later reload. Else they are absent
//! and say why, so that a threshold on one does not hold by accident. How often clients were told 429 they know themselves, so that is known
//! of each load; the rest only the proxy knows.

use proxy::config::ProxyConfig;
use reports::{Measurement, Unit};

use crate::{counters::Counters, language::Scenario};

/// Why the proxy's own figures are not those of one load among several.
pub(crate) const ANY_LOAD: &str = "the proxy does not know which load a request is of";

/// What is off by default, and counted where it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// `[proxy.cache]`.
    Cache,
    /// `rate` and `concurrency` of `[proxy.limit]`.
    Limit,
    /// `adaptive` of `[proxy.limit]`.
    Shed,
    /// `[proxy.compression]`.
    Compression,
}

impl Feature {
    /// Whether the proxy of this scenario has it at any time.
    pub(crate) fn is_on(self, scenario: &Scenario) -> bool {
        scenario.configurations().any(|config| self.is_in(config))
    }

    fn is_in(self, config: &ProxyConfig) -> bool {
        let routes = &config.routes;
        let limits = routes.iter().filter_map(|route| route.limit.as_ref()).chain([&config.limit]);
        match self {
            Self::Cache => {
                let own = routes.iter().filter_map(|route| route.cache.as_ref());
                own.chain([&config.cache]).any(|cache| cache.enabled)
            }
            Self::Limit => {
                let mut limits = limits;
                limits.any(|limit| !limit.rate.is_empty() || !limit.concurrency.is_empty())
            }
            Self::Shed => {
                let mut limits = limits;
                limits.any(|limit| limit.adaptive.is_some())
            }
            Self::Compression => {
                let own = routes.iter().filter_map(|route| route.compression.as_ref());
                own.chain([&config.compression]).any(|compression| compression.enabled)
            }
        }
    }
}

/// Puts the figures of a window, a load or the run (by their prefix) among the metrics; `counted` is what the proxy counted there, if that
/// is known.
pub(crate) fn insert(
    measurement: &mut Measurement,
    scenario: &Scenario,
    prefix: &str,
    counted: Option<&Counters>,
) {
    let requests = measurement.metrics.get(&format!("{prefix}requests")).unwrap_or(0.0) as u64;
    let refused = measurement.metrics.get(&format!("{prefix}status.429")).unwrap_or(0.0) as u64;
    let mut put = |name: &str, feature: Feature, value: &dyn Fn(&Counters) -> (u64, u64)| {
        insert_one(measurement, scenario, (prefix, name), feature, counted.map(value));
    };
    put("cache.hit_ratio", Feature::Cache, &|counted| {
        let of = |word: &str| counted.featured(&format!("cache.{word}"));
        let hits = of("hits") + of("stale");
        (hits, hits + of("revalidated") + of("misses"))
    });
    put("shed_ratio", Feature::Shed, &|counted| (counted.featured("shed"), requests));
    put("bytes_saved_ratio", Feature::Compression, &|counted| {
        let [before, after] =
            ["before", "after"].map(|word| counted.featured(&format!("compression.bytes_{word}")));
        let saved = before.saturating_sub(after);
        (saved, counted.featured("bytes_sent") + saved)
    });
    // Who was told 429 knows it, also where the proxy does not know who that was.
    let limited = counted.map_or(refused, |counted| counted.featured("limited"));
    insert_one(
        measurement,
        scenario,
        (prefix, "limited_ratio"),
        Feature::Limit,
        Some((limited, requests)),
    );
}

fn insert_one(
    measurement: &mut Measurement,
    scenario: &Scenario,
    (prefix, name): (&str, &str),
    feature: Feature,
    parts: Option<(u64, u64)>,
) {
    let name = format!("{prefix}{name}");
    let metrics = &mut measurement.metrics;
    match parts {
        _ if !feature.is_on(scenario) => metrics.set_absent(name, feature.missing()),
        None => metrics.set_absent(name, ANY_LOAD),
        Some((_, 0)) => metrics.set_absent(name, "there was nothing to count"),
        Some((part, of)) => metrics.insert(name, part as f64 / of as f64, Unit::Ratio),
    }
}

impl Feature {
    /// Why there is no figure where it is off.
    fn missing(self) -> &'static str {
        match self {
            Self::Cache => "the proxy keeps nothing: `[proxy.cache]` is off",
            Self::Limit => "the proxy has no limit of this kind in `[proxy.limit]`",
            Self::Shed => "the proxy has no `adaptive` limit in `[proxy.limit]`",
            Self::Compression => "the proxy compresses nothing: `[proxy.compression]` is off",
        }
    }
}
