//! The `live` world: the real engine on real sockets, in real time, on this machine's loopback.
//!
//! Each part has threads of its own, as it would have a machine of its own: the backends one, the load generator one, the
//! engine (each of them, if there are several) its workers (one, unless the scenario says otherwise, since that is what the other
//! worlds simulate). They
//! share a clock and nothing else. Ports are free ones. Whoever waits here performs the events and reads the counters at
//! their times, and does nothing that takes long; what only a simulated network can do was refused when the
//! scenario was checked.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use loadgen::{End, Progress, Stopper};
use net::Clock;
use policy::{Instant, Seed};
use proxy::{config::ProxyConfig, engine::StartError};
use tokio::runtime::Builder;

use crate::{
    counters::Readings,
    felt::touched_nobody,
    fleet::Member,
    interrupt::Interrupt,
    language::{Scenario, pools},
    outcome::{Outcome, Validity, Watcher, what_the_load_saw},
    redirect::with_secret,
};

mod backends;
mod events;
mod load;
mod proxies;

use backends::Backends;
use proxies::Proxies;

/// The parts get so long to be ready before the first request is due.
const LEAD: Duration = Duration::from_millis(100);
/// What is under way at the end gets so long to stop in good order.
const STOP: Duration = Duration::from_secs(1);
/// How often the watcher is told how far it is.
const LOOK: Duration = Duration::from_millis(100);

/// Runs a scenario. Needs no runtime.
///
/// # Errors
/// In words: why it could not be carried out.
pub fn run(
    scenario: &Scenario,
    seed: u64,
    interrupt: &Interrupt,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, String> {
    let scenario = &*with_secret(scenario, seed);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| could_not("no runtime", &error))?;
    runtime.block_on(perform(scenario, Seed(seed), interrupt.clone(), watcher))
}

