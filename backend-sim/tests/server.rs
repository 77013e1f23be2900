//! The server in simulated time: it obeys the work, queues, refuses, and sends what it must.

mod support;

use std::{fmt::Write as _, time::Duration};

use backend_sim::{
    BackendConfig,
    config::{DelayShare, FaultConfig, Framing, StatusShare},
    station::Discipline,
};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use net::{Net, hyper_io};
use policy::{
    LoadReport,
    distribution::Distribution,
    quantity::{ByteSize, TimeSpan},
    work::Pattern,
};
use support::{address, get, plain, with};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::spawn_local,
};

fn pattern(id: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    Pattern::new(id).fill(0, &mut bytes);
    bytes
}

#[test]
fn a_request_takes_its_own_service_time_to_the_microsecond() {
    let speed = BackendConfig { speed: 2.0, ..BackendConfig::default() };
    with(&speed, async |bench| {
        let answer = bench.ask(get(37)).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.at),
            (200, 19),
            "37 at double speed, rounded up"
        );
        assert_eq!(answer.headers["windtunnel-endpoint"], "web-0");
        assert_eq!(answer.headers["content-length"], "100");
        assert!(!answer.headers.contains_key("date"));
    });
}

#[test]
fn the_same_request_draws_the_same_and_an_answer_is_its_pattern() {
    let config = BackendConfig {
        service: Distribution::Exponential { mean: TimeSpan::millis(20) },
        response: Distribution::Uniform { min: ByteSize(1), max: ByteSize(300_000) },
        ..BackendConfig::default()
    };
    with(&config, async |bench| {
        let mut seen = Vec::new();
        for id in [1_u64, 2, 1, 2] {
            let begin = bench.micros();
            let request = plain().header("windtunnel-id", id).body(Full::default()).unwrap();
            let answer = bench.ask(request).await.unwrap();
            assert_eq!(answer.body, pattern(id, answer.body.len()));
            seen.push((answer.at - begin, answer.body.len()));
        }
        assert_eq!(seen[0], seen[2]);
        assert_eq!(seen[1], seen[3]);
        assert!(seen[0].0 != seen[1].0 && seen[0].1 != seen[1].1);
        // Without a number they are counted: two are not the same.
        let begin = bench.micros();
        let first = bench.ask(plain().body(Full::default()).unwrap()).await.unwrap();
        let second = bench.ask(plain().body(Full::default()).unwrap()).await.unwrap();
        assert_ne!(first.at - begin, second.at - first.at);
    });
}

#[test]
fn who_finds_the_waiting_room_full_is_refused_at_once() {
    with(&BackendConfig { workers: 2, queue: 1, ..BackendConfig::default() }, async |bench| {
        let tasks = [bench.start(100).await, bench.start(100).await, bench.start(100).await];
        let refused = bench.ask(get(100)).await.unwrap();
        assert_eq!((refused.status.as_u16(), refused.at), (503, 0));
        let mut seen = Vec::new();
        for task in tasks {
            seen.push(task.await.unwrap().unwrap());
        }
        assert_eq!(seen, [(200, 100), (200, 100), (200, 200)]);
        let seen = bench.endpoint.control().snapshot();
        assert_eq!((seen.requests, seen.completed, seen.rejected, seen.in_flight), (4, 3, 1, 0));
        assert_eq!(seen.busy, Duration::from_micros(300));
    });
}

#[test]
fn processor_sharing_lets_the_short_one_overtake() {
    let config =
        BackendConfig { discipline: Discipline::ProcessorSharing, ..BackendConfig::default() };
    with(&config, async |bench| {
        let (long, short) = (bench.start(100).await, bench.start(10).await);
        assert_eq!(short.await.unwrap().unwrap(), (200, 20));
        assert_eq!(long.await.unwrap().unwrap(), (200, 110));
    });
}

#[test]
fn a_client_that_has_gone_takes_its_job_along() {
    with(&BackendConfig::default(), async |bench| {
        let (served, waiting) = (bench.start(100).await, bench.start(100).await);
        let last = bench.start(100).await;
        waiting.abort();
        bench.sleep(50).await;
        served.abort();
        // The last one is alone from 50 on.
        assert_eq!(last.await.unwrap().unwrap(), (200, 150));
        let seen = bench.endpoint.control().snapshot();
        assert_eq!((seen.cancelled, seen.completed, seen.in_flight), (2, 1, 0));
    });
}

