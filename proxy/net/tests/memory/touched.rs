//! Each fault counts what it did itself, from when it was inflicted.

use std::time::Duration;

use net::{Crash, Faults, LinkSettings, Net, NetworkFault, memory::Memory};
use policy::quantity::Bandwidth;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{constant, latency, listen, on, pair, pause, two};

/// From `a` to `b`.
fn link() -> (String, String) {
    ("a".to_owned(), "b".to_owned())
}

fn cut() -> NetworkFault {
    let (from, to) = link();
    NetworkFault::Cut { from, to }
}

fn repair() -> NetworkFault {
    let (from, to) = link();
    NetworkFault::Repair { from, to }
}

fn rate(bits: Option<u64>) -> NetworkFault {
    let (from, to) = link();
    NetworkFault::Rate { from, to, bandwidth: bits.map(Bandwidth) }
}

fn slower(micros: u64) -> NetworkFault {
    let (from, to) = link();
    NetworkFault::Latency { from, to, latency: constant(micros) }
}

fn loss(probability: f64) -> NetworkFault {
    let (from, to) = link();
    NetworkFault::Loss { from, to, probability }
}

fn inflict(memory: &Memory, fault: &NetworkFault) {
    memory.inflict(fault).unwrap();
    assert_eq!(memory.touched(fault), u64::from(matches!(fault, NetworkFault::Crash { .. })) * 3);
}

#[test]
fn a_cut_counts_what_it_holds_and_its_repair_what_flows() {
    on(1, latency(100), async |memory| {
        let (a, b) = two(&memory);
        let (mut client, mut server) = pair(&a, &b).await;
        let (_listener, address) = listen(&b, 80).await;
        assert_eq!(memory.touched(&cut()), 0, "there was none");
        inflict(&memory, &cut());
        pause(&memory, 1_000_000).await;
        assert_eq!(memory.touched(&cut()), 0, "nothing was sent");
        client.write_all(b"four").await.unwrap();
        server.write_all(b"the other way").await.unwrap();
        let dial = tokio::task::spawn_local({
            let a = a.clone();
            async move { a.connect(address).await.map(|_| ()) }
        });
        let gives_up = a.clock().timeout(Duration::from_millis(10), a.connect(address)).await;
        assert!(gives_up.is_err());
        assert_eq!(memory.touched(&cut()), 4 + 2, "the bytes and the dials");
        assert_eq!(memory.touched(&repair()), 0);
        inflict(&memory, &repair());
        server.read_exact(&mut [0; 4]).await.unwrap();
        dial.await.unwrap().unwrap();
        assert_eq!(memory.touched(&repair()), 4 + 1, "nobody waits for the other dial");
        assert_eq!(memory.touched(&cut()), 6);
        inflict(&memory, &cut());
        drop(client);
        assert_eq!(memory.touched(&cut()), 1, "the end");
    });
}

#[test]
fn a_changed_link_counts_what_is_sent_over_it() {
    on(1, latency(100), async |memory| {
        let (a, b) = two(&memory);
        let (mut client, mut server) = pair(&a, &b).await;
        let mut send = async |count: usize| {
            for _ in 0..count {
                client.write_all(&[0; 1000]).await.unwrap();
            }
            server.read_exact(&mut vec![0; 1000 * count]).await.unwrap();
        };
        send(3).await;
        inflict(&memory, &slower(200));
        send(2).await;
        assert_eq!(memory.touched(&slower(0)), 2);
        inflict(&memory, &slower(100));
        send(1).await;
        assert_eq!(memory.touched(&slower(0)), 1);

        inflict(&memory, &rate(Some(8_000_000)));
        send(4).await;
        assert_eq!(memory.touched(&rate(None)), 4);
        inflict(&memory, &rate(None));
        send(5).await;
        assert_eq!(memory.touched(&rate(None)), 5, "that there is none is felt, too");

        inflict(&memory, &loss(0.5));
        send(50).await;
        let lost = memory.touched(&loss(0.0));
        assert_eq!((lost, lost > 0), (memory.hits().segments_lost, true));
        inflict(&memory, &loss(0.0));
        send(5).await;
        assert_eq!(memory.touched(&loss(0.0)), 5);
    });
}

#[test]
fn a_crash_counts_what_it_drops_and_a_restart_what_was_held_meanwhile() {
    on(1, LinkSettings::default(), async |memory| {
        let (a, b) = two(&memory);
        let (mut client, server) = pair(&a, &b).await;
        let (listener, _) = listen(&b, 80).await;
        let held = async move {
            let _held = (server, listener);
            std::future::pending::<()>().await;
        };
        drop(b.spawn(held).unwrap());
        pause(&memory, 1).await;
        let host = "b".to_owned();
        let crash = NetworkFault::Crash { host: host.clone(), what: Crash::Machine };
        // A task, a stream and a listener.
        inflict(&memory, &crash);
        client.write_all(b"four").await.unwrap();
        let restart = NetworkFault::Restart { host };
        inflict(&memory, &restart);
        assert!(client.read(&mut [0; 1]).await.is_err());
        assert_eq!((memory.touched(&restart), memory.touched(&cut())), (4, 0));
        let nowhere = NetworkFault::Restart { host: "c".to_owned() };
        assert_eq!(memory.touched(&nowhere), 0);
    });
}
