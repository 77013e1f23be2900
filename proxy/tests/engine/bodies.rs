//! Bodies, byte for byte, both ways and in every framing; and who is blocked when somebody does not read.

use std::{thread, time::Duration};

use proptest::prelude::*;

use crate::support::{DEADLINE, Origin, Rig, Wire, answer, config, eventually, pattern};

/// Lengths around what buffers, chunk heads and reads are made of.
const LENGTHS: [usize; 16] = [
    0,
    1,
    2,
    15,
    16,
    255,
    256,
    4095,
    4096,
    4097,
    65_535,
    65_536,
    65_537,
    200_000,
    1 << 20,
    10 << 20,
];

/// An origin that sends every body back, as a length or in chunks, as the path says.
fn echo() -> Origin {
    Origin::serving(|mut wire| {
        while wire.is_asked() {
            let request = wire.request();
            let sent = if request.start().contains("/chunked") {
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                wire.try_send(head).and_then(|()| wire.try_send(chunked(&request.body, 7000)))
            } else {
                let length = request.body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                wire.try_send(head).and_then(|()| wire.try_send(&request.body))
            };
            if sent.is_err() {
                return;
            }
        }
    })
}

/// The body in chunks of this size.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in body.chunks(size) {
        out.extend(format!("{:x}\r\n", piece.len()).bytes());
        out.extend(piece);
        out.extend(b"\r\n");
    }
    out.extend(b"0\r\n\r\n");
    out
}

fn upload(path: &str, framing: &str, rest: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n{rest}\r\n")
}

#[test]
fn every_length_there_and_back_with_lengths() {
    let origin = echo();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    for length in LENGTHS {
        let body = pattern(length);
        client.send(upload("/", &format!("Content-Length: {length}"), ""));
        client.send(&body);
        let response = client.response();
        assert_eq!(response.field("Content-Length"), Some(length.to_string()));
        assert!(response.body == body, "{length} bytes came back changed");
    }
    let total: usize = LENGTHS.iter().sum();
    eventually("all is counted", || rig.sum(|stats| &stats.requests) == LENGTHS.len() as u64);
    assert_eq!(rig.sum(|stats| &stats.bytes_received), total as u64);
    assert_eq!(rig.sum(|stats| &stats.bytes_sent), total as u64);
    assert_eq!(rig.sum(|stats| &stats.upstream_connects), 1);
    assert_eq!(rig.sum(|stats| &stats.upstream_reuses), LENGTHS.len() as u64 - 1);
}

#[test]
fn every_length_there_and_back_in_chunks() {
    let origin = echo();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    for (length, size) in LENGTHS.into_iter().zip([1, 3, 100, 5000, 70_000, 9].into_iter().cycle())
    {
        let body = pattern(length);
        // A chunk of a byte costs six: enough of them for small bodies.
        let size = if length > 100_000 { size.max(1000) } else { size };
        client.send(upload("/chunked", "Transfer-Encoding: chunked", ""));
        let mut sender = client.twin();
        let bytes = chunked(&body, size);
        let sending = thread::spawn(move || sender.send(bytes));
        let response = client.response();
        assert_eq!(response.field("Transfer-Encoding").as_deref(), Some("chunked"));
        assert_eq!(response.field("Content-Length"), None);
        assert!(response.body == body, "{length} bytes in chunks of {size} came back changed");
        sending.join().expect("all was sent");
    }
    assert_eq!(rig.sum(|stats| &stats.upstream_connects), 1);
}

