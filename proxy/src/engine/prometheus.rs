//! The same figures for Prometheus, as OpenMetrics text.
//!
//! The counters live in the workers; a collector reads them when somebody asks, so that nothing is counted twice. Labels
//! are bounded: methods, fault names and endpoints of the configuration, never what a client sent.

use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use policy::{compression::Coding, filter::FILTERS};

use super::{
    admin::View,
    limit,
    stats::{CacheStats, Counter, FAULTS, LATENCY_BUCKETS, METHODS, WorkerStats},
};

/// All figures as OpenMetrics text.
pub(crate) fn encode(view: &View) -> String {
    let mut registry = Registry::with_prefix("proxy");
    registry.register_collector(Box::new(Figures(view.clone())));
    let mut text = String::new();
    // Writing to a string fails only if a collector does, and ours does not.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Figures(View);

type Named<'a> = (&'a str, &'a str, fn(&WorkerStats) -> &Counter);

const COUNTERS: [Named<'_>; 13] = [
    ("requests", "Requests that ended", |stats| &stats.requests),
    ("client_connections", "Client connections accepted", |stats| &stats.connections_total),
    ("request_body_bytes", "Bytes of request bodies", |stats| &stats.bytes_received),
    ("response_body_bytes", "Bytes of response bodies", |stats| &stats.bytes_sent),
    ("upstream_connects", "Connections opened to endpoints", |stats| &stats.upstream_connects),
    ("upstream_reuses", "Requests over a reused connection", |stats| &stats.upstream_reuses),
    ("retries", "Requests sent a second time", |stats| &stats.retries),
    ("retries_refused", "Retries that the budget refused", |stats| &stats.retries_refused),
    ("upgrades", "Connections that changed protocol", |stats| &stats.upgrades),
    ("queued", "Requests that waited for an endpoint with room", |stats| &stats.queued),
    ("access_log_dropped", "Lines without room", |stats| &stats.log_dropped),
    ("compression_input_bytes", "Bytes that were compressed", |stats| &stats.compression_in),
    ("compression_output_bytes", "What became of them", |stats| &stats.compression_out),
];

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let view = &self.0;
        for (name, help, of) in COUNTERS {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(view.sum(of)).encode(metric)?;
        }
        let (name, help) = ("access_log_lost", "Lines that could not be written");
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(view.lost_lines()).encode(metric)?;
        let active = view.sum(|stats| &stats.connections_active);
        gauge(&mut encoder, "client_connections_active", "Open client connections", active)?;
        let encoders = view.sum(|stats| &stats.encoders);
        gauge(&mut encoder, "encoders_active", "Responses being compressed", encoders)?;
        let uptime = view.clock.now().since(view.shared.started).as_secs();
        gauge(&mut encoder, "uptime_seconds", "Time since the proxy started", uptime)?;
        self.cache(&mut encoder)?;
        self.redis(&mut encoder)?;
        self.limits(&mut encoder)?;
        self.families(&mut encoder)?;
        self.endpoints(&mut encoder)?;
        self.latency(&mut encoder)
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), std::fmt::Error> {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value as i64).encode(metric)
}

fn family<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, label): (&str, &str, &str),
    kind: MetricType,
    values: impl Iterator<Item = (&'a str, u64)>,
) -> Result<(), std::fmt::Error> {
    let mut metric: MetricEncoder<'_> = encoder.encode_descriptor(name, help, None, kind)?;
    for (value_of_label, value) in values {
        let labels = [(label, value_of_label)];
        let labelled = metric.encode_family(&labels)?;
        match kind {
            MetricType::Gauge => ConstGauge::new(value as i64).encode(labelled)?,
            _ => ConstCounter::new(value).encode(labelled)?,
        }
    }
    Ok(())
}

impl Figures {
    fn families(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let view = &self.0;
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().enumerate();
        let values = classes.map(|(i, name)| (name, view.sum(|stats| &stats.statuses[i])));
        let what = ("responses", "Responses by status class", "class");
        family(encoder, what, MetricType::Counter, values)?;
        let methods = METHODS.into_iter().enumerate();
        let values = methods.map(|(i, name)| (name, view.sum(|stats| &stats.methods[i])));
        let what = ("requests_by_method", "Requests by method", "method");
        family(encoder, what, MetricType::Counter, values)?;
        let codings = Coding::ALL.into_iter();
        let values = codings
            .map(|coding| (coding.name(), view.sum(|stats| &stats.compressed[coding as usize])));
        let what = ("compressed_responses", "Responses compressed, by encoding", "encoding");
        family(encoder, what, MetricType::Counter, values)?;
        let filters = FILTERS.into_iter().enumerate();
        let values = filters.map(|(i, info)| (info.name, view.sum(|stats| &stats.filtered[i])));
        let what = ("filtered", "Requests that a filter answered", "filter");
        family(encoder, what, MetricType::Counter, values)?;
        let faults = FAULTS.into_iter().enumerate();
        let values = faults.map(|(i, name)| (name, view.sum(|stats| &stats.faults[i])));
        let what = ("faults", "Requests that ended with a fault", "fault");
        family(encoder, what, MetricType::Counter, values)
    }

