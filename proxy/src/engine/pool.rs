//! A worker's connections to the endpoints that are not in use.
//!
//! Last in, first out: the connection that was used last is the likeliest to be still open, its buffers are warm, and the
//! others grow old and go when load falls. A connection is looked at before it is used again: if the endpoint
//! has closed it, or has sent something that nobody asked for, it is dropped. That look costs no system
//! call, because tokio knows whether the socket has become readable.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Context,
    time::Duration,
};

use net::Stream;
use policy::Instant;

use super::{
    channel::{Buffers, Channel},
    upstream::UpstreamShared,
    witness::{Fact, Watched},
};
use crate::config::ProxyConfig;

/// Idle connections, by endpoint.
pub(crate) struct Pool<S> {
    idle: Vec<RefCell<Vec<Idle<S>>>>,
    most: usize,
    longest: Duration,
}

struct Idle<S> {
    channel: Channel<S>,
    counted: Counted,
    since: Instant,
}

/// A connection to an endpoint, in use.
pub(crate) struct Connection<S> {
    pub(crate) channel: Channel<S>,
    /// It has served a request before.
    pub(crate) reused: bool,
    counted: Counted,
}

/// Counts a connection as open for as long as it lives.
pub(crate) struct Counted {
    register: Rc<Register>,
    index: u32,
}

/// Where connections are counted, and who else is told.
pub(crate) struct Register {
    pub(crate) shared: Arc<UpstreamShared>,
    pub(crate) watched: Option<Watched>,
}

impl Counted {
    /// Counts one more connection to endpoint `index`, unless `limit` are open or being opened.
    pub(crate) fn reserve(register: &Rc<Register>, index: u32, limit: u32) -> Option<Self> {
        let connections = &register.shared.sites[index as usize].connections;
        let more = |open: u32| (open < limit).then(|| open + 1);
        connections.fetch_update(Relaxed, Relaxed, more).ok()?;
        if let Some(watched) = &register.watched {
            watched.see(Fact::Dialled(index));
        }
        Some(Self { register: Rc::clone(register), index })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Register { shared, watched } = &*self.register;
        shared.sites[self.index as usize].connections.fetch_sub(1, Relaxed);
        if let Some(watched) = watched {
            watched.see(Fact::Closed(self.index));
        }
    }
}

impl<S: Stream> Connection<S> {
    /// A connection that was just opened.
    pub(crate) fn new(stream: S, counted: Counted) -> Self {
        Self { channel: Channel::new(stream), reused: false, counted }
    }
}

impl<S> Pool<S> {
    pub(crate) fn new(shared: &UpstreamShared, config: &ProxyConfig) -> Self {
        Self {
            idle: shared.sites.iter().map(|_| RefCell::default()).collect(),
            most: config.limits.endpoint_idle,
            longest: config.timeouts.upstream_idle.0,
        }
    }
}

impl<S: Stream> Pool<S> {
    /// A connection to endpoint `index` that was used before and is still good.
    pub(crate) fn take(
        &self,
        cx: &mut Context<'_>,
        index: u32,
        now: Instant,
        scratch: &mut [u8],
    ) -> Option<Connection<S>> {
        let mut idle = self.idle[index as usize].borrow_mut();
        while let Some(Idle { mut channel, counted, since }) = idle.pop() {
            if now.since(since) >= self.longest {
                // Those below are older still.
                idle.clear();
                return None;
            }
            if channel.poll_read(cx, scratch).is_pending() {
                return Some(Connection { channel, reused: true, counted });
            }
        }
        None
    }

    /// Keeps a connection whose response has ended cleanly.
    pub(crate) fn give(&self, connection: Connection<S>, now: Instant, store: &Buffers) {
        let Connection { mut channel, counted, .. } = connection;
        let mut idle = self.idle[counted.index as usize].borrow_mut();
        if idle.len() < self.most {
            channel.strip(store);
            idle.push(Idle { channel, counted, since: now });
        }
    }

    /// Drops the connections that have idled for too long or were closed by their endpoint.
    pub(crate) fn sweep(&self, cx: &mut Context<'_>, now: Instant, scratch: &mut [u8]) {
        for idle in &self.idle {
            idle.borrow_mut().retain_mut(|connection| {
                now.since(connection.since) < self.longest
                    && connection.channel.poll_read(cx, scratch).is_pending()
            });
        }
    }

    /// Drops all idle connections to endpoint `index`.
    pub(crate) fn forget(&self, index: u32) {
        self.idle[index as usize].borrow_mut().clear();
    }
}
