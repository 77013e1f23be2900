//! The path of one request, top to bottom.
//!
//! ```text
//! route → (stages) → balance → connect or reuse → send → (wait for the head | retry) → deliver → give back → log + count
//! ```
//!
//! The stages are what a service may have besides: filters, limits, a cache, compression. They decide at two places, before a
//! request turns to the endpoints ([`Exchange::pass_stages`]) and when the head of the response is there ([`Exchange::shape`]).
//!
//! The connection to the endpoint is polled in the task of its client's connection: no channel and no wake-up
//! lies between the two, dropping one drops the other, and back-pressure comes by itself. Each phase is a poll
//! function over both connections at once, so that a body may still go up while its response comes down.

use std::{
    future::poll_fn,
    ops::ControlFlow,
    rc::Rc,
    task::{Context, Poll},
};

use http1::{Framing, Method, RequestHead, Version};
use net::Net;
use policy::{Instant, endpoint::Outcome, retry::Idempotence};

use super::{
    cache::{Cache, Settled},
    connection::Client,
    fault::{Fault, Side},
    forward::{Persistence, ResponseWay},
    heads::RequestFields,
    pool::Connection,
    reach::idempotence,
    relay::{Aside, Broken, Encoding},
    service::Service,
    sessions, tunnel,
    upstream::Lease,
    witness::Fact,
    worker::{Pad, Setup, Worker},
};

/// What becomes of the client's connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It waits for the next request.
    KeepAlive,
    /// It ends.
    Close,
    /// It ends, but the client may still be sending.
    Linger,
    /// It is cut, because a message broke off that cannot be ended otherwise.
    Reset,
}

/// Serves the request whose head is in the pad.
pub(crate) async fn exchange<N: Net>(
    worker: &Rc<Worker<N>>,
    client: &mut Client<N>,
    pad: &mut Pad,
) -> After {
    let setup = worker.setup();
    let framing = pad.request.framing();
    let encoding = match framing {
        Framing::Chunked => Encoding::Chunked,
        _ => Encoding::Verbatim,
    };
    pad.upload.reset(framing, encoding);
    pad.download.note_own(0);
    let idempotent = idempotence(pad.request.method()) == Idempotence::Idempotent;
    pad.replay.reset(if idempotent { setup.config.limits.replay.0 as usize } else { 0 });
    client.channel.equip(&worker.buffers);
    if let Some(redirector) = &setup.redirector
        && pad.request.path() == policy::token::report::PATH.as_bytes()
    {
        return Box::pin(sessions::take_reports(worker, &setup, redirector, client, pad)).await;
    }
    let service = setup.services.of(&pad.request, &client.peer, &setup.signature);
    let mut exchange = Exchange::new(worker, &setup, service, client, pad);
    let result = exchange.serve().await;
    exchange.conclude(result).await
}

/// Answers a request whose head was refused.
pub(crate) async fn refuse_head<N: Net>(
    worker: &Rc<Worker<N>>,
    client: &mut Client<N>,
    pad: &mut Pad,
    fault: Fault,
) {
    let setup = worker.setup();
    pad.upload.reset(Framing::Empty, Encoding::Verbatim);
    if matches!(fault, Fault::HeadTimeout) {
        // It is not known yet, and what the pad still knows is the method of the request before.
        pad.request = RequestHead::new();
    }
    let mut exchange = Exchange::new(worker, &setup, setup.services.own(), client, pad);
    exchange.conclude(Err(fault)).await;
}

/// How far sending a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// It goes on.
    UnderWay,
    /// All of it was sent.
    Done,
    /// The endpoint takes no more; it may have answered nevertheless.
    Stuck,
}

/// An endpoint that has answered: the head of its response is in the pad.
pub(super) type Reached<S> = (Connection<S>, Lease<S>);

/// Over which connections a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Any, one that was used before at first.
    Any,
    /// A new one: the last was used before and died of it, and that must not happen again and again.
    Fresh,
}

