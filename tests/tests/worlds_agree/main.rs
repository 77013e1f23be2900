//! One scenario, the same in every world.
//!
//! The scenarios are in `tests/worlds/`, each different in kind. They run in the model, on the network in memory, a few on
//! turmoil's network and a few on real sockets, with the same seed, and what came of them is held together: percentiles,
//! throughput, each endpoint's part, and the counts of all that went wrong. How far apart two worlds may be is stated with
//! the reason, in one place each: [`model_and_sim`], [`networks`] and [`live`]. Where nothing but rounding separates two
//! worlds, [`whole`] takes the rounding away, and then every figure must be the same. That the comparisons can fail is
//! shown in [`deliberate`].
//!
//! `WORLDS_SEEDS` sets how many seeds there are, `WORLDS_SHOW` has the differences printed that are allowed.

use std::{path::Path, time::Duration};

use reports::Measurement;
use scenarios::{
    interrupt::Interrupt,
    language::{Scenario, suite},
    model,
    outcome::Watcher,
    sim::{self, Network},
};

mod compare;
mod deliberate;
mod live;
mod model_and_sim;
mod networks;
mod paired;
mod whole;

struct Nobody;

impl Watcher for Nobody {
    fn at(&mut self, _: Duration, _: loadgen::Snapshot) {}
}

/// A scenario of `tests/worlds/`: its variants, each with what makes it this one.
fn load(name: &str) -> Vec<(String, Scenario)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("worlds/{name}.toml"));
    let loaded = match suite::load_paths(&[path], &[]) {
        Ok(loaded) => loaded,
        Err(failure) => panic!("{name}: {failure:?}"),
    };
    let variants = loaded.into_iter().flat_map(|loaded| loaded.variants).map(|variant| {
        let values: Vec<_> =
            variant.cell.iter().map(|(_, value)| value.trim_matches('"')).collect();
        ([&[name], &values[..]].concat().join(" "), variant.scenario)
    });
    variants.collect()
}

/// The scenario `name`, which has no matrix.
fn only(name: &str) -> Scenario {
    let mut variants = load(name);
    assert_eq!(variants.len(), 1, "{name} has a matrix");
    variants.remove(0).1
}

fn in_model(scenario: &Scenario, seed: u64) -> Measurement {
    model::run(scenario, seed).expect("the model can do this").measurement
}

fn in_sim(scenario: &Scenario, seed: u64, network: Network) -> Measurement {
    let outcome = sim::run(scenario, seed, network, &Interrupt::never(), &mut Nobody);
    let outcome = outcome.expect("it can be carried out");
    assert_eq!(outcome.undone, Vec::<String>::new());
    outcome.measurement
}

/// The seeds of a test, which wants so many.
fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let asked = std::env::var("WORLDS_SEEDS").ok();
    1..=asked.map_or(count, |text| text.parse().expect("WORLDS_SEEDS is a number"))
}

/// Prints what is allowed, where that is asked for.
fn show(what: &str, allowed: &[String]) {
    if std::env::var_os("WORLDS_SHOW").is_some() && !allowed.is_empty() {
        println!("{what}: {}", allowed.join("; "));
    }
}
