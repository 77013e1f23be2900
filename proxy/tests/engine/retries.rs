//! What is sent a second time, and what must not be (RFC 9110, section 9.2.2; RFC 9112, section 9.3.1).

use std::{sync::Arc, thread};

use policy::quantity::ByteSize;

use crate::support::{
    Count, Origin, Refusing, Rig, Wire, answer, config, in_order, millis, pattern,
};

/// A rig whose first pick is `first` and whose second is `second`.
fn pair(first: std::net::SocketAddr, second: std::net::SocketAddr) -> Rig {
    Rig::start(in_order(&[first, second]))
}

/// An origin that closes every connection when it has read a head.
fn closing(asked: &Arc<Count>) -> Origin {
    let asked = Arc::clone(asked);
    Origin::serving(move |mut wire| {
        wire.head();
        asked.add();
    })
}

#[test]
fn a_refused_connection_goes_to_another_endpoint_whatever_the_method() {
    for method in ["GET", "POST", "PATCH", "BREW"] {
        let refusing = Refusing::new();
        let origin = Origin::new();
        let rig = pair(refusing.address(), origin.address());
        let mut client = rig.client();
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
        let mut upstream = origin.accept();
        assert_eq!(upstream.request().body, b"hello");
        upstream.send(answer("there"));
        assert_eq!(client.response().text(), "there", "{method}");
        assert_eq!(rig.sum(|stats| &stats.retries), 1);
        assert_eq!(rig.proxy.state().upstream.endpoints.list()[0].failures(), 1);
    }
}

#[test]
fn the_last_fault_is_what_the_client_sees() {
    let refusing = Refusing::new();
    let rig = Rig::start(config(&[refusing.address()]));
    let response = rig.get("/");
    assert_eq!(response.status(), 502);
    let reason = response.field("Proxy-Status");
    assert_eq!(reason.as_deref(), Some("windtunnel; error=connection_refused"));
    // Nobody else was there, so nothing was sent twice.
    assert_eq!(rig.sum(|stats| &stats.retries), 0);
    let (first, second) = (Refusing::new(), Refusing::new());
    let rig = pair(first.address(), second.address());
    assert_eq!(rig.get("/").status(), 502);
    assert_eq!(rig.sum(|stats| &stats.retries), 1);
}

#[test]
fn a_connection_that_dies_unanswered_is_replayed_for_get_only() {
    for (method, status, tries) in [("GET", 200, 1), ("DELETE", 200, 1), ("POST", 502, 1)] {
        let asked = Arc::new(Count::default());
        let closing = closing(&asked);
        let origin = Origin::saying("there");
        let rig = pair(closing.address(), origin.address());
        let mut client = rig.client();
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.status(), status, "{method}");
        if status == 502 {
            let reason = response.field("Proxy-Status");
            assert_eq!(reason.as_deref(), Some("windtunnel; error=connection_terminated"));
        }
        assert_eq!(asked.get(), tries, "{method}");
        // Either way the client's own connection is sound.
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().text(), "there");
    }
}

/// Serves one request on a new connection to `origin`, so that the proxy keeps it.
fn warm(rig: &Rig, origin: &Origin, client: &mut Wire) -> Wire {
    client.send("GET /warm HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(answer("warm"));
    assert_eq!(client.response().text(), "warm");
    assert_eq!(rig.sum(|stats| &stats.upstream_reuses), 0);
    upstream
}

#[test]
fn a_reused_connection_that_dies_is_replayed_on_a_new_one_to_the_same_endpoint() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    let mut upstream = warm(&rig, &origin, &mut client);
    client.send("GET /again HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    drop(upstream);
    let mut upstream = origin.accept();
    assert!(upstream.request().start().starts_with("GET /again "));
    upstream.send(answer("again"));
    assert_eq!(client.response().text(), "again");
    let state = rig.proxy.state();
    let endpoint = &state.upstream.endpoints.list()[0];
    // Every keep-alive ends some time: that is nobody's failure.
    assert_eq!(endpoint.failures(), 0);
}

#[test]
fn a_reused_connection_that_dies_is_not_replayed_for_post() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    let mut upstream = warm(&rig, &origin, &mut client);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    upstream.request();
    drop(upstream);
    assert_eq!(client.response().status(), 502);
    origin.is_untouched();
    assert_eq!(rig.sum(|stats| &stats.retries), 0);
    rig.has_faults("reused_connection_closed", 1);
}

#[test]
fn an_endpoint_that_dies_with_all_its_connections_costs_no_get() {
    let first = Origin::new();
    let second = Origin::saying("second");
    let rig = pair(first.address(), second.address());
    let mut clients: Vec<Wire> = (0..3).map(|_| rig.client()).collect();
    let mut upstreams = Vec::new();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut upstream = first.accept();
        upstream.request();
        upstreams.push(upstream);
    }
    for (client, upstream) in clients.iter_mut().zip(&mut upstreams) {
        upstream.send(answer("first"));
        assert_eq!(client.response().text(), "first");
    }
    first.close();
    drop(upstreams);
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().text(), "second");
    }
}

