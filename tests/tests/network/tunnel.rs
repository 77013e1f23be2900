//! A client, a proxy and backends on hosts of their own, and what is seen of them.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use backend_sim::{BackendConfig, Endpoint};
use loadgen::{Carry, Ledger, NamedLoad, Plan, Progress, Share, Stop};
use net::{
    BindOptions, Crash, Hits, LinkSettings, NetworkFault, SimulatedHost, SimulatedNet,
    memory::{Memory, MemorySettings},
    turmoil::{Turmoil, TurmoilSettings},
};
use policy::{Seed, distribution::Distribution, quantity::TimeSpan};
use proxy::{
    config::{EndpointConfig, ProxyConfig},
    engine::{Counter, Shared, State, WorkerArguments, run_worker},
};
use reports::RecorderConfig;
use tokio::{sync::watch, task::JoinHandle};

/// So many ticks of turmoil's are in a millisecond, unless a test says otherwise.
pub(crate) const DILATION: u32 = 10;

pub(crate) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) fn constant(time: Duration) -> Distribution<TimeSpan> {
    Distribution::Constant(TimeSpan(time))
}

/// What a run is made of.
#[derive(Clone)]
pub(crate) struct Tunnel {
    pub(crate) seed: u64,
    pub(crate) dilation: u32,
    pub(crate) link: LinkSettings,
    pub(crate) endpoints: u8,
    pub(crate) backend: BackendConfig,
    pub(crate) proxy: &'static str,
    /// Connections that may wait for the proxy.
    pub(crate) backlog: u32,
    pub(crate) load: &'static str,
    pub(crate) duration: Duration,
    /// What happens, and how long after the first request is due.
    pub(crate) faults: Vec<(Duration, NetworkFault)>,
    /// How long the house is watched after the last request.
    pub(crate) after: Duration,
}

impl Default for Tunnel {
    /// Two backends that take 5 ms, links of 200 µs, and 100 requests a second for 2 s.
    fn default() -> Self {
        Self {
            seed: 7,
            dilation: DILATION,
            link: LinkSettings {
                latency: constant(Duration::from_micros(200)),
                ..LinkSettings::default()
            },
            endpoints: 2,
            backend: BackendConfig {
                workers: 100,
                service: constant(ms(5)),
                ..BackendConfig::default()
            },
            proxy: "",
            backlog: 1024,
            load: "arrivals = { constant = { rate = 100 } }",
            duration: ms(2000),
            faults: Vec::new(),
            after: ms(100),
        }
    }
}

/// A run as it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// What the last load generator has measured; nothing if it crashed.
    pub(crate) figures: BTreeMap<String, f64>,
    pub(crate) failures: BTreeMap<String, u64>,
    pub(crate) client_connections: u64,
    pub(crate) backends: Vec<Backend>,
    /// Of the proxy's last life: requests, retries, connections opened, connections open at the end.
    pub(crate) proxy: [u64; 4],
    /// What each of the faults has touched at the end.
    pub(crate) touched: Vec<u64>,
    pub(crate) hits: Hits,
    pub(crate) trace: u64,
    pub(crate) ended: u64,
}

/// A backend's last life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) requests: u64,
    pub(crate) completed: u64,
    pub(crate) cancelled: u64,
    pub(crate) in_flight: u64,
    pub(crate) connections: u64,
}

impl Seen {
    /// A figure; 0 where nothing of the kind was seen.
    pub(crate) fn figure(&self, name: &str) -> f64 {
        self.figures.get(name).copied().unwrap_or(0.0)
    }

    /// A figure that is a count.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.figure(name) as u64
    }

    /// What must be the same on every network, whatever its idea of time.
    pub(crate) fn outcome(&self) -> impl PartialEq + std::fmt::Debug {
        let backends: Vec<Backend> = self.backends.clone();
        (self.count("requests"), self.count("ok"), self.failures.clone(), backends, self.proxy)
    }
}

/// Runs it on both networks: in memory, and by turmoil.
pub(crate) fn both(tunnel: &Tunnel) -> [Seen; 2] {
    [on_memory(tunnel), on_turmoil(tunnel)]
}

