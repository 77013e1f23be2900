//! The clients: the load generator's schedule, its connections and its patience.
//!
//! The requests are `loadgen`'s own ([`loadgen::schedule`]): open loops merged in the order in which their requests are due,
//! closed ones user by user. As there, a request takes the connection that was used last, opens one when none is idle, and
//! is dropped when there are as many as may be; patience counts from the intended time; what was answered leaves its connection
//! open, and what was not, does not. Which of several proxies a request goes to is the generator's own [`Route`].

use std::{sync::Arc, time::Duration};

use loadgen::{
    MAX_CONNECTIONS, NamedLoad,
    config::{Arrivals, Connections},
    schedule::{
        MergedSchedule, OpenSchedule, Planned, RequestDraws, Route, User, trace::TraceRequests,
    },
};
use policy::{Instant, Seed};
use reports::{FailClass, Outcome, Sample};

use super::{cookies::Cookies, letter::Letter};
use super::{
    lane::{Due, Lane},
    link::Direction,
    request::{Kind, Ref, Stage},
    setup::Waits,
    world::{Event, Message, World},
};
use crate::language::Scenario;

/// After a connection that broke, a user of a closed loop waits so long.
const AFTER_REFUSAL: Duration = Duration::from_millis(10);

/// One load.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) name: String,
    timeout: Duration,
    templates: Vec<Template>,
    trace: Option<Arc<TraceRequests>>,
    pub(super) per_request: bool,
    route: Route,
    /// Connections of an open loop: when each idle one came to be idle, by proxy; how many there are, how many there may be.
    idle: Vec<Vec<Instant>>,
    taken: u32,
    most: u32,
    users: Vec<Member>,
    left: u64,
    pub(super) patience: Lane,
    /// In the measured time: requests that were due, and those of them that could not be sent.
    pub(super) offered: u64,
    pub(super) dropped: u64,
    pub(super) is_open: bool,
    pub(super) letter: Letter,
    /// Whether the clients are told apart, and the cookies that they keep then.
    pub(super) are_named: bool,
    pub(super) cookies: Cookies,
}

/// What matters of a request's template.
#[derive(Debug)]
struct Template {
    kind: Kind,
    path: String,
    expect: Vec<u16>,
}

/// A user of a closed loop.
#[derive(Debug)]
struct Member {
    user: User,
    /// Since when its connection has been idle, if it has one.
    idle: Option<Instant>,
}

/// The loads of a scenario, with the work that their requests carry: as the generator is given them.
pub(super) fn loads(scenario: &Scenario) -> Vec<NamedLoad> {
    // Where all backends are alike, the work is drawn with the request, so that every strategy faces the same.
    let mut services = scenario.backends.values().map(|backend| &backend.service);
    let work = services.next().filter(|first| services.all(|other| other == *first)).cloned();
    let named = |(name, load): (&String, &loadgen::Load)| NamedLoad {
        name: name.clone(),
        load: load.clone(),
        work: work.clone(),
    };
    scenario.load.iter().map(named).collect()
}

/// The open loops of these loads.
pub(super) fn schedule(loads: &[NamedLoad], seed: Seed, end: Instant) -> MergedSchedule {
    let open = |(index, load)| OpenSchedule::new(index, load, seed, end);
    MergedSchedule::new((0_u16..).zip(loads).filter_map(open))
}

impl Clients {
    pub(super) fn new(
        index: u16,
        named: &NamedLoad,
        (seed, proxies): (Seed, u32),
        source: u32,
    ) -> Self {
        let NamedLoad { name, load, .. } = named;
        let template = |request: &loadgen::config::Request| Template {
            kind: Kind::of(&request.method),
            path: request.path.clone(),
            expect: request.expect.clone(),
        };
        let draws = Arc::new(RequestDraws::new(index, named, seed));
        let user = |number| Member { user: User::new(Arc::clone(&draws), number), idle: None };
        let trace = match &load.arrivals {
            Some(Arrivals::Trace(trace)) => Some(Arc::clone(&trace.requests)),
            _ => None,
        };
        Self {
            name: name.clone(),
            timeout: load.timeout.0,
            templates: load.request.iter().map(template).collect(),
            trace,
            per_request: load.connections == Connections::PerRequest,
            route: Route::new(named, seed, proxies),
            idle: vec![Vec::new(); proxies as usize],
            taken: 0,
            most: load.max_connections.unwrap_or(MAX_CONNECTIONS),
            users: (0..load.users.unwrap_or(0)).map(user).collect(),
            left: load.requests.unwrap_or(u64::MAX),
            patience: Lane::new(source),
            offered: 0,
            dropped: 0,
            is_open: load.arrivals.is_some(),
            letter: Letter::new(index, load),
            are_named: load.clients.is_some() || load.users.is_some(),
            cookies: Cookies::default(),
        }
    }

    pub(super) fn users(&self) -> u32 {
        self.users.len() as u32
    }

    fn kind(&self, planned: &Planned) -> Kind {
        let traced = self.trace.as_ref().zip(planned.traced);
        match traced.and_then(|(trace, index)| trace.target(index)) {
            Some((method, _)) => Kind::of(method),
            None => self.templates[usize::from(planned.template)].kind,
        }
    }

