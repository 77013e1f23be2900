//! What the codec costs, in nanoseconds a message: `cargo bench -p http1`.
//!
//! No statistics machinery: each line is the fastest of fifty rounds, since whatever else the machine does
//! can only add to a round. An argument filters by name: `cargo bench -p http1 -- chunk`.

use std::hint::black_box;
use std::time::Instant;

use http1::{BodyDecoder, Framing, Limits, Name, RequestHead, ResponseHead, encode};

const ROUNDS: usize = 50;
const CALLS: u32 = 2_000;

/// What a load generator sends.
const SMALL_REQUEST: &[u8] =
    b"GET /item/42 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: wrk\r\nAccept: */*\r\n\r\n";

/// What a browser sends.
const BROWSER_REQUEST: &[u8] =
    b"GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg?size=large HTTP/1.1\r\n\
Host: www.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Accept-Language: en-us,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Connection: keep-alive\r\n\
Referer: https://www.example.com/articles/2010/03/\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n\
Upgrade-Insecure-Requests: 1\r\n\
Sec-Fetch-Dest: document\r\n\
Sec-Fetch-Mode: navigate\r\n\
If-None-Match: \"abcdef0123456789\"\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 00:00:00 GMT\r\nServer: origin\r\n\
Content-Type: application/json\r\nContent-Length: 100\r\nCache-Control: max-age=60\r\nETag: \"1\"\r\n\r\n";

fn main() {
    // `cargo bench` passes `--bench`.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let limits = Limits::default();
    let report = |name: &str, bytes: usize, call: &mut dyn FnMut()| {
        if filter.as_ref().is_none_or(|filter| name.contains(filter.as_str())) {
            println!("{name:<44} {:>8.1} ns {bytes:>8} bytes", fastest(call));
        }
    };

    let mut request = RequestHead::new();
    let mut response = ResponseHead::new();
    let mut out = Vec::with_capacity(4096);

    for (name, text) in [("small", SMALL_REQUEST), ("browser", BROWSER_REQUEST)] {
        report(&format!("parse a request, {name}"), text.len(), &mut || {
            black_box(request.parse(black_box(text), &limits)).expect("correct");
        });
    }
    for (name, text) in [("small", SMALL_REQUEST), ("browser", BROWSER_REQUEST)] {
        report(&format!("httparse alone, {name}"), text.len(), &mut || {
            let mut table = [const { std::mem::MaybeUninit::uninit() }; 100];
            let mut parsed = httparse::Request::new(&mut []);
            let _ = black_box(parsed.parse_with_uninit_headers(black_box(text), &mut table));
            black_box(&parsed);
        });
    }
    report("parse a response", RESPONSE.len(), &mut || {
        black_box(response.parse(black_box(RESPONSE), &limits)).expect("correct");
    });

    request.parse(BROWSER_REQUEST, &limits).expect("correct");
    response.parse(RESPONSE, &limits).expect("correct");
    report("encode a request, in runs", BROWSER_REQUEST.len(), &mut || {
        out.clear();
        write_request(&request, &mut out);
        black_box(&out);
    });
    report("encode a request, field by field", BROWSER_REQUEST.len(), &mut || {
        out.clear();
        encode::request_line(&mut out, request.method_bytes(), request.target());
        for field in request.end_to_end() {
            encode::field(&mut out, field.name, field.value);
        }
        encode::end(&mut out);
        black_box(&out);
    });
    report("encode a response, in runs", RESPONSE.len(), &mut || {
        out.clear();
        write_response(&response, &mut out);
        black_box(&out);
    });

    for (name, text) in [("small", SMALL_REQUEST), ("browser", BROWSER_REQUEST)] {
        report(&format!("a whole exchange, {name}"), text.len() + RESPONSE.len(), &mut || {
            request.parse(black_box(text), &limits).expect("correct");
            black_box((request.framing(), request.keep_alive(), request.path()));
            out.clear();
            write_request(&request, &mut out);
            black_box(&out);
            response.parse(black_box(RESPONSE), &limits).expect("correct");
            black_box((response.framing(request.method()), response.keep_alive()));
            out.clear();
            write_response(&response, &mut out);
            black_box(&out);
        });
    }

    report("name look-ups, 10", 0, &mut || {
        for name in [
            &b"Host"[..],
            b"user-agent",
            b"Accept",
            b"Accept-Encoding",
            b"Cookie",
            b"content-length",
            b"X-Forwarded-For",
            b"X-Unknown",
            b"Sec-Fetch-Mode",
            b"If-None-Match",
        ] {
            black_box(Name::from_bytes(black_box(name)));
        }
    });

    let mut small_chunks = b"10\r\n0123456789abcdef\r\n".repeat(64);
    small_chunks.extend_from_slice(b"0\r\n\r\n");
    let mut decoder = BodyDecoder::new(Framing::Chunked, &limits);
    report("decode 64 chunks of 16 bytes", small_chunks.len(), &mut || {
        decoder.reset(Framing::Chunked);
        let mut rest = &small_chunks[..];
        while !decoder.is_done() {
            rest = &rest[decoder.decode(black_box(rest)).expect("correct").consumed..];
        }
    });
    report("decode a body of 100 bytes", 100, &mut || {
        decoder.reset(Framing::Length(100));
        black_box(decoder.decode(black_box(&[0; 100]))).expect("correct");
    });

    let drip: Vec<u8> = [b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec(), vec![b'x'; 30_000]].concat();
    report("a head of 30 kB, a byte at a time (each byte)", drip.len(), &mut {
        let mut at = drip.len();
        let mut head = RequestHead::new();
        move || {
            at = if at == drip.len() { 1 } else { at + 1 };
            if at == 1 {
                head.clear();
            }
            black_box(head.parse(black_box(&drip[..at]), &limits)).expect("correct so far");
        }
    });
}

fn write_request(head: &RequestHead, out: &mut Vec<u8>) {
    encode::request_line(out, head.method_bytes(), head.target());
    head.write_end_to_end(out, |field| field.known == Some(Name::XForwardedFor));
    encode::field(out, b"X-Forwarded-For", b"127.0.0.1");
    encode::field(out, b"Via", b"1.1 windtunnel");
    encode::end(out);
}

fn write_response(head: &ResponseHead, out: &mut Vec<u8>) {
    encode::status_line_with_reason(out, head.status(), head.reason());
    head.write_end_to_end(out, |_| false);
    encode::field(out, b"Via", b"1.1 windtunnel");
    encode::end(out);
}

/// Nanoseconds a call, in the fastest round.
#[allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures the real machine, not the engine's clock"
)]
fn fastest(call: &mut dyn FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    best
}
