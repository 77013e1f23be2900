//! One side's connection: the stream, what was read ahead of its use, and what could not be written yet.
//!
//! All reading goes into one scratch area that a worker's connections share: what is used at once is used where it
//! lies, and only the rest is copied into the connection's own buffer. All writing goes straight to the stream: only
//! what it does not take is copied. So a connection that keeps up needs no buffer of its own, and one that
//! idles has none: its two vectors are given back to the worker.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use net::Stream;
use tokio::io::ReadBuf;

/// How much is read at once, and how much a worker's scratch area holds.
pub(crate) const SCRATCH: usize = 64 << 10;

/// Up to here a piece of a body is copied behind what is waiting, so that both leave in one plain write.
const SMALL: usize = 4 << 10;

/// A connection and its buffers.
#[derive(Debug)]
pub(crate) struct Channel<S> {
    io: S,
    /// What was read and is not used yet: `ahead[used..]`.
    ahead: Vec<u8>,
    used: usize,
    /// What is to be written: `waiting[written..]`.
    waiting: Vec<u8>,
    written: usize,
    /// The peer has ended its half.
    ended: bool,
}

impl<S: Stream> Channel<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, ahead: Vec::new(), used: 0, waiting: Vec::new(), written: 0, ended: false }
    }

    /// What was read and is not used yet.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.ahead[self.used..]
    }

    /// Marks `count` bytes of [`ahead`](Self::ahead) as used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.used += count;
        if self.used >= self.ahead.len() {
            self.ahead.clear();
            self.used = 0;
        }
    }

    /// Keeps `bytes`, which were read, for later.
    pub(crate) fn stash(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.ahead.drain(..self.used);
            self.used = 0;
        }
        self.ahead.extend_from_slice(bytes);
    }

    /// Reads into `scratch`; 0 is the end of the peer's half.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        let mut buf = ReadBuf::new(scratch);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        let count = buf.filled().len();
        self.ended = count == 0;
        Poll::Ready(Ok(count))
    }

    /// What is to be written: append to it, then flush.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// How many bytes wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len() - self.written
    }

    /// Writes what waits.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.waiting.len() {
            let count =
                ready!(Pin::new(&mut self.io).poll_write(cx, &self.waiting[self.written..]))?;
            self.advance(count)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what waits and then `bytes`; what the stream does not take of them waits. So `bytes` are
    /// always taken, and a caller that respects back-pressure flushes before it brings more.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() <= SMALL {
            self.waiting.extend_from_slice(bytes);
            return Ok(());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let waiting = &self.waiting[self.written..];
            let attempt = if waiting.is_empty() {
                Pin::new(&mut self.io).poll_write(cx, rest)
            } else {
                let both = [IoSlice::new(waiting), IoSlice::new(rest)];
                Pin::new(&mut self.io).poll_write_vectored(cx, &both)
            };
            let Poll::Ready(count) = attempt else {
                self.waiting.extend_from_slice(rest);
                break;
            };
            let count = count?;
            let behind = count.saturating_sub(self.waiting());
            self.advance(count - behind.min(count))?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[behind..];
        }
        Ok(())
    }

    fn advance(&mut self, count: usize) -> io::Result<()> {
        if count == 0 && self.waiting() > 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.written += count;
        if self.written >= self.waiting.len() {
            self.waiting.clear();
            self.written = 0;
        }
        Ok(())
    }

    /// Ends our half.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// Closes at once, so that the peer sees a reset.
    pub(crate) fn reset(self) {
        self.io.reset();
    }

    /// Whether nothing is left over in either direction.
    pub(crate) fn is_clean(&self) -> bool {
        !self.ended && self.ahead().is_empty() && self.waiting() == 0
    }

    /// Takes buffers from the worker's store, before they are needed.
    pub(crate) fn equip(&mut self, store: &Buffers) {
        if self.ahead.capacity() == 0 {
            self.ahead = store.take();
        }
        if self.waiting.capacity() == 0 {
            self.waiting = store.take();
        }
    }

    /// Gives the empty buffers back to the worker's store.
    pub(crate) fn strip(&mut self, store: &Buffers) {
        if self.ahead().is_empty() {
            self.used = 0;
            store.give(std::mem::take(&mut self.ahead));
        }
        if self.waiting() == 0 {
            self.written = 0;
            store.give(std::mem::take(&mut self.waiting));
        }
    }
}

/// A worker's store of buffers that nobody uses: bounded in number, and in the size of each.
#[derive(Debug, Default)]
pub(crate) struct Buffers(RefCell<Vec<Vec<u8>>>);

/// How many buffers a worker keeps.
const KEPT: usize = 256;
/// The largest buffer that is kept: one that has grown beyond it was for a rare case.
const LARGEST: usize = 16 << 10;

impl Buffers {
    fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    fn give(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() == 0 || buffer.capacity() > LARGEST {
            return;
        }
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT {
            buffer.clear();
            kept.push(buffer);
        }
    }
}