    /// Whether the request asks for this path, which has no holes.
    pub(super) fn asks_for(&self, planned: &Planned, path: &str) -> bool {
        let traced = self.trace.as_ref().zip(planned.traced);
        match traced.and_then(|(trace, index)| trace.target(index)) {
            Some((_, target)) => target == path,
            None => self.templates[usize::from(planned.template)].path == path,
        }
    }

    fn expects(&self, planned: &Planned, status: u16) -> bool {
        let expect = &self.templates[usize::from(planned.template)].expect;
        if expect.is_empty() { (200..400).contains(&status) } else { expect.contains(&status) }
    }

    /// A connection to a proxy for the next request: an idle one, a new one, or none.
    fn seat(&mut self, proxy: u32, now: Instant, waits: &Waits) -> Option<Seat> {
        let idle = &mut self.idle[proxy as usize];
        if let Some(since) = idle.pop() {
            if waits.keeps(since, now) {
                return Some(Seat::Open);
            }
            // The proxy has closed it, and those below, which are older still.
            self.taken -= idle.len() as u32 + 1;
            idle.clear();
        }
        if self.taken >= self.most {
            self.let_one_go();
        }
        let room = self.taken < self.most;
        self.taken += u32::from(room);
        room.then_some(Seat::New)
    }

    /// Closes the connection that has idled for longest, at another proxy.
    #[cold]
    fn let_one_go(&mut self) {
        let since = |idle: &Vec<Instant>| idle.first().copied().unwrap_or(Instant::NEVER);
        if let Some(idle) = self.idle.iter_mut().min_by_key(|idle| since(idle))
            && !idle.is_empty()
        {
            idle.remove(0);
            self.taken -= 1;
        }
    }
}

/// What a request finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    /// A connection that is open.
    Open,
    /// The right to open one.
    New,
}

/// How a request ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was answered.
    Answered,
    /// Its connection broke.
    Broken,
    /// The endpoint that it was sent to refuses it.
    Refused,
    /// Its patience ended.
    TimedOut,
}

