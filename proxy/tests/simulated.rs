//! The whole path on the simulated network: the load generator, the engine and a backend on three hosts, on virtual time.
//!
//! What a request takes can be written down beforehand, to the microsecond: so any timer that is not the clock's, and
//! anything that is random, shows.

#![allow(clippy::float_cmp, reason = "figures of virtual time are exact")]

use std::{
    cell::RefCell,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use backend_sim::{BackendConfig, content::ContentConfig};
use loadgen::{Carry, Ledger, NamedLoad, Plan, Progress, Share, Stop};
use net::{
    BindOptions, Crash, Faults, Hits, LinkSettings, Net, NetworkFault,
    memory::{Host, Memory, MemorySettings},
};
use policy::{
    Seed,
    distribution::Distribution,
    quantity::{ByteSize, TimeSpan},
};
use proxy::{
    config::{EndpointConfig, ProxyConfig},
    engine::{Fact, Shared, Standing, State, Turn, Witness, WorkerArguments, run_worker},
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
    failures: Vec<String>,
    hits: Hits,
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
    /// What goes wrong, and how long after the first request is due.
    faults: Vec<(Duration, NetworkFault)>,
}

fn constant(time: Duration) -> Distribution<TimeSpan> {
    Distribution::Constant(TimeSpan(time))
}

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

async fn serve(
    host: &Host,
    listen: SocketAddr,
    config: ProxyConfig,
    seed: Seed,
    witness: Option<Rc<dyn Witness>>,
) {
    let listener = host.bind(listen, BindOptions::default()).await.expect("a free address");
    let shared = Arc::new(Shared::new(1, host.clock().now()));
    let (keep, state) = watch::channel(State::new(config, Seed(1)));
    let arguments = WorkerArguments { shared, index: 0, state, seed, witness };
    run_worker(host.clone(), listener, arguments).await;
    drop(keep);
}

/// Starts a backend on its host.
async fn start(host: &Host, seed: Seed, config: &BackendConfig) {
    let (net, config) = (host.clone(), config.clone());
    let serving = async move {
        let address = SocketAddr::new(net.ip(), 8080);
        let name = net.name().to_owned();
        drop(backend_sim::serve(net, seed, &name, address, &config).await.expect("a backend"));
        // The host runs something until it crashes.
        std::future::pending::<()>().await;
    };
    drop(host.spawn(serving).expect("it runs"));
    host.clock().sleep(MICRO).await;
}

/// Lets everything go wrong at its time; a host that is restarted serves again.
async fn trouble(
    memory: Memory,
    faults: Vec<(Duration, NetworkFault)>,
    backends: Vec<Host>,
    seed: Seed,
    config: BackendConfig,
) {
    let begin = memory.clock().now();
    for (at, fault) in faults {
        memory.clock().sleep_until(begin + at).await;
        memory.inflict(&fault).expect("a fault of this network");
        if let NetworkFault::Restart { host } = &fault
            && let Some(backend) = backends.iter().find(|backend| backend.name() == host)
        {
            start(backend, seed, &config).await;
        }
    }
}

/// Runs it; nothing but its parameters decides what happens.
fn run(tunnel: &Tunnel) -> Seen {
    run_before(tunnel, None)
}

/// The same before a witness.
fn run_before(tunnel: &Tunnel, witness: Option<Rc<dyn Witness>>) -> Seen {
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
        let (mut endpoints, mut backends) = (Vec::new(), Vec::new());
        for index in 0..tunnel.endpoints {
            let name = format!("web-{index}");
            let backend = memory.add_host(&name, ip(10 + index)).expect("a new host");
            let address = SocketAddr::new(backend.ip(), 8080);
            config.endpoints.push(EndpointConfig::new(address));
            endpoints.push(name);
            start(&backend, seed, &tunnel.backend).await;
            backends.push(backend);
        }
        let listen = SocketAddr::new(host.ip(), 80);
        let net = host.clone();
        let serving = async move { serve(&net, listen, config, seed, witness).await };
        drop(host.spawn(serving).expect("it runs"));
        memory.clock().sleep(MICRO).await;

        let load = toml::from_str(tunnel.load).expect("a load");
        let mut recorder = RecorderConfig::new(Some(tunnel.duration), Duration::ZERO);
        recorder.endpoints = endpoints;
        let plan = Plan {
            loads: vec![NamedLoad { name: "load".to_owned(), load, work: None }],
            seed,
            duration: Some(tunnel.duration),
            addresses: vec![listen],
            host: "test".to_owned(),
            recorder,
            carry: Carry::Work,
            payload: None,
            share: Share::WHOLE,
            only: None,
        };
        let faults = tunnel.faults.clone();
        let config = tunnel.backend.clone();
        tokio::task::spawn_local(trouble(memory.clone(), faults, backends, seed, config));
        let net = client.clone();
        let sending = async move {
            let start = net.clock().now();
            let progress = Arc::new(Progress::default());
            loadgen::run(&net, &plan, start, progress, Stop::never()).await.expect("a plan").0
        };
        let ledger: Ledger =
            client.spawn(sending).expect("it runs").await.expect("it was not dropped");
        let failures = ledger.failures.iter();
        let failures = failures.map(|(kind, of)| format!("{} {kind}: {}", of.count, of.example));
        let failures = failures.collect();
        let figures = ledger.recorder.clone().finish().metrics;
        Seen {
            figures: figures.iter().map(|(name, value)| (name.to_string(), value.value)).collect(),
            connections: ledger.connections,
            trace: memory.trace(),
            segments: memory.segments(),
            ended: memory.clock().now().as_nanos(),
            failures,
            hits: memory.hits(),
        }
    })
}