#[test]
fn whoever_takes_the_place_of_one_that_has_gone_is_told_in_its_own_time() {
    for discipline in [Discipline::Fifo, Discipline::ProcessorSharing] {
        let config = BackendConfig { discipline, ..BackendConfig::default() };
        with(&config, async |bench| {
            let (long, short) = (bench.start(1000).await, bench.start(100).await);
            bench.sleep(50).await;
            long.abort();
            // Sharing, it has half of its service behind it when the other one goes: 25 of 50.
            let end = if discipline == Discipline::Fifo { 150 } else { 125 };
            assert_eq!(short.await.unwrap().unwrap(), (200, end));
        });
    }
}

#[test]
fn bodies_are_checked_and_echoed() {
    with(&BackendConfig::default(), async |bench| {
        let post = |id: u64| plain().method(Method::POST).header("windtunnel-id", id);
        let body = pattern(9, 200_000);
        let right = post(9).body(Full::from(body.clone())).unwrap();
        assert_eq!(bench.ask(right).await.unwrap().status, 200);

        let mut wrong = body.clone();
        wrong[150_000] ^= 1;
        let answer = bench.ask(post(9).body(Full::from(wrong)).unwrap()).await.unwrap();
        assert_eq!(answer.status, 400);
        assert_eq!(answer.headers["windtunnel-mismatch"], "150000");

        let echo = post(1).header("windtunnel-echo", "1").body(Full::from(body.clone())).unwrap();
        let answer = bench.ask(echo).await.unwrap();
        assert_eq!(answer.headers["content-length"], "200000");
        assert_eq!(answer.body, body);

        let seen = bench.endpoint.control().snapshot();
        assert_eq!((seen.completed, seen.mismatches, seen.in_flight), (2, 1, 0));
    });
}

#[test]
fn an_echo_brings_the_trailers_back() {
    with(&BackendConfig::default(), async |bench| {
        let stream = bench.net.connect(address(80)).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(hyper_io(stream)).await.unwrap();
        spawn_local(async move { drop(connection.await) });
        let mut trailers = http::HeaderMap::new();
        trailers.insert("checksum", http::HeaderValue::from_static("42"));
        let frames = [
            Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"one"))),
            Ok(Frame::data(Bytes::from_static(b"two"))),
            Ok(Frame::trailers(trailers)),
        ];
        let request: Request<_> = plain()
            .method(Method::POST)
            .header("windtunnel-echo", "1")
            .header("te", "trailers")
            .header("trailer", "checksum")
            .body(StreamBody::new(futures_util::stream::iter(frames)))
            .unwrap();
        let collected =
            sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["checksum"], "42");
        assert_eq!(collected.to_bytes(), "onetwo");
    });
}

#[test]
fn an_answer_is_chunked_when_somebody_wants_it_so() {
    with(&BackendConfig::default(), async |bench| {
        let by_query = Request::get("/x?a=b&chunked").header("host", "a");
        let by_header = plain().header("windtunnel-framing", "chunked");
        for request in [by_query, by_header] {
            let request = request.header("windtunnel-size", 100_000).header("windtunnel-id", 3);
            let answer = bench.ask(request.body(Full::default()).unwrap()).await.unwrap();
            assert_eq!(answer.headers["transfer-encoding"], "chunked");
            assert_eq!(answer.body, pattern(3, 100_000));
        }
    });
    with(&BackendConfig { framing: Framing::Chunked, ..BackendConfig::default() }, async |bench| {
        let answer = bench.ask(get(0)).await.unwrap();
        assert_eq!(answer.headers["transfer-encoding"], "chunked");
        let plain = plain().header("windtunnel-framing", "length").body(Full::default()).unwrap();
        assert_eq!(bench.ask(plain).await.unwrap().headers["content-length"], "100");
    });
}

