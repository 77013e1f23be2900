//! The `model` world: the proxy's own decisions drive a queueing model, in virtual time and without a byte.
//!
//! A discrete-event simulation (Banks, Carson, Nelson and Nicol, *Discrete-Event System Simulation*, ch. 3). What *decides* is what the
//! engine decides with: `policy`'s balancers over the same endpoints, its outlier ejection, health checks, retry verdicts and budget,
//! waiting room, and the engine's table of faults. What *serves* is the simulated backends' own station. What *arrives* is the
//! load generator's own schedule. So the model has no opinion of its own on any of them; its own are only the order of
//! events and the network's latency.
//!
//! A proxy may have stages before its endpoints: routes, filters, limits of its clients, a cache, a limit of what its upstream can take. Their rules
//! are `policy`'s, too.
//!
//! What it leaves out: bytes (a body takes no time; there is no bandwidth), CPU (the proxy and the clients cost nothing, and
//! `compute` is a delay), and TCP but for what it means to a decision: a dial takes a round trip, a kept connection none, a dead
//! process refuses or resets, a cut link holds everything up.
//!
//! Reading order: `world` is the loop; `clients` → `path` (with `queue`) → `serve` is a request on its way, over `link`s; `proxies` are
//! who decides, `setup` holds the decisions, `services`, `stages` and `cache` what comes before them, `backend` the stations, `demand` what becomes of a request there; `probe`, `inquiry` and `events` are what happens besides; `agenda`,
//! `ahead`, `behind`, `lane` and `request` are the
//! machinery that makes it fast; `tally` is what is told at the end.

use std::{ops::ControlFlow, time::Duration};

use backend_sim::config::{Kind, SessionFormat};
use policy::{Instant, Seed};
use reports::{InvariantResult, Measurement, Phase, Recorder, RecorderConfig};

use crate::{
    counters::Readings,
    fleet::Member,
    invariants::{End, Invariants},
    language::{Scenario, pools as language_pools, world as language_world},
    wanted::Wanted,
};

mod agenda;
mod ahead;
mod backend;
mod behind;
mod cache;
mod clients;
mod cookies;
mod demand;
mod events;
mod facts;
mod inquiry;
mod lane;
mod letter;
mod link;
mod parts;
mod path;
mod probe;
mod proxies;
mod purge;
mod queue;
mod redirect;
mod request;
mod serve;
mod services;
mod setup;
mod stages;
mod tally;

mod world;

use agenda::Agenda;
use ahead::Ahead;
use backend::Backend;
use behind::Behind;
use clients::Clients;
use link::Link;
pub use parts::Parts;
use proxies::Proxy;
use request::Slab;
use setup::endpoint_config;
use tally::{Failures, Tally};
use world::{Source, World};

/// What a run of the model came to.
#[derive(Debug)]
pub struct Outcome {
    /// The figures.
    pub measurement: Measurement,
    /// Why they cannot be believed; empty when they can.
    pub problems: Vec<String>,
    /// What was watched over while it ran.
    pub invariants: Vec<InvariantResult>,
    /// What the reader should know.
    pub notes: Vec<String>,
    /// Whether the watcher ended it early.
    pub interrupted: bool,
    /// Requests that ended.
    pub requests: u64,
    /// Events that were simulated.
    pub events: u64,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Virtual time since its start.
    pub elapsed: Duration,
    /// Requests that have ended.
    pub ended: u64,
}

/// Runs a scenario from its start to the end of its last request.
///
/// # Errors
/// In words: what there is in the scenario that the model cannot do.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Outcome, String> {
    run_watched(scenario, seed, &mut |_| ControlFlow::Continue(()))
}

/// The same; `watch` is told every now and then how far it is (some hundred times a second of real time), and may end it.
///
/// # Errors
/// In words: what there is in the scenario that the model cannot do.
pub fn run_watched(
    scenario: &Scenario,
    seed: u64,
    watch: &mut dyn FnMut(Beat) -> ControlFlow<()>,
) -> Result<Outcome, String> {
    run_with(scenario, seed, Parts::default(), watch)
}

fn run_with(
    scenario: &Scenario,
    seed: u64,
    parts: Parts,
    watch: &mut dyn FnMut(Beat) -> ControlFlow<()>,
) -> Result<Outcome, String> {
    if let Some(reason) = cannot(scenario) {
        return Err(reason);
    }
    let mut world = world_of(scenario, Seed(seed), parts);
    let ended = world.run(watch);
    let end = world.counters();
    let recorder = world.recorder.take();
    let mut measurement = match ended {
        None => recorder.finish(),
        Some(at) => recorder.finish_at(at),
    };
    world.readings.insert_into(&mut measurement, scenario, &end);
    let (problems, notes) = (world.problems(), world.remarks());
    let (requests, events) = (world.ended, world.events);
    Ok(Outcome {
        measurement,
        problems,
        notes,
        interrupted: ended.is_some(),
        requests,
        events,
        invariants: world.finish_invariants(if ended.is_some() {
            End::Interrupted
        } else {
            End::Complete
        }),
    })
}

