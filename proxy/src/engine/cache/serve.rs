//! A stored response goes to the client.
//!
//! This is the path of a hit, and it is short: the head is one copy of what was prepared when the response was stored, with three
//! or four lines behind it; a small body is copied behind that, so that all of it leaves in one write; a larger one goes to the socket from
//! where it lies, and never more than a piece of it is taken up again for a client that is slow.
//!
//! What the client wants of the response is decided in [`policy::cache`]: all of it, the word that it has it already (304), a part
//! (206), or that there is no such part (416). HEAD gets the head of whatever GET would.

use std::{
    future::poll_fn,
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http1::{Method, Version, encode};
use net::Net;
use policy::cache::{
    CacheStatus, Forwarded, Part, Shape as Cut, conditional::omitted_from_not_modified,
};
use policy::compression::Plan;

use super::{
    super::{
        exchange::{After, Exchange},
        fault::Fault,
        forward::Persistence,
    },
    object::Object,
};

/// A large body goes out in pieces of this size.
const PIECE: usize = 64 << 10;

/// What a client gets.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(super) object: Arc<Object>,
    /// Which part of the whole the object has, if it is not the whole.
    pub(super) part: Option<Part>,
    pub(super) cut: Cut,
    pub(super) age: Duration,
    /// For how many more seconds it is fresh.
    pub(super) ttl: i64,
    /// What the endpoint has to do with it.
    pub(super) way: Way,
}

/// How much of a response has gone out.
pub(super) enum Sent {
    /// All of it.
    All(After),
    /// There is more.
    Part(Box<Rest>),
}

/// What has not gone out yet.
pub(super) struct Rest {
    after: After,
    object: Arc<Object>,
    what: What,
}

enum What {
    /// These bytes of the object's body, behind what waits.
    Plain(Range<usize>),
    /// The body, compressed so.
    Encoded(Plan),
}

/// How a stored response came to be given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Way {
    /// Why the endpoints were asked, if they were.
    pub(super) forwarded: Option<Forwarded>,
    /// What they answered.
    pub(super) status: Option<u16>,
    /// It waited for another request.
    pub(super) collapsed: bool,
}

