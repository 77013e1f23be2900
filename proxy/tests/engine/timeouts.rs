//! Each phase has its limit (and only its own): no limit strikes before its time, and none is missing.

use policy::quantity::TimeSpan;
use proxy::config::ProxyConfig;

use crate::support::{Origin, Rig, Stopwatch, Wire, answer, config, millis, pattern};

const LIMIT: TimeSpan = millis(150);

/// One that must not strike in a test where much has to happen within it: far beyond what a busy machine delays.
const LONG: TimeSpan = millis(2000);

/// A rig before one origin, whose limits a test shortens.
fn rig(origin: &Origin, shorten: impl FnOnce(&mut ProxyConfig)) -> Rig {
    let mut setup = config(&[origin.address()]);
    shorten(&mut setup);
    Rig::start(setup)
}

#[test]
fn a_silent_connection_ends_without_a_word() {
    let origin = Origin::new();
    let rig = rig(&origin, |setup| setup.timeouts.request_head = LIMIT);
    let watch = Stopwatch::start();
    let mut client = rig.client();
    client.ends();
    watch.shows_at_least(LIMIT);
    rig.is_quiet_again();
    assert_eq!(rig.sum(|stats| &stats.requests), 0);
}

#[test]
fn a_slow_head_is_408_however_it_drips() {
    let origin = Origin::new();
    let rig = rig(&origin, |setup| setup.timeouts.request_head = LIMIT);
    let watch = Stopwatch::start();
    let mut client = rig.client();
    let mut sender = client.twin();
    // A byte at a time, for as long as the proxy takes them: each one moves nothing.
    let dripping = std::thread::spawn(move || {
        sender.send("GET / HTTP/1.1\r\nHost: a\r\n");
        let mut sent = 0_u32;
        while sent < 5000 && sender.try_send("x").is_ok() {
            std::thread::park_timeout(std::time::Duration::from_millis(1));
            sent += 1;
        }
        sent
    });
    let response = client.response();
    watch.shows_at_least(LIMIT);
    assert_eq!(response.status(), 408);
    drop(client);
    assert!(dripping.join().expect("it ends") < 5000);
    origin.is_untouched();
    rig.has_faults("head_timeout", 1);
}

#[test]
fn an_idle_connection_lives_for_keep_alive_and_not_longer() {
    let origin = Origin::saying("ok");
    let rig = rig(&origin, |setup| {
        setup.timeouts.keep_alive = LIMIT;
        setup.timeouts.request_head = TimeSpan::secs(60);
    });
    let mut client = rig.client();
    let watch = Stopwatch::start();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    client.ends();
    watch.shows_at_least(LIMIT);
}

#[test]
fn the_head_limit_begins_with_the_head_and_not_with_the_idle_time_before() {
    let origin = Origin::saying("ok");
    let rig = rig(&origin, |setup| {
        setup.timeouts.request_head = LIMIT;
        setup.timeouts.keep_alive = TimeSpan::secs(60);
    });
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    // Longer than a head may take; a wait and no synchronisation: nothing happens meanwhile.
    std::thread::park_timeout(LIMIT.0 * 2);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    let watch = Stopwatch::start();
    client.send("GET / HT");
    assert_eq!(client.response().status(), 408);
    watch.shows_at_least(LIMIT);
}

#[test]
fn a_body_that_pauses_is_408_and_not_the_endpoints_fault() {
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let origin = Origin::new();
        let rig = rig(&origin, |setup| setup.timeouts.stream_idle = LIMIT);
        let mut client = rig.client();
        let watch = Stopwatch::start();
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n4\r\nha"));
        let mut upstream = origin.accept();
        upstream.head();
        let response = client.response();
        watch.shows_at_least(LIMIT);
        assert_eq!(response.status(), 408);
        let reason = response.field("Proxy-Status");
        assert_eq!(reason.as_deref(), Some("windtunnel; error=http_request_error"));
        upstream.rest_and_break();
        rig.has_faults("body_timeout", 1);
        assert_eq!(rig.proxy.state().upstream.endpoints.list()[0].failures(), 0);
    }
}

#[test]
fn a_body_that_goes_on_may_take_longer_than_the_limit_of_a_pause() {
    let origin = Origin::new();
    let rig = rig(&origin, |setup| setup.timeouts.stream_idle = LONG);
    let mut client = rig.client();
    let watch = Stopwatch::start();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 24\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.head();
    for _ in 0..24 {
        std::thread::park_timeout(LONG.0 / 20);
        client.send("x");
        upstream.expect("x");
    }
    watch.shows_at_least(LONG);
    upstream.send(answer("patient"));
    assert_eq!(client.response().text(), "patient");
}

