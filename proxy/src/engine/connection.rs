//! A client's connection, from its first byte to its last.
//!
//! Between two requests it holds no buffer: it waits on the worker's scratch area, which costs nothing. With the first
//! byte it gets a pad, and as soon as a head is whole the request goes its way ([`exchange`](super::exchange)). Two
//! limits hold here: how long a connection may be silent, and how long a head may take once it has begun (slow
//! heads are the oldest way to exhaust a server).

use std::{
    future::poll_fn,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use net::{Net, Timer};
use policy::Instant;

use super::{
    channel::Channel,
    exchange::{self, After},
    fault::Fault,
    forward::Peer,
    worker::{Open, Pad, Setup, Worker},
};

/// How much a client may send ahead while its request is being served.
const AHEAD: usize = 64 << 10;

/// How long, and for how many bytes, a connection is read on after its last response, so that the client can
/// read that response before it sees a reset (RFC 9112, section 9.6).
const LINGER: (Duration, usize) = (Duration::from_secs(2), 1 << 20);

/// A client and its connection.
pub(crate) struct Client<N: Net> {
    pub(crate) channel: Channel<N::Stream>,
    pub(crate) timer: Timer,
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    open: Open<N>,
}

/// What came of waiting for a request.
enum Next {
    /// Its head is in the pad.
    Request(Box<Pad>),
    /// It is refused.
    Refused(Box<Pad>, Fault),
    /// The connection has ended, or was silent for too long.
    Closed,
}

/// Serves a client until its connection ends.
pub(crate) async fn serve<N: Net>(
    worker: Rc<Worker<N>>,
    open: Open<N>,
    stream: N::Stream,
    address: SocketAddr,
) {
    let mut client = Client {
        channel: Channel::new(stream),
        timer: Timer::new(worker.clock),
        peer: worker.setup().signature.peer(address),
        address,
        open,
    };
    let mut silence = worker.setup().config.timeouts.request_head.0;
    loop {
        let (pad, after) = match client.next_request(&worker, silence).await {
            Next::Closed => break,
            Next::Request(mut pad) => {
                let after = exchange::exchange(&worker, &mut client, &mut pad).await;
                (pad, after)
            }
            Next::Refused(mut pad, fault) => {
                Box::pin(exchange::refuse_head(&worker, &mut client, &mut pad, fault)).await;
                (pad, After::Linger)
            }
        };
        worker.give_pad(pad);
        match after {
            After::KeepAlive => silence = worker.setup().config.timeouts.keep_alive.0,
            After::Close => break,
            After::Linger => return Box::pin(client.linger(&worker)).await,
            After::Reset => return client.channel.reset(),
        }
    }
    Box::pin(client.close(&worker)).await;
}

impl<N: Net> Client<N> {
    /// Waits for a request's head.
    async fn next_request(&mut self, worker: &Rc<Worker<N>>, silence: Duration) -> Next {
        let setup = worker.setup();
        let mut pad = None;
        let mut deadline = worker.clock.now() + silence;
        poll_fn(|cx| self.poll_next(cx, worker, &setup, &mut pad, &mut deadline)).await
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker<N>,
        setup: &Setup<N::Stream>,
        begun: &mut Option<Box<Pad>>,
        deadline: &mut Instant,
    ) -> Poll<Next> {
        let scratch = &mut *worker.scratch.borrow_mut();
        let mut fresh = !self.channel.ahead().is_empty() && begun.is_none();
        loop {
            if !fresh {
                let count = match self.channel.poll_read(cx, scratch) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Next::Closed),
                    Poll::Ready(Ok(count)) => count,
                    Poll::Pending => return self.poll_wait(cx, worker, begun, *deadline),
                };
                if begun.is_none() {
                    self.channel.equip(&worker.buffers);
                }
                // A head that is whole is parsed where it lies; only what follows it is copied.
                if self.channel.ahead().is_empty() {
                    let mut pad = begin(begun, worker, setup, deadline);
                    match pad.request.parse(&scratch[..count], &setup.limits) {
                        Ok(Some(used)) => {
                            if used < count {
                                self.channel.stash(&scratch[used..count]);
                            }
                            return Poll::Ready(Next::Request(pad));
                        }
                        Ok(None) => self.channel.stash(&scratch[..count]),
                        Err(error) => {
                            return Poll::Ready(Next::Refused(pad, Fault::BadRequest(error)));
                        }
                    }
                    *begun = Some(pad);
                    continue;
                }
                self.channel.stash(&scratch[..count]);
            }
            fresh = false;
            let mut pad = begin(begun, worker, setup, deadline);
            match pad.request.parse(self.channel.ahead(), &setup.limits) {
                Ok(Some(used)) => {
                    self.channel.consume(used);
                    return Poll::Ready(Next::Request(pad));
                }
                Ok(None) => *begun = Some(pad),
                Err(error) => return Poll::Ready(Next::Refused(pad, Fault::BadRequest(error))),
            }
        }
    }

    /// Nothing to read: whether it is time to give up.
    fn poll_wait(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker<N>,
        begun: &mut Option<Box<Pad>>,
        deadline: Instant,
    ) -> Poll<Next> {
        if begun.is_none() {
            if worker.draining.get() {
                return Poll::Ready(Next::Closed);
            }
            self.channel.strip(&worker.buffers);
            self.open.note_idle(cx.waker());
        }
        if self.timer.poll_at(cx, deadline).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(match begun.take() {
            None => Next::Closed,
            Some(pad) => Next::Refused(pad, Fault::HeadTimeout),
        })
    }

    /// Whether the client went away while its request, which was read whole, is being served. What it sends ahead
    /// (pipelining) is kept, up to a bound.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<()> {
        while self.channel.ahead().len() < AHEAD {
            match self.channel.poll_read(cx, scratch) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(count)) => self.channel.stash(&scratch[..count]),
            }
        }
        Poll::Pending
    }

    /// Ends the connection in order.
    async fn close(&mut self, worker: &Worker<N>) {
        let deadline = worker.clock.now() + LINGER.0;
        poll_fn(|cx| {
            if self.timer.poll_at(cx, deadline).is_ready() {
                return Poll::Ready(());
            }
            if self.channel.poll_flush(cx).is_pending() {
                return Poll::Pending;
            }
            self.channel.poll_shutdown(cx).map(|_| ())
        })
        .await;
    }

    /// Ends the connection after a response that the client may not have read yet, while it still sends.
    async fn linger(&mut self, worker: &Worker<N>) {
        let (time, most) = LINGER;
        let deadline = worker.clock.now() + time;
        let mut left = most;
        let mut shut = false;
        poll_fn(|cx| {
            if self.timer.poll_at(cx, deadline).is_ready() {
                return Poll::Ready(());
            }
            if !shut {
                if self.channel.poll_flush(cx).is_pending()
                    || self.channel.poll_shutdown(cx).is_pending()
                {
                    return Poll::Pending;
                }
                shut = true;
            }
            let scratch = &mut *worker.scratch.borrow_mut();
            loop {
                match self.channel.poll_read(cx, scratch) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(count)) if count > 0 && count <= left => left -= count,
                    Poll::Ready(_) => return Poll::Ready(()),
                }
            }
        })
        .await;
    }
}

/// The pad of the request that begins with these bytes, whose head's time begins with them.
fn begin<N: Net>(
    begun: &mut Option<Box<Pad>>,
    worker: &Worker<N>,
    setup: &Setup<N::Stream>,
    deadline: &mut Instant,
) -> Box<Pad> {
    begun.take().unwrap_or_else(|| {
        *deadline = worker.clock.now() + setup.config.timeouts.request_head.0;
        worker.take_pad(&setup.limits)
    })
}

#[cfg(test)]
mod tests {
    use net::Real;
    use tokio::net::TcpStream;

    use super::*;

    /// What an idle connection holds is its task. Rare paths are boxed to keep it small: who makes it grow
    /// should know.
    #[test]
    fn the_task_of_a_connection_is_small() {
        type Serve<F> = fn(Rc<Worker<Real>>, Open<Real>, TcpStream, SocketAddr) -> F;
        fn size<F>(_: Serve<F>) -> usize {
            size_of::<F>()
        }
        // 1104 as the `proxy` program is built. Beside turmoil, which switches on all that tokio has, a timer is larger.
        let size = size(serve::<Real>);
        assert!(size <= 1152, "{size} bytes");
    }
}
