//! Who gets requests: active checks, ejection after failures in a row, and panic when nobody is left.

use std::{net::SocketAddr, sync::Arc};

use policy::{health::HealthKind, quantity::TimeSpan, status::StatusRange};
use proxy::config::ProxyConfig;

use crate::support::{
    Count, Origin, Refusing, Rig, Wire, answer, config, eventually, in_order, millis,
};

/// Checks that find out quickly.
pub(crate) fn checked(mut setup: ProxyConfig, kind: HealthKind) -> ProxyConfig {
    setup.health.kind = kind;
    setup.health.interval = millis(10);
    setup.health.timeout = TimeSpan::secs(10);
    setup.health.fall = 2;
    setup.health.rise = 2;
    setup
}

pub(crate) fn is_up(rig: &Rig, index: usize) -> bool {
    rig.proxy.state().upstream.endpoints.list()[index].is_up()
}

#[test]
fn a_tcp_check_takes_an_endpoint_down_and_up_again() {
    let refusing = Refusing::new();
    let origin = Origin::saying("second");
    let mut setup = checked(in_order(&[refusing.address(), origin.address()]), HealthKind::Tcp);
    // Without retries the client would see it.
    setup.retry.attempts = 0;
    let rig = Rig::start(setup);
    eventually("the first is down", || !is_up(&rig, 0));
    for _ in 0..5 {
        assert_eq!(rig.get("/").text(), "second");
    }
    let listening = refusing.listen();
    eventually("the first is up", || is_up(&rig, 0));
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // Among its connections, those of the checks say nothing.
    loop {
        let (stream, _) = listening.accept().expect("it is asked again");
        let mut upstream = Wire::new(stream.into());
        if upstream.is_asked() {
            upstream.request();
            upstream.send(answer("first"));
            break;
        }
    }
    assert_eq!(client.response().text(), "first");
}

/// An origin that answers checks with the status that `health` says, and all else with 200.
pub(crate) fn checkable(health: &Arc<Count>, text: &'static str) -> Origin {
    let health = Arc::clone(health);
    Origin::serving(move |mut wire| {
        while wire.is_asked() {
            let request = wire.request();
            if request.start() != "GET /up HTTP/1.1" {
                wire.send(answer(text));
                continue;
            }
            assert_eq!(request.field("Connection").as_deref(), Some("close"));
            assert!(request.field("Host").is_some());
            match health.get() {
                0 => wire.send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"),
                1 => wire.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
                2 => wire.send("nonsense\r\n\r\n"),
                _ => {}
            }
            return;
        }
    })
}

#[test]
fn an_http_check_takes_the_status_at_its_word() {
    let health = Arc::new(Count::default());
    let first = checkable(&health, "first");
    let second = Origin::saying("second");
    let addresses = [first.address(), second.address()];
    let mut setup = checked(in_order(&addresses), HealthKind::Http);
    setup.health.path = "/up".to_owned();
    setup.retry.attempts = 0;
    let rig = Rig::start(setup);
    assert_eq!(rig.get("/").text(), "first");
    // A wrong status, no HTTP, and no answer at all.
    for _ in 0..3 {
        health.add();
        eventually("the first is down", || !is_up(&rig, 0));
        assert!(is_up(&rig, 1));
        assert_eq!(rig.get("/").text(), "second");
    }
}

#[test]
fn a_check_that_takes_too_long_has_failed() {
    let mute = Origin::new();
    let second = Origin::saying("second");
    let mut setup = checked(in_order(&[mute.address(), second.address()]), HealthKind::Http);
    // Long enough for the other one to answer.
    setup.health.timeout = millis(700);
    let rig = Rig::start(setup);
    eventually("the first is down", || !is_up(&rig, 0));
    assert_eq!(rig.get("/").text(), "second");
}

#[test]
fn what_is_known_of_an_endpoint_survives_a_reload() {
    let health = Arc::new(Count::default());
    health.add();
    let first = checkable(&health, "first");
    let second = Origin::saying("second");
    let addresses = [first.address(), second.address()];
    let mut setup = checked(in_order(&addresses), HealthKind::Http);
    setup.health.path = "/up".to_owned();
    let rig = Rig::start(setup.clone());
    eventually("the first is down", || !is_up(&rig, 0));
    setup.timeouts.keep_alive = TimeSpan::secs(7);
    rig.proxy.reload(setup.clone()).expect("it is possible");
    assert!(!is_up(&rig, 0));
    assert_eq!(rig.get("/").text(), "second");
    // It is still down, so checks must be able to bring it up, and a configuration without checks as well.
    setup.health.statuses = StatusRange::new(200, 599).into_iter().collect();
    rig.proxy.reload(setup.clone()).expect("it is possible");
    eventually("the first is up", || is_up(&rig, 0));
    setup.health.statuses = StatusRange::new(200, 299).into_iter().collect();
    rig.proxy.reload(setup.clone()).expect("it is possible");
    eventually("the first is down", || !is_up(&rig, 0));
    setup.health.kind = HealthKind::Off;
    rig.proxy.reload(setup).expect("it is possible");
    eventually("the first is up", || is_up(&rig, 0));
    eventually("it is used", || rig.get("/").text() == "first");
}

/// An origin that answers 500 until `cured`, then 200.
fn ill(asked: &Arc<Count>, cured: &Arc<Count>) -> Origin {
    let (asked, cured) = (Arc::clone(asked), Arc::clone(cured));
    Origin::serving(move |mut wire| {
        while wire.is_asked() {
            wire.request();
            asked.add();
            match cured.get() {
                0 => wire.send("HTTP/1.1 500 Ill\r\nContent-Length: 3\r\n\r\nill"),
                _ => wire.send(answer("cured")),
            }
        }
    })
}

