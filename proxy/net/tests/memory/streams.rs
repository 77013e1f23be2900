//! Streams: when bytes arrive, how many may be under way, and how a stream ends.

use std::io::ErrorKind;

use net::{Net, Stream, memory::MemorySettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::spawn_local,
};

use crate::support::{bandwidth, latency, micros, on, pair, pause, two, with};

#[test]
fn a_dial_takes_a_round_trip_and_a_byte_half_of_one() {
    on(1, latency(200), async |memory| {
        let (a, b) = two(&memory);
        let (listener, address) = crate::support::listen(&b, 80).await;
        let mut client = a.connect(address).await.unwrap();
        assert_eq!(micros(&memory), 400);
        client.write_all(b"ping").await.unwrap();
        assert_eq!(micros(&memory), 400, "a write takes no time");
        let (mut server, peer) = net::Listener::accept(&listener).await.unwrap();
        assert_eq!(micros(&memory), 600, "when the handshake's third packet is there");
        assert_eq!((peer, address), client.addresses().unwrap());
        let mut buf = [0; 4];
        server.read_exact(&mut buf).await.unwrap();
        assert_eq!((&buf, micros(&memory)), (b"ping", 600));
        server.write_all(b"pong").await.unwrap();
        client.read_exact(&mut buf).await.unwrap();
        assert_eq!((&buf, micros(&memory)), (b"pong", 800));
    });
}

#[test]
fn bandwidth_is_shared_by_the_connections_of_a_link() {
    // 8 Mbit/s: a byte a microsecond.
    on(1, bandwidth(100, 8_000_000), async |memory| {
        let (a, b) = two(&memory);
        let (mut one, mut one_end) = pair(&a, &b).await;
        let (mut two, mut two_end) = pair(&a, &b).await;
        let start = micros(&memory);
        one.write_all(&[1; 1000]).await.unwrap();
        two.write_all(&[2; 500]).await.unwrap();
        let mut buf = [0; 1000];
        one_end.read_exact(&mut buf).await.unwrap();
        assert_eq!(micros(&memory) - start, 1100);
        two_end.read_exact(&mut buf[..500]).await.unwrap();
        assert_eq!(micros(&memory) - start, 1600, "behind the other connection");
        two_end.write_all(&[3; 300]).await.unwrap();
        two.read_exact(&mut buf[..300]).await.unwrap();
        assert_eq!(micros(&memory) - start, 2000, "the other direction is free");
    });
}

#[test]
fn a_large_message_arrives_piece_by_piece() {
    on(1, bandwidth(100, 8_000_000), async |memory| {
        let (a, b) = two(&memory);
        let (mut client, mut server) = pair(&a, &b).await;
        let start = micros(&memory);
        client.write_all(&vec![7; 40_000]).await.unwrap();
        let mut buf = vec![0; 40_000];
        let first = server.read(&mut buf).await.unwrap();
        assert_eq!((first, micros(&memory) - start), (16_384, 16_484));
        server.read_exact(&mut buf[first..]).await.unwrap();
        assert_eq!(micros(&memory) - start, 40_100);
    });
}

#[test]
fn a_writer_waits_for_a_reader() {
    let settings = MemorySettings { link: latency(100), window: 1000, ..MemorySettings::default() };
    with(1, settings, async |memory| {
        let (a, b) = two(&memory);
        let (mut client, mut server) = pair(&a, &b).await;
        assert_eq!(client.write(&[1; 1500]).await.unwrap(), 1000);
        let clock = *memory.clock();
        let limit = std::time::Duration::from_secs(1);
        assert!(clock.timeout(limit, client.write(&[1; 1])).await.is_err(), "unread for a second");
        let start = micros(&memory);
        let writing = spawn_local(async move {
            client.write_all(&[2; 700]).await.unwrap();
            (client, clock.now().as_nanos() / 1000)
        });
        pause(&memory, 50).await;
        let mut buf = [0; 400];
        server.read_exact(&mut buf).await.unwrap();
        pause(&memory, 50).await;
        server.read_exact(&mut buf).await.unwrap();
        let (_client, written) = writing.await.unwrap();
        assert_eq!(written - start, 100, "when there was room for the rest of it");
    });
}

#[test]
fn half_a_stream_can_be_closed() {
    on(1, latency(100), async |memory| {
        let (a, b) = two(&memory);
        let (mut client, mut server) = pair(&a, &b).await;
        let start = micros(&memory);
        client.write_all(b"all").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(client.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.unwrap();
        assert_eq!((got.as_slice(), micros(&memory) - start), (&b"all"[..], 100));
        server.write_all(b"the other half").await.unwrap();
        drop(server);
        client.read_to_end(&mut got).await.unwrap();
        assert_eq!((got.as_slice(), micros(&memory) - start), (&b"allthe other half"[..], 200));
        drop(client);
        pause(&memory, 1000).await;
        assert_eq!(memory.connections(), 0, "nothing is left of it");
    });
}

#[test]
fn a_reset_is_seen_as_one_after_what_came_before_it() {
    on(1, latency(100), async |memory| {
        let (a, b) = two(&memory);
        let (mut client, mut server) = pair(&a, &b).await;
        server.write_all(b"half").await.unwrap();
        let start = micros(&memory);
        server.reset();
        let mut buf = [0; 10];
        pause(&memory, 500).await;
        assert_eq!(client.read(&mut buf).await.unwrap(), 4, "as on Linux");
        assert_eq!(client.read(&mut buf).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        drop(client);

        let (mut client, server) = pair(&a, &b).await;
        let begun = micros(&memory);
        server.reset();
        assert_eq!(client.read(&mut buf).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(micros(&memory) - begun, 100, "it wakes the reader when it arrives");
        assert!(begun > start);
        drop(client);
        pause(&memory, 1000).await;
        assert_eq!(memory.connections(), 0);
    });
}

#[test]
fn what_was_left_unread_resets() {
    on(1, latency(100), async |memory| {
        let (a, b) = two(&memory);
        let mut buf = [0; 10];
        // Unread when it closes.
        let (mut client, server) = pair(&a, &b).await;
        client.write_all(b"unread").await.unwrap();
        pause(&memory, 200).await;
        drop(server);
        assert_eq!(client.read(&mut buf).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        // Arriving after it has closed: first an orderly end, then the reset.
        let (mut client, server) = pair(&a, &b).await;
        client.write_all(b"too late").await.unwrap();
        drop(server);
        assert_eq!(client.read(&mut buf).await.unwrap(), 0);
        pause(&memory, 200).await;
        assert_eq!(client.read(&mut buf).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn without_latency_everything_is_at_once() {
    on(1, latency(0), async |memory| {
        let (a, b) = two(&memory);
        let (mut client, mut server) = pair(&a, &b).await;
        let echo = spawn_local(async move {
            let mut buf = [0; 64];
            while let Ok(count @ 1..) = server.read(&mut buf).await {
                server.write_all(&buf[..count]).await.unwrap();
            }
        });
        let mut buf = [0; 64];
        for _ in 0..1000 {
            client.write_all(&[9; 64]).await.unwrap();
            client.read_exact(&mut buf).await.unwrap();
        }
        drop(client);
        echo.await.unwrap();
        assert_eq!((micros(&memory), memory.connections()), (0, 0));
    });
}
