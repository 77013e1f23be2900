//! Endpoints that die at any moment, under load: whatever happens, nobody gets another's bytes, no body arrives changed,
//! and what must not be done twice is not done twice.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    thread,
};

use policy::{
    Rng, Seed,
    quantity::{ByteSize, TimeSpan},
};

use crate::support::{Count, Origin, Rig, Wire, config, eventually};

/// What the origins have seen: how often each request was read whole, and what was wrong with it.
#[derive(Default)]
struct Seen {
    whole: Mutex<HashMap<String, u32>>,
    wrong: Mutex<Vec<String>>,
}

impl Seen {
    fn note(&self, request: &crate::support::Message) -> String {
        let target = request.start().split(' ').nth(1).unwrap_or_default().to_owned();
        if request.body != body_of(&target) {
            let length = request.body.len();
            self.wrong.lock().expect("no panic").push(format!("{target}: {length} bytes"));
        }
        *self.whole.lock().expect("no panic").entry(target.clone()).or_default() += 1;
        target
    }
}

/// The body of the request with this target, `/client/number/length`: it says whose it is.
fn body_of(target: &str) -> Vec<u8> {
    let length = target.rsplit('/').next().and_then(|length| length.parse().ok()).unwrap_or(0);
    target.bytes().cycle().take(length).collect()
}

fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.below(100) < u64::from(percent)
}

/// An origin whose connections die of many causes, by a seed.
fn mortal(seen: &Arc<Seen>, seed: Seed) -> Origin {
    let seen = Arc::clone(seen);
    let born = Count::default();
    Origin::serving(move |mut wire| {
        let mut rng = seed.nth(u64::from(born.add())).rng();
        if chance(&mut rng, 5) {
            return;
        }
        while wire.is_asked() {
            if chance(&mut rng, 5) {
                return wire.reset();
            }
            let Ok(request) = wire.try_request() else { return };
            let target = seen.note(&request);
            match rng.below(20) {
                0 => return,
                1 => return wire.reset(),
                2 => {
                    let _ = wire.try_send("HTTP/1.1 200 OK\r\nContent-Le");
                    return;
                }
                3 => {
                    let _ = wire.try_send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf");
                    return;
                }
                4 => {
                    let chunk =
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
                    let _ = wire.try_send(chunk);
                    return;
                }
                _ => {}
            }
            let close = if chance(&mut rng, 10) { "Connection: close\r\n" } else { "" };
            let (echo, length) = (&request.body, target.len() + request.body.len());
            let mut response = if chance(&mut rng, 50) {
                format!("HTTP/1.1 200 OK\r\n{close}Content-Length: {length}\r\n\r\n{target}")
                    .into_bytes()
            } else {
                let head = format!("HTTP/1.1 200 OK\r\n{close}Transfer-Encoding: chunked\r\n\r\n");
                format!("{head}{:x}\r\n{target}\r\n", target.len()).into_bytes()
            };
            if response.windows(7).any(|part| part == b"chunked") {
                for piece in echo.chunks(1 + rng.below(9000) as usize) {
                    response.extend(format!("{:x}\r\n", piece.len()).bytes());
                    response.extend(piece);
                    response.extend(b"\r\n");
                }
                response.extend(b"0\r\n\r\n");
            } else {
                response.extend(echo);
            }
            if wire.try_send(response).is_err() || !close.is_empty() {
                return;
            }
        }
    })
}

/// A client's outcomes: served, refused with a status, and broken off.
#[derive(Default)]
struct Outcomes {
    served: u32,
    refused: u32,
    broken: u32,
}

