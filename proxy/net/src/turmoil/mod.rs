//! A network by the crate turmoil: many hosts, each with a runtime of its own, in steps of a tick.
//!
//! It is here to judge [`memory`](crate::memory), which is ours from end to end: the same engine, backends and load on an
//! independent simulator must come to the same end. turmoil brings hosts, their crashes and restarts, sockets, streams and
//! their order; `wire` says when each message arrives, `flow` adds what its streams lack, `host` and `stream` are the
//! [`Net`](crate::Net) over it.
//!
//! **Time.** Everything happens in ticks, and tokio's timers make a tick a millisecond at least. So time is dilated: with
//! a dilation of 10 a tick is 100 µs of the scenario. A message takes its latency, rounded up to ticks, and one tick at
//! least; a timer is rounded up to a tick, too. Each tick costs, whether anything happens or not:
//! [`TurmoilSettings::lasting`] chooses the finest that is still quick.
//!
//! **What differs from `memory`**, beside the tick: a connection can be accepted when its dial arrives, not half a round
//! trip later; a dial that is given up after it has arrived is seen by its server as a connection that ends at once; news of what was
//! read pass cuts; nothing lies between hosts that share a machine, and such hosts cannot crash; an address can be
//! bound once only. What the two have in common, they have written twice.
//!
//! **Clocks.** A runtime has its own zero: a task on a host must use its host's clock, the world that of [`Turmoil`].

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    net::IpAddr,
    pin::pin,
    rc::{Rc, Weak},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, SystemTime},
};

use policy::Seed;
use tokio::task::LocalSet;
use turmoil::Sim;

use crate::{
    Clock, Crash, FaultError, Faults, Hits, LinkSettings, NetworkFault, SimulatedNet, fault::Kind,
};

mod flow;
mod host;
mod link;
mod state;
mod stream;
mod wire;

pub use host::TurmoilHost;
pub use stream::{TurmoilListener, TurmoilStream};

use host::Machine;
use link::Freed;
use state::State;

/// A tick of turmoil's: the shortest that tokio's timers know.
const TICK: Duration = Duration::from_millis(1);
/// Messages that a stream may have under way, and dials that a listener may: our own limits come first.
const CAPACITY: usize = 4096;
/// Connections that are over are forgotten once in so many ticks.
const FORGET_EVERY: u64 = 1024;

/// What a network is like before anything goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct TurmoilSettings {
    /// The date at the start.
    pub epoch: SystemTime,
    /// Every link between two hosts, each direction.
    pub link: LinkSettings,
    /// Bytes that a stream may have written and its peer not yet read, each direction.
    pub window: usize,
    /// Ticks in a millisecond of the scenario: a divisor of 1000.
    pub dilation: u32,
    /// turmoil's hosts, 2 to 200: as many of ours have one of their own. If there are more of ours, then those beyond and the
    /// last six before share six: hosts that shall crash are to be added early. Fewer machines are much quicker.
    pub machines: usize,
}

impl Default for TurmoilSettings {
    fn default() -> Self {
        Self {
            epoch: SystemTime::UNIX_EPOCH,
            link: LinkSettings::default(),
            window: 256 * 1024,
            dilation: 10,
            machines: 30,
        }
    }
}

impl TurmoilSettings {
    /// So many machines are shared when there are more hosts than machines.
    pub const SHARED: usize = state::SHARED;

    /// As the default, with finer ticks the shorter a scenario is: of 10 µs up to 10 s, of 100 µs up to 100 s, and of
    /// 1 ms beyond. A million ticks take 8 s of real time with 3 machines and 160 s with 30 (measured on a busy
    /// machine of 2026), however little happens in them: who has many hosts wants a smaller `dilation`, or fewer
    /// `machines`.
    pub fn lasting(duration: Duration) -> Self {
        let dilation = match duration.as_secs_f64() {
            ..=10.0 => 100,
            ..=100.0 => 10,
            _ => 1,
        };
        Self { dilation, ..Self::default() }
    }

