//! Stopping and reloading: nothing that has begun is lost, and nothing new begins.

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use policy::quantity::TimeSpan;
use proxy::config::EndpointConfig;

use crate::support::{
    DEADLINE, Origin, Rig, Stopwatch, Wire, answer, config, eventually, millis, with_admin,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Whether nobody listens at the address.
fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, DEADLINE).is_err()
}

#[test]
fn what_has_begun_ends_and_nothing_new_begins() {
    for workers in [1, 2] {
        let origin = Origin::new();
        let mut setup = with_admin(config(&[origin.address()]));
        setup.workers = Some(workers);
        let rig = Rig::start(setup);
        let (address, admin) = (rig.proxy.address(), rig.proxy.admin_address().expect("it is on"));
        // One that idles, one that waits for its response, one in the middle of it, and one in the middle of its body.
        let mut idle = rig.client();
        idle.send(GET);
        let mut upstream = origin.accept();
        upstream.request();
        upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(idle.response().text(), "ok");
        let mut silent = rig.client();
        eventually("it is accepted", || rig.sum(|stats| &stats.connections_total) == 2);
        let mut waiting = rig.client();
        waiting.send(GET);
        let mut late = origin.accept();
        late.request();
        let mut reading = rig.client();
        reading.send(GET);
        let mut streaming = origin.accept();
        streaming.request();
        streaming.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        reading.head();
        reading.expect("half");
        let mut sending = rig.client();
        sending.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
        let mut receiving = origin.accept();
        receiving.head();
        receiving.expect("half");
        let draining = thread::spawn(move || rig.proxy.drain());
        idle.ends();
        silent.ends();
        eventually("new connections are refused", || refuses(address));
        let mut wire = Wire::connect(admin);
        wire.send("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let response = wire.response();
        assert_eq!((response.status(), response.text()), (503, "draining\n"));
        streaming.send("half");
        reading.expect("half");
        reading.ends();
        drop(reading);
        late.send(answer("late"));
        let response = waiting.response();
        assert_eq!(response.text(), "late");
        assert_eq!(response.field("Connection").as_deref(), Some("close"));
        waiting.ends();
        drop(waiting);
        assert!(!draining.is_finished());
        sending.send("half");
        receiving.expect("half");
        receiving.send(answer("thanks"));
        assert_eq!(sending.response().text(), "thanks");
        sending.ends();
        drop(sending);
        draining.join().expect("it has drained");
    }
}

#[test]
fn what_a_client_has_sent_ahead_does_not_cost_it_its_last_answer() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = Wire::connect_narrow(rig.proxy.address());
    client.send(GET);
    let mut upstream = origin.accept();
    upstream.request();
    // More than the proxy reads ahead, so that something is unread when it closes.
    client.send(GET.repeat(8000));
    let mut idle = rig.client();
    eventually("it is accepted", || rig.sum(|stats| &stats.connections_total) == 2);
    let draining = thread::spawn(move || rig.proxy.drain());
    idle.ends();
    // More than the client's buffer holds, so that the rest waits in the proxy's; a reset would throw it away. The
    // pause gives the proxy the time to make that mistake.
    let text = "last words ".repeat(20_000);
    upstream.send(answer(&text));
    assert!(client.head().contains("Connection: close\r\n"));
    thread::park_timeout(millis(300).0);
    client.expect(&text);
    client.ends();
    drop(client);
    draining.join().expect("it has drained");
}

#[test]
fn the_drain_limit_cuts() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.timeouts.drain = millis(200);
    let rig = Rig::start(setup);
    let mut client = rig.client();
    client.send(GET);
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
    client.head();
    client.expect("half");
    let watch = Stopwatch::start();
    rig.proxy.drain();
    watch.shows_at_least(millis(200));
    client.ends_or_breaks();
    upstream.ends_or_breaks();
}

#[test]
fn draining_nothing_is_quick_and_right() {
    let origin = Origin::saying("ok");
    let rig = Rig::before(&origin);
    assert_eq!(rig.get("/").text(), "ok");
    rig.is_quiet_again();
    let address = rig.proxy.address();
    rig.proxy.drain();
    assert!(refuses(address));
}

