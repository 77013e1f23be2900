//! Cuts: of both directions, of one, for so short that nobody loses patience.

use crate::tunnel::{Seen, Tunnel, both, both_alike, cut, ms, repair};

/// Between the proxy and a backend, nobody is patient and nobody is left out.
const IMPATIENT: &str = "timeouts = { connect = \"100ms\", response_head = \"300ms\" }\n\
    retry = { attempts = 0 }\nhealth = { kind = \"off\" }\noutlier = { enabled = false }";

fn split(a: &str, b: &str) -> Vec<(std::time::Duration, net::NetworkFault)> {
    vec![
        (ms(500), cut(a, b)),
        (ms(500), cut(b, a)),
        (ms(1000), repair(a, b)),
        (ms(1000), repair(b, a)),
    ]
}

#[test]
fn behind_a_partition_patience_ends_and_after_its_repair_all_is_well() {
    let seen = both_alike(&Tunnel {
        endpoints: 1,
        proxy: IMPATIENT,
        faults: split("proxy", "web-0"),
        ..Tunnel::default()
    });
    for seen in &seen {
        // A request is due every 10 ms: fifty meet the cut, one on a connection that is there and 49 in their dials.
        assert_eq!((seen.count("ok"), seen.count("failed.status_5xx")), (150, 50));
        // That one comes through when nobody waits for it any more: a kernel does not forget what it was given.
        assert_eq!((seen.backends[0].requests, seen.backends[0].in_flight), (151, 0));
        assert_eq!(seen.hits.dials_hung, 49);
        // The dials, the bytes of one request, and the end of its connection.
        assert_eq!(seen.touched[0], 49 + seen.hits.bytes_held + 1);
        assert_eq!(seen.touched[1], 0, "the backend had nothing to say");
        // Of those that were answered: nobody waited for another.
        assert!((seen.figure("latency.max") - 6.6).abs() < 1e-9, "{}", seen.figure("latency.max"));
    }
    assert_eq!(seen[0].touched, seen[1].touched);
    assert_eq!(seen[0].hits, seen[1].hits);
}

#[test]
fn a_client_that_is_cut_off_gives_up_and_comes_back() {
    let seen = both(&Tunnel {
        endpoints: 1,
        load: "arrivals = { constant = { rate = 100 } }\ntimeout = \"100ms\"",
        faults: split("client", "proxy"),
        ..Tunnel::default()
    });
    for seen in &seen {
        assert_eq!((seen.count("ok"), seen.count("timed_out")), (150, 50));
        // What was held of the one on the open connection is of no use when it arrives: its client is gone. Whether it
        // still goes to the backend depends on whether the end of its connection arrives in the same tick.
        let backend = seen.backends[0];
        assert_eq!((backend.requests - backend.cancelled, backend.completed), (150, 150));
        assert_eq!(seen.proxy[3], 0, "no connection is left");
    }
}

#[test]
fn nobody_dials_for_a_client_that_has_left() {
    let seen = both_alike(&Tunnel {
        endpoints: 1,
        // A dial may take three seconds, and a client waits for 50 ms.
        proxy: "retry = { attempts = 0 }\nhealth = { kind = \"off\" }\noutlier = { enabled = false }",
        load: "arrivals = { constant = { rate = 100 } }\ntimeout = \"50ms\"",
        faults: vec![(ms(500), cut("proxy", "web-0")), (ms(500), cut("web-0", "proxy"))],
        ..Tunnel::default()
    });
    for seen in &seen {
        assert_eq!((seen.count("ok"), seen.count("timed_out")), (50, 150));
        assert_eq!(seen.hits.dials_hung, 149);
        assert_eq!(seen.proxy[3], 0, "a tenth of a second later all of them are closed");
    }
}

/// POSTs to one backend while nothing gets from `from` to `to`.
fn one_way(from: &str, to: &str) -> [Seen; 2] {
    let seen = both(&Tunnel {
        endpoints: 1,
        proxy: IMPATIENT,
        load: "arrivals = { constant = { rate = 100 } }\nrequest = [{ method = \"POST\" }]",
        faults: vec![(ms(500), cut(from, to)), (ms(1000), repair(from, to))],
        ..Tunnel::default()
    });
    for seen in &seen {
        assert_eq!((seen.count("ok"), seen.count("failed.status_5xx")), (150, 50));
        assert_eq!((seen.backends[0].in_flight, seen.proxy[3]), (0, 0));
        assert!(seen.touched[0] >= 50, "{:?}", seen.touched);
    }
    seen
}

#[test]
fn where_requests_do_not_arrive_the_backend_has_served_none() {
    for seen in one_way("proxy", "web-0") {
        // The bytes of one arrive after the repair, with the end of their connection behind them.
        let backend = seen.backends[0];
        assert_eq!((backend.requests, backend.completed, backend.cancelled), (151, 150, 1));
        assert_eq!(seen.hits.dials_hung, 49);
    }
}

#[test]
fn where_answers_do_not_arrive_the_backend_has_served_in_vain() {
    for seen in one_way("web-0", "proxy") {
        // The one whose connection was there is served; the others' dials arrive, and their answers do not.
        assert_eq!((seen.backends[0].requests, seen.backends[0].completed), (151, 151));
        assert_eq!(seen.hits.dials_hung, 49);
    }
}

#[test]
fn a_link_that_is_held_for_a_moment_costs_a_retransmission_and_no_request() {
    let tunnel = Tunnel {
        endpoints: 1,
        faults: vec![
            (ms(500), cut("proxy", "web-0")),
            (ms(500), cut("web-0", "proxy")),
            (ms(530), repair("proxy", "web-0")),
            (ms(530), repair("web-0", "proxy")),
        ],
        ..Tunnel::default()
    };
    let seen = both_alike(&tunnel);
    for seen in &seen {
        assert_eq!((seen.count("ok"), seen.proxy[1]), (200, 0), "{:?}", seen.failures);
        // One request is sent again after 200 ms, and two dials after a second, for clients that have dialed, too.
        assert_eq!(seen.touched[2], seen.hits.bytes_held + 2);
        assert_eq!(seen.touched[0], seen.touched[2]);
        let slowest = 1000.0 + 5.8 + 2.0 * 0.4;
        assert!(
            (seen.figure("latency.max") - slowest).abs() < 1e-9,
            "{}",
            seen.figure("latency.max")
        );
    }
    assert_eq!(seen[0].figures, seen[1].figures);
}
