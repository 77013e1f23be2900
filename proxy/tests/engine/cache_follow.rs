//! A body goes to all who asked for the same while it comes: each at its own pace, and nobody takes a part for the whole.

use std::thread::{self, JoinHandle};

use policy::quantity::{ByteSize, TimeSpan};
use proxy::config::ProxyConfig;

use crate::{
    cache::{caching, get, request, told},
    cache_flights::{are_waiting, asking, told_of_head},
    support::{Message, Origin, Rig, Wire, answer, eventually, pattern},
};

/// A head that lets the answer be stored; with this framing.
fn head(framing: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: \"1\"\r\n{framing}\r\n\r\n")
}

fn of_length(length: usize) -> String {
    head(&format!("Content-Length: {length}"))
}

fn chunked() -> String {
    head("Transfer-Encoding: chunked")
}

fn chunk(piece: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
    chunk.extend_from_slice(piece);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// A client that takes little at a time.
fn narrow(rig: &Rig, path: &str, fields: &str) -> Wire {
    let mut client = Wire::connect_narrow(rig.proxy.address());
    client.send(request("GET", path, fields));
    client
}

/// The only request for it comes to the origin, and the client that has asked.
fn led(rig: &Rig, origin: &Origin) -> (Wire, Wire) {
    let client = asking(rig, 1, "/a").remove(0);
    let mut upstream = origin.accept();
    upstream.request();
    (client, upstream)
}

/// The origin sends this, as fast as it is taken.
fn sending(mut upstream: Wire, bytes: Vec<u8>) -> JoinHandle<Wire> {
    thread::spawn(move || {
        upstream.send(bytes);
        upstream
    })
}

/// Nothing is there: a client asks for it, and gets it from the origin.
fn is_asked_anew(rig: &Rig, origin: &Origin) {
    let (mut next, mut upstream) = led(rig, origin);
    upstream.send(of_length(5));
    upstream.send("whole");
    assert_eq!(next.response().text(), "whole");
}

/// The origin is asked for nothing else, and what it has sent is stored.
fn is_stored(rig: &Rig, origin: &Origin, body: &[u8]) {
    eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 1);
    let later = get(rig, "/a", "");
    assert!(told(&later).contains("; hit") && !told(&later).contains("collapsed"));
    assert!(later.body == body);
    origin.is_untouched();
}

#[test]
fn they_get_the_first_bytes_while_the_origin_holds_the_rest_back() {
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let origin = Origin::new();
        let rig = Rig::start(caching(&origin));
        let (mut first, mut upstream) = led(&rig, &origin);
        let mut others = asking(&rig, 3, "/a");
        are_waiting(&rig, 3);
        let is_chunked = framing.starts_with("Transfer");
        let frame = |piece: &[u8]| if is_chunked { chunk(piece) } else { piece.to_vec() };
        upstream.send(head(framing));
        upstream.send(frame(b"hello"));
        let begun = [frame(b"hello").len(), frame(b"world").len()];
        let told_first = first.head();
        assert!(told_first.contains("fwd=uri-miss; stored\r\n"), "{told_first}");
        assert_eq!(first.exactly(begun[0]), frame(b"hello"));
        // Also those who come only now.
        others.extend(asking(&rig, 2, "/a"));
        for other in &mut others {
            let head = Message { head: other.head(), ..Message::default() };
            assert_eq!(head.status(), 200);
            let told = told(&head);
            assert!(told.contains("; hit; ttl=") && told.ends_with("; collapsed"), "{told}");
            assert!(head.field("Age").is_some());
            assert_eq!(head.field("ETag").as_deref(), Some("\"1\""));
            let (name, value) = framing.split_once(": ").expect("a field");
            assert_eq!(head.field(name).as_deref(), Some(value));
            assert_eq!(other.exactly(begun[0]), frame(b"hello"));
        }
        upstream.send(frame(b"world"));
        for client in others.iter_mut().chain([&mut first]) {
            assert_eq!(client.exactly(begun[1]), frame(b"world"));
        }
        if is_chunked {
            upstream.send("0\r\n\r\n");
            for client in others.iter_mut().chain([&mut first]) {
                client.expect("0\r\n\r\n");
            }
        }
        others.iter_mut().chain([&mut first]).for_each(Wire::ends);
        assert_eq!(rig.sum(|stats| &stats.cache.collapsed), 5);
        is_stored(&rig, &origin, b"helloworld");
        assert_eq!(rig.sum(|stats| &stats.cache.hits), 6);
        assert_eq!(rig.sum(|stats| &stats.cache.misses), 1);
        eventually("all is counted", || rig.sum(|stats| &stats.bytes_sent) == 70);
        assert_eq!(rig.sum(|stats| &stats.cache.bytes), 60);
        rig.is_quiet_again();
    }
}

