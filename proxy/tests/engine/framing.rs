//! What is ambiguous is not forwarded (RFC 9112, sections 2.2, 5 and 6): the tables of request smuggling, and their mirror
//! image, responses that would poison the connection of the next client.

use crate::support::{Origin, Rig, answer};

/// A request that must be refused: its name, the status of the answer, and the bytes.
type Refused = (&'static str, u16, &'static str);

const REFUSED: &[Refused] = &[
    (
        "length and chunks",
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunks and length",
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    ),
    (
        "two equal lengths",
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    ),
    ("a list of lengths", 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello"),
    ("a signed length", 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"),
    ("a negative length", 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nhello"),
    ("an octal length", 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\n\r\nhello"),
    ("an empty length", 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello"),
    (
        "a length that overflows",
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\nhello",
    ),
    (
        "an unknown coding",
        501,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "gzip under chunks",
        501,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked is not last",
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in two fields",
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "identity",
        501,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
    ),
    ("an empty coding", 400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
    (
        "chunks in HTTP/1.0",
        400,
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a blank before the colon",
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
    ),
    (
        "a tab before the colon",
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a folded field", 400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"),
    ("a folded first field", 400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("bare LF after a field", 400, "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
    ("bare LF everywhere", 400, "GET / HTTP/1.1\nHost: a\n\n"),
    ("bare LF at the end", 400, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    ("bare CR in a value", 400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n"),
    ("bare CR as a line end", 400, "GET / HTTP/1.1\rHost: a\r\r"),
    ("NUL in a value", 400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
    ("no colon", 400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\r\n\r\n"),
    ("no name", 400, "GET / HTTP/1.1\r\nHost: a\r\n: chunked\r\n\r\n"),
    ("a name with a slash", 400, "GET / HTTP/1.1\r\nHost: a\r\nX/Y: b\r\n\r\n"),
    ("an alias", 400, "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\nhello"),
    ("no host", 400, "GET / HTTP/1.1\r\n\r\n"),
    ("two hosts", 400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ("a host with a path", 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("a host with a user", 400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ("target and Host disagree", 400, "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    ("Connection names Host", 400, "GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n"),
    (
        "Connection names the length",
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\nhello",
    ),
    ("two blanks in the first line", 400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a blank in the target", 400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a fragment", 400, "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target without a slash", 400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("* with GET", 400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("HTTP/0.9", 400, "GET /\r\n\r\n"),
    ("HTTP/1.2", 505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    ("HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("two empty lines before", 400, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an HTTP/2 preface of TLS", 400, "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03"),
];

#[test]
fn an_ambiguous_request_is_refused_and_its_connection_ends() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    for (name, status, bytes) in REFUSED {
        let mut client = rig.client();
        client.send(bytes);
        // A second request behind it must not be served either.
        let _ = client.try_send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response();
        assert_eq!(response.status(), *status, "{name}: {}", response.text());
        assert_eq!(response.field("Connection").as_deref(), Some("close"), "{name}");
        let reason = response.field("Proxy-Status").expect(name);
        assert_eq!(reason, "windtunnel; error=http_request_denied", "{name}");
        assert!(response.text().starts_with(&status.to_string()), "{name}: {}", response.text());
        client.ends_or_breaks();
    }
    origin.is_untouched();
    rig.has_faults("bad_request", REFUSED.len() as u64);
}

#[test]
fn an_ambiguous_request_is_refused_however_it_is_cut() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    for (name, status, bytes) in REFUSED {
        let mut client = rig.client();
        // What comes after the fault may meet a closed connection.
        for byte in bytes.as_bytes() {
            if client.try_send([*byte]).is_err() {
                break;
            }
        }
        let response = client.response();
        assert_eq!(response.status(), *status, "{name}: {}", response.text());
        client.ends_or_breaks();
    }
    origin.is_untouched();
}

/// Bodies whose framing goes wrong: what follows the head, and the status.
const BROKEN_CHUNKS: &[(&str, u16, &str)] = &[
    ("no digits", 400, "\r\nhello\r\n0\r\n\r\n"),
    ("a prefix", 400, "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a sign", 400, "+5\r\nhello\r\n0\r\n\r\n"),
    ("a negative size", 400, "-5\r\nhello\r\n0\r\n\r\n"),
    ("a blank before", 400, " 5\r\nhello\r\n0\r\n\r\n"),
    ("a blank behind", 400, "5 \r\nhello\r\n0\r\n\r\n"),
    ("an overflow", 400, "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("no hexadecimal", 400, "5g\r\nhello\r\n0\r\n\r\n"),
    ("bare LF", 400, "5\nhello\r\n0\r\n\r\n"),
    ("bare CR", 400, "5\rhello\r\n0\r\n\r\n"),
    ("bare LF in an extension", 400, "5;a\nhello\r\n0\r\n\r\n"),
    ("too long a chunk", 400, "5\r\nhello!\r\n0\r\n\r\n"),
    ("too short a chunk", 400, "5\r\nhell\r\n0\r\n\r\n"),
    ("bare LF behind a chunk", 400, "5\r\nhello\n0\r\n\r\n"),
    ("a folded trailer", 400, "0\r\n a: b\r\n\r\n"),
    ("a trailer without a colon", 400, "0\r\na\r\n\r\n"),
    ("bare LF behind a trailer", 400, "0\r\na: b\n\r\n"),
];

#[test]
fn a_body_whose_chunks_are_wrong_is_refused() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    for (name, status, body) in BROKEN_CHUNKS {
        let mut client = rig.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}\
             GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        let response = client.response();
        assert_eq!(response.status(), *status, "{name}: {}", response.text());
        assert_eq!(response.field("Connection").as_deref(), Some("close"), "{name}");
        client.ends_or_breaks();
        // The head may have gone out before the fault was seen, but never the end of the message.
        while let Some(mut upstream) = origin.accepted_already() {
            let (bytes, _) = upstream.rest_and_break();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("smuggled"), "{name}: {text}");
            assert!(!text.ends_with("0\r\n\r\n"), "{name}: {text}");
        }
    }
    rig.is_quiet_again();
}

#[test]
fn what_is_unusual_but_clear_passes() {
    let origin = Origin::saying("ok");
    let rig = Rig::before(&origin);
    for (name, bytes) in [
        ("an empty line before", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("an empty Host", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n"),
        ("blanks around a value", "GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n"),
        ("bytes beyond ASCII", "GET / HTTP/1.1\r\nHost: a\r\nX: grün\r\n\r\n"),
        ("an empty value", "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n"),
        ("a method of its own", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            "CHUNKED",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n00005;x=\"y\"\r\nhello\r\n0\r\n\r\n",
        ),
        ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        let mut client = rig.client();
        client.send(bytes);
        let response = client.response();
        assert_eq!(response.text(), "ok", "{name}");
    }
}

/// Responses that must not be forwarded.
const BAD_RESPONSES: &[(&str, &str)] = &[
    ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    ("two equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab"),
    (
        "length and chunks",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("an unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab"),
    ("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a folded field", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    ("a blank before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab"),
    ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nab"),
    ("bare CR in a value", "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nab"),
    ("NUL in a value", "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nab"),
    ("an empty line before", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"),
    ("no status", "HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nab"),
    ("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nab"),
    ("status 0", "HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nab"),
    ("content in a 204", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nab"),
    ("chunks in a 204", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("content in a 103", "HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nab"),
    ("no HTTP", "220 mail.example ESMTP\r\n"),
    ("an upgrade that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    (
        "an upgrade that nobody asked for, with its name",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
];

#[test]
fn an_ambiguous_response_is_502_and_its_connection_is_not_used_again() {
    for (name, bytes) in BAD_RESPONSES {
        let origin = Origin::new();
        let rig = Rig::before(&origin);
        let mut client = rig.client();
        client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut upstream = origin.accept();
        upstream.request();
        upstream.send(bytes);
        let response = client.response();
        assert_eq!(response.status(), 502, "{name}");
        let reason = response.field("Proxy-Status").expect(name);
        assert_eq!(reason, "windtunnel; error=http_protocol_error", "{name}");
        upstream.ends_or_breaks();
        // The client's own connection is sound, and its next request gets a new one.
        client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut upstream = origin.accept();
        upstream.request();
        upstream.send(answer("good"));
        assert_eq!(client.response().text(), "good", "{name}");
    }
}

#[test]
fn a_response_that_is_longer_than_it_says_does_not_become_the_next_clients() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        "HTTP/1.1 204 No Content\r\n\r\npoison",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\npoison",
    ] {
        let origin = Origin::new();
        let rig = Rig::before(&origin);
        let mut client = rig.client();
        client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut upstream = origin.accept();
        upstream.request();
        upstream.send(bytes);
        assert!(client.response().status() < 400);
        client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut second = origin.accept();
        second.request();
        second.send(answer("good"));
        assert_eq!(client.response().text(), "good", "{bytes}");
    }
}

#[test]
fn what_an_idle_connection_says_unasked_is_not_the_next_answer() {
    let origin = Origin::new();
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(answer("first"));
    assert_eq!(client.response().text(), "first");
    upstream.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    upstream.end_sending();
    client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    // Either the proxy saw it in time and drops the connection, or the request met it on its way. The client gets the
    // origin's own word then, which was an answer to nobody, or a new connection; never a broken one.
    let mut second = origin.accept();
    second.request();
    second.send(answer("second"));
    assert_eq!(client.response().text(), "second");
}
