//! Workers: starting them, telling them what is new, and letting them end.
//!
//! [`run_worker`] is one worker on whatever network it is given; [`Proxy`] runs one on each core of this machine. All
//! workers watch one [`State`]: a changed configuration or the wish to stop reaches each of them as a value and not as
//! a stream of commands, so that nothing queues and the last word counts.

use std::{
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, mpsc},
    task::{Context, Waker},
    thread,
    time::Duration,
};

use net::{BindOptions, Clock, Listener, Net, Real, Sharing};
use policy::{Seed, health::HealthKind};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::watch,
    task::{JoinHandle, spawn_local},
};

use super::{
    access_log::{Console, Log, Sink},
    admin, analytics,
    commons::Commons,
    connection, inquiry, probe,
    redirect::Redirector,
    redis::Outside,
    sessions,
    upstream::{Upstream, UpstreamShared},
    witness::{Watched, Witness},
    worker::{Open, Setup, Shared, Worker},
};
use crate::config::{Problem, ProxyConfig};

/// What is in force.
#[derive(Clone, Debug)]
pub struct State {
    /// The configuration.
    pub config: Arc<ProxyConfig>,
    /// The endpoints and what is known of them.
    pub upstream: Arc<UpstreamShared>,
    /// The same for each upstream with a name, in the order of the configuration.
    pub named: Vec<Arc<UpstreamShared>>,
    /// What the stages of a request share over all workers.
    pub commons: Arc<Commons>,
    /// Whether the proxy goes on.
    pub phase: Phase,
    /// Where the access log goes.
    pub(crate) log: Option<Arc<Sink>>,
}

/// Whether the proxy goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It serves.
    Serving,
    /// It accepts nothing new, and ends when what is in progress has ended.
    Draining,
}

impl State {
    /// `config` in force, in a proxy of this seed.
    pub fn new(config: ProxyConfig, seed: Seed) -> Self {
        Self::with(config, seed, Outside::Real)
    }

    /// The same where what is outside of the network may be simulated, too.
    pub fn with(config: ProxyConfig, seed: Seed, outside: Outside) -> Self {
        let upstream = Arc::new(UpstreamShared::new(&config, None));
        let named = config.upstreams.values();
        let named = named.map(|own| UpstreamShared::new(&config.of_upstream(own), None));
        let named = named.map(Arc::new).collect();
        let commons = Arc::new(Commons::new(&config, seed, outside));
        Self {
            config: Arc::new(config),
            upstream,
            named,
            commons,
            phase: Phase::Serving,
            log: None,
        }
    }

    /// The same proxy with another configuration: send it to the workers that watch this one. Endpoints of the same name, address,
    /// weight and limit keep their figures, and what is known of their health; whatever is said of them to the state
    /// before counts no more. The configuration must be a possible one ([`ProxyConfig::problems`]).
    #[must_use]
    pub fn reloaded(&self, config: ProxyConfig) -> Self {
        let upstream = Arc::new(UpstreamShared::new(&config, Some(&self.upstream)));
        let named = config.upstreams.iter().map(|(name, own)| {
            let place = self.config.upstreams.keys().position(|known| known == name);
            let before = place.map(|place| &*self.named[place]);
            Arc::new(UpstreamShared::new(&config.of_upstream(own), before))
        });
        let named = named.collect();
        let commons = Arc::new(self.commons.renewed(&self.config, &config));
        Self {
            config: Arc::new(config),
            upstream,
            named,
            commons,
            phase: self.phase,
            log: self.log.clone(),
        }
    }

    /// Every upstream with the configuration as it sees it, the proxy's own first.
    fn upstreams(&self) -> Vec<(Arc<ProxyConfig>, Arc<UpstreamShared>)> {
        let configs = self.config.upstreams.values();
        let configs = configs.map(|own| Arc::new(self.config.of_upstream(own)));
        let named = configs.zip(self.named.iter().cloned());
        [(Arc::clone(&self.config), Arc::clone(&self.upstream))].into_iter().chain(named).collect()
    }
}

/// What one worker is told when it starts.
#[derive(Debug)]
pub struct WorkerArguments {
    /// What the workers share.
    pub shared: Arc<Shared>,
    /// Which of them this one is.
    pub index: usize,
    /// What is in force.
    pub state: watch::Receiver<State>,
    /// The proxy's seed.
    pub seed: Seed,
    /// Whoever watches, in a simulation.
    pub witness: Option<Rc<dyn Witness>>,
}

