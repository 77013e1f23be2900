//! Each party crashes under load and comes back: as a process, whose kernel lives, and as a machine, which is silent.

use std::time::Duration;

use net::{Crash, NetworkFault};

use crate::tunnel::{Tunnel, both, both_alike, crash, ms, restart};

const NOBODY_IS_LEFT_OUT: &str = "health = { kind = \"off\" }\noutlier = { enabled = false }\n\
    timeouts = { connect = \"100ms\", response_head = \"300ms\" }";

/// In the middle of a request, and back half a second later.
fn outage(host: &str, what: Crash) -> Vec<(Duration, NetworkFault)> {
    vec![(ms(503), crash(host, what)), (ms(1003), restart(host))]
}

#[test]
fn a_backend_that_dies_costs_no_request_that_may_be_sent_again() {
    for victim in ["web-0", "web-1"] {
        let seen = both_alike(&Tunnel {
            proxy: NOBODY_IS_LEFT_OUT,
            faults: outage(victim, Crash::Process),
            ..Tunnel::default()
        });
        for seen in &seen {
            assert_eq!(seen.count("ok"), 200, "{:?}", seen.failures);
            // A retry takes a turn of the round, so that each request from then on tries the dead one first: fifty, and
            // one that was under way there.
            assert_eq!(seen.proxy[1], 50 + u64::from(victim == "web-1"));
            assert!(seen.hits.tasks_dropped == 1 && seen.hits.sockets_dropped >= 2);
            let index = usize::from(victim == "web-1");
            assert!(
                (48..=51).contains(&seen.backends[index].requests),
                "its share when it is back"
            );
        }
        assert_eq!(seen[0].hits, seen[1].hits);
    }
}

#[test]
fn a_backend_whose_machine_dies_is_silent_and_no_dial_to_it_is_refused() {
    let seen = both_alike(&Tunnel {
        proxy: NOBODY_IS_LEFT_OUT,
        faults: outage("web-0", Crash::Machine),
        ..Tunnel::default()
    });
    for seen in &seen {
        assert_eq!(seen.count("requests"), 200);
        assert!(seen.count("ok") >= 198, "{:?}", seen.failures);
        assert_eq!(seen.hits.dials_refused, 0);
        // Half of fifty, but for those on connections that were there.
        assert!((20..=26).contains(&seen.hits.dials_hung), "{:?}", seen.hits);
        assert!(seen.figure("latency.max") > 100.0, "who dials in vain waits first");
    }
    assert_eq!(seen[0].hits, seen[1].hits);
}

#[test]
fn a_proxy_that_dies_refuses_until_it_is_back() {
    let seen = both_alike(&Tunnel { faults: outage("proxy", Crash::Process), ..Tunnel::default() });
    for seen in &seen {
        // Those from 510 to 1000 ms find nobody, nor does the one that was under way and is sent anew.
        assert_eq!(seen.count("ok"), 149, "{:?}", seen.failures);
        assert_eq!(seen.hits.dials_refused, 51);
        assert_eq!(seen.failures.values().sum::<u64>(), 51);
        let cancelled: u64 = seen.backends.iter().map(|backend| backend.cancelled).sum();
        assert_eq!(cancelled, 1, "the backend is told that nobody waits any more");
        assert!(seen.backends.iter().all(|backend| backend.in_flight == 0));
        assert_eq!(seen.proxy[0], 99, "in its second life");
    }
    assert_eq!(seen[0].hits, seen[1].hits);
}

#[test]
fn a_proxy_whose_machine_dies_is_waited_for() {
    let seen = both(&Tunnel {
        load: "arrivals = { constant = { rate = 100 } }\ntimeout = \"100ms\"",
        faults: outage("proxy", Crash::Machine),
        ..Tunnel::default()
    });
    for seen in &seen {
        // 500 to 1000 ms are lost to patience; nothing says that it has ended.
        assert_eq!((seen.count("ok"), seen.count("timed_out")), (149, 51), "{:?}", seen.failures);
        assert_eq!(seen.hits.dials_refused, 0);
        assert!(seen.hits.dials_hung >= 49, "{:?}", seen.hits);
    }
    assert_eq!(seen[0].failures, seen[1].failures);
}

#[test]
fn a_client_that_dies_leaves_nothing_behind() {
    let seen =
        both_alike(&Tunnel { faults: outage("client", Crash::Process), ..Tunnel::default() });
    for seen in &seen {
        assert_eq!(seen.count("ok"), 200, "the second client's: {:?}", seen.failures);
        assert_eq!(seen.proxy[3], 0, "no connection of the first is left");
        assert!(seen.backends.iter().all(|backend| backend.in_flight == 0));
        // It had sent 51.
        assert_eq!(seen.proxy[0], 251);
        assert!(seen.touched[0] >= 2);
    }
}
