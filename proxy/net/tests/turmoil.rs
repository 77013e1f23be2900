//! The network by turmoil, in ticks of 100 µs: what it must do over what turmoil does.

#![cfg(feature = "turmoil")]

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use net::{
    BindOptions, Clock, Crash, FaultError, Faults, LinkSettings, Listener, Net, NetworkFault,
    SimulatedHost, SimulatedNet, Stream,
    turmoil::{Turmoil, TurmoilHost, TurmoilSettings, TurmoilStream},
};
use policy::{
    Seed,
    distribution::Distribution,
    quantity::{Bandwidth, TimeSpan},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

fn on<T>(link: LinkSettings, world: impl AsyncFnOnce(Turmoil) -> T) -> T {
    let settings = TurmoilSettings { link, ..TurmoilSettings::default() };
    Turmoil::run(Seed(1), settings, world).expect("possible settings")
}

fn latency(count: u64) -> LinkSettings {
    let latency = Distribution::Constant(TimeSpan(micros(count)));
    LinkSettings { latency, ..LinkSettings::default() }
}

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

fn at(host: &TurmoilHost) -> u64 {
    host.clock().now().as_nanos() / 1000
}

fn link() -> (String, String) {
    ("a".to_owned(), "b".to_owned())
}

/// Runs this on `a`, while `b` does that with each connection to its port 80.
async fn between<T: 'static>(
    network: &Turmoil,
    client: impl AsyncFnOnce(TurmoilHost, SocketAddr) -> T + 'static,
    server: impl AsyncFn(TurmoilStream, Clock) + Copy + 'static,
) -> T {
    let a = network.add_host("a", ip(1)).unwrap();
    let b = network.add_host("b", ip(2)).unwrap();
    serve(&b, server);
    let address = SocketAddr::new(ip(2), 80);
    network.clock().sleep(micros(1000)).await;
    a.clone().spawn(async move { client(a, address).await }).unwrap().await.unwrap()
}

fn serve(host: &TurmoilHost, server: impl AsyncFn(TurmoilStream, Clock) + Copy + 'static) {
    let own = host.clone();
    let serving = async move {
        let (address, clock) = (SocketAddr::new(own.ip(), 80), *own.clock());
        let listener = own.bind(address, BindOptions::default()).await.unwrap();
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            assert_eq!(peer.ip(), ip(1));
            tokio::task::spawn_local(async move { server(stream, clock).await });
        }
    };
    drop(host.spawn(serving).unwrap());
}

async fn echo(mut stream: TurmoilStream, _: Clock) {
    let mut buf = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buf).await {
        if stream.write_all(&buf[..count]).await.is_err() {
            return;
        }
    }
}

async fn ask(stream: &mut TurmoilStream, length: usize) {
    stream.write_all(&vec![7; length]).await.unwrap();
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, vec![7; length]);
}

async fn nothing_comes(clock: &Clock, stream: &mut TurmoilStream, limit: Duration) {
    assert!(clock.timeout(limit, stream.read(&mut [0; 8])).await.is_err(), "something came");
}

#[test]
fn a_dial_and_each_exchange_take_a_round_trip() {
    on(latency(300), async |network| {
        let client = async |a: TurmoilHost, address| {
            let start = at(&a);
            let mut stream = a.connect(address).await.unwrap();
            assert_eq!(at(&a) - start, 600);
            ask(&mut stream, 1000).await;
            assert_eq!(at(&a) - start, 1200);
            ask(&mut stream, 200_000).await;
        };
        between(&network, client, echo).await;
    });
}

#[test]
fn without_latency_a_message_takes_a_tick_either_way() {
    on(latency(0), async |network| {
        let client = async |a: TurmoilHost, address| {
            let mut stream = a.connect(address).await.unwrap();
            let start = at(&a);
            ask(&mut stream, 10).await;
            assert_eq!(at(&a) - start, 200);
        };
        between(&network, client, echo).await;
    });
}