    fn problem(&self) -> Option<String> {
        if let Some((name, what)) = self.link.problem() {
            return Some(format!("`{name}` {what}"));
        }
        let before_epoch = self.epoch < SystemTime::UNIX_EPOCH;
        [
            (self.window == 0, "`window` must be above 0"),
            (self.dilation == 0 || 1000 % self.dilation != 0, "`dilation` must divide 1000"),
            (!(2..=200).contains(&self.machines), "`machines` must be 2 to 200"),
            (before_epoch, "`epoch` must not be before 1970"),
        ]
        .into_iter()
        .find_map(|(bad, text)| bad.then(|| text.to_owned()))
    }
}

/// What hosts, streams and listeners share. It does not hold the simulation, which holds them.
pub(crate) struct Wire {
    state: RefCell<State>,
    sim: RefCell<Weak<RefCell<Sim<'static>>>>,
    machines: RefCell<Vec<Rc<Machine>>>,
    /// The machine whose tasks run now.
    current: Cell<Option<usize>>,
    window: usize,
    dilation: u32,
    epoch: SystemTime,
}

impl Wire {
    /// Works on the state, and then wakes whom that concerns: waking may drop a stream, which needs the state itself.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let result = work(&mut state);
        let wakes = std::mem::take(&mut state.wakes);
        drop(state);
        for waker in wakes {
            waker.wake();
        }
        result
    }

    /// Crashes or restarts a host, outside of any step.
    fn turn(&self, sim: &mut Sim<'static>, fault: &NetworkFault) {
        let find = |name: &str| {
            let state = self.state.borrow();
            state.find(name).map(|host| (host, state.hosts[host].machine, state.hosts[host].down))
        };
        match fault {
            NetworkFault::Crash { host, what } => {
                let Some((host, machine, None)) = find(host) else { return };
                let tasks = self.machines.borrow()[machine].alive();
                let ip = self.with(|state| {
                    let sockets = state.sockets(host);
                    state.hits.tasks_dropped += tasks;
                    state.hits.sockets_dropped += sockets;
                    state.hosts[host].touched.add(Kind::Crash, tasks + sockets);
                    state.machine_ip(host)
                });
                sim.crash(ip);
                self.with(|state| {
                    state.hosts[host].down = Some(*what);
                    state.collect(sim, (*what == Crash::Machine).then_some(host));
                });
            }
            NetworkFault::Restart { host } => {
                let Some((host, _, Some(_))) = find(host) else { return };
                let ip = self.state.borrow().machine_ip(host);
                sim.bounce(ip);
                self.with(|state| {
                    state.hosts[host].down = None;
                    for link in 0..state.links.len() {
                        if state.links[link].from == host || state.links[link].to == host {
                            state.resume(link, Freed::Restart(host));
                        }
                    }
                });
            }
            _ => {}
        }
    }

    /// One tick: what is due arrives, and the hosts run.
    fn step(&self, sim: &RefCell<Sim<'static>>) -> io::Result<()> {
        let sim = &mut *sim.borrow_mut();
        self.with(|state| state.deliver(sim));
        sim.step().map_err(|error| io::Error::other(error.to_string()))?;
        let pending = self.with(|state| {
            state.collect(sim, None);
            state.now += state.tick;
            if (state.now / state.tick).is_multiple_of(FORGET_EVERY) {
                state.forget();
            }
            std::mem::take(&mut state.pending)
        });
        for fault in pending {
            self.turn(sim, &fault);
        }
        Ok(())
    }
}

/// A simulated network; cheap to clone, all clones are the same one.
#[derive(Clone)]
pub struct Turmoil {
    wire: Rc<Wire>,
    clock: Clock,
}

