//! Messages for the property tests: mostly correct, of the kinds that matter, and then often damaged in
//! one to three bytes. Purely random bytes would never get past the first line.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

/// 2048 cases, and the same ones each time, unless `PROPTEST_CASES` and `PROPTEST_RNG_SEED` say
/// otherwise.
pub(crate) fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let rng_seed = match default.rng_seed {
        RngSeed::Random => RngSeed::Fixed(9112),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    ProptestConfig { cases: default.cases * 8, rng_seed, failure_persistence: None, ..default }
}

const FIRST_LINES: &[&str] = &[
    "GET / HTTP/1.1",
    "POST /a?b=c HTTP/1.1",
    "HEAD /x HTTP/1.0",
    "OPTIONS * HTTP/1.1",
    "OPTIONS http://a HTTP/1.1",
    "GET http://a/x HTTP/1.1",
    "GET http://a?x HTTP/1.1",
    "GET http://a/x HTTP/1.0",
    "CONNECT a:80 HTTP/1.1",
    "PATCH /%20 HTTP/1.1",
    "PUT /#f HTTP/1.1",
    "GET * HTTP/1.1",
    "X-Y /very/long/path HTTP/1.0",
];

const STATUS_LINES: &[&str] = &[
    "HTTP/1.1 200 OK",
    "HTTP/1.0 200 OK",
    "HTTP/1.1 204 No Content",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 404",
    "HTTP/1.1 503 ",
    "HTTP/1.1 100 Continue",
    "HTTP/1.1 999 odd",
];

const FIELDS: &[&str] = &[
    "Content-Length: 5",
    "Content-Length: 0",
    "content-length:42 ",
    "Transfer-Encoding: chunked",
    "transfer-encoding: Chunked",
    "Connection: close",
    "Connection: Keep-Alive",
    "Connection: x-a, keep-alive",
    "Connection: upgrade",
    "Upgrade: websocket",
    "Expect: 100-continue",
    "TE: trailers",
    "X-A: 1",
    "x-a:2",
    "X-B:   spaced \t out  ",
    "X-Empty:",
    "X-Empty:  ",
    "X_Under: 1",
    "Cookie: a=b; c=d",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
];

const BAD_FIELDS: &[&str] = &[
    "content-length: 5, 5",
    "Content-Length: 007",
    "Content-Length: +5",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: chunked, chunked",
    "Connection: Host",
    "Content_Length: 1",
    "Host: b",
    "Host:",
    " folded: 1",
    "Space : 1",
    "no colon",
];

fn head(first_lines: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let line_end =
        prop_oneof![300 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\r\n")];
    let host =
        prop_oneof![8 => Just("Host: a"), 1 => Just("host: A:80"), 1 => Just("X-No-Host: 1")];
    let fields = vec(prop_oneof![9 => select(FIELDS), 1 => select(BAD_FIELDS)], 0..5);
    let ends = vec(line_end, 8);
    let prefix = prop_oneof![20 => Just(""), 1 => Just("\r\n"), 1 => Just("\n")];
    (prefix, select(first_lines), host, fields, ends).prop_map(
        |(prefix, first, host, fields, ends)| {
            let mut text = prefix.to_owned();
            for (line, end) in [first, host].iter().chain(&fields).chain(&[""]).zip(ends) {
                text.push_str(line);
                text.push_str(end);
            }
            text.into_bytes()
        },
    )
}

/// A damage: where (scaled to the length), what byte, and whether it replaces, inserts or removes.
fn damages() -> impl Strategy<Value = Vec<(f64, u8, u8)>> {
    let byte = prop_oneof![select(&b"\r\n\0 \t:,;#?*@/\x7f\x80_-1a"[..]), any::<u8>()];
    prop_oneof![2 => Just(vec![]), 1 => vec((0.0..1.0, byte, 0u8..3), 1..=3)]
}

fn damaged(text: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (text, damages()).prop_map(|(mut text, damages)| {
        for (place, byte, what) in damages {
            let at = (text.len() as f64 * place) as usize;
            match what {
                _ if text.is_empty() => {}
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => drop(text.remove(at)),
            }
        }
        text
    })
}

/// Request heads, more or less.
pub(crate) fn request_heads() -> impl Strategy<Value = Vec<u8>> {
    damaged(head(FIRST_LINES))
}

/// Response heads, more or less.
pub(crate) fn response_heads() -> impl Strategy<Value = Vec<u8>> {
    damaged(head(STATUS_LINES))
}

/// Chunked bodies, more or less.
#[allow(dead_code, reason = "each test binary compiles this module; not all of them use bodies")]
pub(crate) fn chunked_bodies() -> impl Strategy<Value = Vec<u8>> {
    let pieces = select(
        &[
            "1\r\na\r\n",
            "a\r\n0123456789\r\n",
            "3;x=y\r\n\r\n!\r\n",
            "0\r\n\r\n",
            "0\r\nX: 1\r\nContent-Length: 2\r\n\r\n",
            "5\r\n",
            "GET / HTTP/1.1\r\n",
        ][..],
    );
    damaged(vec(pieces, 0..6).prop_map(|pieces| pieces.concat().into_bytes()))
}

/// Places at which to cut an input, scaled to its length.
#[allow(dead_code, reason = "each test binary compiles this module; not all of them cut")]
pub(crate) fn cuts() -> impl Strategy<Value = Vec<f64>> {
    vec(0.0..1.0, 0..12)
}

/// The ends of the growing prefixes of an input of `length` bytes; the last is the whole.
#[allow(dead_code, reason = "each test binary compiles this module; not all of them cut")]
pub(crate) fn prefixes(cuts: &[f64], length: usize) -> Vec<usize> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| (length as f64 * cut) as usize).collect();
    ends.push(length);
    ends.sort_unstable();
    ends
}