/// Serves what `listener` accepts until the state says that it is over. Needs a runtime with `spawn_local`.
pub async fn run_worker<N: Net>(net: N, listener: N::Listener, arguments: WorkerArguments) {
    let WorkerArguments { shared, index, mut state, seed, witness } = arguments;
    let seed = seed.child("worker").nth(index as u64);
    let workers = shared.stats.len() as u32;
    let clock = *net.clock();
    let address = listener.local_address().unwrap_or(state.borrow().config.listen);
    let setup_of = |state: &State| {
        let State { config, .. } = state;
        let redirector = Redirector::new(config, address, (index, workers), seed);
        let upstreams = state.upstreams().into_iter().enumerate().map(|(number, (own, shared))| {
            let named = number.checked_sub(1).and_then(|place| config.upstreams.keys().nth(place));
            let name = named.map_or("", String::as_str);
            let watched = witness.as_ref().map(|witness| Watched::new(witness, name, &own));
            // Streams are named by the upstream's place: the own one's is what it always was.
            let seed = if number == 0 { seed } else { seed.child("upstream").nth(number as u64) };
            Upstream::new(shared, own, workers, seed, clock, watched)
        });
        let upstreams = upstreams.map(Rc::new).collect();
        Setup {
            redirector: redirector.map(Box::new),
            log: Log::new(&config.access_log, state.log.as_ref()),
            ..Setup::new(Arc::clone(config), upstreams, &state.commons)
        }
    };
    let first = state.borrow_and_update().clone();
    let worker = Rc::new(Worker::new(net, shared, index, seed, setup_of(&first)));
    let accepting = spawn_local(accept(Rc::clone(&worker), listener));
    let sweeping = spawn_local(sweep(Rc::clone(&worker)));
    let keep = || spawn_local(sessions::keep(Rc::clone(&worker), index));
    let answer = || spawn_local(analytics::answer(Rc::clone(&worker)));
    let mut answering = first.config.analytics.enabled.then(answer);
    let mut keeping = worker.setup().redirector.is_some().then(keep);
    watch_endpoints(&worker, &first, seed);
    let mut probing = probe_load(&worker);
    while state.changed().await.is_ok() {
        let next = state.borrow_and_update().clone();
        if next.phase == Phase::Draining {
            break;
        }
        worker.replace(setup_of(&next));
        if keeping.is_none() && worker.setup().redirector.is_some() {
            keeping = Some(keep());
        }
        if answering.is_none() && next.config.analytics.enabled {
            answering = Some(answer());
        }
        watch_endpoints(&worker, &next, seed);
        for former in std::mem::replace(&mut probing, probe_load(&worker)) {
            former.abort();
        }
    }
    accepting.abort();
    drain(&worker).await;
    sweeping.abort();
    if let Some(answering) = answering {
        answering.abort();
    }
    for probing in probing {
        probing.abort();
    }
    if let Some(keeping) = keeping {
        keeping.abort();
        worker.sessions.forget(clock.now());
    }
}

/// Asks endpoints how loaded they are, where the strategy in force wants to know.
fn probe_load<N: Net>(worker: &Rc<Worker<N>>) -> Vec<JoinHandle<()>> {
    let setup = worker.setup();
    let asks = setup.upstreams.iter().filter(|upstream| upstream.probing.is_some());
    let probing = asks.map(|upstream| inquiry::run(Rc::clone(worker), Rc::clone(upstream)));
    probing.map(spawn_local).collect()
}

/// Starts the health checks, on the first worker only.
fn watch_endpoints<N: Net>(worker: &Rc<Worker<N>>, state: &State, seed: Seed) {
    if !worker.is_first() {
        return;
    }
    for (number, (config, upstream)) in state.upstreams().into_iter().enumerate() {
        if config.health.kind == HealthKind::Off {
            continue;
        }
        let seed = if number == 0 { seed } else { seed.child("upstream").nth(number as u64) };
        for index in 0..upstream.sites.len() {
            let (config, upstream) = (Arc::clone(&config), Arc::clone(&upstream));
            spawn_local(probe::watch(Rc::clone(worker), config, upstream, index, seed));
        }
    }
}

