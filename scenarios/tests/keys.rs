//! Strategies that choose by a key: the same request goes to the same endpoint in the model, which has no bytes, and over the
//! simulated network, where the engine reads what the generator wrote.

use std::collections::BTreeMap;

use scenarios::{
    interrupt::Interrupt,
    language::{Scenario, load_paths},
    model,
    outcome::Watcher,
    sim,
};

struct Nobody;

impl Watcher for Nobody {
    fn at(&mut self, _: std::time::Duration, _: loadgen::Snapshot) {}
}

/// Each request has every kind of key, and no two kinds fall together.
const TEXT: &str = r#"
seed = 7
duration = "5s"
[proxy.forwarding]
trusted = ["0.0.0.0/0"]
[proxy.balance]
strategy = STRATEGY
[backends.web]
count = 7
workers = 50
service = { constant = "1ms" }
[load.browse]
arrivals = { poisson = { rate = 300.0 } }
clients = 400
request = [
  { weight = 3, path = "/item/{key}?v={client}", key = { uniform = { n = 500 } }, headers = { X-Forwarded-For = "2001:db8::{client}", COOKIE = "a=1; sid=s{client}", X-Item = "{key}-{client}" } },
  { weight = 1, path = "/none" },
]
[load.users]
users = 5
think = { constant = "50ms" }
request = [{ path = "/u/{client}" }]
"#;

/// How many requests each endpoint had, in the model and in the simulation.
fn shares(strategy: &str) -> [BTreeMap<String, u64>; 2] {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("it.toml");
    std::fs::write(&path, TEXT.replace("STRATEGY", strategy)).expect("written");
    let loaded = load_paths(&[path], &[]).expect("a good scenario").remove(0);
    let scenario: &Scenario = &loaded.variants[0].scenario;
    let model = model::run(scenario, scenario.seed).expect("it can be run").measurement;
    let network = sim::Network::Memory;
    let sim = sim::run(scenario, scenario.seed, network, &Interrupt::never(), &mut Nobody)
        .expect("it can be run")
        .measurement;
    [model, sim].map(|measurement| {
        let rows = measurement.endpoints.iter();
        rows.map(|row| (row.name.clone(), row.requests)).collect()
    })
}

#[test]
fn the_same_request_goes_to_the_same_endpoint() {
    let mut seen = Vec::new();
    for strategy in [
        r#""ip_hash""#,
        r#"{ strategy = "hash", key = "cookie:sid" }"#,
        r#""ring""#,
        r#"{ strategy = "ring", key = "header:windtunnel-id", load_bound = 1.25 }"#,
        r#"{ strategy = "maglev", key = "query:v" }"#,
        r#"{ strategy = "rendezvous", key = "header:x-item" }"#,
        r#"{ strategy = "rendezvous", key = "header:windtunnel-client" }"#,
    ] {
        let [model, sim] = shares(strategy);
        assert_eq!(model, sim, "{strategy}");
        assert!(model.len() == 7 && model.values().sum::<u64>() > 1_500, "{strategy}: {model:?}");
        // Several kinds of key, several ways to share: none of them was taken for another.
        assert!(!seen.contains(&model), "{strategy}: {model:?}");
        seen.push(model);
    }
}

/// A request that has no such part is drawn at random, from the same stream in both worlds.
#[test]
fn without_a_key_it_is_the_same_draw() {
    let [model, sim] = shares(r#"{ strategy = "ring", key = "header:x-nobody-has-this" }"#);
    assert_eq!(model, sim);
    assert!(model.values().all(|requests| *requests > 100), "{model:?}");
}
