//! What a worker counts.
//!
//! Each worker has counters of its own and is the only one that writes them, so that counting is a plain load and store
//! of a cache line that nobody else writes: no lock prefix, no contention. Whoever wants to know adds up the workers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http1::Method;
use policy::filter::FILTERS;

use super::fault::{Fault, Side};

/// A counter with a single writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`. Only the worker that owns the counter may call it.
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// Takes `count` away; for gauges.
    pub(crate) fn sub(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(count), Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How many buckets the latency histogram has; bucket `i` counts what took less than 2^i microseconds.
pub const LATENCY_BUCKETS: usize = 28;

/// The methods that are counted apart, in the order of [`WorkerStats::methods`].
pub const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other"];

/// The faults that are counted apart, in the order of [`WorkerStats::faults`].
pub const FAULTS: [&str; 23] = [
    "bad_request",
    "method_refused",
    "head_timeout",
    "body_timeout",
    "client_gone",
    "client_stalled",
    "no_endpoint",
    "queue_full",
    "queue_timeout",
    "connect_refused",
    "connect_failed",
    "connect_timeout",
    "reused_connection_closed",
    "closed_before_response",
    "response_timeout",
    "bad_response",
    "unasked_upgrade",
    "closed_mid_response",
    "response_stalled",
    "sessions_full",
    "body_too_large",
    "no_route",
    "overloaded",
];

/// One worker's counters.
#[derive(Debug, Default)]
pub struct WorkerStats {
    /// Requests that ended, in whatever way.
    pub requests: Counter,
    /// Responses by the class of their status: 1xx (upgrades), 2xx, 3xx, 4xx, 5xx.
    pub statuses: [Counter; 5],
    /// Requests by method, in the order of [`METHODS`].
    pub methods: [Counter; 10],
    /// Requests that ended with a fault of the proxy's reckoning, in the order of [`FAULTS`].
    pub faults: [Counter; FAULTS.len()],
    /// The same by side: the client's, the endpoint's, ours.
    pub sides: [Counter; 3],
    /// Bytes of request bodies.
    pub bytes_received: Counter,
    /// Bytes of response bodies.
    pub bytes_sent: Counter,
    /// Client connections that are open.
    pub connections_active: Counter,
    /// Client connections that were accepted.
    pub connections_total: Counter,
    /// Connections to endpoints that were opened.
    pub upstream_connects: Counter,
    /// Requests that went over a connection that had been used before.
    pub upstream_reuses: Counter,
    /// Requests that were sent a second time.
    pub retries: Counter,
    /// Retries that the budget refused.
    pub retries_refused: Counter,
    /// Connections that changed to another protocol.
    pub upgrades: Counter,
    /// Requests that waited for an endpoint with room.
    pub queued: Counter,
    /// Requests that were refused because their client was at a limit.
    pub limited: Counter,
    /// Requests that were refused because the upstream was at its limit.
    pub shed: Counter,
    /// Requests that a filter has answered, in the order of [`FILTERS`].
    pub filtered: [Counter; FILTERS.len()],
    /// Responses that are being compressed.
    pub encoders: Counter,
    /// Responses that were compressed, in the order of [`Coding::ALL`](policy::compression::Coding::ALL).
    pub compressed: [Counter; 3],
    /// Bytes of response bodies that were compressed, before.
    pub compression_in: Counter,
    /// The same after.
    pub compression_out: Counter,
    /// What the cache did for requests.
    pub cache: CacheStats,
    /// Lines of the access log for which there was no room.
    pub log_dropped: Counter,
    /// Time from a request's head to the end of its response, by powers of two of microseconds.
    pub latency: [Counter; LATENCY_BUCKETS],
    /// The sum of these times in nanoseconds.
    pub latency_sum: Counter,
}

/// What the cache did for requests. Each that looks into it is one of the first five.
#[derive(Debug, Default)]
pub struct CacheStats {
    /// Answered from the cache, fresh.
    pub hits: Counter,
    /// Answered from the cache, stale: while it is fetched anew, because the endpoints failed, or because the client is content with that.
    pub stale: Counter,
    /// Answered from the cache after an endpoint had said that nothing has changed.
    pub revalidated: Counter,
    /// Answered by an endpoint, or not at all.
    pub misses: Counter,
    /// Not for the cache.
    pub passed: Counter,
    /// Those that waited for another request that had asked for the same.
    pub collapsed: Counter,
    /// Responses that were stored.
    pub stored: Counter,
    /// Requests of the cache's own, for what is stale.
    pub refreshes: Counter,
    /// Bytes of bodies that came from the cache.
    pub bytes: Counter,
}

impl CacheStats {
    /// How requests that looked into the cache were answered, with a word for each way.
    pub fn outcomes(&self) -> [(&'static str, &Counter); 5] {
        [
            ("hit", &self.hits),
            ("stale", &self.stale),
            ("revalidated", &self.revalidated),
            ("miss", &self.misses),
            ("pass", &self.passed),
        ]
    }
}

impl WorkerStats {
    /// Counts a request that has ended.
    pub(crate) fn count(&self, method: Method, status: u16, fault: Option<&Fault>, nanos: u64) {
        self.requests.add(1);
        self.methods[method_index(method)].add(1);
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.statuses[class].add(1);
        if let Some(fault) = fault {
            let name = fault.name();
            if let Some(index) = FAULTS.iter().position(|known| *known == name) {
                self.faults[index].add(1);
            }
            self.sides[side_index(fault.side())].add(1);
        }
        let micros = nanos / 1000;
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        self.latency[bucket.min(LATENCY_BUCKETS - 1)].add(1);
        self.latency_sum.add(nanos);
    }
}

fn method_index(method: Method) -> usize {
    match method {
        Method::Get => 0,
        Method::Head => 1,
        Method::Post => 2,
        Method::Put => 3,
        Method::Delete => 4,
        Method::Connect => 5,
        Method::Options => 6,
        Method::Trace => 7,
        Method::Patch => 8,
        Method::Other => 9,
    }
}

fn side_index(side: Side) -> usize {
    match side {
        Side::Downstream => 0,
        Side::Upstream => 1,
        Side::Ours => 2,
    }
}
