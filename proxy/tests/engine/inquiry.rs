//! What endpoints say of their load: load probes, and the field in answers.

use std::sync::{Arc, Mutex};

use policy::balance::{Strategy, prequal, weighted_by_load};
use proxy::config::ProxyConfig;

use crate::support::{Count, Origin, Rig, Wire, answer, config, eventually, millis};

/// What a probe asks for in these tests.
const PATH: &str = "/load?now";

fn probing(mut setup: ProxyConfig) -> ProxyConfig {
    setup.balance.strategy = Strategy::Prequal(prequal::Config {
        path: PATH.to_owned(),
        timeout: millis(10_000),
        max_age: millis(100_000),
        remove: 0.0,
        ..prequal::Config::default()
    });
    setup
}

fn said(in_flight: u32) -> String {
    format!("TEXT named_metrics.in_flight={in_flight}, named_metrics.latency_ns=1000")
}

/// An origin that answers probes with what `say` writes, and everything else with its name.
fn origin(
    name: &'static str,
    probes: &Arc<Count>,
    say: impl Fn(&mut Wire) + Send + Sync + 'static,
) -> Origin {
    let probes = Arc::clone(probes);
    Origin::serving(move |mut wire| {
        while wire.is_asked() {
            let request = wire.request();
            if request.start() != format!("GET {PATH} HTTP/1.1") {
                wire.send(answer(name));
                continue;
            }
            assert!(request.field("Host").is_some());
            assert_eq!(request.field("Connection"), None);
            probes.add();
            say(&mut wire);
        }
    })
}

fn report(in_flight: u32) -> impl Fn(&mut Wire) + Send + Sync + 'static {
    move |wire| {
        wire.send(format!(
            "HTTP/1.1 204 No Content\r\nEndpoint-Load-Metrics: {}\r\n\r\n",
            said(in_flight)
        ));
    }
}

#[test]
fn probes_decide_and_are_no_requests() {
    let counts = [Arc::<Count>::default(), Arc::default()];
    let busy = origin("busy", &counts[0], report(50));
    let idle = origin("idle", &counts[1], report(0));
    let rig = Rig::start(probing(config(&[busy.address(), idle.address()])));
    // The first request goes anywhere, and brings a probe to each.
    rig.get("/");
    eventually("both were probed", || counts.iter().all(|count| count.get() > 0));
    eventually("the idle one is taken", || rig.get("/").text() == "idle");
    for _ in 0..20 {
        assert_eq!(rig.get("/").text(), "idle");
    }
    // Probes are counted nowhere, and hold no place.
    let state = rig.proxy.state();
    let requests: u64 = state.upstream.endpoints.list().iter().map(|each| each.requests()).sum();
    eventually("requests are what was asked for", || rig.sum(|stats| &stats.requests) >= requests);
    assert_eq!(requests, rig.sum(|stats| &stats.requests));
    rig.is_quiet_again();
}

/// An endpoint that is being asked is not asked again, and a connection is used again and again.
#[test]
fn probes_do_not_pile_up() {
    let connections = Arc::new(Mutex::new(0_u32));
    let probes = Arc::<Count>::default();
    let held = Arc::new(Mutex::new(Vec::new()));
    let (seen, kept, opened) = (Arc::clone(&probes), Arc::clone(&held), Arc::clone(&connections));
    let slow = Origin::serving(move |mut wire| {
        let mut is_new = true;
        while wire.is_asked() {
            if wire.request().start() == format!("GET {PATH} HTTP/1.1") {
                *opened.lock().expect("no test panics with it") += u32::from(is_new);
                is_new = false;
                seen.add();
                kept.lock().expect("no test panics with it").push(wire.twin());
            } else {
                wire.send(answer("slow"));
            }
        }
    });
    let rig = Rig::start(probing(config(&[slow.address()])));
    for _ in 0..10 {
        rig.get("/");
    }
    eventually("it is probed", || probes.get() > 0);
    rig.get("/");
    assert_eq!(probes.get(), 1, "it has not answered yet");
    for round in 2..5 {
        let mut wire = held.lock().expect("no test panics with it").pop().expect("it was probed");
        report(0)(&mut wire);
        eventually("it is probed again", || {
            rig.get("/");
            probes.get() == round
        });
    }
    assert_eq!(*connections.lock().expect("no test panics with it"), 1);
}

/// Nonsense, silence, a closed connection, content: nothing of it is believed, nothing is waited for, and requests go on.
#[test]
fn strange_answers_to_probes_do_no_harm() {
    for say in [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nEndpoint-Load-Metrics: JSON {}\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 Oh\r\nEndpoint-Load-Metrics: TEXT eps=x\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 204 No Content\r\nConnection: close\r\nEndpoint-Load-Metrics: TEXT eps=1\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let probes = Arc::<Count>::default();
        let strange = origin("strange", &probes, move |wire| {
            let _ = wire.try_send(say);
        });
        let rig = Rig::start(probing(config(&[strange.address()])));
        eventually("it is probed again and again", || {
            assert_eq!(rig.get("/").text(), "strange");
            probes.get() > 3
        });
        rig.is_quiet_again();
    }
}

/// An answer's field is for the balancer, and goes no further; where nobody reads it, it is a field like others.
#[test]
fn reports_in_answers_decide_and_go_no_further() {
    let saying = |name: &'static str, utilization: &'static str| {
        Origin::serving(move |mut wire| {
            while wire.is_asked() {
                wire.request();
                wire.send(format!(
                    "HTTP/1.1 200 OK\r\nEndpoint-Load-Metrics: TEXT rps_fractional=10,application_utilization={utilization}\r\n\
                     X-Other: 1\r\nContent-Length: {}\r\n\r\n{name}",
                    name.len()
                ));
            }
        })
    };
    let (strong, weak) = (saying("strong", "0.1"), saying("weak", "0.9"));
    let mut setup = config(&[strong.address(), weak.address()]);
    let rig = Rig::start(setup.clone());
    let passed = rig.get("/").field("Endpoint-Load-Metrics").expect("nobody is concerned with it");
    assert!(passed.starts_with("TEXT rps_fractional=10"));
    setup.balance.strategy = Strategy::WeightedByLoad(weighted_by_load::Config {
        blackout: millis(0),
        update: millis(100),
        ..weighted_by_load::Config::default()
    });
    let rig = Rig::start(setup);
    // Nine to one, as soon as both have reported and the weights are made anew.
    eventually("weights are in use", || {
        let responses: Vec<_> = (0..20).map(|_| rig.get("/")).collect();
        for response in &responses {
            assert_eq!(response.field("Endpoint-Load-Metrics"), None);
            assert_eq!(response.field("X-Other").as_deref(), Some("1"));
        }
        (17..20).contains(&responses.iter().filter(|response| response.text() == "strong").count())
    });
}
