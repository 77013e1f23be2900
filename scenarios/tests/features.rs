//! What the proxy's features are for, as scenarios: every one of `suites/proxy` holds in each virtual world that it allows, and says
//! the same there.

use std::path::{Path, PathBuf};

use reports::Measurement;
use scenarios::{
    fuzz::judge::Judge,
    interrupt::Interrupt,
    language::{Loaded, Scenario, Setting, load_paths},
    model,
    outcome::Watcher,
    sim::{self, Network},
};

const SUITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/suites/proxy");

struct Nobody;

impl Watcher for Nobody {
    fn at(&mut self, _: std::time::Duration, _: loadgen::Snapshot) {}
}

fn in_sim(scenario: &Scenario) -> Measurement {
    let seed = scenario.seed;
    let outcome = sim::run(scenario, seed, Network::Memory, &Interrupt::never(), &mut Nobody);
    let outcome = outcome.expect("it can be carried out");
    assert_eq!(outcome.undone, Vec::<String>::new());
    for invariant in &outcome.invariants {
        assert_eq!(invariant.broken, 0, "{invariant:?}");
    }
    outcome.measurement
}

fn in_model(scenario: &Scenario) -> Measurement {
    model::run(scenario, scenario.seed).expect("the model can do this").measurement
}

fn loaded(name: &str, settings: &[&str]) -> Loaded {
    let path = Path::new(SUITE).join(name).with_extension("toml");
    let settings: Vec<Setting> =
        settings.iter().map(|text| text.parse().expect("a setting")).collect();
    load_paths(&[path], &settings).expect("it is right").remove(0)
}

fn only(name: &str, settings: &[&str]) -> Scenario {
    loaded(name, settings).variants.remove(0).scenario
}

#[test]
fn every_scenario_holds_in_every_virtual_world() {
    let loaded = load_paths(&[PathBuf::from(SUITE)], &[]).expect("every file is right");
    assert!(loaded.len() >= 6, "{} scenarios", loaded.len());
    for scenario in loaded {
        for variant in scenario.variants {
            let worlds = variant.scenario.worlds.clone();
            for world in worlds.into_iter().filter(|world| world.is_virtual()) {
                let broken =
                    Judge::of(world).run(&variant.scenario, variant.scenario.seed, || false);
                assert_eq!(broken, Ok(Vec::new()), "{} in {world}", scenario.name);
            }
        }
    }
}

#[test]
fn an_abuser_moves_nobodys_tail_by_a_tenth() {
    for run in [in_sim, in_model] {
        let p99 = |settings: &[&str]| {
            let measured = run(&only("abuser", settings));
            measured.metrics.get("load.honest.latency.p99").expect("there are enough of them")
        };
        let beside = p99(&[]);
        // The same honest requests, and the abuser comes as seldom as it may.
        let alone = p99(&["load.abuser.arrivals.poisson.rate=1.0"]);
        assert!(
            beside / alone <= 1.1,
            "p99 of the honest: {beside} ms, without the abuser {alone} ms"
        );
        // Without the limit they would notice.
        let unlimited = p99(&["proxy.limit.rate=[]"]);
        assert!(unlimited / alone > 2.0, "p99 of the honest without a limit: {unlimited} ms");
    }
}

#[test]
fn purges_cost_the_same_in_both_worlds() {
    let storm = only("purge-storm", &[]);
    let [sim, model] = [in_sim, in_model].map(|run| {
        let measured = run(&storm);
        let phases = ["warm", "hard", "soft", "after"];
        phases.map(|phase| {
            measured.metrics.get(&format!("phase.{phase}.cache.hit_ratio")).expect("it is kept")
        })
    });
    for (sim, model) in sim.into_iter().zip(model) {
        assert!((sim - model).abs() < 0.001, "{sim} in sim, {model} in model");
    }
}

#[test]
fn what_is_not_there_has_no_figure_and_says_why() {
    let mut scenario = only("abuser", &["duration=6s"]);
    scenario.proxy.limit = proxy::config::ProxyConfig::default().limit;
    let measured = in_model(&scenario);
    for name in ["limited_ratio", "cache.hit_ratio", "shed_ratio", "bytes_saved_ratio"] {
        let found = measured.metrics.read(name);
        assert!(
            matches!(found, reports::Reading::Absent(why) if why.contains("[proxy.")),
            "{name}: {found:?}"
        );
    }
    assert_eq!(measured.metrics.get("proxy.limited"), None);
}
