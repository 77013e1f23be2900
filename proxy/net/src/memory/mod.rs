//! A network in memory: many hosts, one thread, virtual time.
//!
//! Everything runs in one paused current-thread runtime of tokio's. When no task can go on, tokio moves its clock to the
//! next timer, so that idle time costs nothing; and the clock is dilated by a thousand, so that the millisecond to
//! which tokio's timers are exact is a microsecond of the simulation. Links have latency, bandwidth and loss, streams have
//! a window, listeners a backlog, dials a handshake; see `link`, `connection` and `dial` for how like TCP
//! they are, and [`Faults`] for what can go wrong. One seed gives the same segments at the same microseconds, every time:
//! [`Memory::trace`] is the proof.
//!
//! What it leaves out: congestion control and slow start, acknowledgements that take time (so a stream carries at most a
//! window per one-way latency), `TIME_WAIT`, keep-alive probes, and the end of patience with held data (TCP gives up after some 15 minutes; here
//! a connection waits for its repair).

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fmt,
    future::poll_fn,
    io,
    net::IpAddr,
    rc::{Rc, Weak},
    task::Poll,
    time::SystemTime,
};

use policy::Seed;
use tokio::task::spawn_local;

use crate::{
    Clock,
    fault::{Crash, FaultError, Faults, Hits, Kind, LinkSettings, NetworkFault, Place, Touched},
};

mod connection;
mod dial;
mod host;
mod link;
mod state;
mod stream;

pub use host::Host;
pub use stream::{MemoryListener, MemoryStream};

use host::Tasks;
use link::Opener;
use state::{HostState, Leaving, State};

/// A simulated microsecond is tokio's millisecond.
const DILATION: u32 = 1000;

/// What a network is like before anything goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct MemorySettings {
    /// The date at the start.
    pub epoch: SystemTime,
    /// Every link between two hosts, each direction. A host reaches itself at once.
    pub link: LinkSettings,
    /// Bytes that a stream may have written and its peer not yet read, each direction.
    pub window: usize,
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self { epoch: SystemTime::UNIX_EPOCH, link: LinkSettings::default(), window: 256 * 1024 }
    }
}

/// A simulated network; cheap to clone, all clones are the same one.
#[derive(Clone)]
pub struct Memory(Rc<World>);

/// What hosts, streams and listeners share.
pub(crate) struct World {
    clock: Clock,
    state: RefCell<State>,
    tasks: RefCell<Vec<Weak<Tasks>>>,
}

impl World {
    /// Works on the state, and then wakes whom that concerns: waking may drop a task, and with it streams, which
    /// need the state themselves.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let result = work(&mut state);
        if state.wakes.is_empty() {
            return result;
        }
        let mut wakes = std::mem::take(&mut state.wakes);
        drop(state);
        for waker in wakes.drain(..) {
            waker.wake();
        }
        let mut state = self.state.borrow_mut();
        if state.wakes.capacity() == 0 {
            state.wakes = wakes;
        }
        result
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("clock", &self.0.clock).finish_non_exhaustive()
    }
}

impl Memory {
    /// A network without hosts. Must be made inside a `LocalSet` on a current-thread runtime whose clock is paused
    /// (`Builder::start_paused`), before any time has passed on it.
    ///
    /// # Errors
    /// `InvalidInput` when the settings are impossible.
    pub fn new(seed: Seed, settings: MemorySettings) -> io::Result<Self> {
        let MemorySettings { epoch, link, window } = settings;
        let bad = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        if let Some((name, what)) = link.problem() {
            return Err(bad(format!("`{name}` {what}")));
        }
        if window == 0 {
            return Err(bad("`window` must be above 0".to_owned()));
        }
        let clock = Clock::virtual_time(DILATION, epoch);
        let state = State::new(clock, seed.child("network"), window, link);
        let world = World { clock, state: RefCell::new(state), tasks: RefCell::default() };
        let world = Rc::new(world);
        let weak = Rc::downgrade(&world);
        spawn_local(poll_fn(move |cx| match weak.upgrade() {
            Some(world) => {
                world.with(|state| state.run_due(cx));
                Poll::Pending
            }
            None => Poll::Ready(()),
        }));
        Ok(Self(world))
    }

    /// The clock of all hosts.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Another host.
    ///
    /// # Errors
    /// `InvalidInput` when the name or the address is taken, or the address is no host's.
    pub fn add_host(&self, name: &str, ip: IpAddr) -> io::Result<Host> {
        let index = self.0.with(|state| {
            let bad = |text| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
                return bad(format!("{ip} cannot be the address of a host"));
            }
            if state.names.contains_key(name) {
                return bad(format!("there is a host `{name}` already"));
            }
            if state.addresses.contains_key(&ip) {
                return bad(format!("there is a host at {ip} already"));
            }
            let index = state.hosts.len();
            state.names.insert(name.to_owned(), index);
            state.addresses.insert(ip, index);
            state.hosts.push(HostState {
                name: name.to_owned(),
                ip,
                down: None,
                touched: Touched::default(),
                next_port: *dial::EPHEMERAL.start(),
                ports: BTreeSet::new(),
            });
            Ok(index)
        })?;
        self.0.tasks.borrow_mut().push(Tasks::start());
        Ok(Host { world: Rc::clone(&self.0), index, clock: self.0.clock, name: name.into(), ip })
    }

    /// A hash of every arrival so far, in order: two runs with the same one were the same.
    pub fn trace(&self) -> u64 {
        self.0.with(|state| state.trace)
    }

    /// Segments sent so far, those of handshakes and ends included.
    pub fn segments(&self) -> u64 {
        self.0.with(|state| state.segments)
    }

    /// Connections that are not forgotten yet.
    pub fn connections(&self) -> usize {
        self.0.with(|state| state.table.len())
    }

    /// Crashes a host that runs.
    fn crash(&self, index: usize, what: Crash) {
        let tasks = self.0.tasks.borrow()[index].upgrade();
        let dropped = tasks.map_or(0, |tasks| tasks.kill());
        self.0.with(|state| {
            state.hits.tasks_dropped += dropped;
            let sockets = state.hits.sockets_dropped;
            state.crash(index, what);
            let sockets = state.hits.sockets_dropped - sockets;
            state.hosts[index].touched.add(Kind::Crash, dropped + sockets);
        });
    }
}

