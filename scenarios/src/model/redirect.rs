//! Redirect mode: the proxy chooses, the client goes there by itself, and the endpoint reports the end.
//!
//! ```text
//! client → proxy: pick (or wait in line) → back → client → endpoint: dial or reuse, serve → client
//!                                                              endpoint → proxy: dial or reuse, a batch of reports
//! ```
//!
//! Up to the choice a request goes the way of every other (`path`). Then it is *away*: what happens at the endpoint is as for a request that
//! the proxy has sent (`serve`), but over a link between the load's clients and the endpoint, which no event of a scenario is about. The place
//! at the endpoint is a *session* in a table of the proxy's, until it is reported or expires. Nothing is signed: who is not redirected does not
//! come. As in the engine and in the simulated backends reports go in batches, one at a time over one connection between an endpoint and a
//! proxy, and each says how loaded the endpoint is, for strategies that go by that. What the model leaves out: a batch that a cut link holds up for
//! more than 5 s is lost there, and comes late here.

use std::collections::{BTreeMap, VecDeque};

use backend_sim::station::JobId;
use policy::{
    Instant, LoadReport, Seed,
    endpoint::Outcome,
    time::nanos,
    token::report::{BATCH, End},
};
use proxy::{config::Mode, engine::Fault};

use super::{
    clients::Ending,
    link::{Direction, Link},
    request::{Kind, Ref, Stage, Try},
    world::{Message, World},
};

/// So few deadlines of sessions that are over are never cleared out.
const FEW: usize = 1024;

/// All that redirect mode needs.
#[derive(Debug)]
pub(super) struct Redirect {
    /// Where the links between loads and endpoints begin among all links, load by load.
    base: u32,
    endpoints: u32,
    /// Open sessions by number, and when each expires, in that order.
    sessions: BTreeMap<u64, Session>,
    due: VecDeque<(Instant, u64)>,
    /// How many each proxy has.
    counts: Vec<u32>,
    next: u64,
    source: u32,
    /// Who is at each endpoint, by the place of the job.
    visits: Vec<Vec<Option<Visit>>>,
    /// Idle connections from each load to each endpoint: the lives that they belong to.
    idle: Vec<Vec<u32>>,
    /// From each endpoint to each proxy, proxy by proxy.
    lanes: Vec<Lane>,
}

/// A place at an endpoint.
#[derive(Clone, Copy, Debug)]
struct Session {
    setup: u32,
    index: u32,
    leased: Instant,
}

/// Somebody at an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    number: u64,
    proxy: u32,
    since: Instant,
}

/// A session is over.
#[derive(Clone, Copy, Debug)]
struct Report {
    number: u64,
    end: End,
    took: u64,
}

/// The way from an endpoint to a proxy.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Report>,
    /// The batch that is under way, and what it says of the endpoint's load.
    sent: Vec<Report>,
    load: Option<LoadReport>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Dialling,
    Busy,
    /// Since when.
    Idle(Instant),
}

impl Redirect {
    /// For so many loads, endpoints and proxies, whose links begin at `base`.
    pub(super) fn new(
        base: u32,
        (loads, endpoints, proxies): (u32, u32, u32),
        source: u32,
    ) -> Self {
        let mut lanes = Vec::new();
        lanes.resize_with((endpoints * proxies) as usize, Lane::default);
        Self {
            base,
            endpoints,
            sessions: BTreeMap::new(),
            due: VecDeque::new(),
            counts: vec![0; proxies as usize],
            next: 0,
            source,
            visits: vec![Vec::new(); endpoints as usize],
            idle: vec![Vec::new(); (loads * endpoints) as usize],
            lanes,
        }
    }

    fn visit(&mut self, endpoint: u32, job: JobId) -> Option<Visit> {
        self.visits[endpoint as usize].get_mut(job.index())?.take()
    }

    fn pool(&mut self, load: u16, endpoint: u32) -> &mut Vec<u32> {
        &mut self.idle[usize::from(load) * self.endpoints as usize + endpoint as usize]
    }

