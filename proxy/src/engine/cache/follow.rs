//! A response goes to a client while it is being stored for another.
//!
//! The client gets the head that a hit would give it, and the content as it comes, at its own pace: it reads from the [`Fill`](super::fill::Fill) what it
//! can take, and nobody waits for it. Where the response breaks off, so does this one, by the end of the connection: what says how long it is, or comes in
//! chunks, cannot be taken for the whole then.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use http1::{Framing, Version};
use net::Net;

use super::{
    super::{
        compress::Encoder,
        exchange::{After, Exchange},
        fault::Fault,
        relay::{Aside, Encoding},
        worker::Pad,
    },
    fill::{Fill, Follower, Read},
    serve::{Framed, Serving},
};

/// So much goes to a client at once.
const PIECE: usize = 64 << 10;

/// A response that is on its way.
#[derive(Debug)]
pub(super) struct Coming {
    /// Its head.
    pub(super) serving: Serving,
    pub(super) follower: Follower,
}

impl<N: Net> Exchange<'_, N> {
    /// Answers with a response that is on its way.
    pub(super) async fn serve_coming(&mut self, coming: Coming) -> Result<After, Fault> {
        let Coming { serving, follower } = coming;
        let length = follower.fill().length;
        let plan = self.shape_stored(&serving.object, serving.object.status());
        let framed = match (length.filter(|_| plan.is_none()), self.pad.request.version()) {
            (Some(length), _) => Framed::Length(length),
            (None, Version::Http10) => Framed::Close,
            (None, Version::Http11) => Framed::Chunked,
        };
        let (_, after) = self.write_stored(&serving, framed);
        let encoding =
            if framed == Framed::Chunked { Encoding::Chunked } else { Encoding::Verbatim };
        self.pad.download.reset(Framing::Empty, encoding);
        if let Some(plan) = plan {
            let encoder = Encoder::new(plan, length, Arc::clone(&self.worker.stats));
            let encoder = encoder.map_err(|_| Fault::ClosedMidResponse)?;
            self.pad.shape.get_or_insert_default().encoder = Some(encoder);
        }
        let followed = self.follow(follower).await;
        self.worker.stats.cache.bytes.add(self.pad.download.sent());
        followed.map(|()| after)
    }

    /// Gives the client what comes behind that which it has.
    pub(super) async fn follow(&mut self, follower: Follower) -> Result<(), Fault> {
        let fill = follower.fill();
        let mut changed = pin!(fill.changed());
        self.progress = u64::MAX;
        poll_fn(|cx| {
            // Made before the look: what comes after that look rings it.
            while changed.as_mut().poll(cx).is_ready() {
                changed.set(fill.changed());
            }
            self.poll_follow(cx, fill)
        })
        .await
    }

    fn poll_follow(&mut self, cx: &mut Context<'_>, fill: &Fill) -> Poll<Result<(), Fault>> {
        let worker = self.worker;
        let scratch = &mut *worker.scratch.borrow_mut();
        let Pad { download, shape, .. } = &mut *self.pad;
        let channel = &mut self.client.channel;
        let mut aside = shape.as_deref_mut().map_or(Aside::Nobody, Aside::Shape);
        loop {
            match channel.poll_flush(cx) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::ClientGone)),
                Poll::Ready(Ok(())) => {}
            }
            let sent = match fill.read(download.bytes(), scratch) {
                Read::Copied(count) => download.give(cx, &scratch[..count], channel, &mut aside),
                Read::Block(block) => {
                    let piece = &block[..block.len().min(PIECE)];
                    download.give(cx, piece, channel, &mut aside)
                }
                Read::Nothing => {
                    let paused = download.pause(cx, channel, &mut aside);
                    if channel.waiting() == 0 && paused.is_ok() {
                        break;
                    }
                    paused
                }
                Read::End => {
                    let ended = download.end(cx, channel, &mut aside);
                    if channel.waiting() == 0 && ended.is_ok() {
                        return Poll::Ready(Ok(()));
                    }
                    ended
                }
                Read::Broken => return Poll::Ready(Err(Fault::ClosedMidResponse)),
                Read::Lost => return Poll::Ready(Err(Fault::ClientStalled)),
            };
            if sent.is_err() {
                return Poll::Ready(Err(Fault::ClientGone));
            }
        }
        if self.pad.upload.is_received() && self.client.poll_gone(cx, scratch).is_ready() {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        let waiting = self.client.channel.waiting() as u64;
        let progress = self.pad.download.bytes().wrapping_mul(1 << 20).wrapping_add(waiting);
        if progress != self.progress {
            self.progress = progress;
            self.deadline =
                worker.clock.now() + self.service.upstream.config.timeouts.stream_idle.0;
        }
        self.client
            .timer
            .poll_at(cx, self.deadline)
            .map(|()| Err(if waiting > 0 { Fault::ClientStalled } else { Fault::ResponseStalled }))
    }
}
