//! Redirect mode: the proxy chooses, and the client goes there by itself (iterative request redirection).
//!
//! ```text
//! read the body away → pick (or wait in the queue) → sign a token → 307 → the session is open until its report, or expires
//! ```
//!
//! Whom a request gets, and whether it must wait, is decided as for one that is forwarded. What is different is what comes then: no
//! connection to the endpoint, no retry (what becomes of the request is between the client and the endpoint), and the place at the
//! endpoint is kept not by this task but in a table ([`sessions`](super::sessions)), because the task is over before the session begins.
//!
//! 307 keeps method and body (RFC 9110, section 15.4.8), so a client with a body sends it twice, and this one away. A short body is read to
//! its end, so that the connection can go on; a client that asks whether it may send it (`Expect: 100-continue`) is never told that it may; and
//! for what is longer the connection ends after the answer.

use std::{cell::RefCell, future::poll_fn, net::SocketAddr, task::Poll};

use net::Net;
use policy::{
    Rng, Seed,
    token::{self, Asked, Bearer, Grant, Key},
};

use super::{
    exchange::{After, Exchange},
    fault::Fault,
    forward::Persistence,
    relay::Broken,
};
use crate::config::{Mode, ProxyConfig};

/// A body that is no longer than this is read away before the answer.
const SHORT_BODY: u64 = 64 << 10;

/// The bits of a session's number that say which worker has it.
const WORKER_BITS: u32 = 10;

/// What a worker redirects with, made once for a configuration.
pub(crate) struct Redirector {
    pub(crate) key: Key,
    bearer: Bearer,
    /// Where endpoints report to.
    reports: SocketAddr,
    /// At most so many sessions at a time are this worker's.
    most: usize,
    worker: u64,
    nonces: RefCell<Rng>,
}

impl Redirector {
    /// For the `index`th of so many workers, if the configuration says so. `address` is where it listens.
    pub(crate) fn new(
        config: &ProxyConfig,
        address: SocketAddr,
        (index, workers): (usize, u32),
        seed: Seed,
    ) -> Option<Self> {
        (config.mode == Mode::Redirect).then(|| Self {
            key: config.redirect.key().expect("what has problems is never put in force"),
            bearer: config.redirect.bearer(),
            reports: config.redirect.report_to.unwrap_or(address),
            most: config.redirect.sessions.div_ceil(workers.max(1)) as usize,
            worker: index as u64,
            nonces: RefCell::new(seed.stream("redirect")),
        })
    }

    /// A number for a session. It need not be a secret, only new.
    fn nonce(&self) -> u64 {
        let drawn = self.nonces.borrow_mut().bits();
        self.worker << (u64::BITS - WORKER_BITS) | drawn >> WORKER_BITS
    }

    /// Which worker has the session of this number.
    pub(crate) fn worker_of(nonce: u64) -> usize {
        (nonce >> (u64::BITS - WORKER_BITS)) as usize
    }
}

impl<N: Net> Exchange<'_, N> {
    /// Sends the client to an endpoint.
    pub(super) async fn redirect(&mut self, redirector: &Redirector) -> Result<After, Fault> {
        // `*` is no path anywhere.
        if !self.pad.request.target().starts_with(b"/") {
            return Err(Fault::MethodRefused);
        }
        if !self.pad.request.expects_continue() {
            self.read_away().await?;
        }
        let sessions = &self.worker.sessions;
        if sessions.count() >= redirector.most {
            return Err(Fault::SessionsFull);
        }
        let lease = self.acquire().await?;
        self.endpoint = Some(lease.index);
        self.turn(lease.index);
        let config = &self.setup.config.redirect;
        let site = &self.service.upstream.shared.sites[lease.index as usize];
        let nonce = sessions.new_number(|| redirector.nonce());
        let grant = Grant {
            nonce,
            ends: self.worker.clock.wall() + config.lifetime.0,
            reports: redirector.reports,
            bearer: redirector.bearer,
        };
        let request = &self.pad.request;
        let asked = Asked {
            endpoint: site.address,
            method: request.method_bytes(),
            target: request.target(),
            client: self.setup.signature.client(request, &self.client.peer),
        };
        let (mut code, mut location) = (Vec::new(), Vec::new());
        redirector.key.sign(&grant, &asked, &mut code);
        location.extend_from_slice(b"http://");
        location.extend_from_slice(site.authority.as_bytes());
        token::join(asked.target, &code, &mut location);
        let binds = self.service.upstream.binding(lease.index);
        // Who is bound to it already need not be told.
        let binds = binds.filter(|(sticky, bound)| {
            let peer = &self.client.peer;
            self.setup.signature.key(sticky.key(), request, peer) != Some(bound.key)
        });
        sessions.open(nonce, lease, self.worker.clock.now() + config.expire.0);
        let keep =
            self.pad.upload.is_received() && request.keep_alive() && !self.worker.draining.get();
        let out = self.client.channel.out();
        http1::encode::status_line(out, 307);
        http1::encode::field(out, b"Location", &location);
        http1::encode::field(out, b"Cache-Control", b"no-store");
        if let Some((sticky, bound)) = binds {
            out.extend_from_slice(b"Set-Cookie: ");
            sticky.write(bound, out);
            out.extend_from_slice(b"\r\n");
        }
        for (name, value) in self.pad.back.added() {
            http1::encode::field(out, name.as_bytes(), value);
        }
        self.worker.with_date(|date| http1::encode::field(out, b"Date", date));
        http1::encode::content_length(out, 0);
        Persistence::of(request.version(), keep).write(out);
        http1::encode::end(out);
        self.status = Some(307);
        let more = request.keep_alive() || !self.pad.upload.is_received();
        match self.send_answer().await {
            Ok(()) if keep => Ok(After::KeepAlive),
            Ok(()) if more => Ok(After::Linger),
            Ok(()) => Ok(After::Close),
            // The client never got it.
            Err(_) => {
                sessions.cancel(nonce, self.worker.clock.now());
                Err(Fault::ClientGone)
            }
        }
    }

    /// Reads a short body away; of a longer one the beginning.
    pub(super) async fn read_away(&mut self) -> Result<(), Fault> {
        let worker = self.worker;
        let idle = self.service.upstream.config.timeouts.stream_idle.0;
        let mut deadline = worker.clock.now() + idle;
        let mut seen = 0;
        poll_fn(|cx| {
            let scratch = &mut *worker.scratch.borrow_mut();
            let upload = &mut self.pad.upload;
            let read =
                upload.poll_gather(cx, &mut self.client.channel, scratch, SHORT_BODY, |_| {});
            match read {
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(Broken::Framing(error))) => {
                    return Poll::Ready(Err(Fault::BadRequest(error)));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::ClientGone)),
                Poll::Pending => {}
            }
            if upload.bytes() != seen {
                seen = upload.bytes();
                deadline = worker.clock.now() + idle;
            }
            self.client.timer.poll_at(cx, deadline).map(|()| Err(Fault::BodyTimeout))
        })
        .await
    }
}
