//! What happens at an endpoint: a connection is accepted, a request comes, is served, and answered.

use std::time::Duration;

use backend_sim::station::JobId;
use policy::{Instant, token::report::End};

use super::{
    backend::{FAILURE, FULL, HEALTHY, Owner},
    demand::{Fate, Wish},
    link::Direction,
    probe::Probe,
    request::{Kind, Stage, Try},
    world::{Event, Message, World},
};

impl World<'_> {
    /// The proxy opens a connection.
    pub(super) fn endpoint_is_dialled(&mut self, link: u32, attempt: Try) {
        let backend = &mut self.backends[self.links[link as usize].peer as usize];
        let answer = if backend.down {
            backend.hits.crash += 1;
            Message::Refused(attempt)
        } else {
            Message::Accepted(attempt, backend.life)
        };
        self.send(link, Direction::Down, answer);
    }

    /// A request has come.
    pub(super) fn endpoint_is_asked(&mut self, endpoint: u32, attempt: Try) {
        let Some(slot) = self.admitted(endpoint, attempt) else { return };
        let request = &mut self.requests[slot];
        if request.kind == Kind::NonIdempotent && std::mem::replace(&mut request.has_come, true) {
            let (name, number) = (&self.backends[endpoint as usize].name, request.planned.id);
            self.invariants.came_again(self.now, number, name);
        }
        self.serve(endpoint, Owner::Request(attempt));
    }

    /// A request that came while the endpoint hung is taken up.
    pub(super) fn endpoint_awakes_to(&mut self, endpoint: u32, attempt: Try) {
        if self.admitted(endpoint, attempt).is_some() {
            self.serve(endpoint, Owner::Request(attempt));
        }
    }

    /// The slot of a request that still is, and whose connection is of the endpoint's present life.
    fn admitted(&mut self, endpoint: u32, attempt: Try) -> Option<u32> {
        let slot = self.requests.find_try(attempt)?;
        let backend = &mut self.backends[endpoint as usize];
        if backend.down || backend.life != self.requests[slot].life {
            backend.hits.crash += 1;
            let link = self.link_back(endpoint, Owner::Request(attempt));
            self.send(link, Direction::Down, Message::Closed(attempt));
            return None;
        }
        Some(slot)
    }

    /// A health check has come.
    pub(super) fn endpoint_is_asked_for_health(&mut self, endpoint: u32, probe: Probe) {
        if self.backends[endpoint as usize].down {
            let answer = Message::ProbeAnswer(probe, 0);
            let link = self.link_to(self.proxy_of(probe.setup), endpoint);
            return self.send(link, Direction::Down, answer);
        }
        self.serve(endpoint, Owner::Probe(probe));
    }

    /// The link between an endpoint and whoever has asked it.
    fn link_back(&self, endpoint: u32, owner: Owner) -> u32 {
        let proxy = match owner {
            Owner::Request(Try { slot, .. }) if self.requests[slot].stage == Stage::Away => {
                return self.link_away(slot);
            }
            Owner::Request(Try { slot, .. }) => u32::from(self.requests[slot].proxy),
            Owner::Probe(probe) => self.proxy_of(probe.setup),
            Owner::Inquiry(inquiry) => self.proxy_of(inquiry.setup),
        };
        self.link_to(proxy, endpoint)
    }

    fn wish(&self, endpoint: u32, owner: Owner) -> Option<Wish> {
        let path = &self.backends[endpoint as usize].health_path;
        match owner {
            Owner::Request(attempt) => {
                let slot = attempt.slot;
                let planned = &self.requests[slot].planned;
                let clients = &self.clients[usize::from(planned.load)];
                Some(Wish {
                    id: Some(planned.id),
                    work: planned.work,
                    size: planned.size,
                    is_health_check: match self.rewritten(slot) {
                        None => clients.asks_for(planned, path),
                        Some(target) => target == path.as_bytes(),
                    },
                })
            }
            Owner::Probe(probe) => {
                let asked = &self.setups[probe.setup as usize].config.health.path;
                Some(Wish { is_health_check: asked == path, ..Wish::default() })
            }
            Owner::Inquiry(_) => None,
        }
    }

    /// Serves a request, unless the endpoint hangs.
    fn serve(&mut self, endpoint: u32, owner: Owner) {
        let backend = &mut self.backends[endpoint as usize];
        if backend.hung {
            backend.hits.hang += 1;
            backend.held.push(owner);
            return;
        }
        let Some(wish) = self.wish(endpoint, owner) else { return };
        let backend = &mut self.backends[endpoint as usize];
        if wish.is_health_check {
            let draws = backend.health_draws();
            let fails = backend.failing.filter(|how| draws.rng().chance(how.probability));
            backend.hits.fail += u64::from(fails.is_some());
            let (status, bytes) = fails.map_or((200, HEALTHY), |how| (how.status, FAILURE));
            return self.answer(endpoint, owner, status, bytes);
        }
        let (work, bytes) = match self.fate(endpoint, owner, &wish) {
            Fate::Served { work, bytes } => (work, bytes),
            Fate::Answered { status, bytes } => {
                return self.answer(endpoint, owner, status, bytes);
            }
            Fate::Reset => return self.reset(endpoint, owner),
        };
        let backend = &mut self.backends[endpoint as usize];
        let arrival = backend.arrived(self.now);
        let Ok(job) = backend.station.submit(self.now, work) else {
            backend.note_failed(self.now);
            return self.answer(endpoint, owner, 503, FULL);
        };
        backend.hits.slow += u64::from(backend.is_slow());
        backend.own(job, owner);
        backend.note_arrival(job.index(), arrival);
        let (source, next) = (backend.source, backend.station.next_completion());
        let tells_starts = backend.is_session();
        if let Owner::Request(attempt) = owner {
            let request = &mut self.requests[attempt.slot];
            (request.job, request.bytes) = (Some(job), bytes);
            if self.redirect.is_some() {
                self.visits(endpoint, attempt.slot, job);
            }
        }
        if tells_starts {
            self.tell_each_started(endpoint);
            return self.rearm(endpoint);
        }
        self.agenda.set(source, next);
    }

    /// The endpoint breaks the connection.
    fn reset(&mut self, endpoint: u32, owner: Owner) {
        let link = self.link_back(endpoint, owner);
        if self.redirect.is_some()
            && let Owner::Request(Try { slot, .. }) = owner
            && let Some(visit) = self.visit_of(slot)
        {
            self.report(endpoint, visit, End::Broken);
        }
        let message = match owner {
            Owner::Request(attempt) => Message::Closed(attempt),
            Owner::Probe(probe) => Message::ProbeAnswer(probe, 0),
            Owner::Inquiry(inquiry) => Message::LoadAnswer(inquiry),
        };
        self.send(link, Direction::Down, message);
    }

    /// The endpoint answers at once.
    fn answer(&mut self, endpoint: u32, owner: Owner, status: u16, bytes: u64) {
        let mut visit = None;
        if let Owner::Request(Try { slot, .. }) = owner {
            self.requests[slot].bytes = bytes;
            visit = self.visit_of(slot);
        }
        self.respond(endpoint, owner, status);
        if let Some(visit) = visit {
            self.report(endpoint, visit, End::Answered(status));
        }
    }

    fn respond(&mut self, endpoint: u32, owner: Owner, status: u16) {
        match owner {
            Owner::Probe(probe) => {
                let link = self.link_back(endpoint, owner);
                self.send(link, Direction::Down, Message::ProbeAnswer(probe, status));
            }
            Owner::Inquiry(_) => {}
            Owner::Request(attempt) => {
                if let Some(slot) = self.requests.find_try(attempt) {
                    let link = self.link_back(endpoint, owner);
                    let status =
                        if self.staged && status == 200 && self.is_unchanged(slot, endpoint) {
                            304
                        } else {
                            status
                        };
                    let request = &mut self.requests[slot];
                    if request.kind == Kind::Head || matches!(status, 204 | 304) {
                        request.bytes = 0;
                    }
                    if self.reporting {
                        self.say_load(endpoint, slot);
                    }
                    if self.links[link as usize].is_instant() {
                        return self.has_answer(slot, status);
                    }
                    self.send(link, Direction::Down, Message::Response(attempt, status));
                }
            }
        }
    }

    /// The station's next completion is due.
    pub(super) fn serve_on(&mut self, endpoint: u32) {
        let now = self.now;
        let mut next = now;
        while next <= now {
            let backend = &mut self.backends[endpoint as usize];
            let done = backend.station.complete(now);
            let owner = done.and_then(|done| backend.owner(done.job));
            if let Some(done) = done {
                backend.note_served(now, done.job.index());
            }
            next = backend.station.next_completion();
            if let Some(owner) = owner {
                self.respond(endpoint, owner, 200);
            }
            if self.redirect.is_some()
                && let Some(done) = done
            {
                self.job_ends(endpoint, done.job, End::Answered(200));
            }
        }
        self.tell_started(endpoint);
        // A retry may have come back here at once.
        self.rearm(endpoint);
    }

    /// Sessions whose turn has come begin to send.
    #[inline]
    fn tell_started(&mut self, endpoint: u32) {
        if self.backends[endpoint as usize].is_session() {
            self.tell_each_started(endpoint);
        }
    }

    fn tell_each_started(&mut self, endpoint: u32) {
        while let Some(job) = self.backends[endpoint as usize].station.take_started() {
            if let Some(owner @ Owner::Request(attempt)) =
                self.backends[endpoint as usize].owner(job)
            {
                let link = self.link_back(endpoint, owner);
                if self.reporting && self.requests.find_try(attempt).is_some() {
                    self.say_load(endpoint, attempt.slot);
                }
                self.send(link, Direction::Down, Message::Head(attempt));
            }
        }
    }

    /// Whoever spoke to the station asks when it is to be looked at again.
    pub(super) fn rearm(&mut self, endpoint: u32) {
        let backend = &self.backends[endpoint as usize];
        self.agenda.set(backend.source, backend.station.next_completion());
    }

    /// The proxy wants an answer no more.
    pub(super) fn cancel_job(&mut self, endpoint: u32, job: JobId) {
        if self.backends[endpoint as usize].station.cancel(self.now, job) {
            if self.redirect.is_some() {
                self.job_ends(endpoint, job, End::Cancelled);
            }
            self.tell_started(endpoint);
            self.rearm(endpoint);
        }
    }

    /// A stream has begun: if its pieces come too seldom for the proxy's patience, or none come at all, it will be cut.
    pub(super) fn watch_stream(&mut self, link: u32, attempt: Try, patience: Duration) {
        let end = &self.links[link as usize];
        let backend = &self.backends[end.peer as usize];
        if backend.hung || end.is_cut() || backend.config.session().every.0 > patience {
            let freeze = self.freeze_of(link);
            self.agenda.plan(self.now + patience, Event::Stalled(attempt, freeze));
        }
    }

    /// Moves when what comes over a link from its endpoint freezes or thaws, whichever of the two does.
    pub(super) fn freeze_of(&self, link: u32) -> u32 {
        let end = &self.links[link as usize];
        end.freeze.wrapping_add(self.backends[end.peer as usize].freeze)
    }

    /// A link to an endpoint has frozen, or the endpoint: each stream over it stands still.
    pub(super) fn watch_streams(&mut self, link: u32) {
        let (freeze, now) = (self.freeze_of(link), self.now);
        let under_way = self.requests.at_endpoints();
        let streams = under_way.filter(|(slot, request)| {
            request.stage == Stage::Streaming && self.endpoint_link(*slot) == link
        });
        let streams = streams.map(|(slot, request)| {
            let patience = self.setups[request.setup as usize].config.timeouts.stream_idle.0;
            (now + patience, Try { slot, attempt: request.attempt })
        });
        let streams: Vec<(Instant, Try)> = streams.collect();
        for (at, attempt) in streams {
            self.agenda.plan(at, Event::Stalled(attempt, freeze));
        }
    }
}
