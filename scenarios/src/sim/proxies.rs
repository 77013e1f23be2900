//! The proxy of a simulated run: reloaded, restarted, and those before it that still drain.
//!
//! It is one worker on one host, as the other worlds have one worker unless the scenario says otherwise. A restart
//! tells the old one to drain; the next one listens after its time, or as soon after that as the old one has let go of the
//! address.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use net::{BindOptions, Clock, Net, SimulatedHost};
use policy::Seed;
use proxy::{
    config::ProxyConfig,
    engine::{Phase, Shared, StartError, State, WorkerArguments, run_worker},
};
use tokio::{
    sync::{oneshot, watch},
    task::{JoinHandle, LocalSet},
};

use crate::{generations::Generations, invariants::Observer};

/// How often, and after how long, a new proxy tries to listen where the old one did.
const REBIND: (u32, Duration) = (100, Duration::from_millis(20));

/// The proxy of a run, and those before it.
pub(super) struct Proxies<H>(Rc<RefCell<Succession<H>>>);

struct Succession<H> {
    host: H,
    config: ProxyConfig,
    seed: Seed,
    /// What the present one is told; `None` while there is none.
    present: Option<watch::Sender<State>>,
    /// The one that is due.
    rising: Option<JoinHandle<()>>,
    running: Vec<JoinHandle<()>>,
    generations: Generations,
    observer: Observer,
    started: u64,
    failed: Vec<String>,
}

impl<H: SimulatedHost> Proxies<H> {
    /// Starts the first. `observer` is to keep the host's time.
    pub(super) async fn start(
        host: H,
        config: ProxyConfig,
        seed: Seed,
        observer: Observer,
    ) -> Result<Self, StartError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(StartError::Config(problems));
        }
        let succession = Rc::new(RefCell::new(Succession {
            host: host.clone(),
            config,
            seed,
            present: None,
            rising: None,
            running: Vec::new(),
            generations: Generations::default(),
            observer,
            started: 0,
            failed: Vec::new(),
        }));
        let (started, starting) = oneshot::channel();
        let first = Rc::clone(&succession);
        let starting_up = async move {
            let (net, config) = (first.borrow().host.clone(), first.borrow().config.clone());
            let bound = bind(&net, &config).await;
            drop(started.send(bound.map(|listener| first.borrow_mut().begin(listener))));
        };
        drop(host.spawn(starting_up).map_err(StartError::System)?);
        let died = |_| StartError::System(std::io::ErrorKind::BrokenPipe.into());
        starting.await.map_err(died)??;
        Ok(Self(succession))
    }

    /// Changes the configuration; while there is no proxy, that of the next one.
    pub(super) fn reload(&self, change: impl FnOnce(&mut ProxyConfig)) -> Result<(), String> {
        let mut succession = self.0.borrow_mut();
        let Succession { config, present, generations, .. } = &mut *succession;
        change(config);
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(StartError::Config(problems).to_string());
        }
        if let Some(present) = present {
            present.send_modify(|state| *state = state.reloaded(config.clone()));
            generations.reloaded(Arc::clone(&present.borrow().upstream));
        }
        Ok(())
    }

    /// Lets the proxy drain. The next one is due after `down`; when there is none already, it comes later.
    pub(super) fn restart(&self, down: Duration) -> Result<(), String> {
        let mut succession = self.0.borrow_mut();
        succession.leave();
        let rising = succession.host.spawn(rise(Rc::clone(&self.0), down));
        succession.rising = Some(rising.map_err(|error| error.to_string())?);
        Ok(())
    }

    /// What was seen of all of them.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Generations) -> T) -> T {
        look(&self.0.borrow().generations)
    }

    /// What could not be done.
    pub(super) fn failed(&self) -> Vec<String> {
        self.0.borrow().failed.clone()
    }

    /// Ends them. False when one was not done after `limit`.
    pub(super) async fn stop(&self, clock: &Clock, limit: Duration) -> bool {
        let running = {
            let mut succession = self.0.borrow_mut();
            succession.leave();
            std::mem::take(&mut succession.running)
        };
        let deadline = clock.now() + limit;
        let mut all = true;
        for ended in running {
            all &= clock.timeout(deadline.since(clock.now()), ended).await.is_ok();
        }
        all
    }
}

impl<H: SimulatedHost> Succession<H> {
    /// The proxy serves what the listener accepts. To be called by a task on its host.
    fn begin(&mut self, listener: <H as Net>::Listener) {
        let shared = Arc::new(Shared::new(1, self.host.clock().now()));
        let (present, state) = watch::channel(State::new(self.config.clone()));
        self.generations.started(Arc::clone(&shared), Arc::clone(&present.borrow().upstream));
        let seed = self.seed.nth(self.started);
        self.started += 1;
        self.present = Some(present);
        let witness = Some(self.observer.witness());
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