impl fmt::Debug for Turmoil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turmoil").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Whether the world's task has something to do.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Turmoil {
    /// Makes a network without hosts, and runs it until `world` ends. The world adds hosts, spawns tasks on them, lets
    /// faults happen, and waits on [`Turmoil::clock`](SimulatedNet::clock); it runs on no host, and before them in each tick.
    ///
    /// # Errors
    /// `InvalidInput` when the settings are impossible; what turmoil says when it fails.
    pub fn run<T>(
        seed: Seed,
        settings: TurmoilSettings,
        world: impl AsyncFnOnce(Self) -> T,
    ) -> io::Result<T> {
        if let Some(problem) = settings.problem() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let TurmoilSettings { epoch, link, window, dilation, machines } = settings;
        let seed = seed.child("network");
        let sim = turmoil::Builder::new()
            .tick_duration(TICK)
            .simulation_duration(Duration::MAX)
            .epoch(epoch)
            .rng_seed(seed.child("turmoil").0)
            .min_message_latency(Duration::ZERO)
            .max_message_latency(Duration::ZERO)
            .fail_rate(0.0)
            .tcp_capacity(CAPACITY)
            .ephemeral_ports(state::PORTS)
            .build();
        let sim = Rc::new(RefCell::new(sim));
        let tick = 1_000_000 / u64::from(dilation);
        let wire = Rc::new(Wire {
            state: RefCell::new(State::new(seed, link, tick, machines)),
            sim: RefCell::new(Rc::downgrade(&sim)),
            machines: RefCell::default(),
            current: Cell::new(None),
            window,
            dilation,
            epoch,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        // As turmoil does it with its own: timers are whole milliseconds from here.
        runtime.block_on(async { tokio::time::sleep(TICK).await });
        let clock = {
            let _guard = runtime.enter();
            Clock::virtual_time(dilation, epoch)
        };
        let local = LocalSet::new();
        let network = Self { wire: Rc::clone(&wire), clock };
        let mut world = pin!(local.run_until(world(network)));
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        loop {
            // Not in `block_on`: whatever turmoil does with a host's runtime must not be done within another.
            while woken.0.swap(false, Ordering::Relaxed) {
                let _guard = runtime.enter();
                if let Poll::Ready(result) = world.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Ok(result);
                }
            }
            wire.step(&sim)?;
            runtime.block_on(async { tokio::time::sleep(TICK).await });
        }
    }

    /// Messages sent so far, those of handshakes and ends included.
    pub fn segments(&self) -> u64 {
        self.wire.state.borrow().segments
    }
}

impl SimulatedNet for Turmoil {
    type Host = TurmoilHost;

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn add_host(&self, name: &str, ip: IpAddr) -> io::Result<TurmoilHost> {
        let sim = self.wire.sim.borrow().upgrade();
        let busy = || io::Error::other("hosts are added by the world, not by a host");
        let sim = sim.ok_or_else(busy)?;
        let mut sim = sim.try_borrow_mut().map_err(|_| busy())?;
        let (index, made) = self.wire.with(|state| state.add_host(name, ip))?;
        if let Some(number) = made {
            let machine = Rc::new(Machine::new(number, self.wire.dilation, self.wire.epoch));
            self.wire.machines.borrow_mut().push(Rc::clone(&machine));
            let wire = Rc::downgrade(&self.wire);
            sim.host(ip, move || {
                let wire = wire.upgrade().expect("the network outlives its simulation");
                machine.begin(&wire)
            });
            for other in &self.wire.state.borrow().addresses_of_machines[..number] {
                sim.hold(ip, *other);
            }
        }
        let machine = {
            let state = self.wire.state.borrow();
            Rc::clone(&self.wire.machines.borrow()[state.hosts[index].machine])
        };
        Ok(TurmoilHost { wire: Rc::clone(&self.wire), index, machine, name: name.into(), ip })
    }

    fn trace(&self) -> u64 {
        self.wire.state.borrow().trace
    }
}

impl Faults for Turmoil {
    fn inflict(&self, fault: &NetworkFault) -> Result<(), FaultError> {
        let (NetworkFault::Crash { host, .. } | NetworkFault::Restart { host }) = fault else {
            return self.wire.with(|state| state.change(fault));
        };
        self.wire.with(|state| state.begin(host, fault.kind()))?;
        let sim = self.wire.sim.borrow().upgrade();
        match sim.as_ref().and_then(|sim| sim.try_borrow_mut().ok()) {
            Some(mut sim) => self.wire.turn(&mut sim, fault),
            // From a task on a host: at the end of this tick.
            None => self.wire.with(|state| state.pending.push(fault.clone())),
        }
        Ok(())
    }

    fn hits(&self) -> Hits {
        self.wire.state.borrow().hits
    }

    fn touched(&self, fault: &NetworkFault) -> u64 {
        self.wire.state.borrow().touched(fault).unwrap_or(0)
    }
}
