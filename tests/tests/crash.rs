//! A backend dies with requests on it.
//!
//! It hangs first, until every user waits for it: so it is known exactly whom the crash hits, on any machine.

use backend_sim::{BackendConfig, Fault};
use policy::quantity::TimeSpan;
use tests::{Counts, House, Seen};

const USERS: u64 = 16;
const REQUESTS: u64 = 2000;

/// Crashes `web-2` under this method; then restarts it, and sends some more. The first load, the second, the counts.
fn crash(method: &str) -> (Seen, Seen, Counts) {
    let backends = BackendConfig { count: 4, workers: 100, ..BackendConfig::default() };
    let house = House::start(&backends, |config| {
        // Nobody is left out for its failures, and nothing is given up for lack of time or budget.
        config.outlier.enabled = false;
        config.retry.budget = 10.0;
        config.timeouts.response_head = TimeSpan::secs(3600);
    });
    let load = |requests| {
        format!(
            "users = {USERS}\nrequests = {requests}\ntimeout = \"1h\"\n\
             request = [{{ method = \"{method}\", body = {{ constant = \"500B\" }} }}]"
        )
    };
    let first = house.send_while(&[("load", &load(REQUESTS))], async |house| {
        house.apply("web-2", Fault::Hang);
        house.until("web-2", |snapshot| snapshot.in_flight == USERS).await;
        house.apply("web-2", Fault::Crash);
    });
    assert_eq!(house.snapshot("web-2").in_flight, 0);
    house.apply("web-2", Fault::Restart);
    let before = house.snapshot("web-2").requests;
    let second = house.send(&[("load", &load(400))]);
    // A quarter by round robin; each of the two workers may be anywhere in its round.
    let share = house.snapshot("web-2").requests - before;
    assert!((98..=102).contains(&share), "{share} of 400 requests went to the restarted endpoint");
    (first, second, house.end())
}

#[test]
fn a_request_that_can_be_sent_again_is_not_lost() {
    let (first, second, counts) = crash("PUT");
    assert_eq!((first.count("ok"), second.count("ok")), (REQUESTS, 400), "{:?}", first.ledger);
    // Those that were hit reached a backend twice, all others once.
    assert_eq!(counts.backends(|endpoint| endpoint.cancelled), USERS);
    assert_eq!(counts.backends(|endpoint| endpoint.requests), REQUESTS + 400 + USERS);
    assert_eq!(counts.proxy(|stats| &stats.retries_refused), 0);
    assert_eq!(counts.in_flight, 0);
}

#[test]
fn a_request_that_must_not_be_sent_again_is_sent_once() {
    let (first, second, counts) = crash("POST");
    // Those that were hit failed, and each of the others was answered, at first refused or not.
    assert_eq!(first.count("failed.status_5xx"), USERS, "{:?}", first.ledger.failures);
    assert_eq!((first.count("ok"), second.count("ok")), (REQUESTS - USERS, 400));
    assert_eq!(counts.backends(|endpoint| endpoint.cancelled), USERS);
    assert_eq!(counts.backends(|endpoint| endpoint.requests), REQUESTS + 400);
    assert!(counts.proxy(|stats| &stats.retries) > 0, "nobody was refused after the crash");
    assert_eq!(counts.in_flight, 0);
}
