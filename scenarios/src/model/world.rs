//! The model's world: all that there is, and the loop that moves it through time.
//!
//! A message that takes no time is delivered by a call, so that a request on a network without latency costs two
//! events, its arrival and the end of its service. Everything else goes over the agenda. Who waits for room at an endpoint looks
//! when the event that made it is over: in the engine, too, those tasks run after the one that rang.

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use backend_sim::station::JobId;
use policy::{Instant, LoadReport};

use super::{
    Beat,
    agenda::{Agenda, Next},
    ahead::Ahead,
    backend::Backend,
    behind::Behind,
    cache::Pending,
    clients::{Clients, Ending},
    events::{direction_of, is_dial},
    inquiry::{End, Inquiry},
    link::{Direction, Link, Way},
    parts::Parts,
    probe::Probe,
    proxies::{Proxy, Room},
    redirect::Redirect,
    request::{Ref, Slab, Stage, Try},
    services::Service,
    setup::Setup,
    stages::Held,
    tally::{Failures, Tally},
};
use crate::{
    counters::Readings,
    invariants::Invariants,
    language::{Moment, Scenario},
};

/// What goes over links.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message {
    /// A client opens a connection.
    ClientDial(Ref),
    /// The proxy has accepted it.
    ClientAccepted(Ref),
    /// A request comes to the proxy.
    Ask(Ref),
    /// Its client has gone.
    Gone(Ref),
    /// An answer comes to the client.
    Answer(Ref),
    /// Its connection breaks.
    Broken(Ref),
    /// The proxy opens a connection to an endpoint.
    Dial(Try),
    /// The endpoint, in this life, has accepted it.
    Accepted(Try, u32),
    /// It has not.
    Refused(Try),
    /// A request comes to the endpoint.
    Request(Try),
    /// The connection that a request went over is closed.
    Closed(Try),
    /// An answer with this status comes to the proxy.
    Response(Try, u16),
    /// The head of one whose body will take its time.
    Head(Try),
    /// The proxy has given a request up: this job.
    Cancel(JobId),
    /// All connections of the endpoint's lives up to this one are closed.
    Dead(u32),
    /// A health check opens a connection.
    ProbeDial(Probe),
    /// The endpoint has accepted it.
    ProbeAccepted(Probe),
    /// A health check asks.
    ProbeAsk(Probe),
    /// It is answered so; 0 for refused or broken.
    ProbeAnswer(Probe, u16),
    /// A load probe opens a connection.
    LoadDial(Inquiry),
    /// The endpoint, in this life, has accepted it.
    LoadAccepted(Inquiry, u32),
    /// A load probe asks.
    LoadAsk(Inquiry),
    /// It is answered, or cannot be.
    LoadAnswer(Inquiry),
    /// The client is sent to an endpoint.
    Redirected(Ref),
    /// An endpoint, in this life, opens a connection to this proxy for its reports.
    ReportDial(u32, u32),
    /// A batch of them.
    Reports(u32, u32),
    /// The proxy has accepted the connection, or taken the batch.
    ReportsTaken(u32, u32),
}

/// What happens once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A message arrives.
    Arrives(u32, Message),
    /// A message is sent again that a cut had held up.
    Again(u32, Message),
    /// A user has thought.
    Thought { load: u16, user: u32 },
    /// An event of the scenario.
    Moment(u32),
    /// The counters are to be read.
    Reading,
    /// All endpoints must be in use again.
    Recovered,
    /// An endpoint is to be probed, by the checks of this setup.
    Probe { setup: u32, index: u32 },
    /// A probe has lasted too long.
    ProbeLate(Probe),
    /// A load probe has.
    LoadLate(Inquiry),
    /// Old connections of a proxy are closed.
    Sweep { proxy: u32 },
    /// An ejection ends, and somebody waits for it.
    Look { setup: u32 },
    /// A request has waited for another that has gone for the same, and long enough.
    FollowLate(Ref),
    /// A stream has stood still for too long, if the endpoint is still as frozen as it was.
    Stalled(Try, u32),
}

/// What a source on the agenda is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Arrivals,
    Station(u32),
    Patience(u32),
    Connect(u32),
    Response(u32),
    Queue(u32),
    Sessions,
}

