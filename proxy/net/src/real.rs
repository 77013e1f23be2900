//! The machine's own network.
//!
//! What a proxy wants of its sockets: `TCP_NODELAY` on both sides (a head and its body are written at
//! once, and what is written shall leave), `SO_REUSEPORT` so that each core has a listener of its own and the kernel
//! spreads the connections, a deep backlog, and TCP keep-alive so that a peer that has vanished is noticed.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::{BindOptions, Clock, Listener, Net, Sharing, Stream};

/// Real sockets and real time.
#[derive(Clone, Debug)]
pub struct Real {
    clock: Clock,
}

impl Real {
    /// The machine's network, with a clock that starts now.
    pub fn new() -> Self {
        Self { clock: Clock::real() }
    }

    /// The machine's network with a clock that is already running: for one process of many threads.
    pub fn with_clock(clock: Clock) -> Self {
        Self { clock }
    }
}

impl Default for Real {
    fn default() -> Self {
        Self::new()
    }
}

/// After how long an idle connection is probed, and how often from then on.
const KEEPALIVE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(15));

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (idle, interval) = KEEPALIVE;
    SockRef::from(stream)
        .set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(interval))
}

impl Net for Real {
    type Stream = TcpStream;
    type Listener = TcpListener;

    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn bind(&self, address: SocketAddr, options: BindOptions) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        if options.sharing == Sharing::Shared {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        TcpListener::from_std(socket.into())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        tune(&stream)?;
        Ok(stream)
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")));
        }
        Ok(addresses)
    }

    async fn compute<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        tokio::task::spawn_blocking(job).await.map_err(io::Error::other)
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // A peer that is gone already makes this fail; its connection then ends at the first read.
        let _ = tune(&stream);
        Ok((stream, peer))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

impl Stream for TcpStream {
    fn reset(self) {
        // If it fails the peer sees an orderly end instead: nothing more can be done.
        let _ = SockRef::from(&self).set_linger(Some(Duration::ZERO));
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn run(test: impl AsyncFnOnce(Real)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { test(Real::new()).await });
    }

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn what_takes_long_is_computed_on_another_thread() {
        run(async |net: Real| {
            let there = net.compute(|| std::thread::current().id()).await.expect("it is computed");
            assert_ne!(there, std::thread::current().id());
            // Work that dies is an error, and nobody else's end.
            assert!(net.compute(|| assert_eq!(1, 2, "on purpose")).await.is_err());
        });
    }

    #[test]
    fn bytes_go_there_and_back_and_a_reset_is_seen_as_one() {
        run(async |net| {
            let listener = net.bind(ANY, BindOptions::default()).await.unwrap();
            let address = listener.local_address().unwrap();
            let mut client = net.connect(address).await.unwrap();
            let (mut server, peer) = Listener::accept(&listener).await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
            assert!(client.nodelay().unwrap() && server.nodelay().unwrap());
            client.write_all(b"ping").await.unwrap();
            let mut buf = [0; 4];
            server.read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"ping");
            server.reset();
            let error = client.read(&mut buf).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        });
    }

    #[test]
    fn only_shared_addresses_can_be_bound_twice() {
        run(async |net| {
            let shared = BindOptions { sharing: Sharing::Shared, ..BindOptions::default() };
            let first = net.bind(ANY, shared).await.unwrap();
            let address = first.local_address().unwrap();
            assert!(net.bind(address, shared).await.is_ok());
            let alone = net.bind(ANY, BindOptions::default()).await.unwrap();
            assert!(
                net.bind(alone.local_address().unwrap(), BindOptions::default()).await.is_err()
            );
        });
    }

    #[test]
    fn names_are_resolved() {
        run(async |net| {
            let found = net.resolve("localhost", 80).await.unwrap();
            assert!(found.iter().all(|address| address.ip().is_loopback()));
        });
    }
}