#[test]
fn where_nothing_listens_a_dial_is_refused_after_a_round_trip() {
    on(latency(300), async |network| {
        let client = async |a: TurmoilHost, address: SocketAddr| {
            let start = at(&a);
            let error = a.connect(SocketAddr::new(address.ip(), 81)).await.unwrap_err();
            assert_eq!((error.kind(), at(&a) - start), (ErrorKind::ConnectionRefused, 600));
            let error = a.connect(SocketAddr::new(ip(9), 81)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostUnreachable);
        };
        between(&network, client, echo).await;
        assert_eq!(network.hits().dials_refused, 1);
    });
}

#[test]
fn a_partition_holds_bytes_and_lets_dials_hang() {
    on(latency(100), async |network| {
        let direct = network.clone();
        let client = async move |a: TurmoilHost, address| {
            let mut stream = a.connect(address).await.unwrap();
            ask(&mut stream, 10).await;
            direct.partition("a", "b").unwrap();
            let start = at(&a);
            stream.write_all(b"held").await.unwrap();
            let dial = tokio::task::spawn_local({
                let a = a.clone();
                async move { a.connect(address).await.map(|_| at(&a)) }
            });
            let limit = micros(350_000);
            assert!(a.clock().timeout(limit, a.connect(address)).await.is_err());
            nothing_comes(a.clock(), &mut stream, limit).await;
            let (from, to) = link();
            let cut = NetworkFault::Cut { from: from.clone(), to: to.clone() };
            assert_eq!(direct.touched(&cut), 4 + 2);
            direct.repair("a", "b").unwrap();
            stream.read_exact(&mut [0; 4]).await.unwrap();
            assert_eq!(at(&a) - start, 1_400_200, "sent again after 0.2 + 0.4 + 0.8 s");
            assert_eq!(dial.await.unwrap().unwrap() - start, 1_000_200);
            assert_eq!(direct.touched(&NetworkFault::Repair { from, to }), 4 + 1);
        };
        between(&network, client, echo).await;
        let hits = network.hits();
        assert_eq!((hits.bytes_held, hits.dials_hung), (4, 2));
    });
}

#[test]
fn one_way_is_enough_to_stop_a_conversation() {
    on(latency(100), async |network| {
        let direct = network.clone();
        let client = async move |a: TurmoilHost, address| {
            let mut stream = a.connect(address).await.unwrap();
            let (to, from) = link();
            direct.inflict(&NetworkFault::Cut { from, to }).unwrap();
            stream.write_all(b"heard").await.unwrap();
            nothing_comes(a.clock(), &mut stream, micros(50_000)).await;
            // The answer to a dial is held as well.
            assert!(a.clock().timeout(micros(50_000), a.connect(address)).await.is_err());
            assert_eq!((direct.hits().bytes_held, direct.hits().dials_hung), (5, 1));
            direct.repair("a", "b").unwrap();
            stream.read_exact(&mut [0; 5]).await.unwrap();
        };
        between(&network, client, echo).await;
    });
}

#[test]
fn loss_delays_and_loses_nothing() {
    on(LinkSettings { loss: 0.2, ..latency(100) }, async |network| {
        let client = async |a: TurmoilHost, address| {
            let mut stream = a.connect(address).await.unwrap();
            let mut slow = 0;
            for length in 1..200 {
                let start = at(&a);
                ask(&mut stream, length).await;
                slow += u64::from(at(&a) - start > 200);
            }
            slow
        };
        let slow = between(&network, client, echo).await;
        assert!((40..120).contains(&slow), "either way one of five is lost: {slow} of 199");
        assert!(network.hits().segments_lost >= slow);
    });
}

