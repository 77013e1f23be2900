//! The same seed, the same network; and whatever happens on the way, the same bytes in the same order.

use std::time::Duration;

use net::{Faults, LinkSettings, Listener, Net};
use policy::{
    Rng, Seed,
    distribution::Distribution,
    quantity::{Bandwidth, TimeSpan},
    work::Pattern,
};
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::{JoinSet, spawn_local},
};

use crate::support::{listen, micros, on, pair, pause, two};

fn rough() -> LinkSettings {
    LinkSettings {
        latency: Distribution::Exponential { mean: TimeSpan(Duration::from_micros(300)) },
        bandwidth: Some(Bandwidth(50_000_000)),
        loss: 0.02,
    }
}

/// Twenty clients that talk to one server over a rough network.
fn bustle(seed: u64) -> (u64, u64, u64) {
    on(seed, rough(), async |memory| {
        let (a, b) = two(&memory);
        let (listener, address) = listen(&b, 80).await;
        spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                spawn_local(async move {
                    let mut buf = [0; 1000];
                    while let Ok(count @ 1..) = stream.read(&mut buf).await {
                        if stream.write_all(&buf[..count]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        let mut clients = JoinSet::new();
        for client in 0..20 {
            let (a, clock) = (a.clone(), *memory.clock());
            clients.spawn_local(async move {
                let mut rng: Rng = Seed(seed).nth(client).rng();
                for _ in 0..5 {
                    let mut stream = a.connect(address).await.unwrap();
                    for _ in 0..5 {
                        let length = 1 + rng.index(3000);
                        stream.write_all(&vec![1; length]).await.unwrap();
                        stream.read_exact(&mut vec![0; length]).await.unwrap();
                        clock.sleep(Duration::from_micros(rng.below(500))).await;
                    }
                }
            });
        }
        while clients.join_next().await.transpose().unwrap().is_some() {}
        (memory.trace(), memory.segments(), micros(&memory))
    })
}

#[test]
fn a_seed_gives_the_same_events_and_another_gives_others() {
    let first = bustle(1);
    assert_eq!(first, bustle(1));
    // In every process, on every machine. Who changes what a seed means changes this.
    assert_eq!(first.0, 11_404_254_511_738_686_224);
    let other = bustle(2);
    assert_ne!(first.0, other.0);
    assert!(first.1 > 1500, "{} segments", first.1);
}

#[test]
fn another_host_shifts_no_latency() {
    let run = |extra: bool| {
        on(3, rough(), async |memory| {
            if extra {
                memory.add_host("c", crate::support::ip(3)).unwrap();
            }
            let (a, b) = two(&memory);
            let (mut client, mut server) = pair(&a, &b).await;
            for _ in 0..50 {
                client.write_all(b"x").await.unwrap();
                server.read_exact(&mut [0; 1]).await.unwrap();
            }
            micros(&memory)
        })
    };
    assert_eq!(run(false), run(true));
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    Read(usize),
    Wait(u64),
    Cut,
    Repair,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_usize..40_000).prop_map(Step::Write),
        4 => (1_usize..40_000).prop_map(Step::Read),
        2 => (0_u64..400_000).prop_map(Step::Wait),
        1 => Just(Step::Cut),
        1 => Just(Step::Repair),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_arrive_whole_and_in_order_whatever_happens(seed: u64, steps in steps()) {
        let moment = Duration::from_micros(1);
        on(seed, rough(), async |memory| {
            let (a, b) = two(&memory);
            let (mut client, mut server) = pair(&a, &b).await;
            let clock = *memory.clock();
            let pattern = Pattern::new(seed);
            let (mut written, mut read) = (0_u64, 0_u64);
            let mut buf = vec![0; 40_000];
            for step in steps {
                match step {
                    Step::Write(count) => {
                        pattern.fill(written, &mut buf[..count]);
                        if let Ok(count) = clock.timeout(moment, client.write(&buf[..count])).await {
                            written += count.unwrap() as u64;
                        }
                    }
                    Step::Read(count) => {
                        if let Ok(count) = clock.timeout(moment, server.read(&mut buf[..count])).await {
                            let count = count.unwrap();
                            assert_eq!(pattern.mismatch(read, &buf[..count]), None);
                            read += count as u64;
                        }
                    }
                    Step::Wait(micros) => pause(&memory, micros).await,
                    Step::Cut => memory.partition("a", "b").unwrap(),
                    Step::Repair => memory.repair("b", "a").unwrap(),
                }
                assert!(read <= written && written - read <= 256 * 1024);
            }
            drop(client);
            memory.repair("a", "b").unwrap();
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).await.unwrap();
            assert_eq!(pattern.mismatch(read, &rest), None);
            assert_eq!(read + rest.len() as u64, written);
        });
    }
}

#[test]
fn computing_takes_no_time() {
    on(1, rough(), async |memory| {
        let (a, _) = two(&memory);
        let before = a.clock().now();
        let here = std::thread::current().id();
        let there = a.compute(|| std::thread::current().id()).await;
        assert_eq!((there.ok(), a.clock().now()), (Some(here), before));
    });
}
