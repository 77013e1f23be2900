//! Redirect mode with the strategies that go by more than counts: what an answer would have told the proxy comes with the endpoint's report of the
//! session's end, and load probes go where they always go. In either virtual world who looks finds the slow endpoint of ten.

use reports::Measurement;
use scenarios::{
    interrupt::Interrupt,
    language::Scenario,
    model,
    outcome::Watcher,
    sim::{self, Network},
};

struct Nobody;

impl Watcher for Nobody {
    fn at(&mut self, _: std::time::Duration, _: loadgen::Snapshot) {}
}

/// Ten endpoints at 15 % of what they can do, one of which is twenty times slower than the others.
fn scenario(mode: &str, strategy: &str) -> Scenario {
    let text = format!(
        "duration = \"8s\"\nwarmup = \"3s\"\n[network]\nlatency = {{ constant = \"200us\" }}\n\
         [proxy]\nmode = \"{mode}\"\n[proxy.balance]\nstrategy = {strategy}\n[proxy.outlier]\nenabled = false\n\
         [backends.web]\ncount = 10\nworkers = 4\nqueue = 400\nservice = {{ exponential = {{ mean = \"10ms\" }} }}\n\
         [load.browse]\narrivals = {{ poisson = {{ rate = 600.0 }} }}\nrequest = [{{ path = \"/\" }}]\n\
         [[events]]\nat = \"0s\"\nslow = {{ endpoint = \"web-3\", factor = 20.0 }}\n"
    );
    toml::from_str(&text).expect("a scenario")
}

fn in_model(scenario: &Scenario) -> Measurement {
    model::run(scenario, 7).expect("the model can do this").measurement
}

fn in_sim(scenario: &Scenario) -> Measurement {
    let outcome = sim::run(scenario, 7, Network::Memory, &Interrupt::never(), &mut Nobody);
    let outcome = outcome.expect("it can be carried out");
    for invariant in &outcome.invariants {
        assert_eq!(invariant.broken, 0, "{invariant:?}");
    }
    outcome.measurement
}

/// The part of the requests that the slow one gets, in both worlds.
fn shares(mode: &str, strategy: &str) -> [f64; 2] {
    let scenario = scenario(mode, strategy);
    [in_model, in_sim].map(|run| {
        let measured = run(&scenario);
        assert_eq!(measured.metrics.get("success_ratio"), Some(1.0), "{mode}, {strategy}");
        measured.metrics.get("endpoint.web-3.share").expect("it is known of each")
    })
}

#[test]
fn who_looks_sends_the_slow_one_less() {
    let strategies = [
        "\"peak_ewma\"",
        "\"least_time\"",
        "\"prequal\"",
        "\"c3\"",
        "{ strategy = \"weighted_by_load\", blackout = \"1s\" }",
    ];
    for strategy in strategies {
        let [model, sim] = shares("redirect", strategy);
        println!("{strategy}: {model:.4} in model, {sim:.4} in sim");
        // Turns would give it a tenth.
        assert!(model < 0.05 && sim < 0.05, "{strategy}: {model} in model, {sim} in sim");
        assert!((model - sim).abs() < 0.01, "{strategy}: {model} in model, {sim} in sim");
    }
    for share in shares("redirect", "\"round_robin\"") {
        assert!((share - 0.1).abs() < 0.005, "{share}");
    }
}

#[test]
fn redirected_it_is_as_when_forwarded() {
    // What is heard is the same, and a little later.
    for strategy in ["\"c3\"", "{ strategy = \"weighted_by_load\", blackout = \"1s\" }"] {
        let [forwarded, redirected] = ["forward", "redirect"].map(|mode| shares(mode, strategy));
        for (forwarded, redirected) in forwarded.into_iter().zip(redirected) {
            assert!(
                (forwarded - redirected).abs() < 0.02,
                "{strategy}: {forwarded} forwarded, {redirected} redirected"
            );
        }
    }
}