async fn accept<N: Net>(worker: Rc<Worker<N>>, listener: N::Listener) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let open = room(&worker).await;
                spawn_local(connection::serve(Rc::clone(&worker), open, stream, address));
            }
            Err(error) => {
                // Out of descriptors, most likely: the connections that are there must end first.
                tracing::error!(%error, "cannot accept a connection");
                worker.clock.sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Waits until another client connection may be open. The one that was accepted meanwhile is held, and those behind it
/// wait in the backlog.
async fn room<N: Net>(worker: &Rc<Worker<N>>) -> Open<N> {
    loop {
        // Made before the look: what ends after that look rings it.
        let room = worker.shared.connection_room.notified();
        if let Some(open) = worker.opened() {
            return open;
        }
        room.await;
    }
}

/// Drops pooled connections that have grown old.
async fn sweep<N: Net>(worker: Rc<Worker<N>>) {
    loop {
        let setup = worker.setup();
        worker
            .clock
            .sleep(setup.config.timeouts.upstream_idle.0.max(Duration::from_secs(4)) / 4)
            .await;
        let scratch = &mut *worker.scratch.borrow_mut();
        let mut cx = Context::from_waker(Waker::noop());
        for upstream in &setup.upstreams {
            upstream.pool.sweep(&mut cx, worker.clock.now(), scratch);
        }
    }
}

/// Lets the requests in progress end, as long as the drain limit allows.
async fn drain<N: Net>(worker: &Rc<Worker<N>>) {
    worker.draining.set(true);
    let deadline = worker.clock.now() + worker.setup().config.timeouts.drain.0;
    // The first one has the admin listener besides, which must be there to say so until all have drained.
    let left = || if worker.is_first() { worker.open_in_all() } else { worker.open() };
    while left() > 0 && worker.clock.now() < deadline {
        worker.wake_idle();
        worker.clock.sleep(Duration::from_millis(20)).await;
    }
    if worker.open() > 0 {
        tracing::warn!(connections = worker.open(), "drain limit reached: connections are cut");
    }
}

/// Why a proxy could not be started.
#[derive(Debug)]
pub enum StartError {
    /// The configuration has impossible values.
    Config(Vec<Problem>),
    /// An address cannot be listened on.
    Bind(SocketAddr, io::Error),
    /// The access log cannot be opened.
    Log(PathBuf, io::Error),
    /// The system would not give us a thread or a runtime.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => {
                for (index, Problem { path, message }) in problems.iter().enumerate() {
                    let separator = if index > 0 { "; " } else { "" };
                    write!(f, "{separator}`{path}` {message}")?;
                }
                Ok(())
            }
            Self::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Log(path, error) => {
                write!(f, "cannot open the access log {}: {error}", path.display())
            }
            Self::System(error) => write!(f, "cannot start a worker: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A proxy on this machine's sockets, on threads of its own. Dropping it lets them drain behind its back.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    admin: Option<SocketAddr>,
    shared: Arc<Shared>,
    clock: Clock,
    console: Console,
    state: watch::Sender<State>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// What a worker's thread is told, and whom it tells which addresses it got.
struct Birth {
    clock: Clock,
    address: SocketAddr,
    backlog: u32,
    admin: Option<SocketAddr>,
    shared: Arc<Shared>,
    index: usize,
    state: watch::Receiver<State>,
    seed: Seed,
    born: mpsc::Sender<Result<(SocketAddr, Option<SocketAddr>), StartError>>,
}

impl Proxy {
    /// Starts the workers; returns when all of them listen. What of the access log would go to standard output goes nowhere.
    pub fn start(config: ProxyConfig, seed: Seed) -> Result<Self, StartError> {
        Self::start_with(config, seed, Console::Silent)
    }

    /// The same, with a word on standard output.
    pub fn start_with(
        config: ProxyConfig,
        seed: Seed,
        console: Console,
    ) -> Result<Self, StartError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(StartError::Config(problems));
        }
        let clock = Clock::real();
        let cores = thread::available_parallelism().map_or(1, Into::into);
        let workers = config.workers.unwrap_or(cores);
        let shared = Arc::new(Shared::new(workers, clock.now()));
        let (listen, backlog) = (config.listen, config.limits.backlog);
        let admin = config.admin.enabled.then_some(config.admin.listen);
        let log = open_log(&config, workers, console)?;
        let (state, watching) = watch::channel(State { log, ..State::new(config, seed) });
        // Sharing an address is for our own workers: a stranger on it must be noticed.
        std::net::TcpListener::bind(listen).map_err(|error| StartError::Bind(listen, error))?;
        let threads = Vec::new();
        let mut proxy = Self { address: listen, admin, shared, clock, console, state, threads };
        for index in 0..workers {
            let (born, birth) = mpsc::channel();
            let told = Birth {
                clock,
                address: proxy.address,
                backlog,
                admin: admin.filter(|_| index == 0),
                shared: Arc::clone(&proxy.shared),
                index,
                state: watching.clone(),
                seed,
                born,
            };
            let thread = thread::Builder::new()
                .name(format!("proxy-{index}"))
                .spawn(move || live(told))
                .map_err(StartError::System)?;
            proxy.threads.push(thread);
            let (address, admin) = birth
                .recv()
                .unwrap_or_else(|_| Err(StartError::System(io::ErrorKind::BrokenPipe.into())))?;
            proxy.address = address;
            proxy.admin = admin.or(proxy.admin);
        }
        Ok(proxy)
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin listener is, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The workers' counters.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What is in force now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// The proxy's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Puts another configuration in force; requests in progress end with the one that they began with. Addresses and
    /// the number of workers stay as they are.
    pub fn reload(&self, config: ProxyConfig) -> Result<(), StartError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(StartError::Config(problems));
        }
        let known = self.state.borrow().log.clone();
        let log = match known.filter(|log| log.serves(&config.access_log)) {
            Some(log) => Some(log),
            None => open_log(&config, self.shared.stats.len(), self.console)?,
        };
        self.state.send_modify(|state| *state = State { log, ..state.reloaded(config) });
        Ok(())
    }

    /// Opens the file of the access log anew: somebody has renamed the one that was there.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.state.borrow().log {
            log.reopen();
        }
    }

    /// Accepts nothing more, lets what is in progress end, and returns when it has.
    pub fn drain(mut self) {
        self.state.send_modify(|state| state.phase = Phase::Draining);
        for thread in self.threads.drain(..) {
            // A worker that has panicked has said so already.
            let _ = thread.join();
        }
        if let Some(log) = &self.state.borrow().log {
            log.finish();
        }
    }
}

