//! Several proxies: each goes by its own counts, and what is done to one is not done to the others.

#![allow(clippy::float_cmp, reason = "counts, and times in virtual time, are exact")]

use std::time::Duration;

use loadgen::{
    NamedLoad,
    schedule::{OpenSchedule, RequestDraws, Route, User},
};
use policy::{Instant, Seed};
use proxy::config::document::Document;
use reports::Measurement;
use scenarios::{
    interrupt::Interrupt,
    language::{Scenario, matrix::variants},
    live, model,
    outcome::{Outcome, Watcher},
    sim::{self, Network},
};

struct Nobody;

impl Watcher for Nobody {
    fn at(&mut self, _: Duration, _: loadgen::Snapshot) {}
}

const SEED: u64 = 1;

fn scenario(text: &str) -> Scenario {
    let document = Document::parse("proxies.toml", text);
    let variants = document.and_then(|document| variants(document, std::path::Path::new("")));
    variants.unwrap_or_else(|error| panic!("{error}")).remove(0).scenario
}

fn in_sim(scenario: &Scenario, network: Network) -> Result<Outcome, String> {
    sim::run(scenario, SEED, network, &Interrupt::never(), &mut Nobody)
}

fn figure(of: &Measurement, name: &str) -> f64 {
    of.metrics.get(name).unwrap_or_else(|| panic!("there is no {name}"))
}

/// Where the requests of an open loop go, or the users of a closed one.
fn routes(scenario: &Scenario) -> Vec<u32> {
    let (name, load) = scenario.load.first().expect("a load");
    let load = NamedLoad { name: name.clone(), load: load.clone(), work: None };
    let seed = Seed(SEED).child("load");
    let route = Route::new(&load, seed, scenario.proxies);
    let end = Instant::START + scenario.duration.0;
    if let Some(schedule) = OpenSchedule::new(0, &load, seed, end) {
        return schedule.map(|planned| route.proxy(&planned)).collect();
    }
    let draws = std::sync::Arc::new(RequestDraws::new(0, &load, seed));
    let users = 0..load.load.users.unwrap_or(0);
    users.map(|number| route.proxy(&User::new(draws.clone(), number).request())).collect()
}

/// A burst of 20 on an endpoint that serves them all at once, of which each proxy sends one at a time.
const IN_TURN: &str = "duration = '2s'\nproxies = 3\n[proxy.limits]\nendpoint_in_flight = 1\n\
    [backends.web]\nworkers = 20\nservice = { constant = '20ms' }\n\
    [load.all]\narrivals = { bursts = { size = 20, every = '1h', start = '500ms' } }\n";

#[test]
fn limits_are_each_proxys_own() {
    let scenario = scenario(IN_TURN);
    let mut parts = [0_u32; 3];
    for proxy in routes(&scenario) {
        parts[proxy as usize] += 1;
    }
    assert!(parts.iter().all(|part| *part > 0) && parts.iter().sum::<u32>() == 20, "{parts:?}");
    let most = *parts.iter().max().expect("three");
    let longest = 20.0 * f64::from(most);
    let model = model::run(&scenario, SEED).expect("the model can do this");
    let sim = in_sim(&scenario, Network::Memory).expect("it can be carried out");
    let least = parts.iter().min().expect("three");
    let imbalance = f64::from(most) * 3.0 / 20.0;
    let note = format!(
        "each of the 3 proxies sent {least} to {most} requests to endpoints, 7 in the mean: an imbalance of {imbalance:.2}"
    );
    assert_eq!((model.notes, sim.notes), (vec![note.clone()], vec![note]));
    for of in [&model.measurement, &sim.measurement] {
        let longest_seen = figure(of, "latency.max");
        assert!((longest_seen - longest).abs() < 0.2, "{longest_seen} and not {longest} ms");
        assert_eq!([figure(of, "ok"), figure(of, "proxy.queued")], [20.0, 17.0]);
        for ((row, part), name) in
            of.proxies.iter().zip(&parts).zip(["proxy-0", "proxy-1", "proxy-2"])
        {
            assert_eq!((row.name.as_str(), row.requests), (name, u64::from(*part)));
            // To the only endpoint there is.
            assert_eq!((row.imbalance, row.share), (Some(1.0), f64::from(*part) / 20.0));
            let course = of.series.line("proxy_rps", name).expect("several proxies have courses");
            let sent: f64 = course.values.iter().flatten().map(|rate| rate * 0.1).sum();
            assert!((sent - f64::from(*part)).abs() < 1e-6, "{sent} and not {part}");
        }
        assert_eq!(of.proxies.len(), 3);
    }
    // Live each is an engine on a port of its own; how long that takes is the machine's.
    let live = live::run(&scenario, SEED, &Interrupt::never(), &mut Nobody);
    let live = live.expect("it can be carried out").measurement;
    assert!((figure(&live, "ok") - 20.0).abs() < 1e-9);
    assert!(figure(&live, "latency.max") >= longest, "{}", figure(&live, "latency.max"));
}