#[test]
fn without_keep_alive_each_request_has_a_connection() {
    let origin = echo();
    let rig = Rig::before(&origin);
    for length in [0, 1, 100_000] {
        let body = pattern(length);
        let mut client = rig.client();
        client.send(upload("/", &format!("Content-Length: {length}"), "Connection: close\r\n"));
        client.send(&body);
        let response = client.response();
        assert_eq!(response.field("Connection").as_deref(), Some("close"));
        assert!(response.body == body);
        client.ends();
    }
    // What the client does with its connection is no concern of the origin's.
    assert_eq!(rig.sum(|stats| &stats.upstream_connects), 1);
    rig.is_quiet_again();
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let origin = echo();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    let mut all = Vec::new();
    for index in 0..50 {
        let body = pattern(index * 100);
        all.extend(upload("/", &format!("Content-Length: {}", body.len()), "").bytes());
        all.extend(body);
    }
    let mut sender = client.twin();
    let sending = thread::spawn(move || sender.send(all));
    for index in 0..50 {
        assert_eq!(client.response().body, pattern(index * 100));
    }
    sending.join().expect("all was sent");
    assert_eq!(rig.sum(|stats| &stats.connections_total), 1);
}

/// One exchange of a conversation: what is sent and in which framings both bodies go.
#[derive(Clone, Debug)]
struct Turn {
    length: usize,
    chunk: Option<usize>,
    answer_in_chunks: bool,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let length = prop_oneof![Just(0_usize), 1..200_usize, 4000..5000_usize, 60_000..140_000_usize];
    let chunk = proptest::option::of(prop_oneof![1..30_usize, 1000..70_000_usize]);
    let turn = (length, chunk, any::<bool>()).prop_map(|(length, chunk, answer_in_chunks)| Turn {
        length,
        // A chunk of a byte costs six.
        chunk: chunk.map(|size| if length > 5000 { size.max(500) } else { size }),
        answer_in_chunks,
    });
    proptest::collection::vec(turn, 1..8)
}

#[test]
fn any_conversation_in_any_cuts_is_answered_in_order() {
    let origin = echo();
    let rig = Rig::before(&origin);
    let settings =
        ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(settings, |(turns in turns(), cut in 1..40_000_usize)| {
        let mut bytes = Vec::new();
        for turn in &turns {
            let path = if turn.answer_in_chunks { "/chunked" } else { "/" };
            let body = pattern(turn.length);
            match turn.chunk {
                None => {
                    bytes.extend(upload(path, &format!("Content-Length: {}", body.len()), "").bytes());
                    bytes.extend(body);
                }
                Some(size) => {
                    bytes.extend(upload(path, "Transfer-Encoding: chunked", "").bytes());
                    bytes.extend(chunked(&body, size));
                }
            }
        }
        let mut client = rig.client();
        let mut sender = client.twin();
        let sending = thread::spawn(move || {
            for piece in bytes.chunks(cut) {
                sender.send(piece);
            }
        });
        for turn in &turns {
            let response = client.response();
            prop_assert_eq!(response.field("Content-Length").is_none(), turn.answer_in_chunks);
            prop_assert!(response.body == pattern(turn.length));
        }
        sending.join().expect("all was sent");
    });
    rig.is_quiet_again();
}

