//! The whole house in one process: simulated backends, the engine and the load generator, joined by real sockets on
//! loopback.
//!
//! Each part counts by itself, with code of its own. So a test may say: what the generator has sent, the engine has
//! counted and the backends have seen. Nothing here waits for a time to pass: what a test waits for is something that must
//! happen, so that none depends on how fast the machine is.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use backend_sim::{BackendConfig, Fault, GroupSpec, Remote, Snapshot, run_in_thread};
use loadgen::{Carry, Ledger, Load, NamedLoad, Plan, Progress, Share, Stop};
use net::{Net, Real};
use policy::Seed;
use proxy::{
    config::{EndpointConfig, ProxyConfig},
    engine::{Counter, Proxy, WorkerStats},
};
use reports::{Measurement, RecorderConfig};
use tokio::{
    runtime::{Builder, LocalOptions},
    task::yield_now,
};

/// The seed of every run here.
pub const SEED: Seed = Seed(7);

/// The name of the group of backends: its endpoints are `web-0`, `web-1`, ….
const GROUP: &str = "web";

/// Backends, and a proxy in front of them.
#[derive(Debug)]
pub struct House {
    backends: Remote,
    proxy: Proxy,
}

/// What the load generator says of a run.
#[derive(Debug)]
pub struct Seen {
    /// Its ledger.
    pub ledger: Ledger,
    /// Its figures.
    pub measurement: Measurement,
}

impl Seen {
    /// A count among the figures, or a number of bytes; 0 where nothing of the kind was seen.
    pub fn count(&self, name: &str) -> u64 {
        self.measurement.metrics.get(name).unwrap_or(0.0) as u64
    }
}

impl House {
    /// Starts endpoints of this kind and a proxy that `settle` may configure.
    pub fn start(backend: &BackendConfig, settle: impl FnOnce(&mut ProxyConfig)) -> Self {
        let group =
            GroupSpec { name: GROUP.to_owned(), config: backend.clone(), addresses: Vec::new() };
        let backends =
            run_in_thread(Real::new(), SEED, vec![group]).expect("backends on free ports start");
        let endpoints = backends.endpoints().iter().map(|(name, address)| EndpointConfig {
            name: Some(name.clone()),
            ..EndpointConfig::new(*address)
        });
        let mut config = ProxyConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            workers: Some(2),
            endpoints: endpoints.collect(),
            ..ProxyConfig::default()
        };
        settle(&mut config);
        let proxy = Proxy::start(config, SEED).expect("a proxy on a free port starts");
        Self { backends, proxy }
    }

    /// Sends the loads, which are written as in a scenario, to their end.
    pub fn send(&self, loads: &[(&str, &str)]) -> Seen {
        self.send_while(loads, async |_| {})
    }

    /// The same, while `events` happen.
    pub fn send_while(&self, loads: &[(&str, &str)], events: impl AsyncFnOnce(&Self)) -> Seen {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .expect("a runtime");
        let net = Real::new();
        let plan = self.plan(loads);
        let ledger = runtime.block_on(async {
            let progress = Arc::new(Progress::default());
            let run = loadgen::run(&net, &plan, net.clock().now(), progress, Stop::never());
            let (sent, ()) = tokio::join!(run, events(self));
            sent.expect("the loads are valid").0
        });
        let measurement = ledger.recorder.clone().finish();
        Seen { ledger, measurement }
    }

    fn plan(&self, loads: &[(&str, &str)]) -> Plan {
        let loads = loads.iter().map(|(name, text)| {
            let load: Load = toml::from_str(text).expect("a load as a scenario writes it");
            assert_eq!(load.problem(), None);
            NamedLoad { name: (*name).to_owned(), load, work: None }
        });
        let mut recorder = RecorderConfig::new(None, Duration::ZERO);
        recorder.endpoints =
            self.backends.endpoints().iter().map(|(name, _)| name.clone()).collect();
        Plan {
            loads: loads.collect(),
            seed: SEED,
            duration: None,
            addresses: vec![self.proxy.address()],
            host: "house.test".to_owned(),
            recorder,
            carry: Carry::Work,
            payload: None,
            share: Share::WHOLE,
            only: None,
        }
    }

    /// Does this to an endpoint, and returns when it is done.
    pub fn apply(&self, endpoint: &str, fault: Fault) {
        self.backends.apply(endpoint, &fault).expect("the endpoint obeys");
    }

    /// What one endpoint has seen.
    pub fn snapshot(&self, endpoint: &str) -> Snapshot {
        let all = self.backends.snapshots().expect("the backends answer");
        let found = all.into_iter().find(|(name, _)| name == endpoint);
        found.expect("an endpoint of this house").1
    }

    /// Returns when the endpoint's figures are so. What never comes hangs the test, as it should.
    pub async fn until(&self, endpoint: &str, holds: impl Fn(&Snapshot) -> bool) {
        while !holds(&self.snapshot(endpoint)) {
            yield_now().await;
        }
    }

    /// Ends everything and says what was counted. The proxy ends first: it counts a request after its last byte has gone,
    /// and only when it has ended do its counters stand still.
    pub fn end(self) -> Counts {
        let Self { backends, proxy } = self;
        let (shared, upstream) = (Arc::clone(proxy.shared()), proxy.state().upstream);
        proxy.drain();
        let seen = backends.stop(Duration::from_secs(10)).expect("the backends end");
        let endpoints = upstream.endpoints.list();
        Counts {
            seen: seen.into_iter().map(|(_, snapshot)| snapshot).collect(),
            stats: shared.stats.clone(),
            sendings: endpoints.iter().map(|endpoint| endpoint.requests()).sum(),
            in_flight: endpoints.iter().map(|endpoint| u64::from(endpoint.in_flight())).sum(),
        }
    }
}

/// What a house has counted in all.
#[derive(Debug)]
pub struct Counts {
    seen: Vec<Snapshot>,
    stats: Vec<Arc<WorkerStats>>,
    /// How often the engine says that it has turned to an endpoint.
    pub sendings: u64,
    /// Requests that the engine believes to be at an endpoint still.
    pub in_flight: u64,
}

impl Counts {
    /// The sum of a figure over the endpoints.
    pub fn backends(&self, figure: impl Fn(&Snapshot) -> u64) -> u64 {
        self.seen.iter().map(figure).sum()
    }

    /// The sum of a counter over the proxy's workers.
    pub fn proxy(&self, counter: impl Fn(&WorkerStats) -> &Counter) -> u64 {
        self.stats.iter().map(|stats| counter(stats).get()).sum()
    }
}