/// A request being served.
pub(super) struct Exchange<'a, N: Net> {
    pub(super) worker: &'a Rc<Worker<N>>,
    pub(super) setup: &'a Rc<Setup<N::Stream>>,
    /// What its route leads to.
    pub(super) service: &'a Service<N::Stream>,
    pub(super) client: &'a mut Client<N>,
    pub(super) pad: &'a mut Pad,
    pub(super) begun: Instant,
    /// The endpoint that was tried last.
    pub(super) endpoint: Option<u32>,
    /// The status that the client was told, once it was told one.
    pub(super) status: Option<u16>,
    pub(super) retries: u32,
    /// How often it turned to an endpoint in vain, and how often its bytes went out.
    pub(super) failed: u16,
    pub(super) sent: u16,
    /// The client was told to send its body.
    pub(super) continued: bool,
    pub(super) over: Over,
    /// How far sending has come, in the present try.
    pub(super) sending: Sending,
    /// When the present phase has lasted too long.
    pub(super) deadline: Instant,
    /// How much had passed when the deadline was set.
    pub(super) progress: u64,
}

impl<'a, N: Net> Exchange<'a, N> {
    pub(super) fn new(
        worker: &'a Rc<Worker<N>>,
        setup: &'a Rc<Setup<N::Stream>>,
        service: &'a Service<N::Stream>,
        client: &'a mut Client<N>,
        pad: &'a mut Pad,
    ) -> Self {
        Self {
            begun: worker.clock.now(),
            worker,
            setup,
            service,
            client,
            pad,
            endpoint: None,
            status: None,
            retries: 0,
            failed: 0,
            sent: 0,
            continued: false,
            over: Over::Any,
            sending: Sending::UnderWay,
            deadline: Instant::NEVER,
            progress: 0,
        }
    }

    async fn serve(&mut self) -> Result<After, Fault> {
        if matches!(self.pad.request.method(), Method::Connect | Method::Trace) {
            return Err(Fault::MethodRefused);
        }
        if self.setup.config.tracing.is_on() {
            self.name();
        }
        if let Some(stages) = &self.service.stages
            && let Some(after) = self.pass_stages(stages).await?
        {
            return Ok(after);
        }
        if self.service.upstream.config.limits.body.is_some() {
            self.limit_body()?;
        }
        self.service.upstream.see(|| Fact::Asked);
        self.service.upstream.budget.borrow_mut().on_request(self.begun);
        let setup = self.setup;
        if let Some(redirector) = &setup.redirector {
            return Box::pin(self.redirect(redirector)).await;
        }
        let (mut connection, lease) = match &self.service.stages {
            None => self.reach().await?,
            // Boxed, so that the task of a connection is no larger for what few services have.
            Some(stages) => match Box::pin(self.ask(stages.cache.as_ref())).await? {
                ControlFlow::Continue(reached) => reached,
                ControlFlow::Break(after) => return Ok(after),
            },
        };
        if self.pad.response.status() == 101 {
            return Box::pin(self.upgrade(connection, lease)).await;
        }
        if let Some(stages) = &self.service.stages {
            self.shape(stages);
        }
        let after = self.deliver(&mut connection).await;
        if self.leaves_some(&after) {
            return Box::pin(self.carry_on((connection, lease), after)).await;
        }
        let now = self.worker.clock.now();
        let outcome = match &after {
            Ok(_) => self.outcome_of_answer(),
            Err(fault) => outcome_of_fault(fault),
        };
        lease.finish(outcome, now);
        if after.is_ok() && self.is_reusable(&connection) {
            self.service.upstream.pool.give(connection, now, &self.worker.buffers);
        }
        after
    }

