//! The stages that a request meets before it turns to the endpoints, in the engine's order: how many its client has under way, how often it comes,
//! the cache, and how much its upstream can take.
//!
//! All of them decide by `policy`'s own state, one a proxy, kept over reloads as the engine keeps it. What a request holds until it ends (its
//! place in a concurrency limit, its place at an upstream that is near its limit) stands beside its slot. A proxy without stages has one branch of this
//! for each request that comes, and one for each that ends.

use policy::{
    Instant,
    message::Reply,
    rate::{Concurrency, Ended, Overload, Places, Rates, ShedConfig},
};
use proxy::{config::ProxyConfig, engine::Fault};

use super::{cache::Cache, proxies::Proxy, request::Kind, world::World};

/// A proxy's limits.
#[derive(Debug)]
pub(super) struct Limits {
    rates: Rates,
    concurrency: Concurrency,
    overload: Option<Overload>,
    shed: ShedConfig,
}

/// What a request holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    places: Option<Places>,
    /// Since when it has a place at the upstream.
    entered: Option<Instant>,
}

impl Limits {
    fn new(config: &ProxyConfig, before: Option<&Self>) -> Option<Self> {
        let limit = &config.limit;
        if limit.rate.is_empty() && limit.concurrency.is_empty() && limit.adaptive.is_none() {
            return None;
        }
        let memory = limit.memory();
        let overload = limit.adaptive.as_ref().map(Overload::new);
        Some(Self {
            rates: match before {
                Some(before) => before.rates.renewed(&limit.rate, memory),
                None => Rates::new(&limit.rate, memory),
            },
            concurrency: match before {
                Some(before) => before.concurrency.renewed(&limit.concurrency, memory),
                None => Concurrency::new(&limit.concurrency, memory),
            },
            overload,
            shed: limit.shed.clone().unwrap_or_else(ShedConfig::none),
        })
    }
}

impl Proxy {
    /// A configuration comes into force; whether it has a stage.
    pub(super) fn stage(&mut self, config: &ProxyConfig) -> bool {
        self.cache = Cache::new(&config.cache, self.cache.take(), self.seed);
        self.limits = Limits::new(config, self.limits.as_ref());
        self.cache.is_some() || self.limits.is_some()
    }
}

impl World<'_> {
    /// A request that has come meets limits and cache; whether that was all, for now.
    pub(super) fn meets_stages(&mut self, slot: u32) -> bool {
        if let Some(reply) = self.limit(slot) {
            self.tally.limited += 1;
            let request = &mut self.requests[slot];
            (request.status, request.answered) = (reply.status, None);
            request.bytes = if request.kind == Kind::Head { 0 } else { reply.body.len() as u64 };
            self.conclude(slot, None);
            return true;
        }
        self.consult(slot, None)
    }

    /// What a request is answered that is one too many of its client's.
    fn limit(&mut self, slot: u32) -> Option<Reply> {
        let request = &self.requests[slot];
        let limits = self.proxies[usize::from(request.proxy)].limits.as_ref()?;
        let config = &self.setups[request.setup as usize].config;
        let letter = &mut self.clients[usize::from(request.planned.load)].letter;
        let written = letter.write(&config.forwarding, &request.planned);
        let asked = written.asked();
        let mut places = None;
        if !limits.concurrency.is_empty() {
            match limits.concurrency.enter(&asked) {
                Ok(taken) => places = Some(taken),
                Err(at) => return limits.concurrency.reply(at),
            }
        }
        let judgement = limits.rates.ask(&limits.rates.identify(&asked), self.now);
        if !judgement.admits() {
            if let Some(places) = places {
                limits.concurrency.leave(places);
            }
            return limits.rates.reply(&judgement);
        }
        if places.is_some() {
            self.held(slot).places = places;
        }
        None
    }

    /// Whether the upstream of a request has no room for one of its class; else it has taken its place there.
    pub(super) fn is_shed(&mut self, slot: u32) -> bool {
        let request = &self.requests[slot];
        let Some(limits) = &self.proxies[usize::from(request.proxy)].limits else { return false };
        let Some(overload) = &limits.overload else { return false };
        let config = &self.setups[request.setup as usize].config;
        let letter = &mut self.clients[usize::from(request.planned.load)].letter;
        let written = letter.write(&config.forwarding, &request.planned);
        let priority = limits.shed.priority_of(&written.asked());
        if !overload.enter(priority, &limits.shed.shares) {
            let seconds = limits.shed.seconds();
            self.tally.shed += 1;
            self.conclude(slot, Some(Fault::Overloaded(seconds)));
            return true;
        }
        self.held(slot).entered = Some(self.now);
        false
    }

    fn held(&mut self, slot: u32) -> &mut Held {
        let place = slot as usize;
        if place >= self.held.len() {
            self.held.resize_with(place + 1, Held::default);
        }
        &mut self.held[place]
    }

    /// The head of a request's answer is there, or none will come: the upstream has room for another.
    pub(super) fn leave_upstream(&mut self, slot: u32, fault: Option<&Fault>, status: u16) {
        let Some(held) = self.held.get_mut(slot as usize) else { return };
        let Some(entered) = held.entered.take() else { return };
        let proxy = usize::from(self.requests[slot].proxy);
        let overload =
            self.proxies[proxy].limits.as_ref().and_then(|limits| limits.overload.as_ref());
        let Some(overload) = overload else { return };
        let ended = match fault {
            Some(Fault::ClientGone) => Ended::Abandoned,
            Some(_) => Ended::Dropped,
            None if matches!(status, 503 | 504) => Ended::Dropped,
            None => Ended::Answered,
        };
        overload.leave(self.now, entered, ended);
    }

    /// A request has ended: it gives back what it holds.
    pub(super) fn let_go(&mut self, slot: u32, fault: Option<&Fault>, status: u16) {
        self.leave_upstream(slot, fault, status);
        let Some(held) = self.held.get_mut(slot as usize) else { return };
        let Some(places) = held.places.take() else { return };
        let proxy = usize::from(self.requests[slot].proxy);
        if let Some(limits) = &self.proxies[proxy].limits {
            limits.concurrency.leave(places);
        }
    }
}
