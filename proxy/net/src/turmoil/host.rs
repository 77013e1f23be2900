//! Hosts: what their tasks know of the network, and how they are run.
//!
//! The tasks of a machine live in a `LocalSet` inside of turmoil's, which drops it when it crashes. Each life of a machine has
//! a runtime of its own, and so a clock of its own that goes on where the last one stood.

use std::{
    cell::{Cell, OnceCell, RefCell},
    fmt,
    future::{Future, pending, poll_fn},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::pin,
    rc::{Rc, Weak},
    time::SystemTime,
};

use policy::Instant;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use turmoil::net::{TcpListener, TcpStream};

use super::{
    Wire,
    flow::Dial,
    state::{Listening, NewDial},
    stream::{TurmoilListener, TurmoilStream},
};
use crate::{BindOptions, Clock, Net, SimulatedHost};

/// What a machine runs from a start to a crash.
pub(super) struct Tasks {
    set: LocalSet,
    alive: Cell<u64>,
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

/// A clock for each life of a machine: references to the old ones stay good.
struct Life {
    clock: Clock,
    next: OnceCell<Box<Life>>,
}

/// One of turmoil's hosts.
pub(super) struct Machine {
    index: usize,
    dilation: u32,
    epoch: SystemTime,
    life: OnceCell<Box<Life>>,
    tasks: RefCell<Weak<Tasks>>,
}

impl Machine {
    pub(super) fn new(index: usize, dilation: u32, epoch: SystemTime) -> Self {
        let (life, tasks) = (OnceCell::new(), RefCell::default());
        Self { index, dilation, epoch, life, tasks }
    }

    /// Begins a life, in the runtime that it is for: what turmoil is to run.
    pub(super) fn begin(
        self: &Rc<Self>,
        wire: &Rc<Wire>,
    ) -> impl Future<Output = turmoil::Result> + use<> {
        let now = Instant::from_nanos(wire.state.borrow().now);
        let clock = Clock::virtual_since(self.dilation, self.epoch, now);
        let mut last = &self.life;
        while let Some(life) = last.get() {
            last = &life.next;
        }
        // It is empty: the loop has just seen it.
        let _ = last.set(Box::new(Life { clock, next: OnceCell::new() }));
        let tasks = Rc::new(Tasks { set: LocalSet::new(), alive: Cell::new(0) });
        *self.tasks.borrow_mut() = Rc::downgrade(&tasks);
        let (wire, index) = (Rc::downgrade(wire), self.index);
        async move {
            let mut running = pin!(tasks.set.run_until(pending::<()>()));
            poll_fn(|cx| {
                let Some(wire) = wire.upgrade() else { return running.as_mut().poll(cx) };
                wire.current.set(Some(index));
                let poll = running.as_mut().poll(cx);
                wire.current.set(None);
                poll
            })
            .await;
            Ok(())
        }
    }

    fn clock(&self) -> &Clock {
        let mut life = self.life.get().expect("turmoil begins a machine when it is registered");
        while let Some(next) = life.next.get() {
            life = next;
        }
        &life.clock
    }

    /// Tasks that run on it.
    pub(super) fn alive(&self) -> u64 {
        self.tasks.borrow().upgrade().map_or(0, |tasks| tasks.alive.get())
    }
}

/// A host of a network of turmoil's.
#[derive(Clone)]
pub struct TurmoilHost {
    pub(super) wire: Rc<Wire>,
    pub(super) index: usize,
    pub(super) machine: Rc<Machine>,
    pub(super) name: Rc<str>,
    pub(super) ip: IpAddr,
}

impl fmt::Debug for TurmoilHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurmoilHost")
            .field("name", &self.name)
            .field("ip", &self.ip)
            .finish_non_exhaustive()
    }
}

