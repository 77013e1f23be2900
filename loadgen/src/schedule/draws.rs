//! What is drawn for a request, given its number.
//!
//! Every draw has a generator of its own, seeded by the load, the thing drawn and the request's number. Seeding one
//! costs a few multiplications, which buys that no draw depends on how many others were made before it.

use std::sync::Arc;

use policy::{
    Instant, Rng, Seed,
    distribution::{Distribution, Quantity, whole},
    quantity::{ByteSize, TimeSpan},
};

use super::{NamedLoad, Planned, Zipf, arrivals::Arrival, trace::TraceRequests};
use crate::config::{Arrivals, Key, MAX_BODY, Request};

/// Bits of a request's number that count within a user; the user stands above them.
pub(super) const COUNT_BITS: u32 = 28;
/// Bits of an id that number the request within its load.
pub(super) const NUMBER_BITS: u32 = 48;

/// All that is needed to draw any request of a load. Shared by its users and threads.
#[derive(Debug)]
pub struct RequestDraws {
    load: u16,
    seed: Seed,
    streams: Streams,
    /// Up to which point of the unit interval each template is chosen; empty for a single one.
    shares: Vec<f64>,
    templates: Vec<TemplateDraws>,
    think: Option<Distribution<TimeSpan>>,
    clients: Option<u32>,
    trace: Option<Arc<TraceRequests>>,
}

/// The seed of each thing that is drawn.
#[derive(Clone, Copy, Debug)]
struct Streams {
    mix: Seed,
    client: Seed,
    key: Seed,
    body: Seed,
    size: Seed,
    work: Seed,
    think: Seed,
}

#[derive(Debug)]
struct TemplateDraws {
    key: KeyDraw,
    body: Option<Distribution<ByteSize>>,
    size: Option<Distribution<ByteSize>>,
    work: Option<Distribution<TimeSpan>>,
}

#[derive(Debug)]
enum KeyDraw {
    None,
    Zipf(Zipf),
    Uniform(u64),
    Sequential(u64),
}

impl RequestDraws {
    /// For the `index`th load of the run.
    pub fn new(index: u16, load: &NamedLoad, seed: Seed) -> Self {
        let seed = seed.child("load").child(&load.name);
        let templates: Vec<TemplateDraws> = load
            .load
            .request
            .iter()
            .map(|request| TemplateDraws::new(request, load.work.as_ref()))
            .collect();
        let total: f64 = load.load.request.iter().map(|request| request.weight).sum();
        let mut sum = 0.0;
        let mut shares: Vec<f64> = load
            .load
            .request
            .iter()
            .map(|request| {
                sum += request.weight;
                sum / total
            })
            .collect();
        if shares.len() == 1 {
            shares.clear();
        }
        let trace = match &load.load.arrivals {
            Some(Arrivals::Trace(trace)) => Some(Arc::clone(&trace.requests)),
            _ => None,
        };
        let streams = Streams {
            mix: seed.child("mix"),
            client: seed.child("client"),
            key: seed.child("key"),
            body: seed.child("body"),
            size: seed.child("size"),
            work: seed.child("work"),
            think: seed.child("think"),
        };
        let think = load.load.think.clone();
        let clients = load.load.clients;
        Self { load: index, seed, streams, shares, templates, think, clients, trace }
    }

    /// The load's own seed.
    pub(super) fn seed(&self) -> Seed {
        self.seed
    }

    pub(super) fn trace(&self) -> Option<&Arc<TraceRequests>> {
        self.trace.as_ref()
    }

    /// The request with this number of an open loop, which is due at this time.
    #[inline]
    pub(super) fn draw(&self, number: u64, Arrival { at, traced }: Arrival) -> Planned {
        let client = match self.clients {
            Some(clients) if clients > 1 => {
                self.streams.client.nth(number).rng().below(u64::from(clients)) as u32
            }
            _ => 0,
        };
        let mut planned = self.draw_number(at, (number, number), client);
        if let (Some(index), Some(trace)) = (traced, &self.trace) {
            trace.overrule(index, &mut planned);
        }
        planned
    }

    /// The `count`th request of a user; its time is the start.
    pub(super) fn draw_for_user(&self, user: u32, count: u32) -> Planned {
        let client = self.clients.map_or(user, |clients| user % clients.max(1));
        let walked = u64::from(user).wrapping_add(u64::from(count));
        self.draw_number(Instant::START, (number_of(user, count), walked), client)
    }

    /// How long a user thinks before its `count`th request, in nanoseconds.
    pub(super) fn think(&self, user: u32, count: u32) -> u64 {
        let Some(think) = &self.think else { return 0 };
        let mut rng = self.streams.think.nth(number_of(user, count)).rng();
        let drawn = think.draw(&mut rng);
        let part = if count == 0 { rng.unit() } else { 1.0 };
        whole(drawn * part)
    }

    #[inline]
    fn draw_number(&self, at: Instant, (number, walked): (u64, u64), client: u32) -> Planned {
        let template = if self.shares.is_empty() {
            0
        } else {
            let u = self.streams.mix.nth(number).rng().unit();
            // The last share is a number divided by itself: 1, which no draw reaches.
            self.shares.iter().position(|share| u < *share).unwrap_or(0)
        };
        let mut planned = Planned {
            at,
            id: u64::from(self.load) << NUMBER_BITS | number,
            load: self.load,
            template: template as u16,
            client,
            key: 0,
            body: 0,
            size: None,
            work: None,
            traced: None,
        };
        if let Some(draws) = self.templates.get(template) {
            planned.key = match &draws.key {
                KeyDraw::None => 0,
                KeyDraw::Zipf(zipf) => zipf.draw(&mut self.streams.key.nth(number).rng()),
                KeyDraw::Uniform(n) => self.streams.key.nth(number).rng().below(*n) + 1,
                KeyDraw::Sequential(n) => walked % n + 1,
            };
            let bounded = |size: f64| whole(size).min(MAX_BODY);
            planned.body =
                amount(draws.body.as_ref(), self.streams.body, number).map_or(0, bounded);
            planned.size = amount(draws.size.as_ref(), self.streams.size, number).map(bounded);
            planned.work = amount(draws.work.as_ref(), self.streams.work, number).map(whole);
        }
        planned
    }
}

impl TemplateDraws {
    fn new(request: &Request, work: Option<&Distribution<TimeSpan>>) -> Self {
        let key = match request.key {
            None => KeyDraw::None,
            Some(Key::Zipf { n, s }) => KeyDraw::Zipf(Zipf::new(n, s)),
            Some(Key::Uniform { n }) => KeyDraw::Uniform(n.max(1)),
            Some(Key::Sequential { n }) => KeyDraw::Sequential(n.max(1)),
        };
        let work = request.work.clone().or_else(|| work.cloned());
        Self { key, body: request.body.clone(), size: request.size.clone(), work }
    }
}

fn number_of(user: u32, count: u32) -> u64 {
    u64::from(user) << COUNT_BITS | u64::from(count)
}

fn amount<Q: Quantity>(
    distribution: Option<&Distribution<Q>>,
    stream: Seed,
    number: u64,
) -> Option<f64> {
    match distribution? {
        // Nothing is drawn, so no generator is made.
        Distribution::Constant(value) => Some(value.amount()),
        distribution => {
            let mut rng: Rng = stream.nth(number).rng();
            Some(distribution.draw(&mut rng))
        }
    }
}