#[test]
fn their_connections_go_on() {
    let origin = Origin::new();
    let mut config = caching(&origin);
    config.workers = Some(2);
    let rig = Rig::start(config);
    let (mut first, mut upstream) = led(&rig, &origin);
    let mut others: Vec<Wire> = (0..20).map(|_| rig.client()).collect();
    for other in &mut others {
        other.send("GET /a HTTP/1.1\r\nHost: shop\r\n\r\nGET /a HTTP/1.1\r\nHost: shop\r\n\r\n");
    }
    are_waiting(&rig, 20);
    // More than a block, and not by whole blocks.
    let body = pattern(300_001);
    upstream.send(of_length(body.len()));
    for piece in body.chunks(70_000) {
        upstream.send(piece);
    }
    for other in &mut others {
        assert!(other.response().body == body);
        assert!(other.response().body == body);
    }
    assert!(first.response().body == body);
    drop(others);
    is_stored(&rig, &origin, &body);
    rig.is_quiet_again();
}

#[test]
fn who_is_slow_slows_nobody() {
    let origin = Origin::new();
    let rig = Rig::start(caching(&origin));
    let (mut first, upstream) = led(&rig, &origin);
    // More than the buffers of a connection hold.
    let body = pattern(8_000_000);
    let mut slow = narrow(&rig, "/a", "");
    let mut other = asking(&rig, 1, "/a").remove(0);
    are_waiting(&rig, 2);
    let sending = sending(upstream, [of_length(body.len()).as_bytes(), &body].concat());
    assert!(first.response().body == body);
    assert!(other.response().body == body);
    // It is stored long before the slow one has it.
    is_stored(&rig, &origin, &body);
    assert!(slow.response().body == body);
    sending.join().expect("all was sent");
    rig.is_quiet_again();
}

#[test]
fn not_even_the_one_whose_request_it_is() {
    let origin = Origin::new();
    let rig = Rig::start(caching(&origin));
    let mut slow = narrow(&rig, "/a", "");
    let mut upstream = origin.accept();
    upstream.request();
    let body = pattern(8_000_000);
    let sending = sending(upstream, [of_length(body.len()).as_bytes(), &body].concat());
    slow.head();
    // Whether it is stuck already when this one comes is up to chance.
    let mut other = asking(&rig, 1, "/a").remove(0);
    assert!(other.response().body == body);
    is_stored(&rig, &origin, &body);
    assert!(slow.exactly(body.len()) == body);
    slow.ends();
    sending.join().expect("all was sent");
    rig.is_quiet_again();
}

#[test]
fn who_leaves_takes_nothing_from_the_others() {
    let origin = Origin::new();
    let rig = Rig::start(caching(&origin));
    let (mut first, mut upstream) = led(&rig, &origin);
    let mut others = asking(&rig, 3, "/a");
    are_waiting(&rig, 3);
    upstream.send(chunked());
    upstream.send(chunk(b"hello"));
    for client in others.iter_mut().chain([&mut first]) {
        client.head();
        assert_eq!(client.exactly(10), chunk(b"hello"));
    }
    // The one whose request it is, and one of the others.
    drop((first, others.pop()));
    eventually("they are gone", || rig.sum(|stats| &stats.connections_active) == 2);
    upstream.send(chunk(b"world"));
    let mut late = asking(&rig, 1, "/a").remove(0);
    late.head();
    let mut got = Vec::new();
    while got != b"helloworld" {
        got.extend(one_chunk(&mut late));
    }
    upstream.send("0\r\n\r\n");
    for other in others.iter_mut().chain([&mut late]) {
        let rest = other.rest();
        assert!(rest.ends_with(b"0\r\n\r\n"));
    }
    is_stored(&rig, &origin, b"helloworld");
    rig.is_quiet_again();
    // The connection to the endpoint is kept, too.
    let mut next = asking(&rig, 1, "/b").remove(0);
    assert!(upstream.request().start().starts_with("GET /b "));
    upstream.send(answer("next"));
    assert_eq!(next.response().text(), "next");
}

#[test]
fn when_all_have_left_the_endpoint_sees_it() {
    let origin = Origin::new();
    let rig = Rig::start(caching(&origin));
    let (mut first, mut upstream) = led(&rig, &origin);
    let mut other = asking(&rig, 1, "/a").remove(0);
    are_waiting(&rig, 1);
    upstream.send(of_length(10));
    upstream.send("hello");
    first.head();
    other.head();
    drop(first);
    eventually("it is gone", || rig.sum(|stats| &stats.connections_active) == 1);
    assert_eq!(rig.in_flight(0), 1);
    drop(other);
    upstream.ends_or_breaks();
    rig.is_quiet_again();
    // Nothing is left of it: the next one asks.
    is_asked_anew(&rig, &origin);
}

