//! Answers that are compressed on their way, read with other people's decoders: curl has zlib, libbrotli and libzstd.

use std::{io::Read as _, process::Command, thread, time::Duration};

use policy::{Seed, compression::Coding};
use proptest::prelude::*;
use proxy::config::ProxyConfig;

use crate::support::{Origin, Rig, Wire, config, configured, eventually, pattern, with_admin};

/// The configuration with compression before this origin.
fn compressing(origin: &Origin) -> ProxyConfig {
    let mut config = config(&[origin.address()]);
    config.compression.enabled = true;
    config
}

/// Text that repeats itself, with noise in it.
fn page(length: usize) -> Vec<u8> {
    let mut rng = Seed(length as u64).rng();
    let mut page = Vec::with_capacity(length + 32);
    while page.len() < length {
        let line = format!("<li>item {} of the list</li>\n", rng.below(1000));
        page.extend_from_slice(line.as_bytes());
    }
    page.truncate(length);
    page
}

/// An origin whose path says how long its page is and how it is framed: `/length/2000`.
fn library() -> Origin {
    Origin::serving(|mut wire| {
        while wire.is_asked() {
            let request = wire.request();
            let path = request.start().split(' ').nth(1).unwrap_or_default();
            let mut parts = path.split('/').skip(1);
            let framing = parts.next().unwrap_or_default();
            let length = parts.next().and_then(|length| length.parse().ok()).unwrap_or(0);
            let body = page(length);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"1\"\r\n";
            let is_head = request.start().starts_with("HEAD");
            let sent = match framing {
                "chunked" => {
                    let mut text = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
                    for piece in body.chunks(5000) {
                        text.extend(format!("{:x}\r\n", piece.len()).bytes());
                        text.extend(piece);
                        text.extend(b"\r\n");
                    }
                    text.extend(b"0\r\nServer-Timing: db;dur=1\r\n\r\n");
                    wire.try_send(text)
                }
                "close" => {
                    let sent = wire.try_send(format!("{head}Connection: close\r\n\r\n"));
                    return sent.and_then(|()| wire.try_send(body)).unwrap_or(());
                }
                _ => {
                    let head = format!("{head}Content-Length: {length}\r\n\r\n");
                    let rest = if is_head { &[][..] } else { &body };
                    wire.try_send(head).and_then(|()| wire.try_send(rest))
                }
            };
            if sent.is_err() {
                return;
            }
        }
    })
}

/// What the bytes so far decode to, and whether they are the whole.
fn decoded(coding: Coding, bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    let end = match coding {
        Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut content),
        Coding::Br => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut content),
        Coding::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(bytes);
            decoder.expect("there is memory").read_to_end(&mut content)
        }
    };
    (content, end.is_ok())
}

fn ask(method: &str, path: &str, accept: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\n\r\n")
}

/// Reads chunks until what they decode to is `content`; the bytes so far.
fn read_until(wire: &mut Wire, coding: Coding, bytes: &mut Vec<u8>, content: &[u8]) {
    while decoded(coding, bytes).0 != content {
        let mut size = String::new();
        while !size.ends_with("\r\n") {
            size.push(char::from(wire.exactly(1)[0]));
        }
        let size = usize::from_str_radix(size.trim_end(), 16).expect("a chunk size");
        assert!(size > 0, "the body ends before what was sent has come");
        bytes.extend(wire.exactly(size));
        wire.expect("\r\n");
    }
}

#[test]
fn curl_reads_every_coding_in_every_framing() {
    let origin = library();
    let rig = Rig::start(compressing(&origin));
    for coding in Coding::ALL {
        for (framing, length) in [
            ("length", 1024),
            ("length", 300_000),
            ("chunked", 70_000),
            ("close", 5000),
            ("close", 0),
        ] {
            let url = format!("http://{}/{framing}/{length}", rig.proxy.address());
            let accept = format!("Accept-Encoding: {}", coding.name());
            let output = Command::new("curl")
                .args(["--silent", "--show-error", "--max-time", "10", "--compressed"])
                .args(["-H", &accept, "-w", "\n%{size_download}", &url])
                .output()
                .expect("curl is needed for this test: install it");
            assert!(output.status.success(), "a curl that decodes {} is needed", coding.name());
            let end = output.stdout.iter().rposition(|byte| *byte == b'\n').expect("a line");
            assert!(output.stdout[..end] == page(length), "{coding:?} {framing} {length}");
            let size = String::from_utf8_lossy(&output.stdout[end + 1..]).into_owned();
            let size: usize = size.parse().expect("a number");
            assert!(size < length / 2 + 30, "{coding:?} {framing}: {size} of {length} bytes");
        }
        let index = coding as usize;
        assert_eq!(rig.sum(|stats| &stats.compressed[index]), 5);
    }
    assert_eq!(rig.sum(|stats| &stats.encoders), 0);
    let (came, went) = (rig.sum(|s| &s.compression_in), rig.sum(|s| &s.compression_out));
    assert_eq!(came, 3 * (1024 + 300_000 + 70_000 + 5000));
    eventually("all is counted", || rig.sum(|stats| &stats.bytes_sent) == went);
}

