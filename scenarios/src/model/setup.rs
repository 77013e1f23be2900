//! The proxy's side: a configuration in force, and the decisions that are made by it.
//!
//! Everything that decides is [`policy`]'s own: the balancer over the candidates, the retry budget, the outlier ejection, over
//! the same shared figures ([`UpstreamShared`]) that the engine's workers have. A reload makes another of these; requests
//! that have begun end with the one that they began with, as in the engine. There is one worker.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use backend_sim::BackendConfig;
use policy::{
    Instant, LoadReport, Rng, Seed,
    balance::{self, Balancer, Needs},
    endpoint::{Candidates, Outcome},
    health::HealthState,
    outlier::{self, Ejection},
    retry::RetryBudget,
    time::nanos,
};
use proxy::{
    config::{EndpointConfig, ProxyConfig},
    engine::UpstreamShared,
};

use super::{
    cookies::{Bindings, Cookie},
    inquiry::Inquiries,
    lane::Lane,
    request::Ref,
};

/// Decides like the proxy's only worker.
#[derive(Debug)]
pub(super) struct Setup {
    /// Which proxy's, and in which room wait those who find no place.
    pub(super) proxy: u32,
    pub(super) room: u32,
    pub(super) config: Arc<ProxyConfig>,
    pub(super) waits: Waits,
    pub(super) shared: UpstreamShared,
    /// Which of the run's endpoints stands at each place.
    pub(super) endpoints: Vec<u32>,
    pub(super) budget: RetryBudget,
    pub(super) pools: Vec<Pool>,
    /// Those who wait for room: new ones in a line, and those who try again.
    pub(super) line: VecDeque<Ref>,
    pub(super) retriers: Vec<Ref>,
    /// When the line was to look again because an ejection ends.
    pub(super) look: Instant,
    pub(super) connect: Lane,
    pub(super) response: Lane,
    pub(super) queue: Lane,
    pub(super) health: Vec<Check>,
    /// Its load probes, if its strategy wants any; and whether it reads load reports.
    pub(super) inquiries: Option<Box<Inquiries>>,
    reads_reports: bool,
    /// Whether what a request says has a part in who is picked for it.
    pub(super) chooses_by_request: bool,
    balancer: Box<dyn Balancer>,
    candidates: Candidates,
    /// In sticky sessions.
    pub(super) bindings: Option<Bindings>,
    rng: Rng,
}

/// How long is waited, in nanoseconds: what every request needs of the configuration's timeouts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    keep_alive: u64,
    upstream_idle: u64,
    response_head: u64,
}

impl Waits {
    fn of(config: &ProxyConfig) -> Self {
        let timeouts = &config.timeouts;
        Self {
            keep_alive: nanos(timeouts.keep_alive.0),
            upstream_idle: nanos(timeouts.upstream_idle.0),
            response_head: nanos(timeouts.response_head.0),
        }
    }

    /// Whether the connection of a client that has been idle since then is still open.
    pub(super) fn keeps(&self, since: Instant, now: Instant) -> bool {
        now.nanos_since(since) < self.keep_alive
    }

    /// When the head of an answer is to have come to a request that is sent now.
    pub(super) fn head_due(&self, now: Instant) -> Instant {
        Instant::from_nanos(now.as_nanos().saturating_add(self.response_head))
    }
}

/// The health checks of one endpoint.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) state: HealthState,
    pub(super) rng: Rng,
    /// Moves with each probe that ends.
    pub(super) stamp: u32,
}

/// The connections to one endpoint.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// When each idle one came to be idle and which life of the endpoint it belongs to; the last is used first.
    idle: VecDeque<(Instant, u32)>,
    /// All of them, being opened, in use or idle.
    pub(super) open: u32,
}

impl Pool {
    /// An idle connection: the endpoint's life that it belongs to.
    pub(super) fn take(&mut self, waits: &Waits, now: Instant) -> Option<u32> {
        let (since, life) = self.idle.pop_back()?;
        if now.nanos_since(since) >= waits.upstream_idle {
            // Those below are older still.
            self.open -= 1;
            self.forget();
            return None;
        }
        Some(life)
    }

    /// Counts one more connection, unless there are as many as may be.
    pub(super) fn reserve(&mut self, config: &ProxyConfig) -> bool {
        let room = self.open < config.limits.endpoint_connections.unwrap_or(u32::MAX);
        self.open += u32::from(room);
        room
    }

    /// A connection in use is closed.
    pub(super) fn close(&mut self) {
        self.open -= 1;
    }

    /// A connection in use becomes idle.
    pub(super) fn give(&mut self, config: &ProxyConfig, now: Instant, life: u32) {
        if self.idle.len() < config.limits.endpoint_idle {
            self.idle.push_back((now, life));
        } else {
            self.open -= 1;
        }
    }

    /// Closes all that are idle.
    pub(super) fn forget(&mut self) {
        self.open -= self.idle.len() as u32;
        self.idle.clear();
    }

    /// The idle ones of the endpoint's lives up to this are found closed; how many.
    pub(super) fn bury(&mut self, life: u32) -> u64 {
        let before = self.idle.len();
        self.idle.retain(|(_, of)| *of > life);
        self.open -= (before - self.idle.len()) as u32;
        (before - self.idle.len()) as u64
    }

    /// Closes those that have idled for too long.
    pub(super) fn sweep(&mut self, config: &ProxyConfig, now: Instant) {
        while let Some((since, _)) = self.idle.front() {
            if now.since(*since) < config.timeouts.upstream_idle.0 {
                break;
            }
            self.idle.pop_front();
            self.open -= 1;
        }
    }
}

/// What a balancer's choice came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// This place, whose in-flight count includes us now.
    Taken(u32),
    /// There are endpoints, and each is at its limit.
    AllFull,
    /// There is none that is ready and untried.
    None,
}