#[test]
fn what_breaks_off_is_no_whole_for_anybody() {
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        for leaves in [false, true] {
            let origin = Origin::new();
            let rig = Rig::start(caching(&origin));
            let (mut first, mut upstream) = led(&rig, &origin);
            let mut others = asking(&rig, 3, "/a");
            are_waiting(&rig, 3);
            let is_chunked = framing.starts_with("Transfer");
            let begun = if is_chunked { chunk(b"hello") } else { b"hello".to_vec() };
            upstream.send(head(framing));
            upstream.send(&begun);
            for client in others.iter_mut().chain([&mut first]) {
                client.head();
                assert_eq!(client.exactly(begun.len()), begun);
            }
            if leaves {
                drop(first);
                eventually("it is gone", || rig.sum(|stats| &stats.connections_active) == 3);
            } else {
                others.push(first);
            }
            drop(upstream);
            for other in &mut others {
                assert_eq!(other.breaks(), b"");
            }
            rig.has_faults("closed_mid_response", if leaves { 3 } else { 4 });
            assert_eq!(rig.sum(|stats| &stats.cache.stored), 0);
            rig.is_quiet_again();
            is_asked_anew(&rig, &origin);
        }
    }
}

/// Objects are small, and what is larger goes on in a window.
fn small(origin: &Origin) -> ProxyConfig {
    let mut config = caching(origin);
    config.cache.object = ByteSize(100_000);
    config
}

#[test]
fn what_is_too_large_after_all_goes_on_to_those_who_have_begun() {
    let origin = Origin::new();
    let rig = Rig::start(small(&origin));
    let (mut first, mut upstream) = led(&rig, &origin);
    let mut others = asking(&rig, 3, "/a");
    are_waiting(&rig, 3);
    let body = pattern(5_000_000);
    upstream.send(chunked());
    let mut left = None;
    for (round, piece) in body.chunks(50_000).enumerate() {
        upstream.send(chunk(piece));
        if round == 0 {
            first.head();
            for other in &mut others {
                other.head();
            }
        }
        if round == 3 {
            // Who comes now goes alone.
            let mut late = asking(&rig, 1, "/a").remove(0);
            let mut alone = origin.accept();
            alone.request();
            alone.send(answer("alone"));
            assert_eq!(late.response().text(), "alone");
        }
        if round == 50 {
            left = others.pop();
        }
        // All have what has come before more comes.
        for client in others.iter_mut().chain([&mut first]) {
            let mut got = Vec::new();
            while got.len() < piece.len() {
                got.extend(one_chunk(client));
            }
            assert!(got == piece, "round {round}");
        }
    }
    upstream.send("0\r\n\r\n");
    for client in others.iter_mut().chain([&mut first]) {
        client.expect("0\r\n\r\n");
        client.ends();
    }
    assert_eq!(rig.sum(|stats| &stats.cache.stored), 0);
    drop(left);
    rig.is_quiet_again();
}

/// The content of the next chunk.
fn one_chunk(wire: &mut Wire) -> Vec<u8> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.extend(wire.exactly(1));
    }
    let size = String::from_utf8_lossy(&line[..line.len() - 2]).into_owned();
    let content = wire.exactly(usize::from_str_radix(&size, 16).expect("a size"));
    wire.expect("\r\n");
    content
}

#[test]
fn who_falls_out_of_the_window_is_cut_and_knows_it() {
    let origin = Origin::new();
    let rig = Rig::start(small(&origin));
    let (mut first, mut upstream) = led(&rig, &origin);
    let mut slow = narrow(&rig, "/a", "");
    are_waiting(&rig, 1);
    upstream.send(chunked());
    upstream.send(chunk(b"first"));
    slow.head();
    let body = pattern(20_000_000);
    let sending = sending(upstream, [chunk(&body), b"0\r\n\r\n".to_vec()].concat());
    let got = first.response();
    assert!(got.body == [b"first", &body[..]].concat());
    let rest = slow.breaks();
    assert!(rest.len() < body.len() && !rest.ends_with(b"\r\n0\r\n\r\n"));
    sending.join().expect("all was sent");
    rig.has_faults("client_stalled", 1);
    rig.is_quiet_again();
}

#[test]
fn what_nobody_paces_is_read_no_further_than_the_foremost_needs() {
    let origin = Origin::new();
    let rig = Rig::start(small(&origin));
    let (mut first, mut upstream) = led(&rig, &origin);
    let mut other = asking(&rig, 1, "/a").remove(0);
    are_waiting(&rig, 1);
    upstream.send(chunked());
    upstream.send(chunk(b"first"));
    first.head();
    other.head();
    assert_eq!(one_chunk(&mut other), b"first");
    // Its own client has gone, so nobody's pace is that of the body but the follower's.
    drop(first);
    eventually("it is gone", || rig.sum(|stats| &stats.connections_active) == 1);
    let body = pattern(20_000_000);
    let sending = sending(upstream, [chunk(&body), b"0\r\n\r\n".to_vec()].concat());
    let (rest, trailers) = other.chunks();
    assert!(rest == body && trailers.is_empty());
    sending.join().expect("all was sent");
    rig.is_quiet_again();
}