#[test]
fn an_impossible_configuration_is_refused_and_changes_nothing() {
    let origin = Origin::saying("ok");
    let rig = Rig::before(&origin);
    let mut wrong = config(&[origin.address()]);
    wrong.retry.attempts = 101;
    let error = rig.proxy.reload(wrong).expect_err("it is impossible");
    assert!(error.to_string().contains("retry.attempts"), "{error}");
    assert_eq!(rig.get("/").text(), "ok");
}

#[test]
fn a_request_in_progress_ends_with_the_configuration_that_it_began_with() {
    let (first, second) = (Origin::new(), Origin::saying("second"));
    let rig = Rig::before(&first);
    let mut client = rig.client();
    client.send(GET);
    let mut upstream = first.accept();
    upstream.request();
    rig.proxy.reload(config(&[second.address()])).expect("it is possible");
    eventually("new requests go to the new one", || {
        let mut other = rig.client();
        other.send(GET);
        // The worker may not have heard of it yet: then the first origin is asked once more.
        match first.accepted_already() {
            Some(mut upstream) => {
                upstream.request();
                upstream.send(answer("first"));
                assert_eq!(other.response().text(), "first");
                false
            }
            None => rig.proxy.state().upstream.endpoints.list()[0].requests() > 0,
        }
    });
    upstream.send(answer("first"));
    assert_eq!(client.response().text(), "first");
    client.send(GET);
    assert_eq!(client.response().text(), "second");
}

#[test]
fn endpoints_come_and_go_and_nothing_is_lost() {
    let origins: Vec<Origin> = (0..4).map(|_| Origin::saying("ok")).collect();
    let addresses: Vec<SocketAddr> = origins.iter().map(Origin::address).collect();
    let mut setup = config(&addresses[..2]);
    setup.workers = Some(2);
    setup.retry.attempts = 0;
    setup.limits.endpoint_in_flight = Some(3);
    setup.queue.timeout = TimeSpan::secs(60);
    let rig = Rig::start(setup.clone());
    let done = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|index| {
                let (rig, done) = (&rig, Arc::clone(&done));
                scope.spawn(move || {
                    let mut client = rig.client();
                    let mut served = 0_u64;
                    while !done.load(Relaxed) {
                        client.send(if index % 2 == 0 {
                            "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                        } else {
                            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                        });
                        assert_eq!(client.response().text(), "ok");
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for round in 0..200_usize {
            let (from, count) = (round % 3, 1 + round % 2);
            setup.endpoints = addresses[from..from + count]
                .iter()
                .enumerate()
                .map(|(index, address)| {
                    let weight = 1 + (round % 5 + index) as u32;
                    EndpointConfig { weight, ..EndpointConfig::new(*address) }
                })
                .collect();
            rig.proxy.reload(setup.clone()).expect("it is possible");
            let before = rig.sum(|stats| &stats.requests);
            eventually("requests go on", || rig.sum(|stats| &stats.requests) >= before + 10);
        }
        done.store(true, Relaxed);
        let served: u64 = workers.into_iter().map(|worker| worker.join().expect("served")).sum();
        eventually("all are counted", || rig.sum(|stats| &stats.requests) == served);
    });
    assert_eq!(rig.sum(|stats| &stats.statuses[1]), rig.sum(|stats| &stats.requests));
    rig.is_quiet_again();
}

#[test]
fn limits_of_a_new_configuration_hold_from_then_on() {
    let origin = Origin::saying("ok");
    let mut setup = config(&[origin.address()]);
    setup.limits.connections = 1;
    let rig = Rig::start(setup.clone());
    let mut first = rig.client();
    first.send(GET);
    assert_eq!(first.response().text(), "ok");
    let mut second = rig.client();
    second.send(GET);
    // A raised limit is noticed by a listener that waits for room.
    setup.limits.connections = 2;
    rig.proxy.reload(setup).expect("it is possible");
    assert_eq!(second.response().text(), "ok");
    first.send(GET);
    assert_eq!(first.response().text(), "ok");
}
