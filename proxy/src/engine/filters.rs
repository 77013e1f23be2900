//! Filters at work: what [`policy::filter`] decides, done.
//!
//! The filters of a service are asked before its limits and its cache, and again when the head of the response is there. They wait for
//! nothing, with one exception: a password's hash takes tens of milliseconds of computing by design. That is done on a thread for
//! such work (in a simulated world at once, [`Net::compute`]), while the worker serves others. A worker has one at a time computed and lets a
//! bounded number of requests wait for their turn: somebody who guesses passwords costs one core per worker at most, and memory for none.
//! Whoever has waited asks the filter again first, because the same credentials may have been checked meanwhile: a browser comes with six
//! connections at once.

use std::{cell::Cell, future::Future, pin::pin, sync::Arc};

use net::Net;
use policy::{
    Instant, Seed,
    filter::{Chain, FilterConfig, Outcome, Passage},
    message::{Answered, Reply},
};
use tokio::sync::Semaphore;

use super::{
    exchange::Exchange,
    fault::Fault,
    heads::{RequestFields, ResponseFields},
    worker::Pad,
};

/// How many requests may wait for their turn to have a password checked, for each worker.
const WAITING: u32 = 64;

/// The filters of a service, one worker's.
#[derive(Debug)]
pub(crate) struct Filters {
    chain: Chain,
    /// Whose turn it is to compute.
    turn: Arc<Semaphore>,
    waiting: Cell<u32>,
}

impl Filters {
    /// Of these, in their order; nothing if there are none.
    pub(crate) fn new<'a>(
        configs: impl IntoIterator<Item = &'a FilterConfig>,
        seed: Seed,
    ) -> Option<Self> {
        let chain = Chain::new(configs, seed)?;
        Some(Self { chain, turn: Arc::new(Semaphore::new(1)), waiting: Cell::new(0) })
    }
}

impl<N: Net> Exchange<'_, N> {
    /// What the filters of the service answer in the endpoint's place, if they do.
    pub(super) async fn filter(&mut self, filters: &Filters) -> Result<Option<Reply>, Fault> {
        let mut passage = Passage::default();
        // Nothing of what they say is held while something is waited for: this is part of every request's task.
        let checked = match self.pass(filters, &mut passage) {
            Outcome::Pass => return Ok(None),
            Outcome::Answer(reply, _) => return Ok(Some(reply)),
            Outcome::Check(_) => Box::pin(self.check(filters, passage)),
        };
        checked.await
    }

    /// Asks the filters from where the request is; what they say is counted, and holds for its body.
    fn pass(&mut self, filters: &Filters, passage: &mut Passage) -> Outcome {
        let now = self.worker.clock.now();
        let Pad { request, onward, upload, .. } = &mut *self.pad;
        let fields = RequestFields(request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        let outcome = filters.chain.on_request(&asked, now, passage, onward);
        match &outcome {
            Outcome::Pass => upload.limit(passage.body),
            Outcome::Answer(_, number) => self.worker.stats.filtered[*number].add(1),
            Outcome::Check(_) => {}
        }
        outcome
    }

    /// Has passwords checked until the filters know what to say.
    async fn check(
        &mut self,
        filters: &Filters,
        mut passage: Passage,
    ) -> Result<Option<Reply>, Fault> {
        if filters.waiting.get() >= WAITING {
            return Ok(Some(busy()));
        }
        filters.waiting.set(filters.waiting.get() + 1);
        let _place = Waiting(&filters.waiting);
        loop {
            let turn = Arc::clone(&filters.turn).acquire_owned();
            // Nobody closes it.
            let Ok(turn) = self.patiently(turn).await? else { return Ok(Some(busy())) };
            let check = match self.pass(filters, &mut passage) {
                Outcome::Pass => return Ok(None),
                Outcome::Answer(reply, _) => return Ok(Some(reply)),
                Outcome::Check(check) => check,
            };
            let worker = self.worker;
            let job = check.clone();
            let computed = worker.net.compute(move || {
                let passed = job.run();
                // The turn ends with the work, whether somebody waits for it or not.
                drop(turn);
                passed
            });
            let passed = self.patiently(computed).await?.unwrap_or(false);
            filters.chain.learn(&passage, &check, passed, worker.clock.now());
        }
    }

    /// Waits for as long as the client does.
    async fn patiently<T>(&mut self, event: impl Future<Output = T>) -> Result<T, Fault> {
        self.wait(pin!(event), Instant::NEVER).await
    }

    /// The head of the response is in the pad: what the filters want different in it.
    pub(super) fn filter_response(&mut self, filters: &Filters) {
        let Pad { request, response, back, .. } = &mut *self.pad;
        let fields = RequestFields(request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        let answer = ResponseFields(response);
        filters.chain.on_response(&asked, &answer.answered(), back);
    }

    /// The same for an answer that is not in the pad.
    pub(super) fn filter_answer(&mut self, filters: &Filters, answered: &Answered<'_>) {
        let Pad { request, back, .. } = &mut *self.pad;
        let fields = RequestFields(request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        filters.chain.on_response(&asked, answered, back);
    }
}

/// A place among those who wait, given back when it is dropped.
struct Waiting<'a>(&'a Cell<u32>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Too many passwords are to be checked.
fn busy() -> Reply {
    Reply::text(429, "too_many_checks", "too many sign in at once; try again in a moment")
        .with("Retry-After", "1")
}