impl<N: Net> Exchange<'_, N> {
    /// Answers with a stored response.
    pub(crate) async fn serve_stored(&mut self, serving: &Serving) -> Result<After, Fault> {
        match poll_fn(|cx| Poll::Ready(self.begin_stored(cx, serving))).await? {
            Sent::All(after) => Ok(after),
            Sent::Part(rest) => self.send_rest(*rest).await,
        }
    }

    /// Writes the head, and of the body as much as the client takes at once: mostly all.
    pub(super) fn begin_stored(
        &mut self,
        cx: &mut Context<'_>,
        serving: &Serving,
    ) -> Result<Sent, Fault> {
        let Serving { object, cut, .. } = serving;
        let plan = match &self.service.stages {
            Some(stages) if stages.filters.is_some() || stages.compression.is_some() => {
                self.shape_stored(object, cut_status(object, cut))
            }
            _ => None,
        };
        let request = &self.pad.request;
        let (version, is_head) = (request.version(), request.method() == Method::Head);
        let framed = match plan {
            None => Framed::AsStored,
            Some(_) if version == Version::Http10 => Framed::Close,
            Some(_) => Framed::Chunked,
        };
        let (body, after) = self.write_stored(serving, framed);
        if let Some(plan) = plan.filter(|_| !is_head) {
            let object = Arc::clone(object);
            return Ok(Sent::Part(Box::new(Rest { after, object, what: What::Encoded(plan) })));
        }
        let length = body.len();
        self.pad.download.note_own(length as u64);
        self.worker.stats.cache.bytes.add(length as u64);
        let first = body.start..body.start + length.min(PIECE);
        let channel = &mut self.client.channel;
        let sent = channel.send(cx, &object.body()[first.clone()]).and_then(|()| {
            match channel.poll_flush(cx) {
                Poll::Ready(Ok(())) => Ok(first.end == body.end),
                Poll::Ready(Err(error)) => Err(error),
                Poll::Pending => Ok(false),
            }
        });
        match sent {
            Ok(true) => Ok(Sent::All(after)),
            Err(_) => Err(Fault::ClientGone),
            Ok(false) => {
                let what = What::Plain(first.end..body.end);
                Ok(Sent::Part(Box::new(Rest { after, object: Arc::clone(object), what })))
            }
        }
    }

    /// Writes the head; which part of the body belongs to it, and what becomes of the connection behind it.
    pub(super) fn write_stored(
        &mut self,
        serving: &Serving,
        framed: Framed,
    ) -> (Range<usize>, After) {
        let request = &self.pad.request;
        let (version, is_head) = (request.version(), request.method() == Method::Head);
        let wanted = request.keep_alive();
        // Where nobody can say how long it will be, an old client learns its end from the connection's.
        let ends = framed == Framed::Close && !is_head;
        // A request that may be answered from the cache has no body.
        let received = self.pad.upload.is_received();
        let keep = wanted && received && !ends && !self.worker.draining.get();
        let after = match (keep, wanted || !received) {
            (true, _) => After::KeepAlive,
            (false, true) => After::Linger,
            (false, false) => After::Close,
        };
        let Serving { object, part, cut, age, ttl, way } = serving;
        let out = self.client.channel.out();
        let length = object.body().len();
        let (begins, total) = part.map_or((0, length as u64), |part| (part.first, part.total));
        let edits = &self.pad.back;
        let told = cut_status(object, cut);
        let mut body = 0..length;
        match cut {
            Cut::Whole if edits.is_empty() && framed == Framed::AsStored => {
                out.extend_from_slice(object.head());
            }
            Cut::Whole => {
                encode::status_line_with_reason(out, told, object.reason());
                for (name, value) in object.fields().filter(|(name, _)| !edits.omits(name)) {
                    encode::field(out, name, value);
                }
                out.extend_from_slice(object.own());
                match framed {
                    _ if matches!(told, 204 | 304) => {}
                    Framed::AsStored => encode::content_length(out, length as u64),
                    Framed::Length(length) => encode::content_length(out, length),
                    Framed::Chunked => encode::chunked(out),
                    Framed::Close => {}
                }
            }
            Cut::NotModified => {
                body = 0..0;
                encode::status_line(out, told);
                for (name, value) in object.fields() {
                    if !(omitted_from_not_modified(name) || edits.omits(name)) {
                        encode::field(out, name, value);
                    }
                }
                out.extend_from_slice(object.own());
            }
            Cut::Part { first, last } => {
                // Decided by this part's own bounds; were it otherwise, nothing would be sent that is not there.
                let at = |byte: u64| (byte.saturating_sub(begins) as usize).min(length);
                body = at(*first)..at(*last + 1);
                encode::status_line(out, told);
                for (name, value) in object.fields() {
                    if !(edits.omits(name) || name.eq_ignore_ascii_case(b"content-range")) {
                        encode::field(out, name, value);
                    }
                }
                out.extend_from_slice(object.own());
                out.extend_from_slice(b"Content-Range: bytes ");
                encode::number(out, *first);
                out.push(b'-');
                encode::number(out, *last);
                out.push(b'/');
                encode::number(out, total);
                out.extend_from_slice(b"\r\n");
                encode::content_length(out, body.len() as u64);
            }
            Cut::Unsatisfiable => {
                body = 0..0;
                encode::status_line(out, told);
                self.worker.with_date(|date| encode::field(out, b"Date", date));
                out.extend_from_slice(object.own());
                out.extend_from_slice(b"Content-Range: bytes */");
                encode::number(out, total);
                out.extend_from_slice(b"\r\n");
                encode::content_length(out, 0);
            }
        }
        out.extend_from_slice(b"Age: ");
        encode::number(out, age.as_secs());
        out.extend_from_slice(b"\r\nCache-Status: ");
        let status = CacheStatus {
            cache: self.setup.signature.pseudonym(),
            forwarded: way.forwarded,
            status: way.status,
            ttl: Some(*ttl),
            stored: false,
            collapsed: way.collapsed,
            detail: None,
        };
        status.write(out);
        out.extend_from_slice(b"\r\n");
        for (name, value) in edits.added() {
            encode::field(out, name.as_bytes(), value);
        }
        Persistence::of(version, keep).write(out);
        encode::end(out);
        self.status = Some(told);
        (if is_head { 0..0 } else { body }, after)
    }

    /// Sends the rest, as fast as the client takes it.
    pub(super) async fn send_rest(&mut self, rest: Rest) -> Result<After, Fault> {
        let Rest { after, object, what } = rest;
        match what {
            What::Encoded(plan) => self.send_encoded(&object, plan).await?,
            What::Plain(range) => self.send_plain(&object.body()[range]).await?,
        }
        Ok(after)
    }

    /// Sends what waits and then `body`.
    async fn send_plain(&mut self, body: &[u8]) -> Result<(), Fault> {
        let idle = self.service.upstream.config.timeouts.stream_idle.0;
        let clock = self.worker.clock;
        let client = &mut *self.client;
        let (mut at, mut seen) = (0, usize::MAX);
        let mut deadline = clock.now() + idle;
        poll_fn(|cx| {
            loop {
                match client.channel.poll_flush(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::ClientGone)),
                    Poll::Ready(Ok(())) if at == body.len() => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(())) => {}
                }
                let piece = &body[at..body.len().min(at + PIECE)];
                if client.channel.send(cx, piece).is_err() {
                    return Poll::Ready(Err(Fault::ClientGone));
                }
                at += piece.len();
            }
            let left = body.len() - at + client.channel.waiting();
            if left != seen {
                seen = left;
                deadline = clock.now() + idle;
            }
            client.timer.poll_at(cx, deadline).map(|()| Err(Fault::ClientStalled))
        })
        .await
    }
}

/// How the client learns where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framed {
    /// By the length of what is stored.
    AsStored,
    /// By the length that it will have.
    Length(u64),
    Chunked,
    Close,
}

/// The status that the client is told.
fn cut_status(object: &Object, cut: &Cut) -> u16 {
    match cut {
        Cut::Whole => object.status(),
        Cut::NotModified => 304,
        Cut::Part { .. } => 206,
        Cut::Unsatisfiable => 416,
    }
}