#[test]
fn a_put_is_replayed_from_what_was_kept() {
    for (framing, body) in [
        ("Content-Length: 5", "hello".to_owned()),
        ("Transfer-Encoding: chunked", "2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 9\r\n\r\n".to_owned()),
    ] {
        let origin = Origin::new();
        let rig = Rig::before(&origin);
        let mut client = rig.client();
        let mut upstream = warm(&rig, &origin, &mut client);
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}"));
        assert_eq!(upstream.request().body, b"hello");
        drop(upstream);
        let mut upstream = origin.accept();
        let request = upstream.request();
        assert_eq!(request.body, b"hello");
        assert_eq!(request.trailers, if body.contains("Sum") { "X-Sum: 9\r\n" } else { "" });
        upstream.send(answer("kept"));
        assert_eq!(client.response().text(), "kept");
        // What follows on the client's connection is its next request.
        client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(upstream.request().start().starts_with("GET /next "));
    }
}

#[test]
fn a_put_is_replayed_while_its_body_is_still_coming() {
    for chunked in [false, true] {
        let origin = Origin::new();
        let mut setup = config(&[origin.address()]);
        setup.limits.replay = ByteSize(1 << 20);
        let rig = Rig::start(setup);
        let mut client = rig.client();
        let mut upstream = warm(&rig, &origin, &mut client);
        let body = pattern(600_000);
        let frame = |piece: &[u8]| {
            let size = format!("{:x}\r\n", piece.len());
            if chunked { [size.as_bytes(), piece, b"\r\n"].concat() } else { piece.to_vec() }
        };
        let length = format!("Content-Length: {}", body.len());
        let framing = if chunked { "Transfer-Encoding: chunked" } else { &length };
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        client.send(frame(&body[..10_000]));
        upstream.head();
        let first = if chunked { 7 } else { 0 };
        upstream.exactly(10_000 + first);
        upstream.reset();
        // Whether the proxy notices by reading or by writing, and in which write, is up to chance.
        let mut sender = client.twin();
        let rest: Vec<u8> = body[10_000..].chunks(50_000).flat_map(frame).collect();
        let end: &[u8] = if chunked { b"0\r\n\r\n" } else { b"" };
        let next = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
        let all = [&rest, end, next].concat();
        let sending = thread::spawn(move || sender.send(all));
        let mut upstream = origin.accept();
        let request = upstream.request();
        assert!(request.body == body, "{} bytes of {}", request.body.len(), body.len());
        upstream.send(answer("whole"));
        assert_eq!(client.response().text(), "whole");
        assert!(upstream.request().start().starts_with("GET /next "));
        sending.join().expect("all was sent");
    }
}

#[test]
fn a_write_that_fails_in_the_middle_of_a_body_loses_and_doubles_nothing() {
    // Many rounds, because which write meets the reset is up to chance.
    for round in 0..30_usize {
        let origin = Origin::new();
        let mut setup = config(&[origin.address()]);
        setup.limits.replay = ByteSize(4 << 20);
        let rig = Rig::start(setup);
        let mut client = rig.client();
        let mut upstream = warm(&rig, &origin, &mut client);
        let body = pattern(1 << 20);
        let size = [5000, 20_000, 70_000][round % 3];
        let mut bytes = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in body.chunks(size) {
            bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
            bytes.extend(piece);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        let mut sender = client.twin();
        let sending = thread::spawn(move || sender.send(bytes));
        upstream.head();
        upstream.exactly(1 + round * 9000);
        upstream.reset();
        let mut upstream = origin.accept();
        let got = upstream.request().body;
        let differs = got.iter().zip(&body).position(|(got, sent)| got != sent);
        let came = got.len();
        assert!(got == body, "round {round}: {came} bytes, the first wrong one {differs:?}");
        upstream.send(answer("whole"));
        assert_eq!(client.response().text(), "whole", "round {round}");
        sending.join().unwrap_or_else(|_| panic!("round {round}: not all was sent"));
    }
}

#[test]
fn a_body_beyond_the_limit_is_sent_once() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.limits.replay = ByteSize(1000);
    let rig = Rig::start(setup);
    for (length, status) in [(1000, 200), (1001, 502)] {
        let mut client = rig.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut upstream = origin.accept();
        upstream.request();
        upstream.send(answer("warm"));
        client.response();
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        client.send(pattern(length));
        upstream.request();
        drop(upstream);
        if status == 200 {
            let mut upstream = origin.accept();
            assert_eq!(upstream.request().body, pattern(length));
            upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        }
        assert_eq!(client.response().status(), status, "{length} bytes");
        origin.is_untouched();
    }
}