#[test]
fn a_condition_is_answered_by_the_head_and_parts_and_heads_are_asked_for_alone() {
    let origin = Origin::new();
    let rig = Rig::start(caching(&origin));
    let (mut first, mut upstream) = led(&rig, &origin);
    upstream.send(of_length(10));
    upstream.send("hello");
    first.head();
    let same = get(&rig, "/a", "If-None-Match: \"1\"");
    assert_eq!((same.status(), same.field("ETag").as_deref()), (304, Some("\"1\"")));
    let mut other = rig.client();
    other.send(request("GET", "/a", "If-None-Match: \"2\""));
    assert_eq!(told_of_head(&other.head()), 200);
    assert_eq!(rig.sum(|stats| &stats.cache.collapsed), 2);
    origin.is_untouched();
    for (method, fields) in [("GET", "Range: bytes=0-1"), ("HEAD", "")] {
        let mut alone = rig.client();
        alone.send(request(method, "/a", fields));
        let mut upstream = origin.accept();
        assert!(upstream.request().start().starts_with(method));
        upstream.send("HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(alone.response_to_head().status(), 404);
    }
    upstream.send("world");
    assert_eq!(other.exactly(10), b"helloworld");
    assert_eq!(first.exactly(10), b"helloworld");
    is_stored(&rig, &origin, b"helloworld");
}

#[test]
fn who_needs_another_variant_waits_for_the_end() {
    let origin = Origin::new();
    let rig = Rig::start(caching(&origin));
    let mut first = rig.client();
    first.send(request("GET", "/a", "X-Tone: low"));
    let mut upstream = origin.accept();
    upstream.request();
    let varies = |length: usize| head(&format!("Vary: X-Tone\r\nContent-Length: {length}"));
    upstream.send(varies(6));
    upstream.send("low");
    first.head();
    let mut same = rig.client();
    same.send(request("GET", "/a", "X-Tone: low"));
    same.head();
    let mut others: Vec<Wire> = (0..2).map(|_| rig.client()).collect();
    for other in &mut others {
        other.send(request("GET", "/a", "X-Tone: high"));
    }
    are_waiting(&rig, 3);
    origin.is_untouched();
    upstream.send("low");
    assert_eq!((first.exactly(6), same.exactly(6)), (b"lowlow".to_vec(), b"lowlow".to_vec()));
    // One of them asks for both.
    assert_eq!(upstream.request().field("X-Tone").as_deref(), Some("high"));
    upstream.send(varies(4));
    upstream.send("high");
    for other in &mut others {
        assert_eq!(other.response().text(), "high");
    }
    origin.is_untouched();
}

#[test]
fn the_limit_is_for_the_wait_and_not_for_the_body() {
    let origin = Origin::new();
    let mut config = caching(&origin);
    config.cache.collapse.timeout = TimeSpan::millis(50);
    let rig = Rig::start(config);
    let (mut first, mut upstream) = led(&rig, &origin);
    upstream.send(of_length(10));
    upstream.send("hello");
    first.head();
    let mut other = asking(&rig, 1, "/a").remove(0);
    other.head();
    assert_eq!(other.exactly(5), b"hello");
    // Two others, whose answer has no head: when the second has waited long enough, the first follower is under way for as long.
    let lone = asking(&rig, 2, "/b");
    let mut asked = [origin.accept(), origin.accept()];
    for wire in &mut asked {
        wire.request();
    }
    upstream.send("world");
    assert_eq!(other.exactly(5), b"world");
    for wire in &mut asked {
        wire.send(answer("lone"));
    }
    for mut client in lone {
        assert_eq!(client.response().text(), "lone");
    }
    is_stored(&rig, &origin, b"helloworld");
}

#[test]
fn an_old_client_learns_the_end_from_the_connections() {
    let origin = Origin::new();
    let rig = Rig::start(caching(&origin));
    let (mut first, mut upstream) = led(&rig, &origin);
    let mut old = rig.client();
    old.send("GET /a HTTP/1.0\r\nHost: shop\r\nConnection: keep-alive\r\n\r\n");
    are_waiting(&rig, 1);
    upstream.send(chunked());
    upstream.send(chunk(b"hello"));
    let head = old.head();
    assert!(!head.contains("Transfer-Encoding") && head.contains("Connection: close"), "{head}");
    assert_eq!(old.exactly(5), b"hello");
    upstream.send([chunk(b"world"), b"0\r\n\r\n".to_vec()].concat());
    assert_eq!(old.rest(), b"world");
    assert_eq!(first.response().text(), "helloworld");
}