#[test]
fn the_heads_of_get_and_head_say_the_same() {
    let origin = library();
    let rig = Rig::start(compressing(&origin));
    let mut client = rig.client();
    client.send(ask("GET", "/length/2000", "gzip"));
    let got = client.response();
    assert_eq!(
        got.head_without_date(),
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\
         Vary: Accept-Encoding\r\nContent-Encoding: gzip\r\nETag: W/\"1\"\r\nVia: 1.1 windtunnel\r\n\r\n"
    );
    client.send(ask("HEAD", "/length/2000", "gzip"));
    let asked = client.response_to_head();
    let without_framing = got.head_without_date().replace("Transfer-Encoding: chunked\r\n", "");
    assert_eq!(asked.head_without_date(), without_framing);
    client.send(ask("GET", "/length/2000", "identity"));
    let plain = client.response();
    assert!(plain.body == page(2000));
    assert_eq!(plain.field("Content-Length").as_deref(), Some("2000"));
    assert_eq!(plain.field("ETag").as_deref(), Some("\"1\""));
    assert_eq!(plain.field("Vary").as_deref(), Some("Accept-Encoding"));
    assert_eq!(plain.field("Content-Encoding"), None);
    client.send(ask("GET", "/length/1000", "gzip"));
    let small = client.response();
    assert!(small.body == page(1000));
    assert_eq!((small.field("Content-Encoding"), small.field("Vary")), (None, None));
    assert_eq!(rig.sum(|stats| &stats.connections_total), 1, "one connection for all of it");
    assert_eq!(rig.sum(|stats| &stats.upstream_connects), 1);
}

#[test]
fn trailers_still_come_behind_it() {
    let origin = library();
    let rig = Rig::start(compressing(&origin));
    let mut client = rig.client();
    client.send(ask("GET", "/chunked/6000", "zstd"));
    let response = client.response();
    assert_eq!(decoded(Coding::Zstd, &response.body), (page(6000), true));
    assert_eq!(response.trailers, "Server-Timing: db;dur=1\r\n");
}

#[test]
fn an_http10_client_reads_to_the_end() {
    let origin = library();
    let rig = Rig::start(compressing(&origin));
    let mut client = rig.client();
    client.send(
        "GET /length/4000 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nAccept-Encoding: x-gzip\r\n\r\n",
    );
    let response = client.response();
    assert_eq!(response.field("Content-Length"), None);
    assert_eq!(response.field("Transfer-Encoding"), None);
    assert_eq!(response.field("Connection").as_deref(), Some("close"));
    assert_eq!(decoded(Coding::Gzip, &response.body), (page(4000), true));
}

#[test]
fn events_and_pauses_are_not_held_back() {
    for coding in Coding::ALL {
        for kind in ["text/event-stream", "text/html"] {
            let origin = Origin::new();
            let rig = Rig::start(compressing(&origin));
            let mut client = rig.client();
            client.send(ask("GET", "/events", coding.name()));
            let mut server = origin.accept();
            server.request();
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type:";
            server.send(format!("{head} {kind}\r\n\r\n"));
            let head = client.head();
            assert!(head.contains(&format!("Content-Encoding: {}\r\n", coding.name())), "{head}");
            let (mut bytes, mut sent) = (Vec::new(), Vec::new());
            for number in 0..5 {
                let event = format!("data: {number}\n\n");
                server.send(format!("{:x}\r\n{event}\r\n", event.len()));
                sent.extend_from_slice(event.as_bytes());
                // The next one is sent when this one has arrived.
                read_until(&mut client, coding, &mut bytes, &sent);
            }
            server.send("0\r\n\r\n");
            bytes.extend(client.chunks().0);
            assert_eq!(decoded(coding, &bytes), (sent, true));
        }
    }
}

#[test]
fn a_304_names_the_tag_that_the_client_knows() {
    let origin = Origin::serving(|mut wire| {
        while wire.is_asked() {
            let request = wire.request();
            assert_eq!(request.field("If-None-Match").as_deref(), Some("W/\"1\""));
            wire.send("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n");
        }
    });
    let rig = Rig::start(compressing(&origin));
    let mut client = rig.client();
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: W/\"1\"\r\nAccept-Encoding: br\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status(), 304);
    assert_eq!(response.field("ETag").as_deref(), Some("W/\"1\""));
    assert_eq!(response.field("Vary").as_deref(), Some("Accept-Encoding"));
}