fn three_failures(addresses: &[SocketAddr]) -> ProxyConfig {
    let mut setup = in_order(addresses);
    setup.outlier.consecutive_failures = 3;
    setup.outlier.base_ejection = TimeSpan::secs(2);
    setup.outlier.max_ejection = TimeSpan::secs(60);
    setup
}

#[test]
fn failures_in_a_row_eject_an_endpoint_for_a_while() {
    let (asked, cured) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let first = ill(&asked, &cured);
    let second = Origin::saying("second");
    let rig = Rig::start(three_failures(&[first.address(), second.address()]));
    let mut client = rig.client();
    let mut get = || {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.response().text().to_owned()
    };
    for _ in 0..3 {
        assert_eq!(get(), "ill");
    }
    assert_eq!(get(), "second");
    assert_eq!(asked.get(), 3);
    cured.add();
    eventually("it comes back", || get() == "cured");
    assert_eq!(get(), "cured");
}

#[test]
fn a_success_in_between_begins_the_row_anew() {
    let asked = Arc::new(Count::default());
    let first = {
        let asked = Arc::clone(&asked);
        Origin::serving(move |mut wire| {
            while wire.is_asked() {
                wire.request();
                match asked.add() % 3 {
                    2 => wire.send(answer("well")),
                    _ => wire.send("HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n"),
                }
            }
        })
    };
    let second = Origin::new();
    let rig = Rig::start(three_failures(&[first.address(), second.address()]));
    let mut client = rig.client();
    for _ in 0..30 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.response();
    }
    assert_eq!(asked.get(), 30);
    second.is_untouched();
}

#[test]
fn broken_connections_eject_too() {
    let refusing = Refusing::new();
    let second = Origin::saying("second");
    let mut setup = three_failures(&[refusing.address(), second.address()]);
    setup.retry.attempts = 0;
    setup.outlier.base_ejection = TimeSpan::secs(60);
    let rig = Rig::start(setup);
    for _ in 0..3 {
        assert_eq!(rig.get("/").status(), 502);
    }
    for _ in 0..5 {
        assert_eq!(rig.get("/").text(), "second");
    }
}

#[test]
fn which_statuses_are_failures_is_configured() {
    let first = Origin::serving(|mut wire| {
        while wire.is_asked() {
            let status = if wire.request().start().contains("/429") { 429 } else { 500 };
            wire.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let second = Origin::saying("second");
    let mut setup = three_failures(&[first.address(), second.address()]);
    setup.outlier.base_ejection = TimeSpan::secs(60);
    setup.outlier.statuses = StatusRange::new(429, 429).into_iter().collect();
    let rig = Rig::start(setup);
    let mut client = rig.client();
    let mut get = |path: &str| {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.response().status()
    };
    for _ in 0..5 {
        assert_eq!(get("/500"), 500);
    }
    for _ in 0..3 {
        assert_eq!(get("/429"), 429);
    }
    assert_eq!(get("/"), 200);
}

#[test]
fn an_answer_that_was_tried_elsewhere_counts_as_what_it_is() {
    let first = Origin::serving(|mut wire| {
        while wire.is_asked() {
            wire.request();
            wire.send("HTTP/1.1 404 Not Here\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let second = Origin::saying("second");
    let mut setup = three_failures(&[first.address(), second.address()]);
    setup.retry.statuses = vec![404];
    let rig = Rig::start(setup);
    for _ in 0..5 {
        assert_eq!(rig.get("/").text(), "second");
    }
    let state = rig.proxy.state();
    let endpoint = &state.upstream.endpoints.list()[0];
    assert_eq!((endpoint.requests(), endpoint.failures()), (5, 0));
}

#[test]
fn a_single_endpoint_is_never_ejected() {
    let (asked, cured) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let only = ill(&asked, &cured);
    let mut setup = three_failures(&[only.address()]);
    setup.outlier.max_ejected_share = 1.0;
    let rig = Rig::start(setup);
    for _ in 0..10 {
        assert_eq!(rig.get("/").text(), "ill");
    }
    assert_eq!(asked.get(), 10);
}

#[test]
fn never_more_than_the_share_is_ejected() {
    let (asked, cured) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let origins: Vec<Origin> = (0..4).map(|_| ill(&asked, &cured)).collect();
    let addresses: Vec<SocketAddr> = origins.iter().map(Origin::address).collect();
    let mut setup = three_failures(&addresses);
    setup.outlier.base_ejection = TimeSpan::secs(60);
    setup.outlier.max_ejected_share = 0.5;
    let rig = Rig::start(setup);
    for _ in 0..30 {
        assert_eq!(rig.get("/").text(), "ill");
    }
    let state = rig.proxy.state();
    assert_eq!(state.upstream.endpoints.ejected(), 2);
}

#[test]
fn when_all_are_down_all_are_asked() {
    let health = Arc::new(Count::default());
    health.add();
    let first = checkable(&health, "first");
    let mut setup = checked(config(&[first.address()]), HealthKind::Http);
    setup.health.path = "/up".to_owned();
    setup.balance.panic_threshold = 0.5;
    let rig = Rig::start(setup.clone());
    eventually("it is down", || !is_up(&rig, 0));
    assert_eq!(rig.get("/").text(), "first");
    // Unless nobody wants that.
    setup.balance.panic_threshold = 0.0;
    let rig = Rig::start(setup);
    eventually("it is down", || !is_up(&rig, 0));
    assert_eq!(rig.get("/").status(), 503);
}
