//! One connection: hyper's HTTP/1.1 server on one of our streams, until it ends or is reset.

use std::{
    future::poll_fn,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use hyper::server::conn::http1;
use net::{Clock, HyperTimer, Stream, hyper_io};
use tokio::io::AsyncWriteExt;

use crate::{
    answer::Errand,
    core::{Core, add},
    gate::Wanted,
    redirect::Doorkeeper,
    websocket,
};

/// A connection's place at the gate, for as long as it lives.
pub(crate) struct Membership {
    core: Rc<Core>,
    index: usize,
}

impl Membership {
    fn new(core: &Rc<Core>) -> Self {
        add(&core.counts.connections);
        Self { core: Rc::clone(core), index: core.gate.enter() }
    }

    /// Ready when the connection must be reset.
    pub(crate) fn poll_stale(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.core.gate.poll_stale(self.index, cx)
    }

    /// Ends a connection as a dead process would.
    pub(crate) fn reset<S: Stream>(&self, stream: S) {
        add(&self.core.counts.resets);
        stream.reset();
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.core.clock
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.core.gate.leave(self.index);
    }
}

/// The parameters of every connection. A client may take as long as it likes to send a head: an origin that drops
/// idle connections on its own would be a fault that nobody has asked for.
fn builder(clock: Clock) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(HyperTimer(clock)).header_read_timeout(None).auto_date_header(false);
    builder
}

enum End {
    Done,
    Broken,
    Stale,
}

/// Serves a connection in a task of its own.
pub(crate) fn spawn<S: Stream>(core: &Rc<Core>, stream: S, client: IpAddr) {
    tokio::task::spawn_local(serve(Membership::new(core), stream, client));
}

async fn serve<S: Stream>(membership: Membership, stream: S, client: IpAddr) {
    let core = Rc::clone(&membership.core);
    let errand = Rc::new(Errand::default());
    let server = Doorkeeper::new(&core, &errand, client);
    let mut connection = builder(core.clock).serve_connection(hyper_io(stream), server);
    let mut told = false;
    let end = poll_fn(|cx| {
        if membership.poll_stale(cx).is_ready() {
            return Poll::Ready(End::Stale);
        }
        if !told && core.gate.state().1 == Wanted::Draining {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection
            .poll_without_shutdown(cx)
            .map(|ended| if ended.is_ok() { End::Done } else { End::Broken })
    })
    .await;
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    match end {
        End::Stale => membership.reset(stream),
        _ if errand.reset.get() => membership.reset(stream),
        End::Broken => {}
        End::Done => match errand.tunnel.take() {
            Some(tunnel) => websocket::run(&membership, stream, parts.read_buf, tunnel).await,
            // An end that fails is an end, too.
            None => drop(stream.shutdown().await),
        },
    }
}