#[test]
fn a_body_that_breaks_off_is_no_whole_one() {
    for coding in Coding::ALL {
        let origin = Origin::new();
        let rig = Rig::start(compressing(&origin));
        let mut client = rig.client();
        client.send(ask("GET", "/", coding.name()));
        let mut server = origin.accept();
        server.request();
        server.send("HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: 9000\r\n\r\n");
        server.send(page(5000));
        client.head();
        drop(server);
        client.breaks();
        rig.has_faults("closed_mid_response", 1);
        eventually("its encoder is released", || rig.sum(|stats| &stats.encoders) == 0);
        rig.is_quiet_again();
    }
}

#[test]
fn a_client_that_leaves_takes_its_encoder_along() {
    let origin = Origin::new();
    let rig = Rig::start(compressing(&origin));
    let mut client = rig.client();
    client.send(ask("GET", "/", "br"));
    let mut server = origin.accept();
    server.request();
    server.send("HTTP/1.1 200 OK\r\nContent-Type: text/css\r\n\r\nbegun");
    client.head();
    assert_eq!(rig.sum(|stats| &stats.encoders), 1);
    client.reset();
    eventually("its encoder is released", || rig.sum(|stats| &stats.encoders) == 0);
    rig.is_quiet_again();
}

#[test]
fn a_worker_has_so_many_encoders_and_no_more() {
    let origin = Origin::new();
    let mut config = compressing(&origin);
    config.compression.encoders = 1;
    let rig = Rig::start(config);
    let mut first = rig.client();
    first.send(ask("GET", "/stream", "gzip"));
    let mut stream = origin.accept();
    stream.request();
    stream.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    assert!(first.head().contains("Content-Encoding: gzip"));
    let mut second = rig.client();
    second.send(ask("GET", "/page", "gzip"));
    let mut server = origin.accept();
    let styles = "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: 2000\r\n\r\n";
    let mut read_one = |server: &mut Wire| {
        server.request();
        server.send(styles);
        server.send(page(2000));
        let response = second.response();
        assert_eq!(response.field("Vary").as_deref(), Some("Accept-Encoding"));
        second.send(ask("GET", "/page", "gzip"));
        response.field("Content-Encoding")
    };
    assert_eq!(read_one(&mut server), None, "the stream has the only one");
    stream.send("0\r\n\r\n");
    first.chunks();
    assert_eq!(read_one(&mut server).as_deref(), Some("gzip"));
}

