//! What endpoints say of their load, to the strategies that want to know: in answers, and when they are probed.
//!
//! What they say is the simulated backends' own [`Meter`]'s; whom to ask is the strategy's. A probe goes over the endpoint's link like a
//! request, over a connection that is kept for it, as the engine's `inquiry` has it: one at a time to an endpoint, so many
//! at once, and nobody waits for it. Where nobody wants to know, there is none of this.

use std::time::Duration;

use backend_sim::load::{Arrival, Meter};
use policy::{Instant, LoadReport};
use proxy::engine::PROBES_AT_ONCE;

use super::{
    backend::{Backend, Owner},
    link::Direction,
    setup::Setup,
    world::{Event, Message, World},
};

/// One load probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inquiry {
    /// Of which setup's strategy.
    pub(super) setup: u32,
    /// Of which of its endpoints.
    pub(super) index: u32,
    /// Which one.
    stamp: u32,
}

/// The load probes of a setup.
#[derive(Debug)]
pub(super) struct Inquiries {
    timeout: Duration,
    seats: Vec<Seat>,
    under_way: u32,
    /// Whom the strategy wants to be asked, in its order.
    pub(super) wanted: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    /// Moves with each probe that ends.
    stamp: u32,
    is_asked: bool,
    /// The endpoint's life that the connection belongs to, if there is one, and since when it is not used.
    connection: Option<(u32, Instant)>,
    /// What the endpoint has said, on its way.
    answer: Option<LoadReport>,
}

impl Inquiries {
    pub(super) fn new(endpoints: usize, timeout: Duration) -> Self {
        let seats = vec![Seat::default(); endpoints];
        Self { timeout, seats, under_way: 0, wanted: Vec::new() }
    }
}

/// An endpoint's meter, and when the jobs that it has came.
#[derive(Debug)]
pub(super) struct Metered {
    meter: Meter,
    /// By the job's place.
    arrivals: Vec<Option<Arrival>>,
}

impl Metered {
    pub(super) fn new(workers: u32) -> Self {
        Self { meter: Meter::new(workers), arrivals: Vec::new() }
    }
}

impl Backend {
    /// A request comes to the station.
    pub(super) fn arrived(&self, now: Instant) -> Option<Arrival> {
        self.metered.as_ref().map(|metered| metered.meter.arrived(now, &self.station))
    }

    /// It is this job there.
    #[inline]
    pub(super) fn note_arrival(&mut self, place: usize, arrival: Option<Arrival>) {
        let Some(metered) = &mut self.metered else { return };
        if metered.arrivals.len() <= place {
            metered.arrivals.resize(place + 1, None);
        }
        metered.arrivals[place] = arrival;
    }

    /// The job has been done.
    #[inline]
    pub(super) fn note_served(&mut self, now: Instant, place: usize) {
        let Some(metered) = &mut self.metered else { return };
        if let Some(arrival) = metered.arrivals.get(place).copied().flatten() {
            metered.meter.served(now, arrival, &self.station);
        }
    }

    /// A request was answered instead of being served.
    pub(super) fn note_failed(&mut self, now: Instant) {
        if let Some(metered) = &mut self.metered {
            metered.meter.failed(now, &self.station);
        }
    }

    /// How loaded it says it is.
    pub(super) fn report(&mut self, now: Instant) -> LoadReport {
        let metered = self.metered.as_mut();
        metered.map(|metered| metered.meter.report(now, &self.station)).unwrap_or_default()
    }
}

