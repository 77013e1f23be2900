//! Faults: what they do, when it ends, and that they are seen to have hit.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use net::{Clock, Crash, FaultError, Faults, LinkSettings, Net, NetworkFault, memory::Memory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{constant, latency, listen, micros, on, pair, pause, two};

fn cut(memory: &Memory, from: &str, to: &str) {
    memory.inflict(&NetworkFault::Cut { from: from.to_owned(), to: to.to_owned() }).unwrap();
}

fn crash(memory: &Memory, host: &str, what: Crash) {
    memory.inflict(&NetworkFault::Crash { host: host.to_owned(), what }).unwrap();
}

fn restart(memory: &Memory, host: &str) {
    memory.inflict(&NetworkFault::Restart { host: host.to_owned() }).unwrap();
}

async fn nothing_comes(clock: &Clock, stream: &mut (impl AsyncReadExt + Unpin), micros: u64) {
    let limit = Duration::from_micros(micros);
    assert!(clock.timeout(limit, stream.read(&mut [0; 8])).await.is_err(), "something came");
}

#[test]
fn a_partition_holds_bytes_until_the_retransmission_after_its_repair() {
    on(1, latency(100), async |memory| {
        let (a, b) = two(&memory);
        let (mut client, mut server) = pair(&a, &b).await;
        client.write_all(b"be").await.unwrap();
        memory.partition("a", "b").unwrap();
        let start = micros(&memory);
        client.write_all(b"fore").await.unwrap();
        let mut buf = [0; 16];
        assert_eq!(server.read(&mut buf).await.unwrap(), 2, "what was on its way arrives");
        nothing_comes(memory.clock(), &mut server, 500_000).await;
        assert_eq!(memory.hits().bytes_held, 4);
        memory.repair("a", "b").unwrap();
        client.write_all(b" and after").await.unwrap();
        server.read_exact(&mut buf[..14]).await.unwrap();
        assert_eq!(&buf[..14], b"fore and after");
        assert_eq!(micros(&memory) - start, 600_000 + 100, "the second retransmission");
        server.write_all(b"back").await.unwrap();
        client.read_exact(&mut buf[..4]).await.unwrap();
        assert_eq!(micros(&memory) - start, 600_000 + 200, "held was nothing in this direction");
    });
}

#[test]
fn one_way_is_enough_to_stop_a_conversation() {
    on(1, latency(100), async |memory| {
        let (a, b) = two(&memory);
        let (mut client, mut server) = pair(&a, &b).await;
        cut(&memory, "b", "a");
        let mut buf = [0; 4];
        client.write_all(b"ping").await.unwrap();
        server.read_exact(&mut buf).await.unwrap();
        server.write_all(b"pong").await.unwrap();
        nothing_comes(memory.clock(), &mut client, 1_000_000).await;
        // A dial gets there, but not its answer.
        let (_listener, address) = listen(&b, 80).await;
        let limit = Duration::from_secs(1);
        assert!(memory.clock().timeout(limit, a.connect(address)).await.is_err());
        assert_eq!(memory.hits().dials_hung, 1);
        memory.repair("a", "b").unwrap();
        client.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"pong");
        assert!(a.connect(address).await.is_ok());
    });
}

#[test]
fn news_of_what_was_read_do_not_pass_a_cut() {
    let settings = net::memory::MemorySettings { window: 1000, ..Default::default() };
    crate::support::with(1, settings, async |memory| {
        let (a, b) = two(&memory);
        let (mut client, mut server) = pair(&a, &b).await;
        cut(&memory, "b", "a");
        client.write_all(&[1; 1000]).await.unwrap();
        server.read_exact(&mut [0; 1000]).await.unwrap();
        let limit = Duration::from_secs(1);
        let clock = *memory.clock();
        assert!(clock.timeout(limit, client.write(&[1; 1])).await.is_err());
        memory.repair("a", "b").unwrap();
        assert_eq!(client.write(&[1; 2000]).await.unwrap(), 1000);
    });
}