    /// Nothing without a cache.
    fn cache(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let view = &self.0;
        let commons = std::sync::Arc::clone(&view.state.borrow().commons);
        let Some(shards) = commons.shards() else { return Ok(()) };
        let content = shards.content();
        let names = CacheStats::default().outcomes().map(|(name, _)| name).into_iter().enumerate();
        let values = names.map(|(i, name)| (name, view.sum(|stats| stats.cache.outcomes()[i].1)));
        let what = ("cache_requests", "Requests by what the cache did for them", "outcome");
        family(encoder, what, MetricType::Counter, values)?;
        let sum = |of: fn(&CacheStats) -> &Counter| view.sum(|stats| of(&stats.cache));
        let counters = [
            ("cache_collapsed", "Requests that waited for another", sum(|cache| &cache.collapsed)),
            ("cache_stored", "Responses that were stored", sum(|cache| &cache.stored)),
            ("cache_refreshes", "Requests of the cache's own", sum(|cache| &cache.refreshes)),
            ("cache_served_bytes", "Bytes of bodies from the cache", sum(|cache| &cache.bytes)),
            ("cache_evictions", "Responses that made room for others", content.evictions),
        ];
        for (name, help, value) in counters {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        gauge(encoder, "cache_objects", "Responses in the cache", content.objects)?;
        gauge(encoder, "cache_bytes", "Memory that they take", content.bytes)
    }

    /// Nothing without a Redis.
    fn redis(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let commons = std::sync::Arc::clone(&self.0.state.borrow().commons);
        let held = &commons.redis;
        if held.all().is_empty() {
            return Ok(());
        }
        let what = ("redis_calls", "Calls to Redis by what came of them", "outcome");
        family(encoder, what, MetricType::Counter, held.calls().into_iter())?;
        let available = held.all().iter().all(|redis| redis.is_available());
        gauge(encoder, "redis_available", "1 while Redis answers", u64::from(available))?;
        let Some(tier) = &held.tier else { return Ok(()) };
        let what = ("cache_second_tier", "Lookups and objects of the second tier", "outcome");
        family(encoder, what, MetricType::Counter, tier.figures().all().into_iter())
    }

    /// Nothing without limits.
    fn limits(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let commons = std::sync::Arc::clone(&self.0.state.borrow().commons);
        let figures = limit::Figures(&commons.limits);
        let limits: Vec<_> = figures.limits().collect();
        if !limits.is_empty() {
            let values = limits.iter().map(|(name, refused, _)| (name.as_str(), *refused));
            let what = ("limited", "Requests that a limit of their client refused", "limit");
            family(encoder, what, MetricType::Counter, values)?;
            let values = limits.iter().map(|(name, _, clients)| (name.as_str(), *clients as u64));
            let what = ("limit_clients", "Clients that the limit knows", "limit");
            family(encoder, what, MetricType::Gauge, values)?;
        }
        if figures.upstreams().next().is_some() {
            let what = ("shed", "Requests that were refused by an upstream's limit", "priority");
            family(encoder, what, MetricType::Counter, figures.shed())?;
            let values = figures.upstreams().map(|(name, one)| (name, u64::from(one.limit())));
            let what = ("adaptive_limit", "Requests that may be under way", "upstream");
            family(encoder, what, MetricType::Gauge, values)?;
            let values = figures.upstreams().map(|(name, one)| (name, u64::from(one.under_way())));
            let what = ("adaptive_under_way", "Requests that are under way", "upstream");
            family(encoder, what, MetricType::Gauge, values)?;
        }
        Ok(())
    }

    fn endpoints(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let state = self.0.state.borrow();
        let list = state.upstream.endpoints.list();
        let of = |figure: fn(&policy::endpoint::Endpoint) -> u64| {
            list.iter().map(move |endpoint| (endpoint.name.as_str(), figure(endpoint)))
        };
        let what = ("endpoint_requests", "Requests sent to the endpoint", "endpoint");
        family(encoder, what, MetricType::Counter, of(policy::Endpoint::requests))?;
        let what = ("endpoint_failures", "Requests that failed at the endpoint", "endpoint");
        family(encoder, what, MetricType::Counter, of(policy::Endpoint::failures))?;
        let ejections = state.upstream.sites.iter().map(|site| site.ejections.load(Relaxed));
        let values = list.iter().map(|endpoint| endpoint.name.as_str()).zip(ejections);
        let what = ("endpoint_ejections", "Ejections of the endpoint", "endpoint");
        family(encoder, what, MetricType::Counter, values)?;
        let what = ("endpoint_in_flight", "Requests in flight at the endpoint", "endpoint");
        family(encoder, what, MetricType::Gauge, of(|endpoint| u64::from(endpoint.in_flight())))?;
        let what = ("endpoint_ready", "1 when the endpoint may be chosen", "endpoint");
        family(encoder, what, MetricType::Gauge, of(|endpoint| u64::from(endpoint.is_ready())))?;
        let connections = state.upstream.sites.iter().map(|site| site.connections.load(Relaxed));
        let values = list.iter().zip(connections);
        let what = ("endpoint_connections", "Open connections to the endpoint", "endpoint");
        let values = values.map(|(endpoint, count)| (endpoint.name.as_str(), u64::from(count)));
        family(encoder, what, MetricType::Gauge, values)
    }

    fn latency(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let view = &self.0;
        let buckets: Vec<(f64, u64)> = (0..LATENCY_BUCKETS)
            .map(|index| {
                let last = index + 1 == LATENCY_BUCKETS;
                let bound = if last { f64::INFINITY } else { (1_u64 << index) as f64 / 1e6 };
                (bound, view.sum(|stats| &stats.latency[index]))
            })
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = view.sum(|stats| &stats.latency_sum) as f64 / 1e9;
        let mut metric: MetricEncoder<'_> = encoder.encode_descriptor(
            "request_duration",
            "Time from a request's head to the end of its response",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        metric.encode_histogram::<[(&str, &str); 0]>(sum, count, &buckets, None)
    }
}
