//! One seed, one story: what is asked and what goes wrong is the same in every run, whatever the proxy does with it.

use backend_sim::{BackendConfig, config::FaultConfig};
use policy::distribution::Distribution;
use proxy::config::ProxyConfig;
use tests::House;

/// An open loop: its requests have their numbers, times and sizes before anything runs.
const LOAD: &str = r#"
arrivals = { poisson = { rate = 3000.0 } }
requests = 800
timeout = "1h"
request = [
    { weight = 3, path = "/{key}", key = { zipf = { n = 1000, s = 1.1 } } },
    { weight = 1, method = "PUT", path = "/", body = { exponential = { mean = "3KiB" } } },
]
"#;

/// The counts of a run: ok, 503, 500, bytes up, bytes down.
fn story(settle: impl FnOnce(&mut ProxyConfig)) -> [u64; 5] {
    let faults: FaultConfig = toml::from_str(
        "status = [{ status = 503, probability = 0.1 }, { status = 500, probability = 0.05 }]",
    )
    .expect("faults as a scenario writes them");
    let response: Distribution<_> =
        toml::from_str("exponential = { mean = \"2KiB\" }").expect("a distribution of sizes");
    // One endpoint, because each draws for itself. It draws the sizes of the answers, and the generator those of the requests.
    let backend = BackendConfig { workers: 1000, faults, response, ..BackendConfig::default() };
    let house = House::start(&backend, settle);
    let seen = house.send(&[("load", LOAD)]);
    let counts = house.end();
    let story = ["ok", "refused", "failed.status_5xx", "bytes_out", "bytes_in"];
    let story = story.map(|name| seen.count(name));
    assert_eq!(counts.proxy(|stats| &stats.bytes_received), story[3]);
    assert_eq!(counts.proxy(|stats| &stats.bytes_sent), story[4]);
    story
}

#[test]
fn a_seed_means_the_same_in_every_run_and_on_every_machine() {
    let pinned = [681, 75, 44, 499_794, 1_366_326];
    let one = story(|config| config.workers = Some(1));
    assert_eq!(one, pinned);
    let another = story(|config| {
        config.workers = Some(3);
        config.balance = toml::from_str("strategy = \"p2c\"").expect("a strategy");
        config.limits.endpoint_idle = 0;
    });
    assert_eq!(another, pinned);
}