#[test]
fn slow_drips_arrive_both_ways() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    let mut sender = client.twin();
    let request =
        [upload("/", "Transfer-Encoding: chunked", "").into_bytes(), chunked(b"hello", 2)];
    let sending = thread::spawn(move || sender.drip(request.concat()));
    let mut upstream = origin.accept();
    assert_eq!(upstream.request().body, b"hello");
    sending.join().expect("all was sent");
    upstream.drip("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    upstream.drip(chunked(&pattern(300), 9));
    assert_eq!(client.response().body, pattern(300));
    // And it was clean: both connections go on.
    client.drip("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    upstream.drip(answer("again"));
    assert_eq!(client.response().text(), "again");
}

#[test]
fn each_piece_is_delivered_before_the_next_one_comes() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send(upload("/", "Transfer-Encoding: chunked", ""));
    let mut upstream = origin.accept();
    upstream.head();
    for piece in ["a", "bc", "def"] {
        client.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
        upstream.expect(format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    client.send("0\r\n\r\n");
    upstream.expect("0\r\n\r\n");
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.head();
    for piece in ["a", "bc", "def"] {
        upstream.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
        client.expect(format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    upstream.send("0\r\n\r\n");
    client.expect("0\r\n\r\n");
}

#[test]
fn trailers_pass_both_ways_but_for_those_that_must_not_trail() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    let trailers = "X-Sum: 1\r\nContent-Length: 9\r\nHost: evil\r\nX-More: 2\r\n";
    client.send(upload("/", "Transfer-Encoding: chunked", "TE: trailers\r\nTrailer: X-Sum\r\n"));
    client.send(format!("5\r\nhello\r\n0\r\n{trailers}\r\n"));
    let mut upstream = origin.accept();
    let request = upstream.request();
    assert_eq!(request.trailers, "X-Sum: 1\r\nX-More: 2\r\n");
    assert_eq!(request.field("TE").as_deref(), Some("trailers"));
    upstream.send("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n");
    upstream.send(format!("5\r\nhello\r\n0\r\n{trailers}\r\n"));
    let response = client.response();
    assert_eq!(response.trailers, "X-Sum: 1\r\nX-More: 2\r\n");
    assert_eq!(response.body, b"hello");
}

#[test]
fn a_body_until_the_connection_ends_becomes_chunks_and_is_not_cut() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send("HTTP/1.1 200 OK\r\n\r\n");
    upstream.send(pattern(150_000));
    drop(upstream);
    let response = client.response();
    assert_eq!(response.field("Transfer-Encoding").as_deref(), Some("chunked"));
    assert!(response.body == pattern(150_000));
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.accept().request();
}

#[test]
fn http10_clients_get_no_chunks() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    // A chunked body becomes one that ends with the connection, even when the client would keep it.
    let mut client = rig.client();
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let mut upstream = origin.accept();
    assert_eq!(upstream.request().start(), "GET / HTTP/1.1");
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    upstream.send(chunked(&pattern(100_000), 999));
    let response = client.response();
    assert_eq!(response.field("Transfer-Encoding"), None);
    assert_eq!(response.field("Connection").as_deref(), Some("close"));
    assert!(response.body == pattern(100_000));
    // The origin's connection can be used again all the same.
    let mut client = rig.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    upstream.request();
    upstream.send(answer("second"));
    let response = client.response();
    assert_eq!(response.text(), "second");
    assert_eq!(response.field("Connection").as_deref(), Some("close"));
    client.ends();
    // With a length and its wish it keeps the connection.
    let mut client = rig.client();
    for text in ["third", "fourth"] {
        client.send("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        upstream.request();
        upstream.send(answer(text));
        let response = client.response();
        assert_eq!(response.text(), text);
        assert_eq!(response.field("Connection").as_deref(), Some("keep-alive"));
    }
}

#[test]
fn a_close_delimited_body_that_breaks_off_is_seen_as_broken() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    client.head();
    client.expect("hello");
    drop(upstream);
    client.breaks();
}

#[test]
fn head_204_and_304_have_no_body_and_keep_their_length() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    assert_eq!(upstream.request().start(), "HEAD / HTTP/1.1");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    assert_eq!(client.response_to_head().field("Content-Length").as_deref(), Some("1234"));
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let response = client.response_to_head();
    assert_eq!(response.status(), 200);
    assert_eq!(response.field("Content-Length"), None);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    upstream.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"x\"\r\n\r\n");
    let response = client.response();
    assert_eq!(response.field("Content-Length").as_deref(), Some("99"));
    assert_eq!(response.field("ETag").as_deref(), Some("\"x\""));
    client.send("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    upstream.send("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status(), response.field("Content-Length")), (204, None));
    // All of it over one connection on either side: nothing was left over.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    upstream.send(answer("last"));
    assert_eq!(client.response().text(), "last");
}

#[test]
fn large_heads_pass_up_to_the_limit() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    let value = "v".repeat(300);
    let fields = (0..90).map(|index| format!("X-Field-{index}: {value}\r\n"));
    let fields = fields.collect::<Vec<_>>().concat();
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    let mut upstream = origin.accept();
    let request = upstream.request();
    assert!(request.head.contains(&fields), "{}", request.head);
    upstream.send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok"));
    let response = client.response();
    assert!(response.head.contains(&fields), "{}", response.head);
}

