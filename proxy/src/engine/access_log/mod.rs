//! The access log: an event for each request, in the target `access`.
//!
//! The engine only states the facts, as fields of a `tracing` event; whether they become text or JSON, and where they are
//! written, is decided by the subscriber, and the program's writes from a thread of its own.

use std::{net::SocketAddr, time::Duration};

use http1::{Name, RequestHead};

use super::fault::Fault;

/// What there is to say of a request.
pub(crate) struct Entry<'a> {
    pub(crate) client: SocketAddr,
    pub(crate) head: &'a RequestHead,
    pub(crate) status: u16,
    pub(crate) fault: Option<&'a Fault>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) spent: Duration,
    /// The route's name; empty where none matched.
    pub(crate) route: &'a str,
    /// Why a stage has answered, if one has.
    pub(crate) reason: Option<&'static str>,
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) retries: u32,
}

/// Writes the entry.
pub(crate) fn write(entry: &Entry<'_>) {
    let text = |bytes| String::from_utf8_lossy(bytes);
    tracing::info!(
        target: "access",
        client = %entry.client.ip(),
        method = %text(entry.head.method_bytes()),
        host = %text(entry.head.host()),
        target = %text(entry.head.target()),
        status = entry.status,
        fault = entry.fault.map(Fault::name).or(entry.reason),
        route = Some(entry.route).filter(|route| !route.is_empty()),
        bytes_received = entry.received,
        bytes_sent = entry.sent,
        duration_ms = entry.spent.as_secs_f64() * 1e3,
        endpoint = entry.endpoint,
        retries = entry.retries,
        user_agent = entry.head.get(Name::UserAgent).map(text).as_deref(),
    );
}