/// Runs it on both networks, where all that is counted must be the same.
pub(crate) fn both_alike(tunnel: &Tunnel) -> [Seen; 2] {
    let [memory, turmoil] = both(tunnel);
    assert_eq!(memory.outcome(), turmoil.outcome(), "memory and turmoil");
    [memory, turmoil]
}

pub(crate) fn on_memory(tunnel: &Tunnel) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let settings = MemorySettings { link: tunnel.link.clone(), ..MemorySettings::default() };
        let memory = Memory::new(Seed(tunnel.seed), settings).expect("possible settings");
        play(memory, tunnel).await
    })
}

pub(crate) fn on_turmoil(tunnel: &Tunnel) -> Seen {
    let settings = TurmoilSettings {
        link: tunnel.link.clone(),
        dilation: tunnel.dilation,
        ..TurmoilSettings::default()
    };
    let world = async |network: Turmoil| play(network, tunnel).await;
    Turmoil::run(Seed(tunnel.seed), settings, world).expect("possible settings")
}

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

/// What runs, and what it leaves behind.
struct House<'a, H> {
    tunnel: &'a Tunnel,
    client: H,
    proxy: H,
    backends: Vec<H>,
    config: ProxyConfig,
    endpoints: Rc<RefCell<BTreeMap<String, Endpoint>>>,
    shared: Option<Arc<Shared>>,
    sending: Option<JoinHandle<Ledger>>,
}

async fn play<N: SimulatedNet>(network: N, tunnel: &Tunnel) -> Seen {
    let add = |name: &str, last| network.add_host(name, ip(last)).expect("a new host");
    let (client, proxy) = (add("client", 1), add("proxy", 2));
    let mut config: ProxyConfig = toml::from_str(tunnel.proxy).expect("a configuration");
    let backends: Vec<N::Host> = (0..tunnel.endpoints)
        .map(|index| {
            let name = format!("web-{index}");
            let address = SocketAddr::new(ip(10 + index), 8080);
            let endpoint =
                EndpointConfig { name: Some(name.clone()), ..EndpointConfig::new(address) };
            config.endpoints.push(endpoint);
            add(&name, 10 + index)
        })
        .collect();
    let endpoints = Rc::default();
    let (shared, sending) = (None, None);
    let mut house = House { tunnel, client, proxy, backends, config, endpoints, shared, sending };
    for index in 0..house.backends.len() {
        house.start_backend(index);
    }
    house.start_proxy();
    // All that is to be bound is bound, and what checks of health begin with is over.
    network.clock().sleep(ms(10)).await;
    house.start_client();
    let begin = network.clock().now();
    for (at, fault) in &tunnel.faults {
        network.clock().sleep_until(begin + *at).await;
        network.inflict(fault).expect("a fault of this network");
        if let NetworkFault::Restart { host } = fault {
            house.start(host);
        }
    }
    let ledger = house.sending.take().expect("it was started").await.ok();
    network.clock().sleep(tunnel.after).await;
    let touched = tunnel.faults.iter().map(|(_, fault)| network.touched(fault)).collect();
    let (hits, trace) = (network.hits(), network.trace());
    let ended = network.clock().now().as_nanos();
    house.seen(ledger, Seen { touched, hits, trace, ended, ..Seen::default() })
}