    /// The endpoint changes to another protocol, as the client has asked. It takes what it needs with it: what `serve` held until two different ends
    /// would have a place of its own in the task of each connection.
    async fn upgrade(
        &mut self,
        mut connection: Connection<N::Stream>,
        lease: Lease<N::Stream>,
    ) -> Result<After, Fault> {
        self.deliver_head(Encoding::Verbatim, Persistence::Keep);
        self.worker.stats.upgrades.add(1);
        let ended = tunnel::tunnel(self.worker, self.client, self.pad, &mut connection).await;
        lease.finish(Outcome::Success, self.worker.clock.now());
        ended.map(|()| After::Close)
    }

    /// Asks the endpoints, within the upstream's limit; their answer, or what the client has got instead of it.
    async fn ask(
        &mut self,
        cache: Option<&Cache>,
    ) -> Result<ControlFlow<After, Reached<N::Stream>>, Fault> {
        loop {
            let reached = match self.enter() {
                Ok(()) => self.reach().await,
                Err(fault) => Err(fault),
            };
            self.leave(&reached);
            let Some(cache) = cache else { return reached.map(ControlFlow::Continue) };
            match self.settle(cache, reached)? {
                Settled::Deliver(reached) => return Ok(ControlFlow::Continue(reached)),
                Settled::Serve(stored) => {
                    return self.serve_stored(&stored).await.map(ControlFlow::Break);
                }
                Settled::Again => {}
            }
        }
    }

    /// Gives the request its names, for whoever is behind us and for the log.
    fn name(&mut self) {
        let Self { worker, setup, client, pad, .. } = self;
        let Pad { request, names, onward, back, .. } = &mut **pad;
        let rng = &mut worker.naming.borrow_mut();
        let fields = RequestFields(request);
        setup.config.tracing.name(&fields, client.peer.trust(), rng, names, (onward, back));
    }

    /// What the status of its answer says of the endpoint.
    pub(super) fn outcome_of_answer(&self) -> Outcome {
        let status = self.pad.response.status();
        let failure = self.service.upstream.config.outlier.is_failure(status);
        if failure { Outcome::Failure } else { Outcome::Success }
    }

    /// Sends the response to the client, and the rest of the request to the endpoint meanwhile.
    async fn deliver(&mut self, connection: &mut Connection<N::Stream>) -> Result<After, Fault> {
        let version = self.pad.request.version();
        let framing = self.pad.response.framing(self.pad.request.method());
        let transformed = self.pad.shape.as_ref().is_some_and(|shape| shape.transforms());
        let (encoding, ends) = match (framing, version) {
            (Framing::Empty, _) => (Encoding::Verbatim, false),
            // How long something else in its place will be nobody knows yet.
            (Framing::Length(_), _) if !transformed => (Encoding::Verbatim, false),
            (_, Version::Http11) => (Encoding::Chunked, false),
            (_, Version::Http10) => (Encoding::Verbatim, true),
        };
        let keep = self.pad.request.keep_alive()
            && !ends
            && self.pad.upload.is_received()
            && !self.worker.draining.get();
        self.deliver_head(encoding, Persistence::of(version, keep));
        self.pad.download.reset(framing, encoding);
        self.progress = u64::MAX;
        poll_fn(|cx| self.poll_deliver(cx, connection)).await?;
        // A client that would have gone on may have sent its next request already: closed at once, its connection would be
        // reset by it, and the response with it.
        let more = self.pad.request.keep_alive() || !self.pad.upload.is_received();
        Ok(match (keep, more) {
            (true, _) => After::KeepAlive,
            (false, true) => After::Linger,
            (false, false) => After::Close,
        })
    }

    fn deliver_head(&mut self, encoding: Encoding, persistence: Persistence) {
        let Self { worker, setup, service, client, pad, .. } = self;
        let binds = self.endpoint.and_then(|index| service.upstream.binding(index));
        // Who is bound to it already need not be told.
        let binds = binds.filter(|(sticky, token)| {
            setup.signature.key(sticky.key(), &pad.request, &client.peer) != Some(token.key)
        });
        worker.with_date(|date| {
            let hides_load = service.upstream.hides_load();
            let edits = &pad.back;
            let way = ResponseWay { encoding, persistence, date, hides_load, binds, edits };
            setup.signature.response(client.channel.out(), &pad.response, &way);
        });
        self.status = Some(self.pad.response.status());
    }