/// The same, and how many requests a second of real time saw.
fn timed(tunnel: &Tunnel) -> Seen {
    #[allow(clippy::disallowed_methods, reason = "real time is printed and decides nothing")]
    let start = std::time::Instant::now();
    let seen = run(tunnel);
    let rate = seen.figure("ok") / start.elapsed().as_secs_f64();
    println!("{rate:.0} requests per wall second, {} segments, {:x}", seen.segments, seen.trace);
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
        faults: Vec::new(),
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
    assert_eq!((&seen.failures, seen.hits), (&Vec::new(), Hits::default()));
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
        faults: Vec::new(),
    };
    let seen = timed(&tunnel);
    assert_eq!(seen, timed(&tunnel));
    tunnel.seed = 8;
    assert_ne!(seen.trace, timed(&tunnel).trace);
}

/// What the proxy draws for names, what it compresses and what it counts is the seed's as well.
#[test]
fn a_seed_gives_the_same_names_and_the_same_compressed_bytes() {
    let content = ContentConfig { media_type: "text/plain".into(), ..ContentConfig::default() };
    let mut tunnel = Tunnel {
        seed: 7,
        link: LinkSettings { latency: constant(200 * MICRO), ..LinkSettings::default() },
        endpoints: 2,
        backend: BackendConfig {
            content: Some(content),
            response: Distribution::Constant(ByteSize(20_000)),
            ..BackendConfig::default()
        },
        proxy: "[tracing]\nrequest_id = true\ntraceparent = true\nsampled = 0.5\n[compression]\nenabled = true\n\
                [analytics]\nenabled = true\nkeys = 10\n",
        load: "arrivals = { poisson = { rate = 100 } }\n\
               request = [{ path = \"/1\", headers = { \"accept-encoding\" = \"zstd\" } }, \
               { path = \"/2\", headers = { \"accept-encoding\" = \"br\" } }, \
               { path = \"/3\", headers = { \"accept-encoding\" = \"gzip\" } }]",
        duration: Duration::from_secs(2),
        faults: Vec::new(),
    };
    let seen = run(&tunnel);
    assert_eq!(seen.failures, [""; 0]);
    assert!(seen.figure("ok") > 100.0);
    assert_eq!(seen, run(&tunnel));
    tunnel.seed = 8;
    assert_ne!(seen.trace, run(&tunnel).trace);
}

