//! The proxies of a simulated run: reloaded, restarted, and those before them that still drain.
//!
//! Each is one worker on one host, as the other worlds have one worker unless the scenario says otherwise. A restart
//! tells the old one to drain; the next one listens after its time, or as soon after that as the old one has let go of the
//! address.

use std::{cell::RefCell, ops::Range, rc::Rc, sync::Arc, time::Duration};

use net::{BindOptions, Clock, Net, SimulatedHost};
use policy::{
    Seed,
    cache::{Mode, Purging},
};
use proxy::{
    config::ProxyConfig,
    engine::{
        Phase, Shared, StartError, State, WorkerArguments,
        redis::{Outside, StandIn},
        run_worker,
    },
};
use tokio::{
    sync::{oneshot, watch},
    task::{JoinHandle, LocalSet},
};

use crate::{
    felt::Purged, fleet::Member, generations::Generations, invariants::Observer, language::Moment,
};

/// How often, and after how long, a new proxy tries to listen where the old one did.
const REBIND: (u32, Duration) = (100, Duration::from_millis(20));

/// The proxies of a run, and those before them.
pub(super) struct Proxies<H> {
    /// By number.
    all: Vec<Rc<RefCell<Succession<H>>>>,
    generations: Rc<RefCell<Generations>>,
    /// What stands for the Redis of them all.
    redis: StandIn,
}

/// What is told when a proxy has started, or could not be.
type Started = oneshot::Receiver<Result<(), StartError>>;

/// One of them, and those before it.
struct Succession<H> {
    host: H,
    member: Member,
    config: ProxyConfig,
    seed: Seed,
    redis: StandIn,
    /// What the present one is told; `None` while there is none.
    present: Option<watch::Sender<State>>,
    /// The one that is due.
    rising: Option<JoinHandle<()>>,
    running: Vec<JoinHandle<()>>,
    generations: Rc<RefCell<Generations>>,
    observer: Observer,
    started: u64,
    failed: Vec<String>,
    notes: Vec<String>,
}

impl<H: SimulatedHost> Proxies<H> {
    /// Starts the first of each, on its host and with its configuration. `seed` is the run's.
    pub(super) async fn start(
        members: Vec<(Member, H, ProxyConfig)>,
        seed: Seed,
        observer: &Observer,
    ) -> Result<Self, StartError> {
        let redis = StandIn::default();
        let generations = Rc::new(RefCell::new(Generations::new(members.len() as u32)));
        let (mut all, mut starting) = (Vec::new(), Vec::new());
        for (member, host, config) in members {
            let problems = config.problems();
            if !problems.is_empty() {
                return Err(StartError::Config(problems));
            }
            let succession = Succession {
                // A host may have a time of its own.
                observer: observer.in_time_of(*host.clock()),
                host,
                member,
                config,
                seed: member.seed(seed),
                redis: redis.clone(),
                present: None,
                rising: None,
                running: Vec::new(),
                generations: Rc::clone(&generations),
                started: 0,
                failed: Vec::new(),
                notes: Vec::new(),
            };
            let (succession, started) = succession.start()?;
            all.push(succession);
            starting.push(started);
        }
        let died = |_| StartError::System(std::io::ErrorKind::BrokenPipe.into());
        for started in starting {
            started.await.map_err(died)??;
        }
        Ok(Self { all, generations, redis })
    }

    /// What stands for the Redis of them all.
    pub(super) fn redis(&self) -> &StandIn {
        &self.redis
    }

    fn each(&self, which: Range<u32>) -> impl Iterator<Item = &Rc<RefCell<Succession<H>>>> {
        self.all.iter().filter(move |one| which.contains(&one.borrow().member.index))
    }

    /// Changes the configuration of these; of one that is not there now, that of the next.
    pub(super) fn reload(
        &self,
        which: Range<u32>,
        change: impl Fn(u32, &mut ProxyConfig),
    ) -> Result<(), String> {
        self.each(which).try_for_each(|one| one.borrow_mut().reload(&change))
    }

    /// Lets these drain. The next of each is due after `down`; when there is none already, it comes later.
    pub(super) fn restart(&self, which: Range<u32>, down: Duration) -> Result<(), String> {
        self.each(which).try_for_each(|one| {
            let mut succession = one.borrow_mut();
            succession.leave();
            let rising = succession.host.spawn(rise(Rc::clone(one), down));
            succession.rising = Some(rising.map_err(|error| error.to_string())?);
            Ok(())
        })
    }

    /// Lets those that the event is about forget something, or hold it to be stale; `what` is told how clients call the proxies.
    pub(super) fn purge(
        &self,
        moment: &Moment,
        what: impl Fn(&str) -> Vec<Purging>,
        soft: bool,
    ) -> Result<(), String> {
        let Some(first) = self.all.first() else { return Ok(()) };
        let host = first.borrow().config.listen.to_string();
        let what: Rc<[Purging]> = what(&host).into();
        let mut purged = Purged::default();
        for one in self.each(moment.proxies.clone()) {
            let found = one.borrow().purge(&what, soft);
            purged.answers += found.answers;
            purged.second |= found.second;
            if found.second {
                let telling = tell_second(Rc::clone(one), Rc::clone(&what), moment.label.clone());
                let told = one.borrow().host.spawn(telling);
                drop(told.map_err(|error| error.to_string())?);
            }
        }
        if let Some(note) = purged.note(moment) {
            first.borrow_mut().notes.push(note);
        }
        Ok(())
    }

    /// What the reader should know.
    pub(super) fn notes(&self) -> Vec<String> {
        self.all.iter().flat_map(|one| one.borrow().notes.clone()).collect()
    }

