//! Bodies on their way from one connection to the other.
//!
//! A relay decodes one side's framing and writes the other's, as the bytes come: nothing is buffered whole, and nothing
//! more is read while the receiver has not taken what was read before it (back-pressure). Content lies in the worker's
//! scratch area while it passes. What a retry would need of a request's body is copied aside, up to a bound.

use std::{
    io,
    task::{Context, Poll, ready},
};

use http1::{BodyDecoder, Framing, Limits};
use net::Stream;

use super::{channel::Channel, shape::Shape};

/// As long as less than this waits to be written, more may be read: small writes leave together.
const COALESCED: usize = 1 << 10;

/// How the receiver learns where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// By a length that its head has stated, by the end of the connection, or because there is no body.
    Verbatim,
    /// By chunks.
    Chunked,
}

/// Why a body did not arrive.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The sender's connection ended or failed.
    Sender,
    /// The sender's framing is wrong.
    Framing(http1::Error),
    /// The receiver's connection failed.
    Receiver,
    /// There is more of it than may be.
    TooLarge,
}

/// Who else gets a body's content, besides the receiver.
#[derive(Debug)]
pub(crate) enum Aside<'a> {
    /// Nobody.
    Nobody,
    /// Whoever may have to send it again.
    Replay(&'a mut Replay),
    /// Whoever keeps or changes it.
    Shape(&'a mut Shape),
}

/// One body on its way.
#[derive(Debug)]
pub(crate) struct Relay {
    decoder: BodyDecoder,
    encoding: Encoding,
    /// The end was written, or need not be.
    ended: bool,
    bytes: u64,
    /// How many bytes went on, where these are others than came.
    sent: u64,
    most: u64,
}

/// The beginning of a request's body, kept for sending it a second time.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    kept: Vec<u8>,
    room: usize,
    complete: bool,
}

impl Replay {
    /// Begins anew, with room for so many bytes.
    pub(crate) fn reset(&mut self, room: usize) {
        self.kept.clear();
        self.room = room;
        self.complete = true;
    }

    /// Whether all that was sent so far is kept.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !self.complete {
            return;
        }
        if self.kept.len() + bytes.len() <= self.room {
            self.kept.extend_from_slice(bytes);
        } else {
            self.complete = false;
            self.kept = Vec::new();
        }
    }
}