#[test]
fn a_client_that_leaves_half_way_frees_its_place() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    // In the middle of its request's body,
    let mut client = rig.client();
    client.send(upload("/", "Content-Length: 100", ""));
    client.send("half");
    let mut upstream = origin.accept();
    upstream.head();
    upstream.expect("half");
    assert_eq!(rig.in_flight(0), 1);
    drop(client);
    upstream.ends_or_breaks();
    rig.is_quiet_again();
    // while the origin thinks,
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    drop(client);
    upstream.ends_or_breaks();
    rig.is_quiet_again();
    // by a reset,
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    client.reset();
    upstream.ends_or_breaks();
    rig.is_quiet_again();
    // and in the middle of the response.
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    client.head();
    client.expect("half");
    drop(client);
    upstream.ends_or_breaks();
    rig.is_quiet_again();
    rig.has_faults("client_gone", 4);
    assert_eq!(rig.proxy.state().upstream.endpoints.list()[0].failures(), 0);
}

#[test]
fn a_client_that_ends_its_half_has_left() {
    // As with nginx: nobody can tell it from one that is gone, and a browser that is gone should cost the origin nothing.
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    client.end_sending();
    upstream.ends_or_breaks();
    client.ends();
    rig.has_faults("client_gone", 1);
}

/// How much may lie between a sender and a receiver that does not read: two pairs of kernel buffers, which Linux lets
/// grow to several MiB each, and the proxy's own, which are small. The point is that it is not the whole.
const BETWEEN: usize = 24 << 20;
const WHOLE: usize = 200 << 20;
const PAUSE: Duration = Duration::from_millis(300);

#[test]
fn a_client_that_does_not_read_blocks_the_origin() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = Wire::connect_narrow(rig.proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {WHOLE}\r\n\r\n"));
    let taken = upstream.flood(&pattern(1 << 16), WHOLE, PAUSE);
    assert!(taken < BETWEEN, "{taken} bytes went to a client that does not read");
}

#[test]
fn an_origin_that_does_not_read_blocks_the_client() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send(upload("/", &format!("Content-Length: {WHOLE}"), ""));
    let _upstream = origin.accept();
    let taken = client.flood(&pattern(1 << 16), WHOLE, PAUSE);
    assert!(taken < BETWEEN, "{taken} bytes went to an origin that does not read");
}

#[test]
fn a_client_that_does_not_read_its_answers_cannot_send_without_end() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    // The first request is never answered; what is pipelined behind it is kept up to a bound only.
    let piece = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    let taken = client.flood(piece.as_bytes(), WHOLE, PAUSE);
    assert!(taken < BETWEEN, "{taken} bytes of pipelined requests were taken");
}

#[test]
fn interim_responses_without_end_are_not_piled_up() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = Wire::connect_narrow(rig.proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    let link = "x".repeat(900);
    let piece = format!("HTTP/1.1 103 Early Hints\r\nLink: <{link}>\r\n\r\n").repeat(64);
    let taken = upstream.flood(piece.as_bytes(), WHOLE, PAUSE);
    assert!(taken < BETWEEN, "{taken} bytes of interim responses were taken");
}

#[test]
fn both_directions_at_once() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.workers = Some(2);
    let rig = Rig::start(setup);
    let mut client = rig.client();
    client.send(upload("/", "Transfer-Encoding: chunked", ""));
    let mut upstream = origin.accept();
    upstream.head();
    // The origin answers while it still reads: an echo that holds nothing back.
    let echo = thread::spawn(move || {
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut writer = upstream.twin();
        let (body, _) = upstream.chunks();
        writer.send(chunked(&body, 4000));
        body.len()
    });
    let mut sender = client.twin();
    let sending = thread::spawn(move || sender.send(chunked(&pattern(3 << 20), 10_000)));
    assert!(client.response().body == pattern(3 << 20));
    sending.join().expect("all was sent");
    assert_eq!(echo.join().expect("the origin is content"), 3 << 20);
    assert!(DEADLINE > PAUSE);
}