impl SimulatedHost for TurmoilHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn ip(&self) -> IpAddr {
        self.ip
    }

    fn spawn<F>(&self, task: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let weak = self.machine.tasks.borrow().clone();
        let tasks = weak.upgrade().ok_or_else(|| {
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

impl TurmoilHost {
    /// turmoil's sockets belong to whoever runs.
    fn must_run(&self) -> io::Result<()> {
        if self.wire.current.get() == Some(self.machine.index) {
            return Ok(());
        }
        let message =
            format!("only a task that was spawned on `{}` may use its sockets", self.name);
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }
}

/// A dial that somebody waits for; dropping it gives it up.
struct Dialing<'a> {
    host: &'a TurmoilHost,
    dial: Rc<Dial>,
    /// turmoil's part of it.
    task: Option<JoinHandle<io::Result<TcpStream>>>,
}

impl Drop for Dialing<'_> {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        self.dial.given_up.set(true);
        let [client, server] = &self.dial.flow.0;
        client.gone.set(true);
        // Once it has been accepted its end must be heard: the task then gets the stream, and drops it.
        if server.gone.get() {
            task.abort();
        } else {
            self.host.wire.with(|state| state.vacate(self.host.index));
        }
    }
}

impl Net for TurmoilHost {
    type Stream = TurmoilStream;
    type Listener = TurmoilListener;

    fn clock(&self) -> &Clock {
        self.machine.clock()
    }

    async fn bind(&self, address: SocketAddr, options: BindOptions) -> io::Result<TurmoilListener> {
        self.must_run()?;
        let ip = address.ip();
        if ip != self.ip && !ip.is_loopback() && !ip.is_unspecified() {
            let message = format!("{ip} is not an address of `{}`", self.name);
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message));
        }
        let port = match address.port() {
            0 => 0,
            port => self.wire.with(|state| state.port(self.index, port)),
        };
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let mut bound = TcpListener::bind(any).await;
        if bound.is_err() && !self.wire.with(|state| state.listens(self.index, port)) {
            // The task of a listener that has just been dropped has not been dropped yet.
            tokio::task::yield_now().await;
            bound = TcpListener::bind(any).await;
        }
        let listener = bound?;
        let mut address = SocketAddr::new(ip, address.port());
        if address.port() == 0 {
            address.set_port(listener.local_addr()?.port());
        }
        let backlog = (options.backlog as usize).clamp(1, super::CAPACITY);
        let listening = Listening { host: self.index, backlog, waiting: Cell::new(0) };
        Ok(TurmoilListener::start(&self.wire, listener, address, listening))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TurmoilStream> {
        self.must_run()?;
        let (server, to) = self.wire.with(|state| state.target(self.index, address))?;
        let mut opening = Box::pin(TcpStream::connect(to));
        let from = self.wire.with(|state| state.machine_ip(self.index));
        if to.ip().is_loopback() || to.ip() == from {
            return Ok(TurmoilStream::new(&self.wire, opening.await?, None));
        }
        // turmoil sends the first packet now; at the end of the step the wire finds it and knows the port.
        let early = poll_fn(|cx| std::task::Poll::Ready(opening.as_mut().poll(cx))).await;
        if let std::task::Poll::Ready(Err(error)) = early {
            return Err(error);
        }
        let dial = Dial::new();
        self.wire.with(|state| {
            state.occupy(self.index);
            let (client, dial) = (self.index, Rc::clone(&dial));
            state.dials.push(NewDial { client, server, from, to, dial });
        });
        let task = spawn_local({
            let dial = Rc::downgrade(&dial);
            async move {
                let result = opening.await;
                if let (Err(error), Some(dial)) = (&result, dial.upgrade())
                    && !dial.refused.get()
                    && let Some(waker) = dial.settle(Err(error.kind()))
                {
                    waker.wake();
                }
                result
            }
        });
        let mut dialing = Dialing { host: self, dial: Rc::clone(&dial), task: Some(task) };
        poll_fn(|cx| dial.poll(cx)).await?;
        let Some(task) = dialing.task.take() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let stream = task.await.map_err(|_| io::ErrorKind::ConnectionAborted)??;
        let key = (stream.local_addr()?, to);
        let end =
            super::stream::End { key, flow: Rc::clone(&dial.flow), side: 0, host: self.index };
        Ok(TurmoilStream::new(&self.wire, stream, Some(end)))
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        if host == "localhost" {
            return Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]);
        }
        let ip = self.wire.with(|state| state.resolve(host)).ok_or_else(|| {
            let message = format!("no host of this network is called `{host}`");
            io::Error::new(io::ErrorKind::NotFound, message)
        })?;
        Ok(vec![SocketAddr::new(ip, port)])
    }
}
