//! The invariants are truly watched: in a run in which everything happens, each of them has something to check.

use reports::InvariantResult;
use scenarios::{interrupt::Interrupt, language::Scenario, model, outcome::Watcher, sim};

/// Limits that are reached, requests that must not be repeated, endpoints that crash and hang, checks that notice it.
const BUSY: &str = r#"
duration = "12s"

[proxy]
timeouts = { connect = "300ms", response_head = "300ms", upstream_idle = "2s" }
health = { kind = "http", path = "/healthz", interval = "300ms", timeout = "200ms" }
outlier = { consecutive_failures = 3, base_ejection = "500ms", max_ejection = "2s" }
limits = { endpoint_in_flight = 3, endpoint_connections = 4 }
queue = { max_waiting = 20, timeout = "200ms" }
retry = { attempts = 2 }

[network]
latency = { exponential = { mean = "500us" } }

[backends.web]
count = 4
workers = 3
service = { exponential = { mean = "20ms" } }

[load.shop]
arrivals = { poisson = { rate = 300.0 } }
timeout = "1s"
request = [
  { weight = 3, path = "/item" },
  { weight = 1, method = "POST", path = "/buy", body = { constant = "2KiB" } },
]

[load.people]
users = 5
think = { exponential = { mean = "100ms" } }
timeout = "1s"

[[events]]
at = "2s"
crash = { endpoint = "web-1" }

[[events]]
at = "3s"
hang = { endpoint = "web-2" }

[[events]]
at = "4s"
reload = { queue = { max_waiting = 10 } }

[[events]]
at = "5s"
remove = { endpoint = "web-3" }

[[events]]
at = "6s"
restart = { endpoint = "web-1" }

[[events]]
at = "6s"
restore = { endpoint = "web-2" }
"#;

struct Nobody;

impl Watcher for Nobody {
    fn at(&mut self, _: std::time::Duration, _: loadgen::Snapshot) {}
}

/// Those that had nothing to check.
fn unchecked(invariants: &[InvariantResult]) -> Vec<&str> {
    for invariant in invariants {
        println!("{} {} {:?}", invariant.name, invariant.checked, invariant.unchecked);
        assert!(invariant.holds(), "{invariant:?}");
    }
    assert_eq!(invariants.len(), 8);
    let unchecked = invariants.iter().filter(|invariant| invariant.unchecked.is_some());
    unchecked.map(|invariant| invariant.name.as_str()).collect()
}

fn busy() -> Scenario {
    toml::from_str(BUSY).expect("a scenario")
}

#[test]
fn the_model_checks_all_but_bodies() {
    let outcome = model::run(&busy(), 7).expect("the model can do this");
    assert!(outcome.measurement.metrics.get("retries").is_some_and(|retries| retries > 10.0));
    assert_eq!(unchecked(&outcome.invariants), ["intact_bodies"]);
}

#[test]
fn the_simulated_engine_is_checked_for_all() {
    let outcome = sim::run(&busy(), 7, sim::Network::Memory, &Interrupt::never(), &mut Nobody);
    let outcome = outcome.expect("it can be carried out");
    assert!(outcome.measurement.metrics.get("retries").is_some_and(|retries| retries > 10.0));
    assert_eq!(unchecked(&outcome.invariants), [""; 0]);
}
