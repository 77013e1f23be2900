//! Always-on invariants: what must hold in every run of a simulated world, whatever the scenario asks for.
//!
//! A threshold says what a scenario hopes for; an invariant is what the proxy promises always. They are checked while the run
//! goes on, by a state machine that takes the time and *facts* (a request was sent, it turned to an endpoint, its bytes went
//! out, …) and believes nobody's decision: it counts for itself what is in flight, connected and waiting, and works out for itself
//! whether so few endpoints are ready that all may be used. A fact costs a few compares, however many requests there are, and
//! of what breaks only the first few are told in words.
//!
//! | name | what | file |
//! |---|---|---|
//! | `one_outcome` | a request that was sent ends once | `outcome` |
//! | `intact_bodies` | a body is the one that was sent | `bodies` |
//! | `only_ready` | nothing goes to an endpoint that is out of use | `ready` |
//! | `never_twice` | nothing that must not be repeated is | `twice` |
//! | `in_flight` | what is counted in flight is there, and comes back to zero | `flight` |
//! | `retry_budget` | retries stay within their budget, in every window | `budget` |
//! | `limits` | no limit is exceeded | `limits` |
//! | `recovery` | after the last event the proxy uses every endpoint again, in a stated time | `recovery` |
//!
//! # How a world uses it
//!
//! 1. [`Invariants::new`] at the start. A world of the real engine puts it into an [`Observer`], and gives each proxy
//!    process that it starts an [`Observer::witness`] of its own (`WorkerArguments::witness`): the engine then tells the facts itself. A
//!    world without an engine calls [`process`](Invariants::process) once for each proxy of the scenario and
//!    [`configured`](Invariants::configured) for each configuration of each upstream, and the facts by name.
//! 2. It tells of its clients: [`sent`](Invariants::sent) and [`ended`](Invariants::ended), or the totals at the end
//!    ([`sent_and_ended`](Invariants::sent_and_ended)), and what they saw of bodies ([`bodies`](Invariants::bodies)).
//! 3. At [`recovery_due`](Invariants::recovery_due), if there is such a time, it shows the endpoints that each upstream of each proxy has then:
//!    [`look`](Invariants::look).
//! 4. At the end, in this order: [`look`](Invariants::look) once more; when nothing moves any more,
//!    [`compare_in_flight`](Invariants::compare_in_flight) with all endpoints of all configurations; when every proxy has
//!    drained, [`at_rest`](Invariants::at_rest); then [`finish`](Invariants::finish). Facts that come later do no harm.

use std::{sync::Arc, time::Duration};

use policy::{Instant, endpoint::Endpoint};
use reports::InvariantResult;

use crate::language::Scenario;

mod bodies;
mod book;
mod budget;
mod count;
mod flight;
mod limits;
mod observer;
mod outcome;
mod ready;
mod recovery;
mod twice;

use bodies::Bodies;
use book::Book;
use count::Count;
pub use observer::Observer;
use outcome::Outcomes;
pub use ready::Turn;
use recovery::Recovery;
pub use twice::Sending;

/// How a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything was sent, and every client has its answer or has given up.
    Complete,
    /// Somebody wanted it to end earlier: requests may be under way.
    Interrupted,
}

/// All invariants of a run.
#[derive(Debug)]
pub struct Invariants {
    start: Instant,
    book: Book,
    outcomes: Outcomes,
    bodies: Bodies,
    ready: Count,
    twice: Count,
    flight: Count,
    budget: Count,
    limits: Count,
    recovery: Recovery,
}

impl Invariants {
    /// For a run of `scenario` whose first request is due at `start`.
    pub fn new(scenario: &Scenario, start: Instant) -> Self {
        Self {
            start,
            book: Book::default(),
            outcomes: Outcomes::default(),
            bodies: Bodies::default(),
            ready: Count::default(),
            twice: Count::default(),
            flight: Count::default(),
            budget: Count::default(),
            limits: Count::default(),
            recovery: Recovery::new(scenario, start),
        }
    }

    /// What has become of them.
    pub fn finish(&mut self, now: Instant, end: End) -> Vec<InvariantResult> {
        self.outcomes.finish(now, self.start, end);
        vec![
            self.outcomes.result(),
            self.bodies.result(),
            self.ready.result(
                "only_ready",
                "Nothing is sent to an endpoint that is ejected, removed or down by its health check, unless so few are \
                 ready that all are used.",
                "no request went to an endpoint",
            ),
            self.twice.result(
                "never_twice",
                "A request that is not idempotent is not sent again once its bytes may have reached an endpoint.",
                "no request was sent that is not idempotent",
            ),
            self.flight.result(
                "in_flight",
                "The requests that an endpoint counts as in flight are there, and there are none at the end.",
                "no request was in flight",
            ),
            self.budget.result(
                "retry_budget",
                "In every window of time the retries stay within the share of the requests and the floor that the \
                 configuration allows.",
                "there were no retries",
            ),
            self.limits.result(
                "limits",
                "No limit of the configuration is exceeded: places and connections at an endpoint, waiting requests, \
                 client connections, sendings of a request, the length of an ejection.",
                "nothing happened that a limit is about",
            ),
            self.recovery.result(now, end),
        ]
    }

    /// How long after the start this is, in words.
    fn at(&self, now: Instant) -> String {
        at(now, self.start)
    }

    /// When the proxies' endpoints are to be looked at, because by then all must be in use again. Never, where nothing
    /// can be said of it.
    pub fn recovery_due(&self) -> Instant {
        self.recovery.due()
    }

    /// Looks at the endpoints of the configuration in force in one of the scenario's proxies, by its number, for its upstream of this name
    /// (empty for its own endpoints).
    pub fn look(
        &mut self,
        now: Instant,
        (proxy, upstream): (u32, &str),
        present: &[Arc<Endpoint>],
    ) {
        let last_turn = self.book.last_turn(proxy, upstream);
        self.recovery.look((now, self.start), proxy, present, last_turn);
    }
}

/// How long after the start `now` is, in words; whole microseconds.
fn at(now: Instant, start: Instant) -> String {
    let micros = now.since(start).as_nanos() / 1000;
    format!("at {:?}", Duration::from_micros(micros as u64))
}

/// A request's number in words, if it has one.
fn request(number: Option<u64>) -> String {
    number.map_or_else(|| "a request without a number".to_owned(), |id| format!("request {id}"))
}
