//! Our own answers: the status, the reason, and what becomes of the connection.

use policy::quantity::ByteSize;

use crate::support::{Origin, Refusing, Rig, Stopwatch, answer, config, millis};

/// An own answer is complete, says whose it is, and why.
fn is_ours(response: &crate::support::Message, status: u16, error: &str) {
    assert_eq!(response.status(), status);
    let reason = response.field("Proxy-Status");
    assert_eq!(reason, Some(format!("windtunnel; error={error}")), "{}", response.head);
    assert!(response.field("Date").is_some());
    assert_eq!(response.field("Content-Type").as_deref(), Some("text/plain; charset=utf-8"));
    assert!(response.text().starts_with(&format!("{status} ")), "{}", response.text());
    assert!(response.text().ends_with('\n'));
}

#[test]
fn a_target_or_a_head_that_is_too_large() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.limits.target = ByteSize(1000);
    setup.limits.head = ByteSize(4000);
    setup.limits.fields = 20;
    let rig = Rig::start(setup);
    let long = "x".repeat(1000);
    let fields = "X-Field: 1\r\n".repeat(20);
    for (status, request) in [
        (414, format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        // Refused before the head is whole,
        (414, format!("GET /{long}{long}")),
        (431, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long.repeat(4))),
        (431, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", long.repeat(4))),
        (431, format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")),
        (501, format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(100))),
    ] {
        let mut client = rig.client();
        client.send(&request);
        let response = client.response();
        is_ours(&response, status, "http_request_denied");
        assert_eq!(response.field("Connection").as_deref(), Some("close"));
        client.ends_or_breaks();
    }
    // but what is just within the limits passes.
    let path = &long[..999];
    let fields = "X-Field: 1\r\n".repeat(19);
    let mut client = rig.client();
    client.send(format!("GET /{path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(answer("ok"));
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn a_response_head_that_is_too_large() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.limits.head = ByteSize(4000);
    setup.limits.target = ByteSize(1000);
    let rig = Rig::start(setup);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(4000)));
    is_ours(&client.response(), 502, "http_protocol_error");
    upstream.ends_or_breaks();
}

#[test]
fn connect_and_trace_are_not_proxied() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    for request in [
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n",
    ] {
        client.send(request);
        let response = client.response();
        is_ours(&response, 405, "http_request_denied");
        assert!(response.field("Allow").expect("RFC 9110 wants it").contains("GET"));
        assert!(!response.text().contains("secret"));
    }
    origin.is_untouched();
    // The same connection twice: nothing was wrong with it.
    assert_eq!(rig.sum(|stats| &stats.connections_total), 1);
}

#[test]
fn without_an_endpoint_it_is_503() {
    let rig = Rig::start(config(&[]));
    let mut client = rig.client();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response();
        is_ours(&response, 503, "destination_unavailable");
        assert_eq!(response.field("Connection"), None);
    }
    // A body that is there already is no reason to close either, if there is no more of it.
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response_to_head();
    assert_eq!(response.status(), 503);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // If HEAD had had a body, this would not be a head.
    is_ours(&client.response(), 503, "destination_unavailable");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    let response = client.response();
    is_ours(&response, 503, "destination_unavailable");
    assert_eq!(response.field("Connection").as_deref(), Some("close"));
    client.ends_or_breaks();
}

#[test]
fn an_http10_client_gets_its_answer_and_the_end() {
    let rig = Rig::start(config(&[]));
    let mut client = rig.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let response = client.response();
    is_ours(&response, 503, "destination_unavailable");
    assert_eq!(response.field("Connection").as_deref(), Some("close"));
    client.ends();
    let mut client = rig.client();
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let response = client.response();
        is_ours(&response, 503, "destination_unavailable");
        assert_eq!(response.field("Connection").as_deref(), Some("keep-alive"));
    }
}

#[test]
fn the_endpoints_faults_have_their_names() {
    let refusing = Refusing::new();
    let rig = Rig::start(config(&[refusing.address()]));
    is_ours(&rig.get("/"), 502, "connection_refused");
    let closing = Origin::serving(drop);
    let rig = Rig::before(&closing);
    is_ours(&rig.get("/"), 502, "connection_terminated");
    let garbage = Origin::serving(|mut wire| wire.send("garbage\r\n\r\n"));
    let rig = Rig::before(&garbage);
    is_ours(&rig.get("/"), 502, "http_protocol_error");
    let mute = Origin::new();
    let mut setup = config(&[mute.address()]);
    setup.timeouts.response_head = millis(50);
    let rig = Rig::start(setup);
    let watch = Stopwatch::start();
    is_ours(&rig.get("/"), 504, "connection_read_timeout");
    watch.shows_at_least(millis(50));
}

#[test]
fn a_response_that_breaks_off_is_seen_as_broken() {
    for (name, head, part) in [
        ("a length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "half"),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nhalf\r\n"),
        ("half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "8\r\nhalf"),
        (
            "bad chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "4\r\nhalf\r\nz\r\n",
        ),
        (
            "cut trailers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "4\r\nhalf\r\n0\r\nX-Sum: ",
        ),
    ] {
        let origin = Origin::new();
        let rig = Rig::before(&origin);
        let mut client = rig.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut upstream = origin.accept();
        upstream.request();
        upstream.send(head);
        client.head();
        upstream.send(part);
        drop(upstream);
        let (rest, broke) = client.rest_and_break();
        let rest = String::from_utf8_lossy(&rest).into_owned();
        assert!(broke, "{name}: an orderly end after {rest:?}");
        assert!(!rest.ends_with("0\r\n\r\n"), "{name}: {rest:?}");
        rig.is_quiet_again();
    }
}

#[test]
fn a_reset_by_the_origin_is_not_taken_for_the_end_of_a_body() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send("HTTP/1.1 200 OK\r\n\r\n");
    client.head();
    upstream.send("half");
    client.expect("4\r\nhalf\r\n");
    upstream.reset();
    client.breaks();
}

#[test]
fn a_head_that_stays_unfinished_is_408_with_a_body_whatever_came_before() {
    let origin = Origin::saying("ok");
    let mut setup = config(&[origin.address()]);
    setup.timeouts.request_head = millis(100);
    let rig = Rig::start(setup);
    let mut client = rig.client();
    // Its pad is used again by the next one.
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.response_to_head();
    client.ends();
    rig.is_quiet_again();
    let mut client = rig.client();
    let watch = Stopwatch::start();
    client.send("GET / HTT");
    let response = client.response();
    watch.shows_at_least(millis(100));
    is_ours(&response, 408, "http_request_error");
    assert_eq!(response.field("Connection").as_deref(), Some("close"));
    client.ends();
}
