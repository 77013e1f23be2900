//! Streams and listeners: turmoil's, with a window in bytes, resets, and a backlog that refuses nobody before it is full.
//!
//! turmoil completes a dial when the connection is accepted, a kernel when its packet arrives. So a listener accepts at
//! once, and keeps what the program has not accepted yet.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    task::{JoinHandle, spawn_local},
};
use turmoil::net::{TcpListener, TcpStream};

use super::{
    Wire,
    flow::{Flow, wait},
    state::{Key, Listening},
    wire::What,
};
use crate::{Listener, Stream};

/// Messages are at most so long: what a network card takes from its kernel at once.
const LONGEST_MESSAGE: usize = 16 * 1024;

/// Which end of which connection a stream is.
pub(super) struct End {
    pub(super) key: Key,
    pub(super) flow: Rc<Flow>,
    pub(super) side: usize,
    pub(super) host: usize,
}

impl End {
    fn own(&self) -> &super::flow::End {
        &self.flow.0[self.side]
    }

    fn other(&self) -> &super::flow::End {
        &self.flow.0[1 - self.side]
    }
}

/// One end of a connection. Dropping it closes it as a socket is closed: in good order, or by a reset when something
/// was left unread.
pub struct TurmoilStream {
    inner: TcpStream,
    wire: Rc<Wire>,
    /// None on a host's loopback, where nothing goes wrong.
    end: Option<End>,
    shut: bool,
}

impl fmt::Debug for TurmoilStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurmoilStream").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl TurmoilStream {
    pub(super) fn new(wire: &Rc<Wire>, inner: TcpStream, end: Option<End>) -> Self {
        Self { inner, wire: Rc::clone(wire), end, shut: false }
    }

    /// How much may be written now.
    fn room(&self, cx: &Context<'_>) -> usize {
        let Some(end) = &self.end else { return LONGEST_MESSAGE };
        let room = self.wire.window.saturating_sub(end.own().unread.get());
        if room == 0 {
            wait(&end.own().writer, cx);
        }
        room.min(LONGEST_MESSAGE)
    }
}

impl AsyncRead for TurmoilStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.inner).poll_read(cx, buf);
        let Some(end) = &self.end else { return poll };
        let count = buf.filled().len() - before;
        match poll {
            Poll::Ready(Ok(())) if count > 0 => {
                let unread = &end.other().unread;
                unread.set(unread.get().saturating_sub(count));
                if let Some(writer) = end.other().writer.borrow_mut().take() {
                    writer.wake();
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) if end.other().reset.get() => {
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Poll::Pending if end.own().broken.get() => {
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Poll::Pending => {
                wait(&end.own().reader, cx);
                Poll::Pending
            }
            Poll::Ready(other) => Poll::Ready(other),
        }
    }
}

impl AsyncWrite for TurmoilStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.end.as_ref().is_some_and(|end| end.own().broken.get()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        let room = self.room(cx).min(length);
        if room == 0 {
            return Poll::Pending;
        }
        // One write is one message, as far as it goes.
        let poll = if parts[0].len() >= room {
            Pin::new(&mut self.inner).poll_write(cx, &parts[0][..room])
        } else {
            let bytes = parts.iter().flat_map(|part| part.iter().copied());
            let joined: Vec<u8> = bytes.take(room).collect();
            Pin::new(&mut self.inner).poll_write(cx, &joined)
        };
        if let (Poll::Ready(Ok(count)), Some(end)) = (&poll, &self.end) {
            end.own().unread.set(end.own().unread.get() + count);
        }
        poll
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end.as_ref().is_some_and(|end| end.own().broken.get()) {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        if std::mem::replace(&mut self.shut, true) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Stream for TurmoilStream {
    fn reset(self) {
        let Some(end) = &self.end else { return };
        if end.own().broken.get() {
            return;
        }
        // The end that its drop sends is read as a reset. Where one was sent already, a signal follows it.
        end.own().reset.set(true);
        if self.shut {
            self.wire.with(|state| state.signal(end.key, end.side, What::Broken));
        }
    }
}

impl Drop for TurmoilStream {
    fn drop(&mut self) {
        if let Some(end) = &self.end {
            end.own().gone.set(true);
            if end.side == 0 {
                self.wire.with(|state| state.vacate(end.host));
            }
        }
    }
}

/// What has arrived at a listener and was not accepted yet.
#[derive(Default)]
struct Queue {
    streams: RefCell<VecDeque<(TurmoilStream, SocketAddr)>>,
    arrived: Notify,
}

/// A listener. Dropping it resets what waits in its backlog.
pub struct TurmoilListener {
    wire: Rc<Wire>,
    address: SocketAddr,
    /// Where turmoil knows it.
    place: SocketAddr,
    listening: Rc<Listening>,
    queue: Rc<Queue>,
    acceptor: JoinHandle<()>,
}

impl fmt::Debug for TurmoilListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurmoilListener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl TurmoilListener {
    pub(super) fn start(
        wire: &Rc<Wire>,
        listener: TcpListener,
        address: SocketAddr,
        listening: Listening,
    ) -> Self {
        let listening = Rc::new(listening);
        let port = listener.local_addr().map_or(address.port(), |bound| bound.port());
        let host = listening.host;
        let place = wire.with(|state| {
            let place = SocketAddr::new(state.machine_ip(host), port);
            state.listen(place, &listening, address.port());
            place
        });
        let queue = Rc::new(Queue::default());
        let acceptor = spawn_local({
            let (wire, queue) = (Rc::clone(wire), Rc::clone(&queue));
            async move {
                while let Ok((stream, from)) = listener.accept().await {
                    let key = (from, place);
                    let accepted = wire.with(|state| state.accepted(key));
                    let (peer, flow) = match accepted {
                        Some((ip, flow)) => (SocketAddr::new(ip, from.port()), Some(flow)),
                        None => (from, None),
                    };
                    let end = flow.map(|flow| End { key, flow, side: 1, host });
                    let stream = TurmoilStream::new(&wire, stream, end);
                    queue.streams.borrow_mut().push_back((stream, peer));
                    queue.arrived.notify_one();
                }
            }
        });
        Self { wire: Rc::clone(wire), address, place, listening, queue, acceptor }
    }
}

impl Listener for TurmoilListener {
    type Stream = TurmoilStream;

    async fn accept(&self) -> io::Result<(TurmoilStream, SocketAddr)> {
        loop {
            let next = self.queue.streams.borrow_mut().pop_front();
            if let Some((stream, peer)) = next {
                let waiting = &self.listening.waiting;
                waiting.set(waiting.get().saturating_sub(usize::from(stream.end.is_some())));
                return Ok((stream, peer));
            }
            self.queue.arrived.notified().await;
        }
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Drop for TurmoilListener {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.wire.with(|state| state.listeners.remove(&self.place));
        for (stream, _) in self.queue.streams.borrow_mut().drain(..) {
            stream.reset();
        }
    }
}
