//! The `live` world: the real engine on real sockets, in real time, on this machine's loopback.
//!
//! Each part has threads of its own, as it would have a machine of its own: the backends one, the load generator one, the
//! engine its workers (one, unless the scenario says otherwise, since that is what the other worlds simulate). They
//! share a clock and nothing else. Ports are free ones. Events are performed by whoever waits here; what only a simulated
//! network can do was refused when the scenario was checked.

use std::{io, net::SocketAddr, sync::Arc, thread, time::Duration};

use backend_sim::{GroupSpec, Remote};
use loadgen::{Carry, End, Ledger, NamedLoad, Plan, Progress, Share, Stop, Stopper};
use net::{Clock, Real};
use policy::{Instant, Seed};
use proxy::{
    config::{EndpointConfig, ProxyConfig},
    engine::Proxy,
};
use reports::{Measurement, Phase, RecorderConfig, Unit};
use tokio::{runtime::Builder, sync::oneshot, task::LocalSet};

use crate::language::{Moment, Scenario};

mod counters;
mod events;

use counters::Counters;
use events::Performer;

/// The parts get so long to be ready before the first request is due.
const LEAD: Duration = Duration::from_millis(100);
/// What is under way at the end gets so long to stop in good order.
const STOP: Duration = Duration::from_secs(1);

/// What a live run came to.
#[derive(Debug)]
pub struct Outcome {
    /// The figures.
    pub measurement: Measurement,
    /// Why they cannot be believed; empty when they can.
    pub problems: Vec<String>,
    /// What the reader should know.
    pub notes: Vec<String>,
    /// Whether a person ended it early.
    pub interrupted: bool,
}

/// Whoever watches a run while it runs.
pub trait Watcher {
    /// So far it has come: the time since its start, and what was sent and answered.
    fn at(&mut self, elapsed: Duration, progress: loadgen::Snapshot);
}

/// Runs a scenario. Needs no runtime.
///
/// # Errors
/// In words: why it could not be carried out.
pub fn run(scenario: &Scenario, seed: u64, watcher: &mut dyn Watcher) -> Result<Outcome, String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(perform(scenario, Seed(seed), watcher))
}

async fn perform(
    scenario: &Scenario,
    seed: Seed,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, String> {
    let clock = Clock::real();
    let timeline = scenario.timeline();
    let backends = start_backends(scenario, clock, seed)
        .map_err(|error| format!("the backends could not be started: {error}"))?;
    let config = proxy_config(scenario, &backends);
    let proxy = Proxy::start(config.clone(), seed.child("proxy"))
        .map_err(|error| format!("the proxy could not be started: {error}"))?;
    let start = clock.now() + LEAD;
    let (stopper, stop) = Stopper::new();
    let progress = Arc::<Progress>::default();
    let plan = plan(scenario, seed, proxy.address());
    let mut ledger = start_load(plan, clock, start, Arc::clone(&progress), stop)
        .map_err(|error| format!("the load generator could not be started: {error}"))?;
    let mut performer = Performer::new(scenario, backends, proxy, config);
    let mut moments = timeline.iter().peekable();
    let mut warmed_up = scenario.warmup.0.is_zero();
    let mut before = Counters::default();
    let mut interrupted = false;
    let mut notes = Vec::new();
    let ended = loop {
        let due = moments.peek().map_or(Instant::NEVER, |moment| start + moment.at);
        let warm = if warmed_up { Instant::NEVER } else { start + scenario.warmup.0 };
        tokio::select! {
            biased;
            ended = &mut ledger => break ended,
            _ = tokio::signal::ctrl_c(), if !interrupted => {
                interrupted = true;
                stopper.stop();
            }
            () = clock.sleep_until(warm) => {
                warmed_up = true;
                before = performer.counters();
            }
            () = clock.sleep_until(due) => {
                if let Some(moment) = moments.next() {
                    happen(&mut performer, moment, &mut notes).await;
                }
            }
            () = clock.sleep(Duration::from_millis(100)) => {
                watcher.at(clock.now().since(start), progress.snapshot());
            }
        }
    };
    let (ledger, end) = ended
        .map_err(|_| "the load generator's thread died".to_owned())?
        .map_err(|error| format!("the load could not be sent: {error}"))?;
    let counted = performer.counters().since(&before);
    notes.extend(performer.unfelt());
    performer.stop(STOP);
    let mut measurement = match end {
        End::Complete => ledger.recorder.clone().finish(),
        End::Stopped(at) => ledger.recorder.clone().finish_at(at),
    };
    counted.insert_into(&mut measurement);
    let problems = loadgen::validity::problems(&ledger, &measurement);
    if ledger.resent > 0 {
        let n = ledger.resent;
        notes.push(format!(
            "{n} requests were sent anew because the proxy had just closed their idle connection"
        ));
    }
    notes.extend(failures(&ledger));
    Ok(Outcome { measurement, problems, notes, interrupted })
}

async fn happen(performer: &mut Performer<'_>, moment: &Moment, notes: &mut Vec<String>) {
    if let Err(error) = performer.perform(moment).await {
        notes.push(format!("event at {:?}, {}: {error}", moment.at, moment.label));
    }
}

/// One line for each kind of failure, with its first example.
fn failures(ledger: &Ledger) -> impl Iterator<Item = String> + '_ {
    ledger.failures.iter().map(|(kind, failures)| {
        format!("{kind}: {} times, first: {}", failures.count, failures.example)
    })
}

