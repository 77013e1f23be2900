//! What the tasks of one endpoint share: its service model, its faults, its counters.
//!
//! Everything is on one thread, so cells are enough. The station is driven by a single task with a single timer
//! ([`drive`]); requests wait for their jobs through wakers that lie in the same places as the jobs.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderValue, Method, StatusCode};
use net::{Clock, Pacer};
use policy::{Instant, LoadReport, Seed};
use tokio::sync::Notify;

use crate::{
    burn::Burner,
    config::{BackendConfig, Kind, SessionConfig},
    content::Content,
    control::{FaultHits, Snapshot},
    gate::{Gate, store},
    load::{Arrival, Meter},
    memory::Memory,
    redirect::Door,
    station::{Full, JobId, Station},
};

/// The answer instead of service, for as long as the fault lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failing {
    pub(crate) status: StatusCode,
    pub(crate) probability: f64,
}

/// What the tasks of one endpoint share.
pub(crate) struct Core {
    pub(crate) name: String,
    /// The name as a header's value.
    pub(crate) name_value: HeaderValue,
    pub(crate) config: Rc<BackendConfig>,
    pub(crate) session: SessionConfig,
    pub(crate) content: Option<Content>,
    pub(crate) seed: Seed,
    pub(crate) clock: Clock,
    pub(crate) gate: Gate,
    /// Where tokens are checked, if they are.
    pub(crate) door: Option<Door>,
    pub(crate) failing: Cell<Option<Failing>>,
    pub(crate) counts: Counts,
    station: RefCell<Station>,
    meter: RefCell<Meter>,
    memory: Option<RefCell<Memory>>,
    /// The numbers of the requests that must not come twice, where somebody wants to know.
    unrepeatable: RefCell<Option<Vec<u64>>>,
    waiters: RefCell<Vec<Option<Waker>>>,
    driver: RefCell<Option<Waker>>,
    /// The driver must look again.
    poked: Cell<bool>,
    /// When the driver will look again by itself.
    armed: Cell<Instant>,
    /// For `compute` in real time: what burns, and the time that the station lives in.
    burner: Option<Burner>,
    burnt: Cell<Instant>,
    factor: Cell<f64>,
    hung: Cell<bool>,
    resumed: Notify,
}

/// What is counted. Times are the station's.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: Cell<u64>,
    pub(crate) requests: Cell<u64>,
    pub(crate) health_checks: Cell<u64>,
    pub(crate) in_flight: Cell<u64>,
    pub(crate) completed: Cell<u64>,
    pub(crate) rejected: Cell<u64>,
    pub(crate) failed: Cell<u64>,
    pub(crate) bad: Cell<u64>,
    pub(crate) forbidden: Cell<u64>,
    pub(crate) unreported: Cell<u64>,
    pub(crate) mismatched: Cell<u64>,
    pub(crate) cancelled: Cell<u64>,
    pub(crate) resets: Cell<u64>,
    pub(crate) accept_errors: Cell<u64>,
    pub(crate) unnumbered: Cell<u64>,
    pub(crate) hits: Cell<FaultHits>,
}

/// One more; tells how many there were.
pub(crate) fn add(count: &Cell<u64>) -> u64 {
    count.replace(count.get() + 1)
}

impl Core {
    pub(crate) fn new(name: &str, config: Rc<BackendConfig>, seed: Seed, clock: Clock) -> Self {
        let burner = (config.kind == Kind::Compute).then(|| Burner::for_clock(&clock)).flatten();
        Self {
            name: name.to_owned(),
            name_value: HeaderValue::from_str(name)
                .unwrap_or_else(|_| HeaderValue::from_static("unnamed")),
            session: config.session(),
            content: config.content.as_ref().map(Content::new),
            seed: seed.child(name),
            clock,
            gate: Gate::new(),
            door: None,
            failing: Cell::new(None),
            counts: Counts::default(),
            station: RefCell::new(Station::new(config.layout())),
            meter: RefCell::new(Meter::new(config.workers)),
            memory: config.memory.map(|memory| RefCell::new(Memory::new(memory))),
            unrepeatable: RefCell::new(None),
            waiters: RefCell::new(Vec::new()),
            driver: RefCell::new(None),
            poked: Cell::new(false),
            armed: Cell::new(Instant::NEVER),
            burner,
            burnt: Cell::new(Instant::START),
            factor: Cell::new(1.0),
            hung: Cell::new(false),
            resumed: Notify::new(),
            config,
        }
    }

    /// The time that the station lives in.
    fn now(&self) -> Instant {
        if self.burner.is_some() { self.burnt.get() } else { self.clock.now() }
    }

    /// A request comes to the station.
    pub(crate) fn arrived(&self) -> Arrival {
        self.meter.borrow().arrived(self.clock.now(), &self.station.borrow())
    }

    /// A request has been served.
    pub(crate) fn served(&self, arrival: Arrival) {
        self.meter.borrow_mut().served(self.clock.now(), arrival, &self.station.borrow());
    }

