//! Finding an endpoint that answers: the middle of [`exchange`](super::exchange).
//!
//! ```text
//! pick (or wait in the queue) → reuse or connect → send → wait for the head → retry, or done
//! ```

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use http1::{Method, Version};
use net::{Net, Stream};
use policy::{
    Instant,
    endpoint::Outcome,
    message::Edits,
    retry::{Body, Decision, Failure, Idempotence},
};

#[cfg(feature = "planted-bugs")]
use super::planted;
use super::{
    access_log::Stamps,
    exchange::{Exchange, Over, Sending, outcome_of_fault},
    fault::{Fault, Side},
    forward::{Persistence, ResponseWay},
    pool::{Connection, Counted},
    relay::{Aside, Broken, Encoding},
    upstream::{Lease, Pick},
    witness::{Asking, Fact, Sending as Sent, Turn},
    worker::Pad,
};

/// So much of interim responses may wait for the client before it must take some.
const INTERIM: usize = 4 << 10;

/// Interim responses pass as they are.
static NO_EDITS: Edits = Edits::NONE;

impl<N: Net> Exchange<'_, N> {
    /// Finds an endpoint that answers, and its response's head.
    pub(super) async fn reach(
        &mut self,
    ) -> Result<(Connection<N::Stream>, Lease<N::Stream>), Fault> {
        let mut last = None;
        loop {
            let lease = match self.acquire().await {
                Ok(lease) => lease,
                // No other endpoint is left: what the last one did is what the client should know.
                Err(Fault::NoEndpoint) => return Err(last.unwrap_or_else(|| self.nowhere())),
                Err(fault) => return Err(fault),
            };
            self.endpoint = Some(lease.index);
            self.stamp(|stamps, now| *stamps = Stamps { chosen: now, ..Stamps::NOWHERE });
            let (failure, fault) = match self.attempt(lease.index).await {
                Ok(connection) => {
                    self.stamp(|stamps, now| stamps.answered = now);
                    self.service.upstream.hear(lease.index, &self.pad.response);
                    let status = self.pad.response.status();
                    let failure = Failure::Status(status);
                    if status < 400 || !self.may_retry(failure, lease.index) {
                        return Ok((connection, lease));
                    }
                    (failure, None)
                }
                Err(fault) => (failure_of(&fault), Some(fault)),
            };
            let index = lease.index;
            let now = self.worker.clock.now();
            match fault {
                None => lease.finish(self.outcome_of_answer(), now),
                // No connection is to be had there: nothing was sent, and no retry is spent on it.
                Some(Fault::QueueFull) => {
                    lease.finish(Outcome::Cancelled, now);
                    self.pad.tried.push(index);
                    last = Some(Fault::QueueFull);
                    continue;
                }
                Some(fault) => {
                    #[cfg(feature = "planted-bugs")]
                    if planted::is_planted(planted::Bug::LeakedInFlight)
                        && matches!(fault, Fault::ResponseTimeout)
                    {
                        let list = self.service.upstream.shared.endpoints.list();
                        let _ = list[index as usize].try_begin();
                    }
                    lease.finish(outcome_of_fault(&fault), now);
                    if fault.side() != Side::Upstream || !self.may_retry(failure, index) {
                        return Err(fault);
                    }
                    last = Some(fault);
                }
            }
            if failure == Failure::ReusedClosed {
                // The endpoint is not to blame, and its other idle connections have died with this one.
                self.service.upstream.pool.forget(index);
                self.over = Over::Fresh;
            } else {
                self.retries += 1;
                self.pad.tried.push(index);
            }
            self.failed = self.failed.saturating_add(1);
        }
    }

    /// Notes how far it has come, if somebody will want to know.
    fn stamp(&mut self, note: impl FnOnce(&mut Stamps, Instant)) {
        if self.setup.log.is_some() {
            note(&mut self.pad.stamps, self.worker.clock.now());
        }
    }

    /// Why there is no endpoint: none is ready, or there never was one, because this request is none that we serve.
    fn nowhere(&self) -> Fault {
        let own = std::ptr::eq(self.service, self.setup.services.own());
        let none = own && self.service.upstream.shared.sites.is_empty();
        if none && self.setup.services.is_routed() { Fault::NoRoute } else { Fault::NoEndpoint }
    }

    /// Whether the request may be sent again after this failure at endpoint `last`; takes it from the budget if so.
    fn may_retry(&mut self, failure: Failure, last: u32) -> bool {
        let idempotence = idempotence(self.pad.request.method());
        let kept = self.pad.upload.bytes() == 0 || self.pad.replay.is_complete();
        let body = if kept { Body::Replayable } else { Body::Gone };
        let retry = &self.service.upstream.config.retry;
        if retry.decide(failure, idempotence, body, self.retries) != Decision::Retry {
            return false;
        }
        let (others, with_room) = self.service.upstream.others(&self.pad.tried, last);
        let somewhere = match failure {
            Failure::ReusedClosed => true,
            // An answer that is there is worth more than a place in the queue.
            Failure::Status(_) => with_room > 0,
            _ => others > 0,
        };
        if !somewhere {
            return false;
        }
        let granted = self.service.upstream.budget.borrow_mut().try_retry(self.worker.clock.now());
        if !granted {
            self.worker.stats.retries_refused.add(1);
        }
        granted
    }

    /// A place at an endpoint; waits in the queue while all are at their limit.
    pub(super) async fn acquire(&mut self) -> Result<Lease<N::Stream>, Fault> {
        // Who comes now does not overtake those who wait; who tries again has waited already.
        let may_pick = self.service.upstream.shared.waiting.waiting() == 0 || self.is_retry();
        match may_pick.then(|| self.pick()).flatten() {
            Some(result) => result,
            // Boxed, as all that is rare: a connection's task is as large as its largest path.
            None => Box::pin(self.queue()).await,
        }
    }

    /// Whether there are endpoints that were tried in vain.
    fn is_retry(&self) -> bool {
        !self.pad.tried.is_empty()
    }

    /// What the balancer says now; nothing when every endpoint is at its limit.
    fn pick(&self) -> Option<Result<Lease<N::Stream>, Fault>> {
        let now = self.worker.clock.now();
        let upstream = &self.service.upstream;
        let key = upstream.config.balance.strategy.key();
        let key =
            key.and_then(|key| self.setup.signature.key(key, &self.pad.request, &self.client.peer));
        let cookie = upstream.cookie();
        let cookie = cookie
            .and_then(|key| self.setup.signature.key(key, &self.pad.request, &self.client.peer));
        match upstream.pick(&self.pad.tried, now, key, cookie) {
            Pick::Taken(index) => Some(Ok(Lease::new(upstream, index, now))),
            Pick::None => Some(Err(Fault::NoEndpoint)),
            Pick::AllFull => None,
        }
    }

    /// Waits until an endpoint has room.
    async fn queue(&mut self) -> Result<Lease<N::Stream>, Fault> {
        let queue = &self.service.upstream.config.queue;
        let shared = &self.service.upstream.shared;
        if !shared.waiting.try_enter(queue) {
            return Err(Fault::QueueFull);
        }
        let upstream = &self.service.upstream;
        upstream.see(|| Fact::Waits);
        let _place = scopeguard(|| {
            upstream.see(|| Fact::WaitsNoMore);
            upstream.shared.waiting.leave();
        });
        self.worker.stats.queued.add(1);
        let deadline = self.worker.clock.now() + queue.timeout.0;
        // First in line, then for room: so they are served in the order in which they came. A request that has tried some
        // endpoints waits for others than the rest, and shall not keep them waiting.
        let mut first = pin!(shared.line.acquire());
        let _first =
            if self.is_retry() { None } else { Some(self.wait(first.as_mut(), deadline).await?) };
        loop {
            // Made before the look: what changes after that look rings it.
            let mut room = pin!(shared.room.notified());
            if let Some(result) = self.pick() {
                return result;
            }
            // An ejection that ends rings nothing.
            let returns = shared.endpoints.next_return();
            match self.wait(room.as_mut(), deadline.min(returns)).await {
                Err(Fault::QueueTimeout) if self.worker.clock.now() < deadline => {}
                result => result?,
            }
        }
    }

    /// Waits for `event`, but not longer than until `deadline`, and not for a client that has gone.
    pub(super) async fn wait<T>(
        &mut self,
        mut event: Pin<&mut impl Future<Output = T>>,
        deadline: Instant,
    ) -> Result<T, Fault> {
        poll_fn(|cx| {
            if let Poll::Ready(value) = event.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            let scratch = &mut *self.worker.scratch.borrow_mut();
            if self.pad.upload.is_received() && self.client.poll_gone(cx, scratch).is_ready() {
                return Poll::Ready(Err(Fault::ClientGone));
            }
            self.client.timer.poll_at(cx, deadline).map(|()| Err(Fault::QueueTimeout))
        })
        .await
    }

    /// Sends the request to endpoint `index` and waits for the head of its response.
    async fn attempt(&mut self, index: u32) -> Result<Connection<N::Stream>, Fault> {
        let reused = match self.over {
            Over::Any => self.reuse(index).await,
            Over::Fresh => None,
        };
        let mut connection = match reused {
            Some(connection) => {
                self.worker.stats.upstream_reuses.add(1);
                self.turn(index);
                connection
            }
            None => Box::pin(self.connect(index)).await?,
        };
        self.stamp(|stamps, now| stamps.connected = now);
        connection.channel.equip(&self.worker.buffers);
        let site = &self.service.upstream.shared.sites[index as usize];
        self.setup.signature.request(
            connection.channel.out(),
            &self.pad.request,
            &self.client.peer,
            site.authority.as_bytes(),
            &self.pad.onward,
        );
        self.pad.response.clear();
        self.sending = Sending::UnderWay;
        self.progress = u64::MAX;
        self.service.upstream.see(|| {
            let request = Asking(&self.pad.request);
            Fact::Sent(Sent { request, endpoint: index, before: self.sent.into() })
        });
        self.sent = self.sent.saturating_add(1);
        poll_fn(|cx| {
            let Pad { upload, replay, .. } = &mut *self.pad;
            Poll::Ready(upload.replay(cx, &mut connection.channel, replay))
        })
        .await
        .map_err(|_| closed(&connection))?;
        poll_fn(|cx| self.poll_head(cx, &mut connection)).await?;
        Ok(connection)
    }

    /// There is a connection to endpoint `index`, or one is dialled: only now a second try is one.
    pub(super) fn turn(&self, index: u32) {
        if self.failed > 0 {
            self.worker.stats.retries.add(1);
        }
        let upstream = &self.service.upstream;
        upstream.see(|| {
            Fact::Turned(Turn {
                request: Asking(&self.pad.request),
                begun: self.begun,
                endpoint: index,
                standing: upstream.shared.standing(index),
                failed: self.failed.into(),
            })
        });
    }

    async fn reuse(&mut self, index: u32) -> Option<Connection<N::Stream>> {
        let now = self.worker.clock.now();
        poll_fn(|cx| {
            let scratch = &mut *self.worker.scratch.borrow_mut();
            Poll::Ready(self.service.upstream.pool.take(cx, index, now, scratch))
        })
        .await
    }

    async fn connect(&mut self, index: u32) -> Result<Connection<N::Stream>, Fault> {
        let upstream = &self.service.upstream;
        let limit = self.service.upstream.config.limits.endpoint_connections.unwrap_or(u32::MAX);
        // Counted before it opens: others must see it.
        let counted = Counted::reserve(&upstream.register, index, limit).ok_or(Fault::QueueFull)?;
        self.turn(index);
        let address = upstream.shared.sites[index as usize].address;
        let worker = self.worker;
        let deadline = worker.clock.now() + self.service.upstream.config.timeouts.connect.0;
        // Nobody dials for a client that has left: it would hold its place at the endpoint for as long as that may take.
        match self.wait(pin!(worker.net.connect(address)), deadline).await {
            Ok(Ok(stream)) => {
                self.worker.stats.upstream_connects.add(1);
                Ok(Connection::new(stream, counted))
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Err(Fault::ConnectRefused)
            }
            Ok(Err(error)) => Err(Fault::ConnectFailed(error)),
            Err(Fault::QueueTimeout) => Err(Fault::ConnectTimeout),
            Err(fault) => Err(fault),
        }
    }

    /// Sends the request, passes 1xx on, and is ready when the final head is there.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection<N::Stream>,
    ) -> Poll<Result<(), Fault>> {
        let worker = self.worker;
        let scratch = &mut *worker.scratch.borrow_mut();
        if self.sending == Sending::UnderWay {
            let Pad { upload, replay, .. } = &mut *self.pad;
            let (client, endpoint) = (&mut self.client.channel, &mut connection.channel);
            match upload.poll(cx, client, endpoint, scratch, Aside::Replay(replay)) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => {
                    self.sending = Sending::Done;
                    self.deadline =
                        worker.clock.now() + self.service.upstream.config.timeouts.response_head.0;
                }
                Poll::Ready(Err(Broken::Sender)) => return Poll::Ready(Err(Fault::ClientGone)),
                Poll::Ready(Err(Broken::Framing(error))) => {
                    return Poll::Ready(Err(Fault::BadRequest(error)));
                }
                Poll::Ready(Err(Broken::TooLarge)) => {
                    return Poll::Ready(Err(Fault::BodyTooLarge));
                }
                // The endpoint may have answered before it stopped reading: look for that answer.
                Poll::Ready(Err(Broken::Receiver)) => {
                    self.sending = Sending::Stuck;
                    self.deadline =
                        worker.clock.now() + self.service.upstream.config.timeouts.response_head.0;
                }
            }
        }
        loop {
            // While a client does not take its interim responses, no more of them are read.
            if self.client.channel.waiting() > INTERIM {
                match self.client.channel.poll_flush(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::ClientGone)),
                }
            }
            match connection.channel.poll_read(cx, scratch) {
                Poll::Pending => break,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(closed(connection))),
                Poll::Ready(Ok(count)) => match self.take_head(connection, &scratch[..count]) {
                    Ok(true) if self.is_unasked_upgrade() => {
                        return Poll::Ready(Err(Fault::UnaskedUpgrade));
                    }
                    Ok(true) => return Poll::Ready(Ok(())),
                    Ok(false) => {}
                    Err(error) => return Poll::Ready(Err(Fault::BadResponse(error))),
                },
            }
        }
        if self.client.channel.waiting() > 0
            && let Poll::Ready(Err(_)) = self.client.channel.poll_flush(cx)
        {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        if self.pad.upload.is_received() && self.client.poll_gone(cx, scratch).is_ready() {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        if self.sending == Sending::UnderWay {
            self.move_deadline(connection);
        }
        self.client.timer.poll_at(cx, self.deadline).map(|()| {
            let waits_for_us = connection.channel.waiting() == 0 && !self.pad.upload.is_received();
            let clients = waits_for_us && !self.awaits_continue();
            Err(if clients { Fault::BodyTimeout } else { Fault::ResponseTimeout })
        })
    }

    /// Reads a response's head from `bytes`, which follow what was kept before; whether the final one is there.
    fn take_head(
        &mut self,
        connection: &mut Connection<N::Stream>,
        bytes: &[u8],
    ) -> Result<bool, http1::Error> {
        let channel = &mut connection.channel;
        let limits = &self.setup.limits;
        // A final head that is whole is parsed where it lies; only what follows it is copied.
        if channel.ahead().is_empty() {
            if let Some(used) = self.pad.response.parse(bytes, limits)? {
                if used < bytes.len() {
                    channel.stash(&bytes[used..]);
                }
                if !self.pad.response.is_informational() {
                    return Ok(true);
                }
                self.pass_informational();
            } else {
                channel.stash(bytes);
                return Ok(false);
            }
        } else {
            channel.stash(bytes);
        }
        while !channel.ahead().is_empty() {
            let Some(used) = self.pad.response.parse(channel.ahead(), limits)? else {
                return Ok(false);
            };
            channel.consume(used);
            if !self.pad.response.is_informational() {
                return Ok(true);
            }
            self.pass_informational();
        }
        Ok(false)
    }

    /// Whether the endpoint changes to another protocol although we have not asked it to (RFC 9110, section 7.8).
    fn is_unasked_upgrade(&self) -> bool {
        let asked = || self.setup.signature.upgrade(&self.pad.request).is_some();
        self.pad.response.status() == 101 && !(self.pad.response.upgrade().is_some() && asked())
    }

    /// Passes a 1xx on to the client, if it is one that knows them (RFC 9110, section 15.2).
    fn pass_informational(&mut self) {
        if self.pad.response.status() == 100 && !self.continued {
            // From here on the client is awaited, and has the time that it has for a body.
            self.continued = true;
            self.progress = u64::MAX;
        }
        if self.pad.request.version() == Version::Http11 {
            let way = ResponseWay {
                encoding: Encoding::Verbatim,
                persistence: Persistence::Keep,
                date: b"",
                hides_load: false,
                binds: None,
                edits: &NO_EDITS,
            };
            self.setup.signature.response(self.client.channel.out(), &self.pad.response, &way);
        }
        self.pad.response.clear();
    }
}

