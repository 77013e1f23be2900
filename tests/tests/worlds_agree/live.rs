//! Real sockets against the network in memory.
//!
//! No bound here is about how fast the machine is. What must be the same is counted: requests, how each ended, each endpoint's
//! part. Services take tens of milliseconds, and a time may be longer by 20 ms and half of it: a machine that is busy with something
//! else makes a request late, and not early. A run that the machine has disturbed (its requests were sent too late) is taken again;
//! if it never comes to a valid one, that is said, and there is no verdict.

use reports::Measurement;
use scenarios::{
    interrupt::Interrupt, language::Scenario, live, outcome::Validity, sim::Network::Memory,
};

use crate::{Nobody, in_sim, only};

/// So often a run is tried.
const TRIES: u32 = 3;

fn in_live(name: &str, scenario: &Scenario) -> Option<Measurement> {
    for _ in 0..TRIES {
        let outcome = live::run(scenario, 1, &Interrupt::never(), &mut Nobody);
        let outcome = outcome.expect("it can be carried out");
        if outcome.validity == Validity::Valid {
            assert_eq!(outcome.undone, Vec::<String>::new(), "{name}");
            return Some(outcome.measurement);
        }
        eprintln!("{name}: not a valid measurement: {}", outcome.problems.join("; "));
    }
    eprintln!("{name}: the machine is too busy for a verdict");
    None
}

/// Runs it in both worlds; nothing when the machine does not allow for it.
fn both(name: &str) -> Option<[Measurement; 2]> {
    let scenario = only(name);
    Some([in_sim(&scenario, 1, Memory), in_live(name, &scenario)?])
}

fn count(of: &Measurement, name: &str) -> f64 {
    of.metrics.get(name).unwrap_or(0.0)
}

#[track_caller]
fn same(both: &[Measurement; 2], names: &[&str]) {
    for name in names {
        let [sim, live] = both.each_ref().map(|of| count(of, name));
        assert!((sim - live).abs() < 1e-9, "{name}: {sim} in sim, {live} in live");
    }
}

/// What is counted is nearly the same, to within so many.
#[track_caller]
fn near(both: &[Measurement; 2], name: &str, most: f64) {
    let [sim, live] = both.each_ref().map(|of| count(of, name));
    assert!(
        (sim - live).abs() <= most,
        "{name}: {sim} in sim, {live} in live, {most} apart at most"
    );
}

/// A median is not shorter than in virtual time, and not much longer.
#[track_caller]
fn as_long(both: &[Measurement; 2], name: &str) {
    let [sim, live] = both.each_ref().map(|of| count(of, name));
    assert!(sim > 15.0, "{name}: {sim} ms is nothing to compare on real sockets");
    // A bucket of the histogram.
    assert!(live >= 0.999 * sim, "{name}: {live} ms in live is shorter than {sim} ms in sim");
    assert!(live <= 1.5 * sim + 20.0, "{name}: {sim} ms in sim, {live} ms in live");
}

const OUTCOMES: [&str; 6] = ["requests", "ok", "failed", "timed_out", "refused", "dropped"];

#[test]
fn turns_with_kept_connections_and_without() {
    let Some(both) = both("live/turns") else { return };
    same(&both, &OUTCOMES);
    same(&both, &["retries", "bytes_in", "bytes_out", "load.fresh.ok", "load.kept.ok"]);
    for endpoint in ["web-0", "web-1", "web-2"] {
        same(&both, &[&format!("endpoint.{endpoint}.requests")]);
    }
    as_long(&both, "latency.p50");
}

#[test]
fn refusals_that_are_tried_elsewhere() {
    let Some(both) = both("live/refusals") else { return };
    same(&both, &OUTCOMES);
    same(&both, &["endpoint.web-0.requests"]);
    // Every other request, but for two that came at the same moment and whose retries changed places.
    near(&both, "retries", 6.0);
    as_long(&both, "latency.p50");
}

#[test]
fn a_crash_health_checks_and_a_restart() {
    let Some(both) = both("live/crash") else { return };
    same(&both, &OUTCOMES);
    // In 100 ms between two checks come 7.5 requests, a third of them for the endpoint that is dead; it takes two checks to see it, and
    // they have their jitter, and wait for the processor.
    near(&both, "retries", 25.0);
    near(&both, "endpoint.web-2.share", 0.12);
    assert!(both.iter().all(|of| count(of, "retries") >= 1.0), "nobody met the dead endpoint");
    as_long(&both, "latency.p50");
}

#[test]
fn a_crowd_that_waits_for_its_turn() {
    let Some(both) = both("live/crowd") else { return };
    same(&both, &["failed", "timed_out", "refused", "dropped", "retries"]);
    // A closed loop asks less where answers take longer: 24 users never get more than 8 workers give.
    let [sim, live] = both.each_ref().map(|of| count(of, "goodput"));
    assert!((sim - 160.0).abs() < 1.0 && live <= sim + 1.0, "{sim}/s in sim, {live}/s in live");
    near(&both, "endpoint.web-0.share", 0.05);
    as_long(&both, "latency.p50");
}
