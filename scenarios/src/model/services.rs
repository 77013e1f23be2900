//! Which service a request gets at the model's proxy, and what lies on its way there: filters, limits, a cache.
//!
//! The order and the rules are the engine's (`proxy/src/engine/service.rs`, `limit/mod.rs`, `commons.rs`): a proxy has one service of its own and one for
//! each route; a route has its own filters after the proxy's, and its own limits and rules of the cache where it has any, else the proxy's. What decides
//! is `policy`'s: the [`Table`] of routes, the [`Chain`] of filters. They see a request's head as [`letter`](super::letter) writes it. A
//! request keeps the service that it began with. A reload makes new ones, which go on with the counts of those before.
//!
//! What a filter wants different in a head matters here as far as the path: an endpoint is asked for what a rewrite makes of it. No
//! byte of an answer is written, so what filters change in answers changes nothing.

use std::{ops::Range, sync::Arc};

use loadgen::schedule::Planned;
use policy::{
    Seed,
    cache::Rules,
    filter::{Chain, Outcome, Passage},
    message::{Edits, Reply},
    rate::{Concurrency, LimitingConfig, Overload, Rates, ShedConfig},
    route::Table,
    work::number_of_target,
};
use proxy::{
    config::{ProxyConfig, RouteConfig},
    engine::Fault,
};

use super::{
    cache::Cache,
    letter::Letter,
    stages::{Held, Limits},
    world::World,
};

/// The services of a proxy's configuration in force.
#[derive(Debug, Default)]
pub(super) struct Routing {
    /// Which of the run's they are: the proxy's own first, then those of the routes.
    services: Range<u32>,
    table: Option<Box<Table>>,
}

/// Where requests of one kind go, and what they meet on the way.
#[derive(Debug)]
pub(super) struct Service {
    /// Whether it is the proxy's own.
    is_own: bool,
    /// What decides for the upstream that it leads to.
    setup: u32,
    filters: Option<Chain>,
    pub(super) limits: Option<Limits>,
    /// By which rules its answers are kept, if they are.
    pub(super) rules: Option<Arc<Rules>>,
}

impl Service {
    /// Whether nothing lies on the way.
    fn is_plain(&self) -> bool {
        self.filters.is_none() && self.limits.is_none() && self.rules.is_none()
    }
}

fn route(config: &ProxyConfig, number: usize) -> Option<&RouteConfig> {
    config.routes.get(number.checked_sub(1)?)
}

impl World<'_> {
    /// The services of a configuration that comes into force, whose setups begin with `first`: its own, then those of the upstreams with names.
    pub(super) fn open_services(&mut self, proxy: u32, config: &ProxyConfig, first: u32) {
        let own = &mut self.proxies[proxy as usize];
        let rules = rules(config, own.seed);
        let all: Arc<[Arc<Rules>]> = rules.iter().flatten().cloned().collect();
        own.cache = match (all.is_empty(), own.cache.take()) {
            (true, _) => None,
            (false, before) => Some(Cache::new(&config.cache, all, before)),
        };
        let Range { start, end } = own.routing.services.clone();
        let limits = limits(config, &self.services[start as usize..end as usize]);
        let numbers = self.services.len() as u32;
        for (number, (rules, limits)) in rules.into_iter().zip(limits).enumerate() {
            let upstream = route(config, number).and_then(|route| route.upstream.as_ref());
            let place =
                upstream.and_then(|name| config.upstreams.keys().position(|own| own == name));
            let service = Service {
                is_own: number == 0,
                setup: place.map_or(first, |place| first + 1 + place as u32),
                filters: Chain::new(config.filters(number), own.seed),
                limits,
                rules,
            };
            self.staged |= number > 0 || !service.is_plain();
            self.services.push(service);
        }
        let table = Table::new(config.routes.iter().map(|route| &route.matches));
        own.routing = Routing {
            services: numbers..self.services.len() as u32,
            table: (!config.routes.is_empty()).then(|| Box::new(table)),
        };
    }

    /// A request that has come gets the service of its route.
    pub(super) fn take_route(&mut self, slot: u32) {
        let Self { requests, proxies, setups, clients, services, .. } = self;
        let request = &mut requests[slot];
        let Routing { services: numbers, table } = &proxies[usize::from(request.proxy)].routing;
        let mut service = numbers.start;
        if let Some(table) = table {
            let config = &setups[request.setup as usize].config;
            let letter = &mut clients[usize::from(request.planned.load)].letter;
            let written = letter.write(&config.forwarding, &request.planned);
            if let Some(route) = table.find(&written.asked()) {
                service += 1 + route as u32;
                request.setup = services[service as usize].setup;
            }
        }
        *self.held(slot) = Held::of(service);
    }

    /// The service of a request; none if it had none to meet anything on its way to.
    pub(super) fn service(&self, slot: u32) -> Option<&Service> {
        let held = self.held.get(slot as usize)?;
        self.services.get(held.service as usize)
    }

    /// Why there is no endpoint for a request: none is ready, or there never was one, because it is none that is served.
    pub(super) fn nowhere(&self, slot: u32) -> Fault {
        let setup = &self.setups[self.requests[slot].setup as usize];
        let is_own = self.service(slot).is_some_and(|service| service.is_own);
        let is_served = setup.config.routes.is_empty() || !is_own || !setup.endpoints.is_empty();
        if is_served { Fault::NoEndpoint } else { Fault::NoRoute }
    }

    /// What the filters of a request's service answer in the endpoint's place, if they do.
    pub(super) fn filter(&mut self, slot: u32) -> Option<Reply> {
        let Self { requests, setups, clients, services, held, now, .. } = self;
        let request = &requests[slot];
        let held = held.get_mut(slot as usize)?;
        let chain = services.get(held.service as usize)?.filters.as_ref()?;
        let config = &setups[request.setup as usize].config;
        let letter = &mut clients[usize::from(request.planned.load)].letter;
        let written = letter.write(&config.forwarding, &request.planned);
        let asked = written.asked();
        let (mut passage, mut onward) = (Passage::default(), Edits::default());
        loop {
            match chain.on_request(&asked, *now, &mut passage, &mut onward) {
                Outcome::Pass => break,
                Outcome::Answer(reply, _) => return Some(reply),
                // Computing takes no time here.
                Outcome::Check(check) => chain.learn(&passage, &check, check.run(), *now),
            }
        }
        // Whom the proxy sends elsewhere, it sends with what they have asked for.
        if config.mode.is_forward() {
            held.onward = onward.target.map(Vec::into_boxed_slice);
        }
        None
    }

    /// A request of the proxy's own that is for the same as another: the slots of both.
    pub(super) fn serve_like(&mut self, slot: u32, other: u32) {
        let Some(Held { service, onward, .. }) = self.held.get(other as usize) else { return };
        let (service, onward) = (*service, onward.clone());
        let held = self.held(slot);
        *held = Held::of(service);
        held.onward = onward;
    }

    /// What an endpoint is asked for in place of the request's own target.
    #[inline]
    pub(super) fn rewritten(&self, slot: u32) -> Option<&[u8]> {
        if !self.staged {
            return None;
        }
        self.held.get(slot as usize)?.onward.as_deref()
    }

    /// The number of the content that an endpoint is asked for.
    pub(super) fn number_of(&mut self, slot: u32) -> u64 {
        let planned = &self.requests[slot].planned;
        let letter = &mut self.clients[usize::from(planned.load)].letter;
        number_of_target(target(&self.held, letter, planned, slot))
    }
}

