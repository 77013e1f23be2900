//! Heads on their way (RFC 9110, section 7.6; RFC 7239): what is dropped, added and rewritten.

use proxy::config::HostHeader;

use crate::support::{Message, Origin, Rig, answer, config};

/// What the origin sees of this request.
fn seen(rig: &Rig, origin: &Origin, request: &str) -> Message {
    let mut client = rig.client();
    client.send(request);
    let mut upstream = origin.accept();
    let seen = upstream.request();
    upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    seen
}

#[test]
fn a_plain_request_and_its_response_whole() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send("GET /path?q=1 HTTP/1.1\r\nHost: a.example:81\r\nX-One: 1\r\nx-two: 2\r\n\r\n");
    let mut upstream = origin.accept();
    assert_eq!(
        upstream.head(),
        "GET /path?q=1 HTTP/1.1\r\nHost: a.example:81\r\nX-One: 1\r\nx-two: 2\r\n\
         Via: 1.1 windtunnel\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Host: a.example:81\r\n\
         Forwarded: for=127.0.0.1;host=\"a.example:81\";proto=http\r\n\r\n"
    );
    upstream.send("HTTP/1.1 200 Fine\r\nServer: x\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(
        client.head(),
        "HTTP/1.1 200 Fine\r\nServer: x\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\n\
         Content-Length: 2\r\nVia: 1.1 windtunnel\r\n\r\n"
    );
    client.expect("ok");
}

#[test]
fn a_date_is_added_where_there_is_none() {
    let origin = Origin::saying("ok");
    let rig = Rig::before(&origin);
    let response = rig.get("/");
    let date = response.field("Date").expect("a date");
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    assert_eq!(
        response.head_without_date(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 windtunnel\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn hop_by_hop_fields_end_here_in_both_directions() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\nProxy-Authorization: Basic xyz\r\n\
         X-Kept: 1\r\nAuthorization: Basic abc\r\n\r\n",
    );
    let mut upstream = origin.accept();
    let request = upstream.request();
    for name in ["Connection", "X-Mine", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade"] {
        assert_eq!(request.field(name), None, "{name} went on: {}", request.head);
    }
    assert_eq!(request.field("X-Kept").as_deref(), Some("1"));
    assert_eq!(request.field("Authorization").as_deref(), Some("Basic abc"));
    upstream.send(
        "HTTP/1.1 200 OK\r\nConnection: x-theirs\r\nX-Theirs: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok",
    );
    let response = client.response();
    for name in ["Connection", "X-Theirs", "Keep-Alive", "Proxy-Connection", "Upgrade"] {
        assert_eq!(response.field(name), None, "{name} went on: {}", response.head);
    }
    assert_eq!(response.field("X-Kept").as_deref(), Some("1"));
}

#[test]
fn connection_cannot_strip_what_others_rely_on() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let request = seen(
        &rig,
        &origin,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, authorization, x-forwarded-for, via\r\n\
         Authorization: Basic abc\r\nVia: 1.0 before\r\n\r\n",
    );
    assert_eq!(request.field("Authorization").as_deref(), Some("Basic abc"));
    assert_eq!(request.field("X-Forwarded-For").as_deref(), Some("127.0.0.1"));
    assert_eq!(request.field("Via").as_deref(), Some("1.0 before, 1.1 windtunnel"));
}

#[test]
fn the_origins_connection_is_its_own_affair() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    for text in ["first", "second"] {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut upstream = origin.accept();
        upstream.request();
        upstream.send(format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ));
        let response = client.response();
        assert_eq!((response.text(), response.field("Connection")), (text, None));
        upstream.ends();
    }
    assert_eq!(rig.sum(|stats| &stats.upstream_reuses), 0);
}

#[test]
fn via_grows_on_both_ways() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.forwarding.pseudonym = "edge-1".to_owned();
    let rig = Rig::start(setup);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 before\r\n\r\n");
    let mut upstream = origin.accept();
    assert_eq!(upstream.request().field("Via").as_deref(), Some("1.0 before, 1.1 edge-1"));
    upstream.send("HTTP/1.1 200 OK\r\nVia: 1.1 behind\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().field("Via").as_deref(), Some("1.1 behind, 1.1 edge-1"));
}

