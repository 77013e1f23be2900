//! What becomes of a request at an endpoint, before it is queued: how much work it is and how long its answer, or the answer instead.
//!
//! The order is the backend's: it fails because an event says so, then it costs what it brings or what is drawn, less where its
//! answer has not changed or its target is remembered, and chance may delay it, answer for it or break its connection. Most endpoints do
//! none of all this, and are asked first whether they do.

use std::time::Duration;

use policy::work::number_of_target;

use super::{
    backend::{Misfortune, Owner},
    request::Try,
    services::target,
    world::World,
};

/// What a request asks of an endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wish {
    pub(super) id: Option<u64>,
    pub(super) work: Option<u64>,
    pub(super) size: Option<u64>,
    pub(super) is_health_check: bool,
}

/// What it comes to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It is served: so much work, and an answer of so many bytes.
    Served { work: Duration, bytes: u64 },
    /// It is answered at once, without being served.
    Answered { status: u16, bytes: u64 },
    /// Its connection breaks.
    Reset,
}

impl World<'_> {
    /// What becomes of a request at an endpoint that does not hang.
    #[inline]
    pub(super) fn fate(&mut self, endpoint: u32, owner: Owner, wish: &Wish) -> Fate {
        let backend = &self.backends[endpoint as usize];
        match (wish.work, backend.plain_size(wish.size)) {
            (Some(nanos), Some(bytes)) => Fate::Served { work: Duration::from_nanos(nanos), bytes },
            _ => self.drawn_fate(endpoint, owner, wish),
        }
    }

    #[inline(never)]
    fn drawn_fate(&mut self, endpoint: u32, owner: Owner, wish: &Wish) -> Fate {
        let backend = &mut self.backends[endpoint as usize];
        let draws = backend.draws(wish.id);
        if let Some(how) = backend.failing
            && draws.stream("fail").chance(how.probability)
        {
            backend.hits.fail += 1;
            backend.note_failed(self.now);
            let bytes = backend.failure_size(how.status, wish.size, draws);
            return Fate::Answered { status: how.status, bytes };
        }
        let mut work = backend.service(wish.work, draws);
        let mut of_size = draws;
        if backend.has_content
            && let Some(content) = &backend.config.content
            && let Owner::Request(Try { slot, .. }) = owner
        {
            let planned = &self.requests[slot].planned;
            let letter = &mut self.clients[usize::from(planned.load)].letter;
            if matches!(letter.method(planned), "GET" | "HEAD") {
                let target = target(&self.held, letter, planned, slot);
                of_size = backend_sim::size_of_target(number_of_target(target));
            }
            let pending = self.pending.get(slot as usize).and_then(Option::as_ref);
            if content.etag && pending.is_some_and(|pending| pending.conditional) {
                work = work.mul_f64(content.unchanged);
            }
        }
        match backend.misfortune(draws) {
            Misfortune::Nothing => {}
            Misfortune::Delay(more) => work = work.saturating_add(more),
            Misfortune::Status(status) => {
                backend.note_failed(self.now);
                let bytes = backend.failure_size(status, wish.size, draws);
                return Fate::Answered { status, bytes };
            }
            Misfortune::Reset => {
                backend.note_failed(self.now);
                return Fate::Reset;
            }
        }
        if let Some(memory) = &mut backend.memory
            && let Owner::Request(attempt) = owner
        {
            let planned = &self.requests[attempt.slot].planned;
            let letter = &mut self.clients[usize::from(planned.load)].letter;
            work = memory.demand(target(&self.held, letter, planned, attempt.slot), work);
        }
        let bytes = if backend.is_session() {
            backend.session_bytes(work)
        } else {
            backend.size(wish.size, of_size)
        };
        Fate::Served { work, bytes }
    }
}