    /// A request has been answered instead of being served.
    pub(crate) fn not_served(&self) {
        self.meter.borrow_mut().failed(self.clock.now(), &self.station.borrow());
    }

    /// How loaded the endpoint is.
    pub(crate) fn load_report(&self) -> LoadReport {
        self.meter.borrow_mut().report(self.clock.now(), &self.station.borrow())
    }

    /// The same as a header's value.
    pub(crate) fn load_value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.load_report().to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("TEXT eps=0"))
    }

    /// Hands in a job.
    pub(crate) fn submit(self: &Rc<Self>, work: Duration) -> Result<Job, Full> {
        let id = self.station.borrow_mut().submit(self.now(), work)?;
        if self.is_slow() {
            self.hit(|hits| hits.slow += 1);
        }
        self.poke();
        Ok(Job { core: Rc::clone(self), id })
    }

    /// From now on the numbers of requests that are not idempotent are noted.
    pub(crate) fn note_unrepeatable(&self) {
        self.unrepeatable.borrow_mut().get_or_insert_default();
    }

    /// A request has come.
    pub(crate) fn note(&self, method: &Method, id: Option<u64>) {
        if let (Some(noted), Some(id)) = (self.unrepeatable.borrow_mut().as_mut(), id)
            && !method.is_idempotent()
        {
            noted.push(id);
        }
    }

    /// The numbers that were noted.
    pub(crate) fn unrepeatable(&self) -> Vec<u64> {
        self.unrepeatable.borrow().clone().unwrap_or_default()
    }

    /// What is left of the demand of a request for this path and query when it is admitted.
    pub(crate) fn recall(&self, target: &str, demand: Duration) -> Duration {
        match &self.memory {
            Some(memory) => memory.borrow_mut().demand(target.as_bytes(), demand),
            None => demand,
        }
    }

    /// Serves a job that demands nothing, if it would neither wait nor slow others down by waiting.
    pub(crate) fn serve_instantly(&self) -> bool {
        let station = self.station.borrow();
        station.jobs() < self.config.workers as usize
    }

    pub(crate) fn is_slow(&self) -> bool {
        (self.factor.get() - 1.0).abs() > f64::EPSILON
    }

    pub(crate) fn is_hung(&self) -> bool {
        self.hung.get()
    }

    /// The same behind this door.
    pub(crate) fn behind(self, door: Option<Door>) -> Self {
        Self { door, ..self }
    }

    /// Whether this is the path of the health check or of the load probe.
    pub(crate) fn is_own_path(&self, path: &str) -> bool {
        path == self.config.health_path || path == self.config.probe_path
    }

    /// Waits until the process goes on: nobody is held up by that.
    pub(crate) async fn going_on(&self) {
        while self.hung.get() {
            self.resumed.notified().await;
        }
    }

    /// Waits until the endpoint does not hang.
    pub(crate) async fn awake(&self) {
        if self.hung.get() {
            self.hit(|hits| hits.hang += 1);
        }
        self.going_on().await;
    }

    /// Sets how slow the endpoint is and whether it hangs.
    pub(crate) fn set_pace(&self, factor: f64, hung: bool) {
        self.factor.set(factor);
        let was_hung = self.hung.replace(hung);
        let speed = if hung { 0.0 } else { self.config.speed / factor };
        self.station.borrow_mut().set_speed(self.now(), speed);
        if was_hung && !hung {
            self.resumed.notify_waiters();
        }
        self.wake_driver();
    }

    /// How slow the endpoint is: 1 is normal.
    pub(crate) fn factor(&self) -> f64 {
        self.factor.get()
    }

    /// Jobs waiting or in service.
    pub(crate) fn jobs(&self) -> u64 {
        self.station.borrow().jobs() as u64
    }

    /// All jobs are lost; whoever waits for one is on a connection that is being reset.
    pub(crate) fn lose_jobs(&self) {
        self.station.borrow_mut().clear(self.now());
        if let Some(memory) = &self.memory {
            memory.borrow_mut().clear();
        }
        self.wake_driver();
    }

    pub(crate) fn hit(&self, count: impl FnOnce(&mut FaultHits)) {
        let mut hits = self.counts.hits.get();
        count(&mut hits);
        self.counts.hits.set(hits);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut station = self.station.borrow_mut();
        station.advance(self.now());
        let counts = &self.counts;
        Snapshot {
            connections: counts.connections.get(),
            open_connections: self.gate.open() as u64,
            requests: counts.requests.get(),
            health_checks: counts.health_checks.get(),
            in_flight: counts.in_flight.get(),
            waiting: station.waiting() as u64,
            completed: counts.completed.get(),
            rejected: counts.rejected.get(),
            failed: counts.failed.get(),
            bad_requests: counts.bad.get(),
            forbidden: counts.forbidden.get(),
            unreported: counts.unreported.get(),
            mismatches: counts.mismatched.get(),
            cancelled: counts.cancelled.get(),
            resets: counts.resets.get(),
            accept_errors: counts.accept_errors.get(),
            busy: station.busy_time(),
            hits: counts.hits.get(),
        }
    }

    /// The driver must look before it meant to.
    fn poke(&self) {
        if self.station.borrow().next_completion() < self.armed.get() {
            self.wake_driver();
        }
    }

    fn wake_driver(&self) {
        self.poked.set(true);
        if let Some(waker) = self.driver.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Ready when the driver must look again.
    fn poll_poked(&self, cx: &Context<'_>) -> Poll<()> {
        if self.poked.take() {
            return Poll::Ready(());
        }
        store(&mut self.driver.borrow_mut(), cx);
        Poll::Pending
    }

    fn cancel(&self, job: JobId) {
        if !self.station.borrow().holds(job) {
            return;
        }
        let cancelled = self.station.borrow_mut().cancel(self.now(), job);
        if cancelled && self.config.kind == Kind::Session {
            // Somebody may have taken the place and waits to be told.
            self.wake_driver();
        } else if cancelled {
            // Whoever has taken the place, or shares the speed, may be done before the one that left would have been.
            self.poke();
        }
        // Armed too early is nothing: the driver looks, finds nothing and arms anew.
    }

    /// Tells those whose jobs are finished or, in sessions, begun.
    fn collect(&self) {
        let now = self.now();
        let mut station = self.station.borrow_mut();
        let mut waiters = self.waiters.borrow_mut();
        let mut tell = |job: JobId| {
            if let Some(waker) = waiters.get_mut(job.index()).and_then(Option::take) {
                waker.wake();
            }
        };
        while let Some(completion) = station.complete(now) {
            tell(completion.job);
        }
        if self.config.kind == Kind::Session {
            while let Some(job) = station.take_started() {
                tell(job);
            }
        }
    }

    fn wait(&self, job: JobId, cx: &Context<'_>) -> Poll<()> {
        let mut waiters = self.waiters.borrow_mut();
        if waiters.len() <= job.index() {
            waiters.resize(job.index() + 1, None);
        }
        store(&mut waiters[job.index()], cx);
        Poll::Pending
    }
}

