//! A request of the proxy's own: through balance, pool and timeouts as a client's, but with no client.
//!
//! What is stale is fetched anew in the background while clients still get what is there (RFC 5861). Nobody waits for it, so it is plain:
//! one endpoint, no place in a queue, no retry but for a connection that had been closed while it was idle. What goes wrong
//! is counted at the endpoint as always; the next client that finds the response stale begins again.

use std::{future::poll_fn, io, net::SocketAddr, rc::Rc, task::Poll};

use http1::{Framing, RequestHead, ResponseHead};
use net::Net;
use policy::{Instant, endpoint::Outcome, message::Edits};

use super::super::{
    forward::Peer,
    pool::{Connection, Counted},
    probe,
    relay::{Encoding, Relay},
    upstream::{Lease, Pick, Upstream},
    witness::{Asking, Fact, Sending, Turn},
    worker::{Setup, Worker},
};

/// What is asked.
pub(super) struct Errand<'a> {
    /// As a client asked it. It has no body.
    pub(super) request: &'a RequestHead,
    pub(super) client: SocketAddr,
    /// What is different in it.
    pub(super) edits: &'a Edits,
    /// The largest body that is wanted.
    pub(super) most: usize,
}

/// What was answered.
pub(super) struct Answer {
    pub(super) head: ResponseHead,
    /// The content; nothing if it is larger than was wanted.
    pub(super) body: Option<Vec<u8>>,
    pub(super) sent: Instant,
    pub(super) at: Instant,
}

/// Asks one of the endpoints. Nothing if none is free, or if what came is no answer.
pub(super) async fn fetch<N: Net>(
    worker: &Rc<Worker<N>>,
    setup: &Setup<N::Stream>,
    upstream: &Rc<Upstream<N::Stream>>,
    errand: &Errand<'_>,
) -> Option<Answer> {
    let peer = setup.signature.peer(errand.client);
    let sent = worker.clock.now();
    upstream.see(|| Fact::Asked);
    upstream.budget.borrow_mut().on_request(sent);
    let key_of = |key| setup.signature.key(key, errand.request, &peer);
    let key = upstream.config.balance.strategy.key().and_then(key_of);
    let Pick::Taken(index) = upstream.pick(&[], sent, key, None) else { return None };
    let lease = Lease::new(upstream, index, sent);
    let journey = Journey { worker, setup, upstream, errand, peer, index, begun: sent };
    let (answer, outcome) = match journey.go().await {
        Ok(answer) => {
            let failed = lease.counts_as_failure(answer.head.status());
            (Some(answer), if failed { Outcome::Failure } else { Outcome::Success })
        }
        // At its limit of connections: it is not to blame.
        Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => (None, Outcome::Cancelled),
        Err(_) => (None, Outcome::Failure),
    };
    lease.finish(outcome, worker.clock.now());
    answer
}

/// The way to one endpoint and back.
struct Journey<'a, N: Net> {
    worker: &'a Rc<Worker<N>>,
    setup: &'a Setup<N::Stream>,
    upstream: &'a Rc<Upstream<N::Stream>>,
    errand: &'a Errand<'a>,
    peer: Peer,
    index: u32,
    begun: Instant,
}

impl<N: Net> Journey<'_, N> {
    async fn go(&self) -> io::Result<Answer> {
        let reused = poll_fn(|cx| {
            let scratch = &mut *self.worker.scratch.borrow_mut();
            Poll::Ready(self.upstream.pool.take(cx, self.index, self.begun, scratch))
        });
        if let Some(connection) = reused.await {
            self.worker.stats.upstream_reuses.add(1);
            self.turn();
            if let Ok(answer) = self.ask(connection, 0).await {
                return Ok(answer);
            }
            // It may have been closed while it idled, and its siblings with it.
            self.upstream.pool.forget(self.index);
            let connection = self.connect().await?;
            return self.ask(connection, 1).await;
        }
        let connection = self.connect().await?;
        self.turn();
        self.ask(connection, 0).await
    }

    fn turn(&self) {
        self.upstream.see(|| {
            Fact::Turned(Turn {
                request: Asking(self.errand.request),
                begun: self.begun,
                endpoint: self.index,
                standing: self.upstream.shared.standing(self.index),
                failed: 0,
            })
        });
    }

    async fn connect(&self) -> io::Result<Connection<N::Stream>> {
        let limit = self.upstream.config.limits.endpoint_connections.unwrap_or(u32::MAX);
        let counted = Counted::reserve(&self.upstream.register, self.index, limit)
            .ok_or(io::ErrorKind::QuotaExceeded)?;
        let address = self.upstream.shared.sites[self.index as usize].address;
        let patience = self.upstream.config.timeouts.connect.0;
        let stream = self.worker.clock.timeout(patience, self.worker.net.connect(address)).await;
        let stream = stream.map_err(|_| io::ErrorKind::TimedOut)??;
        self.worker.stats.upstream_connects.add(1);
        Ok(Connection::new(stream, counted))
    }

    async fn ask(&self, mut connection: Connection<N::Stream>, before: u32) -> io::Result<Answer> {
        let Self { worker, setup, upstream, errand, .. } = self;
        let site = &upstream.shared.sites[self.index as usize];
        connection.channel.equip(&worker.buffers);
        let authority = site.authority.as_bytes();
        let out = connection.channel.out();
        setup.signature.request(out, errand.request, &self.peer, authority, errand.edits);
        let request = Asking(errand.request);
        upstream.see(|| Fact::Sent(Sending { request, endpoint: self.index, before }));
        let mut head = ResponseHead::new();
        let patience = upstream.config.timeouts.response_head.0;
        let received = probe::receive(worker, &mut connection.channel, &mut head);
        worker.clock.timeout(patience, received).await.map_err(|_| io::ErrorKind::TimedOut)??;
        let at = worker.clock.now();
        upstream.hear(self.index, &head);
        let framing = head.framing(errand.request.method());
        let mut relay = Relay::new(&setup.limits);
        relay.reset(framing, Encoding::Verbatim);
        let mut body = Vec::new();
        let gathering = poll_fn(|cx| {
            let scratch = &mut *worker.scratch.borrow_mut();
            let keep = |piece: &[u8]| body.extend_from_slice(piece);
            relay.poll_gather(cx, &mut connection.channel, scratch, errand.most as u64, keep)
        });
        let patience = upstream.config.timeouts.stream_idle.0;
        let gathered = worker.clock.timeout(patience, gathering).await;
        let gathered = gathered.map_err(|_| io::ErrorKind::TimedOut)?;
        let whole = gathered.map_err(|_| io::ErrorKind::InvalidData)?;
        let reusable = whole && head.keep_alive() && framing != Framing::UntilClose;
        if reusable && connection.channel.is_clean() {
            upstream.pool.give(connection, worker.clock.now(), &worker.buffers);
        }
        Ok(Answer { head, body: whole.then_some(body), sent: self.begun, at })
    }
}
