//! A host: a name, an address, and the tasks that run on it.
//!
//! The tasks of a host live in a `LocalSet` of its own, and so does whatever they spawn with
//! `tokio::task::spawn_local`: a crash drops the set, and nothing of the host is left, however deep it was nested.
//! (On a `LocalRuntime`, `spawn_local` would pass by the set; so the world wants a plain current-thread runtime.)

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, pending, poll_fn},
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use tokio::task::{JoinHandle, LocalSet, spawn_local};

use super::{
    World,
    connection::Key,
    state::Leaving,
    stream::{MemoryListener, MemoryStream},
};
use crate::{BindOptions, Clock, Net};

/// The tasks of a host from a start to a crash.
pub(super) struct Tasks {
    set: LocalSet,
    dead: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    alive: Cell<u64>,
}

impl Tasks {
    /// Starts to run what will be spawned. The runtime's task is the only one that keeps them alive: tasks hold their
    /// host, and would otherwise keep themselves.
    pub(super) fn start() -> Weak<Self> {
        let tasks = Rc::new(Self {
            set: LocalSet::new(),
            dead: Cell::new(false),
            waker: RefCell::new(None),
            alive: Cell::new(0),
        });
        let weak = Rc::downgrade(&tasks);
        spawn_local(async move {
            let mut running = pin!(tasks.set.run_until(pending::<()>()));
            poll_fn(|cx| {
                if !tasks.dead.get() {
                    *tasks.waker.borrow_mut() = Some(cx.waker().clone());
                    let _ = running.as_mut().poll(cx);
                }
                if tasks.dead.get() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
        weak
    }

    /// None of them runs again; they are dropped before time goes on. Returns how many there were.
    pub(super) fn kill(&self) -> u64 {
        self.dead.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
        self.alive.get()
    }
}

/// Counts a task while it lives.
struct Alive(Weak<Tasks>);

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(tasks) = self.0.upgrade() {
            tasks.alive.set(tasks.alive.get() - 1);
        }
    }
}

/// A host of a simulated network, and what its tasks know of that network.
#[derive(Clone)]
pub struct Host {
    pub(super) world: Rc<World>,
    pub(super) index: usize,
    pub(super) clock: Clock,
    pub(super) name: Rc<str>,
    pub(super) ip: IpAddr,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("name", &self.name)
            .field("ip", &self.ip)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Runs a task on this host: a crash drops it, and everything that it has spawned.
    ///
    /// # Errors
    /// When the host has crashed and was not restarted.
    pub fn spawn<F>(&self, task: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let weak = self.world.tasks.borrow()[self.index].clone();
        let running = weak.upgrade().filter(|tasks| !tasks.dead.get());
        let tasks = running.ok_or_else(|| {
            let message = format!("`{}` has crashed and was not restarted", self.name);
            io::Error::new(io::ErrorKind::NotConnected, message)
        })?;
        tasks.alive.set(tasks.alive.get() + 1);
        let alive = Alive(weak);
        Ok(tasks.set.spawn_local(async move {
            let _alive = alive;
            task.await
        }))
    }
}

/// A dial; dropping it gives it up.
struct Dial<'a> {
    world: &'a Rc<World>,
    key: Key,
    under_way: bool,
}

impl Drop for Dial<'_> {
    fn drop(&mut self) {
        if self.under_way {
            self.world.with(|state| state.abandon(self.key, 0, Leaving::Orderly));
        }
    }
}

impl Net for Host {
    type Stream = MemoryStream;
    type Listener = MemoryListener;

    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn bind(&self, address: SocketAddr, options: BindOptions) -> io::Result<MemoryListener> {
        let (id, address) = self.world.with(|state| state.bind(self.index, address, options))?;
        Ok(MemoryListener { world: Rc::clone(&self.world), id, address })
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<MemoryStream> {
        let key = self.world.with(|state| state.dial(self.index, address))?;
        let mut dial = Dial { world: &self.world, key, under_way: true };
        let answer = |cx: &mut Context<'_>| self.world.with(|state| state.poll_dial(key, cx));
        poll_fn(answer).await?;
        dial.under_way = false;
        Ok(MemoryStream { world: Rc::clone(&self.world), key, side: 0 })
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        if host == "localhost" {
            return Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]);
        }
        let found = self.world.with(|state| {
            state.names.get(host).map(|&index| SocketAddr::new(state.hosts[index].ip, port))
        });
        found.map(|address| vec![address]).ok_or_else(|| {
            let message = format!("no host of this network is called `{host}`");
            io::Error::new(io::ErrorKind::NotFound, message)
        })
    }
}