#[test]
fn a_dial_across_a_cut_hangs_for_as_long_as_the_proxy_is_patient() {
    let link = LinkSettings { latency: constant(200 * MICRO), ..LinkSettings::default() };
    let (from, to) = ("proxy".to_owned(), "web-0".to_owned());
    let seen = run(&Tunnel {
        seed: 7,
        link,
        endpoints: 1,
        backend: BackendConfig::default(),
        proxy: "timeouts = { connect = \"700ms\" }\nretry = { attempts = 0 }\nhealth = { kind = \"off\" }",
        load: "arrivals = { constant = { rate = 1 } }",
        duration: Duration::from_secs(1),
        faults: vec![(Duration::ZERO, NetworkFault::Cut { from, to })],
    });
    assert_eq!(seen.figure("requests"), 1.0);
    // To the proxy three times a link, and once back: in flight for 700.8 ms of this second.
    assert!((seen.figure("in_flight.mean") - 0.7008).abs() < 1e-9);
    assert_eq!(seen.failures, ["1 failed.status_5xx: status 504"]);
    assert_eq!(seen.hits, Hits { dials_hung: 1, ..Hits::default() });
}

#[test]
fn an_endpoint_that_crashes_under_load_costs_no_request() {
    let link = LinkSettings { latency: constant(200 * MICRO), ..LinkSettings::default() };
    let host = "web-1".to_owned();
    let crash = NetworkFault::Crash { host: host.clone(), what: Crash::Process };
    let tunnel = Tunnel {
        seed: 7,
        link,
        endpoints: 3,
        backend: BackendConfig {
            workers: 10,
            service: constant(Duration::from_millis(5)),
            ..BackendConfig::default()
        },
        proxy: "",
        load: "arrivals = { poisson = { rate = 50 } }",
        duration: Duration::from_mins(1),
        faults: vec![
            (Duration::from_secs(2), crash),
            (Duration::from_secs(3), NetworkFault::Restart { host }),
        ],
    };
    let seen = run(&tunnel);
    assert_eq!(seen.failures, [""; 0], "the retry finds another");
    assert!(seen.hits.tasks_dropped == 1 && seen.hits.sockets_dropped > 1, "{:?}", seen.hits);
    assert!(seen.figure("endpoint.web-1.share") > 0.1, "it is used again when its ejection ends");
    assert_eq!(seen, run(&tunnel));
}

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Notes(RefCell<Vec<String>>);

impl Witness for Notes {
    fn configured(&self, _: &str, config: &Arc<ProxyConfig>) -> u32 {
        self.0.borrow_mut().push(format!("configured with {}", config.endpoints.len()));
        7
    }

    fn saw(&self, configuration: u32, fact: Fact<'_>) {
        assert_eq!(configuration, 7, "it calls it what it was told");
        let what = match fact {
            Fact::Turned(Turn { request, endpoint, standing, failed, .. }) => {
                assert_eq!((request.method(), standing), (&b"GET"[..], Standing::Ready));
                assert!(request.field("windtunnel-id").is_some() && request.field("x").is_none());
                format!("turned to {endpoint} after {failed}")
            }
            Fact::Sent(sending) => format!("sent to {} after {}", sending.endpoint, sending.before),
            fact => format!("{fact:?}"),
        };
        self.0.borrow_mut().push(what);
    }
}