impl State {
    fn crash(&mut self, host: usize, what: Crash) {
        self.hosts[host].down = Some(what);
        let (ends, backlog) = match what {
            Crash::Process => (Leaving::Orderly, Leaving::Abrupt),
            Crash::Machine => (Leaving::Silent, Leaving::Silent),
        };
        let listeners: Vec<u64> = self
            .listeners
            .iter()
            .filter_map(|(id, listening)| (listening.host == host).then_some(*id))
            .collect();
        self.hits.sockets_dropped += listeners.len() as u64;
        for id in listeners {
            self.unbind(id, backlog);
        }
        let now = self.now();
        for key in self.table.keys() {
            for side in [0, 1] {
                let Some(connection) = self.table.get(key) else { continue };
                if connection.ends[side].host != host {
                    continue;
                }
                if what == Crash::Machine {
                    let stranded = connection.pipes[1 - side].strand(now);
                    self.hits.bytes_held += stranded;
                }
                if !connection.ends[side].is_over() {
                    self.hits.sockets_dropped += 1;
                    self.abandon(key, side, ends);
                }
            }
        }
    }

    fn restart(&mut self, host: usize) {
        self.hosts[host].down = None;
        for link in 0..self.links.len() {
            if self.links[link].from == host || self.links[link].to == host {
                self.resume(link, Opener::Restart(host));
            }
        }
    }

    fn find(&self, name: &str) -> Result<usize, FaultError> {
        self.names.get(name).copied().ok_or_else(|| FaultError::UnknownHost(name.to_owned()))
    }

    /// A fault of this kind begins on a host.
    fn begin(&mut self, name: &str, kind: Kind) -> Result<usize, FaultError> {
        let index = self.find(name)?;
        self.hosts[index].touched.begin(kind);
        Ok(index)
    }

    fn touched(&self, fault: &NetworkFault) -> Option<u64> {
        let index = |name: &String| self.names.get(name).copied();
        let touched = match fault.place() {
            Place::Link(from, to) => {
                let link = self.link_of.get(&(index(from)?, index(to)?))?;
                &self.links[*link].touched
            }
            Place::Host(host) => &self.hosts[index(host)?].touched,
        };
        Some(touched.get(fault.kind()))
    }

    /// Changes a link of the network.
    fn change(
        &mut self,
        from: &str,
        to: &str,
        kind: Kind,
        change: impl FnOnce(&mut link::Link),
    ) -> Result<usize, FaultError> {
        let (from, to) = (self.find(from)?, self.find(to)?);
        let index = self.link(from, to);
        self.links[index].touched.begin(kind);
        change(&mut self.links[index]);
        Ok(index)
    }
}

/// What is impossible about settings.
fn possible(settings: &LinkSettings) -> Result<(), FaultError> {
    settings.problem().map_or(Ok(()), |(name, what)| Err(FaultError::Impossible(name, what)))
}

impl Faults for Memory {
    fn inflict(&self, fault: &NetworkFault) -> Result<(), FaultError> {
        let kind = fault.kind();
        match fault {
            NetworkFault::Cut { from, to } => {
                self.0.with(|state| state.change(from, to, kind, |link| link.cut = true))?;
            }
            NetworkFault::Repair { from, to } => self.0.with(|state| {
                let link = state.change(from, to, kind, |link| link.cut = false)?;
                state.resume(link, Opener::Repair);
                Ok(())
            })?,
            NetworkFault::Latency { from, to, latency } => {
                let latency = latency.clone();
                possible(&LinkSettings { latency: latency.clone(), ..LinkSettings::default() })?;
                let change = |link: &mut link::Link| link.settings.latency = latency;
                self.0.with(|state| state.change(from, to, kind, change))?;
            }
            NetworkFault::Rate { from, to, bandwidth } => {
                possible(&LinkSettings { bandwidth: *bandwidth, ..LinkSettings::default() })?;
                let change = |link: &mut link::Link| link.settings.bandwidth = *bandwidth;
                self.0.with(|state| state.change(from, to, kind, change))?;
            }
            NetworkFault::Loss { from, to, probability } => {
                possible(&LinkSettings { loss: *probability, ..LinkSettings::default() })?;
                let change = |link: &mut link::Link| link.settings.loss = *probability;
                self.0.with(|state| state.change(from, to, kind, change))?;
            }
            NetworkFault::Crash { host, what } => {
                let index = self.0.with(|state| state.begin(host, kind))?;
                if self.0.with(|state| state.hosts[index].down.is_none()) {
                    self.crash(index, *what);
                }
            }
            NetworkFault::Restart { host } => {
                let index = self.0.with(|state| state.begin(host, kind))?;
                if self.0.with(|state| state.hosts[index].down.is_some()) {
                    self.0.tasks.borrow_mut()[index] = Tasks::start();
                    self.0.with(|state| state.restart(index));
                }
            }
        }
        Ok(())
    }

    fn hits(&self) -> Hits {
        self.0.with(|state| state.hits)
    }

    fn touched(&self, fault: &NetworkFault) -> u64 {
        self.0.with(|state| state.touched(fault)).unwrap_or(0)
    }
}