impl World<'_> {
    /// The next request of the open loops is due.
    pub(super) fn arrive(&mut self) {
        let Some(planned) = self.schedule.first() else { return };
        let now = self.now;
        let clients = &mut self.clients[usize::from(planned.load)];
        let proxy = clients.route.proxy(planned);
        let current = self.proxies[proxy as usize].current;
        let waits = &self.setups[current as usize].waits;
        let is_measured = now >= self.measured_from;
        clients.offered += u64::from(is_measured);
        let Some(seat) = clients.seat(proxy, now, waits) else {
            clients.dropped += u64::from(is_measured);
            let planned = *planned;
            self.next_arrival();
            return self.drop_unsent(&planned);
        };
        // From the schedule into its slot at once: it is large.
        let kind = clients.kind(planned);
        let slot = self.requests.insert(planned, (None, proxy as u16), kind, (now, now));
        self.next_arrival();
        self.send_request(slot, seat);
    }

    fn next_arrival(&mut self) {
        self.schedule.advance();
        self.agenda.set(self.arrivals, self.schedule.due());
    }

    fn drop_unsent(&mut self, planned: &Planned) {
        let at = self.now.as_nanos();
        self.recorder.record(Sample {
            load: usize::from(planned.load),
            intended: at,
            sent: at,
            finished: at,
            outcome: Outcome::Dropped,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            endpoint: None,
            retries: 0,
        });
        self.ended += 1;
        let most = self.clients[usize::from(planned.load)].most;
        self.failures.note(Outcome::Dropped, || {
            format!("all {most} connections were taken: raise `max_connections`")
        });
    }

    /// A user has had its answer, or begins: it thinks.
    pub(super) fn think(&mut self, load: u16, user: u32, pause: Duration) {
        let member = &self.clients[usize::from(load)].users[user as usize];
        let next = self.now + pause + member.user.think();
        if next < self.end {
            self.thinking += 1;
            self.agenda.plan(next, Event::Thought { load, user });
        }
    }

    /// A user has thought, and asks.
    pub(super) fn ask(&mut self, load: u16, user: u32) {
        self.thinking -= 1;
        let clients = &mut self.clients[usize::from(load)];
        if clients.left == 0 {
            return;
        }
        clients.left -= 1;
        let member = &mut clients.users[user as usize];
        let planned = member.user.request();
        let proxy = clients.route.proxy(&planned);
        let current = self.proxies[proxy as usize].current;
        let waits = &self.setups[current as usize].waits;
        let open = member.idle.take().is_some_and(|since| waits.keeps(since, self.now));
        let kind = clients.kind(&planned);
        let from = (Some(user), proxy as u16);
        let slot = self.requests.insert(&planned, from, kind, (self.now, self.now));
        self.send_request(slot, if open { Seat::Open } else { Seat::New });
    }

    fn send_request(&mut self, slot: u32, seat: Seat) {
        let now = self.now;
        let request = &self.requests[slot];
        let (load, id, proxy) = (request.planned.load, request.planned.id, request.proxy);
        let whose = Ref { slot, generation: request.generation };
        let clients = &mut self.clients[usize::from(load)];
        self.waiting_clients += 1;
        self.invariants.sent(now, slot, id);
        let due = Due { at: now + clients.timeout, slot, stamp: whose.generation };
        let requests = &self.requests;
        clients.patience.push(due, requests.live(), |due| {
            let request = &requests[due.slot];
            request.generation == due.stamp && !request.client_done
        });
        if !self.agenda.is_set(clients.patience.source) {
            self.agenda.set_last(clients.patience.source, due.at);
        }
        if seat == Seat::Open {
            self.take_cookie(slot);
        }
        let link = self.link_from(u32::from(proxy), u32::from(load));
        match seat {
            Seat::Open if self.links[link as usize].is_instant() => self.begin(slot),
            Seat::Open => self.send(link, Direction::Up, Message::Ask(whose)),
            Seat::New => {
                self.requests[slot].stage = Stage::Dialling;
                self.send(link, Direction::Up, Message::ClientDial(whose));
            }
        }
    }

    /// Somebody's patience may have ended.
    pub(super) fn lose_patience(&mut self, load: usize) {
        loop {
            let (clients, requests) = (&mut self.clients[load], &self.requests);
            let first = clients.patience.first(|due| {
                let request = &requests[due.slot];
                request.generation == due.stamp && !request.client_done
            });
            let source = clients.patience.source;
            match first {
                None => return self.agenda.set(source, Instant::NEVER),
                Some(due) if due.at > self.now => return self.agenda.set_last(source, due.at),
                Some(due) => {
                    let whose = Ref { slot: due.slot, generation: due.stamp };
                    if self.requests[due.slot].stage == Stage::Dialling {
                        // It gives up dialling: the proxy never hears of the request.
                        self.requests[due.slot].stage = Stage::Done;
                    }
                    if self.requests[due.slot].stage == Stage::Away {
                        self.gives_up_away(due.slot);
                    }
                    self.client_ends(due.slot, Ending::TimedOut);
                    // It closes its connection, and the proxy learns of it.
                    if let Some(slot) = self.requests.find(whose) {
                        let link = self.client_link(slot);
                        self.send(link, Direction::Up, Message::Gone(whose));
                    }
                }
            }
        }
    }

    /// The client has its answer, or none.
    pub(super) fn client_ends(&mut self, slot: u32, ending: Ending) {
        let now = self.now;
        if self.binds
            && self.redirect.is_none()
            && ending == Ending::Answered
            && self.requests[slot].answered.is_some()
        {
            self.keep_cookie(slot);
        }
        let request = &mut self.requests[slot];
        request.client_done = true;
        let proxy_is_done = request.stage == Stage::Done;
        self.waiting_clients -= 1;
        self.ended += 1;
        let planned = &request.planned;
        self.invariants.ended(now, slot, planned.id);
        let load = usize::from(planned.load);
        let clients = &mut self.clients[load];
        let mut sample = Sample {
            load,
            intended: request.intended.as_nanos(),
            sent: request.sent.as_nanos(),
            finished: now.as_nanos(),
            outcome: Outcome::Ok,
            status: 0,
            bytes_in: 0,
            bytes_out: planned.body,
            endpoint: None,
            retries: 0,
        };
        match ending {
            Ending::TimedOut => sample.outcome = Outcome::TimedOut,
            Ending::Broken => sample.outcome = Outcome::Failed(FailClass::Reset),
            Ending::Refused => sample.outcome = Outcome::Refused,
            Ending::Answered => {
                sample.status = request.status;
                sample.bytes_in = request.bytes;
                sample.endpoint = request.answered.map(|endpoint| endpoint as usize);
                if !clients.expects(planned, request.status) {
                    sample.outcome = match request.status {
                        429 | 503 => Outcome::Refused,
                        status => Outcome::Failed(FailClass::of_status(status)),
                    };
                }
            }
        }
        self.recorder.record(sample);
        if sample.outcome != Outcome::Ok {
            let (status, timeout) = (request.status, clients.timeout);
            self.failures.note(sample.outcome, || match ending {
                Ending::TimedOut => format!("no complete answer within {timeout:?}"),
                Ending::Broken => "the connection broke before the answer was complete".to_owned(),
                Ending::Refused => "no connection: the endpoint refused it".to_owned(),
                Ending::Answered => format!("status {status}"),
            });
        }
        // What goes wrong at an endpoint is not the fault of the connection to the proxy.
        let whole = ending == Ending::Answered || request.away && ending != Ending::TimedOut;
        let stays = whole && !clients.per_request;
        match request.user {
            None if stays => clients.idle[usize::from(request.proxy)].push(now),
            None => clients.taken -= 1,
            Some(user) => {
                clients.users[user as usize].idle = stays.then_some(now);
                let broken = matches!(ending, Ending::Broken | Ending::Refused);
                let pause = if broken { AFTER_REFUSAL } else { Duration::ZERO };
                self.think(load as u16, user, pause);
            }
        }
        if proxy_is_done {
            self.requests.free(slot);
        }
    }
}
