//! The end of a request: our own answer where nobody else gave one, the count, and the log.

use std::{future::poll_fn, io, task::Poll};

use http1::Method;
use net::Net;
use policy::{Instant, message::Reply};

use super::{
    access_log::{Entry, Log},
    exchange::{After, Exchange},
    fault::Fault,
    forward::Persistence,
};

impl<N: Net> Exchange<'_, N> {
    /// Answers in the endpoint's place if nobody has answered yet; then counts and logs.
    pub(super) async fn conclude(&mut self, result: Result<After, Fault>) -> After {
        let (after, fault) = match result {
            Ok(after) => (after, None),
            Err(fault) if self.status.is_some() => {
                // What has come so far is the client's, if it takes it: a stream's last events count.
                let _ = poll_fn(|cx| Poll::Ready(self.client.channel.poll_flush(cx))).await;
                (After::Reset, Some(fault))
            }
            Err(fault) if matches!(fault, Fault::ClientGone) => (After::Close, Some(fault)),
            Err(fault) => (Box::pin(self.refuse(&fault)).await, Some(fault)),
        };
        let status = match (&fault, self.status) {
            (Some(Fault::ClientGone | Fault::ClientStalled), _) => 499,
            (_, Some(status)) => status,
            (Some(fault), None) => fault.status(),
            (None, None) => 0,
        };
        let ended = self.worker.clock.now();
        let spent = ended.since(self.begun);
        let stats = &self.worker.stats;
        stats.bytes_received.add(self.pad.upload.bytes());
        stats.bytes_sent.add(self.pad.download.sent());
        let nanos = policy::time::nanos(spent);
        stats.count(self.pad.request.method(), status, fault.as_ref(), nanos);
        if self.setup.config.analytics.enabled {
            self.analyse(status, fault.as_ref(), ended);
        }
        if let Some(log) = &self.setup.log {
            self.log(log, status, fault.as_ref(), ended);
        }
        after
    }

    /// Writes the request into the access log, if it is one that is logged.
    fn log(&self, log: &Log, status: u16, fault: Option<&Fault>, ended: Instant) {
        let Self { worker, setup, service, client, pad, .. } = self;
        let sites = &service.upstream.shared.sites;
        let entry = Entry {
            client: setup.signature.client(&pad.request, &client.peer),
            peer: client.address,
            head: &pad.request,
            status,
            fault,
            received: pad.upload.bytes(),
            sent: pad.download.sent(),
            begun: self.begun,
            ended,
            stamps: pad.stamps,
            route: &service.name,
            reason: pad.reason,
            endpoint: self.endpoint.map(|index| &*sites[index as usize].authority),
            retries: self.retries,
            names: &pad.names,
        };
        let rng = &mut worker.sampling.borrow_mut();
        if !log.write(worker.index, rng, worker.clock.wall(), &entry) {
            worker.stats.log_dropped.add(1);
        }
    }

    /// Sends an answer that a stage has given.
    pub(super) async fn reply(&mut self, reply: &Reply) -> Result<After, Fault> {
        let request = &self.pad.request;
        // A small body that is on its way is cheaper to read than a new connection is.
        if !self.pad.upload.is_received() && !request.expects_continue() {
            self.read_away().await?;
        }
        let request = &self.pad.request;
        let keep =
            self.pad.upload.is_received() && request.keep_alive() && !self.worker.draining.get();
        let out = self.client.channel.out();
        http1::encode::status_line(out, reply.status);
        for (name, value) in &reply.fields {
            http1::encode::field(out, name.as_bytes(), value);
        }
        for (name, value) in self.pad.back.added() {
            http1::encode::field(out, name.as_bytes(), value);
        }
        if reply.status >= 400 {
            let name = self.setup.signature.pseudonym();
            let text = format!("{name}; error=http_request_denied; details=\"{}\"", reply.reason);
            http1::encode::field(out, b"Proxy-Status", text.as_bytes());
        }
        self.worker.with_date(|date| http1::encode::field(out, b"Date", date));
        let bodyless = matches!(reply.status, 204 | 304);
        if !bodyless {
            http1::encode::content_length(out, reply.body.len() as u64);
        }
        Persistence::of(request.version(), keep).write(out);
        http1::encode::end(out);
        if !bodyless && request.method() != Method::Head {
            out.extend_from_slice(&reply.body);
        }
        self.status = Some(reply.status);
        self.pad.reason = Some(reply.reason);
        let more = request.keep_alive() || !self.pad.upload.is_received();
        match self.send_answer().await {
            Ok(()) if keep => Ok(After::KeepAlive),
            Ok(()) if more => Ok(After::Linger),
            Ok(()) => Ok(After::Close),
            Err(_) => Err(Fault::ClientGone),
        }
    }

    /// Sends an answer of our own.
    async fn refuse(&mut self, fault: &Fault) -> After {
        let request = &self.pad.request;
        let keep = self.pad.upload.is_received()
            && request.keep_alive()
            && !matches!(fault, Fault::BadRequest(_) | Fault::HeadTimeout)
            && !self.worker.draining.get();
        let persistence = Persistence::of(request.version(), keep);
        let body = match request.method() {
            Method::Head => None,
            _ => Some(format!("{} {fault}\n", fault.status())),
        };
        let out = self.client.channel.out();
        http1::encode::status_line(out, fault.status());
        let name = self.setup.signature.pseudonym();
        let proxy_status = format!("{name}; error={}", fault.error_type());
        http1::encode::field(out, b"Proxy-Status", proxy_status.as_bytes());
        if let Fault::Overloaded(seconds) = fault {
            http1::encode::field(out, b"Retry-After", seconds.to_string().as_bytes());
        }
        if fault.status() == 405 {
            http1::encode::field(out, b"Allow", b"GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
        }
        self.worker.with_date(|date| http1::encode::field(out, b"Date", date));
        http1::encode::field(out, b"Content-Type", b"text/plain; charset=utf-8");
        http1::encode::content_length(out, body.as_ref().map_or(0, |body| body.len() as u64));
        for (name, value) in self.pad.back.added() {
            http1::encode::field(out, name.as_bytes(), value);
        }
        persistence.write(out);
        http1::encode::end(out);
        out.extend_from_slice(body.unwrap_or_default().as_bytes());
        self.status = Some(fault.status());
        match (self.send_answer().await, keep) {
            (Err(_), _) => After::Reset,
            (Ok(()), true) => After::KeepAlive,
            (Ok(()), false) => After::Linger,
        }
    }

    /// Sends the answer that was written, as far as the client takes it.
    pub(super) async fn send_answer(&mut self) -> io::Result<()> {
        let deadline =
            self.worker.clock.now() + self.service.upstream.config.timeouts.stream_idle.0;
        let client = &mut *self.client;
        poll_fn(|cx| match client.timer.poll_at(cx, deadline) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => client.channel.poll_flush(cx),
        })
        .await
    }
}