#[test]
fn who_does_not_read_blocks_the_origin() {
    let origin = Origin::new();
    let rig = Rig::start(compressing(&origin));
    let mut client = Wire::connect_narrow(rig.proxy.address());
    client.send(ask("GET", "/", "gzip"));
    let mut server = origin.accept();
    server.request();
    let length = 64 << 20;
    let head = format!("Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
    server.send(format!("HTTP/1.1 200 OK\r\n{head}"));
    // Noise does not get smaller.
    let mut rng = Seed(1).rng();
    let noise: Vec<u8> = (0..8192).flat_map(|_| rng.bits().to_le_bytes()).collect();
    let taken = server.flood(&noise, length, Duration::from_millis(300));
    assert!(taken < length / 2, "{taken} bytes are held somewhere");
    client.reset();
    rig.is_quiet_again();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the origin cuts it, in chunks and in writes, and whatever it is: the client reads what was sent.
    #[test]
    fn what_arrives_is_what_was_sent(
        coding in prop::sample::select(&Coding::ALL[..]),
        chunks in prop::collection::vec(1_usize..30_000, 0..6),
        writes in 1_usize..20_000,
        is_text: bool,
    ) {
        let length = chunks.iter().sum();
        let body = if is_text { page(length) } else { pattern(length) };
        let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let mut at = 0;
        for chunk in chunks {
            bytes.extend(format!("{chunk:x}\r\n").bytes());
            bytes.extend(&body[at..at + chunk]);
            bytes.extend(b"\r\n");
            at += chunk;
        }
        bytes.extend(b"0\r\n\r\n");
        let origin = Origin::new();
        let rig = Rig::start(compressing(&origin));
        let mut client = rig.client();
        client.send(ask("GET", "/", coding.name()));
        let mut server = origin.accept();
        server.request();
        let sending = thread::spawn(move || {
            for piece in bytes.chunks(writes) {
                server.send(piece);
            }
            server
        });
        let response = client.response();
        let server = sending.join().expect("it sends all");
        prop_assert!(decoded(coding, &response.body) == (body, true));
        drop((client, server));
        rig.is_quiet_again();
    }
}

#[test]
fn the_figures_say_what_was_saved() {
    let origin = library();
    let rig = Rig::start(with_admin(compressing(&origin)));
    let mut client = rig.client();
    client.send(ask("GET", "/length/4000", "br"));
    let sent = client.response().body.len();
    let stats = &rig.admin_json()["compression"];
    assert_eq!(stats["by_encoding"], serde_json::json!({ "zstd": 0, "br": 1, "gzip": 0 }));
    assert_eq!(
        (stats["bytes_in"].as_u64(), stats["bytes_out"].as_u64()),
        (Some(4000), Some(sent as u64))
    );
    let metrics = rig.admin("/metrics");
    for line in [
        "proxy_compression_input_bytes_total 4000",
        &format!("proxy_compression_output_bytes_total {sent}"),
        "proxy_compressed_responses_total{encoding=\"br\"} 1",
        "proxy_encoders_active 0",
    ] {
        assert!(metrics.text().lines().any(|found| found == line), "{line}: {}", metrics.text());
    }
}

#[test]
fn a_route_may_have_its_own() {
    let origin = library();
    let address = origin.address();
    let rig = Rig::start(configured(&format!(
        "endpoints = [\"{address}\"]\n[compression]\nenabled = true\n[[routes]]\nmatch = {{ prefix = \"/chunked\" }}\n\
         compression = {{ enabled = false }}\n[[routes]]\nmatch = {{ prefix = \"/close\" }}\n\
         compression = {{ enabled = true, encodings = [\"gzip\"] }}\n",
    )));
    for (path, encoding) in
        [("/length/2000", Some("br")), ("/chunked/2000", None), ("/close/2000", Some("gzip"))]
    {
        let mut client = rig.client();
        client.send(ask("GET", path, "br, gzip"));
        assert_eq!(client.response().field("Content-Encoding").as_deref(), encoding, "{path}");
    }
}

/// Heads an answer that is kept.
const KEPT: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: max-age=60\r\n";

#[test]
fn a_body_that_many_follow_is_compressed_for_each_as_it_comes() {
    let origin = Origin::new();
    let mut config = compressing(&origin);
    config.cache.enabled = true;
    let rig = Rig::start(config);
    let wanted = [Coding::Zstd, Coding::Gzip, Coding::Br, Coding::Gzip];
    let mut upstream = None;
    let mut clients: Vec<(Wire, Coding, Vec<u8>)> = Vec::new();
    for coding in wanted {
        let mut client = rig.client();
        client.send(ask("GET", "/", coding.name()));
        let upstream = upstream.get_or_insert_with(|| origin.accept());
        if clients.is_empty() {
            upstream.request();
        }
        clients.push((client, coding, Vec::new()));
    }
    let mut upstream = upstream.expect("the first has asked");
    let body = page(200_000);
    let (first, rest) = body.split_at(5000);
    upstream.send(format!("{KEPT}Content-Length: {}\r\n\r\n", body.len()));
    upstream.send(first);
    for (client, coding, bytes) in &mut clients {
        let head = client.head();
        assert!(head.contains(&format!("Content-Encoding: {}\r\n", coding.name())), "{head}");
        read_until(client, *coding, bytes, first);
    }
    upstream.send(rest);
    for (client, coding, bytes) in &mut clients {
        bytes.extend(client.chunks().0);
        assert!(decoded(*coding, bytes) == (body.clone(), true), "{}", coding.name());
    }
    eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 1);
    assert_eq!(rig.sum(|stats| &stats.cache.collapsed), 3);
    origin.is_untouched();
    drop(clients);
    rig.is_quiet_again();
    assert_eq!(rig.sum(|stats| &stats.encoders), 0);
}

#[test]
fn who_is_slow_keeps_its_encoder_when_others_go_on() {
    let origin = Origin::new();
    let mut config = compressing(&origin);
    config.cache.enabled = true;
    let rig = Rig::start(config);
    let mut slow = Wire::connect_narrow(rig.proxy.address());
    slow.send(ask("GET", "/", "gzip"));
    let mut upstream = origin.accept();
    upstream.request();
    let mut rng = Seed(1).rng();
    // What is compressed is no smaller than it was.
    let body: Vec<u8> = (0..8_000_000).map(|_| rng.below(256) as u8).collect();
    let sending = {
        let body = body.clone();
        thread::spawn(move || {
            upstream.send(format!("{KEPT}Content-Length: {}\r\n\r\n", body.len()));
            upstream.send(body);
            upstream
        })
    };
    slow.head();
    let mut other = rig.client();
    other.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(other.response().body == body);
    let (bytes, _) = slow.chunks();
    assert!(decoded(Coding::Gzip, &bytes) == (body, true));
    sending.join().expect("all was sent");
    origin.is_untouched();
    drop((slow, other));
    rig.is_quiet_again();
    assert_eq!(rig.sum(|stats| &stats.encoders), 0);
}
