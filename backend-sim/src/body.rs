//! The bodies of answers.
//!
//! Patterns are made as they are sent, so that an answer of a gigabyte costs no memory; short ones are one piece, and
//! the commonest (short, of a request without a number) is a slice of one that is made once a process.

use std::{
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use net::Timer;
use policy::{Instant, work::Pattern};

use crate::{
    answer::Ticket,
    config::{Framing, SessionConfig, SessionFormat},
    core::Job,
    redirect::Visit,
};

/// The largest piece of a body that is made at once.
const PIECE: usize = 64 * 1024;

/// The body of an answer; holds the request's ticket for as long as it is sent.
pub(crate) struct Answer {
    payload: Payload,
    ticket: Option<Ticket>,
    visit: Option<Box<Visit>>,
}

enum Payload {
    Whole(Option<Bytes>),
    Stream { pattern: Pattern, offset: u64, size: u64, framing: Framing },
    Echo(Incoming),
    Session(Box<Session>),
}

impl Answer {
    /// A short text.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Self { payload: Payload::Whole(Some(text.into())), ticket: None, visit: None }
    }

    /// Nothing.
    pub(crate) fn empty() -> Self {
        Self { payload: Payload::Whole(None), ticket: None, visit: None }
    }

    /// `size` bytes of the pattern of request `id`, or of request 0.
    pub(crate) fn pattern(id: Option<u64>, size: u64, framing: Framing) -> Self {
        let short = size <= PIECE as u64 && framing == Framing::Length;
        let payload = match id {
            None if short => Payload::Whole(Some(unnumbered().slice(..size as usize))),
            Some(id) if short => Payload::Whole(Some(piece(Pattern::new(id), 0, size as usize))),
            _ => {
                let pattern = Pattern::new(id.unwrap_or(0));
                Payload::Stream { pattern, offset: 0, size, framing }
            }
        };
        Self { payload, ticket: None, visit: None }
    }

    /// `size` bytes of this pattern.
    pub(crate) fn content(pattern: Pattern, size: u64, framing: Framing) -> Self {
        let payload = if size <= PIECE as u64 && framing == Framing::Length {
            Payload::Whole(Some(piece(pattern, 0, size as usize)))
        } else {
            Payload::Stream { pattern, offset: 0, size, framing }
        };
        Self { payload, ticket: None, visit: None }
    }

    /// The request's own body.
    pub(crate) fn echo(body: Incoming) -> Self {
        Self { payload: Payload::Echo(body), ticket: None, visit: None }
    }

    /// A session.
    pub(crate) fn session(session: Session) -> Self {
        Self { payload: Payload::Session(Box::new(session)), ticket: None, visit: None }
    }

    /// Holds this visit until it has been sent, or given up.
    pub(crate) fn for_visit(mut self, visit: Box<Visit>) -> Self {
        self.visit = Some(visit);
        self
    }

    /// Holds this ticket until it has been sent, or given up.
    pub(crate) fn holding(mut self, ticket: Ticket) -> Self {
        self.ticket = Some(ticket);
        self
    }
}

fn piece(pattern: Pattern, offset: u64, size: usize) -> Bytes {
    let mut bytes = BytesMut::zeroed(size);
    pattern.fill(offset, &mut bytes);
    bytes.freeze()
}

/// The beginning of request 0's body.
fn unnumbered() -> &'static Bytes {
    static BYTES: OnceLock<Bytes> = OnceLock::new();
    BYTES.get_or_init(|| piece(Pattern::new(0), 0, PIECE))
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        match &mut this.payload {
            Payload::Whole(bytes) => {
                let bytes = bytes.take().filter(|bytes| !bytes.is_empty());
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Payload::Stream { pattern, offset, size, .. } => {
                let count = (*size - *offset).min(PIECE as u64);
                if count == 0 {
                    return Poll::Ready(None);
                }
                let bytes = piece(*pattern, *offset, count as usize);
                *offset += count;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Payload::Echo(body) => Pin::new(body).poll_frame(cx),
            Payload::Session(session) => {
                let bytes = ready!(session.poll_next(cx));
                if let (None, Some(ticket)) = (&bytes, &mut this.ticket) {
                    ticket.completed();
                }
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.payload {
            Payload::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            // Chunks are chunks even if there are none.
            Payload::Stream { offset, size, framing, .. } => {
                *framing == Framing::Length && offset == size
            }
            Payload::Echo(body) => body.is_end_stream(),
            Payload::Session(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.payload {
            Payload::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Payload::Stream { offset, size, framing: Framing::Length, .. } => {
                SizeHint::with_exact(size - offset)
            }
            Payload::Echo(body) => body.size_hint(),
            Payload::Stream { .. } | Payload::Session(_) => SizeHint::default(),
        }
    }
}

/// A stream that lasts as long as its job: a piece at once, and one each `every` from then on.
pub(crate) struct Session {
    job: Job,
    timer: Timer,
    pattern: Pattern,
    config: SessionConfig,
    next: Instant,
    sent: u64,
}

/// What a session does next.
pub(crate) enum Beat {
    /// It sends a piece.
    Send,
    /// Its time is over.
    End,
}

impl Session {
    /// Begins now.
    pub(crate) fn new(job: Job, id: Option<u64>) -> Self {
        let core = job.core();
        Self {
            timer: Timer::new(core.clock),
            pattern: Pattern::new(id.unwrap_or(0)),
            config: core.session.clone(),
            next: core.clock.now(),
            sent: 0,
            job,
        }
    }

    /// Ready at each beat, once.
    pub(crate) fn poll_beat(&mut self, cx: &mut Context<'_>) -> Poll<Beat> {
        loop {
            if self.job.poll_done(cx).is_ready() {
                return Poll::Ready(Beat::End);
            }
            ready!(self.timer.poll_at(cx, self.next));
            let (core, every) = (self.job.core(), self.config.every.0);
            // A session that was held up goes on at its pace: it does not make up for what it missed.
            self.next = (self.next + every).max(core.clock.now());
            // A process that hangs sends nothing.
            if !core.is_hung() {
                return Poll::Ready(Beat::Send);
            }
            self.next = core.clock.now() + every;
        }
    }

    /// The next piece of the pattern.
    pub(crate) fn piece(&mut self) -> Bytes {
        let size = self.config.size.0;
        let bytes = piece(self.pattern, self.sent * size, size as usize);
        self.sent += 1;
        bytes
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        Poll::Ready(match ready!(self.poll_beat(cx)) {
            Beat::End => None,
            Beat::Send if self.config.format == SessionFormat::Sse => Some(self.event()),
            Beat::Send => Some(self.piece()),
        })
    }

    /// A server-sent event: its number, and as many characters of data as pieces are large.
    fn event(&mut self) -> Bytes {
        let event =
            format!("id: {}\ndata: {:.<2$}\n\n", self.sent, "", self.config.size.0 as usize);
        self.sent += 1;
        event.into()
    }
}