/// All that there is.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) parts: Parts,
    pub(super) timeline: Vec<Moment>,
    pub(super) now: Instant,
    /// When the load ends, and from when on it is measured.
    pub(super) end: Instant,
    pub(super) measured_from: Instant,
    pub(super) agenda: Agenda<Event>,
    pub(super) sources: Vec<Source>,
    pub(super) requests: Slab,
    pub(super) clients: Vec<Clients>,
    pub(super) schedule: Ahead,
    pub(super) arrivals: u32,
    pub(super) backends: Vec<Backend>,
    /// Their places, by name.
    pub(super) places: BTreeMap<String, u32>,
    /// Proxy by proxy: the loads' links, then the endpoints'. So many are one proxy's.
    pub(super) links: Vec<Link<Message>>,
    pub(super) stride: u32,
    pub(super) setups: Vec<Setup>,
    /// Whether answers say how loaded their endpoints are, and what the latest of each slot has said.
    pub(super) reporting: bool,
    pub(super) reports: Vec<LoadReport>,
    pub(super) proxies: Vec<Proxy>,
    /// Where requests wait: one for each upstream of each proxy.
    pub(super) rooms: Vec<Room>,
    /// There may be room at an endpoint, for those who wait in some room.
    pub(super) rung: bool,
    /// Whether a proxy binds clients to endpoints.
    pub(super) binds: bool,
    pub(super) recorder: Behind,
    pub(super) readings: Readings,
    pub(super) tally: Tally,
    pub(super) failures: Failures,
    /// Clients that wait for an answer, users that think, and requests that have ended.
    pub(super) waiting_clients: usize,
    pub(super) thinking: usize,
    pub(super) ended: u64,
    pub(super) events: u64,
    pub(super) notes: Vec<String>,
    pub(super) invariants: Invariants,
    /// Whether a proxy has a stage before its endpoints: a limit, a cache. And what is known of requests that have passed the cache, by
    /// their slots.
    pub(super) staged: bool,
    pub(super) pending: Vec<Option<Box<Pending>>>,
    pub(super) held: Vec<Held>,
    /// Every service of every configuration, and what a request meets on its way there.
    pub(super) services: Vec<Service>,
    /// In redirect mode.
    pub(super) redirect: Option<Box<Redirect>>,
}

/// So many events between two looks at whoever watches.
const LOOK: u64 = 1 << 16;