    fn lane(&mut self, proxy: u32, endpoint: u32) -> &mut Lane {
        &mut self.lanes[(proxy * self.endpoints + endpoint) as usize]
    }
}

impl World<'_> {
    /// Prepares for it, if the scenario's proxies redirect.
    pub(super) fn prepare_redirects(&mut self, run: Seed) {
        if self.scenario.proxy.mode == Mode::Forward {
            return;
        }
        let base = self.links.len() as u32;
        let network = run.child("network").child("direct");
        let latency = self.scenario.network.latency.as_ref();
        for (place, load) in (0_u32..).zip(&self.clients) {
            for (peer, backend) in (0_u32..).zip(&self.backends) {
                let seed = network.child(&load.name).child(&backend.name);
                self.links.push(Link::new((place, peer), latency, seed));
            }
        }
        let counts =
            (self.clients.len() as u32, self.backends.len() as u32, self.proxies.len() as u32);
        let source = self.agenda.add_source();
        self.sources.push(super::world::Source::Sessions);
        self.redirect = Some(Box::new(Redirect::new(base, counts, source)));
    }

    /// The link between a load's clients and an endpoint.
    fn direct_link(&self, load: u16, endpoint: u32) -> u32 {
        let redirect = self.redirect.as_ref();
        redirect.map_or(0, |all| all.base + u32::from(load) * all.endpoints + endpoint)
    }

    /// The same for a request that is away.
    pub(super) fn link_away(&self, slot: u32) -> u32 {
        self.direct_link(self.requests[slot].planned.load, self.endpoint_of(slot))
    }

    /// Whether this link is between clients and an endpoint.
    pub(super) fn is_direct(&self, link: u32) -> bool {
        self.redirect.as_ref().is_some_and(|all| link >= all.base)
    }

    /// Whether the proxy of a request has as many sessions as may be.
    pub(super) fn has_no_session_left(&self, slot: u32) -> bool {
        let request = &self.requests[slot];
        let most = self.setups[request.setup as usize].config.redirect.sessions;
        let redirect = self.redirect.as_ref();
        redirect.is_some_and(|all| all.counts[usize::from(request.proxy)] >= most)
    }

    /// A request has got a place at the endpoint `index`: its client is sent there.
    #[cold]
    pub(super) fn send_away(&mut self, slot: u32) {
        self.turn(slot);
        let now = self.now;
        let Some(redirect) = &mut self.redirect else { return };
        let request = &mut self.requests[slot];
        request.stage = Stage::Away;
        (request.job, request.away, request.body_sent) = (None, true, false);
        let number = redirect.next;
        redirect.next += 1;
        request.session = number;
        let Some(setup) = self.setups.get(request.setup as usize) else { return };
        let expires = now + setup.config.redirect.expire.0;
        let session = Session { setup: request.setup, index: request.index, leased: now };
        redirect.sessions.insert(number, session);
        redirect.counts[usize::from(request.proxy)] += 1;
        // A reload may have made them last less long.
        if redirect.due.len() >= 2 * redirect.sessions.len() + FEW {
            let open = &redirect.sessions;
            redirect.due.retain(|(_, number)| open.contains_key(number));
        }
        let at = redirect.due.partition_point(|(due, _)| *due <= expires);
        redirect.due.insert(at, (expires, number));
        if at == 0 || !self.agenda.is_set(redirect.source) {
            self.agenda.set_last(redirect.source, expires);
        }
        let whose = self.requests.name(slot);
        let link = self.client_link(slot);
        self.send(link, Direction::Down, Message::Redirected(whose));
    }

    /// The client has been told where to go, and goes.
    pub(super) fn follow(&mut self, whose: Ref) {
        let Some(slot) = self.requests.find(whose) else { return };
        if self.requests[slot].client_done {
            return;
        }
        self.keep_cookie(slot);
        let (load, endpoint) = (self.requests[slot].planned.load, self.endpoint_of(slot));
        let kept = self.redirect.as_mut().and_then(|all| all.pool(load, endpoint).pop());
        let attempt = self.requests.attempt(slot);
        let link = self.link_away(slot);
        let request = &mut self.requests[slot];
        request.reused = kept.is_some();
        match kept {
            Some(life) => {
                (request.life, request.body_sent) = (life, true);
                self.send(link, Direction::Up, Message::Request(attempt));
            }
            None => self.send(link, Direction::Up, Message::Dial(attempt)),
        }
    }

    /// The endpoint has accepted the client's connection.
    pub(super) fn connected_away(&mut self, slot: u32, life: u32) {
        let request = &mut self.requests[slot];
        (request.life, request.body_sent) = (life, true);
        let attempt = self.requests.attempt(slot);
        self.send(self.link_away(slot), Direction::Up, Message::Request(attempt));
    }

    /// A request comes to an endpoint. Its place has been the session's since it was redirected, and when that was taken is there.
    pub(super) fn arrives(&mut self, attempt: Try) {
        if let Some(slot) = self.requests.find_try(attempt)
            && self.requests[slot].stage == Stage::Away
        {
            self.requests[slot].leased = self.now;
        }
    }

    /// The visit of a request that is away.
    pub(super) fn visit_of(&self, slot: u32) -> Option<Visit> {
        let request = &self.requests[slot];
        (request.stage == Stage::Away).then(|| Visit {
            number: request.session,
            proxy: u32::from(request.proxy),
            since: request.leased,
        })
    }

    /// A request has become a job.
    pub(super) fn visits(&mut self, endpoint: u32, slot: u32, job: JobId) {
        let Some(visit) = self.visit_of(slot) else { return };
        let Some(redirect) = &mut self.redirect else { return };
        let visits = &mut redirect.visits[endpoint as usize];
        if visits.len() <= job.index() {
            visits.resize(job.index() + 1, None);
        }
        visits[job.index()] = Some(visit);
    }

    /// A job has ended, whoever it was for.
    pub(super) fn job_ends(&mut self, endpoint: u32, job: JobId, end: End) {
        let visit = self.redirect.as_mut().and_then(|all| all.visit(endpoint, job));
        if let Some(visit) = visit {
            self.report(endpoint, visit, end);
        }
    }

    /// The endpoint's answer has come to the client.
    pub(super) fn answered_away(&mut self, slot: u32, status: u16) {
        let endpoint = self.endpoint_of(slot);
        let request = &mut self.requests[slot];
        (request.status, request.answered) = (status, Some(endpoint));
        let (load, life) = (request.planned.load, request.life);
        if !self.clients[usize::from(load)].per_request
            && let Some(redirect) = &mut self.redirect
        {
            redirect.pool(load, endpoint).push(life);
        }
        self.comes_back(slot, Ending::Answered);
    }

    /// The client's connection to the endpoint was refused, or broke.
    pub(super) fn lost_away(&mut self, slot: u32, ending: Ending) {
        let request = &mut self.requests[slot];
        // A connection that had idled and is found closed is no failure: it is tried once on a new one.
        if ending == Ending::Broken && request.reused && request.kind != Kind::NonIdempotent {
            (request.reused, request.job, request.body_sent) = (false, None, false);
            request.attempt = request.attempt.wrapping_add(1);
            let attempt = self.requests.attempt(slot);
            let (load, endpoint) = (self.requests[slot].planned.load, self.endpoint_of(slot));
            if let Some(redirect) = &mut self.redirect {
                redirect.pool(load, endpoint).clear();
            }
            return self.send(self.link_away(slot), Direction::Up, Message::Dial(attempt));
        }
        self.comes_back(slot, ending);
    }

    fn comes_back(&mut self, slot: u32, ending: Ending) {
        let request = &mut self.requests[slot];
        request.attempt = request.attempt.wrapping_add(1);
        request.stage = Stage::Done;
        if request.client_done {
            return self.free_if_over(slot);
        }
        self.client_ends(slot, ending);
    }

    /// The patience of a client ends while its request is away.
    pub(super) fn gives_up_away(&mut self, slot: u32) {
        let (link, endpoint) = (self.link_away(slot), self.endpoint_of(slot));
        let visit = self.visit_of(slot);
        let request = &mut self.requests[slot];
        let has_asked = request.body_sent;
        request.attempt = request.attempt.wrapping_add(1);
        request.stage = Stage::Done;
        if let Some(job) = request.job.take() {
            self.send(link, Direction::Up, Message::Cancel(job));
        } else if let Some(visit) = visit.filter(|_| has_asked) {
            // It is on its way there, or waits for it to wake up.
            self.report(endpoint, visit, End::Cancelled);
        }
    }

    /// The clients of a load learn that their connections to the endpoint's lives up to this one are closed.
    pub(super) fn bury_away(&mut self, link: u32, life: u32) {
        let (load, endpoint) =
            (self.links[link as usize].proxy as u16, self.links[link as usize].peer);
        if let Some(redirect) = &mut self.redirect {
            redirect.pool(load, endpoint).retain(|of| *of > life);
        }
        let lost = self.requests.away().filter(|(slot, request)| {
            request.planned.load == load
                && request.life <= life
                && self.endpoint_of(*slot) == endpoint
        });
        let lost: Vec<(u32, u32)> = lost
            .filter(|(_, request)| request.body_sent)
            .map(|(slot, request)| (slot, request.attempt))
            .collect();
        self.backends[endpoint as usize].hits.crash += lost.len() as u64;
        for (slot, attempt) in lost {
            if self.requests.find_try(Try { slot, attempt }).is_some() {
                // It had been taken: no race with a connection that idles.
                self.requests[slot].reused = false;
                self.lost_away(slot, Ending::Broken);
            }
        }
    }

    /// The endpoint's process has died: it reports nothing, and its clients' connections are reset.
    pub(super) fn dies_away(&mut self, endpoint: u32, life: u32) {
        let Some(redirect) = &mut self.redirect else { return };
        redirect.visits[endpoint as usize].clear();
        for proxy in 0..redirect.counts.len() as u32 {
            *redirect.lane(proxy, endpoint) = Lane::default();
        }
        for load in 0..self.clients.len() as u16 {
            self.send(self.direct_link(load, endpoint), Direction::Down, Message::Dead(life));
        }
    }

    /// A visit is over: its end is reported, with those of others.
    pub(super) fn report(&mut self, endpoint: u32, visit: Visit, end: End) {
        let took = nanos(self.now.since(visit.since));
        let Some(redirect) = &mut self.redirect else { return };
        let lane = redirect.lane(visit.proxy, endpoint);
        lane.waiting.push_back(Report { number: visit.number, end, took });
        self.deliver_reports(visit.proxy, endpoint);
    }

    /// Sends the next batch of a lane, if it can be sent.
    pub(super) fn deliver_reports(&mut self, proxy: u32, endpoint: u32) {
        let now = self.now;
        let current = self.proxies[proxy as usize].current;
        let keep_alive = self.setups[current as usize].config.timeouts.keep_alive.0;
        let hung = self.backends[endpoint as usize].hung;
        let life = self.backends[endpoint as usize].life;
        let Some(redirect) = &mut self.redirect else { return };
        let lane = redirect.lane(proxy, endpoint);
        if lane.waiting.is_empty() || hung {
            return;
        }
        let message = match lane.state {
            State::Dialling | State::Busy => return,
            State::Idle(since) if now.since(since) < keep_alive => {
                lane.state = State::Busy;
                let count = lane.waiting.len().min(BATCH);
                lane.sent.extend(lane.waiting.drain(..count));
                if self.reporting {
                    lane.load = Some(self.backends[endpoint as usize].report(now));
                }
                Message::Reports(proxy, life)
            }
            State::Closed | State::Idle(_) => {
                lane.state = State::Dialling;
                Message::ReportDial(proxy, life)
            }
        };
        self.send(self.link_to(proxy, endpoint), Direction::Down, message);
    }

    /// The proxy has accepted a connection for reports, or has taken a batch.
    pub(super) fn lane_is_free(&mut self, proxy: u32, endpoint: u32, life: u32) {
        if self.backends[endpoint as usize].life != life {
            return;
        }
        let now = self.now;
        if let Some(redirect) = &mut self.redirect {
            redirect.lane(proxy, endpoint).state = State::Idle(now);
        }
        self.deliver_reports(proxy, endpoint);
    }

    /// A batch has come to the proxy.
    pub(super) fn take_reports(&mut self, proxy: u32, endpoint: u32, life: u32) {
        let Some(redirect) = &mut self.redirect else { return };
        let lane = redirect.lane(proxy, endpoint);
        let (batch, load) = (std::mem::take(&mut lane.sent), lane.load.take());
        for Report { number, end, took } in batch {
            if let (Some(load), End::Answered(_)) = (&load, end) {
                self.hear_from_afar(number, load);
            }
            self.close_session(number, end, Some(took));
        }
        self.send(self.link_to(proxy, endpoint), Direction::Up, Message::ReportsTaken(proxy, life));
    }

    /// The balancer hears how loaded the endpoint of a session is, if that is open.
    fn hear_from_afar(&mut self, number: u64, load: &LoadReport) {
        let session = self.redirect.as_ref().and_then(|all| all.sessions.get(&number));
        if let Some(session) = session {
            self.setups[session.setup as usize].hear(session.index, self.now, load);
        }
    }

    fn close_session(&mut self, number: u64, end: End, took: Option<u64>) {
        let Some(redirect) = &mut self.redirect else { return };
        let Some(session) = redirect.sessions.remove(&number) else { return };
        let Session { setup: number, index, leased } = session;
        let setup = &mut self.setups[number as usize];
        let proxy = setup.proxy;
        redirect.counts[proxy as usize] -= 1;
        let outcome = match end {
            End::Answered(status) if setup.config.outlier.is_failure(status) => Outcome::Failure,
            End::Answered(_) => Outcome::Success,
            End::Broken => Outcome::Failure,
            End::Cancelled => Outcome::Cancelled,
        };
        self.invariants.given_back(self.now, number, index);
        // The balancer hears how long it lasted at the endpoint, if that is known.
        let since = took
            .map_or(leased, |took| Instant::from_nanos(self.now.as_nanos().saturating_sub(took)));
        if let Some(ejection) = setup.give_back(index, since, self.now, outcome) {
            self.invariants.ejected(self.now, number, index, ejection.until);
        }
        if self.rooms[setup.room as usize].waiting.waiting() > 0 {
            self.ring(number);
        }
    }

    /// Sessions may have expired.
    pub(super) fn sessions_expire(&mut self) {
        let now = self.now;
        loop {
            let Some(redirect) = &mut self.redirect else { return };
            let source = redirect.source;
            match redirect.due.front().copied() {
                None => return self.agenda.set(source, Instant::NEVER),
                Some((due, number)) if due > now && redirect.sessions.contains_key(&number) => {
                    return self.agenda.set_last(source, due);
                }
                Some((_, number)) => {
                    redirect.due.pop_front();
                    self.close_session(number, End::Cancelled, None);
                }
            }
        }
    }

    /// Whether any session is open.
    pub(super) fn has_sessions(&self) -> bool {
        self.redirect.as_ref().is_some_and(|all| !all.sessions.is_empty())
    }

    /// All sessions end with their proxies.
    pub(super) fn forget_sessions(&mut self) {
        let numbers: Vec<u64> =
            self.redirect.iter().flat_map(|all| all.sessions.keys().copied()).collect();
        for number in numbers {
            self.close_session(number, End::Cancelled, None);
        }
    }

    /// The fault of a request that finds no session left.
    pub(super) fn refuse_session(&mut self, slot: u32) {
        self.conclude(slot, Some(Fault::SessionsFull));
    }
}