#[test]
fn a_witness_sees_what_goes_out_and_what_comes_back() {
    let link = LinkSettings { latency: constant(200 * MICRO), ..LinkSettings::default() };
    let crash = NetworkFault::Crash { host: "web-1".to_owned(), what: Crash::Process };
    let notes = Rc::new(Notes::default());
    let tunnel = Tunnel {
        seed: 7,
        link,
        endpoints: 2,
        backend: BackendConfig {
            service: constant(Duration::from_millis(5)),
            ..BackendConfig::default()
        },
        proxy: "balance = { strategy = \"round_robin\" }\noutlier = { consecutive_failures = 1 }",
        load: "users = 1\nrequests = 2",
        duration: Duration::from_secs(1),
        // In the middle of the first request.
        faults: vec![(Duration::from_millis(4), crash)],
    };
    let seen = run_before(&tunnel, Some(Rc::clone(&notes) as Rc<dyn Witness>));
    assert_eq!((seen.figure("ok"), &seen.failures), (2.0, &Vec::new()));
    let first = [
        "configured with 2",
        "ClientCame",
        "Asked",
        "Taken(1)",
        "Dialled(1)",
        "turned to 1 after 0",
        "sent to 1 after 0",
    ];
    let notes = notes.0.borrow();
    assert_eq!(notes[..first.len()], first);
    let second =
        ["Taken(0)", "Dialled(0)", "turned to 0 after 1", "sent to 0 after 1", "GivenBack(0)"];
    let third = ["Asked", "Taken(0)", "turned to 0 after 0", "sent to 0 after 0", "GivenBack(0)"];
    let rest: Vec<&str> = notes[first.len()..].iter().map(String::as_str).collect();
    assert_eq!(rest[..2], ["Closed(1)", "GivenBack(1)"]);
    assert!(rest[2].starts_with("Ejected(1, "), "{}", rest[2]);
    assert_eq!(rest[3..8], second);
    assert_eq!(rest[8..13], third);
    // The idle connection goes with the proxy.
    assert_eq!(rest[13..], ["ClientLeft", "Closed(0)"]);
    // It changes nothing.
    assert_eq!(seen, run(&tunnel));
}

/// Counts what goes to endpoints.
#[derive(Debug, Default)]
struct Sendings(RefCell<u64>);

impl Witness for Sendings {
    fn configured(&self, _: &str, _: &Arc<ProxyConfig>) -> u32 {
        0
    }

    fn saw(&self, _: u32, fact: Fact<'_>) {
        if let Fact::Sent(_) = fact {
            *self.0.borrow_mut() += 1;
        }
    }
}

/// What so much load on one URL is for a cache that keeps each answer for a second, and how much of it came to the backend.
fn cached(seed: u64, load: &str, proxy: &str) -> (Seen, u64) {
    let tunnel = Tunnel {
        seed,
        link: LinkSettings { latency: constant(200 * MICRO), ..LinkSettings::default() },
        endpoints: 1,
        backend: BackendConfig {
            workers: 1,
            service: constant(Duration::from_millis(20)),
            content: Some(ContentConfig::default()),
            ..BackendConfig::default()
        },
        proxy: &format!("[cache]\nenabled = true\nttl = \"1s\"\n{proxy}"),
        load,
        duration: Duration::from_secs(10),
        faults: Vec::new(),
    };
    let sendings = Rc::new(Sendings::default());
    let seen = run_before(&tunnel, Some(Rc::clone(&sendings) as Rc<dyn Witness>));
    assert_eq!(seen, run(&tunnel), "the same seed gives the same run");
    let sent = *sendings.0.borrow();
    (seen, sent)
}

#[test]
fn a_stampede_on_a_cold_cache_is_one_request_to_the_backend() {
    let (seen, sent) = cached(7, "users = 1000\nrequests = 1000", "");
    assert_eq!((seen.figure("ok"), &seen.failures), (1000.0, &Vec::new()));
    assert_eq!(sent, 1);
    // All have waited for the one: connecting, asking, its service, and the way back.
    assert!(seen.figure("latency.max") < 22.0, "{} ms", seen.figure("latency.max"));
    // Without collapsing each that comes meanwhile goes by itself, and the only worker has them one after the other.
    let (alone, sent) = cached(7, "users = 100\nrequests = 100", "collapse = { enabled = false }");
    assert_eq!(sent, 100);
    assert!(alone.figure("latency.max") > 100.0 * 20.0);
}

#[test]
fn what_is_fresh_for_a_second_is_asked_for_once_a_second() {
    let load = "arrivals = { poisson = { rate = 500 } }";
    let (seen, sent) = cached(7, load, "");
    assert_eq!(seen.failures, [""; 0]);
    assert!((9..=10).contains(&sent), "{sent}");
    // Who comes while it is fetched waits for it; with stale answers in the meantime nobody does.
    assert!(seen.figure("latency.max") > 20.0);
    let (seen, sent) = cached(7, load, "stale_while_revalidate = \"1s\"");
    assert!((9..=10).contains(&sent), "{sent}");
    assert!(seen.figure("latency.p99") < 1.0, "{} ms", seen.figure("latency.p99"));
}