    /// Ready when the client has all of it, or when it is better given the rest with others ([`carry_on`](Self::carry_on)).
    fn poll_deliver(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection<N::Stream>,
    ) -> Poll<Result<(), Fault>> {
        let worker = self.worker;
        let scratch = &mut *worker.scratch.borrow_mut();
        let (client, endpoint) = (&mut self.client.channel, &mut connection.channel);
        let Pad { download, shape, .. } = &mut *self.pad;
        let aside = shape.as_deref_mut().map_or(Aside::Nobody, Aside::Shape);
        match download.poll(cx, endpoint, client, scratch, aside) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(Broken::Receiver)) => return Poll::Ready(Err(Fault::ClientGone)),
            Poll::Ready(Err(Broken::Sender | Broken::TooLarge)) => {
                return Poll::Ready(Err(Fault::ClosedMidResponse));
            }
            Poll::Ready(Err(Broken::Framing(error))) => {
                return Poll::Ready(Err(Fault::BadResponse(error)));
            }
            Poll::Pending => {}
        }
        if self.sending == Sending::UnderWay {
            match self.pad.upload.poll(cx, client, endpoint, scratch, Aside::Nobody) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.sending = Sending::Done,
                Poll::Ready(Err(Broken::Sender)) => return Poll::Ready(Err(Fault::ClientGone)),
                // The response that is under way counts, whatever became of the rest of the request.
                Poll::Ready(Err(_)) => self.sending = Sending::Stuck,
            }
        }
        if self.pad.shape.is_some() && self.holds_others_up(cx) {
            return Poll::Ready(Ok(()));
        }
        if self.pad.upload.is_received() && self.client.poll_gone(cx, scratch).is_ready() {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        self.move_deadline(connection);
        self.client.timer.poll_at(cx, self.deadline).map(|()| {
            let stalled = self.client.channel.waiting() > 0;
            Err(if stalled { Fault::ClientStalled } else { Fault::ResponseStalled })
        })
    }

    /// A body may pause for so long: the deadline moves with each byte that goes through.
    pub(super) fn move_deadline(&mut self, connection: &Connection<N::Stream>) {
        let waiting = connection.channel.waiting() + self.client.channel.waiting();
        let passed = self.pad.upload.bytes() + self.pad.download.bytes();
        let progress = passed.wrapping_mul(1 << 20).wrapping_add(waiting as u64);
        if progress != self.progress {
            self.progress = progress;
            let timeouts = &self.service.upstream.config.timeouts;
            let waits = self.awaits_continue();
            let limit = if waits { timeouts.response_head } else { timeouts.stream_idle };
            self.deadline = self.worker.clock.now() + limit.0;
        }
    }

    /// Whether the client holds its body back until it is told that it is wanted (RFC 9110, section 10.1.1).
    pub(super) fn awaits_continue(&self) -> bool {
        let unanswered = self.status.is_none() && !self.continued;
        unanswered && self.pad.request.expects_continue() && self.pad.upload.bytes() == 0
    }

    /// Whether the connection can serve another request.
    pub(super) fn is_reusable(&self, connection: &Connection<N::Stream>) -> bool {
        self.sending == Sending::Done
            && self.pad.response.keep_alive()
            && self.pad.response.framing(self.pad.request.method()) != Framing::UntilClose
            && connection.channel.is_clean()
    }
}

/// What the fault says of the endpoint: nothing, unless it is the endpoint's.
pub(super) fn outcome_of_fault(fault: &Fault) -> Outcome {
    match fault.side() {
        // A connection that was closed while idle is no failure: every keep-alive ends some time.
        Side::Upstream if !matches!(fault, Fault::ReusedClosed) => Outcome::Failure,
        _ => Outcome::Cancelled,
    }
}
