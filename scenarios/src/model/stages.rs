//! The stages that a request meets before it turns to the endpoints, in the engine's order: filters, how many its client has under way, how often it
//! comes, the cache, and how much its upstream can take.
//!
//! All of them decide by `policy`'s own state, one a service ([`services`](super::services)), kept over reloads as the engine keeps it. What a request holds until it ends (its
//! place in a concurrency limit, its place at an upstream that is near its limit) stands beside its slot. A proxy without stages has one branch of this
//! for each request that comes, and one for each that ends.

use std::sync::Arc;

use policy::{
    Instant,
    message::Reply,
    rate::{Concurrency, Ended, Overload, Places, Rates, ShedConfig},
};
use proxy::engine::Fault;

use super::{request::Kind, world::World};

/// A service's limits.
#[derive(Debug)]
pub(super) struct Limits {
    /// The route that has them; empty for the proxy's own.
    pub(super) of: String,
    /// The upstream behind; empty for the proxy's own endpoints.
    pub(super) upstream: String,
    pub(super) rates: Arc<Rates>,
    pub(super) concurrency: Arc<Concurrency>,
    pub(super) overload: Option<Arc<Overload>>,
    pub(super) shed: ShedConfig,
}

/// What a request holds, and which service it is for.
#[derive(Debug)]
pub(super) struct Held {
    /// Which of the run's; none that there is for a request that meets nothing.
    pub(super) service: u32,
    /// What its endpoint is asked for, if that is not what the client has asked for.
    pub(super) onward: Option<Box<[u8]>>,
    places: Option<Places>,
    /// Since when it has a place at the upstream.
    entered: Option<Instant>,
}

impl Held {
    /// Nothing, on its way to this service.
    pub(super) fn of(service: u32) -> Self {
        Self { service, onward: None, places: None, entered: None }
    }
}

impl World<'_> {
    /// A request that has come gets its service, and meets filters, limits and cache; whether that was all, for now.
    pub(super) fn meets_stages(&mut self, slot: u32) -> bool {
        self.take_route(slot);
        if let Some(reply) = self.filter(slot) {
            self.answer_instead(slot, &reply);
            return true;
        }
        if let Some(reply) = self.limit(slot) {
            self.tally.limited += 1;
            self.answer_instead(slot, &reply);
            return true;
        }
        self.consult(slot, None)
    }

    /// The proxy answers by itself.
    fn answer_instead(&mut self, slot: u32, reply: &Reply) {
        let request = &mut self.requests[slot];
        (request.status, request.answered) = (reply.status, None);
        let empty = request.kind == Kind::Head || matches!(reply.status, 204 | 304);
        request.bytes = if empty { 0 } else { reply.body.len() as u64 };
        self.conclude(slot, None);
    }

    /// What a request is answered that is one too many of its client's.
    fn limit(&mut self, slot: u32) -> Option<Reply> {
        let Self { requests, setups, clients, services, held, now, .. } = self;
        let held = held.get_mut(slot as usize)?;
        let limits = services.get(held.service as usize)?.limits.as_ref()?;
        let request = &requests[slot];
        let config = &setups[request.setup as usize].config;
        let letter = &mut clients[usize::from(request.planned.load)].letter;
        let written = letter.write(&config.forwarding, &request.planned);
        let asked = written.asked();
        let mut places = None;
        if !limits.concurrency.is_empty() {
            match limits.concurrency.enter(&asked) {
                Ok(taken) => places = Some(taken),
                Err(at) => return limits.concurrency.reply(at),
            }
        }
        let judgement = limits.rates.ask(&limits.rates.identify(&asked), *now);
        if !judgement.admits() {
            if let Some(places) = places {
                limits.concurrency.leave(places);
            }
            return limits.rates.reply(&judgement);
        }
        held.places = places;
        None
    }

    /// Whether the upstream of a request has no room for one of its class; else it has taken its place there.
    pub(super) fn is_shed(&mut self, slot: u32) -> bool {
        let Self { requests, setups, clients, services, held, now, .. } = self;
        let Some(held) = held.get_mut(slot as usize) else { return false };
        let service = services.get(held.service as usize);
        let Some(limits) = service.and_then(|service| service.limits.as_ref()) else {
            return false;
        };
        let Some(overload) = &limits.overload else { return false };
        let request = &requests[slot];
        let config = &setups[request.setup as usize].config;
        let letter = &mut clients[usize::from(request.planned.load)].letter;
        let written = letter.write(&config.forwarding, &request.planned);
        let priority = limits.shed.priority_of(&written.asked());
        if overload.enter(priority, &limits.shed.shares) {
            held.entered = Some(*now);
            return false;
        }
        let seconds = limits.shed.seconds();
        self.tally.shed += 1;
        self.conclude(slot, Some(Fault::Overloaded(seconds)));
        true
    }

    /// What belongs to a request, by its slot.
    pub(super) fn held(&mut self, slot: u32) -> &mut Held {
        let place = slot as usize;
        if place >= self.held.len() {
            self.held.resize_with(place + 1, || Held::of(u32::MAX));
        }
        &mut self.held[place]
    }

    /// The head of a request's answer is there, or none will come: the upstream has room for another.
    pub(super) fn leave_upstream(&mut self, slot: u32, fault: Option<&Fault>, status: u16) {
        let Some(held) = self.held.get_mut(slot as usize) else { return };
        let Some(entered) = held.entered.take() else { return };
        let limits = self.service(slot).and_then(|service| service.limits.as_ref());
        let Some(overload) = limits.and_then(|limits| limits.overload.as_ref()) else { return };
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
        if let Some(limits) = self.service(slot).and_then(|service| service.limits.as_ref()) {
            limits.concurrency.leave(places);
        }
    }
}
