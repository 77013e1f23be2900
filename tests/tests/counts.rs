//! Three parts count by themselves, and their counts add up.

use backend_sim::{
    BackendConfig,
    config::{FaultConfig, Framing},
};
use proxy::engine::METHODS;
use tests::{Counts, House, Seen};

const KEPT: &str = r#"
users = 12
requests = 1500
request = [
    { weight = 6, path = "/item/{key}", key = { zipf = { n = 100, s = 1.0 } }, size = { uniform = { min = "0B", max = "64KiB" } } },
    { weight = 3, method = "POST", path = "/buy", body = { exponential = { mean = "8KiB" } }, size = { constant = "1KiB" } },
    { weight = 1, method = "PUT", path = "/file", body = { constant = "300KiB" }, size = { constant = "300KiB" } },
    { weight = 1, method = "DELETE", path = "/file" },
]
"#;

const FRESH: &str = r#"
users = 4
requests = 500
connections = "per_request"
request = [
    { path = "/", size = { exponential = { mean = "2KiB" } } },
    { method = "PUT", path = "/", body = { uniform = { min = "0B", max = "9KiB" } } },
]
"#;

const REQUESTS: u64 = 2000;

fn backends(faults: FaultConfig, framing: Framing) -> BackendConfig {
    BackendConfig { count: 4, workers: 100, faults, framing, ..BackendConfig::default() }
}

/// What holds whatever goes wrong.
fn add_up(seen: &Seen, counts: &Counts) {
    let ended = ["ok", "failed", "refused", "timed_out", "dropped"].map(|name| seen.count(name));
    assert_eq!(ended.iter().sum::<u64>(), REQUESTS, "{ended:?}");
    // The generator sends again what was on a kept connection when that was closed.
    let requests = REQUESTS + seen.ledger.resent;
    assert_eq!(counts.proxy(|stats| &stats.requests), requests);
    let class = |index: usize| counts.proxy(|stats| &stats.statuses[index]);
    assert_eq!((0..5).map(class).sum::<u64>(), requests);
    assert_eq!(class(1), seen.count("ok"));
    assert_eq!(class(3), seen.count("failed.status_4xx"));
    assert_eq!(class(4), seen.count("failed.status_5xx") + seen.count("refused"));
    let methods = (0..METHODS.len()).map(|index| counts.proxy(|stats| &stats.methods[index]));
    assert_eq!(methods.sum::<u64>(), requests);
    assert_eq!(counts.proxy(|stats| &stats.connections_total), seen.ledger.connections);
    assert_eq!(counts.proxy(|stats| &stats.connections_active), 0);
    let sent = requests + counts.proxy(|stats| &stats.retries);
    assert_eq!(counts.sendings, sent);
    assert_eq!(counts.backends(|endpoint| endpoint.requests), sent);
    assert_eq!(counts.in_flight, 0);
    let connections = counts.proxy(|stats| &stats.upstream_connects);
    assert_eq!(counts.backends(|endpoint| endpoint.connections), connections);
    assert_eq!(connections + counts.proxy(|stats| &stats.upstream_reuses), sent);
}

#[test]
fn two_thousand_mixed_requests_arrive_byte_for_byte() {
    for framing in [Framing::Length, Framing::Chunked] {
        let house = House::start(&backends(FaultConfig::default(), framing), |_| {});
        let seen = house.send(&[("kept", KEPT), ("fresh", FRESH)]);
        let counts = house.end();
        assert_eq!(seen.count("ok"), REQUESTS, "{:?}", seen.ledger.failures);
        add_up(&seen, &counts);
        assert_eq!(counts.backends(|endpoint| endpoint.completed), REQUESTS);
        assert_eq!(counts.proxy(|stats| &stats.bytes_received), seen.count("bytes_out"));
        assert_eq!(counts.proxy(|stats| &stats.bytes_sent), seen.count("bytes_in"));
        // 12 connections of the kept load, and one for each request of the other.
        assert_eq!(seen.ledger.connections, 12 + 500);
    }
}

#[test]
fn every_failure_of_a_backend_is_a_retry_or_an_answer() {
    let faults = r"
        reset = 0.04
        status = [
            { status = 503, probability = 0.06 },
            { status = 500, probability = 0.03 },
            { status = 404, probability = 0.02 },
        ]
    ";
    let faults = toml::from_str(faults).expect("faults as a scenario writes them");
    let house = House::start(&backends(faults, Framing::Length), |config| {
        config.retry.statuses = vec![503];
    });
    let seen = house.send(&[("kept", KEPT), ("fresh", FRESH)]);
    let counts = house.end();
    add_up(&seen, &counts);
    let failed = counts.backends(|endpoint| endpoint.failed);
    assert_eq!(failed + counts.backends(|endpoint| endpoint.completed), counts.sendings);
    let retries = counts.proxy(|stats| &stats.retries);
    assert_eq!(failed, retries + (REQUESTS - seen.count("ok")));
    // All that was to be tried has happened.
    for name in ["refused", "failed.status_4xx", "failed.status_5xx"] {
        assert!(seen.count(name) > 0, "no {name}: {:?}", seen.ledger.failures);
    }
    assert!(retries > 0 && counts.backends(|endpoint| endpoint.resets) > 0);
    assert_eq!(seen.count("failed.body_mismatch") + seen.count("timed_out"), 0);
}
