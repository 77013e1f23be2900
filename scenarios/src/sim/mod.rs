//! The `sim` world: the real engine, the real backends and the real load generator on a simulated network, in virtual time.
//!
//! Everything runs on one thread, each party on a host of its own (`stage`); nobody but the network knows that it is not
//! a real one. The same seed gives the same bytes, wherever it runs and whatever runs beside it. An event happens at its
//! time; an hour in which nothing happens takes no time. There are two networks ([`Network`]), which have no line in common:
//! ours, exact to the microsecond, and one by the crate turmoil, which judges it.

use std::{fmt, pin::pin, str::FromStr, sync::Arc, time::Duration};

use loadgen::{End, Ledger, Plan, Progress, Stop, Stopper};
use net::{
    SimulatedHost, SimulatedNet,
    memory::{Memory, MemorySettings},
    turmoil::{Turmoil, TurmoilSettings},
};
use policy::{Instant, Seed};
use proxy::config::ProxyConfig;
use tokio::{
    runtime::Builder,
    task::{JoinHandle, LocalSet},
};

use crate::{
    counters::Readings,
    felt::touched_nobody,
    fleet::Member,
    generations::Generations,
    interrupt::Interrupt,
    invariants::{self, Invariants, Observer},
    language::{Action, Event, RedisState, Scenario, pools},
    outcome::{Outcome, Validity, Watcher, what_the_load_saw},
    panics,
    redirect::with_secret,
};

mod backends;
mod events;
mod proxies;
mod stage;

use backends::Backends;
use events::Trouble;
use proxies::Proxies;
use stage::Stage;

/// Everybody is there so long before the first request is due.
const LEAD: Duration = Duration::from_millis(1);
/// What is under way at the end gets so long to stop in good order.
const STOP: Duration = Duration::from_secs(1);
/// The watcher is told so often in a run how far it is, and the interrupt asked …
const LOOKS: u32 = 200;
/// … but no more often than the first and no less often than the second of these.
const STEP: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(250)];

/// Which simulated network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Ours: event-driven, exact to the microsecond.
    #[default]
    Memory,
    /// By the crate turmoil: in ticks of 10 µs to 1 ms, the coarser the longer the scenario; much slower, and independent.
    Turmoil,
}

impl Network {
    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Turmoil => "turmoil",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Memory, Self::Turmoil].into_iter().find(|each| each.as_str() == text);
        known.ok_or_else(|| format!("there is no network `{text}`; write memory or turmoil"))
    }
}

/// Who takes part in a run.
struct Actors<N: SimulatedNet> {
    stage: Stage<N>,
    backends: Backends<N::Host>,
    proxies: Proxies<N::Host>,
    trouble: Trouble,
}