/// Why the model cannot run this scenario; nothing when it can.
pub fn cannot(scenario: &Scenario) -> Option<String> {
    if scenario.network.bandwidth.is_some() {
        return Some(
            "`network.bandwidth`: the model moves no bytes, so a link's bandwidth means nothing in it; leave it out, or \
             run in `sim`"
                .to_owned(),
        );
    }
    for (name, backend) in &scenario.backends {
        let websocket = SessionFormat::Websocket;
        if backend.kind == Kind::Session && backend.session().format == websocket {
            return Some(format!(
                "`backends.{name}.session.format`: the model has no upgrades; write \"chunked\" or \"sse\", or run in `sim`"
            ));
        }
    }
    for moment in scenario.timeline() {
        if let Some(why) = language_world::cannot(reports::World::Model, &moment.action) {
            return Some(format!("event at {:?}, {}: {why}", moment.at, moment.label));
        }
    }
    let most = u64::from(scenario.proxy.limits.connections);
    let clients: u64 = scenario.load.values().map(most_connections).sum();
    (clients > most).then(|| {
        format!(
            "`proxy.limits.connections` is {most}, and the loads may open {clients}: the model has no backlog for clients to \
             wait in; raise the limit, or lower `max_connections` or `users`"
        )
    })
}

fn most_connections(load: &loadgen::Load) -> u64 {
    let open = || load.max_connections.unwrap_or(loadgen::MAX_CONNECTIONS);
    u64::from(load.users.unwrap_or_else(open))
}

fn world_of(scenario: &Scenario, seed: Seed, parts: Parts) -> World<'_> {
    let mut agenda = Agenda::new();
    let mut sources = Vec::new();
    let mut source = |agenda: &mut Agenda<world::Event>, what| {
        sources.push(what);
        agenda.add_source()
    };
    let end = Instant::START + scenario.duration.0;
    let loads = clients::loads(scenario);
    let load_seed = seed.child("load");
    let schedule = Ahead::new(clients::schedule(&loads, load_seed, end));
    let arrivals = source(&mut agenda, Source::Arrivals);
    let clients: Vec<Clients> = (0_u16..)
        .zip(&loads)
        .map(|(index, load)| {
            let source = source(&mut agenda, Source::Patience(u32::from(index)));
            Clients::new(index, load, (load_seed, scenario.proxies), source)
        })
        .collect();
    let names = scenario.all_endpoints();
    let mut reporting = false;
    let backend_seed = seed.child("backends");
    let backends: Vec<Backend> = (0_u32..)
        .zip(&names)
        .filter_map(|(index, name)| {
            let (group, _) = name.rsplit_once('-')?;
            let source = source(&mut agenda, Source::Station(index));
            let backend = scenario.backends.get(group)?;
            let backend = Backend::new(name, backend, backend_seed, source);
            let wanted = Wanted::of(scenario, group);
            reporting |= wanted.reports;
            let backend = if wanted.is_nothing() { backend } else { backend.metered() };
            Some(backend.with_station(parts.station))
        })
        .collect();
    let stride = clients.len() as u32 + names.len() as u32;
    let links = Member::all(scenario).flat_map(|member| {
        let network = match member.of {
            1 => seed.child("network"),
            _ => seed.child("network").child(&member.name()),
        };
        let link = move |kind: &str, peer: u32, name: &str| {
            let ends = (member.index, peer);
            Link::new(ends, scenario.network.latency.as_ref(), network.child(kind).child(name))
        };
        let loads = (0..).zip(&clients).map(move |(peer, of)| link("load", peer, &of.name));
        loads.chain((0..).zip(&names).map(move |(peer, name)| link("endpoint", peer, name)))
    });
    let links = links.collect();
    let first = scenario.endpoints();
    let places = (0_u32..).zip(&names).map(|(place, name)| (name.clone(), place)).collect();
    // Those that there are at the start are the first of all that there ever are.
    let told = (0_u32..).zip(backends.iter().take(first.len()));
    let told = told.map(|(place, each)| endpoint_config(place, &each.name, &each.config));
    let mut config = scenario.proxy.clone();
    language_pools::add(&mut config, told);
    let phases = scenario.phases.iter().map(|(name, window)| Phase {
        name: name.clone(),
        from: window.from(),
        to: window.to(),
    });
    let recorder = RecorderConfig {
        loads: loads.iter().map(|load| load.name.clone()).collect(),
        endpoints: names,
        phases: phases.collect(),
        ..RecorderConfig::new(Some(scenario.duration.0), scenario.warmup.0)
    };
    let mut world = World {
        scenario,
        parts,
        timeline: scenario.timeline(),
        now: Instant::START,
        end,
        measured_from: Instant::START + scenario.warmup.0,
        agenda,
        sources,
        requests: Slab::default(),
        clients,
        schedule,
        arrivals,
        backends,
        places,
        links,
        stride,
        setups: Vec::new(),
        reporting,
        reports: Vec::new(),
        proxies: Member::all(scenario).map(|member| Proxy::new(member, seed)).collect(),
        rooms: Vec::new(),
        rung: false,
        binds: false,
        recorder: Behind::new(Recorder::new(recorder)),
        readings: Readings::new(scenario),
        tally: Tally::default(),
        failures: Failures::default(),
        waiting_clients: 0,
        thinking: 0,
        ended: 0,
        events: 0,
        notes: Vec::new(),
        invariants: Invariants::new(scenario, Instant::START),
        staged: false,
        pending: Vec::new(),
        held: Vec::new(),
        services: Vec::new(),
        redirect: None,
    };
    // What happens at the same moment happens in this order: readings, events, then what they are about.
    world.plan_readings();
    world.plan_events();
    world.begin_invariants();
    for proxy in 0..scenario.proxies {
        world.put_in_force(proxy, config.clone());
        world.plan_sweep(proxy);
    }
    world.prepare_redirects(seed);
    world.agenda.set(world.arrivals, world.schedule.due());
    for load in 0..world.clients.len() {
        for user in 0..world.clients[load].users() {
            world.think(load as u16, user, Duration::ZERO);
        }
    }
    world
}