#[test]
fn via_says_in_which_version_a_message_came() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut upstream = origin.accept();
    assert_eq!(upstream.request().field("Via").as_deref(), Some("1.0 windtunnel"));
    upstream.send("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().field("Via").as_deref(), Some("1.0 windtunnel"));
}

#[test]
fn an_http10_origin_serves_one_request_a_connection_unless_it_says_otherwise() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(get);
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.response().text(), "ok");
    upstream.ends_or_breaks();
    client.send(get);
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.response().text(), "ok");
    client.send(get);
    upstream.request();
    // An end that is the end of the body, for a client of HTTP/1.1.
    upstream.send("HTTP/1.0 200 OK\r\n\r\nlast");
    drop(upstream);
    let response = client.response();
    assert_eq!(response.text(), "last");
    assert_eq!(response.start(), "HTTP/1.1 200 OK");
}

const SPOOFED: &str = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: b\r\nForwarded: for=10.0.0.1;proto=https\r\nX-Forwarded-Port: 443\r\n\
    x-forwarded-prefix: /a\r\nX-Real-IP: 10.0.0.1\r\nConnection: close\r\n\r\n";

/// What is no field of ours but says who the client is all the same.
const FAMILY: [&str; 3] = ["X-Forwarded-Port", "X-Forwarded-Prefix", "X-Real-IP"];

#[test]
fn strangers_are_not_believed_who_they_are() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let request = seen(&rig, &origin, SPOOFED);
    assert_eq!(request.field("X-Forwarded-For").as_deref(), Some("127.0.0.1"));
    assert_eq!(request.field("X-Forwarded-Proto").as_deref(), Some("http"));
    assert_eq!(request.field("X-Forwarded-Host").as_deref(), Some("a"));
    let forwarded = request.field("Forwarded");
    assert_eq!(forwarded.as_deref(), Some("for=127.0.0.1;host=\"a\";proto=http"));
    for name in FAMILY {
        assert_eq!(request.field(name), None, "{name}");
    }
}

#[test]
fn trusted_peers_are_believed_and_appended_to() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.forwarding.trusted = vec!["127.0.0.0/8".parse().expect("a range")];
    let rig = Rig::start(setup);
    let request = seen(&rig, &origin, SPOOFED);
    assert_eq!(request.field("X-Forwarded-For").as_deref(), Some("10.0.0.1, 127.0.0.1"));
    assert_eq!(request.field("X-Forwarded-Proto").as_deref(), Some("https"));
    assert_eq!(request.field("X-Forwarded-Host").as_deref(), Some("b"));
    assert_eq!(
        request.field("Forwarded").as_deref(),
        Some("for=10.0.0.1;proto=https, for=127.0.0.1;host=\"a\";proto=http")
    );
    for (name, value) in FAMILY.into_iter().zip(["443", "/a", "10.0.0.1"]) {
        assert_eq!(request.field(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn strangers_fields_go_even_where_ours_are_off() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.forwarding.x_forwarded = false;
    setup.forwarding.forwarded = false;
    let rig = Rig::start(setup);
    let request = seen(&rig, &origin, SPOOFED);
    for name in ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"] {
        assert_eq!(request.field(name), None, "{name}");
    }
}

#[test]
fn the_endpoint_sees_the_clients_host_or_its_own() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.forwarding.host = HostHeader::Endpoint;
    let rig = Rig::start(setup);
    let request = seen(&rig, &origin, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(request.field("Host"), Some(origin.address().to_string()));
    assert_eq!(request.field("X-Forwarded-Host").as_deref(), Some("a"));
    // An HTTP/1.0 client need not name a host, but what we forward is HTTP/1.1.
    let rig = Rig::before(&origin);
    let request = seen(&rig, &origin, "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(request.field("Host"), Some(origin.address().to_string()));
    assert_eq!(request.field("X-Forwarded-Host"), None);
    assert_eq!(request.field("Forwarded").as_deref(), Some("for=127.0.0.1;proto=http"));
}

#[test]
fn absolute_targets_are_forwarded_as_paths() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    for (sent, start, host) in [
        ("GET http://a.example/x?y HTTP/1.1\r\nHost: a.example", "GET /x?y HTTP/1.1", "a.example"),
        ("GET http://a.example HTTP/1.1\r\nHost: a.example", "GET / HTTP/1.1", "a.example"),
        ("GET http://a.example?y HTTP/1.1\r\nHost: a.example", "GET /?y HTTP/1.1", "a.example"),
        ("OPTIONS http://a.example HTTP/1.1\r\nHost: a.example", "OPTIONS * HTTP/1.1", "a.example"),
        ("GET http://a.example/ HTTP/1.0\r\nX: y", "GET / HTTP/1.1", "a.example"),
    ] {
        let request = seen(&rig, &origin, &format!("{sent}\r\nConnection: close\r\n\r\n"));
        assert_eq!(request.start(), start, "{sent}");
        assert_eq!(request.field("Host").as_deref(), Some(host), "{sent}");
    }
}

#[test]
fn only_te_trailers_goes_on() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let request = seen(
        &rig,
        &origin,
        "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers;q=0.5, deflate\r\nConnection: TE, close\r\n\r\n",
    );
    // A weight on `trailers` is not in the grammar; either way nothing but `trailers` may go on.
    assert!(matches!(request.field("TE").as_deref(), None | Some("trailers")), "{}", request.head);
    let request = seen(
        &rig,
        &origin,
        "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\nConnection: TE, close\r\n\r\n",
    );
    assert_eq!(request.field("TE").as_deref(), Some("trailers"));
    assert_eq!(request.field("Connection").as_deref(), Some("TE"));
}

