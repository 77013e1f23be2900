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
    pub(super) fn draw(&self, number: u64, arrival: Arrival) -> Planned {
        let mut planned = self.blank(number, arrival);
        self.draw_client(&mut planned);
        self.draw_template(&mut planned, number);
        self.draw_work(&mut planned);
        planned
    }

    /// The same of several, whose first number this is: they are added to a list. One thing after the other is drawn for all of them, because
    /// what is drawn for one request is a chain that waits for itself, and the next one's can begin meanwhile.
    pub(super) fn draw_row(
        &self,
        first: u64,
        arrivals: impl Iterator<Item = Arrival>,
        into: &mut Vec<Planned>,
    ) {
        let from = into.len();
        for (number, arrival) in (first..).zip(arrivals) {
            into.push(self.blank(number, arrival));
            if let Some(planned) = into.last_mut() {
                self.draw_client(planned);
                self.draw_template(planned, number);
            }
        }
        for planned in &mut into[from..] {
            self.draw_work(planned);
        }
    }

    /// A request of which only the number and the time are known.
    #[inline]
    fn blank(&self, number: u64, Arrival { at, traced }: Arrival) -> Planned {
        Planned {
            at,
            id: u64::from(self.load) << NUMBER_BITS | number,
            load: self.load,
            template: 0,
            client: 0,
            key: 0,
            body: 0,
            size: None,
            work: None,
            traced,
        }
    }

    /// Which client of an open loop.
    #[inline]
    fn draw_client(&self, planned: &mut Planned) {
        if let Some(clients) = self.clients
            && clients > 1
        {
            let mut rng = self.streams.client.nth(number_in_load(planned)).rng();
            planned.client = rng.below(u64::from(clients)) as u32;
        }
    }

    /// The `count`th request of a user; its time is the start.
    pub(super) fn draw_for_user(&self, user: u32, count: u32) -> Planned {
        let client = self.clients.map_or(user, |clients| user % clients.max(1));
        let walked = u64::from(user).wrapping_add(u64::from(count));
        let arrival = Arrival { at: Instant::START, traced: None };
        let mut planned = self.blank(number_of(user, count), arrival);
        planned.client = client;
        self.draw_template(&mut planned, walked);
        self.draw_work(&mut planned);
        planned
    }

    /// How long a user thinks before its `count`th request, in nanoseconds.
    pub(super) fn think(&self, user: u32, count: u32) -> u64 {
        let Some(think) = &self.think else { return 0 };
        let mut rng = self.streams.think.nth(number_of(user, count)).rng();
        let drawn = think.draw(&mut rng);
        let part = if count == 0 { rng.unit() } else { 1.0 };
        whole(drawn * part)
    }

    /// Which template, and what it draws besides the work. Keys that are walked through are at `walked`.
    #[inline]
    fn draw_template(&self, planned: &mut Planned, walked: u64) {
        let number = number_in_load(planned);
        let mut template = 0;
        if !self.shares.is_empty() {
            let u = self.streams.mix.nth(number).rng().unit();
            // The last share is a number divided by itself: 1, which no draw reaches.
            template = self.shares.iter().position(|share| u < *share).unwrap_or(0);
        }
        planned.template = template as u16;
        let Some(draws) = self.templates.get(template) else { return };
        planned.key = match &draws.key {
            KeyDraw::None => 0,
            KeyDraw::Zipf(zipf) => zipf.draw(&mut self.streams.key.nth(number).rng()),
            KeyDraw::Uniform(n) => self.streams.key.nth(number).rng().below(*n) + 1,
            KeyDraw::Sequential(n) => walked % n + 1,
        };
        let bounded = |size: f64| whole(size).min(MAX_BODY);
        planned.body = amount(draws.body.as_ref(), self.streams.body, number).map_or(0, bounded);
        planned.size = amount(draws.size.as_ref(), self.streams.size, number).map(bounded);
    }

    /// How much work it is, by its template; and what a trace says of the request, over all that was drawn.
    #[inline]
    fn draw_work(&self, planned: &mut Planned) {
        let work = self.templates.get(usize::from(planned.template)).map(|draws| &draws.work);
        let work = work.and_then(Option::as_ref);
        planned.work = amount(work, self.streams.work, number_in_load(planned)).map(whole);
        if let (Some(index), Some(trace)) = (planned.traced, &self.trace) {
            trace.overrule(index, planned);
        }
    }
}

/// A request's number without its load's.
fn number_in_load(planned: &Planned) -> u64 {
    planned.id & ((1 << NUMBER_BITS) - 1)
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
