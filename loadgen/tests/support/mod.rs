//! What the generator is tested against: a tiny server, and a network that is nothing but pipes on virtual time.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Collected, Full};
use hyper::{body::Incoming, service::service_fn};
use loadgen::{Carry, End, Ledger, Load, NamedLoad, Plan, Progress, Share, Stop};
use net::{BindOptions, Clock, Listener, Net, Stream, hyper_io};
use policy::{
    Instant, Seed,
    work::{Pattern, number_of_target},
};
use reports::{Measurement, RecorderConfig};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::mpsc,
};

pub(crate) const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

/// A network of pipes with one address; connecting takes a millisecond.
#[derive(Clone)]
pub(crate) struct Pipes {
    clock: Clock,
    server: Rc<RefCell<Option<mpsc::UnboundedSender<DuplexStream>>>>,
}

impl Pipes {
    pub(crate) fn new() -> Self {
        Self { clock: Clock::virtual_time(1000, SystemTime::UNIX_EPOCH), server: Rc::default() }
    }
}

pub(crate) struct Pipe(DuplexStream);

pub(crate) struct PipeListener(RefCell<mpsc::UnboundedReceiver<DuplexStream>>);

impl Net for Pipes {
    type Stream = Pipe;
    type Listener = PipeListener;

    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn bind(&self, _: SocketAddr, _: BindOptions) -> io::Result<PipeListener> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.server.borrow_mut() = Some(sender);
        Ok(PipeListener(RefCell::new(receiver)))
    }

    async fn connect(&self, _: SocketAddr) -> io::Result<Pipe> {
        self.clock.sleep(Duration::from_millis(1)).await;
        let (near, far) = tokio::io::duplex(64 * 1024);
        let server = self.server.borrow();
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        server.as_ref().ok_or_else(refused)?.send(far).map_err(|_| refused())?;
        Ok(Pipe(near))
    }

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![HERE])
    }
}

impl Listener for PipeListener {
    type Stream = Pipe;

    #[allow(clippy::await_holding_refcell_ref, reason = "one task accepts")]
    async fn accept(&self) -> io::Result<(Pipe, SocketAddr)> {
        let stream = self.0.borrow_mut().recv().await;
        Ok((Pipe(stream.ok_or(io::ErrorKind::BrokenPipe)?), HERE))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(HERE)
    }
}

impl Stream for Pipe {
    fn reset(self) {}
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What the server has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: Cell<u64>,
    pub(crate) requests: Cell<u64>,
    pub(crate) in_flight: Cell<i64>,
    pub(crate) most_in_flight: Cell<i64>,
    pub(crate) paths: RefCell<Vec<String>>,
    pub(crate) clients: RefCell<Vec<String>>,
    /// Until then every request waits.
    pub(crate) stands_still_until: Cell<Instant>,
}

fn number(request: &Request<Incoming>, name: &str) -> Option<u64> {
    request.headers().get(name)?.to_str().ok()?.parse().ok()
}

async fn answer(clock: Clock, seen: &Seen, request: Request<Incoming>) -> Response<Full<Bytes>> {
    seen.requests.set(seen.requests.get() + 1);
    let path = request.uri().path().to_owned();
    seen.paths.borrow_mut().push(path.clone());
    if let Some(client) = request.headers().get(loadgen::CLIENT_HEADER) {
        seen.clients.borrow_mut().push(client.to_str().unwrap().to_owned());
    }
    let id = number(&request, "windtunnel-id");
    let work = number(&request, "windtunnel-work").unwrap_or(0);
    let size = number(&request, "windtunnel-size").unwrap_or(100);
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    if let Some(id) = id {
        assert_eq!(Pattern::new(id).mismatch(0, &body), None);
    }
    clock.sleep_until(seen.stands_still_until.get()).await;
    clock.sleep(Duration::from_nanos(work)).await;
    let mut bytes = vec![0; size as usize];
    let of = path.strip_prefix("/content/").map(|_| number_of_target(path.as_bytes()));
    // Everybody who asks for /other gets what stands at /content/1.
    let of = of.or((path == "/other").then(|| number_of_target(b"/content/1")));
    Pattern::new(of.or(id).unwrap_or(0)).fill(0, &mut bytes);
    if path == "/wrong" {
        bytes[7] ^= 1;
    }
    if path == "/short" {
        bytes.pop();
    }
    let status = path.strip_prefix("/status/").map_or(200, |code| code.parse().unwrap());
    let mut response = Response::builder().status(status).header("windtunnel-endpoint", "web-1");
    if let Some(number) = of {
        response = response.header("windtunnel-id", number);
    }
    if path.ends_with("/kept") {
        response = response.header("age", 3);
    }
    if path == "/close" {
        response = response.header("connection", "close");
    }
    response.body(Full::new(bytes.into())).unwrap()
}

/// Serves until the runtime ends.
pub(crate) async fn serve<N: Net>(net: &N, address: SocketAddr) -> (SocketAddr, Rc<Seen>) {
    let listener = net.bind(address, BindOptions::default()).await.unwrap();
    let address = listener.local_address().unwrap();
    let seen = Rc::new(Seen::default());
    let (clock, shared) = (*net.clock(), Rc::clone(&seen));
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            shared.connections.set(shared.connections.get() + 1);
            let shared = Rc::clone(&shared);
            tokio::task::spawn_local(async move {
                let service = service_fn(async |request| {
                    let count = shared.in_flight.get() + 1;
                    shared.in_flight.set(count);
                    shared.most_in_flight.set(shared.most_in_flight.get().max(count));
                    let response = answer(clock, &shared, request).await;
                    shared.in_flight.set(shared.in_flight.get() - 1);
                    Ok::<_, Infallible>(response)
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_io(stream), service)
                    .await;
            });
        }
    });
    (address, seen)
}

pub(crate) fn named(name: &str, text: &str) -> NamedLoad {
    let load: Load = toml::from_str(text).expect("a load");
    assert_eq!(load.problem(), None);
    NamedLoad { name: name.to_owned(), load, work: None }
}

pub(crate) fn plan(address: SocketAddr, seconds: Option<f64>, loads: &[NamedLoad]) -> Plan {
    let duration = seconds.map(Duration::from_secs_f64);
    let mut recorder = RecorderConfig::new(duration, Duration::ZERO);
    recorder.endpoints = vec!["web-0".to_owned(), "web-1".to_owned()];
    Plan {
        loads: loads.to_vec(),
        seed: Seed(7),
        duration,
        addresses: vec![address],
        host: "test".to_owned(),
        recorder,
        carry: Carry::Work,
        payload: None,
        share: Share::WHOLE,
        only: None,
    }
}

/// Runs a plan from now on.
pub(crate) async fn run<N: Net>(net: &N, plan: &Plan) -> (Ledger, End) {
    let start = net.clock().now();
    loadgen::run(net, plan, start, Arc::new(Progress::default()), Stop::never()).await.unwrap()
}

pub(crate) fn measure(ledger: &Ledger) -> Measurement {
    ledger.recorder.clone().finish()
}

pub(crate) fn figure(measurement: &Measurement, name: &str) -> f64 {
    measurement.metrics.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", measurement.metrics))
}

/// Runs a test on virtual time.
pub(crate) fn paused(test: impl AsyncFnOnce(Pipes)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async { test(Pipes::new()).await });
}

/// Runs a test on real sockets.
pub(crate) fn real(test: impl AsyncFnOnce(net::Real)) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async { test(net::Real::new()).await });
}