#[test]
fn a_dial_across_a_partition_hangs_and_comes_through_after_its_repair() {
    on(1, latency(100), async |memory| {
        let (a, b) = two(&memory);
        let (_listener, address) = listen(&b, 80).await;
        memory.partition("a", "b").unwrap();
        let dial = tokio::task::spawn_local(async move { a.connect(address).await.map(|_| ()) });
        pause(&memory, 2_000_000).await;
        memory.repair("a", "b").unwrap();
        dial.await.unwrap().unwrap();
        assert_eq!(micros(&memory), 3_000_000 + 200);
        assert_eq!(memory.hits().dials_hung, 1);
    });
}

#[test]
fn loss_delays_by_retransmissions_and_loses_nothing() {
    let run = |seed| {
        let link = LinkSettings { loss: 0.2, ..latency(100) };
        on(seed, link, async |memory| {
            let (a, b) = two(&memory);
            let (mut client, mut server) = pair(&a, &b).await;
            let mut slow = Vec::new();
            for turn in 0..200_u8 {
                let start = micros(&memory);
                client.write_all(&[turn; 100]).await.unwrap();
                let mut buf = [0; 100];
                server.read_exact(&mut buf).await.unwrap();
                assert_eq!(buf, [turn; 100]);
                let took = micros(&memory) - start;
                assert!([100, 200_100, 600_100, 1_400_100, 3_000_100, 6_200_100].contains(&took));
                if took > 100 {
                    slow.push(turn);
                }
            }
            let lost = memory.hits().segments_lost;
            assert!(lost >= slow.len() as u64);
            (slow, lost, memory.trace())
        })
    };
    let first = run(5);
    assert!((20..60).contains(&first.0.len()), "a fifth of 200: {}", first.0.len());
    assert_eq!(first, run(5));
    assert_ne!(first, run(6));
}

#[test]
fn a_changed_latency_lets_nothing_overtake() {
    on(1, latency(10_000), async |memory| {
        let (a, b) = two(&memory);
        let (mut client, mut server) = pair(&a, &b).await;
        let start = micros(&memory);
        client.write_all(b"slow").await.unwrap();
        let (from, to) = ("a".to_owned(), "b".to_owned());
        memory.inflict(&NetworkFault::Latency { from, to, latency: constant(10) }).unwrap();
        client.write_all(b"fast").await.unwrap();
        let mut buf = [0; 8];
        server.read_exact(&mut buf).await.unwrap();
        assert_eq!((&buf, micros(&memory) - start), (b"slowfast", 10_000));
        client.write_all(b"fast").await.unwrap();
        server.read_exact(&mut buf[..4]).await.unwrap();
        assert_eq!(micros(&memory) - start, 10_010);
    });
}

