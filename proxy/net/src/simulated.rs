//! What simulated networks have in common, for a world that shall run on either.
//!
//! A world adds its hosts by name, spawns tasks on them, waits on the network's clock for the time of its events, and
//! inflicts them. [`Memory`](crate::memory::Memory) and `Turmoil` differ in who runs them: a `Memory` is made
//! inside the caller's own paused runtime, turmoil brings its own and is handed a function that is the world.

use std::{future::Future, io, net::IpAddr};

use tokio::task::JoinHandle;

use crate::{
    Clock, Faults, Net,
    memory::{Host, Memory},
};

/// A simulated network; cheap to clone, all clones are the same one.
pub trait SimulatedNet: Faults + Clone + 'static {
    /// Its hosts.
    type Host: SimulatedHost;

    /// The clock of the task that directs it. A task on a host must use its host's, and nobody else may use that.
    fn clock(&self) -> &Clock;

    /// Another host.
    ///
    /// # Errors
    /// `InvalidInput` when the name or the address is taken, or the address is no host's.
    fn add_host(&self, name: &str, ip: IpAddr) -> io::Result<Self::Host>;

    /// A hash of every arrival so far, in order: two runs with the same one were the same.
    fn trace(&self) -> u64;
}

/// A host of a simulated network: its tasks see that network through it.
pub trait SimulatedHost: Net {
    /// Its name.
    fn name(&self) -> &str;

    /// Its address.
    fn ip(&self) -> IpAddr;

    /// Runs a task on this host: a crash drops it, and everything that it has spawned.
    ///
    /// # Errors
    /// When the host has crashed and was not restarted.
    fn spawn<F>(&self, task: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static;
}

impl SimulatedNet for Memory {
    type Host = Host;

    fn clock(&self) -> &Clock {
        self.clock()
    }

    fn add_host(&self, name: &str, ip: IpAddr) -> io::Result<Host> {
        self.add_host(name, ip)
    }

    fn trace(&self) -> u64 {
        self.trace()
    }
}

impl SimulatedHost for Host {
    fn name(&self) -> &str {
        self.name()
    }

    fn ip(&self) -> IpAddr {
        self.ip()
    }

    fn spawn<F>(&self, task: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn(task)
    }
}
