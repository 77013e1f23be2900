//! Whatever either side sends, in whatever pieces: nothing panics, nothing hangs, nothing leaks.

use std::sync::{Arc, Mutex, mpsc};

use proptest::prelude::*;

use crate::support::{Origin, Rig, Wire, answer, config, millis};

/// Pieces of messages, from which most arbitrary input is built: pure noise is refused at the first byte.
const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /x HTTP/1.1\r\n",
    "PUT http://a/ HTTP/1.0\r\n",
    "HEAD * HTTP/1.1\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n",
    "HTTP/1.0 204 \r\n",
    "HTTP/1.1 304 Not Modified\r\n",
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 99999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, upgrade\r\n",
    "Upgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "TE: trailers\r\n",
    "\r\n",
    "\r\n\r\n",
    "hello",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX-Sum: 1\r\n\r\n",
    "ffffffffffffffff\r\n",
    " ",
    "\n",
    "\0",
];

/// What one side sends: pieces, each in a write of its own, and whether it then ends its half.
#[derive(Clone, Debug)]
struct Script {
    writes: Vec<Vec<u8>>,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Half,
    Close,
    Reset,
}

fn scripts() -> impl Strategy<Value = Script> {
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..50),
        1 => (1_usize..100_000).prop_map(|length| vec![b'x'; length]),
    ];
    let end = prop_oneof![Just(End::Half), Just(End::Close), Just(End::Reset)];
    (proptest::collection::vec(piece, 0..12), end).prop_map(|(writes, end)| Script { writes, end })
}

/// A sound beginning, so that the rest of a script is reached, or none.
fn begun(script: Script, beginning: &'static str) -> impl Strategy<Value = Script> {
    proptest::bool::ANY.prop_map(move |sound| {
        let mut script = script.clone();
        if sound {
            script.writes.insert(0, beginning.as_bytes().to_vec());
        }
        script
    })
}

fn play(mut wire: Wire, script: &Script) {
    for piece in &script.writes {
        if wire.try_send(piece).is_err() {
            return;
        }
    }
    match script.end {
        End::Half => {
            wire.end_sending_if_open();
            wire.rest_and_break();
        }
        End::Close => {}
        End::Reset => wire.reset(),
    }
}

#[test]
fn no_input_from_either_side_breaks_the_proxy() {
    // The origin plays what it was given last; each case hands it a script and hears when nothing is left of it.
    let part: Arc<Mutex<Option<Script>>> = Arc::default();
    let (done, played) = mpsc::channel();
    let origin = {
        let part = Arc::clone(&part);
        Origin::serving(move |wire| {
            let script = part.lock().expect("no holder panics").clone();
            if let Some(script) = script {
                play(wire, &script);
            } else {
                let mut wire = wire;
                while wire.is_asked() {
                    wire.request();
                    wire.send(answer("good"));
                }
            }
            let _ = done.send(());
        })
    };
    let mut setup = config(&[origin.address()]);
    // Half a message is waited for: briefly.
    setup.timeouts.request_head = millis(20);
    setup.timeouts.response_head = millis(20);
    setup.timeouts.stream_idle = millis(20);
    setup.timeouts.keep_alive = millis(20);
    setup.outlier.enabled = false;
    let rig = Rig::start(setup);
    let cases = (
        scripts().prop_flat_map(|script| begun(script, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")),
        scripts().prop_flat_map(|script| begun(script, "HTTP/1.1 200 OK\r\n")),
    );
    let settings =
        ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(settings, |((client, server) in cases)| {
        *part.lock().expect("no holder panics") = Some(server);
        play(rig.client(), &client);
        while played.try_recv().is_ok() {}
    });
    *part.lock().expect("no holder panics") = None;
    rig.is_quiet_again();
    let state = rig.proxy.state();
    assert_eq!(state.upstream.endpoints.list()[0].in_flight(), 0);
    // Until nothing of the scripts is left in the pool, an answer may still be one of theirs.
    let served = (0..100).any(|_| rig.get("/").text() == "good");
    assert!(served, "it serves no good request any more");
    rig.is_quiet_again();
}