#[test]
fn nothing_is_sent_twice_once_the_client_has_seen_a_part() {
    let broken = Origin::serving(|mut wire| {
        wire.request();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    });
    let origin = Origin::new();
    let rig = pair(broken.address(), origin.address());
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    assert_eq!(client.breaks(), b"half");
    origin.is_untouched();
    rig.has_faults("closed_mid_response", 1);
}

#[test]
fn a_response_head_that_breaks_off_is_no_keep_alive_that_has_ended() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    let mut upstream = warm(&rig, &origin, &mut client);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    upstream.send("HTTP/1.1 200 OK\r\nConte");
    drop(upstream);
    // One endpoint only, and it has begun to answer: it is to blame.
    assert_eq!(client.response().status(), 502);
    rig.has_faults("closed_before_response", 1);
}

#[test]
fn listed_statuses_are_tried_elsewhere() {
    let asked = Arc::new(Count::default());
    let failing = {
        let asked = Arc::clone(&asked);
        Origin::serving(move |mut wire| {
            while wire.is_asked() {
                wire.request();
                asked.add();
                wire.send("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
            }
        })
    };
    let origin = Origin::saying("there");
    let mut setup = in_order(&[failing.address(), origin.address()]);
    setup.retry.statuses = vec![503];
    let rig = Rig::start(setup);
    assert_eq!(rig.get("/").text(), "there");
    assert_eq!(asked.get(), 1);
    assert_eq!(rig.sum(|stats| &stats.retries), 1);
    // A POST that was answered is answered.
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status(), response.text()), (503, "busy"));
}

#[test]
fn where_nobody_else_is_left_the_client_sees_the_endpoints_own_answer() {
    let failing = Origin::serving(|mut wire| {
        while wire.is_asked() {
            wire.request();
            wire.send("HTTP/1.1 502 Bad\r\nX-Mine: 1\r\nContent-Length: 4\r\n\r\nbusy");
        }
    });
    let mut setup = config(&[failing.address()]);
    setup.retry.statuses = vec![502];
    setup.retry.attempts = 3;
    let rig = Rig::start(setup.clone());
    let response = rig.get("/");
    assert_eq!((response.status(), response.text()), (502, "busy"));
    assert_eq!(response.field("X-Mine").as_deref(), Some("1"));
    assert_eq!(rig.sum(|stats| &stats.retries), 0);
    // With another endpoint, the last one's.
    let second = Origin::serving(|mut wire| {
        wire.request();
        wire.send("HTTP/1.1 502 Bad\r\nContent-Length: 6\r\n\r\nbusy 2");
    });
    setup.endpoints = in_order(&[failing.address(), second.address()]).endpoints;
    let rig = Rig::start(setup);
    assert_eq!(rig.get("/").text(), "busy 2");
    assert_eq!(rig.sum(|stats| &stats.retries), 1);
}

#[test]
fn a_response_that_does_not_begin_in_time_is_tried_elsewhere() {
    let mute = Origin::new();
    let origin = Origin::saying("there");
    let mut setup = in_order(&[mute.address(), origin.address()]);
    // The other one has no more time than that to answer, on a machine that has other things to do.
    setup.timeouts.response_head = millis(1500);
    let rig = Rig::start(setup);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "there");
    let mut upstream = mute.accept();
    upstream.request();
    upstream.ends_or_breaks();
}

#[test]
fn attempts_are_counted() {
    let asked = Arc::new(Count::default());
    let origins: Vec<Origin> = (0..5).map(|_| closing(&asked)).collect();
    let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
    for attempts in [0, 1, 3] {
        let mut setup = config(&addresses);
        setup.retry.attempts = attempts;
        let rig = Rig::start(setup);
        let before = asked.get();
        assert_eq!(rig.get("/").status(), 502);
        assert_eq!(asked.get() - before, 1 + attempts);
        assert_eq!(rig.sum(|stats| &stats.retries), u64::from(attempts));
    }
}

#[test]
fn the_budget_holds() {
    let asked = Arc::new(Count::default());
    let origins: Vec<Origin> = (0..2).map(|_| closing(&asked)).collect();
    let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
    let mut setup = config(&addresses);
    setup.outlier.enabled = false;
    setup.retry.min_per_second = 0.0;
    setup.retry.budget = 0.25;
    setup.retry.window = policy::quantity::TimeSpan::secs(3600);
    let rig = Rig::start(setup);
    let mut client = rig.client();
    for _ in 0..40 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 502);
    }
    assert_eq!(asked.get(), 50);
    assert_eq!(rig.sum(|stats| &stats.retries), 10);
    assert_eq!(rig.sum(|stats| &stats.retries_refused), 30);
}