/// The address that stands for the `global`th endpoint of the run; no packet ever goes there.
fn address(global: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits((10 << 24) + global)), 80)
}

/// The endpoint as the proxy is told of it.
pub(super) fn endpoint_config(global: u32, name: &str, backend: &BackendConfig) -> EndpointConfig {
    EndpointConfig {
        name: Some(name.to_owned()),
        weight: backend.weight,
        priority: backend.priority,
        ..EndpointConfig::new(address(global))
    }
}

impl Setup {
    /// Puts a configuration of one of a proxy's upstreams in force; endpoints that `before` has too keep their figures.
    pub(super) fn new(
        (proxy, room): (u32, u32),
        config: ProxyConfig,
        before: Option<&Self>,
        (seed, now): (Seed, Instant),
        mut source: impl FnMut() -> u32,
    ) -> Self {
        let shared = UpstreamShared::new(&config, before.map(|before| &before.shared));
        let global = |endpoint: &EndpointConfig| match endpoint.address.ip() {
            IpAddr::V4(ip) => ip.to_bits() - (10 << 24),
            IpAddr::V6(_) => 0,
        };
        let health = (0_u64..).zip(shared.endpoints.list()).map(|(index, endpoint)| {
            use policy::Transition::{Down, Up};
            Check {
                state: HealthState::resume(if endpoint.is_up() { Up } else { Down }),
                rng: seed.child("health").nth(index).rng(),
                stamp: 0,
            }
        });
        let needs = config.balance.strategy.needs();
        Self {
            proxy,
            room,
            endpoints: config.endpoints.iter().map(global).collect(),
            budget: RetryBudget::new(&config.retry, 1, now),
            pools: config.endpoints.iter().map(|_| Pool::default()).collect(),
            line: VecDeque::new(),
            retriers: Vec::new(),
            look: Instant::NEVER,
            connect: Lane::new(source()),
            response: Lane::new(source()),
            queue: Lane::new(source()),
            health: health.collect(),
            inquiries: match needs {
                Needs::Probes { timeout, .. } => {
                    Some(Box::new(Inquiries::new(config.endpoints.len(), timeout)))
                }
                Needs::Nothing | Needs::Reports => None,
            },
            reads_reports: needs == Needs::Reports,
            chooses_by_request: config.balance.strategy.key().is_some()
                || config.balance.sticky.is_some(),
            balancer: config.balance.build(&shared.endpoints),
            candidates: Candidates::by(&config.balance),
            bindings: config
                .balance
                .sticky
                .as_ref()
                .map(|sticky| Bindings::new(sticky, &shared.endpoints)),
            rng: seed.stream("balance"),
            waits: Waits::of(&config),
            config: Arc::new(config),
            shared,
        }
    }

    /// The same with what is made of its balancer.
    pub(super) fn with_balancer(self, make: fn(Box<dyn Balancer>) -> Box<dyn Balancer>) -> Self {
        Self { balancer: make(self.balancer), ..self }
    }

    /// Lets the balancer choose among the endpoints that are ready, not in `tried`, and below their limits, unless the
    /// request's cookie has chosen already.
    #[inline]
    pub(super) fn pick(
        &mut self,
        tried: &[u32],
        now: Instant,
        (key, cookie): (Option<u64>, Option<Cookie>),
    ) -> Pick {
        let endpoints = &self.shared.endpoints;
        if now >= endpoints.next_return() {
            outlier::expire(endpoints, now);
        }
        self.candidates.prepare(endpoints, now);
        let value = self.bindings.as_ref().zip(cookie).map(|(all, cookie)| all.read(cookie));
        let bound = value.and_then(|value| self.candidates.bound(value));
        let view = self.candidates.view(endpoints, tried, now).with_key(key).with_bound(bound);
        if let Some(index) = balance::pick(&mut *self.balancer, &view, &mut self.rng)
            && endpoints.list()[index as usize].try_begin()
        {
            self.candidates.took(index);
            self.balancer.on_start(index, now);
            if let Some(inquiries) = &mut self.inquiries {
                inquiries.wanted.extend(std::iter::from_fn(|| self.balancer.next_probe()));
            }
            return Pick::Taken(index);
        }
        if view.ready.iter().any(|index| !tried.contains(index)) {
            Pick::AllFull
        } else {
            Pick::None
        }
    }

    /// The balancer hears how loaded an endpoint is, if it wants to know.
    pub(super) fn hear(&mut self, index: u32, now: Instant, report: &LoadReport) {
        if self.reads_reports {
            self.balancer.on_report(index, now, report);
        }
    }

    /// What has come of a load probe.
    pub(super) fn probed(&mut self, index: u32, now: Instant, answer: Option<&LoadReport>) {
        self.balancer.on_probe(index, now, answer);
    }

    /// How many endpoints besides `last` could be tried, and how many of them have room now.
    pub(super) fn others(&self, tried: &[u32], last: u32) -> (usize, usize) {
        self.candidates.others(&self.shared.endpoints, tried, last)
    }

    /// Gives a place back, and tells the balancer and the outlier detection how it went; whether that ejected the endpoint.
    #[inline]
    pub(super) fn give_back(
        &mut self,
        index: u32,
        leased: Instant,
        now: Instant,
        how: Outcome,
    ) -> Option<Ejection> {
        self.shared.endpoints.list()[index as usize].end();
        self.balancer.on_end(index, now, now.since(leased), how);
        let ejection =
            outlier::on_result(&self.config.outlier, &self.shared.endpoints, index, now, how);
        if ejection.is_some() {
            self.shared.sites[index as usize].ejections.fetch_add(1, Relaxed);
        }
        ejection
    }
}
