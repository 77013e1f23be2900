//! A response is fetched on although its own client does not take it.
//!
//! The body that many follow passes through the task of one client, the lead's. Were it to end with that client, all would lose it; were it to go at that client's pace,
//! one slow client would slow all. So where that client leaves, or does not take at once what is there, and others follow, the endpoint's
//! connection moves into a task of its own, and the client, if it is there still, becomes a follower as all others are.
//!
//! This task reads as fast as the endpoint sends, because what comes is kept. Where it has become too large for that it reads no further ahead than half a
//! window before the foremost follower. When nobody follows any more it ends, and the endpoint sees that at once.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

use http1::Framing;
use net::{Net, Timer};
use policy::{Instant, endpoint::Outcome};
use tokio::task::spawn_local;

use super::{
    super::{
        exchange::{After, Exchange, Reached, Sending},
        fault::Fault,
        relay::{Broken, Relay},
        upstream::Upstream,
        worker::Worker,
    },
    fill::Audience,
    record::Recorder,
};

/// So much is read before the next look at who follows.
const STEP: u64 = 64 << 10;

/// A body that is fetched for those who follow it.
struct Carrier<N: Net> {
    worker: Rc<Worker<N>>,
    upstream: Rc<Upstream<N::Stream>>,
    reached: Reached<N::Stream>,
    relay: Relay,
    recorder: Recorder,
    /// What the head says of the endpoint.
    outcome: Outcome,
    /// Whether the connection may be used again after this response.
    persists: bool,
    /// When the endpoint has paused too long, and how much had come when that was set.
    deadline: Instant,
    seen: u64,
}

impl<N: Net> Exchange<'_, N> {
    /// Whether what goes to the client is better given to it as to those who follow: they would wait for it.
    pub(crate) fn holds_others_up(&self, cx: &Context<'_>) -> bool {
        let recorder = self.pad.shape.as_deref().and_then(|shape| shape.record.as_ref());
        let recorder = recorder.filter(|recorder| recorder.lead.is_some());
        // Looked at in any case: who begins to follow wakes this task.
        let audience = recorder.map_or(Audience::Nobody, |recorder| recorder.audience(cx));
        let stuck = self.sending == Sending::Done && self.client.channel.waiting() > 0;
        stuck && audience == Audience::Kept
    }

    /// Whether something is to be fetched on, now that the client has had the body in this way.
    pub(crate) fn leaves_some(&self, after: &Result<After, Fault>) -> bool {
        let recorder = self.pad.shape.as_deref().and_then(|shape| shape.record.as_ref());
        recorder.is_some_and(|recorder| match after {
            // It is not complete: the client is to follow it.
            Ok(_) => true,
            Err(Fault::ClientGone | Fault::ClientStalled) => {
                self.sending == Sending::Done && recorder.is_followed()
            }
            Err(_) => false,
        })
    }

    /// Fetches on what is left, behind the client's back, and gives it to the client as to all others if it is there still.
    pub(crate) async fn carry_on(
        &mut self,
        reached: Reached<N::Stream>,
        after: Result<After, Fault>,
    ) -> Result<After, Fault> {
        let record = self.pad.shape.as_deref_mut().and_then(|shape| shape.record.take());
        let Some(recorder) = record else { return after };
        let follower = after.is_ok().then(|| recorder.join());
        let response = &self.pad.response;
        let framing = response.framing(self.pad.request.method());
        let carrier = Carrier {
            worker: Rc::clone(self.worker),
            upstream: Rc::clone(&self.service.upstream),
            reached,
            recorder,
            outcome: self.outcome_of_answer(),
            persists: response.keep_alive() && framing != Framing::UntilClose,
            relay: self.pad.download.hand_over(&self.setup.limits),
            deadline: Instant::NEVER,
            seen: u64::MAX,
        };
        spawn_local(carrier.run());
        if let Some(follower) = follower {
            self.follow(follower).await?;
        }
        after
    }
}

impl<N: Net> Carrier<N> {
    async fn run(mut self) {
        let mut timer = Timer::new(self.worker.clock);
        let outcome = poll_fn(|cx| match self.poll(cx) {
            Poll::Pending => timer.poll_at(cx, self.deadline).map(|()| Outcome::Failure),
            ready @ Poll::Ready(_) => ready,
        })
        .await;
        let Self { worker, upstream, reached, recorder, relay, persists, .. } = self;
        let (connection, lease) = reached;
        let now = worker.clock.now();
        let complete = relay.is_received();
        if complete {
            recorder.finish();
        }
        lease.finish(outcome, now);
        if complete && persists && connection.channel.is_clean() {
            upstream.pool.give(connection, now, &worker.buffers);
        }
    }

    /// Reads as long as somebody wants it; how it ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let scratch = &mut *self.worker.scratch.borrow_mut();
        let channel = &mut self.reached.0.channel;
        loop {
            match self.recorder.audience(cx) {
                Audience::Nobody => return Poll::Ready(Outcome::Cancelled),
                // It is not the endpoint that pauses.
                Audience::Fed => {
                    (self.deadline, self.seen) = (Instant::NEVER, u64::MAX);
                    return Poll::Pending;
                }
                Audience::Kept | Audience::Hungry => {}
            }
            let most = self.relay.bytes() + STEP;
            let keep = |piece: &[u8]| self.recorder.content(piece);
            match self.relay.poll_gather(cx, channel, scratch, most, keep) {
                Poll::Pending => {
                    if self.relay.bytes() != self.seen {
                        self.seen = self.relay.bytes();
                        let idle = self.upstream.config.timeouts.stream_idle.0;
                        self.deadline = self.worker.clock.now() + idle;
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Ok(false)) => {}
                Poll::Ready(Ok(true)) => return Poll::Ready(self.outcome),
                Poll::Ready(Err(Broken::Receiver | Broken::TooLarge)) => {
                    return Poll::Ready(Outcome::Cancelled);
                }
                Poll::Ready(Err(Broken::Sender | Broken::Framing(_))) => {
                    return Poll::Ready(Outcome::Failure);
                }
            }
        }
    }
}
