//! Streams and listeners: the network's state as tokio's traits see it.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    World,
    connection::{Key, Life, Segment},
    state::{Leaving, State},
};
use crate::{Listener, Stream};

/// One end of a connection. Dropping it closes it as a socket is closed: in good order, or by a reset when something
/// was left unread.
pub struct MemoryStream {
    pub(super) world: Rc<World>,
    pub(super) key: Key,
    pub(super) side: usize,
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStream")
            .field("connection", &self.key.number)
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

impl MemoryStream {
    /// The addresses of this end and of the other.
    ///
    /// # Errors
    /// When a crash has taken the connection away.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        self.world.with(|state| {
            let connection = state.table.get(self.key).ok_or(io::ErrorKind::NotConnected)?;
            let [own, other] = [self.side, 1 - self.side].map(|side| connection.ends[side].address);
            Ok((own, other))
        })
    }
}

impl State {
    fn poll_read(
        &mut self,
        key: Key,
        side: usize,
        cx: &Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The crash of its own host has taken the stream away from a task that is about to be dropped.
        let Some(connection) = self.table.get(key) else { return Poll::Pending };
        let end = &mut connection.ends[side];
        if end.life == Life::Gone {
            return Poll::Pending;
        }
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let pipe = &mut connection.pipes[1 - side];
        if pipe.arrived > 0 {
            let count = pipe.take(buf);
            let back = connection.pipes[side].link;
            // Unread bytes of a pipe whose writer waits make room, unless the news of it meet a cut.
            if self.links[back].cut {
                if let Some(connection) = self.table.get(key) {
                    connection.pipes[1 - side].uncredited += count;
                }
            } else {
                let writer = connection.ends[1 - side].writer.take();
                self.wake(writer);
            }
            return Poll::Ready(Ok(()));
        }
        // What had arrived before a reset can be read, as on Linux.
        if let Some(kind) = end.broken {
            return Poll::Ready(Err(kind.into()));
        }
        if pipe.fin_arrived {
            return Poll::Ready(Ok(()));
        }
        if !end.reader.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            end.reader = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn poll_write(
        &mut self,
        key: Key,
        side: usize,
        cx: &Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let window = self.window;
        let Some(connection) = self.table.get(key) else { return Poll::Pending };
        let (end, pipe) = (&mut connection.ends[side], &connection.pipes[side]);
        if end.life == Life::Gone {
            return Poll::Pending;
        }
        if let Some(kind) = end.broken {
            let kind = if end.told { io::ErrorKind::BrokenPipe } else { kind };
            end.told = true;
            return Poll::Ready(Err(kind.into()));
        }
        if pipe.fin_sent {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if pipe.room(window) == 0 && parts.iter().any(|part| !part.is_empty()) {
            if !end.writer.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                end.writer = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        Poll::Ready(Ok(self.write(key, side, parts)))
    }

    fn shut(&mut self, key: Key, side: usize) -> io::Result<()> {
        let Some(connection) = self.table.get(key) else { return Ok(()) };
        if connection.ends[side].broken.is_some() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if connection.ends[side].life == Life::Open && !connection.pipes[side].fin_sent {
            connection.pipes[side].fin_sent = true;
            self.send(key, side, Segment::Fin);
        }
        Ok(())
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.world.with(|state| state.poll_read(self.key, self.side, cx, buf))
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.world.with(|state| state.poll_write(self.key, self.side, cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.world.with(|state| state.shut(self.key, self.side)))
    }
}

impl Stream for MemoryStream {
    fn reset(self) {
        self.world.with(|state| state.abandon(self.key, self.side, Leaving::Abrupt));
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.world.with(|state| state.abandon(self.key, self.side, Leaving::Orderly));
    }
}

/// A listener. Dropping it resets what waits in its backlog.
pub struct MemoryListener {
    pub(super) world: Rc<World>,
    pub(super) id: u64,
    pub(super) address: SocketAddr,
}

impl fmt::Debug for MemoryListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryListener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listener for MemoryListener {
    type Stream = MemoryStream;

    async fn accept(&self) -> io::Result<(MemoryStream, SocketAddr)> {
        let next = |cx: &mut Context<'_>| self.world.with(|state| state.poll_accept(self.id, cx));
        let (key, peer) = std::future::poll_fn(next).await?;
        Ok((MemoryStream { world: Rc::clone(&self.world), key, side: 1 }, peer))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.world.with(|state| state.unbind(self.id, Leaving::Abrupt));
    }
}