#[test]
fn head_has_a_length_and_no_body_and_100_continue_comes_before_the_body() {
    with(&BackendConfig::default(), async |bench| {
        let head = plain().method(Method::HEAD).body(Full::default()).unwrap();
        let answer = bench.ask(head).await.unwrap();
        assert_eq!(
            (answer.headers["content-length"].as_bytes(), answer.body.len()),
            (&b"100"[..], 0)
        );

        let mut stream = bench.net.connect(address(80)).await.unwrap();
        let request =
            b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut buf = [0; 25];
        stream.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"abc").await.unwrap();
        let mut buf = [0; 15];
        stream.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"HTTP/1.1 200 OK");
    });
}

#[test]
fn headers_that_make_no_sense_are_refused_with_their_name() {
    with(&BackendConfig::default(), async |bench| {
        for (name, value) in [
            ("windtunnel-work", "20ms"),
            ("windtunnel-id", "-1"),
            ("windtunnel-size", "99999999999999999999"),
            ("windtunnel-framing", "trains"),
        ] {
            let request = plain().header(name, value).body(Full::default()).unwrap();
            let answer = bench.ask(request).await.unwrap();
            assert_eq!(answer.status, 400);
            assert!(answer.body.starts_with(name.as_bytes()), "{:?}", answer.body);
        }
        assert_eq!(bench.endpoint.control().snapshot().bad_requests, 4);
    });
}

#[test]
fn the_health_check_waits_for_nobody() {
    with(&BackendConfig { queue: 0, ..BackendConfig::default() }, async |bench| {
        let busy = bench.start(1000).await;
        let request = Request::get("/healthz").header("host", "a").body(Full::default()).unwrap();
        let answer = bench.ask(request).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.at), (200, 0));
        let seen = bench.endpoint.control().snapshot();
        assert_eq!((seen.requests, seen.health_checks), (1, 1));
        assert_eq!(busy.await.unwrap().unwrap(), (200, 1000));
    });
}

#[test]
fn the_load_probe_waits_for_nobody_and_says_how_much_there_is() {
    with(&BackendConfig { queue: 3, ..BackendConfig::default() }, async |bench| {
        let probe = || Request::get("/loadz").header("host", "a").body(Full::default()).unwrap();
        let said = |answer: &support::Answer| {
            let field = answer.headers["endpoint-load-metrics"].as_bytes();
            LoadReport::parse(field).expect("it can be read")
        };
        let answer = bench.ask(probe()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.at, answer.body.len()), (204, 0, 0));
        assert_eq!(said(&answer), LoadReport::default());
        let first = bench.start(1000).await;
        let second = bench.start(3000).await;
        // One that fails says it all the same.
        bench.endpoint.control().fail(500, 1.0).unwrap();
        let report = said(&bench.ask(probe()).await.unwrap());
        assert_eq!((report.in_flight, report.queue), (2, 1));
        bench.endpoint.control().restore();
        assert_eq!(first.await.unwrap().unwrap().1, 1000);
        assert_eq!(second.await.unwrap().unwrap().1, 4000);
        // The second has found one there and took 4 ms, the first nobody and 1 ms.
        let report = said(&bench.ask(probe()).await.unwrap());
        assert_eq!((report.in_flight, report.latency), (0, Duration::from_millis(1)));
        assert_eq!(report.service_time, Duration::from_millis(2));
        assert!((report.utilization - 1.0).abs() < 0.01, "{report:?}");
        assert_eq!(bench.endpoint.control().snapshot().requests, 2);
        // Other answers say it only where they are told to.
        let plain = bench.ask(get(0)).await.unwrap();
        assert!(!plain.headers.contains_key("endpoint-load-metrics"));
    });
    let telling =
        BackendConfig { load_report: true, probe_path: String::new(), ..BackendConfig::default() };
    with(&telling, async |bench| {
        let answer = bench.ask(get(1000)).await.unwrap();
        let report = LoadReport::parse(answer.headers["endpoint-load-metrics"].as_bytes());
        let report = report.expect("it can be read");
        assert_eq!((report.in_flight, report.service_time), (0, Duration::from_millis(1)));
        // There is no such path any more: it is served like every other.
        let request = Request::get("/loadz").header("host", "a").body(Full::default()).unwrap();
        assert_eq!(bench.ask(request).await.unwrap().status, 200);
        assert_eq!(bench.endpoint.control().snapshot().requests, 2);
    });
}