#[test]
fn what_the_proxies_sent_in_the_warm_up_is_in_no_figure() {
    let of = |proxies: u32| {
        let scenario = scenario(&format!(
            "duration = '3s'\nwarmup = '1s'\nproxies = {proxies}\n[proxy.balance]\nstrategy = 'first'\n\
             [backends.web]\ncount = 4\nworkers = 100\nservice = {{ constant = '1ms' }}\n\
             [load.all]\narrivals = {{ constant = {{ rate = 100.0 }} }}\n",
        ));
        model::run(&scenario, SEED).expect("the model can do this").measurement
    };
    let two = of(2);
    let sent: u64 = two.proxies.iter().map(|row| row.requests).sum();
    assert_eq!(sent as f64, figure(&two, "requests"), "{:?}", two.proxies);
    // All to the first of four: four times the mean, and a quarter by Jain.
    for row in &two.proxies {
        assert_eq!((row.imbalance, row.jain), (Some(4.0), Some(0.25)), "{row:?}");
    }
    let one = of(1);
    assert!(one.proxies.is_empty() && one.series.line("proxy_rps", "proxy-0").is_none());
}

/// Thirty users, of three proxies; one of the proxies goes and stays away for half of the time.
fn users_of_three(network: Network) -> (Scenario, Outcome) {
    let scenario = scenario(
        "duration = '4s'\nproxies = 3\n[proxy.timeouts]\ndrain = '10ms'\n\
         [backends.web]\ncount = 2\nworkers = 30\nservice = { constant = '10ms' }\n\
         [load.all]\nusers = 30\nthink = { constant = '100ms' }\ntimeout = '1s'\n\
         [phases]\nwhole = ['0s', '1s']\nhalf = ['1100ms', '3s']\nagain = ['3100ms', '4s']\n\
         [[events]]\nat = '1s'\nproxy = 'proxy-1'\nrestart_proxy = { down = '2s' }\n",
    );
    let outcome = in_sim(&scenario, network).expect("it can be carried out");
    assert_eq!(outcome.undone, Vec::<String>::new());
    for invariant in &outcome.invariants {
        assert!(invariant.holds(), "{invariant:?}");
    }
    (scenario, outcome)
}

#[test]
fn who_has_a_proxy_that_is_down_is_refused_and_nobody_else() {
    for network in [Network::Memory, Network::Turmoil] {
        let (scenario, Outcome { measurement, notes, .. }) = users_of_three(network);
        let of_it = routes(&scenario).iter().filter(|proxy| **proxy == 1).count() as f64;
        assert!((3.0..20.0).contains(&of_it), "{of_it}");
        for phase in ["whole", "again"] {
            assert_eq!(
                figure(&measurement, &format!("phase.{phase}.success_ratio")),
                1.0,
                "{notes:?}"
            );
        }
        // The others ask as often as ever, nine times a second; those who are refused wait a little longer.
        let ok = figure(&measurement, "phase.half.ok");
        let expected = (30.0 - of_it) * 1.9 / 0.11;
        assert!((ok / expected - 1.0).abs() < 0.04, "{ok} and not {expected}, {network}");
        assert!(figure(&measurement, "phase.half.refused") > of_it * 10.0, "{notes:?}");
        assert_eq!(figure(&measurement, "failed"), 0.0, "{notes:?}");
    }
}

#[test]
fn turmoils_network_has_no_room_for_many() {
    let text = |proxies: u32, endpoints: u32| {
        format!(
            "duration = '100ms'\nproxies = {proxies}\n[backends.web]\ncount = {endpoints}\n\
             [load.all]\narrivals = {{ constant = {{ rate = 200 }} }}\n"
        )
    };
    let why = in_sim(&scenario(&text(24, 10)), Network::Turmoil).expect_err("too many");
    assert_eq!(
        why,
        "`proxies`: turmoil's network has room for 30 hosts, or for 24 proxies and loads and any number of endpoints; here are 35 \
         hosts: 24 proxies, 1 of clients, 10 endpoints; take fewer, or run it on `--network memory`"
    );
    assert!(in_sim(&scenario(&text(24, 10)), Network::Memory).is_ok());
    // Six endpoints more than there are machines share one, and the proxies none.
    let fits = in_sim(&scenario(&text(5, 30)), Network::Turmoil).expect("there is room");
    assert_eq!(figure(&fits.measurement, "ok"), 20.0);
}
