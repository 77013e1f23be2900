//! Heads that come in pieces: nothing is scanned twice, and what is not HTTP is refused at once.

use http1::{ErrorKind as E, Limits, Method, RequestHead, ResponseHead};

/// Feeds `text` a byte at a time; gives back after how many bytes what was decided.
fn drip(text: &[u8], limits: &Limits) -> (usize, Result<Option<usize>, E>) {
    let mut head = RequestHead::new();
    for end in 0..=text.len() {
        match head.parse(&text[..end], limits) {
            Ok(None) => {}
            other => return (end, other.map_err(|error| error.kind())),
        }
    }
    (text.len(), Ok(None))
}

fn drip_response(text: &[u8]) -> (usize, Result<Option<usize>, E>) {
    let mut head = ResponseHead::new();
    for end in 0..=text.len() {
        match head.parse(&text[..end], &Limits::default()) {
            Ok(None) => {}
            other => return (end, other.map_err(|error| error.kind())),
        }
    }
    (text.len(), Ok(None))
}

#[test]
fn a_whole_head_is_seen_at_its_last_byte() {
    for text in [
        &b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n"[..],
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ] {
        assert_eq!(drip(text, &Limits::default()), (text.len(), Ok(Some(text.len()))));
    }
    let text = b"HTTP/1.1 200\r\nX: 1\r\n\r\n";
    assert_eq!(drip_response(text), (text.len(), Ok(Some(text.len()))));
}

#[test]
fn what_is_not_http_is_refused_at_the_byte_that_shows_it() {
    let long_word = [b'A'; 40];
    for (text, bytes, kind) in [
        // A TLS ClientHello.
        (&b"\x16\x03\x01\x02\x00"[..], 1, E::RequestLine),
        (b"\0\0\0", 1, E::RequestLine),
        (b" GET", 1, E::RequestLine),
        (b"G\x16", 2, E::RequestLine),
        (b"GET\x80", 4, E::RequestLine),
        (b"GET /\x01", 6, E::RequestLine),
        (b"GET /\xff", 6, E::RequestLine),
        (b"GET /\n", 6, E::BareLf),
        (b"GET /\rx", 7, E::BareCr),
        (b"GET /\r\n", 7, E::RequestLine),
        (b"GET / HTTP/2.0\r\n", 16, E::Version),
        (b"GET / HTTP/1.1\r\nX: \0", 20, E::FieldValue),
        (b"GET / HTTP/1.1\r\nX: 1\n", 21, E::BareLf),
        (&long_word, 33, E::MethodTooLong),
        (b"\n", 1, E::BareLf),
        (b"\rG", 2, E::BareCr),
        (b"\r\n\r", 3, E::EmptyLines),
    ] {
        assert_eq!(drip(text, &Limits::default()), (bytes, Err(kind)), "{}", text.escape_ascii());
    }
    for (text, bytes, kind) in [
        (&b"\x15\x03"[..], 1, E::StatusLine),
        (b"HTTQ", 4, E::StatusLine),
        (b"HTTP/1.1 200 \0", 14, E::StatusLine),
        (b"\r", 1, E::EmptyLines),
    ] {
        assert_eq!(drip_response(text), (bytes, Err(kind)), "{}", text.escape_ascii());
    }
}

#[test]
fn limits_hold_without_an_end() {
    let limits = Limits { max_head: 300, max_target: 50, max_fields: 4, ..Limits::default() };
    let target = format!("GET /{}", "x".repeat(500));
    let (bytes, result) = drip(target.as_bytes(), &limits);
    assert_eq!(result, Err(E::TargetTooLong));
    assert!(bytes < 120, "refused after {bytes}");
    let fields = format!("GET / HTTP/1.1\r\n{}", "X: 1\r\n".repeat(50));
    assert_eq!(drip(fields.as_bytes(), &limits).1, Err(E::TooManyFields));
    let value = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(500));
    assert_eq!(drip(value.as_bytes(), &limits), (300, Err(E::HeadTooLarge)));
}

/// The proof that the cost is linear, without a clock: bytes that were scanned once may change without
/// anybody noticing before the end.
#[test]
fn what_was_scanned_is_not_looked_at_again() {
    let limits = Limits::default();
    let mut input = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    let mut head = RequestHead::new();
    assert_eq!(head.parse(&input, &limits), Ok(None));
    input.extend_from_slice(b"X: 1\r\n");
    assert_eq!(head.parse(&input, &limits), Ok(None));
    let saved = input.clone();
    input[..20].fill(0);
    for b in "Y: some value that comes slowly".bytes() {
        input.push(b);
        assert_eq!(head.parse(&input, &limits), Ok(None));
    }
    input[..saved.len()].copy_from_slice(&saved);
    input.extend_from_slice(b"\r\n\r\n");
    assert_eq!(head.parse(&input, &limits), Ok(Some(input.len())));
    assert_eq!(head.find(b"y"), Some(&b"some value that comes slowly"[..]));
}

#[test]
fn clear_begins_another_message() {
    let limits = Limits::default();
    let mut head = RequestHead::new();
    assert_eq!(head.parse(b"GET /abandoned HTTP/1.1\r\nHost", &limits), Ok(None));
    head.clear();
    let text = b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(head.parse(text, &limits), Ok(Some(text.len())));
    assert_eq!(head.target(), b"/other");
    // After an error, too.
    assert!(head.parse(b"GET", &limits).is_ok());
    assert!(head.parse(b"GET\0", &limits).is_err());
    assert_eq!(head.parse(text, &limits), Ok(Some(text.len())));
    head.release();
    assert_eq!((head.target(), head.host(), head.field_count()), (&b""[..], &b""[..], 0));
}

/// An allocator that counts would need `unsafe`; that the bytes stay where they are says as much.
#[test]
fn a_warm_head_keeps_its_memory() {
    let limits = Limits::default();
    let mut head = RequestHead::new();
    let long = b"GET /a/long/path?with=a&query HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\n\r\n";
    let short = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(matches!(head.parse(long, &limits), Ok(Some(_))));
    let address = head.method_bytes().as_ptr();
    for text in [&short[..], long, short, long] {
        assert!(matches!(head.parse(text, &limits), Ok(Some(_))));
        assert_eq!(head.method_bytes().as_ptr(), address);
    }
}

#[test]
fn a_refused_message_leaves_nothing_of_the_one_before() {
    let limits = Limits::default();
    let mut head = RequestHead::new();
    assert!(head.parse(b"DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n", &limits).is_ok());
    assert!(head.parse(b"GET\n", &limits).is_err());
    assert_eq!(
        (head.method(), head.method_bytes(), head.target()),
        (Method::Other, &b""[..], &b""[..])
    );
}
