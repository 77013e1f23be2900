//! Dials and listeners: names, ports, backlogs, refusals.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use net::{
    BindOptions, Faults, Listener, Net, Sharing,
    memory::{Memory, MemorySettings},
};
use policy::Seed;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::spawn_local,
};

use crate::support::{ip, latency, listen, micros, on, pair, pause, two};

#[test]
fn where_nothing_listens_a_dial_is_refused_after_a_round_trip() {
    on(1, latency(200), async |memory| {
        let (a, b) = two(&memory);
        let address = SocketAddr::new(b.ip(), 81);
        let error = a.connect(address).await.unwrap_err();
        assert_eq!((error.kind(), micros(&memory)), (ErrorKind::ConnectionRefused, 400));
        assert_eq!(memory.hits().dials_refused, 1);
        let (listener, address) = listen(&b, 81).await;
        assert!(a.connect(address).await.is_ok());
        drop(listener);
        assert_eq!(a.connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let nobody = SocketAddr::new(ip(99), 80);
        assert_eq!(a.connect(nobody).await.unwrap_err().kind(), ErrorKind::HostUnreachable);
        pause(&memory, 10_000_000).await;
        assert_eq!(memory.connections(), 0);
    });
}

#[test]
fn beyond_the_backlog_a_dial_is_tried_again_after_1_2_4_seconds() {
    on(1, latency(200), async |memory| {
        let (a, b) = two(&memory);
        let options = BindOptions { backlog: 1, ..BindOptions::default() };
        let listener = b.bind(SocketAddr::new(b.ip(), 80), options).await.unwrap();
        let address = listener.local_address().unwrap();
        let _first = a.connect(address).await.unwrap();
        let waiting = spawn_local({
            let a = a.clone();
            async move {
                let stream = a.connect(address).await.unwrap();
                (stream, a.clock().now().as_nanos() / 1000)
            }
        });
        pause(&memory, 4_000_000).await;
        assert_eq!(memory.hits().dials_dropped, 3, "at 0.4 ms, and 1 s and 3 s later");
        listener.accept().await.unwrap();
        let (_second, at) = waiting.await.unwrap();
        assert_eq!(at, 400 + 7_000_000 + 400);
    });
}

#[test]
fn a_dial_that_nobody_answers_fails_after_127_seconds_or_when_it_is_given_up() {
    on(1, latency(200), async |memory| {
        let (a, b) = two(&memory);
        let (_listener, address) = listen(&b, 80).await;
        memory.partition("a", "b").unwrap();
        let limit = Duration::from_secs(3);
        assert!(memory.clock().timeout(limit, a.connect(address)).await.is_err());
        assert_eq!(micros(&memory), 3_000_000);
        assert_eq!((memory.hits().dials_hung, memory.connections()), (1, 0));
        let error = a.connect(address).await.unwrap_err();
        assert_eq!((error.kind(), micros(&memory)), (ErrorKind::TimedOut, 130_000_000));
        assert_eq!(memory.hits().dials_hung, 2);
    });
}

#[test]
fn a_dial_that_was_given_up_leaves_nothing_in_the_backlog() {
    on(1, latency(200), async |memory| {
        let (a, b) = two(&memory);
        let (listener, address) = listen(&b, 80).await;
        let limit = Duration::from_micros(300);
        assert!(memory.clock().timeout(limit, a.connect(address)).await.is_err());
        let client = a.connect(address).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        drop(client);
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0, "it is the second");
        drop(server);
        pause(&memory, 10_000).await;
        assert_eq!(memory.connections(), 0);
    });
}

#[test]
fn only_shared_addresses_can_be_bound_twice_and_share_in_turn() {
    on(1, latency(1), async |memory| {
        let (a, b) = two(&memory);
        let shared = BindOptions { sharing: Sharing::Shared, ..BindOptions::default() };
        let any = SocketAddr::new(b.ip(), 0);
        let one = b.bind(any, shared).await.unwrap();
        let address = one.local_address().unwrap();
        let two = b.bind(address, shared).await.unwrap();
        for _ in 0..2 {
            let _client = a.connect(address).await.unwrap();
            one.accept().await.unwrap();
            let _client = a.connect(address).await.unwrap();
            two.accept().await.unwrap();
        }
        let taken = |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::AddrInUse);
        taken(b.bind(address, BindOptions::default()).await.unwrap_err());
        let everywhere = SocketAddr::from(([0, 0, 0, 0], address.port()));
        taken(b.bind(everywhere, BindOptions::default()).await.unwrap_err());
        let other = b.bind(any, BindOptions::default()).await.unwrap();
        assert_ne!(other.local_address().unwrap(), address);
        drop((one, two));
        let everywhere = b.bind(everywhere, BindOptions::default()).await.unwrap();
        let _client = a.connect(address).await.unwrap();
        everywhere.accept().await.unwrap();
        let elsewhere = a.bind(any, BindOptions::default()).await.unwrap_err();
        assert_eq!(elsewhere.kind(), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn hosts_have_names_and_a_loopback_of_their_own() {
    on(1, latency(500), async |memory| {
        let (a, b) = two(&memory);
        assert_eq!(a.resolve("b", 80).await.unwrap(), [SocketAddr::new(ip(2), 80)]);
        assert_eq!(a.resolve("10.0.0.9", 1).await.unwrap(), [SocketAddr::new(ip(9), 1)]);
        assert_eq!(a.resolve("nobody", 80).await.unwrap_err().kind(), ErrorKind::NotFound);
        let here = SocketAddr::from(([127, 0, 0, 1], 80));
        let listener = b.bind(here, BindOptions::default()).await.unwrap();
        let mut client = b.connect(here).await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        assert!(peer.ip().is_loopback());
        client.write_all(b"x").await.unwrap();
        server.read_exact(&mut [0; 1]).await.unwrap();
        assert_eq!(micros(&memory), 0, "a host reaches itself at once");
        assert_eq!(a.connect(here).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(memory.add_host("b", ip(3)).is_err() && memory.add_host("c", ip(2)).is_err());
        assert!(memory.add_host("c", [127, 0, 0, 1].into()).is_err());
    });
}

#[test]
fn a_host_runs_out_of_ports_and_gets_them_back() {
    on(1, latency(0), async |memory| {
        let (a, b) = two(&memory);
        let options = BindOptions { backlog: 100_000, ..BindOptions::default() };
        let listener = b.bind(SocketAddr::new(b.ip(), 80), options).await.unwrap();
        let address = listener.local_address().unwrap();
        let mut clients = Vec::new();
        let error = loop {
            match a.connect(address).await {
                Ok(stream) => clients.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), clients.len()), (ErrorKind::AddrNotAvailable, 28_232));
        clients.clear();
        drop(listener);
        assert_eq!(memory.connections(), 0);
        let (_listener, address) = listen(&b, 80).await;
        assert!(a.connect(address).await.is_ok());
        pair(&a, &b).await;
    });
}

#[test]
fn impossible_settings_are_refused() {
    on(1, latency(0), async |_| {
        let settings = MemorySettings { window: 0, ..MemorySettings::default() };
        assert!(Memory::new(Seed(1), settings).is_err());
        let mut settings = MemorySettings::default();
        settings.link.loss = 1.5;
        let error = Memory::new(Seed(1), settings).unwrap_err();
        assert_eq!(error.to_string(), "`loss` must be 0 to 1");
    });
}
