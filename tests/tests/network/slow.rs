//! Links that are slow, from the start or from then on.

use net::{LinkSettings, NetworkFault};
use policy::{
    distribution::Distribution,
    quantity::{Bandwidth, ByteSize, TimeSpan},
};

use crate::tunnel::{Tunnel, both, both_alike, constant, latency, ms};

/// A tick of turmoil's, in milliseconds.
const TICK: f64 = 0.1;

#[test]
fn where_everything_falls_on_a_tick_the_networks_agree_to_the_digit() {
    let [memory, turmoil] = both_alike(&Tunnel::default());
    assert_eq!(memory.figures, turmoil.figures);
    // The service and four times a link; the first at each backend dials before, at a round trip each.
    for (figure, expected) in [("latency.min", 5.8), ("latency.max", 6.6), ("ok", 200.0)] {
        assert!((turmoil.figure(figure) - expected).abs() < 1e-9, "{}", turmoil.figure(figure));
    }
}

#[test]
fn a_link_that_turns_slow_slows_what_is_sent_from_then_on() {
    let slow = latency("proxy", "web-0", constant(ms(50)));
    let seen =
        both_alike(&Tunnel { endpoints: 1, faults: vec![(ms(1000), slow)], ..Tunnel::default() });
    for seen in &seen {
        assert_eq!(seen.count("ok"), 200);
        // Slower by 49.8 ms; and as more of them are under way some dial first, with a round trip of 0.4 ms on the
        // one side and of 50.2 ms on the other.
        let slowest = 5.8 + 49.8 + 0.4 + 50.2;
        assert!(
            (seen.figure("latency.max") - slowest).abs() < 1e-9,
            "{}",
            seen.figure("latency.max")
        );
        assert!((seen.figure("latency.min") - 5.8).abs() < 1e-9);
        assert!(seen.touched[0] > 100, "each of a hundred requests: {}", seen.touched[0]);
    }
    // A dial is three packets in memory, and by turmoil two: the first of them came before the fault.
    let dials = seen[0].proxy[2] - 1;
    assert_eq!(seen[0].touched[0], seen[1].touched[0] + dials);
}

#[test]
fn a_narrow_link_delays_by_what_the_bytes_take() {
    let (from, to) = ("web-0".to_owned(), "proxy".to_owned());
    let rate = NetworkFault::Rate { from, to, bandwidth: Some(Bandwidth(8_000_000)) };
    let tunnel = Tunnel {
        endpoints: 1,
        backend: backend_sim::BackendConfig {
            response: Distribution::Constant(ByteSize(4000)),
            ..Tunnel::default().backend
        },
        faults: vec![(ms(0), rate)],
        ..Tunnel::default()
    };
    let [memory, turmoil] = both_alike(&tunnel);
    // A byte takes a microsecond: 4 ms for the body, and a little for the head.
    let took = memory.figure("latency.min") - 5.8;
    assert!((4.0..4.5).contains(&took), "{took}");
    for figure in ["latency.min", "latency.mean", "latency.max"] {
        let late = turmoil.figure(figure) - memory.figure(figure);
        // A message arrives at the next tick, and so does the one that passes it on; a timer may add a third.
        assert!((-1e-9..3.0 * TICK).contains(&late), "{figure}: {late} ms");
    }
    assert_eq!(memory.touched, turmoil.touched);
    assert_eq!(memory.touched[0] % 200, 0, "each of 200 answers: {:?}", memory.touched);
}

#[test]
fn a_rough_network_is_as_rough_on_both() {
    let latency = Distribution::Exponential { mean: TimeSpan(ms(2)) };
    let tunnel = Tunnel {
        link: LinkSettings { latency, loss: 0.01, ..LinkSettings::default() },
        load: "arrivals = { constant = { rate = 500 } }",
        ..Tunnel::default()
    };
    let [memory, turmoil] = both(&tunnel);
    for seen in [&memory, &turmoil] {
        assert_eq!(seen.count("ok"), 1000, "{:?}", seen.failures);
        // Four messages each, of which one in a hundred is lost: 40, and its standard deviation is 6.3.
        assert!((15..65).contains(&seen.hits.segments_lost), "{:?}", seen.hits);
    }
    // Four latencies of 2 ms, the service, and now and then a loss: 5 + 8 + 4 x 2 ms, with a standard error of 1.3 ms
    // from the losses, which the two draw for other messages.
    for seen in [&memory, &turmoil] {
        let mean = seen.figure("latency.mean");
        assert!((mean - 21.0).abs() < 6.0, "{mean}");
        // Half of them meet no loss, and the sum of four exponentials has its median at 3.67 means.
        let median = seen.figure("latency.p50");
        assert!((median - (5.0 + 3.67 * 2.0)).abs() < 1.2, "{median}");
    }
}