impl<H: SimulatedHost> House<'_, H> {
    /// Starts again what ran on a host.
    fn start(&mut self, host: &str) {
        match host {
            "client" => self.start_client(),
            "proxy" => self.start_proxy(),
            name => {
                let found = self.backends.iter().position(|backend| backend.name() == name);
                self.start_backend(found.expect("a host of this house"));
            }
        }
    }

    fn start_backend(&mut self, index: usize) {
        let (net, seed) = (self.backends[index].clone(), Seed(self.tunnel.seed));
        let (config, endpoints) = (self.tunnel.backend.clone(), Rc::clone(&self.endpoints));
        let serving = async move {
            let address = SocketAddr::new(net.ip(), 8080);
            let name = net.name().to_owned();
            let endpoint = backend_sim::serve(net, seed, &name, address, &config).await;
            endpoints.borrow_mut().insert(name, endpoint.expect("a free address"));
            // The host runs something until it crashes.
            std::future::pending::<()>().await;
        };
        drop(self.backends[index].spawn(serving).expect("it runs"));
    }

    fn start_proxy(&mut self) {
        let (net, seed) = (self.proxy.clone(), Seed(self.tunnel.seed));
        let shared = Arc::new(Shared::new(1, policy::Instant::START));
        self.shared = Some(Arc::clone(&shared));
        let (config, backlog) = (self.config.clone(), self.tunnel.backlog);
        let serving = async move {
            let options = BindOptions { backlog, ..BindOptions::default() };
            let listen = SocketAddr::new(net.ip(), 80);
            let listener = net.bind(listen, options).await.expect("a free address");
            let (keep, state) = watch::channel(State::new(config, Seed(1)));
            let arguments = WorkerArguments { shared, index: 0, state, seed, witness: None };
            run_worker(net, listener, arguments).await;
            drop(keep);
        };
        drop(self.proxy.spawn(serving).expect("it runs"));
    }

    fn start_client(&mut self) {
        let mut recorder = RecorderConfig::new(Some(self.tunnel.duration), Duration::ZERO);
        recorder.endpoints =
            self.backends.iter().map(|backend| backend.name().to_owned()).collect();
        let load = toml::from_str(self.tunnel.load).expect("a load");
        let plan = Plan {
            loads: vec![NamedLoad { name: "load".to_owned(), load, work: None }],
            seed: Seed(self.tunnel.seed),
            duration: Some(self.tunnel.duration),
            addresses: vec![SocketAddr::new(self.proxy.ip(), 80)],
            host: "test".to_owned(),
            recorder,
            carry: Carry::Work,
            payload: None,
            share: Share::WHOLE,
            only: None,
        };
        let net = self.client.clone();
        let sending = async move {
            let (start, progress) = (net.clock().now(), Arc::new(Progress::default()));
            loadgen::run(&net, &plan, start, progress, Stop::never()).await.expect("a plan").0
        };
        self.sending = Some(self.client.spawn(sending).expect("it runs"));
    }

    fn seen(&self, ledger: Option<Ledger>, rest: Seen) -> Seen {
        let endpoints = self.endpoints.borrow();
        let backends = endpoints.values().map(|endpoint| {
            let snapshot = endpoint.control().snapshot();
            Backend {
                requests: snapshot.requests,
                completed: snapshot.completed,
                cancelled: snapshot.cancelled,
                in_flight: snapshot.in_flight,
                connections: snapshot.connections,
            }
        });
        let stats = &self.shared.as_ref().expect("it was started").stats[0];
        let proxy =
            [&stats.requests, &stats.retries, &stats.upstream_connects, &stats.connections_active];
        let mut seen =
            Seen { backends: backends.collect(), proxy: proxy.map(Counter::get), ..rest };
        if let Some(ledger) = ledger {
            let failures = ledger.failures.iter();
            seen.failures = failures.map(|(kind, of)| (kind.clone(), of.count)).collect();
            seen.client_connections = ledger.connections;
            let metrics = ledger.recorder.finish().metrics;
            seen.figures =
                metrics.iter().map(|(name, value)| (name.to_string(), value.value)).collect();
        }
        seen
    }
}

fn link(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

pub(crate) fn cut(from: &str, to: &str) -> NetworkFault {
    let (from, to) = link(from, to);
    NetworkFault::Cut { from, to }
}

pub(crate) fn repair(from: &str, to: &str) -> NetworkFault {
    let (from, to) = link(from, to);
    NetworkFault::Repair { from, to }
}

pub(crate) fn latency(from: &str, to: &str, latency: Distribution<TimeSpan>) -> NetworkFault {
    let (from, to) = link(from, to);
    NetworkFault::Latency { from, to, latency }
}

pub(crate) fn crash(host: &str, what: Crash) -> NetworkFault {
    NetworkFault::Crash { host: host.to_owned(), what }
}

pub(crate) fn restart(host: &str) -> NetworkFault {
    NetworkFault::Restart { host: host.to_owned() }
}