#[test]
fn bandwidth_and_latency_change_while_it_runs_and_count_what_they_touch() {
    on(latency(100), async |network| {
        let direct = network.clone();
        let client = async move |a: TurmoilHost, address| {
            let mut stream = a.connect(address).await.unwrap();
            let (from, to) = link();
            let rate = NetworkFault::Rate {
                from: from.clone(),
                to: to.clone(),
                bandwidth: Some(Bandwidth(8_000_000)),
            };
            direct.inflict(&rate).unwrap();
            let start = at(&a);
            ask(&mut stream, 1000).await;
            assert_eq!(at(&a) - start, 1000 + 200, "a byte takes a microsecond");
            let latency = Distribution::Constant(TimeSpan(micros(5000)));
            let slow = NetworkFault::Latency { from, to, latency };
            direct.inflict(&slow).unwrap();
            ask(&mut stream, 1000).await;
            assert_eq!(at(&a) - start, 1200 + 1000 + 5000 + 100);
            assert_eq!((direct.touched(&rate), direct.touched(&slow)), (2, 1));
        };
        between(&network, client, echo).await;
    });
}

#[test]
fn half_a_stream_can_be_closed_and_a_reset_is_one() {
    on(latency(100), async |network| {
        let client = async |a: TurmoilHost, address| {
            let mut stream = a.connect(address).await.unwrap();
            stream.write_all(b"last words").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"last words");

            let mut stream = a.connect(address).await.unwrap();
            stream.write_all(b"reset me").await.unwrap();
            let mut answer = Vec::new();
            let error = stream.read_to_end(&mut answer).await.unwrap_err();
            assert_eq!((error.kind(), &answer[..]), (ErrorKind::ConnectionReset, &b"reset me"[..]));
            assert!(stream.write_all(b"?").await.is_err());
        };
        let server = async |mut stream: TurmoilStream, _: Clock| {
            let mut buf = [0; 100];
            let count = stream.read(&mut buf).await.unwrap();
            stream.write_all(&buf[..count]).await.unwrap();
            if &buf[..count] == b"reset me" {
                stream.reset();
            }
        };
        between(&network, client, server).await;
    });
}

#[test]
fn a_writer_waits_for_a_reader() {
    on(latency(100), async |network| {
        let client = async |a: TurmoilHost, address| {
            let mut stream = a.connect(address).await.unwrap();
            let filled = a.clock().timeout(micros(10_000), async {
                let mut sum = 0;
                while sum < 1 << 20 {
                    sum += stream.write(&[0; 10_000]).await.unwrap();
                }
            });
            assert!(filled.await.is_err(), "256 KiB is all it takes");
            a.clock().sleep(micros(100_000)).await;
            stream.write_all(&vec![0; 100_000]).await.unwrap();
        };
        let server = async |mut stream: TurmoilStream, clock: Clock| {
            clock.sleep(micros(100_000)).await;
            let mut buf = vec![0; 1 << 16];
            while let Ok(1..) = stream.read(&mut buf).await {}
        };
        between(&network, client, server).await;
    });
}

#[test]
fn a_crashed_process_is_closed_by_its_kernel_and_starts_again() {
    on(latency(100), async |network| {
        let a = network.add_host("a", ip(1)).unwrap();
        let b = network.add_host("b", ip(2)).unwrap();
        serve(&b, echo);
        let address = SocketAddr::new(ip(2), 80);
        let dialing = {
            let a = a.clone();
            async move {
                let mut stream = a.connect(address).await.unwrap();
                ask(&mut stream, 10).await;
                let end = stream.read(&mut [0; 8]).await.unwrap();
                let refused = a.connect(address).await.unwrap_err();
                (end, refused.kind(), at(&a))
            }
        };
        let dialing = a.spawn(dialing).unwrap();
        network.clock().sleep(micros(10_000)).await;
        let crash = NetworkFault::Crash { host: "b".to_owned(), what: Crash::Process };
        network.inflict(&crash).unwrap();
        // A task (that it has spawned one more is its own affair), a listener and a stream.
        assert_eq!(network.touched(&crash), 3);
        assert!(b.spawn(async {}).is_err(), "nothing runs on it");
        assert_eq!(dialing.await.unwrap(), (0, ErrorKind::ConnectionRefused, 10_000 + 100 + 200));
        network.inflict(&NetworkFault::Restart { host: "b".to_owned() }).unwrap();
        serve(&b, echo);
        let again = {
            let a = a.clone();
            async move {
                a.clock().sleep(micros(1000)).await;
                ask(&mut a.connect(address).await.unwrap(), 10).await;
            }
        };
        a.spawn(again).unwrap().await.unwrap();
        let now = network.clock().now();
        let host_time = b.clone().spawn(async move { b.clock().now() }).unwrap();
        assert!(host_time.await.unwrap().since(now) <= micros(200), "its clock has gone on");
    });
}

