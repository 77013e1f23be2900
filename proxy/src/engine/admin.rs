//! The admin listener: what the proxy says of itself.
//!
//! `/proxy-stats` is for people and scripts (JSON), `/metrics` for Prometheus, `/healthz` for whoever runs us. It has a
//! listener of its own, on loopback unless told otherwise, so that no client of the proxy can ever reach it, and it is
//! served by hyper: here correctness matters and speed does not.

use std::{
    convert::Infallible,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use net::{Clock, HyperTimer, Listener, Net, hyper_io};
use policy::{compression::Coding, filter::FILTERS};
use serde_json::{Value, json};
use tokio::{sync::watch, task::spawn_local};

use super::{
    analytics, cache, limit, prometheus,
    server::{Phase, State},
    stats::{Counter, FAULTS, LATENCY_BUCKETS, METHODS, WorkerStats},
    worker::Shared,
};

/// So many connections at a time; further ones are closed at once.
const CONNECTIONS: usize = 64;

/// What the admin listener can see.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) shared: Arc<Shared>,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) clock: Clock,
}

impl View {
    /// Lines of the access log that could not be written.
    pub(crate) fn lost_lines(&self) -> u64 {
        self.state.borrow().log.as_ref().map_or(0, |log| log.lost())
    }

    /// A counter, added up over the workers.
    pub(crate) fn sum(&self, of: impl Fn(&WorkerStats) -> &Counter) -> u64 {
        self.shared.stats.iter().map(|stats| of(stats).get()).sum()
    }
}

/// Serves the admin listener until the runtime ends.
pub(crate) async fn serve<N: Net>(net: N, listener: N::Listener, view: View) {
    let open = Rc::new(());
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            net.clock().sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        if Rc::strong_count(&open) > CONNECTIONS {
            continue;
        }
        let (view, counted) = (view.clone(), Rc::clone(&open));
        let timer = HyperTimer(*net.clock());
        spawn_local(async move {
            let service = service_fn(move |request| {
                let view = view.clone();
                async move { Ok::<_, Infallible>(answer(&view, &request).await) }
            });
            // What goes wrong on an admin connection concerns its client alone.
            let _ = http1::Builder::new()
                .timer(timer)
                .serve_connection(hyper_io(stream), service)
                .await;
            drop(counted);
        });
    }
}

async fn answer(view: &View, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() == "/cache/purge" {
        return purge(view, request).await;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD\n".into());
    }
    match request.uri().path() {
        "/proxy-stats" => {
            let text = format!("{:#}\n", stats(view));
            reply(StatusCode::OK, "application/json", text)
        }
        "/metrics" => {
            let text = prometheus::encode(view);
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            reply(StatusCode::OK, kind, text)
        }
        "/cache" => {
            let text = format!("{:#}\n", cache::Figures(view).json());
            reply(StatusCode::OK, "application/json", text)
        }
        "/analytics" => analysed(view, request).await,
        "/healthz" => match view.state.borrow().phase {
            Phase::Serving => reply(StatusCode::OK, "text/plain", "serving\n".into()),
            Phase::Draining => {
                reply(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "draining\n".into())
            }
        },
        _ => reply(
            StatusCode::NOT_FOUND,
            "text/plain",
            "here are /proxy-stats, /metrics, /cache, /analytics and /healthz\n".into(),
        ),
    }
}

/// Top lists and the last day: a page for who asks for one, JSON for all others. `?route=NAME` picks the minutes of one route.
async fn analysed(view: &View, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !view.state.borrow().config.analytics.enabled {
        let text = "there are none; set `analytics.enabled = true`\n".into();
        return reply(StatusCode::NOT_FOUND, "text/plain", text);
    }
    let query = request.uri().query().unwrap_or_default();
    let route = query.split('&').find_map(|part| part.strip_prefix("route="));
    let (summary, workers) = analytics::summary(view, route).await;
    let accept = request.headers().get(header::ACCEPT).map_or(&b""[..], |value| value.as_bytes());
    if accept.windows(9).any(|part| part == b"text/html") {
        let page = analytics::page(&summary, workers);
        return reply(StatusCode::OK, "text/html; charset=utf-8", page);
    }
    let text = format!("{:#}\n", analytics::json(&summary, workers));
    reply(StatusCode::OK, "application/json", text)
}

/// Purges the cache. A page in somebody's browser must not: it says whose it is.
async fn purge(view: &View, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::POST {
        return reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only POST\n".into());
    }
    if request.headers().contains_key(header::ORIGIN) {
        return reply(StatusCode::FORBIDDEN, "text/plain", "not for pages of browsers\n".into());
    }
    let commons = Arc::clone(&view.state.borrow().commons);
    let query = request.uri().query().unwrap_or_default();
    match cache::purge(&commons, query, &view.clock).await {
        Ok(done) => reply(StatusCode::OK, "application/json", format!("{done}\n")),
        Err(problem) => reply(StatusCode::BAD_REQUEST, "text/plain", format!("{problem}\n")),
    }
}