/// Runs a scenario. Needs no runtime.
///
/// # Errors
/// In words: why it could not be carried out.
pub fn run(
    scenario: &Scenario,
    seed: u64,
    network: Network,
    interrupt: &Interrupt,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, String> {
    let panics = panics::watch();
    let scenario = &*with_secret(scenario, seed);
    let seed = Seed(seed);
    let no_network = |error| format!("no network: {error}");
    let outcome = match network {
        Network::Memory => {
            let runtime = Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .map_err(|error| format!("no runtime: {error}"))?;
            LocalSet::new().block_on(&runtime, async {
                let link = stage::link(&scenario.network);
                let settings =
                    MemorySettings { epoch: stage::epoch(), link, ..MemorySettings::default() };
                let memory = Memory::new(seed, settings).map_err(no_network)?;
                perform(memory, scenario, seed, interrupt, watcher).await
            })
        }
        Network::Turmoil => {
            let link = stage::link(&scenario.network);
            let settings = TurmoilSettings::lasting(scenario.duration.0);
            if let Some(why) = too_many_hosts(scenario, settings.machines) {
                return Err(why);
            }
            let settings = TurmoilSettings { epoch: stage::epoch(), link, ..settings };
            let world = async |turmoil| perform(turmoil, scenario, seed, interrupt, watcher).await;
            Turmoil::run(seed, settings, world).map_err(no_network).and_then(|outcome| outcome)
        }
    };
    // A task that panics takes its connection with it, and nothing else: that must not pass for a network's fault.
    match panics.first() {
        Some(message) => Err(format!("a part of the system panicked: {message}")),
        None => outcome,
    }
}

/// Why turmoil's network cannot hold so many proxies. Its machines are few, the last of them are shared by the hosts that find no
/// other, and nothing lies between two hosts on one machine: no latency, and nothing to cut. Endpoints may share one, as they have
/// nothing to do with each other.
fn too_many_hosts(scenario: &Scenario, machines: usize) -> Option<String> {
    let (proxies, loads) = (scenario.proxies as usize, scenario.load.len());
    let most = machines - TurmoilSettings::SHARED;
    let endpoints = scenario.all_endpoints().len();
    let hosts = proxies + loads + endpoints;
    (proxies > 1 && hosts > machines && proxies + loads > most).then(|| {
        format!(
            "`proxies`: turmoil's network has room for {machines} hosts, or for {most} proxies and loads and any number of \
             endpoints; here are {hosts} hosts: {proxies} proxies, {loads} of clients, {endpoints} endpoints; take fewer, or run \
             it on `--network memory`"
        )
    })
}

async fn perform<N: SimulatedNet>(
    network: N,
    scenario: &Scenario,
    seed: Seed,
    interrupt: &Interrupt,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, String> {
    let clock = *network.clock();
    let stage = Stage::new(scenario, network).map_err(|error| format!("no hosts: {error}"))?;
    let backends = Backends::start(scenario, &stage.endpoints, seed.child("backends"))
        .await
        .map_err(|error| format!("the backends could not be started: {error}"))?;
    let start = clock.now() + LEAD;
    let observer = Observer::new(Invariants::new(scenario, start), clock);
    let members: Vec<_> = Member::all(scenario)
        .zip(&stage.proxies)
        .map(|(one, host)| (one, host.clone(), proxy_config(scenario, &stage, one, host)))
        .collect();
    let addresses = members.iter().map(|(.., config)| config.listen).collect();
    let proxies = Proxies::start(members, seed, &observer)
        .await
        .map_err(|error| format!("the proxy could not be started: {error}"))?;
    let (stopper, stop) = Stopper::new();
    let progress = Arc::<Progress>::default();
    let plan = crate::load::plan(scenario, seed, addresses);
    let mut sending = pin!(gather(send(&stage, &plan, start, &progress, &stop)?));
    let mut actors = Actors { stage, backends, proxies, trouble: Trouble::default() };
    let timeline = scenario.timeline();
    let mut moments = timeline.iter().peekable();
    let mut readings = Readings::new(scenario);
    let step = (scenario.duration.0 / LOOKS).clamp(STEP[0], STEP[1]);
    let mut look = start;
    let mut interrupted = false;
    let mut undone = Vec::new();
    let mut sent = None;
    // Events that come after the last answer happen all the same: the proxy must be well again after the last of them.
    while sent.is_none() || !interrupted && moments.peek().is_some() {
        let reading = readings.next().map_or(Instant::NEVER, |at| start + at);
        let recovered = observer.tell(|invariants, _| invariants.recovery_due());
        let due = moments.peek().map_or(Instant::NEVER, |moment| start + moment.at);
        tokio::select! {
            biased;
            ended = &mut sending, if sent.is_none() => {
                sent = Some((ended, actors.proxies.with(Generations::counters)));
            }
            () = clock.sleep_until(reading) => {
                readings.take(actors.proxies.with(Generations::counters));
            }
            () = clock.sleep_until(due) => {
                if let Some(moment) = moments.next()
                    && let Err(why) = events::perform(moment, scenario, &mut actors)
                {
                    undone.push(format!("event at {:?}, {}: {why}", moment.at, moment.label));
                }
            }
            () = clock.sleep_until(recovered) => actors.proxies.with(|all| {
                observer.tell(|invariants, now| look_at_all(invariants, now, all));
            }),
            () = clock.sleep_until(look) => {
                look = clock.now() + step;
                watcher.at(clock.now().since(start), progress.snapshot());
                if interrupt.is_wanted() && !interrupted {
                    interrupted = true;
                    stopper.stop();
                }
            }
        }
    }
    let (ended, counters) = sent.ok_or("the load generator never ended")?;
    let (ledger, end) = ended?;
    let Actors { stage, backends, proxies, trouble } = actors;
    let mut measurement = match end {
        End::Complete => ledger.recorder.clone().finish(),
        End::Stopped(at) => ledger.recorder.clone().finish_at(at),
    };
    readings.insert_into(&mut measurement, scenario, &counters);
    what_clients_saw(&observer, &ledger, progress.snapshot());
    let ended = if interrupted { invariants::End::Interrupted } else { invariants::End::Complete };
    if !interrupted {
        // Idle time costs nothing, so a run that ends before the proxy had to be well again goes on until then.
        let due = observer.tell(|invariants, _| invariants.recovery_due());
        if due != Instant::NEVER {
            clock.sleep_until(due).await;
        }
    }
    proxies.with(|all| {
        observer.tell(|invariants, now| {
            look_at_all(invariants, now, all);
            invariants.compare_in_flight(now, all.endpoints());
        });
    });
    let problems = loadgen::validity::problems(&ledger, &measurement);
    let validity = if problems.is_empty() { Validity::Valid } else { Validity::Unreachable };
    let mut notes = trouble.unfelt(&stage.network);
    let harmed =
        |event: &Event| matches!(event.action, Action::Redis(state) if state != RedisState::Well);
    if scenario.events.iter().any(harmed) && proxies.redis().calls().1 == 0 {
        notes.push("what was done to Redis touched nobody".to_owned());
    }
    observer.tell(|invariants, _| invariants.arrivals(backends.unrepeatable()));
    let (unfelt, refused) = backends.stop(&clock, STOP).await;
    undone.extend(refused);
    let unfelt = unfelt.iter();
    // Whoever is refused by a dead endpoint has felt it, but only the proxy knows.
    let unfelt = unfelt
        .filter(|(name, fault)| *fault != "crash" || !proxies.with(|all| all.has_failed(name)));
    notes.extend(unfelt.map(|(name, fault)| touched_nobody(name, fault)));
    notes.extend(proxies.with(Generations::notes));
    notes.extend(proxies.notes());
    notes.extend(what_the_load_saw(&ledger));
    if !proxies.stop(&clock, longest_drain(scenario) + STOP).await {
        notes.push("a proxy had not ended its connections when the run was over".to_owned());
    }
    undone.extend(proxies.failed());
    let invariants = observer.tell(|invariants, now| {
        invariants.at_rest(now);
        invariants.finish(now, ended)
    });
    Ok(Outcome { measurement, invariants, problems, validity, undone, notes, interrupted })
}

/// What one load has come to.
type Sent = JoinHandle<Result<(Ledger, End), loadgen::config::Problem>>;

/// Starts the clients of every load, each on its host.
fn send<N: SimulatedNet>(
    stage: &Stage<N>,
    plan: &Plan,
    start: Instant,
    progress: &Arc<Progress>,
    stop: &Stop,
) -> Result<Vec<Sent>, String> {
    let loads = stage.loads.iter().enumerate();
    let sending = loads.map(|(place, host)| {
        let plan = Plan { only: Some(place), ..plan.clone() };
        let (net, progress, stop) = (host.clone(), Arc::clone(progress), stop.clone());
        host.spawn(async move { loadgen::run(&net, &plan, start, progress, stop).await })
    });
    sending.collect::<Result<_, _>>().map_err(|error| format!("no clients: {error}"))
}

/// Waits until every load has been sent, and puts together what became of them.
async fn gather(sending: Vec<Sent>) -> Result<(Ledger, End), String> {
    let mut gathered: Option<(Ledger, End)> = None;
    for load in sending {
        let (ledger, end) = load
            .await
            .map_err(|_| "the load generator died".to_owned())?
            .map_err(|error| format!("the load could not be sent: {error}"))?;
        gathered = Some(match gathered {
            None => (ledger, end),
            Some((mut all, before)) => {
                all.merge(ledger)?;
                let end = match (before, end) {
                    (End::Stopped(a), End::Stopped(b)) => End::Stopped(a.max(b)),
                    (End::Stopped(at), End::Complete) | (End::Complete, End::Stopped(at)) => {
                        End::Stopped(at)
                    }
                    (End::Complete, End::Complete) => End::Complete,
                };
                (all, end)
            }
        });
    }
    gathered.ok_or_else(|| "there is no load".to_owned())
}

/// How long a proxy of this scenario may take to end what it has begun: a dial into a cut link, say, whose client has left.
fn longest_drain(scenario: &Scenario) -> Duration {
    let later = scenario.events.iter().flat_map(|event| match &event.action {
        Action::Reload { configs, .. } => configs.as_slice(),
        _ => &[],
    });
    let all = later.map(|config| &**config).chain([&scenario.proxy]);
    let all = all.map(|config| config.timeouts.drain.0);
    all.max().unwrap_or_default()
}

/// Shows the endpoints that each proxy has now.
fn look_at_all(invariants: &mut Invariants, now: Instant, all: &Generations) {
    for (proxy, pool, present) in all.present() {
        invariants.look(now, (proxy, pool), present);
    }
}

/// What is known of every request, from the clients' side.
fn what_clients_saw(observer: &Observer, ledger: &Ledger, progress: loadgen::Snapshot) {
    let wrong = ledger.failures.get("failed.body_mismatch");
    observer.tell(|invariants, now| {
        // Those that were under way when somebody stopped the run are no failure.
        let ended = (progress.finished + ledger.abandoned).saturating_sub(ledger.unsent);
        invariants.sent_and_ended(now, progress.sent, ended);
        let count = wrong.map_or(0, |wrong| wrong.count);
        invariants.bodies(progress.ok + count, count, wrong.map(|wrong| wrong.example.as_str()));
    });
}

fn proxy_config<N: SimulatedNet>(
    scenario: &Scenario,
    stage: &Stage<N>,
    member: Member,
    host: &N::Host,
) -> ProxyConfig {
    let names = scenario.endpoints();
    let told = |name: &String| Some(scenario.told(name, stage.address(name)?));
    let (listen, workers) = ((host.ip(), 80).into(), Some(1));
    let mut config = ProxyConfig { listen, workers, ..scenario.proxy.clone() };
    pools::add(&mut config, names.iter().filter_map(told));
    member.configure(config)
}