    /// What was seen of all of them.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Generations) -> T) -> T {
        look(&self.generations.borrow())
    }

    /// What could not be done.
    pub(super) fn failed(&self) -> Vec<String> {
        self.all.iter().flat_map(|one| one.borrow().failed.clone()).collect()
    }

    /// Ends them. False when one was not done after `limit`.
    pub(super) async fn stop(&self, clock: &Clock, limit: Duration) -> bool {
        let mut running = Vec::new();
        for one in &self.all {
            let mut succession = one.borrow_mut();
            succession.leave();
            running.append(&mut succession.running);
        }
        let deadline = clock.now() + limit;
        let mut all = true;
        for ended in running {
            all &= clock.timeout(deadline.since(clock.now()), ended).await.is_ok();
        }
        all
    }
}

impl<H: SimulatedHost> Succession<H> {
    /// Starts the first, and says whether it has.
    fn start(self) -> Result<(Rc<RefCell<Self>>, Started), StartError> {
        let host = self.host.clone();
        let succession = Rc::new(RefCell::new(self));
        let (started, starting) = oneshot::channel();
        let first = Rc::clone(&succession);
        let starting_up = async move {
            let (net, config) = (first.borrow().host.clone(), first.borrow().config.clone());
            let bound = bind(&net, &config).await;
            drop(started.send(bound.map(|listener| first.borrow_mut().begin(listener))));
        };
        drop(host.spawn(starting_up).map_err(StartError::System)?);
        Ok((succession, starting))
    }

    /// Changes the configuration.
    fn reload(&mut self, change: impl Fn(u32, &mut ProxyConfig)) -> Result<(), String> {
        let number = self.member.index;
        change(number, &mut self.config);
        self.config = self.member.configure(std::mem::take(&mut self.config));
        let problems = self.config.problems();
        if !problems.is_empty() {
            return Err(StartError::Config(problems).to_string());
        }
        if let Some(present) = &self.present {
            present.send_modify(|state| *state = state.reloaded(self.config.clone()));
            self.generations.borrow_mut().reloaded(number, &present.borrow());
        }
        Ok(())
    }

    /// The proxy serves what the listener accepts. To be called by a task on its host.
    fn begin(&mut self, listener: <H as Net>::Listener) {
        let shared = Arc::new(Shared::new(1, self.host.clock().now()));
        let outside = Outside::Simulated(self.redis.clone());
        let (present, state) = watch::channel(State::with(self.config.clone(), self.seed, outside));
        let number = self.member.index;
        self.generations.borrow_mut().started(number, Arc::clone(&shared), &present.borrow());
        let seed = self.seed.nth(self.started);
        self.started += 1;
        self.present = Some(present);
        let witness = Some(self.observer.witness(self.member.index));
        let arguments = WorkerArguments { shared, index: 0, state, seed, witness };
        // The proxy's host never crashes, so there is always something to spawn on.
        let worker = run_worker(self.host.clone(), listener, arguments);
        // A proxy's tasks end with it, as they do where it is a thread: what its drain limit cuts is cut.
        let worker = async move { LocalSet::new().run_until(worker).await };
        match self.host.spawn(worker) {
            Ok(running) => self.running.push(running),
            Err(error) => self.failed.push(format!("the proxy could not be started: {error}")),
        }
    }

    /// Forgets what is kept in memory; nothing where there is no proxy now.
    fn purge(&self, what: &[Purging], soft: bool) -> Purged {
        let Some(present) = &self.present else { return Purged::default() };
        let commons = &present.borrow().commons;
        let mode = if soft { Mode::Soft(self.host.clock().now()) } else { Mode::Hard };
        Purged { answers: commons.purge(what, mode), second: commons.has_second() }
    }

    /// No proxy is present or due any more.
    fn leave(&mut self) {
        if let Some(rising) = self.rising.take() {
            rising.abort();
        }
        if let Some(present) = self.present.take() {
            present.send_modify(|state| state.phase = Phase::Draining);
        }
    }
}

/// Lets the second tier forget something, too.
async fn tell_second<H: SimulatedHost>(
    succession: Rc<RefCell<Succession<H>>>,
    what: Rc<[Purging]>,
    label: String,
) {
    let commons =
        succession.borrow().present.as_ref().map(|present| Arc::clone(&present.borrow().commons));
    let clock = *succession.borrow().host.clock();
    if let Some(commons) = commons
        && let Some(Err(why)) = commons.purge_second(&what, &clock).await
    {
        let note = format!("{label}: the second tier has not forgotten it: {why}");
        succession.borrow_mut().notes.push(note);
    }
}

/// Starts the next proxy when its time has come.
async fn rise<H: SimulatedHost>(succession: Rc<RefCell<Succession<H>>>, down: Duration) {
    let host = succession.borrow().host.clone();
    host.clock().sleep(down).await;
    for tries in 1.. {
        let config = succession.borrow().config.clone();
        match bind(&host, &config).await {
            Ok(listener) => return succession.borrow_mut().begin(listener),
            Err(_) if tries < REBIND.0 => host.clock().sleep(REBIND.1).await,
            Err(error) => {
                let why = format!("the proxy could not be started again: {error}");
                return succession.borrow_mut().failed.push(why);
            }
        }
    }
}

async fn bind<H: Net>(host: &H, config: &ProxyConfig) -> Result<H::Listener, StartError> {
    let options = BindOptions { backlog: config.limits.backlog, ..BindOptions::default() };
    let bound = host.bind(config.listen, options).await;
    bound.map_err(|error| StartError::Bind(config.listen, error))
}
