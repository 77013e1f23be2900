//! The endpoints behind the proxy: what all workers know of them, and what one worker does with them.
//!
//! Shared are the figures that a decision needs (in flight, failures, health: atomics in [`policy`]), the connection counts,
//! and the waiting room for requests that find every endpoint at its limit. A worker's own are its balancer, its
//! retry budget and its pool of connections, none of which needs a lock because nobody else sees them.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http1::ResponseHead;
use net::Clock;
use policy::{
    Instant, LoadReport, Rng, Seed,
    balance::{self, Balancer, Key, Needs, Sticky, sticky::Token},
    endpoint::{Candidates, Endpoint, Endpoints, Outcome},
    health::{HealthKind, Transition},
    limit::WaitingRoom,
    outlier,
    report::REPORT_HEADER,
    retry::RetryBudget,
};
use tokio::sync::{Notify, Semaphore};

use super::{
    inquiry::Probing,
    pool::{Pool, Register},
    witness::{Fact, Watched},
};
use crate::config::ProxyConfig;

/// What all workers know of the endpoints.
#[derive(Debug)]
pub struct UpstreamShared {
    /// What decisions are made of.
    pub endpoints: Endpoints,
    /// Where they are, in the same order.
    pub sites: Vec<Site>,
    /// Requests that wait for an endpoint with room, those of earlier configurations too.
    pub(crate) waiting: Arc<WaitingRoom>,
    /// Rung when there may be room. Of those who wait in line only the first listens.
    pub(crate) room: Arc<Notify>,
    /// One permit: whoever has it is the first in line. Tokio hands it on in the order of arrival.
    pub(crate) line: Semaphore,
}

/// Where an endpoint is.
#[derive(Debug)]
pub struct Site {
    /// Its address.
    pub address: SocketAddr,
    /// The address as a `Host` field has it.
    pub authority: String,
    /// Connections that are open, over all workers.
    pub connections: AtomicU32,
    /// How often it was ejected.
    pub ejections: AtomicU64,
}

impl UpstreamShared {
    /// The endpoints of `config`; those that `before` has too keep their figures.
    pub fn new(config: &ProxyConfig, before: Option<&Self>) -> Self {
        let mut list = Vec::new();
        let mut sites = Vec::new();
        for endpoint in &config.endpoints {
            let name = endpoint.name();
            let limit =
                endpoint.max_in_flight.or(config.limits.endpoint_in_flight).unwrap_or(u32::MAX);
            let former = before.and_then(|before| before.find(&name, endpoint.address));
            let kept = former.as_ref().filter(|kept| {
                kept.weight == endpoint.weight
                    && kept.max_in_flight == limit
                    && kept.priority == endpoint.priority
            });
            list.push(kept.cloned().unwrap_or_else(|| {
                let new = Endpoint::new(name.into_owned(), endpoint.weight, limit)
                    .with_priority(endpoint.priority);
                match former {
                    Some(former) => new.as_warm_as(&former),
                    // At the proxy's own start everybody is new, and nobody colder than the others.
                    None if before.is_none() => {}
                    None => new.cool(),
                }
                Arc::new(new)
            }));
            sites.push(Site {
                address: endpoint.address,
                authority: endpoint.address.to_string(),
                connections: AtomicU32::new(0),
                ejections: AtomicU64::new(0),
            });
        }
        let endpoints = Endpoints::new(list);
        if let Some(before) = before {
            before.endpoints.supersede();
        }
        if config.health.kind == HealthKind::Off {
            // Nobody would bring up again what earlier checks have taken down.
            for index in 0..sites.len() {
                endpoints.set_up(index as u32, Transition::Up);
            }
        }
        Self {
            endpoints,
            sites,
            // A place that a request of one configuration gives back may be what one of another waits for.
            waiting: before.map(|before| Arc::clone(&before.waiting)).unwrap_or_default(),
            room: before.map(|before| Arc::clone(&before.room)).unwrap_or_default(),
            line: Semaphore::new(1),
        }
    }

    fn find(&self, name: &str, address: SocketAddr) -> Option<Arc<Endpoint>> {
        let both = self.endpoints.list().iter().zip(&self.sites);
        both.filter(|(endpoint, site)| endpoint.name == name && site.address == address)
            .map(|(endpoint, _)| Arc::clone(endpoint))
            .next()
    }
}