async fn perform(
    scenario: &Scenario,
    seed: Seed,
    mut interrupt: Interrupt,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, String> {
    let clock = Clock::real();
    let timeline = scenario.timeline();
    let backends = Backends::start(scenario, clock, seed)
        .map_err(|error| could_not("the backends could not be started", &error))?;
    let members = Member::all(scenario).map(|one| (one, proxy_config(scenario, &backends, one)));
    let (mut proxies, addresses) =
        Proxies::start(members, seed, clock).map_err(|error| proxy_could_not(&error))?;
    let start = clock.now() + LEAD;
    let (stopper, stop) = Stopper::new();
    let progress = Arc::<Progress>::default();
    let plan = crate::load::plan(scenario, seed, addresses);
    let mut ledger = load::start(plan, clock, start, Arc::clone(&progress), stop)
        .map_err(|error| could_not("the load generator could not be started", &error))?;
    let mut readings = Readings::new(scenario);
    let mut moments = timeline.iter().peekable();
    let mut look = start;
    let mut overrun = load::Overrun::new(start + scenario.duration.0);
    let mut problems = Vec::new();
    let mut interrupted = false;
    let mut undone = Vec::new();
    let ended = loop {
        let reading = readings.next().map_or(Instant::NEVER, |at| start + at);
        let due = moments.peek().map_or(Instant::NEVER, |moment| start + moment.at);
        tokio::select! {
            biased;
            ended = &mut ledger => break ended,
            () = interrupt.wanted(), if !interrupted => {
                interrupted = true;
                stopper.stop();
            }
            () = clock.sleep_until(reading) => readings.take(proxies.generations().counters()),
            () = clock.sleep_until(due) => {
                if let Some(moment) = moments.next()
                    && let Err(why) = events::perform(moment, scenario, &backends, &mut proxies)
                {
                    undone.push(format!("event at {:?}, {}: {why}", moment.at, moment.label));
                }
            }
            () = clock.sleep_until(proxies.due()) => {
                undone.extend(proxies.rise().err());
            }
            () = clock.sleep_until(overrun.due()) => {
                if overrun.look(progress.snapshot().sent) {
                    problems.push(too_much(scenario, progress.snapshot().sent));
                    stopper.stop();
                }
            }
            () = clock.sleep_until(look) => {
                look = clock.now() + LOOK;
                watcher.at(clock.now().since(start), progress.snapshot());
            }
        }
    };
    let (ledger, end) = ended
        .map_err(|_| "the load generator's thread died".to_owned())?
        .map_err(|error| format!("the load could not be sent: {error}"))?;
    let mut measurement = match end {
        End::Complete => ledger.recorder.clone().finish(),
        End::Stopped(at) => ledger.recorder.clone().finish_at(at),
    };
    readings.insert_into(&mut measurement, scenario, &proxies.generations().counters());
    let fate = backends.stop(clock, STOP).await;
    let mut validity = Validity::Unreachable;
    if problems.is_empty() {
        problems = loadgen::validity::problems(&ledger, &measurement);
        let unsent = ledger.sending.iter().filter(|sending| sending.is_open);
        let unsent = unsent.filter(|sending| sending.dropped > 0 || sending.offered == 0).count();
        validity = match (problems.is_empty(), unsent) {
            (true, _) => Validity::Valid,
            (false, 0) => Validity::Disturbed,
            (false, _) => Validity::Unreachable,
        };
    }
    undone.extend(fate.errors);
    let mut notes = Vec::new();
    let unfelt = fate.unfelt.iter();
    // Whoever is refused by a dead endpoint has felt it, but only the proxy knows.
    let unfelt =
        unfelt.filter(|(name, fault)| *fault != "crash" || !proxies.generations().has_failed(name));
    notes.extend(unfelt.map(|(name, fault)| touched_nobody(name, fault)));
    notes.extend(proxies.generations().notes());
    notes.extend(proxies.notes());
    notes.extend(what_the_load_saw(&ledger));
    if !proxies.stop(STOP) {
        notes.push("a proxy had not ended its connections when the next run began".to_owned());
    }
    Ok(Outcome {
        measurement,
        invariants: Vec::new(),
        problems,
        validity,
        undone,
        notes,
        interrupted,
    })
}

/// Why a load that could not be sent was given up.
fn too_much(scenario: &Scenario, sent: u64) -> String {
    let asked = scenario.expected().requests;
    format!(
        "of about {asked:.0} requests that were due in {} only {sent} had been sent two seconds after the end; ask for a \
         lower rate, or keep other programs off this machine",
        scenario.duration
    )
}

fn proxy_config(scenario: &Scenario, backends: &Backends, member: Member) -> ProxyConfig {
    let names = scenario.endpoints();
    let endpoints = names.iter().filter_map(|name| backends.endpoint(scenario, name));
    let mut config = ProxyConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        workers: Some(scenario.proxy.workers.unwrap_or(1)),
        ..scenario.proxy.clone()
    };
    pools::add(&mut config, endpoints);
    member.configure(config)
}

fn proxy_could_not(error: &StartError) -> String {
    let what = "the proxy could not be started";
    match error {
        StartError::Bind(_, cause) | StartError::System(cause) => {
            format!("{what}: {error}{}", advice(cause))
        }
        _ => format!("{what}: {error}"),
    }
}

fn could_not(what: &str, error: &io::Error) -> String {
    format!("{what}: {error}{}", advice(error))
}

/// What a person can do about it.
fn advice(error: &io::Error) -> &'static str {
    // These two kinds have names only in errno: too many open files, in this process or in all.
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    match (error.raw_os_error(), error.kind()) {
        (Some(EMFILE | ENFILE), _) => {
            "; allow more open files (`ulimit -n 65536`) or ask for fewer endpoints"
        }
        (_, io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse) => {
            "; no port is free: wait until the connections of earlier runs are forgotten (a minute), or widen \
             net.ipv4.ip_local_port_range"
        }
        _ => "",
    }
}