impl World<'_> {
    /// Runs until every request has ended, or until the watcher has had enough: then when that was.
    pub(super) fn run(
        &mut self,
        watch: &mut dyn FnMut(Beat) -> ControlFlow<()>,
    ) -> Option<Duration> {
        while !self.schedule.is_over() || self.waiting_clients > 0 || self.thinking > 0 {
            let Some((at, next)) = self.agenda.next() else { break };
            self.now = at;
            self.occur(next);
            self.events += 1;
            if self.events.is_multiple_of(LOOK) {
                let beat = Beat { elapsed: at.since(Instant::START), ended: self.ended };
                if watch(beat).is_break() {
                    return Some(beat.elapsed);
                }
            }
        }
        None
    }

    /// Something happens.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what happens comes in registers")]
    pub(super) fn occur(&mut self, next: Next<Event>) {
        match next {
            Next::Source(source) => self.fire(source),
            Next::Once(event) => self.happen(event),
        }
        if self.rung {
            self.look_for_room();
        }
    }

    fn fire(&mut self, source: u32) {
        // Nearly all that happens is one of two things. Nobody can foresee which, and a processor finds out sooner from a number
        // that it has than from a table that it has to look up.
        if source == self.arrivals {
            return self.arrive();
        }
        if let Source::Station(endpoint) = self.sources[source as usize] {
            return self.serve_on(endpoint);
        }
        self.fire_seldom(source);
    }

    #[inline(never)]
    fn fire_seldom(&mut self, source: u32) {
        match self.sources[source as usize] {
            Source::Arrivals => self.arrive(),
            Source::Station(endpoint) => self.serve_on(endpoint),
            Source::Patience(load) => self.lose_patience(load as usize),
            Source::Connect(setup) => self.connects_late(setup),
            Source::Response(setup) => self.responses_late(setup),
            Source::Queue(setup) => self.queue_late(setup),
            Source::Sessions => self.sessions_expire(),
        }
    }

    #[inline(never)]
    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives(link, message) => {
                // The first packet of a dial that is on its way is past the cut: its answer is held up.
                if is_dial(message) || !self.links[link as usize].strand(message) {
                    self.deliver(link, message);
                }
            }
            Event::Again(link, message) => self.send(link, direction_of(message), message),
            Event::Thought { load, user } => self.ask(load, user),
            Event::Moment(index) => self.perform(index as usize),
            Event::Reading => self.read_counters(),
            Event::Recovered => self.look_at_recovery(),
            Event::Probe { setup, index } => self.begin_probe(setup, index),
            Event::ProbeLate(probe) => self.end_probe(probe, None),
            Event::LoadLate(inquiry) => self.end_inquiry(inquiry, End::Unanswered),
            Event::Sweep { proxy } => self.sweep(proxy),
            Event::Look { setup } => {
                self.setups[setup as usize].look = Instant::NEVER;
                self.ring(setup);
            }
            Event::FollowLate(whose) => self.follow_late(whose),
            Event::Stalled(attempt, freeze) => self.stalled(attempt, freeze),
        }
    }

    /// Sends a message over a link.
    pub(super) fn send(&mut self, link: u32, direction: Direction, message: Message) {
        let way = &mut self.links[link as usize];
        if way.hold(message, self.now) {
            return;
        }
        match way.way(direction) {
            Way::After(latency) => {
                self.agenda.plan(self.now + latency, Event::Arrives(link, message));
            }
            Way::Now => self.deliver(link, message),
        }
    }

    fn deliver(&mut self, link: u32, message: Message) {
        let endpoint = self.links[link as usize].peer;
        match message {
            Message::ClientDial(whose) => {
                if self.requests.find(whose).is_some() {
                    self.tally.client_connections += 1;
                    self.send(link, Direction::Down, Message::ClientAccepted(whose));
                }
            }
            Message::ClientAccepted(whose) => {
                if let Some(slot) = self.requests.find(whose) {
                    self.requests[slot].stage = Stage::Coming;
                    self.take_cookie(slot);
                    self.send(link, Direction::Up, Message::Ask(whose));
                }
            }
            Message::Ask(whose) => {
                if let Some(slot) = self.requests.find(whose) {
                    self.begin(slot);
                }
            }
            Message::Gone(whose) => {
                if let Some(slot) = self.requests.find(whose) {
                    self.client_gone(slot);
                }
            }
            Message::Answer(whose) => self.client_hears(whose, Ending::Answered),
            Message::Broken(whose) => self.client_hears(whose, Ending::Broken),
            Message::Dial(attempt) => self.endpoint_is_dialled(link, attempt),
            Message::Accepted(attempt, life) => self.connected(attempt, life),
            Message::Refused(attempt) => self.refused(attempt),
            Message::Request(attempt) => {
                if self.redirect.is_some() {
                    self.arrives(attempt);
                }
                self.endpoint_is_asked(endpoint, attempt);
            }
            Message::Closed(attempt) => self.closed(attempt),
            Message::Response(attempt, status) => self.responded(attempt, status),
            Message::Head(attempt) => self.streams(attempt, endpoint),
            Message::Cancel(job) => self.cancel_job(endpoint, job),
            Message::Dead(life) if self.is_direct(link) => self.bury_away(link, life),
            Message::Dead(life) => self.bury(link, life),
            Message::ProbeDial(probe) => self.endpoint_is_probed(endpoint, probe),
            Message::ProbeAccepted(probe) => self.probe_connected(endpoint, probe),
            Message::ProbeAsk(probe) => self.endpoint_is_asked_for_health(endpoint, probe),
            Message::ProbeAnswer(probe, status) => self.end_probe(probe, Some(status)),
            Message::LoadDial(inquiry) => self.endpoint_is_dialled_for_load(link, inquiry),
            Message::LoadAccepted(inquiry, life) => self.inquiry_connected(link, inquiry, life),
            Message::LoadAsk(inquiry) => self.endpoint_is_asked_for_load(link, inquiry),
            Message::LoadAnswer(inquiry) => self.end_inquiry(inquiry, End::Answered),
            Message::Redirected(whose) => self.follow(whose),
            Message::ReportDial(proxy, life) => {
                self.tally.client_connections += 1;
                self.send(link, Direction::Up, Message::ReportsTaken(proxy, life));
            }
            Message::Reports(proxy, life) => self.take_reports(proxy, endpoint, life),
            Message::ReportsTaken(proxy, life) => self.lane_is_free(proxy, endpoint, life),
        }
    }

    fn client_hears(&mut self, whose: Ref, ending: Ending) {
        if let Some(slot) = self.requests.find(whose)
            && !self.requests[slot].client_done
        {
            self.client_ends(slot, ending);
        }
    }

    /// Gives the slot of a request free that nobody is concerned with any more.
    pub(super) fn free_if_over(&mut self, slot: u32) {
        let request = &self.requests[slot];
        if request.client_done && request.stage == Stage::Done {
            self.requests.free(slot);
        }
    }

    /// Reads the counters, for the warm-up and the phases.
    fn read_counters(&mut self) {
        let counters = self.counters();
        self.readings.take(counters);
    }

    /// Plans all readings.
    pub(super) fn plan_readings(&mut self) {
        for at in self.readings.moments() {
            self.agenda.plan(Instant::START + at, Event::Reading);
        }
    }

    /// Closes connections that have idled for too long, as the engine does from time to time.
    fn sweep(&mut self, proxy: u32) {
        for setup in self.proxies[proxy as usize].in_force() {
            let Setup { config, pools, .. } = &mut self.setups[setup as usize];
            for pool in pools {
                pool.sweep(config, self.now);
            }
        }
        self.plan_sweep(proxy);
    }

    pub(super) fn plan_sweep(&mut self, proxy: u32) {
        let current = self.proxies[proxy as usize].current;
        let idle = self.setups[current as usize].config.timeouts.upstream_idle.0;
        let next = self.now + idle.max(Duration::from_secs(4)) / 4;
        self.agenda.plan(next, Event::Sweep { proxy });
    }
}