impl World<'_> {
    /// An endpoint answers: the answer says how loaded it is.
    pub(super) fn say_load(&mut self, endpoint: u32, slot: u32) {
        let report = self.backends[endpoint as usize].report(self.now);
        let slot = slot as usize;
        if self.reports.len() <= slot {
            self.reports.resize(slot + 1, LoadReport::default());
        }
        self.reports[slot] = report;
    }

    /// The head of an answer has come: the balancer hears what it says.
    pub(super) fn hear_load(&mut self, slot: u32) {
        let request = &self.requests[slot];
        if let Some(report) = self.reports.get(slot as usize) {
            self.setups[request.setup as usize].hear(request.index, self.now, report);
        }
    }

    /// Sends the probes that a pick has asked for.
    #[inline]
    pub(super) fn inquire(&mut self, setup: u32) {
        if self.setups[setup as usize].inquiries.is_some() {
            self.inquire_each(setup);
        }
    }

    #[inline(never)]
    fn inquire_each(&mut self, number: u32) {
        let is_current = self.is_current(number);
        let Some(inquiries) = &mut self.setups[number as usize].inquiries else { return };
        let mut wanted = std::mem::take(&mut inquiries.wanted);
        for index in wanted.drain(..).filter(|_| is_current) {
            self.begin_inquiry(number, index);
        }
        if let Some(inquiries) = &mut self.setups[number as usize].inquiries {
            inquiries.wanted = wanted;
        }
    }

    fn begin_inquiry(&mut self, number: u32, index: u32) {
        let now = self.now;
        let Setup { inquiries, config, proxy, endpoints, .. } = &mut self.setups[number as usize];
        let Some(inquiries) = inquiries else { return };
        let seat = &mut inquiries.seats[index as usize];
        if seat.is_asked || inquiries.under_way >= PROBES_AT_ONCE {
            return;
        }
        seat.is_asked = true;
        inquiries.under_way += 1;
        let idle = config.timeouts.upstream_idle.0;
        seat.connection = seat.connection.filter(|(_, since)| now.since(*since) < idle);
        let inquiry = Inquiry { setup: number, index, stamp: seat.stamp };
        let message = match seat.connection {
            Some(_) => Message::LoadAsk(inquiry),
            None => Message::LoadDial(inquiry),
        };
        let late = now + inquiries.timeout;
        let (proxy, endpoint) = (*proxy, endpoints[index as usize]);
        let link = self.link_to(proxy, endpoint);
        self.send(link, Direction::Up, message);
        if self.seat(inquiry).is_some() {
            self.agenda.plan(late, Event::LoadLate(inquiry));
        }
    }

    /// Where an inquiry that is under way is waited for.
    fn seat(&mut self, inquiry: Inquiry) -> Option<&mut Seat> {
        let inquiries = self.setups[inquiry.setup as usize].inquiries.as_mut()?;
        let seat = &mut inquiries.seats[inquiry.index as usize];
        (seat.is_asked && seat.stamp == inquiry.stamp).then_some(seat)
    }

    /// A load probe opens a connection.
    pub(super) fn endpoint_is_dialled_for_load(&mut self, link: u32, inquiry: Inquiry) {
        let backend = &self.backends[self.links[link as usize].peer as usize];
        let answer = if backend.down {
            Message::LoadAnswer(inquiry)
        } else {
            Message::LoadAccepted(inquiry, backend.life)
        };
        self.send(link, Direction::Down, answer);
    }

    /// It has one.
    pub(super) fn inquiry_connected(&mut self, link: u32, inquiry: Inquiry, life: u32) {
        let now = self.now;
        if let Some(seat) = self.seat(inquiry) {
            seat.connection = Some((life, now));
            self.send(link, Direction::Up, Message::LoadAsk(inquiry));
        }
    }

    /// A load probe asks.
    pub(super) fn endpoint_is_asked_for_load(&mut self, link: u32, inquiry: Inquiry) {
        let endpoint = self.links[link as usize].peer;
        let Some(seat) = self.seat(inquiry) else { return };
        let life = seat.connection.map(|(life, _)| life);
        let backend = &mut self.backends[endpoint as usize];
        let mut answer = None;
        if !backend.down && life == Some(backend.life) {
            if backend.hung {
                backend.hits.hang += 1;
                backend.held.push(Owner::Inquiry(inquiry));
                return;
            }
            answer = Some(backend.report(self.now));
        }
        if let Some(seat) = self.seat(inquiry) {
            seat.answer = answer;
        }
        self.send(link, Direction::Down, Message::LoadAnswer(inquiry));
    }

    /// An endpoint that has hung goes on with a probe.
    pub(super) fn endpoint_goes_on_with_load(&mut self, endpoint: u32, inquiry: Inquiry) {
        let link = self.link_to(self.proxy_of(inquiry.setup), endpoint);
        self.endpoint_is_asked_for_load(link, inquiry);
    }

    /// A load probe is over.
    pub(super) fn end_inquiry(&mut self, inquiry: Inquiry, end: End) {
        let (now, is_current) = (self.now, self.is_current(inquiry.setup));
        let Some(seat) = self.seat(inquiry) else { return };
        let answer = seat.answer.take().filter(|_| end == End::Answered);
        seat.stamp = seat.stamp.wrapping_add(1);
        seat.is_asked = false;
        seat.connection = match (answer, seat.connection) {
            (Some(_), Some((life, _))) => Some((life, now)),
            _ => None,
        };
        let setup = &mut self.setups[inquiry.setup as usize];
        if let Some(inquiries) = &mut setup.inquiries {
            inquiries.under_way -= 1;
        }
        if is_current {
            setup.probed(inquiry.index, now, answer.as_ref());
        }
    }

    /// The connections of the endpoint's lives up to this one are closed, those for probes too.
    pub(super) fn bury_inquiries(&mut self, number: u32, index: u32, life: u32) {
        let Some(inquiries) = &mut self.setups[number as usize].inquiries else { return };
        let seat = &mut inquiries.seats[index as usize];
        if seat.connection.is_none_or(|(of, _)| of > life) {
            return;
        }
        seat.connection = None;
        let inquiry = Inquiry { setup: number, index, stamp: seat.stamp };
        self.end_inquiry(inquiry, End::Unanswered);
    }
}

/// How a load probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With what the endpoint has said, if it could.
    Answered,
    /// Too late, or broken.
    Unanswered,
}