/// What a connection's end before the response means. Where the response has begun it is no keep-alive that has ended.
fn closed<S: Stream>(connection: &Connection<S>) -> Fault {
    let silent = connection.channel.ahead().is_empty();
    if connection.reused && silent { Fault::ReusedClosed } else { Fault::ClosedBeforeResponse }
}

/// Whether a request with this method may be acted upon twice.
pub(super) fn idempotence(method: Method) -> Idempotence {
    #[cfg(feature = "planted-bugs")]
    if planted::is_planted(planted::Bug::PostRetry) {
        return Idempotence::Idempotent;
    }
    if method.is_idempotent() { Idempotence::Idempotent } else { Idempotence::NonIdempotent }
}

/// The fault in the terms of the retry decision.
fn failure_of(fault: &Fault) -> Failure {
    match fault {
        Fault::ConnectRefused | Fault::ConnectFailed(_) | Fault::ConnectTimeout => Failure::NotSent,
        Fault::ReusedClosed => Failure::ReusedClosed,
        Fault::ClosedBeforeResponse => Failure::ClosedBeforeResponse,
        Fault::ResponseTimeout => Failure::ResponseTimeout,
        _ => Failure::MidResponse,
    }
}

/// Runs `leave` when dropped.
fn scopeguard(leave: impl FnMut()) -> impl Drop {
    struct Guard<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(leave)
}
