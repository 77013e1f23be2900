//! A network of pipes on a paused clock, and a client: what the tests of the server stand on.
//!
//! Time passes only when everybody waits, so that durations can be compared exactly and an hour costs nothing.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own share of this")]

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use backend_sim::{BackendConfig, Endpoint, serve};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use net::{BindOptions, Clock, Listener, Net, Stream, hyper_io};
use policy::{Instant, Seed};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::{Mutex, mpsc},
    task::{LocalSet, spawn_local},
};

type Ports = Rc<RefCell<BTreeMap<SocketAddr, mpsc::UnboundedSender<Pipe>>>>;

#[derive(Clone)]
pub struct Pipes {
    clock: Clock,
    ports: Ports,
}

pub struct Pipe {
    io: DuplexStream,
    was_reset: Rc<Cell<bool>>,
}

pub struct Port {
    address: SocketAddr,
    inbox: Mutex<mpsc::UnboundedReceiver<Pipe>>,
    ports: Ports,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.ports.borrow_mut().remove(&self.address);
    }
}

impl Net for Pipes {
    type Stream = Pipe;
    type Listener = Port;

    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn bind(&self, address: SocketAddr, _: BindOptions) -> io::Result<Port> {
        let (sender, inbox) = mpsc::unbounded_channel();
        if self.ports.borrow().contains_key(&address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.ports.borrow_mut().insert(address, sender);
        Ok(Port { address, inbox: Mutex::new(inbox), ports: Rc::clone(&self.ports) })
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Pipe> {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let was_reset = Rc::new(Cell::new(false));
        let far = Pipe { io: far, was_reset: Rc::clone(&was_reset) };
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        self.ports.borrow().get(&address).ok_or_else(refused)?.send(far).map_err(|_| refused())?;
        Ok(Pipe { io: near, was_reset })
    }

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Listener for Port {
    type Stream = Pipe;

    async fn accept(&self) -> io::Result<(Pipe, SocketAddr)> {
        let pipe = self.inbox.lock().await.recv().await;
        Ok((pipe.ok_or(io::ErrorKind::NotConnected)?, self.address))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Stream for Pipe {
    fn reset(self) {
        self.was_reset.set(true);
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        if self.was_reset.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        result
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

pub fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

/// A world with one endpoint in it.
pub struct Bench {
    pub net: Pipes,
    pub endpoint: Endpoint,
}

/// Runs `test` in simulated time, a thousandfold dilated, with an endpoint `web-0` of this configuration.
pub fn with(config: &BackendConfig, test: impl AsyncFnOnce(Bench)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::virtual_time(1000, SystemTime::UNIX_EPOCH);
        let net = Pipes { clock, ports: Ports::default() };
        let endpoint = serve(net.clone(), Seed(7), "web-0", address(80), config).await.unwrap();
        test(Bench { net, endpoint }).await;
    });
}

/// An answer, read to its end, and when that was.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub at: u64,
}

pub type Sender = SendRequest<Full<Bytes>>;

impl Bench {
    pub fn micros(&self) -> u64 {
        self.net.clock.now().nanos_since(Instant::START) / 1000
    }

    pub async fn sleep(&self, micros: u64) {
        self.net.clock.sleep(Duration::from_micros(micros)).await;
    }

    pub async fn connect(&self) -> Sender {
        let stream = self.net.connect(address(80)).await.expect("it listens");
        let (sender, connection) =
            hyper::client::conn::http1::handshake(hyper_io(stream)).await.unwrap();
        spawn_local(async move { drop(connection.await) });
        sender
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
        let response = self.connect().await.send_request(request).await?;
        self.read(response).await
    }

    pub async fn read(&self, response: Response<Incoming>) -> hyper::Result<Answer> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body, at: self.micros() })
    }

    /// Starts a GET with this work, in microseconds, and lets it reach the endpoint.
    pub async fn start(&self, work: u64) -> tokio::task::JoinHandle<hyper::Result<(u16, u64)>> {
        let mut sender = self.connect().await;
        let clock = self.net.clock;
        let task = spawn_local(async move {
            let response = sender.send_request(get(work)).await?;
            let status = response.status().as_u16();
            response.into_body().collect().await?;
            Ok((status, clock.now().nanos_since(Instant::START) / 1000))
        });
        self.settle().await;
        task
    }

    /// Lets everybody do what there is to do now, in no time.
    pub async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

/// A GET with this work, in microseconds.
pub fn get(work: u64) -> Request<Full<Bytes>> {
    plain().header("windtunnel-work", work * 1000).body(Full::default()).unwrap()
}

pub fn plain() -> http::request::Builder {
    Request::builder().uri("/").header("host", "web")
}
