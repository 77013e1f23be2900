//! What the tests of the engine stand on: a proxy, raw clients, and origins that do exactly what a test tells them.
//!
//! Both far sides are plain blocking sockets, so that a test reads from top to bottom in the order in which things happen
//! on the wire, and every byte can be asserted. Nothing sleeps to synchronise: each read has a deadline that
//! fails the test, and what has no event of its own (a counter that returns to zero) is awaited by [`eventually`].

mod origin;
mod redis;
mod wire;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use policy::{Seed, balance::Strategy, quantity::TimeSpan};
use proxy::{
    config::{
        EndpointConfig, ProxyConfig,
        document::{Document, Paint},
    },
    engine::{Counter, Proxy, WorkerStats},
};

pub(crate) use origin::{Origin, Refusing, answer};
pub(crate) use redis::RedisServer;
pub(crate) use wire::{Message, Wire, pattern};

/// No read of a test lasts longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Any port of loopback.
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A proxy under test.
pub(crate) struct Rig {
    pub(crate) proxy: Proxy,
}

/// A configuration with one worker and these endpoints.
pub(crate) fn config(endpoints: &[SocketAddr]) -> ProxyConfig {
    let mut config = ProxyConfig {
        listen: ANY,
        workers: Some(1),
        endpoints: endpoints.iter().copied().map(EndpointConfig::new).collect(),
        ..ProxyConfig::default()
    };
    config.balance.strategy = Strategy::named("round_robin").expect("it exists");
    // A test that waits for something by mistake shall fail by its own deadline, not by a limit of the proxy.
    config.timeouts.drain = TimeSpan::secs(30);
    config
}

/// The configuration that this file's text is, on one worker and any port.
pub(crate) fn configured(text: &str) -> ProxyConfig {
    let config = Document::parse("proxy.toml", text).and_then(|document| document.read());
    let config: ProxyConfig = match config {
        Ok(config) => config,
        Err(error) => panic!("{}", error.render(Paint::Plain)),
    };
    assert_eq!(config.problems(), []);
    ProxyConfig { listen: ANY, workers: Some(1), ..config }
}

/// A configuration in which the first of these endpoints is always preferred, then the second, and so on, as long as few
/// requests are in flight.
pub(crate) fn in_order(endpoints: &[SocketAddr]) -> ProxyConfig {
    let mut config = config(endpoints);
    config.balance.strategy = Strategy::named("least_connections").expect("it exists");
    let mut weight = 10_u32.pow(8);
    for endpoint in &mut config.endpoints {
        endpoint.weight = weight;
        weight /= 10;
    }
    config
}

impl Rig {
    /// A proxy with this configuration.
    pub(crate) fn start(config: ProxyConfig) -> Self {
        fail_when_a_worker_panics();
        let proxy = Proxy::start(config, Seed(7)).expect("the proxy starts");
        Self { proxy }
    }

    /// A proxy of one worker before one origin.
    pub(crate) fn before(origin: &Origin) -> Self {
        Self::start(config(&[origin.address()]))
    }

    /// A client's connection.
    pub(crate) fn client(&self) -> Wire {
        Wire::connect(self.proxy.address())
    }

    /// The response to one GET on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Message {
        let mut client = self.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        client.response()
    }

    /// A counter, added up over the workers.
    pub(crate) fn sum(&self, of: impl Fn(&WorkerStats) -> &Counter) -> u64 {
        self.proxy.shared().stats.iter().map(|stats| of(stats).get()).sum()
    }

    /// So many requests end with the fault of this name. (They are counted when the client has its answer already.)
    pub(crate) fn has_faults(&self, name: &str, count: u64) {
        eventually(name, || self.faults(name) >= count);
        assert_eq!(self.faults(name), count, "{name}");
    }

    fn faults(&self, name: &str) -> u64 {
        let index = proxy::engine::FAULTS.iter().position(|known| *known == name);
        let index = index.unwrap_or_else(|| panic!("no fault is named {name}"));
        self.sum(|stats| &stats.faults[index])
    }

    /// Requests in flight at endpoint `index`.
    pub(crate) fn in_flight(&self, index: usize) -> u32 {
        self.proxy.state().upstream.endpoints.list()[index].in_flight()
    }

    /// Requests that wait in the queue.
    pub(crate) fn waiting(&self) -> u64 {
        let stats = self.admin_json();
        stats["upstream"]["waiting"].as_u64().expect("a number")
    }

    /// What the admin listener answers to a GET.
    pub(crate) fn admin(&self, path: &str) -> Message {
        let address = self.proxy.admin_address().expect("the test has switched it on");
        let mut wire = Wire::connect(address);
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        wire.response()
    }

    /// The figures.
    pub(crate) fn admin_json(&self) -> serde_json::Value {
        let response = self.admin("/proxy-stats");
        assert_eq!(response.status(), 200);
        serde_json::from_slice(&response.body).expect("JSON")
    }

    /// The proxy has nothing in progress any more: no client connection, and nothing in flight.
    pub(crate) fn is_quiet_again(&self) {
        eventually("no client connection is open", || {
            self.sum(|stats| &stats.connections_active) == 0
        });
        let state = self.proxy.state();
        eventually("nothing is in flight", || {
            state.upstream.endpoints.list().iter().all(|endpoint| endpoint.in_flight() == 0)
        });
    }
}

/// A task that panics takes only itself along, and a test would not notice: end the whole program instead.
fn fail_when_a_worker_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            usual(info);
            if thread::current().name().is_some_and(|name| name.starts_with("proxy-")) {
                std::process::abort();
            }
        }));
    });
}

/// Switches the admin listener on.
pub(crate) fn with_admin(mut config: ProxyConfig) -> ProxyConfig {
    config.admin.enabled = true;
    config.admin.listen = ANY;
    config
}

/// So many milliseconds.
pub(crate) const fn millis(millis: u64) -> TimeSpan {
    TimeSpan::millis(millis)
}

/// Waits until `holds` does; fails the test when it does not within the deadline.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let step = Duration::from_millis(2);
    for _ in 0..DEADLINE.as_millis() / step.as_millis() {
        if holds() {
            return;
        }
        // Other threads make it true; this only keeps the loop from burning what they need.
        thread::park_timeout(step);
    }
    panic!("in vain: {what}");
}

/// How much time has passed: for limits that may not strike before their time.
pub(crate) struct Stopwatch(net::Clock, policy::Instant);

impl Stopwatch {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let clock = net::Clock::real();
        Self(clock, clock.now())
    }

    /// At least this much has passed. (tokio's timers may be a millisecond early by rounding.)
    pub(crate) fn shows_at_least(&self, limit: TimeSpan) {
        let passed = self.0.now().since(self.1);
        assert!(passed + Duration::from_millis(2) >= limit.0, "only {passed:?} of {:?}", limit.0);
    }
}

/// Counts calls; what an origin's threads count with.
#[derive(Default)]
pub(crate) struct Count(AtomicU32);

impl Count {
    /// Adds one; how many there were before.
    pub(crate) fn add(&self) -> u32 {
        self.0.fetch_add(1, Relaxed)
    }

    /// Counts from here on.
    pub(crate) fn set(&self, count: u32) {
        self.0.store(count, Relaxed);
    }

    /// How many there are.
    pub(crate) fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

/// A stream whose reads and writes have the deadline.
fn with_deadlines(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(DEADLINE)).expect("it is not zero");
    stream.set_write_timeout(Some(DEADLINE)).expect("it is not zero");
    stream.set_nodelay(true).expect("a socket of TCP");
    stream
}
