//! A request under way, and the slab that all of them live in.
//!
//! A request is one slot from the moment in which it is sent until both its client and the proxy are done with it. Slots are used
//! again, lists and all, so that once as many exist as are ever under way at a time nothing is allocated. Two stamps tell
//! whoever comes late (a deadline, a message, a finished job) whether what it is about still exists: the *generation*
//! moves when the slot goes to another request, the *attempt* whenever the request is sent to an endpoint or given up there.

use loadgen::schedule::Planned;
use policy::Instant;
use proxy::engine::Fault;

use super::cookies::Cookie;

/// A request, for whoever speaks of it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ref {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// One sending of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Try {
    pub(super) slot: u32,
    pub(super) attempt: u32,
}

/// How far the proxy is with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its client opens a connection to the proxy.
    Dialling,
    /// It is on its way to the proxy.
    Coming,
    /// It waits for another that has gone for the same.
    Following,
    /// It waits for an endpoint with room.
    Queued,
    /// It waits for a connection to the endpoint.
    Connecting,
    /// It has sent it and waits for the head of the answer.
    Waiting,
    /// The head has gone to the client, and the body flows.
    Streaming,
    /// The client was sent to the endpoint, and is on its way or there.
    Away,
    /// It is done with it.
    Done,
}

/// A slot.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) generation: u32,
    pub(super) attempt: u32,
    pub(super) planned: Planned,
    /// The user of a closed loop.
    pub(super) user: Option<u32>,
    pub(super) intended: Instant,
    pub(super) sent: Instant,
    /// The method, as far as it matters.
    pub(super) kind: Kind,
    pub(super) stage: Stage,
    /// The client has its answer, or gave up.
    pub(super) client_done: bool,
    /// The client's connection is gone, and the proxy could know.
    pub(super) gone: bool,
    /// Which proxy it goes to, and which of the configurations serves it there.
    pub(super) proxy: u16,
    pub(super) setup: u32,
    /// Its endpoint's place in that configuration.
    pub(super) index: u32,
    /// When its place at the endpoint was taken.
    pub(super) leased: Instant,
    /// The endpoint's life that its connection belongs to.
    pub(super) life: u32,
    /// The job that it is at the endpoint.
    pub(super) job: Option<backend_sim::station::JobId>,
    pub(super) reused: bool,
    pub(super) fresh_only: bool,
    pub(super) again: bool,
    pub(super) body_sent: bool,
    /// It has come to an endpoint.
    pub(super) has_come: bool,
    /// When it came to the proxy, and how often it went out from there.
    pub(super) begun: Instant,
    pub(super) sendings: u32,
    pub(super) retries: u32,
    /// What its endpoint is chosen by, if by anything.
    pub(super) key: Option<u64>,
    /// The cookie of its client, when it was sent.
    pub(super) cookie: Option<Cookie>,
    pub(super) tried: Vec<u32>,
    pub(super) last: Option<Fault>,
    /// What the client is told: status, bytes, and who answered.
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) answered: Option<u32>,
    /// Whether its client was sent to an endpoint, and the number of its session there.
    pub(super) away: bool,
    pub(super) session: u64,
}

/// What of a method matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Twice is as good as once.
    Idempotent,
    /// The same, and the answer has no body.
    Head,
    /// Twice is wrong.
    NonIdempotent,
    /// The proxy does not pass it on.
    Refused,
}

impl Kind {
    /// Of a method's name (RFC 9110, section 9.2.2); case matters.
    pub(super) fn of(method: &str) -> Self {
        match method {
            "GET" | "OPTIONS" | "PUT" | "DELETE" => Self::Idempotent,
            "HEAD" => Self::Head,
            "CONNECT" | "TRACE" => Self::Refused,
            _ => Self::NonIdempotent,
        }
    }
}

/// All requests under way.
#[derive(Debug, Default)]
pub(super) struct Slab {
    slots: Vec<Request>,
    free: Vec<u32>,
}

impl Slab {
    /// How many are under way.
    pub(super) fn live(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// A slot for a request that is sent now.
    #[inline]
    pub(super) fn insert(
        &mut self,
        planned: &Planned,
        (user, proxy): (Option<u32>, u16),
        kind: Kind,
        (intended, sent): (Instant, Instant),
    ) -> u32 {
        let Some(slot) = self.free.pop() else {
            self.slots.push(Request {
                generation: 0,
                attempt: 0,
                planned: *planned,
                user,
                intended,
                sent,
                kind,
                stage: Stage::Coming,
                client_done: false,
                gone: false,
                proxy,
                setup: 0,
                index: 0,
                leased: sent,
                life: 0,
                job: None,
                reused: false,
                fresh_only: false,
                again: false,
                body_sent: false,
                has_come: false,
                begun: sent,
                sendings: 0,
                retries: 0,
                key: None,
                cookie: None,
                tried: Vec::new(),
                last: None,
                status: 0,
                bytes: 0,
                answered: None,
                away: false,
                session: 0,
            });
            return (self.slots.len() - 1) as u32;
        };
        let request = &mut self.slots[slot as usize];
        request.planned = *planned;
        (request.user, request.kind, request.stage) = (user, kind, Stage::Coming);
        request.proxy = proxy;
        (request.intended, request.sent) = (intended, sent);
        (request.client_done, request.gone, request.away) = (false, false, false);
        (request.fresh_only, request.again, request.body_sent) = (false, false, false);
        (request.retries, request.status, request.bytes) = (0, 0, 0);
        (request.sendings, request.has_come) = (0, false);
        (request.job, request.answered) = (None, None);
        request.tried.clear();
        request.cookie = None;
        if request.last.is_some() {
            request.last = None;
        }
        slot
    }

    /// Gives the slot to whoever comes next.
    pub(super) fn free(&mut self, slot: u32) {
        let request = &mut self.slots[slot as usize];
        request.generation = request.generation.wrapping_add(1);
        request.attempt = request.attempt.wrapping_add(1);
        self.free.push(slot);
    }

    /// The slot of a request that still is.
    pub(super) fn find(&self, whose: Ref) -> Option<u32> {
        (self.slots[whose.slot as usize].generation == whose.generation).then_some(whose.slot)
    }

    /// The slot of a sending that still is under way.
    pub(super) fn find_try(&self, whose: Try) -> Option<u32> {
        (self.slots[whose.slot as usize].attempt == whose.attempt).then_some(whose.slot)
    }

    pub(super) fn name(&self, slot: u32) -> Ref {
        Ref { slot, generation: self.slots[slot as usize].generation }
    }

    pub(super) fn attempt(&self, slot: u32) -> Try {
        Try { slot, attempt: self.slots[slot as usize].attempt }
    }

    /// Every slot whose request is away, in their order.
    pub(super) fn away(&self) -> impl Iterator<Item = (u32, &Request)> {
        (0_u32..).zip(&self.slots).filter(|(_, request)| request.stage == Stage::Away)
    }

    /// Every slot whose request the proxy has at an endpoint, in their order.
    pub(super) fn at_endpoints(&self) -> impl Iterator<Item = (u32, &Request)> {
        let under_way = |request: &Request| {
            matches!(request.stage, Stage::Connecting | Stage::Waiting | Stage::Streaming)
        };
        (0_u32..).zip(&self.slots).filter(move |(_, request)| under_way(request))
    }
}

impl std::ops::Index<u32> for Slab {
    type Output = Request;

    fn index(&self, slot: u32) -> &Request {
        &self.slots[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Slab {
    fn index_mut(&mut self, slot: u32) -> &mut Request {
        &mut self.slots[slot as usize]
    }
}
