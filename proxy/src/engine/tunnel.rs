//! A connection after its upgrade: bytes both ways, whatever they mean.
//!
//! After a `101 Switching Protocols` (RFC 9110, section 15.2.2) HTTP is over and what follows is another protocol,
//! WebSocket for example. Each side may end its half by itself; the tunnel ends when both have, when either breaks, or
//! when nothing has passed for the stream's idle limit.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use http1::Framing;
use net::{Net, Stream};

use super::{
    channel::Channel,
    connection::Client,
    fault::Fault,
    pool::Connection,
    relay::{Aside, Encoding, Relay},
    worker::{Pad, Worker},
};

/// One direction of a tunnel.
struct Way<'a> {
    relay: &'a mut Relay,
    ended: bool,
}

impl Way<'_> {
    /// Ready with whether this direction has ended in order.
    fn poll<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Channel<S>,
        to: &mut Channel<S>,
        scratch: &mut [u8],
    ) -> Poll<bool> {
        if self.ended {
            return Poll::Ready(true);
        }
        match self.relay.poll(cx, from, to, scratch, Aside::Nobody) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(false),
            Poll::Ready(Ok(())) => to.poll_shutdown(cx).map(|done| {
                self.ended = done.is_ok();
                self.ended
            }),
        }
    }
}

/// Carries bytes both ways until the tunnel ends.
pub(crate) async fn tunnel<N: Net>(
    worker: &Worker<N>,
    client: &mut Client<N>,
    pad: &mut Pad,
    endpoint: &mut Connection<N::Stream>,
) -> Result<(), Fault> {
    let idle = worker.setup().config.timeouts.stream_idle.0;
    pad.upload.reset(Framing::UntilClose, Encoding::Verbatim);
    pad.download.reset(Framing::UntilClose, Encoding::Verbatim);
    let mut up = Way { relay: &mut pad.upload, ended: false };
    let mut down = Way { relay: &mut pad.download, ended: false };
    let mut passed = None;
    let mut deadline = worker.clock.now() + idle;
    poll_fn(|cx| {
        let scratch = &mut *worker.scratch.borrow_mut();
        let upward = up.poll(cx, &mut client.channel, &mut endpoint.channel, scratch);
        let downward = down.poll(cx, &mut endpoint.channel, &mut client.channel, scratch);
        match (upward, downward) {
            (Poll::Ready(true), Poll::Ready(true)) => return Poll::Ready(Ok(())),
            (Poll::Ready(false), _) => return Poll::Ready(Err(Fault::ClientGone)),
            (_, Poll::Ready(false)) => return Poll::Ready(Err(Fault::ClosedMidResponse)),
            _ => {}
        }
        let now_passed = Some(up.relay.bytes() + down.relay.bytes());
        if now_passed != passed {
            passed = now_passed;
            deadline = worker.clock.now() + idle;
        }
        client.timer.poll_at(cx, deadline).map(|()| Err(Fault::ResponseStalled))
    })
    .await
}