#[test]
fn a_crashed_machine_is_silent_and_answers_by_a_reset_when_it_is_back() {
    on(latency(100), async |network| {
        let a = network.add_host("a", ip(1)).unwrap();
        let b = network.add_host("b", ip(2)).unwrap();
        serve(&b, echo);
        let address = SocketAddr::new(ip(2), 80);
        let asking = {
            let a = a.clone();
            async move {
                a.clock().sleep(micros(1000)).await;
                let mut stream = a.connect(address).await.unwrap();
                ask(&mut stream, 10).await;
                a.clock().sleep(micros(10_000)).await;
                stream.write_all(b"anybody?").await.unwrap();
                let start = at(&a);
                nothing_comes(a.clock(), &mut stream, micros(1_000_000)).await;
                let error = stream.read(&mut [0; 8]).await.unwrap_err();
                (error.kind(), at(&a) - start)
            }
        };
        let asking = a.spawn(asking).unwrap();
        network.clock().sleep(micros(10_000)).await;
        let host = "b".to_owned();
        let crash = NetworkFault::Crash { host: host.clone(), what: Crash::Machine };
        network.inflict(&crash).unwrap();
        network.clock().sleep(micros(2_000_000)).await;
        assert_eq!(network.hits().bytes_held, 8);
        let restart = NetworkFault::Restart { host };
        network.inflict(&restart).unwrap();
        assert_eq!(asking.await.unwrap(), (ErrorKind::ConnectionReset, 3_000_200));
        assert_eq!(network.touched(&restart), 8);
    });
}

#[test]
fn a_host_can_crash_itself_and_another_can_restart_it() {
    on(latency(100), async |network| {
        let a = network.add_host("a", ip(1)).unwrap();
        let b = network.add_host("b", ip(2)).unwrap();
        let doomed = network.clone();
        let task = b.spawn(async move {
            let host = "b".to_owned();
            doomed.inflict(&NetworkFault::Crash { host, what: Crash::Process }).unwrap();
            std::future::pending::<()>().await;
        });
        assert!(task.unwrap().await.unwrap_err().is_cancelled());
        assert_eq!(network.hits().tasks_dropped, 1);
        let saviour = network.clone();
        let task = a.spawn(async move {
            saviour.inflict(&NetworkFault::Restart { host: "b".to_owned() }).unwrap();
        });
        task.unwrap().await.unwrap();
        network.clock().sleep(micros(200)).await;
        assert!(b.spawn(async {}).unwrap().await.is_ok());
    });
}

#[test]
fn a_dial_that_nobody_answers_fails_after_127_seconds() {
    let settings = TurmoilSettings { dilation: 1, ..TurmoilSettings::default() };
    let done = Turmoil::run(Seed(1), settings, async |network: Turmoil| {
        let direct = network.clone();
        let client = async move |a: TurmoilHost, address| {
            direct.partition("a", "b").unwrap();
            let start = at(&a);
            let error = a.connect(address).await.unwrap_err();
            assert_eq!((error.kind(), at(&a) - start), (ErrorKind::TimedOut, 127_000_000));
            direct.repair("a", "b").unwrap();
            ask(&mut a.connect(address).await.unwrap(), 10).await;
            assert_eq!(direct.hits().dials_hung, 1);
        };
        between(&network, client, echo).await;
    });
    done.unwrap();
}

