//! The one seam to the outside: sockets, names and time.
//!
//! The engine, the backends and the load generator are generic over [`Net`] and nothing else. What they
//! are given decides their world: [`Real`] is the machine's own network and clock; [`memory`] simulates one, and so does
//! `turmoil` (a cargo feature), independently of it.
//! Nothing above this crate knows which one it runs on, asks the machine for the time, or opens a socket
//! by itself.
//!
//! The contract, in every world: tasks are spawned with `tokio::task::spawn_local` on a current-thread
//! runtime, streams are tokio's `AsyncRead + AsyncWrite`, and every duration passes through the [`Clock`] exactly
//! once, because a simulated world may stretch it.

#![allow(
    clippy::disallowed_methods,
    reason = "this crate is where the clock comes from: the ban is for everything above it"
)]

use std::{future::Future, io, net::SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};

mod clock;
mod far_side;
mod fault;
pub mod memory;
mod pacer;
mod real;
mod simulated;
mod timer;
#[cfg(feature = "turmoil")]
pub mod turmoil;

pub use clock::{Clock, Elapsed};
pub use far_side::{HyperTimer, hyper_io};
pub use fault::{Crash, FaultError, Faults, Hits, LinkSettings, NetworkFault};
pub use pacer::Pacer;
pub use real::Real;
pub use simulated::{SimulatedHost, SimulatedNet};
pub use timer::Timer;

/// A network: listeners, connections, names, and the clock that belongs to them.
pub trait Net: Clone + 'static {
    /// An established connection.
    type Stream: Stream;
    /// A bound listener.
    type Listener: Listener<Stream = Self::Stream>;

    /// The clock of this world.
    fn clock(&self) -> &Clock;

    /// Binds a listener; port 0 lets the world choose one.
    fn bind(
        &self,
        address: SocketAddr,
        options: BindOptions,
    ) -> impl Future<Output = io::Result<Self::Listener>>;

    /// Opens a connection. It may take for ever: the caller sets the limit.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>>;

    /// The addresses of `host`, in the resolver's order, at least one.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>>;

    /// Computes what would keep the thread from everything else for long: on another thread where time is real; at once in a
    /// simulated world, where nobody notices how long it takes. It is computed to its end even if nobody waits for it any more.
    fn compute<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> {
        async move { Ok(job()) }
    }
}

/// How a listener is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindOptions {
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// Whether others may bind the same address.
    pub sharing: Sharing,
}

/// Whether a listener shares its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// The address is this listener's alone; a second bind fails.
    Exclusive,
    /// Several listeners share the address and the kernel spreads connections over them (`SO_REUSEPORT`).
    Shared,
}

impl Default for BindOptions {
    fn default() -> Self {
        Self { backlog: 1024, sharing: Sharing::Exclusive }
    }
}

/// A listener.
pub trait Listener: 'static {
    /// What it accepts.
    type Stream: Stream;

    /// The next connection and its peer's address. Cancel-safe.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>>;

    /// The address that is bound.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Closes at once, so that the peer sees a reset and not an orderly end: the only honest way to end a
    /// message whose framing cannot say that it is incomplete.
    fn reset(self);
}