fn start_backends(scenario: &Scenario, clock: Clock, seed: Seed) -> io::Result<Remote> {
    let total = scenario.all_endpoints();
    let groups = scenario.backends.iter().map(|(name, config)| {
        // Those that an event adds later run from the start; the proxy only does not know them yet.
        let count = total.iter().filter(|endpoint| belongs(endpoint, name)).count();
        let config = backend_sim::BackendConfig { count: count as u32, ..config.clone() };
        GroupSpec { name: name.clone(), config, addresses: Vec::new() }
    });
    let groups = groups.collect();
    backend_sim::run_in_thread(Real::with_clock(clock), seed.child("backends"), groups)
}

/// Whether an endpoint is one of this backend: `web-12` is of `web`.
fn belongs(endpoint: &str, backend: &str) -> bool {
    endpoint.rsplit_once('-').is_some_and(|(name, _)| name == backend)
}

/// An endpoint as the proxy is told of it.
fn endpoint_config(scenario: &Scenario, backends: &Remote, name: &str) -> Option<EndpointConfig> {
    let address = backends.address(name)?;
    let backend = scenario.backends.iter().find(|(backend, _)| belongs(name, backend));
    let weight = backend.map_or(1, |(_, config)| config.weight);
    Some(EndpointConfig { name: Some(name.to_owned()), weight, ..EndpointConfig::new(address) })
}

fn proxy_config(scenario: &Scenario, backends: &Remote) -> ProxyConfig {
    let names = scenario.endpoints();
    let endpoints = names.iter().filter_map(|name| endpoint_config(scenario, backends, name));
    ProxyConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        workers: Some(scenario.proxy.workers.unwrap_or(1)),
        endpoints: endpoints.collect(),
        ..scenario.proxy.clone()
    }
}

/// What is sent, and what of it is measured.
fn plan(scenario: &Scenario, seed: Seed, address: SocketAddr) -> Plan {
    let phases = scenario.phases.iter().map(|(name, window)| Phase {
        name: name.clone(),
        from: window.from(),
        to: window.to(),
    });
    let recorder = RecorderConfig {
        endpoints: scenario.all_endpoints(),
        phases: phases.collect(),
        ..RecorderConfig::new(Some(scenario.duration.0), scenario.warmup.0)
    };
    // Where all backends are alike, the work is drawn with the request, so that every strategy faces the same.
    let mut services = scenario.backends.values().map(|backend| &backend.service);
    let work = services.next().filter(|first| services.all(|other| other == *first)).cloned();
    let loads = scenario.load.iter().map(|(name, load)| NamedLoad {
        name: name.clone(),
        load: load.clone(),
        work: work.clone(),
    });
    Plan {
        loads: loads.collect(),
        seed: seed.child("load"),
        duration: Some(scenario.duration.0),
        address,
        host: address.to_string(),
        recorder,
        carry: Carry::Work,
        payload: None,
        share: Share::WHOLE,
    }
}

type Ended = Result<(Ledger, End), String>;

/// Starts the load generator on a thread of its own.
fn start_load(
    plan: Plan,
    clock: Clock,
    start: Instant,
    progress: Arc<Progress>,
    stop: Stop,
) -> io::Result<oneshot::Receiver<Ended>> {
    let (done, ended) = oneshot::channel();
    thread::Builder::new().name("loadgen".into()).spawn(move || {
        let result = match Builder::new_current_thread().enable_all().build() {
            Err(error) => Err(error.to_string()),
            Ok(runtime) => LocalSet::new().block_on(&runtime, async {
                let net = Real::with_clock(clock);
                loadgen::run(&net, &plan, start, progress, stop).await.map_err(|e| e.to_string())
            }),
        };
        // Nobody waits any more when the run was given up.
        drop(done.send(result));
    })?;
    Ok(ended)
}

/// A counter of the proxy as a metric.
fn insert(measurement: &mut Measurement, name: &str, value: u64) {
    measurement.metrics.insert(name, value as f64, Unit::Count);
}
