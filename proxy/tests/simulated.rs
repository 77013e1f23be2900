//! The whole path on the simulated network: the load generator, the engine and a backend on three hosts, on virtual time.
//!
//! What a request takes can be written down beforehand, to the microsecond: so any timer that is not the clock's, and
//! anything that is random, shows.

#![allow(clippy::float_cmp, reason = "figures of virtual time are exact")]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use backend_sim::BackendConfig;
use loadgen::{Carry, Ledger, NamedLoad, Plan, Progress, Share, Stop};
use net::{
    BindOptions, Net,
    memory::{Host, LinkSettings, Memory, MemorySettings},
};
use policy::{Seed, distribution::Distribution, quantity::TimeSpan};
use proxy::{
    config::{EndpointConfig, ProxyConfig},
    engine::{Shared, State, WorkerArguments, run_worker},
};
use reports::RecorderConfig;
use tokio::sync::watch;

const MICRO: Duration = Duration::from_micros(1);

/// A run as it was.
#[derive(Debug, PartialEq)]
struct Seen {
    figures: Vec<(String, f64)>,
    connections: u64,
    trace: u64,
    segments: u64,
    ended: u64,
}

impl Seen {
    fn figure(&self, name: &str) -> f64 {
        let found = self.figures.iter().find(|(known, _)| known == name);
        let (_, value) = found.unwrap_or_else(|| panic!("no {name}: {:?}", self.figures));
        *value
    }
}

/// What a run is made of.
struct Tunnel<'a> {
    seed: u64,
    link: LinkSettings,
    endpoints: u8,
    backend: BackendConfig,
    proxy: &'a str,
    load: &'a str,
    duration: Duration,
}

fn constant(time: Duration) -> Distribution<TimeSpan> {
    Distribution::Constant(TimeSpan(time))
}

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

async fn serve(host: &Host, listen: SocketAddr, config: ProxyConfig, seed: Seed) {
    let listener = host.bind(listen, BindOptions::default()).await.expect("a free address");
    let shared = Arc::new(Shared::new(1, host.clock().now()));
    let (keep, state) = watch::channel(State::new(config));
    run_worker(host.clone(), listener, WorkerArguments { shared, index: 0, state, seed }).await;
    drop(keep);
}

/// Runs it; nothing but its parameters decides what happens.
fn run(tunnel: &Tunnel) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let seed = Seed(tunnel.seed);
        let settings = MemorySettings { link: tunnel.link.clone(), ..MemorySettings::default() };
        let memory = Memory::new(seed, settings).expect("possible settings");
        let client = memory.add_host("client", ip(1)).expect("a new host");
        let host = memory.add_host("proxy", ip(2)).expect("a new host");
        let mut config: ProxyConfig = toml::from_str(tunnel.proxy).expect("a configuration");
        let mut endpoints = Vec::new();
        for index in 0..tunnel.endpoints {
            let name = format!("web-{index}");
            let address = SocketAddr::new(ip(10 + index), 8080);
            let backend = memory.add_host(&name, address.ip()).expect("a new host");
            let (net, settings) = (backend.clone(), tunnel.backend.clone());
            config.endpoints.push(EndpointConfig::new(address));
            endpoints.push(name.clone());
            let serving = async move {
                backend_sim::serve(net, seed, &name, address, &settings).await.expect("a backend")
            };
            backend.spawn(serving).expect("it runs").await.expect("it was not dropped");
        }
        let listen = SocketAddr::new(host.ip(), 80);
        let net = host.clone();
        let serving = async move { serve(&net, listen, config, seed).await };
        drop(host.spawn(serving).expect("it runs"));
        memory.clock().sleep(MICRO).await;

        let load = toml::from_str(tunnel.load).expect("a load");
        let mut recorder = RecorderConfig::new(Some(tunnel.duration), Duration::ZERO);
        recorder.endpoints = endpoints;
        let plan = Plan {
            loads: vec![NamedLoad { name: "load".to_owned(), load, work: None }],
            seed,
            duration: Some(tunnel.duration),
            address: listen,
            host: "test".to_owned(),
            recorder,
            carry: Carry::Work,
            payload: None,
            share: Share::WHOLE,
        };
        let net = client.clone();
        let sending = async move {
            let start = net.clock().now();
            let progress = Arc::new(Progress::default());
            loadgen::run(&net, &plan, start, progress, Stop::never()).await.expect("a plan").0
        };
        let ledger: Ledger =
            client.spawn(sending).expect("it runs").await.expect("it was not dropped");
        assert!(ledger.failures.is_empty(), "{:?}", ledger.failures);
        let figures = ledger.recorder.clone().finish().metrics;
        Seen {
            figures: figures.iter().map(|(name, value)| (name.to_string(), value.value)).collect(),
            connections: ledger.connections,
            trace: memory.trace(),
            segments: memory.segments(),
            ended: memory.clock().now().as_nanos(),
        }
    })
}

/// The same, and how many requests a second of real time saw.
fn timed(tunnel: &Tunnel) -> Seen {
    #[allow(clippy::disallowed_methods, reason = "real time is printed and decides nothing")]
    let start = std::time::Instant::now();
    let seen = run(tunnel);
    let rate = seen.figure("ok") / start.elapsed().as_secs_f64();
    println!("{rate:.0} requests per wall second, {} segments", seen.segments);
    seen
}

#[test]
fn each_request_takes_what_its_parts_take() {
    let link = LinkSettings { latency: constant(200 * MICRO), ..LinkSettings::default() };
    let tunnel = Tunnel {
        seed: 7,
        link,
        endpoints: 1,
        backend: BackendConfig {
            service: constant(Duration::from_millis(5)),
            ..BackendConfig::default()
        },
        proxy: "",
        load: "arrivals = { constant = { rate = 100 } }",
        duration: Duration::from_secs(10),
    };
    let seen = timed(&tunnel);
    // The service and four times a link; the first connects twice before, at a round trip each.
    let [first, others] = [5.0 + 8.0 * 0.2, 5.0 + 4.0 * 0.2];
    assert_eq!(seen.figure("ok"), 1000.0);
    assert_eq!(seen.figure("latency.max"), first);
    assert_eq!(seen.figure("latency.min"), others);
    let mean = (first + 999.0 * others) / 1000.0;
    assert!((seen.figure("latency.mean") - mean).abs() < 1e-9, "{}", seen.figure("latency.mean"));
    assert_eq!((seen.connections, seen.figure("sent_late")), (1, 0.0));
    // Each message is one segment; beside them two handshakes, and the end of the client's connection.
    assert_eq!(seen.segments, 4 * 1000 + 2 * 2 + 1);
    assert_eq!(seen, timed(&tunnel), "the same seed gives the same run");
}

#[test]
fn a_seed_gives_the_same_run_on_a_rough_network() {
    let latency = Distribution::Exponential { mean: TimeSpan(200 * MICRO) };
    let mut tunnel = Tunnel {
        seed: 7,
        link: LinkSettings { latency, loss: 0.001, ..LinkSettings::default() },
        endpoints: 10,
        backend: BackendConfig { workers: 4, ..BackendConfig::default() },
        proxy: "[balance]\nstrategy = \"p2c\"",
        load: "arrivals = { poisson = { rate = 1000 } }\nrequest = [{ work = { exponential = { mean = \"10ms\" } } }]",
        duration: Duration::from_secs(2),
    };
    let seen = timed(&tunnel);
    assert_eq!(seen, timed(&tunnel));
    tunnel.seed = 8;
    assert_ne!(seen.trace, timed(&tunnel).trace);
}