fn client(rig: &Rig, name: usize, mut rng: Rng) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let mut wire = rig.client();
    for number in 0..150 {
        let method = ["GET", "POST", "PUT", "PATCH", "DELETE"][rng.below(5) as usize];
        let length = match (method, rng.below(4)) {
            ("GET" | "DELETE", _) | (_, 0) => 0,
            (_, 1) => rng.below(100),
            (_, 2) => rng.below(9000),
            _ => rng.below(200_000),
        };
        let target = format!("/{method}-{name}/{number}/{length}");
        let body = body_of(&target);
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n").into_bytes();
        if chance(&mut rng, 50) {
            request.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in body.chunks(1 + rng.below(20_000) as usize) {
                request.extend(format!("{:x}\r\n", piece.len()).bytes());
                request.extend(piece);
                request.extend(b"\r\n");
            }
            request.extend(b"0\r\n\r\n");
        } else {
            request.extend(format!("Content-Length: {length}\r\n\r\n").bytes());
            request.extend(&body);
        }
        let mut sender = wire.twin();
        // A write that fails has met an answer that came early: it is there to be read.
        let sending = thread::spawn(move || drop(sender.try_send(request)));
        match wire.try_response() {
            Ok(response) if response.status() == 200 => {
                let expected = [target.as_bytes(), &body].concat();
                assert!(response.body == expected, "{target} got {} bytes", response.body.len());
                outcomes.served += 1;
                if response.field("Connection").is_some() {
                    wire = rig.client();
                }
            }
            Ok(response) => {
                assert!([502, 503].contains(&response.status()), "{target}: {}", response.head);
                outcomes.refused += 1;
                if response.field("Connection").is_some() {
                    wire = rig.client();
                }
            }
            Err(_) => {
                outcomes.broken += 1;
                wire = rig.client();
            }
        }
        sending.join().expect("no panic");
    }
    outcomes
}

#[test]
fn endpoints_that_die_cost_nobody_more_than_his_own_answer() {
    let seen = Arc::new(Seen::default());
    let seed = Seed(11);
    let origins: Vec<Origin> =
        (0..3).map(|index| mortal(&seen, seed.child("origin").nth(index))).collect();
    let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
    let mut setup = config(&addresses);
    setup.workers = Some(2);
    setup.outlier.enabled = false;
    setup.retry.attempts = 2;
    setup.retry.budget = 10.0;
    setup.limits.replay = ByteSize(100_000);
    setup.limits.endpoint_in_flight = Some(2);
    setup.queue.timeout = TimeSpan::secs(60);
    let rig = Rig::start(setup);
    let outcomes = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|name| {
                let rng = seed.child("client").nth(name as u64).rng();
                let rig = &rig;
                scope.spawn(move || client(rig, name, rng))
            })
            .collect();
        clients.into_iter().fold(Outcomes::default(), |sum, client| {
            let one = client.join().expect("a client is content");
            Outcomes {
                served: sum.served + one.served,
                refused: sum.refused + one.refused,
                broken: sum.broken + one.broken,
            }
        })
    });
    let wrong = seen.wrong.lock().expect("no panic");
    assert!(wrong.is_empty(), "bodies that arrived changed: {wrong:?}");
    for (target, times) in &*seen.whole.lock().expect("no panic") {
        let idempotent = !target.starts_with("/POST") && !target.starts_with("/PATCH");
        assert!(*times == 1 || idempotent, "{target} was done {times} times");
    }
    let Outcomes { served, refused, broken } = outcomes;
    assert_eq!(served + refused + broken, 1200);
    assert!(served > 600, "only {served} were served");
    // Each of the causes has struck, or the test would show nothing.
    assert!(refused > 0 && broken > 0 && rig.sum(|stats| &stats.retries) > 0);
    rig.is_quiet_again();
    eventually("all are counted", || rig.sum(|stats| &stats.requests) == 1200);
    assert_eq!(rig.sum(|stats| &stats.connections_active), 0);
}

/// One request after the other on a raw connection, cut at every byte: the same answers.
#[test]
fn where_a_conversation_is_cut_makes_no_difference() {
    let origin = Origin::saying("ok");
    let rig = Rig::before(&origin);
    let conversation = b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n\
        \r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nPUT /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    for cut in 0..=conversation.len() {
        let (first, second) = conversation.split_at(cut);
        let mut client: Wire = rig.client();
        client.send(first);
        // Every other time the second part comes when the first has been read, as far as that can be seen.
        if cut % 2 == 0 {
            eventually("it is accepted", || rig.sum(|stats| &stats.connections_active) == 1);
        }
        client.send(second);
        for _ in 0..3 {
            assert_eq!(client.response().text(), "ok", "cut at {cut}");
        }
        drop(client);
        rig.is_quiet_again();
    }
}