#[test]
fn the_continue_flow_goes_through() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.send(head);
    let mut upstream = origin.accept();
    assert!(upstream.head().contains("Expect: 100-continue\r\n"));
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\nVia: 1.1 windtunnel\r\n\r\n");
    client.send("hello");
    upstream.expect("hello");
    upstream.send(answer("thanks"));
    assert_eq!(client.response().text(), "thanks");
    // Once more over the same connections.
    client.send(head);
    upstream.head();
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n");
    client.head();
    client.send("hello");
    upstream.expect("hello");
    upstream.send(answer("again"));
    assert_eq!(client.response().text(), "again");
}

#[test]
fn an_expectation_may_be_refused_without_reading_the_body() {
    for status in ["417 Expectation Failed", "413 Content Too Large"] {
        let origin = Origin::new();
        let rig = Rig::before(&origin);
        let mut client = rig.client();
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        );
        let mut upstream = origin.accept();
        upstream.head();
        upstream.send(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno"));
        let response = client.response();
        assert_eq!(response.text(), "no");
        // Whether the client sends the body after all is unknown, so neither connection can go on.
        assert_eq!(response.field("Connection").as_deref(), Some("close"));
        upstream.ends_or_breaks();
        client.ends_or_breaks();
        rig.is_quiet_again();
    }
}

#[test]
fn an_answer_before_the_body_was_read_is_delivered() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin");
    let mut upstream = origin.accept();
    upstream.head();
    upstream.send(
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntoo big",
    );
    upstream.reset();
    let response = client.response();
    assert_eq!((response.status(), response.text()), (413, "too big"));
    assert_eq!(response.field("Connection").as_deref(), Some("close"));
    client.ends_or_breaks();
    rig.is_quiet_again();
}

#[test]
fn early_hints_go_to_clients_that_know_them() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let hints = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(hints);
    assert_eq!(client.head(), "HTTP/1.1 102 Processing\r\nVia: 1.1 windtunnel\r\n\r\n");
    assert_eq!(
        client.head(),
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nVia: 1.1 windtunnel\r\n\r\n"
    );
    upstream.send(answer("final"));
    assert_eq!(client.response().text(), "final");
    // All at once, byte by byte, and to one that does not know them.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    upstream.drip(format!("{hints}{}", answer("final")));
    assert!(client.head().starts_with("HTTP/1.1 102 "));
    assert!(client.head().starts_with("HTTP/1.1 103 "));
    assert_eq!(client.response().text(), "final");
    let mut old = rig.client();
    old.send("GET / HTTP/1.0\r\n\r\n");
    upstream.request();
    upstream.send(format!("{hints}{}", answer("final")));
    assert_eq!(old.response().text(), "final");
}
