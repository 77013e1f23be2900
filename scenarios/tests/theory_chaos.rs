//! Whatever happens to the model: nothing panics, every request ends in exactly one way, and the same seed gives the same run.

use proptest::prelude::*;
use scenarios::{language::Scenario, model};

/// One event at a random moment, to a random endpoint or load.
fn event() -> impl Strategy<Value = String> {
    let endpoint = prop_oneof![Just("web-0"), Just("web-1"), Just("feed-0")];
    let what = (0_u8..13, endpoint, 1_u32..40).prop_map(|(kind, endpoint, n)| match kind {
        0 => format!("slow = {{ endpoint = \"{endpoint}\", factor = {n} }}"),
        1 => format!("fail = {{ endpoint = \"{endpoint}\", status = 503, probability = 0.5 }}"),
        2 => format!("crash = {{ endpoint = \"{endpoint}\" }}"),
        3 => format!("restart = {{ endpoint = \"{endpoint}\" }}"),
        4 => format!("hang = {{ endpoint = \"{endpoint}\" }}"),
        5 | 6 => format!("restore = {{ endpoint = \"{endpoint}\" }}"),
        7 => format!("partition = {{ endpoint = \"{endpoint}\" }}"),
        8 => format!("repair = {{ endpoint = \"{endpoint}\" }}"),
        9 => format!(
            "latency = {{ endpoint = \"{endpoint}\", one_way = {{ constant = \"{n}ms\" }} }}"
        ),
        10 => "partition = { load = \"users\" }".to_owned(),
        11 => "repair = { load = \"users\" }".to_owned(),
        _ => "add = { backend = \"web\" }".to_owned(),
    });
    (0_u64..1000, what).prop_map(|(at, what)| format!("[[events]]\nat = \"{at}ms\"\n{what}\n"))
}

/// Tight limits everywhere, so that every path is taken.
fn scenario(strategy: &str, limit: &str, network: &str, events: &[String]) -> String {
    format!(
        "duration = \"1s\"\n[proxy]\nbalance.strategy = \"{strategy}\"\nhealth = {{ kind = \"http\", path = \"/healthz\", interval = \"40ms\", timeout = \"30ms\" }}\n\
         timeouts = {{ connect = \"30ms\", response_head = \"60ms\", stream_idle = \"100ms\", upstream_idle = \"200ms\" }}\n\
         limits = {{ endpoint_in_flight = 4, endpoint_idle = 2{limit} }}\nqueue = {{ max_waiting = 6, timeout = \"40ms\" }}\n\
         retry = {{ attempts = 3, statuses = [503], budget = 1.0 }}\noutlier = {{ consecutive_failures = 3, base_ejection = \"100ms\" }}\n\
         [backends.web]\ncount = 2\nworkers = 2\nqueue = 3\nservice = {{ exponential = {{ mean = \"15ms\" }} }}\n\
         faults = {{ reset = 0.02, status = [{{ status = 500, probability = 0.05 }}] }}\n\
         [backends.feed]\nkind = \"session\"\nworkers = 3\nservice = {{ uniform = {{ min = \"10ms\", max = \"200ms\" }} }}\n\
         [load.open]\narrivals = {{ poisson = {{ rate = 200 }} }}\ntimeout = \"150ms\"\nmax_connections = 30\n\
         request = [{{ path = \"/\" }}, {{ method = \"POST\", path = \"/\", body = {{ constant = \"1KiB\" }} }}]\n\
         [load.users]\nusers = 5\nthink = {{ exponential = {{ mean = \"20ms\" }} }}\ntimeout = \"80ms\"\n{network}\n{}",
        events.concat()
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_request_ends_once(
        seed: u64,
        strategy in prop_oneof![Just("round_robin"), Just("p2c"), Just("least_connections")],
        network in prop_oneof![Just(""), Just("[network]\nlatency = { exponential = { mean = \"2ms\" } }")],
        limit in prop_oneof![Just(""), Just(", endpoint_connections = 3")],
        events in proptest::collection::vec(event(), 0..12),
    ) {
        let text = scenario(strategy, limit, network, &events);
        let scenario: Scenario = toml::from_str(&text).expect("a scenario");
        let run = || model::run(&scenario, seed).expect("the model can do this");
        let outcome = run();
        let get = |name: &str| outcome.measurement.metrics.get(name).expect("counted");
        let ends = ["ok", "failed", "timed_out", "refused", "dropped"].map(get).iter().sum::<f64>();
        prop_assert!((get("requests") - ends).abs() < 0.5);
        prop_assert!((outcome.requests as f64 - ends).abs() < 0.5);
        // The budget: every request pays for one retry at most, and there is a floor of three a second.
        prop_assert!(get("retries") <= get("requests") + 3.0 * (1.0 + 10.0) + 1.0, "{}", get("retries"));
        // Nobody waits beyond its patience.
        prop_assert!(get("latency.max") <= 150.0 + 1e-6);
        for invariant in &outcome.invariants {
            prop_assert!(invariant.holds(), "{:?}\n{}", invariant, text);
        }
        let again = run();
        prop_assert_eq!(&outcome.invariants, &again.invariants);
        prop_assert_eq!(outcome.events, again.events);
        prop_assert_eq!(outcome.measurement.metrics, again.measurement.metrics);
    }
}