/// What an endpoint is asked for by the request in this slot.
pub(super) fn target<'a>(
    held: &'a [Held],
    letter: &'a mut Letter,
    planned: &Planned,
    slot: u32,
) -> &'a [u8] {
    let onward = held.get(slot as usize).and_then(|held| held.onward.as_deref());
    onward.unwrap_or_else(|| letter.target(planned))
}

/// The rules by which the answers of each service are kept; none where they are not.
fn rules(config: &ProxyConfig, seed: Seed) -> Vec<Option<Arc<Rules>>> {
    let of = |number: usize| {
        let route = route(config, number);
        let own = route.and_then(|route| route.cache.as_ref()).unwrap_or(&config.cache);
        let upstream = route.and_then(|route| route.upstream.as_deref()).unwrap_or_default();
        // What is sent elsewhere is answered elsewhere.
        let keeps = own.enabled && config.mode.is_forward();
        keeps.then(|| Arc::new(Rules::new(own, seed).of_upstream(upstream)))
    };
    (0..=config.routes.len()).map(of).collect()
}

/// The limits of each service; `before` are those that go on where they count the same.
fn limits(config: &ProxyConfig, before: &[Service]) -> Vec<Option<Limits>> {
    let mut made: Vec<Option<Limits>> = Vec::with_capacity(config.routes.len() + 1);
    for number in 0..=config.routes.len() {
        let route = route(config, number);
        let own = route.and_then(|route| route.limit.as_ref());
        let limiting = own.unwrap_or(&config.limit);
        let LimitingConfig { rate, concurrency, adaptive, shed, .. } = limiting;
        if rate.is_empty() && concurrency.is_empty() && adaptive.is_none() {
            made.push(None);
            continue;
        }
        let memory = limiting.memory();
        let name = if own.is_some() { config.service_name(number) } else { String::new() };
        let known = || made.iter().chain(before.iter().map(|service| &service.limits)).flatten();
        // A route without limits of its own shares the proxy's: one budget for all of these.
        let shared = made.iter().flatten().find(|other| other.of == name);
        let former = before.iter().filter_map(|service| service.limits.as_ref());
        let mut former = former.filter(|former| former.of == name);
        let (rates, concurrency) = match (shared, former.next()) {
            (Some(shared), _) => (Arc::clone(&shared.rates), Arc::clone(&shared.concurrency)),
            (None, Some(former)) => (
                Arc::new(former.rates.renewed(rate, memory)),
                Arc::new(former.concurrency.renewed(concurrency, memory)),
            ),
            (None, None) => (
                Arc::new(Rates::new(rate, memory)),
                Arc::new(Concurrency::new(concurrency, memory)),
            ),
        };
        let upstream = route.and_then(|route| route.upstream.clone()).unwrap_or_default();
        // One for each upstream, whatever leads there: so many requests are what it can do.
        let overload = adaptive.as_ref().map(|adaptive| {
            let same = known().filter(|limits| limits.upstream == upstream);
            let mut same = same.filter_map(|limits| limits.overload.as_ref());
            let same = same.find(|overload| overload.config() == adaptive);
            same.map_or_else(|| Arc::new(Overload::new(adaptive)), Arc::clone)
        });
        made.push(Some(Limits {
            of: name,
            upstream,
            rates,
            concurrency,
            overload,
            shed: shed.clone().unwrap_or_else(ShedConfig::none),
        }));
    }
    made
}