/// A job in the station; dropped before it is done, it is taken out.
pub(crate) struct Job {
    core: Rc<Core>,
    id: JobId,
}

impl Job {
    /// Where it is served.
    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    /// Ready when it has been served.
    pub(crate) fn poll_done(&self, cx: &Context<'_>) -> Poll<()> {
        let held = self.core.station.borrow().holds(self.id);
        if held { self.core.wait(self.id, cx) } else { Poll::Ready(()) }
    }

    /// Waits until it has been served.
    pub(crate) async fn done(&self) {
        poll_fn(|cx| self.poll_done(cx)).await;
    }

    /// Waits until it is being served.
    pub(crate) async fn started(&self) {
        poll_fn(|cx| {
            let waiting = self.core.station.borrow().is_waiting(self.id);
            if waiting { self.core.wait(self.id, cx) } else { Poll::Ready(()) }
        })
        .await;
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.core.cancel(self.id);
    }
}

/// Moves the station through time, for ever.
pub(crate) async fn drive(core: Rc<Core>) {
    if let Some(burner) = &core.burner {
        return drive_by_burning(&core, burner).await;
    }
    // tokio's millisecond would be an artefact in every service time.
    let mut pacer = Pacer::new(core.clock);
    loop {
        core.collect();
        let next = core.station.borrow().next_completion();
        core.armed.set(next);
        if next == Instant::NEVER {
            poll_fn(|cx| core.poll_poked(cx)).await;
            continue;
        }
        let mut due = pin!(pacer.until(next));
        poll_fn(|cx| match core.poll_poked(cx) {
            Poll::Pending => due.as_mut().poll(cx),
            poked @ Poll::Ready(()) => poked,
        })
        .await;
    }
}

/// How long the processor works before others get their turn.
const SLICE: Duration = Duration::from_micros(100);

/// The station lives in time that passes only as work is burnt: a nanosecond of it costs as many nanoseconds of
/// the processor as there are workers busy. So disciplines, queues and speeds hold for real work as well.
async fn drive_by_burning(core: &Core, burner: &Burner) {
    loop {
        core.collect();
        let (busy, next) = {
            let station = core.station.borrow();
            (station.busy_workers(), station.next_completion())
        };
        if busy == 0 || next == Instant::NEVER {
            core.armed.set(Instant::NEVER);
            poll_fn(|cx| core.poll_poked(cx)).await;
            continue;
        }
        core.armed.set(Instant::START);
        let step = next.since(core.burnt.get()).min(SLICE / busy).max(Duration::from_nanos(1));
        burner.burn(step * busy);
        core.burnt.set(core.burnt.get() + step);
        tokio::task::yield_now().await;
    }
}