#[test]
fn beyond_the_backlog_a_dial_is_tried_again_after_a_second() {
    on(latency(100), async |network| {
        let a = network.add_host("a", ip(1)).unwrap();
        let b = network.add_host("b", ip(2)).unwrap();
        let address = SocketAddr::new(ip(2), 80);
        let (listening, dialing) = (b.clone(), a.clone());
        let accepted = b.spawn(async move {
            let options = BindOptions { backlog: 3, ..BindOptions::default() };
            let listener = listening.bind(address, options).await.unwrap();
            listening.clock().sleep(micros(500_000)).await;
            let mut held = Vec::new();
            for _ in 0..5 {
                held.push(listener.accept().await.unwrap());
            }
            at(&listening)
        });
        let dials = a.spawn(async move {
            dialing.clock().sleep(micros(1000)).await;
            let mut dials = tokio::task::JoinSet::new();
            for _ in 0..5 {
                let a = dialing.clone();
                dials.spawn_local(async move {
                    let stream = a.connect(address).await.unwrap();
                    (stream, at(&a))
                });
            }
            let mut times: Vec<u64> = dials.join_all().await.iter().map(|(_, at)| *at).collect();
            times.sort_unstable();
            times
        });
        let times = dials.unwrap().await.unwrap();
        assert_eq!(times, [1200, 1200, 1200, 1_001_200, 1_001_200]);
        assert_eq!(accepted.unwrap().await.unwrap(), 1_001_100);
        assert_eq!(network.hits().dials_dropped, 2);
    });
}

#[test]
fn many_hosts_share_machines_and_are_told_apart() {
    let settings =
        TurmoilSettings { machines: 4, link: latency(100), ..TurmoilSettings::default() };
    let done = Turmoil::run(Seed(1), settings, async |network: Turmoil| {
        let a = network.add_host("a", ip(1)).unwrap();
        for number in 2..=9 {
            let host = network.add_host(&format!("b-{number}"), ip(number)).unwrap();
            serve(&host, echo);
        }
        let (from, to) = ("a".to_owned(), "b-6".to_owned());
        network.inflict(&NetworkFault::Cut { from: from.clone(), to: to.clone() }).unwrap();
        let asking = a.clone();
        let asked = a.spawn(async move {
            asking.clock().sleep(micros(1000)).await;
            let mut reached = Vec::new();
            for number in 2..=9 {
                let dial = asking.connect(SocketAddr::new(ip(number), 80));
                if let Ok(Ok(mut stream)) = asking.clock().timeout(micros(5000), dial).await {
                    ask(&mut stream, 100).await;
                    reached.push(number);
                }
            }
            reached
        });
        assert_eq!(asked.unwrap().await.unwrap(), [2, 3, 4, 5, 7, 8, 9]);
        let crash =
            |host: &str| NetworkFault::Crash { host: host.to_owned(), what: Crash::Process };
        let error = network.inflict(&crash("b-6")).unwrap_err();
        assert!(
            matches!(&error, FaultError::Unsupported(what) if what.contains("shares its machine"))
        );
        let error = network.partition("b-2", "b-6").unwrap_err();
        assert!(matches!(&error, FaultError::Unsupported(what) if what.contains("one machine")));
        assert_eq!(network.partition("a", "c"), Err(FaultError::UnknownHost("c".to_owned())));
        true
    });
    assert!(done.unwrap());
}

#[test]
fn sockets_are_for_those_who_run_and_settings_for_those_who_can() {
    on(latency(0), async |network| {
        let a = network.add_host("a", ip(1)).unwrap();
        assert!(a.connect(SocketAddr::new(ip(1), 80)).await.is_err());
        assert!(network.add_host("a", ip(2)).is_err());
        assert!(network.add_host("b", ip(1)).is_err());
    });
    let settings = TurmoilSettings { dilation: 7, ..TurmoilSettings::default() };
    let error = Turmoil::run(Seed(1), settings, async |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "`dilation` must divide 1000");
}