#[test]
fn misfortune_comes_as_often_as_stated_and_to_the_same_requests_again() {
    let faults = FaultConfig {
        status: vec![
            StatusShare { status: 503, probability: 0.05 },
            StatusShare { status: 404, probability: 0.1 },
        ],
        delay: vec![DelayShare { time: TimeSpan::millis(2), probability: 0.2 }],
        reset: 0.02,
    };
    let config = BackendConfig { faults, ..BackendConfig::default() };
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mut seen = Vec::new();
        with(&config, async |bench| {
            for id in 0..2000_u64 {
                let begin = bench.micros();
                let request = plain().header("windtunnel-id", id).body(Full::default()).unwrap();
                let answer = bench.ask(request).await.ok();
                seen.push((answer.map(|a| a.status.as_u16()), bench.micros() - begin));
            }
            let counted = bench.endpoint.control().snapshot();
            let failed = seen.iter().filter(|(status, _)| *status != Some(200)).count();
            assert_eq!(counted.failed, failed as u64);
        });
        runs.push(seen);
    }
    assert_eq!(runs[0], runs[1]);
    // The seed is fixed, so this cannot come out differently another day; five standard deviations all the same.
    for (what, expected, deviation) in [
        ((None, 0), 40.0, 6.3),
        ((Some(503), 0), 98.0, 9.7),
        ((Some(404), 0), 196.0, 13.3),
        ((Some(200), 2000), 333.2, 16.7),
    ] {
        let count = runs[0].iter().filter(|seen| **seen == what).count() as f64;
        assert!((count - expected).abs() < 5.0 * deviation, "{what:?}: {count} for {expected}");
    }
}

#[test]
fn a_stop_lets_requests_end_and_resets_what_takes_too_long() {
    with(&BackendConfig { workers: 2, ..BackendConfig::default() }, async |bench| {
        let (short, long) = (bench.start(100).await, bench.start(10_000).await);
        let mut idle = bench.connect().await;
        idle.ready().await.unwrap();
        let (net, at) = (bench.net.clone(), bench.endpoint.address());
        let seen = bench.endpoint.stop(Duration::from_micros(500)).await;
        assert_eq!(short.await.unwrap().unwrap(), (200, 100));
        assert!(long.await.unwrap().is_err());
        assert_eq!((seen.completed, seen.cancelled, seen.resets), (1, 1, 1));
        assert_eq!((seen.in_flight, seen.open_connections), (0, 0));
        assert!(net.connect(at).await.is_err());
    });
}

#[test]
fn the_same_seed_tells_the_same_story_twice() {
    let config = BackendConfig {
        workers: 2,
        queue: 3,
        discipline: Discipline::ProcessorSharing,
        service: Distribution::Exponential { mean: TimeSpan::millis(3) },
        faults: FaultConfig { reset: 0.05, ..FaultConfig::default() },
        ..BackendConfig::default()
    };
    let tell = || {
        let mut story = String::new();
        with(&config, async |bench| {
            let control = bench.endpoint.control().clone();
            let mut tasks = Vec::new();
            for step in 0..200_u64 {
                match step {
                    60 => control.slow(3.0).unwrap(),
                    100 => control.crash(),
                    110 => control.restart(),
                    150 => control.hang(),
                    160 => control.restore(),
                    _ => {}
                }
                if step == 110 {
                    control.settled().await.unwrap();
                }
                if (100..110).contains(&step) {
                    continue;
                }
                let mut sender = bench.connect().await;
                let clock = *bench.net.clock();
                let request = plain().header("windtunnel-id", step).body(Full::default()).unwrap();
                tasks.push(spawn_local(async move {
                    let status = sender.send_request(request).await.map(|a| a.status()).ok();
                    (step, status, clock.now())
                }));
                bench.sleep(700 + step * 13 % 900).await;
            }
            for task in tasks {
                writeln!(story, "{:?}", task.await.unwrap()).unwrap();
            }
            write!(story, "{:?}", control.snapshot()).unwrap();
        });
        story
    };
    let story = tell();
    assert_eq!(story, tell());
    for part in ["Some(200)", "Some(503)", "None", "slow: 18, fail: 0, hang: 15, crash: 5"] {
        assert!(story.contains(part), "{part} in {story}");
    }
}