impl Relay {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            decoder: BodyDecoder::new(Framing::Empty, limits),
            encoding: Encoding::Verbatim,
            ended: true,
            bytes: 0,
            sent: 0,
            most: u64::MAX,
        }
    }

    /// Begins another body.
    pub(crate) fn reset(&mut self, framing: Framing, encoding: Encoding) {
        self.decoder.reset(framing);
        self.encoding = encoding;
        self.ended = false;
        self.bytes = 0;
        self.sent = 0;
        self.most = u64::MAX;
    }

    /// From here on it is an error when more than `most` bytes of content come. Of several limits the least counts.
    pub(crate) fn limit(&mut self, most: u64) {
        self.most = self.most.min(most);
    }

    /// The sender has sent all of it.
    pub(crate) fn is_received(&self) -> bool {
        self.decoder.is_done()
    }

    /// How many bytes of content have come.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many bytes of content went on.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// No body comes, and one of our own with so many bytes goes.
    pub(crate) fn note_own(&mut self, sent: u64) {
        (self.bytes, self.sent) = (0, sent);
    }

    /// Writes again to a new receiver what an earlier one was sent already.
    pub(crate) fn replay<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Channel<S>,
        replay: &Replay,
    ) -> io::Result<()> {
        self.ended = false;
        if replay.kept.is_empty() {
            return Ok(());
        }
        self.encode(cx, &replay.kept, to)
    }

    /// Carries the body as far as it goes now; ready when all of it has been read and written.
    pub(crate) fn poll<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Channel<S>,
        to: &mut Channel<S>,
        scratch: &mut [u8],
        mut aside: Aside<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            if self.decoder.is_done() {
                self.end(cx, to, &mut aside).map_err(|_| Broken::Receiver)?;
                return to.poll_flush(cx).map_err(|_| Broken::Receiver);
            }
            if to.waiting() > COALESCED {
                ready!(to.poll_flush(cx)).map_err(|_| Broken::Receiver)?;
            }
            if !from.ahead().is_empty() {
                let (used, sent) = self.forward(cx, from.ahead(), to, &mut aside);
                from.consume(used);
                sent?;
                continue;
            }
            let Poll::Ready(count) = from.poll_read(cx, scratch) else {
                self.pause(cx, to, &mut aside).map_err(|_| Broken::Receiver)?;
                let _ = to.poll_flush(cx).map_err(|_| Broken::Receiver)?;
                return Poll::Pending;
            };
            let count = count.map_err(|_| Broken::Sender)?;
            if count == 0 {
                self.decoder.eof().map_err(|_| Broken::Sender)?;
                if !self.decoder.is_done() {
                    return Poll::Ready(Err(Broken::Sender));
                }
                continue;
            }
            let (used, sent) = self.forward(cx, &scratch[..count], to, &mut aside);
            if used < count {
                from.stash(&scratch[used..count]);
            }
            sent?;
        }
    }

    /// Reads the body to the end without sending it on: `keep` gets its content. Ready with false once more than `most` bytes have come.
    pub(crate) fn poll_gather<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Channel<S>,
        scratch: &mut [u8],
        most: u64,
        mut keep: impl FnMut(&[u8]),
    ) -> Poll<Result<bool, Broken>> {
        loop {
            if self.bytes > most {
                return Poll::Ready(Ok(false));
            }
            if self.decoder.is_done() {
                return Poll::Ready(Ok(true));
            }
            if from.ahead().is_empty() {
                let count = ready!(from.poll_read(cx, scratch)).map_err(|_| Broken::Sender)?;
                if count == 0 {
                    self.decoder.eof().map_err(|_| Broken::Sender)?;
                    continue;
                }
                from.stash(&scratch[..count]);
            }
            let decoded = self.decoder.decode(from.ahead()).map_err(Broken::Framing)?;
            self.bytes += decoded.data.len() as u64;
            keep(decoded.data);
            let used = decoded.consumed;
            from.consume(used);
        }
    }

    /// Decodes `input` and sends its content on; how much of it was used, also where sending fails: the rest must not
    /// be lost, nor what was used be read again, because another receiver may get the body instead.
    fn forward<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        input: &[u8],
        to: &mut Channel<S>,
        aside: &mut Aside<'_>,
    ) -> (usize, Result<(), Broken>) {
        let mut used = 0;
        while used < input.len() && !self.decoder.is_done() {
            let decoded = match self.decoder.decode(&input[used..]) {
                Ok(decoded) => decoded,
                Err(error) => return (used, Err(Broken::Framing(error))),
            };
            used += decoded.consumed;
            let (content, stuck) = (decoded.data, decoded.consumed == 0);
            if !content.is_empty() {
                self.bytes += content.len() as u64;
                if self.bytes > self.most {
                    return (used, Err(Broken::TooLarge));
                }
                if self.pass(cx, content, to, aside).is_err() {
                    return (used, Err(Broken::Receiver));
                }
            } else if stuck {
                break;
            }
        }
        (used, Ok(()))
    }

    /// Content that comes from elsewhere than a connection goes on.
    pub(crate) fn give<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        content: &[u8],
        to: &mut Channel<S>,
        aside: &mut Aside<'_>,
    ) -> io::Result<()> {
        self.bytes += content.len() as u64;
        self.pass(cx, content, to, aside)
    }

    fn pass<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        content: &[u8],
        to: &mut Channel<S>,
        aside: &mut Aside<'_>,
    ) -> io::Result<()> {
        match aside {
            Aside::Nobody => self.send(cx, content, to),
            Aside::Replay(replay) => {
                replay.keep(content);
                self.send(cx, content, to)
            }
            Aside::Shape(shape) => {
                shape.content(content);
                if shape.transforms() {
                    self.send_made(cx, shape, to)
                } else {
                    self.send(cx, content, to)
                }
            }
        }
    }

    /// Nothing more is there for now: what is held back goes on.
    pub(crate) fn pause<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Channel<S>,
        aside: &mut Aside<'_>,
    ) -> io::Result<()> {
        let Aside::Shape(shape) = aside else { return Ok(()) };
        shape.pause();
        self.send_made(cx, shape, to)
    }

    /// The content is complete: what is held back goes on, and the end. Once more, it does nothing.
    pub(crate) fn end<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Channel<S>,
        aside: &mut Aside<'_>,
    ) -> io::Result<()> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        if let Aside::Shape(shape) = aside {
            shape.finish();
            self.send_made(cx, shape, to)?;
        }
        if self.encoding == Encoding::Chunked {
            http1::encode::trailers(to.out(), self.decoder.trailers());
        }
        Ok(())
    }

    /// Somebody else reads the rest: what it is read with. What was sent so far goes on by [`give`](Self::give).
    pub(crate) fn hand_over(&mut self, limits: &Limits) -> Self {
        let Self { encoding, ended, bytes, sent, .. } = *self;
        let own = Self { encoding, ended, bytes, sent, ..Self::new(limits) };
        std::mem::replace(self, own)
    }

    fn send<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        content: &[u8],
        to: &mut Channel<S>,
    ) -> io::Result<()> {
        self.sent += content.len() as u64;
        self.encode(cx, content, to)
    }

    /// Sends what a shape has made of the content.
    fn send_made<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        shape: &mut Shape,
        to: &mut Channel<S>,
    ) -> io::Result<()> {
        let sent = self.send(cx, &shape.made, to);
        shape.made.clear();
        if shape.broken { Err(io::ErrorKind::OutOfMemory.into()) } else { sent }
    }

    fn encode<S: Stream>(
        &self,
        cx: &mut Context<'_>,
        content: &[u8],
        to: &mut Channel<S>,
    ) -> io::Result<()> {
        match self.encoding {
            Encoding::Verbatim => to.send(cx, content),
            Encoding::Chunked => {
                if let Some(head) = http1::ChunkHead::new(content.len()) {
                    to.out().extend_from_slice(head.as_bytes());
                    to.send(cx, content)?;
                    to.out().extend_from_slice(http1::CHUNK_END);
                }
                Ok(())
            }
        }
    }
}