fn open_log(
    config: &ProxyConfig,
    workers: usize,
    console: Console,
) -> Result<Option<Arc<Sink>>, StartError> {
    let path = config.access_log.file.clone().unwrap_or_default();
    Sink::open(&config.access_log, workers, console).map_err(|error| StartError::Log(path, error))
}

/// A worker's thread.
fn live(birth: Birth) {
    let Birth { clock, address, backlog, admin, shared, index, state, seed, born } = birth;
    let runtime = match Builder::new_current_thread()
        .enable_all()
        .event_interval(31)
        .build_local(LocalOptions::default())
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = born.send(Err(StartError::System(error)));
            return;
        }
    };
    runtime.block_on(async move {
        let net = Real::with_clock(clock);
        let options = BindOptions { backlog, sharing: Sharing::Shared };
        let listener = match net.bind(address, options).await {
            Ok(listener) => listener,
            Err(error) => {
                let _ = born.send(Err(StartError::Bind(address, error)));
                return;
            }
        };
        let bound = listener.local_address().unwrap_or(address);
        let admin = match admin {
            None => None,
            Some(wanted) => match net.bind(wanted, BindOptions::default()).await {
                Ok(listener) => {
                    let bound = listener.local_address().unwrap_or(wanted);
                    let view =
                        admin::View { shared: Arc::clone(&shared), state: state.clone(), clock };
                    spawn_local(admin::serve(net.clone(), listener, view));
                    Some(bound)
                }
                Err(error) => {
                    let _ = born.send(Err(StartError::Bind(wanted, error)));
                    return;
                }
            },
        };
        let _ = born.send(Ok((bound, admin)));
        let arguments = WorkerArguments { shared, index, state, seed, witness: None };
        run_worker(net, listener, arguments).await;
    });
}
