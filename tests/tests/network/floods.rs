//! More connections at once than anybody wants.

use std::time::Duration;

use net::{Crash, LinkSettings};

use crate::tunnel::{Tunnel, both_alike, constant, crash, cut, ms, repair, restart};

/// 200 users who all come at once, each on a connection of its own; ticks of a millisecond, because it lasts.
fn flood() -> Tunnel {
    Tunnel {
        dilation: 1,
        link: LinkSettings { latency: constant(ms(1)), ..LinkSettings::default() },
        load: "users = 200\nrequests = 200\ntimeout = \"20s\"",
        duration: Duration::from_secs(20),
        ..Tunnel::default()
    }
}

#[test]
fn a_backlog_that_overflows_delays_and_refuses_nobody() {
    let seen = both_alike(&Tunnel { backlog: 64, ..flood() });
    for seen in &seen {
        assert_eq!((seen.count("ok"), seen.client_connections), (200, 200), "{:?}", seen.failures);
        // 64 get in at once, at 1 s and at 3 s, and the last 8 at 7 s.
        assert_eq!(seen.hits.dials_dropped, 136 + 72 + 8);
        let slowest = seen.figure("latency.max");
        assert!((7000.0..7020.0).contains(&slowest), "{slowest}");
    }
    assert_eq!(seen[0].figures, seen[1].figures);
}

#[test]
fn a_flood_upon_a_dead_proxy_is_refused_and_forgotten() {
    let seen = both_alike(&Tunnel {
        load: "arrivals = { bursts = { size = 100, every = \"1s\" } }",
        duration: Duration::from_secs(3),
        faults: vec![(ms(500), crash("proxy", Crash::Process)), (ms(1500), restart("proxy"))],
        ..flood()
    });
    for seen in &seen {
        assert_eq!((seen.count("ok"), seen.hits.dials_refused), (200, 100), "{:?}", seen.failures);
        assert_eq!(seen.proxy[3], 0);
    }
}

#[test]
fn a_flood_behind_a_cut_hangs_and_comes_through() {
    let seen = both_alike(&Tunnel {
        faults: vec![(ms(0), cut("client", "proxy")), (ms(1500), repair("client", "proxy"))],
        ..flood()
    });
    for seen in &seen {
        assert_eq!((seen.count("ok"), seen.hits.dials_hung), (200, 200), "{:?}", seen.failures);
        assert_eq!((seen.touched[0], seen.touched[1]), (200, 200));
        // Tried in vain at 0 and 1 s, and again at 3 s.
        let [fastest, slowest] = ["latency.min", "latency.max"].map(|name| seen.figure(name));
        assert!(fastest > 3000.0 && slowest < 3020.0, "{fastest} {slowest}");
    }
}
