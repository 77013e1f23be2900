//! The path of one request through the proxy, as the engine's `exchange` and `reach` go it.
//!
//! ```text
//! pick (or wait in line) → reuse or connect → send → wait for the head → retry, or deliver → give back → count
//! ```
//!
//! What is a loop with waiting in the engine is a handful of steps here, each called by what it waited for. Whatever decides is
//! `policy`'s; what a fault is, whose it is and what the client sees of it is the engine's own [`Fault`].

use policy::{
    Instant,
    endpoint::Outcome,
    retry::{Body, Decision, Failure, Idempotence},
};
use proxy::engine::{Fault, Side};

use super::{
    clients::Ending,
    lane::Due,
    link::Direction,
    request::{Kind, Stage, Try},
    setup::Pick,
    world::{Message, World},
};

impl World<'_> {
    /// A request has come to the proxy.
    #[inline]
    pub(super) fn begin(&mut self, slot: u32) {
        let request = &mut self.requests[slot];
        request.setup = self.proxies[usize::from(request.proxy)].current;
        if request.kind == Kind::Refused {
            return self.conclude(slot, Some(Fault::MethodRefused));
        }
        if request.gone {
            return self.conclude(slot, Some(Fault::ClientGone));
        }
        request.begun = self.now;
        if self.staged && self.meets_stages(slot) {
            return;
        }
        self.proceed(slot);
    }

    /// No stage has kept it: it turns to the endpoints.
    pub(super) fn proceed(&mut self, slot: u32) {
        if self.staged && self.is_shed(slot) {
            return;
        }
        let request = &mut self.requests[slot];
        let setup = &mut self.setups[request.setup as usize];
        if setup.chooses_by_request {
            let config = &setup.config;
            let clients = &mut self.clients[usize::from(request.planned.load)];
            let key = config.balance.strategy.key();
            request.key =
                key.and_then(|key| clients.letter.key(key, &config.forwarding, &request.planned));
        }
        self.invariants.asked(self.now, request.setup);
        setup.budget.on_request(self.now);
        if self.redirect.is_some() && self.has_no_session_left(slot) {
            return self.refuse_session(slot);
        }
        self.reach(slot);
    }

    /// Finds an endpoint for a request: at once, or after a wait in line.
    pub(super) fn reach(&mut self, slot: u32) {
        loop {
            let request = &mut self.requests[slot];
            let is_retry = !request.tried.is_empty();
            let setup = &mut self.setups[request.setup as usize];
            // Who comes now does not overtake those who wait; who tries again has waited already.
            if self.rooms[setup.room as usize].waiting.waiting() > 0 && !is_retry {
                return self.wait_in_line(slot);
            }
            let number = request.setup;
            let by = if setup.chooses_by_request {
                (request.key, request.cookie)
            } else {
                Default::default()
            };
            match setup.pick(&request.tried, self.now, by) {
                Pick::AllFull => return self.wait_in_line(slot),
                Pick::None => return self.nobody(slot),
                Pick::Taken(index) => {
                    let leased = self.leased(slot, index);
                    self.inquire(number);
                    if leased {
                        return;
                    }
                    // There is no connection to be had at that one.
                }
            }
        }
    }

    /// There is no endpoint for it: what the last one did is what the client should know.
    pub(super) fn nobody(&mut self, slot: u32) {
        let fault = self.requests[slot].last.take().unwrap_or_else(|| self.nowhere(slot));
        self.conclude(slot, Some(fault));
    }

    /// It has a place at the endpoint `index`; false when it has given it back, because there is no connection to be had.
    pub(super) fn leased(&mut self, slot: u32, index: u32) -> bool {
        let request = &mut self.requests[slot];
        (request.index, request.leased) = (index, self.now);
        self.invariants.taken(self.now, request.setup, index);
        request.attempt = request.attempt.wrapping_add(1);
        if self.redirect.is_some() {
            self.send_away(slot);
            return true;
        }
        let setup = &mut self.setups[request.setup as usize];
        let pool = &mut setup.pools[index as usize];
        let life = if request.fresh_only { None } else { pool.take(&setup.waits, self.now) };
        request.reused = life.is_some();
        if let Some(life) = life {
            self.tally.upstream_reuses += 1;
            request.life = life;
            request.tell_turn(self.now, setup, (&mut self.invariants, &mut self.tally));
            self.send_up(slot);
            return true;
        }
        if !pool.reserve(&setup.config) {
            // Nothing was sent, and no retry is spent on it.
            request.tried.push(index);
            request.last = Some(Fault::QueueFull);
            let place = (request.setup, index, request.leased);
            self.give_back(place, Outcome::Cancelled);
            return false;
        }
        request.stage = Stage::Connecting;
        let (there, number) = (pool.open, request.setup);
        self.invariants.connections_are(self.now, number, index, there);
        self.turn(slot);
        let attempt = self.requests.attempt(slot);
        let setup = &self.setups[number as usize];
        let due =
            Due { at: self.now + setup.config.timeouts.connect.0, slot, stamp: attempt.attempt };
        let link = self.endpoint_link(slot);
        // A dial that is answered at once needs no deadline.
        self.send(link, Direction::Up, Message::Dial(attempt));
        if self.requests.find_try(attempt).is_some()
            && self.requests[slot].stage == Stage::Connecting
        {
            let setup = self.requests[slot].setup as usize;
            let (requests, lane) = (&self.requests, &mut self.setups[setup].connect);
            lane.push(due, requests.live(), |due| {
                let request = &requests[due.slot];
                request.attempt == due.stamp && request.stage == Stage::Connecting
            });
            if !self.agenda.is_set(lane.source) {
                self.agenda.set_last(lane.source, due.at);
            }
        }
        true
    }

    pub(super) fn endpoint_link(&self, slot: u32) -> u32 {
        self.link_to(u32::from(self.requests[slot].proxy), self.endpoint_of(slot))
    }

    /// The link between the proxy of a request and its client.
    pub(super) fn client_link(&self, slot: u32) -> u32 {
        let request = &self.requests[slot];
        self.link_from(u32::from(request.proxy), u32::from(request.planned.load))
    }

    /// The endpoint that a request is at, among all of the run.
    pub(super) fn endpoint_of(&self, slot: u32) -> u32 {
        let request = &self.requests[slot];
        self.setups[request.setup as usize].endpoints[request.index as usize]
    }

    /// A connection has been opened.
    pub(super) fn connected(&mut self, attempt: Try, life: u32) {
        let Some(slot) = self.requests.find_try(attempt) else { return };
        if self.requests[slot].stage == Stage::Away {
            return self.connected_away(slot, life);
        }
        self.tally.upstream_connects += 1;
        self.requests[slot].life = life;
        self.send_up(slot);
    }

    /// Sends the request over the connection that it has.
    fn send_up(&mut self, slot: u32) {
        let request = &mut self.requests[slot];
        request.tell_sending(self.now, &mut self.invariants);
        request.stage = Stage::Waiting;
        request.body_sent |= request.planned.body > 0;
        let (proxy, attempt) = (request.proxy, Try { slot, attempt: request.attempt });
        let setup = &mut self.setups[request.setup as usize];
        let endpoint = setup.endpoints[request.index as usize];
        let at = setup.waits.head_due(self.now);
        let due = Due { at, slot, stamp: attempt.attempt };
        let requests = &self.requests;
        setup.response.push(due, requests.live(), |due| {
            let request = &requests[due.slot];
            request.attempt == due.stamp && request.stage == Stage::Waiting
        });
        if !self.agenda.is_set(setup.response.source) {
            self.agenda.set_last(setup.response.source, at);
        }
        let link = self.link_to(u32::from(proxy), endpoint);
        if self.links[link as usize].is_instant() {
            return self.endpoint_is_asked(endpoint, attempt);
        }
        self.send(link, Direction::Up, Message::Request(attempt));
    }

    /// The endpoint has refused a connection.
    pub(super) fn refused(&mut self, attempt: Try) {
        let Some(slot) = self.requests.find_try(attempt) else { return };
        if self.requests[slot].stage == Stage::Away {
            self.lost_away(slot, Ending::Refused);
        } else {
            self.failed(slot, Fault::ConnectRefused);
        }
    }

    /// The connection that a request went over has been closed.
    pub(super) fn closed(&mut self, attempt: Try) {
        let Some(slot) = self.requests.find_try(attempt) else { return };
        let request = &self.requests[slot];
        let fault = match (request.stage, request.reused) {
            (Stage::Away, _) => return self.lost_away(slot, Ending::Broken),
            (Stage::Streaming, _) => Fault::ClosedMidResponse,
            (_, true) => Fault::ReusedClosed,
            (_, false) => Fault::ClosedBeforeResponse,
        };
        self.failed(slot, fault);
    }

    /// Connections may have taken too long to open.
    pub(super) fn connects_late(&mut self, setup: u32) {
        loop {
            let (requests, lane) = (&self.requests, &mut self.setups[setup as usize].connect);
            let source = lane.source;
            let first = lane.first(|due| {
                let request = &requests[due.slot];
                request.attempt == due.stamp && request.stage == Stage::Connecting
            });
            match first {
                Some(due) if due.at <= self.now => self.failed(due.slot, Fault::ConnectTimeout),
                Some(due) => return self.agenda.set_last(source, due.at),
                None => return self.agenda.set(source, Instant::NEVER),
            }
        }
    }

    /// Answers may not have begun in time.
    pub(super) fn responses_late(&mut self, setup: u32) {
        loop {
            let (requests, lane) = (&self.requests, &mut self.setups[setup as usize].response);
            let source = lane.source;
            let first = lane.first(|due| {
                let request = &requests[due.slot];
                request.attempt == due.stamp && request.stage == Stage::Waiting
            });
            match first {
                Some(due) if due.at <= self.now => self.failed(due.slot, Fault::ResponseTimeout),
                Some(due) => return self.agenda.set_last(source, due.at),
                None => return self.agenda.set(source, Instant::NEVER),
            }
        }
    }

    /// A stream has stood still.
    pub(super) fn stalled(&mut self, attempt: Try, freeze: u32) {
        let Some(slot) = self.requests.find_try(attempt) else { return };
        let link = self.endpoint_link(slot);
        if self.requests[slot].stage == Stage::Streaming && self.freeze_of(link) == freeze {
            self.failed(slot, Fault::ResponseStalled);
        }
    }

    /// An answer has come, whole, or its last byte.
    pub(super) fn responded(&mut self, attempt: Try, status: u16) {
        if let Some(slot) = self.requests.find_try(attempt) {
            self.has_answer(slot, status);
        }
    }

    /// The same of an attempt that is under way.
    pub(super) fn has_answer(&mut self, slot: u32, status: u16) {
        let request = &self.requests[slot];
        let (index, life, number) = (request.index, request.life, request.setup);
        match request.stage {
            Stage::Away => return self.answered_away(slot, status),
            Stage::Streaming => {}
            _ if self.reporting => self.hear_load(slot),
            _ => {}
        }
        let setup = &self.setups[number as usize];
        let endpoint = setup.endpoints[index as usize];
        let is_failure = setup.config.outlier.is_failure(status);
        let outcome = if is_failure { Outcome::Failure } else { Outcome::Success };
        let failure = Failure::Status(status);
        let again = status >= 400 && self.may_retry(slot, failure);
        self.leave(slot, outcome);
        if again {
            // Its answer is not read: the connection goes with it.
            self.setups[number as usize].pools[index as usize].close();
            return self.try_again(slot, failure);
        }
        let unread = self.staged && self.gives_kept(slot, status);
        let setup = &mut self.setups[number as usize];
        let pool = &mut setup.pools[index as usize];
        if unread {
            // What came is not read: the connection goes with it.
            pool.close();
        } else {
            pool.give(&setup.config, self.now, life);
        }
        let request = &mut self.requests[slot];
        (request.status, request.answered) = (status, Some(endpoint));
        self.conclude(slot, None);
    }

    /// The head of an answer has come, whose body will take its time.
    pub(super) fn streams(&mut self, attempt: Try, endpoint: u32) {
        let Some(slot) = self.requests.find_try(attempt) else { return };
        if self.requests[slot].stage == Stage::Away {
            return;
        }
        if self.reporting {
            self.hear_load(slot);
        }
        if self.staged {
            self.leave_upstream(slot, None, 200);
        }
        let request = &mut self.requests[slot];
        (request.stage, request.status) = (Stage::Streaming, 200);
        let idle = self.setups[request.setup as usize].config.timeouts.stream_idle.0;
        let link = self.link_to(u32::from(self.requests[slot].proxy), endpoint);
        self.watch_stream(link, attempt, idle);
    }

    /// A request's attempt is over: whoever still speaks of it is too late. Its place at the endpoint is given back.
    fn leave(&mut self, slot: u32, outcome: Outcome) {
        let request = &mut self.requests[slot];
        request.attempt = request.attempt.wrapping_add(1);
        request.stage = Stage::Coming;
        request.job = None;
        let place = (request.setup, request.index, request.leased);
        self.give_back(place, outcome);
    }

    /// Gives a place back: the configuration, which of its endpoints, and since when it was taken.
    #[inline]
    fn give_back(&mut self, (number, index, leased): (u32, u32, Instant), outcome: Outcome) {
        self.invariants.given_back(self.now, number, index);
        let setup = &mut self.setups[number as usize];
        if let Some(ejection) = setup.give_back(index, leased, self.now, outcome) {
            self.invariants.ejected(self.now, number, index, ejection.until);
        }
        if self.rooms[setup.room as usize].waiting.waiting() > 0 {
            self.ring(number);
        }
    }

    /// Tells the endpoint, if it has the request, that nobody wants its answer any more.
    fn withdraw(&mut self, slot: u32) {
        let request = &self.requests[slot];
        self.setups[request.setup as usize].pools[request.index as usize].close();
        if let Some(job) = request.job {
            let link = self.endpoint_link(slot);
            self.send(link, Direction::Up, Message::Cancel(job));
        }
    }

    /// An attempt has failed: the request goes elsewhere, or its client is told.
    fn failed(&mut self, slot: u32, fault: Fault) {
        let streaming = self.requests[slot].stage == Stage::Streaming;
        let failure = if streaming { Failure::MidResponse } else { failure_of(&fault) };
        self.withdraw(slot);
        self.leave(slot, outcome_of_fault(&fault));
        if streaming || fault.side() != Side::Upstream || !self.may_retry(slot, failure) {
            return self.conclude_after(slot, fault, streaming);
        }
        self.requests[slot].last = Some(fault);
        self.try_again(slot, failure);
    }

    fn try_again(&mut self, slot: u32, failure: Failure) {
        let request = &mut self.requests[slot];
        if failure == Failure::ReusedClosed {
            // The endpoint is not to blame, and its other idle connections have died with this one.
            self.setups[request.setup as usize].pools[request.index as usize].forget();
            request.fresh_only = true;
        } else {
            request.retries += 1;
            request.tried.push(request.index);
        }
        request.again = true;
        self.reach(slot);
    }

    /// Whether the request may be sent again after this failure; takes it from the budget if so.
    fn may_retry(&mut self, slot: u32, failure: Failure) -> bool {
        let request = &self.requests[slot];
        let setup = &mut self.setups[request.setup as usize];
        let (idempotence, kept) = match request.kind {
            Kind::Idempotent | Kind::Head => {
                (Idempotence::Idempotent, request.planned.body <= setup.config.limits.replay.0)
            }
            Kind::NonIdempotent | Kind::Refused => (Idempotence::NonIdempotent, false),
        };
        let body = if kept || !request.body_sent { Body::Replayable } else { Body::Gone };
        let decision = setup.config.retry.decide(failure, idempotence, body, request.retries);
        if decision != Decision::Retry {
            return false;
        }
        let (others, with_room) = setup.others(&request.tried, request.index);
        let somewhere = match failure {
            Failure::ReusedClosed => true,
            // An answer that is there is worth more than a place in the queue.
            Failure::Status(_) => with_room > 0,
            _ => others > 0,
        };
        if !somewhere {
            return false;
        }
        let granted = setup.budget.try_retry(self.now);
        self.tally.retries_refused += u64::from(!granted);
        granted
    }

    /// The client of a request has gone.
    pub(super) fn client_gone(&mut self, slot: u32) {
        self.requests[slot].gone = true;
        match self.requests[slot].stage {
            Stage::Dialling | Stage::Coming | Stage::Away | Stage::Done => {}
            Stage::Following => self.conclude(slot, Some(Fault::ClientGone)),
            Stage::Queued => {
                self.leave_line(slot);
                self.conclude(slot, Some(Fault::ClientGone));
            }
            Stage::Connecting | Stage::Waiting | Stage::Streaming => {
                self.give_up(slot, Fault::ClientGone);
            }
        }
    }

    /// Gives up a request that an endpoint has.
    fn give_up(&mut self, slot: u32, fault: Fault) {
        let streaming = self.requests[slot].stage == Stage::Streaming;
        self.withdraw(slot);
        self.leave(slot, Outcome::Cancelled);
        self.conclude_after(slot, fault, streaming);
    }

    /// The proxy is done with a request whose client may have the head of an answer already.
    fn conclude_after(&mut self, slot: u32, fault: Fault, streaming: bool) {
        if !streaming || matches!(fault, Fault::ClientGone) {
            return self.conclude(slot, Some(fault));
        }
        self.tally.fault(&fault);
        if self.staged {
            self.settle(slot, Some(&fault));
        }
        self.finish(slot, Ending::Broken);
    }

    /// The proxy is done with a request: the client is told what has come of it.
    #[inline]
    pub(super) fn conclude(&mut self, slot: u32, fault: Option<Fault>) {
        if self.staged && self.settle(slot, fault.as_ref()) {
            // What is kept stands in for what went wrong.
            return self.finish(slot, Ending::Answered);
        }
        if let Some(fault) = fault {
            let request = &mut self.requests[slot];
            self.tally.fault(&fault);
            request.status = fault.status();
            request.bytes = match request.kind {
                Kind::Head => 0,
                _ => self.tally.length_of(&fault),
            };
            request.answered = None;
        }
        self.finish(slot, Ending::Answered);
    }

    /// The answer goes to the client, or its connection breaks.
    #[inline]
    fn finish(&mut self, slot: u32, ending: Ending) {
        let request = &mut self.requests[slot];
        request.stage = Stage::Done;
        if request.last.is_some() {
            request.last = None;
        }
        if request.client_done {
            return self.free_if_over(slot);
        }
        let (proxy, load) = (u32::from(request.proxy), u32::from(request.planned.load));
        let link = self.link_from(proxy, load);
        let answers = ending == Ending::Answered;
        if answers && self.links[link as usize].is_instant() {
            return self.client_ends(slot, Ending::Answered);
        }
        let whose = self.requests.name(slot);
        let message = if answers { Message::Answer(whose) } else { Message::Broken(whose) };
        self.send(link, Direction::Down, message);
    }
}

/// What a fault says of the endpoint: nothing, unless it is the endpoint's.
fn outcome_of_fault(fault: &Fault) -> Outcome {
    match fault.side() {
        // A connection that was closed while idle is no failure: every keep-alive ends some time.
        Side::Upstream if !matches!(fault, Fault::ReusedClosed) => Outcome::Failure,
        _ => Outcome::Cancelled,
    }
}

/// The fault in the terms of the retry decision.
fn failure_of(fault: &Fault) -> Failure {
    match fault {
        Fault::ConnectRefused | Fault::ConnectFailed(_) | Fault::ConnectTimeout => Failure::NotSent,
        Fault::ReusedClosed => Failure::ReusedClosed,
        Fault::ClosedBeforeResponse => Failure::ClosedBeforeResponse,
        Fault::ResponseTimeout => Failure::ResponseTimeout,
        _ => Failure::MidResponse,
    }
}