/// What one worker has of the endpoints.
pub(crate) struct Upstream<S> {
    pub(crate) shared: Arc<UpstreamShared>,
    pub(crate) config: Arc<ProxyConfig>,
    pub(crate) budget: RefCell<RetryBudget>,
    pub(crate) pool: Pool<S>,
    pub(crate) register: Rc<Register>,
    balancer: RefCell<Box<dyn Balancer>>,
    candidates: RefCell<Candidates>,
    rng: RefCell<Rng>,
    clock: Clock,
    /// In sticky sessions: the cookie, and what it says of each endpoint.
    bindings: Option<Box<(Sticky, Vec<Token>)>>,
    /// Who is to be asked how loaded it is, if the strategy asks for that.
    pub(crate) probing: Option<Probing>,
    /// Whether the balancer hears what answers say of their endpoint's load.
    reads_reports: bool,
}

/// What a balancer's choice came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// This endpoint, whose in-flight count includes us now.
    Taken(u32),
    /// There are endpoints, and each is at its limit.
    AllFull,
    /// There is none that is ready and untried.
    None,
}

impl<S> Upstream<S> {
    pub(crate) fn new(
        shared: Arc<UpstreamShared>,
        config: Arc<ProxyConfig>,
        workers: u32,
        seed: Seed,
        clock: Clock,
        watched: Option<Watched>,
    ) -> Self {
        let needs = config.balance.strategy.needs();
        Self {
            probing: match needs {
                Needs::Probes { path, timeout } => {
                    Some(Probing::new(shared.sites.len(), path, timeout))
                }
                Needs::Nothing | Needs::Reports => None,
            },
            reads_reports: needs == Needs::Reports,
            budget: RefCell::new(RetryBudget::new(&config.retry, workers, clock.now())),
            pool: Pool::new(&shared, &config),
            balancer: RefCell::new(config.balance.build(&shared.endpoints)),
            candidates: RefCell::new(Candidates::by(&config.balance)),
            rng: RefCell::new(seed.stream("balance")),
            bindings: config.balance.sticky.as_ref().map(|sticky| {
                let list = shared.endpoints.list().iter();
                let tokens = list.map(|endpoint| Token::of(&endpoint.name)).collect();
                Box::new((Sticky::new(sticky), tokens))
            }),
            register: Rc::new(Register { shared: Arc::clone(&shared), watched }),
            shared,
            config,
            clock,
        }
    }

    /// Tells whoever watches; otherwise nothing is looked at.
    pub(crate) fn see<'a>(&self, fact: impl FnOnce() -> Fact<'a>) {
        if let Some(watched) = &self.register.watched {
            watched.see(fact());
        }
    }

    /// What binds a client to the endpoint at this place, if clients are bound.
    pub(crate) fn binding(&self, index: u32) -> Option<(&Sticky, Token)> {
        let (sticky, tokens) = self.bindings.as_deref()?;
        Some((sticky, *tokens.get(index as usize)?))
    }

    /// Where a request says which endpoint it is bound to, if clients are bound.
    pub(crate) fn cookie(&self) -> Option<&Key> {
        self.bindings.as_deref().map(|(sticky, _)| sticky.key())
    }

    /// Lets the balancer choose among the endpoints that are ready, not in `tried`, and below their limits, unless the
    /// request's `cookie` has chosen already.
    pub(crate) fn pick(
        &self,
        tried: &[u32],
        now: Instant,
        key: Option<u64>,
        cookie: Option<u64>,
    ) -> Pick {
        let endpoints = &self.shared.endpoints;
        if now >= endpoints.next_return() {
            outlier::expire(endpoints, now);
        }
        let mut candidates = self.candidates.borrow_mut();
        candidates.prepare(endpoints, now);
        let bound = cookie.and_then(|cookie| candidates.bound(cookie));
        let view = candidates.view(endpoints, tried, now).with_key(key).with_bound(bound);
        let mut balancer = self.balancer.borrow_mut();
        let mut rng = self.rng.borrow_mut();
        // Another worker may take the last place between the choice and the count: then choose again.
        for _ in 0..4 {
            let Some(index) = balance::pick(&mut **balancer, &view, &mut rng) else { break };
            if endpoints.list()[index as usize].try_begin() {
                candidates.took(index);
                balancer.on_start(index, now);
                if let Some(probing) = &self.probing {
                    while let Some(wanted) = balancer.next_probe() {
                        probing.want(wanted);
                    }
                }
                self.see(|| Fact::Taken(index));
                return Pick::Taken(index);
            }
        }
        if view.ready.iter().any(|index| !tried.contains(index)) {
            Pick::AllFull
        } else {
            Pick::None
        }
    }

    /// How many endpoints besides `last` could be tried, and how many of them have room now.
    pub(crate) fn others(&self, tried: &[u32], last: u32) -> (usize, usize) {
        self.candidates.borrow().others(&self.shared.endpoints, tried, last)
    }
}