#[test]
fn an_origin_that_never_answers_is_504() {
    let origin = Origin::new();
    let rig = rig(&origin, |setup| setup.timeouts.response_head = LIMIT);
    let mut client = rig.client();
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 504),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 504),
    ] {
        let watch = Stopwatch::start();
        client.send(request);
        let mut upstream = origin.accept();
        upstream.request();
        // A part of a head is no head. (It may come too late already.)
        let _ = upstream.try_send("HTTP/1.1 200 OK\r\nConte");
        let response = client.response();
        watch.shows_at_least(LIMIT);
        assert_eq!(response.status(), status);
        upstream.ends_or_breaks();
    }
    rig.has_faults("response_timeout", 2);
    assert_eq!(rig.sum(|stats| &stats.connections_total), 1);
}

#[test]
fn an_origin_that_never_says_continue_is_504_and_no_hang() {
    let origin = Origin::new();
    let rig = rig(&origin, |setup| setup.timeouts.response_head = LIMIT);
    let mut client = rig.client();
    let watch = Stopwatch::start();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.head();
    let response = client.response();
    watch.shows_at_least(LIMIT);
    assert_eq!(response.status(), 504);
    client.ends_or_breaks();
    upstream.ends_or_breaks();
}

#[test]
fn a_client_that_got_its_continue_and_then_pauses_is_408() {
    for sent in ["", "he"] {
        let origin = Origin::new();
        let rig = rig(&origin, |setup| setup.timeouts.stream_idle = LIMIT);
        let mut client = rig.client();
        client
            .send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        let mut upstream = origin.accept();
        upstream.head();
        upstream.send("HTTP/1.1 100 Continue\r\n\r\n");
        client.head();
        let _ = client.try_send(sent);
        let response = client.response();
        assert_eq!(response.status(), 408, "after {sent:?}: {}", response.text());
    }
}

#[test]
fn a_client_that_does_not_wait_for_continue_is_served() {
    let origin = Origin::new();
    let rig = rig(&origin, |setup| setup.timeouts.response_head = TimeSpan::secs(60));
    let mut client = rig.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    );
    let mut upstream = origin.accept();
    assert_eq!(upstream.request().body, b"hello");
    upstream.send(answer("fine"));
    assert_eq!(client.response().text(), "fine");
}

#[test]
fn a_response_that_pauses_is_cut() {
    let origin = Origin::new();
    let rig = rig(&origin, |setup| setup.timeouts.stream_idle = LIMIT);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    let watch = Stopwatch::start();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    client.head();
    assert_eq!(client.breaks(), b"half");
    watch.shows_at_least(LIMIT);
    upstream.ends_or_breaks();
    rig.has_faults("response_stalled", 1);
}

#[test]
fn a_response_may_pause_longer_than_a_head_may_take() {
    let origin = Origin::new();
    let rig = rig(&origin, |setup| setup.timeouts.response_head = LONG);
    let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        // The client holds its body back, and the origin answers without it.
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ];
    let mut both = requests.map(|request| {
        let mut client = rig.client();
        client.send(request);
        let mut upstream = origin.accept();
        upstream.head();
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        client.head();
        client.expect("half");
        (client, upstream)
    });
    std::thread::park_timeout(LONG.0 * 3 / 2);
    for (client, upstream) in &mut both {
        upstream.send("half");
        client.expect("half");
    }
}

#[test]
fn a_client_that_does_not_take_its_response_is_cut_off() {
    let origin = Origin::new();
    let rig = rig(&origin, |setup| setup.timeouts.stream_idle = LIMIT);
    let mut client = Wire::connect_narrow(rig.proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 100 << 20));
    let piece = pattern(1 << 16);
    while upstream.try_send(&piece).is_ok() {}
    rig.has_faults("client_stalled", 1);
    // That is the client's fault and no mark against the endpoint.
    assert_eq!(rig.proxy.state().upstream.endpoints.list()[0].failures(), 0);
    drop(client);
}

#[test]
fn an_endpoint_that_does_not_accept_is_504() {
    // A listener whose backlog is full drops what comes: the connection neither opens nor fails.
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&crate::support::ANY.into()).expect("a free port");
    socket.listen(0).expect("it is bound");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("bound");
    let mut taken = Vec::new();
    loop {
        match std::net::TcpStream::connect_timeout(&address, LIMIT.0) {
            Ok(stream) => taken.push(stream),
            Err(error) => break assert_eq!(error.kind(), std::io::ErrorKind::TimedOut),
        }
    }
    let mut setup = config(&[address]);
    setup.timeouts.connect = LIMIT;
    let rig = Rig::start(setup);
    let watch = Stopwatch::start();
    let response = rig.get("/");
    watch.shows_at_least(LIMIT);
    assert_eq!(response.status(), 504);
    let reason = response.field("Proxy-Status");
    assert_eq!(reason.as_deref(), Some("windtunnel; error=connection_timeout"));
}
