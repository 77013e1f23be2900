//! Sessions in simulated time: they last as long as was drawn, in every format.

mod support;

use backend_sim::{
    BackendConfig,
    config::{Kind, SessionConfig, SessionFormat},
};
use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use net::{Clock, Net};
use policy::{
    Instant,
    distribution::Distribution,
    quantity::{ByteSize, TimeSpan},
    work::Pattern,
};
use support::{Bench, address, get, plain, with};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, protocol::frame::coding::CloseCode},
};

fn sessions(format: SessionFormat) -> BackendConfig {
    BackendConfig {
        kind: Kind::Session,
        workers: 2,
        queue: 1,
        service: Distribution::Constant(TimeSpan::secs(1)),
        session: Some(SessionConfig { format, every: TimeSpan::millis(300), size: ByteSize(50) }),
        ..BackendConfig::default()
    }
}

#[test]
fn chunks_come_at_their_pace_until_the_time_is_over() {
    with(&sessions(SessionFormat::Chunked), async |bench| {
        let request = plain().header("windtunnel-id", 5).body(Full::default()).unwrap();
        let answer = bench.ask(request).await.unwrap();
        assert_eq!(answer.at, 1_000_000);
        // At 0, 300, 600 and 900 ms.
        let mut expected = vec![0; 200];
        Pattern::new(5).fill(0, &mut expected);
        assert_eq!(answer.body, expected);
        assert_eq!(answer.headers["transfer-encoding"], "chunked");
        assert_eq!(bench.endpoint.control().snapshot().completed, 1);
    });
}

#[test]
fn events_are_events() {
    with(&sessions(SessionFormat::Sse), async |bench| {
        let answer = bench.ask(get(400_000)).await.unwrap();
        assert_eq!(answer.headers["content-type"], "text/event-stream");
        let data = ".".repeat(50);
        assert_eq!(answer.body, format!("id: 0\ndata: {data}\n\nid: 1\ndata: {data}\n\n"));
        assert_eq!(answer.at, 400_000);
    });
}

#[test]
fn a_session_holds_its_worker_and_the_next_waits_for_its_head() {
    with(&sessions(SessionFormat::Chunked), async |bench| {
        let (a, b) = (bench.start(1_000_000).await, bench.start(2_000_000).await);
        let c = bench.start(500_000).await;
        assert_eq!(bench.ask(get(1)).await.unwrap().status, 503);
        assert_eq!(a.await.unwrap().unwrap(), (200, 1_000_000));
        assert_eq!(c.await.unwrap().unwrap(), (200, 1_500_000));
        assert_eq!(b.await.unwrap().unwrap(), (200, 2_000_000));
    });
}

#[test]
fn when_a_waiting_session_is_let_in_by_one_that_left_it_is_told() {
    with(&sessions(SessionFormat::Chunked), async |bench| {
        let (a, _b) = (bench.start(9_000_000).await, bench.start(9_000_000).await);
        let c = bench.start(500_000).await;
        bench.sleep(100_000).await;
        a.abort();
        assert_eq!(c.await.unwrap().unwrap(), (200, 600_000));
    });
}

async fn upgrade(bench: &Bench) -> WebSocketStream<support::Pipe> {
    let stream = bench.net.connect(address(80)).await.unwrap();
    let (socket, answer) = client_async("ws://web/", stream).await.unwrap();
    assert_eq!(answer.headers()["windtunnel-endpoint"], "web-0");
    socket
}

/// Reads to the end: when each message came, in milliseconds, and what the close said.
async fn listen(
    clock: &Clock,
    socket: &mut WebSocketStream<support::Pipe>,
) -> (Vec<(u64, Message)>, Option<CloseCode>) {
    let (mut heard, mut close) = (Vec::new(), None);
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Close(frame) => close = frame.map(|frame| frame.code),
            message => heard.push((clock.now().nanos_since(Instant::START) / 1_000_000, message)),
        }
    }
    (heard, close)
}

#[test]
fn a_websocket_sends_echoes_and_closes_with_1000() {
    with(&sessions(SessionFormat::Websocket), async |bench| {
        let mut socket = upgrade(&bench).await;
        bench.sleep(100_000).await;
        socket.send(Message::text("hello")).await.unwrap();
        socket.send(Message::Ping(bytes::Bytes::from_static(b"there?"))).await.unwrap();
        let (heard, close) = listen(bench.net.clock(), &mut socket).await;
        assert_eq!(close, Some(CloseCode::Normal));
        assert_eq!(bench.micros(), 1_000_000);
        let echoed: Vec<_> = heard.iter().filter(|(_, m)| m.is_text() || m.is_pong()).collect();
        assert_eq!(echoed.len(), 2);
        let sent: Vec<u64> =
            heard.iter().filter(|(_, m)| m.is_binary()).map(|(at, _)| *at).collect();
        // The first was read late, with the echo.
        assert_eq!(sent, [100, 300, 600, 900]);
        bench.settle().await;
        let seen = bench.endpoint.control().snapshot();
        assert_eq!((seen.completed, seen.in_flight, seen.open_connections), (1, 0, 0));
    });
}

#[test]
fn a_websocket_that_the_client_closes_is_given_up() {
    with(&sessions(SessionFormat::Websocket), async |bench| {
        let mut socket = upgrade(&bench).await;
        socket.close(None).await.unwrap();
        let (_, _) = listen(bench.net.clock(), &mut socket).await;
        bench.settle().await;
        let seen = bench.endpoint.control().snapshot();
        assert_eq!((seen.cancelled, seen.in_flight, seen.open_connections), (1, 0, 0));
        assert_eq!(bench.micros(), 0);
    });
}

#[test]
fn a_crash_resets_a_websocket_even_if_its_client_reads_nothing() {
    let mut config = sessions(SessionFormat::Websocket);
    config.session.as_mut().unwrap().size = ByteSize(1 << 20);
    with(&config, async |bench| {
        let mut socket = upgrade(&bench).await;
        bench.sleep(500_000).await;
        bench.endpoint.control().crash();
        bench.endpoint.control().settled().await.unwrap();
        assert_eq!(bench.micros(), 500_000);
        let end = loop {
            match socket.next().await {
                Some(Ok(_)) => {}
                other => break other,
            }
        };
        let Some(Err(Error::Io(error))) = end else { panic!("{end:?}") };
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_websocket_whose_client_reads_nothing_ends_all_the_same() {
    let mut config = sessions(SessionFormat::Websocket);
    config.session.as_mut().unwrap().size = ByteSize(1 << 20);
    with(&config, async |bench| {
        let socket = upgrade(&bench).await;
        bench.sleep(10_000_000).await;
        let seen = bench.endpoint.control().snapshot();
        assert_eq!((seen.completed, seen.resets, seen.open_connections), (1, 1, 0));
        drop(socket);
    });
}

#[test]
fn what_is_no_handshake_is_told_so() {
    with(&sessions(SessionFormat::Websocket), async |bench| {
        let answer = bench.ask(get(1)).await.unwrap();
        assert_eq!(answer.status, 426);
        assert_eq!(answer.headers["upgrade"], "websocket");
    });
}