impl<S> Upstream<S> {
    /// The endpoint has answered, and may have said how loaded it is: tells the balancer, if it wants to know.
    pub(crate) fn hear(&self, index: u32, head: &ResponseHead) {
        if self.reads_reports
            && let Some(report) = head.find(REPORT_HEADER.as_bytes()).and_then(LoadReport::parse)
        {
            self.balancer.borrow_mut().on_report(index, self.clock.now(), &report);
        }
    }

    /// What has come of a probe.
    pub(crate) fn probed(&self, index: u32, now: Instant, answer: Option<&LoadReport>) {
        self.balancer.borrow_mut().on_probe(index, now, answer);
    }

    /// Whether what endpoints say of their load is for us alone.
    pub(crate) fn hides_load(&self) -> bool {
        self.reads_reports
    }
}

/// A request's place at an endpoint, counted until it is given back.
pub(crate) struct Lease<S> {
    upstream: Rc<Upstream<S>>,
    pub(crate) index: u32,
    begun: Instant,
    given_back: bool,
}

impl<S> Lease<S> {
    /// For a place that [`Upstream::pick`] has taken.
    pub(crate) fn new(upstream: &Rc<Upstream<S>>, index: u32, begun: Instant) -> Self {
        Self { upstream: Rc::clone(upstream), index, begun, given_back: false }
    }

    /// Gives the place back, and tells the balancer and the outlier detection how it went.
    pub(crate) fn finish(mut self, outcome: Outcome, now: Instant) {
        self.give_back(outcome, now, now.since(self.begun));
    }

    /// The same for a request that others carried: `took` is how long, if they have said so.
    pub(crate) fn finish_after(mut self, outcome: Outcome, now: Instant, took: Option<Duration>) {
        self.give_back(outcome, now, took.unwrap_or_else(|| now.since(self.begun)));
    }

    /// The endpoint has said how loaded it is, with what it reports of this request.
    pub(crate) fn hear(&self, now: Instant, report: &LoadReport) {
        if self.upstream.reads_reports {
            self.upstream.balancer.borrow_mut().on_report(self.index, now, report);
        }
    }

    /// Whether an answer with this status counts as the endpoint's failure, by the configuration that the request began with.
    pub(crate) fn counts_as_failure(&self, status: u16) -> bool {
        self.upstream.config.outlier.is_failure(status)
    }

    fn give_back(&mut self, outcome: Outcome, now: Instant, took: Duration) {
        self.given_back = true;
        self.upstream.see(|| Fact::GivenBack(self.index));
        let Upstream { shared, config, balancer, .. } = &*self.upstream;
        shared.endpoints.list()[self.index as usize].end();
        balancer.borrow_mut().on_end(self.index, now, took, outcome);
        if let Some(ejection) =
            outlier::on_result(&config.outlier, &shared.endpoints, self.index, now, outcome)
        {
            self.upstream.see(|| Fact::Ejected(self.index, ejection.until));
            shared.sites[self.index as usize].ejections.fetch_add(1, Relaxed);
            let endpoint = &shared.endpoints.list()[self.index as usize];
            tracing::warn!(
                endpoint = %endpoint.name,
                times = ejection.times,
                seconds = ejection.until.since(now).as_secs_f64(),
                "endpoint ejected after failures in a row"
            );
        }
        if shared.waiting.waiting() > 0 {
            shared.room.notify_waiters();
        }
    }
}

impl<S> Drop for Lease<S> {
    /// A request whose task was dropped says nothing of the endpoint but how long it has not answered: a client that goes
    /// because nothing comes is dropped so, and a balancer that goes by response times must hear of it.
    fn drop(&mut self) {
        if !self.given_back {
            let now = self.upstream.clock.now();
            self.give_back(Outcome::Cancelled, now, now.since(self.begun));
        }
    }
}
