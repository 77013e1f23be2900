//! Upgrades (RFC 9110, section 7.8): bytes both ways after a 101, and nothing of the sort where it is not allowed.

use std::thread;

use crate::support::{Origin, Rig, Stopwatch, Wire, config, eventually, millis, pattern};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A tunnel through the proxy: its client's and its origin's end.
fn tunnel(rig: &Rig, origin: &Origin) -> (Wire, Wire) {
    let mut client = rig.client();
    client.send(ASK);
    let mut upstream = origin.accept();
    upstream.head();
    upstream.send(SWITCH);
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    (client, upstream)
}

#[test]
fn the_handshake_passes_and_then_every_byte() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send(ASK);
    let mut upstream = origin.accept();
    let head = upstream.head();
    assert!(head.contains("Connection: upgrade\r\nUpgrade: websocket\r\n"), "{head}");
    assert!(head.contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "{head}");
    upstream.send(SWITCH);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.contains("Connection: upgrade\r\nUpgrade: websocket\r\n"), "{head}");
    assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    assert!(head.contains("Via: 1.1 windtunnel\r\n"), "{head}");
    // Bytes, whatever they mean: this is no request any more.
    client.send("GET /secret HTTP/1.1\r\n\r\n\0\x01");
    upstream.expect("GET /secret HTTP/1.1\r\n\r\n\0\x01");
    upstream.send("\0pong");
    client.expect("\0pong");
    assert_eq!(rig.sum(|stats| &stats.upgrades), 1);
    assert_eq!(rig.in_flight(0), 1);
    drop(client);
    upstream.ends_or_breaks();
    drop(upstream);
    rig.is_quiet_again();
}

#[test]
fn what_is_sent_together_with_the_handshake_is_not_lost() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send(format!("{ASK}early"));
    let mut upstream = origin.accept();
    upstream.head();
    upstream.send(format!("{SWITCH}{}", "x".repeat(100_000)));
    client.head();
    client.expect("x".repeat(100_000));
    upstream.expect("early");
    client.send("later");
    upstream.expect("later");
}

#[test]
fn much_goes_both_ways_at_once() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let (mut client, mut upstream) = tunnel(&rig, &origin);
    let body = pattern(4 << 20);
    let threads: Vec<_> = [client.twin(), upstream.twin()]
        .into_iter()
        .map(|mut wire| {
            let body = body.clone();
            thread::spawn(move || wire.send(body))
        })
        .collect();
    let receiving = thread::spawn(move || upstream.exactly(4 << 20));
    assert!(client.exactly(4 << 20) == body);
    assert!(receiving.join().expect("all comes") == body);
    for thread in threads {
        thread.join().expect("all was sent");
    }
}

#[test]
fn each_half_ends_by_itself() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let (mut client, mut upstream) = tunnel(&rig, &origin);
    client.send("last words");
    client.end_sending();
    assert_eq!(upstream.rest(), b"last words");
    upstream.send("an answer to them");
    client.expect("an answer to them");
    upstream.end_sending();
    client.ends();
    rig.is_quiet_again();
    let (mut client, mut upstream) = tunnel(&rig, &origin);
    upstream.send("goodbye");
    upstream.end_sending();
    assert_eq!(client.rest(), b"goodbye");
    client.send("bye");
    client.end_sending();
    assert_eq!(upstream.rest(), b"bye");
    rig.is_quiet_again();
}

#[test]
fn a_silent_tunnel_ends_after_the_idle_limit() {
    let origin = Origin::new();
    let limit = millis(2000);
    let mut setup = config(&[origin.address()]);
    setup.timeouts.stream_idle = limit;
    let rig = Rig::start(setup);
    let (mut client, mut upstream) = tunnel(&rig, &origin);
    // Each byte, in either direction, begins the limit anew.
    let watch = Stopwatch::start();
    for _ in 0..12 {
        thread::park_timeout(limit.0 / 20);
        upstream.send("x");
        client.expect("x");
        thread::park_timeout(limit.0 / 20);
        client.send("y");
        upstream.expect("y");
    }
    watch.shows_at_least(limit);
    let watch = Stopwatch::start();
    upstream.send("last");
    client.expect("last");
    client.ends_or_breaks();
    upstream.ends_or_breaks();
    watch.shows_at_least(limit);
    rig.is_quiet_again();
}

#[test]
fn an_upgrade_that_is_not_allowed_is_forwarded_without_it() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    for ask in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
        // Connection does not confirm it.
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade, keep-alive\r\nUpgrade: websocket\r\n\r\n",
        // Nobody could tell where the body ends.
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let mut client = rig.client();
        client.send(ask);
        let mut upstream = origin.accept();
        let request = upstream.request();
        for name in ["Upgrade", "Connection", "HTTP2-Settings"] {
            assert_eq!(request.field(name), None, "{ask}: {}", request.head);
        }
        upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nplain");
        assert_eq!(client.response().text(), "plain");
    }
    assert_eq!(rig.sum(|stats| &stats.upgrades), 0);
}

#[test]
fn an_origin_need_not_agree() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send(ASK);
    let mut upstream = origin.accept();
    upstream.head();
    upstream.send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!(client.response().text(), "no");
    // And both connections go on as HTTP.
    client.send(ASK);
    upstream.head();
    upstream.send(SWITCH);
    assert!(client.head().starts_with("HTTP/1.1 101 "));
}

#[test]
fn other_protocols_can_be_allowed() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.forwarding.upgrades = vec!["echo/1".to_owned()];
    let rig = Rig::start(setup);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: ECHO/1\r\n\r\n");
    let mut upstream = origin.accept();
    assert!(upstream.head().contains("Upgrade: ECHO/1\r\n"));
    upstream.send("HTTP/1.1 101 Fine\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\n");
    client.head();
    client.send("x");
    upstream.expect("x");
}

#[test]
fn a_tunnel_that_breaks_breaks_on_both_sides() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let (mut client, upstream) = tunnel(&rig, &origin);
    upstream.reset();
    client.breaks();
    rig.is_quiet_again();
    let (client, mut upstream) = tunnel(&rig, &origin);
    client.reset();
    upstream.ends_or_breaks();
    rig.is_quiet_again();
    eventually("both are counted", || rig.sum(|stats| &stats.requests) == 2);
}