fn reply(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

/// The figures as JSON.
fn stats(view: &View) -> Value {
    let named = |names: &[&str], counters: &dyn Fn(&WorkerStats) -> &[Counter]| {
        let value = |index: usize| view.sum(|stats| &counters(stats)[index]);
        names
            .iter()
            .enumerate()
            .map(|(index, name)| ((*name).to_owned(), json!(value(index))))
            .collect::<serde_json::Map<_, _>>()
    };
    let uptime = view.clock.now().since(view.shared.started).as_secs_f64();
    json!({
        "uptime_s": uptime,
        "workers": view.shared.stats.len(),
        "phase": match view.state.borrow().phase {
            Phase::Serving => "serving",
            Phase::Draining => "draining",
        },
        "connections": {
            "active": view.sum(|stats| &stats.connections_active),
            "total": view.sum(|stats| &stats.connections_total),
        },
        "requests": {
            "total": view.sum(|stats| &stats.requests),
            "by_status": named(&["1xx", "2xx", "3xx", "4xx", "5xx"], &|stats| &stats.statuses),
            "by_method": named(&METHODS, &|stats| &stats.methods),
            "by_fault": named(&FAULTS, &|stats| &stats.faults),
            "by_filter": named(&FILTERS.map(|filter| filter.name), &|stats| &stats.filtered),
            "by_side": named(&["downstream", "upstream", "ours"], &|stats| &stats.sides),
            "retries": view.sum(|stats| &stats.retries),
            "retries_refused": view.sum(|stats| &stats.retries_refused),
            "queued": view.sum(|stats| &stats.queued),
            "limited": view.sum(|stats| &stats.limited),
            "shed": view.sum(|stats| &stats.shed),
            "upgrades": view.sum(|stats| &stats.upgrades),
        },
        "bytes": {
            "received": view.sum(|stats| &stats.bytes_received),
            "sent": view.sum(|stats| &stats.bytes_sent),
        },
        "compression": {
            "active": view.sum(|stats| &stats.encoders),
            "by_encoding": named(&Coding::ALL.map(Coding::name), &|stats| &stats.compressed),
            "bytes_in": view.sum(|stats| &stats.compression_in),
            "bytes_out": view.sum(|stats| &stats.compression_out),
        },
        "access_log": {
            "dropped": view.sum(|stats| &stats.log_dropped),
            "lost": view.lost_lines(),
        },
        "latency_ms": latency(view),
        "upstream": {
            "connects": view.sum(|stats| &stats.upstream_connects),
            "reuses": view.sum(|stats| &stats.upstream_reuses),
            "waiting": view.state.borrow().upstream.waiting.waiting(),
        },
        "cache": cache::Figures(view).json(),
        "redis": view.state.borrow().commons.redis.json(),
        "limits": limit::Figures(&view.state.borrow().commons.limits).json(),
        "endpoints": endpoints(view),
    })
}

/// Mean and quantiles; a quantile is the upper bound of its bucket.
fn latency(view: &View) -> Value {
    let counts: Vec<u64> =
        (0..LATENCY_BUCKETS).map(|index| view.sum(|stats| &stats.latency[index])).collect();
    let total: u64 = counts.iter().sum();
    let quantile = |q: f64| {
        let mut left = (q * total as f64).ceil() as u64;
        let bucket = counts.iter().position(|count| {
            let inside = left <= *count;
            left = left.saturating_sub(*count);
            inside
        });
        bucket.filter(|_| total > 0).map(|index| (1_u64 << index) as f64 / 1e3)
    };
    let mean = view.sum(|stats| &stats.latency_sum) as f64 / 1e6 / total.max(1) as f64;
    json!({
        "mean": (total > 0).then_some(mean),
        "p50_at_most": quantile(0.5),
        "p90_at_most": quantile(0.9),
        "p99_at_most": quantile(0.99),
    })
}

fn endpoints(view: &View) -> Value {
    let state = view.state.borrow();
    let both = state.upstream.endpoints.list().iter().zip(&state.upstream.sites);
    both.map(|(endpoint, site)| {
        let condition = match endpoint {
            _ if endpoint.is_draining() => "draining",
            _ if !endpoint.is_up() => "down",
            _ if endpoint.is_ejected() => "ejected",
            _ => "ready",
        };
        json!({
            "name": endpoint.name,
            "address": site.address.to_string(),
            "weight": endpoint.weight,
            "state": condition,
            "in_flight": endpoint.in_flight(),
            "requests": endpoint.requests(),
            "failures": endpoint.failures(),
            "ejections": site.ejections.load(Relaxed),
            "connections": site.connections.load(Relaxed),
        })
    })
    .collect()
}