#[test]
fn a_crashed_process_is_closed_by_its_kernel() {
    on(1, latency(100), async |memory| {
        let (a, b) = two(&memory);
        let (listener, address) = listen(&b, 80).await;
        let serving = {
            let host = b.clone();
            b.spawn(async move {
                // What it spawns itself is the host's, too.
                let deeper = tokio::task::spawn_local(async move {
                    let (mut stream, _) = net::Listener::accept(&listener).await.unwrap();
                    let mut buf = [0; 4];
                    while stream.read_exact(&mut buf).await.is_ok() {
                        stream.write_all(&buf).await.unwrap();
                    }
                    drop(host);
                });
                deeper.await.unwrap();
            })
            .unwrap()
        };
        let mut client = a.connect(address).await.unwrap();
        let mut buf = [0; 4];
        client.write_all(b"ping").await.unwrap();
        client.read_exact(&mut buf).await.unwrap();
        let start = micros(&memory);
        crash(&memory, "b", Crash::Process);
        assert!(serving.await.unwrap_err().is_cancelled());
        let hits = memory.hits();
        assert_eq!((hits.tasks_dropped, hits.sockets_dropped), (1, 2), "a listener and a stream");
        assert_eq!(micros(&memory), start, "at once");
        assert_eq!(client.read(&mut buf).await.unwrap(), 0, "an orderly end");
        assert_eq!(micros(&memory) - start, 100);
        assert_eq!(a.connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(b.spawn(async {}).is_err(), "nothing runs on it");
        assert!(b.connect(address).await.is_err());
        drop(client);
        restart(&memory, "b");
        let (listener, address) = listen(&b, 80).await;
        assert!(a.connect(address).await.is_ok());
        assert!(b.spawn(async {}).unwrap().await.is_ok());
        drop(listener);
        pause(&memory, 10_000).await;
        assert_eq!(memory.connections(), 0);
    });
}

#[test]
fn a_crashed_machine_is_silent_and_answers_by_a_reset_when_it_is_back() {
    on(1, latency(100), async |memory| {
        let (a, b) = two(&memory);
        let (mut client, server) = pair(&a, &b).await;
        let (_listener, address) = listen(&b, 80).await;
        let _held = b.spawn(async move {
            let _server = server;
            std::future::pending::<()>().await;
        });
        pause(&memory, 1).await;
        crash(&memory, "b", Crash::Machine);
        let start = micros(&memory);
        client.write_all(b"anybody?").await.unwrap();
        nothing_comes(memory.clock(), &mut client, 1_000_000).await;
        let limit = Duration::from_secs(2);
        assert!(memory.clock().timeout(limit, a.connect(address)).await.is_err());
        let hits = memory.hits();
        assert_eq!((hits.bytes_held, hits.dials_hung, hits.tasks_dropped), (8, 1, 1));
        restart(&memory, "b");
        let error = client.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(micros(&memory) - start, 3_000_000 + 200, "asked again after 0.2+0.4+0.8+1.6 s");
        let refused = a.connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "nothing runs on it yet");
        drop(client);
        assert_eq!(memory.connections(), 0);
    });
}

#[test]
fn a_host_can_crash_itself() {
    on(1, latency(100), async |memory| {
        let (_, b) = two(&memory);
        let doomed = memory.clone();
        let task = b.spawn(async move {
            crash(&doomed, "b", Crash::Process);
            std::future::pending::<()>().await;
        });
        assert!(task.unwrap().await.unwrap_err().is_cancelled());
        assert_eq!(memory.hits().tasks_dropped, 1);
    });
}

#[test]
fn a_reset_that_a_cut_swallows_is_repeated_when_it_is_asked_for() {
    on(1, latency(100), async |memory| {
        let (a, b) = two(&memory);
        let (mut client, server) = pair(&a, &b).await;
        cut(&memory, "b", "a");
        net::Stream::reset(server);
        nothing_comes(memory.clock(), &mut client, 1_000_000).await;
        memory.repair("a", "b").unwrap();
        nothing_comes(memory.clock(), &mut client, 1_000_000).await;
        let start = micros(&memory);
        client.write_all(b"still there?").await.unwrap();
        let error = client.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!((error.kind(), micros(&memory) - start), (ErrorKind::ConnectionReset, 200));
    });
}

#[test]
fn impossible_faults_are_refused_and_change_nothing() {
    on(1, latency(100), async |memory| {
        let (a, b) = two(&memory);
        let unknown = memory.partition("a", "c").unwrap_err();
        assert_eq!(unknown, FaultError::UnknownHost("c".to_owned()));
        assert_eq!(unknown.to_string(), "no host of this network is called `c`");
        let (from, to) = ("a".to_owned(), "b".to_owned());
        let loss = NetworkFault::Loss { from, to, probability: -1.0 };
        let error = memory.inflict(&loss).unwrap_err();
        assert_eq!(error.to_string(), "`loss` must be 0 to 1");
        pair(&a, &b).await;
        let nobody = SocketAddr::new(b.ip(), 9);
        assert!(a.connect(nobody).await.is_err());
    });
}
