//! One request, from the moment in which it is taken up to its line in the ledger.
//!
//! The deadline is a timer of the request's seat that moves from one request to the next, instead of one that is armed and
//! disarmed for each: most requests are answered long before.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::HeaderValue;
use net::{Clock, Net, Timer};
use policy::Instant;
use reports::{FailClass, Outcome, Sample};

use crate::{
    client::{Cookies, Ending, Errand, Keeping, Seat, Template, Told, Traffic, exchange},
    config::{Arrivals, Connections, Problem},
    ledger::Ledger,
    progress::Progress,
    run::{Carry, Plan},
    schedule::{NamedLoad, Planned, Route, trace::TraceRequests},
};

/// What all tasks of a run share.
pub(crate) struct Shared<N> {
    pub(crate) clock: Clock,
    pub(crate) net: N,
    /// By proxy.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    pub(crate) endpoints: BTreeMap<Vec<u8>, usize>,
    pub(crate) ledger: RefCell<Ledger>,
    pub(crate) traffic: Traffic,
    pub(crate) under_way: Cell<u64>,
    pub(crate) progress: Arc<Progress>,
}

/// One load, ready to be sent.
pub(crate) struct Ready {
    pub(crate) index: usize,
    pub(crate) timeout: Duration,
    pub(crate) templates: Vec<Template>,
    pub(crate) trace: Option<Arc<TraceRequests>>,
    pub(crate) connections: Connections,
    pub(crate) route: Route,
    pub(crate) cookies: Cookies,
    /// Requests of this thread that may still be taken up.
    pub(crate) left: Cell<u64>,
}

impl Ready {
    /// Prepares a load of the plan.
    pub(crate) fn new(plan: &Plan, index: usize, load: &NamedLoad) -> Result<Self, Problem> {
        let name = || format!("load.{}", load.name);
        if let Some(problem) = load.load.problem() {
            return Err(problem.under(&name()));
        }
        let host = HeaderValue::from_str(&plan.host)
            .map_err(|_| Problem::new("host", "must be visible ASCII text"))?;
        let work = plan.carry != Carry::Nothing;
        let named = load.load.clients.is_some() || load.load.users.is_some();
        let client = work && named;
        let told = Told { work, client, target: plan.carry == Carry::Work };
        let connections = load.load.connections;
        let template = |request| {
            Template::new(request, &host, connections, told, plan.payload.clone())
                .map_err(|problem| problem.under(&name()))
        };
        let trace = match &load.load.arrivals {
            Some(Arrivals::Trace(trace)) => Some(Arc::clone(&trace.requests)),
            _ => None,
        };
        Ok(Self {
            index,
            timeout: load.load.timeout.0,
            templates: load.load.request.iter().map(template).collect::<Result<_, _>>()?,
            trace,
            connections,
            route: Route::new(load, plan.seed, plan.addresses.len() as u32),
            cookies: Cookies::new(if named { Keeping::Each } else { Keeping::Nothing }),
            left: Cell::new(load.load.requests.map_or(u64::MAX, |limit| plan.share.part(limit))),
        })
    }
}

/// Whether a request got through to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    /// It was answered, or nobody knows.
    Some,
    /// The connection failed at once.
    None,
}

impl<N: Net> Shared<N> {
    /// What was seen, when all is over.
    pub(crate) fn close(&self) -> Ledger {
        let mut ledger = self.ledger.borrow().clone();
        ledger.connections = self.traffic.opened.get();
        ledger.resent = self.traffic.resent.get();
        ledger.abandoned = self.under_way.get();
        ledger
    }

    /// Sends one request and records how it ended. Without a time that it was due, that is now.
    pub(crate) async fn perform(
        &self,
        ready: &Ready,
        seat: &mut Seat,
        planned: &Planned,
        due: Option<Instant>,
    ) -> Contact {
        let clock = self.clock;
        let sent = clock.now();
        let intended = due.unwrap_or(sent);
        self.progress.sent();
        self.under_way.set(self.under_way.get() + 1);
        let template = &ready.templates[usize::from(planned.template)];
        let bytes_out = Cell::new(0);
        let errand = Errand {
            net: &self.net,
            address: self.addresses[seat.proxy as usize],
            template,
            planned,
            trace: ready.trace.as_deref(),
            cookies: &ready.cookies,
            bytes_out: &bytes_out,
        };
        let endpoint = |name: &[u8]| self.endpoints.get(name).copied();
        let exchanged = exchange(errand, &mut seat.connection, &self.traffic, endpoint);
        let ending = within(&mut seat.timer, intended + ready.timeout, exchanged).await;
        if ending.is_none() || ready.connections == Connections::PerRequest {
            seat.connection = None;
        }
        let finished = clock.now();
        self.under_way.set(self.under_way.get() - 1);
        self.progress.finished();
        let since = |moment: Instant| moment.nanos_since(self.start);
        let mut sample = Sample {
            load: ready.index,
            intended: since(intended),
            sent: since(sent),
            finished: since(finished),
            outcome: Outcome::Ok,
            status: 0,
            bytes_in: 0,
            bytes_out: bytes_out.get(),
            endpoint: None,
            retries: 0,
        };
        let mut contact = Contact::Some;
        let mut message = String::new();
        match ending {
            None => {
                sample.outcome = Outcome::TimedOut;
                message = format!("no complete answer within {:?}", ready.timeout);
            }
            Some(Ending::Broken { outcome, message: what }) => {
                contact = Contact::None;
                sample.outcome = outcome;
                message = what;
            }
            Some(Ending::Answered(answer)) => {
                sample.status = answer.status;
                sample.bytes_in = answer.bytes;
                sample.endpoint = answer.endpoint;
                if let Some(mismatch) = answer.mismatch {
                    sample.outcome = Outcome::Failed(FailClass::BodyMismatch);
                    message = format!("request {}: {mismatch}", planned.id);
                } else if template.expects(answer.status) {
                    self.progress.answered(answer.bytes);
                } else {
                    sample.outcome = if matches!(answer.status, 429 | 503) {
                        Outcome::Refused
                    } else {
                        Outcome::Failed(FailClass::of_status(answer.status))
                    };
                    message = format!("status {}", answer.status);
                }
            }
        }
        let mut ledger = self.ledger.borrow_mut();
        if sample.outcome == Outcome::Dropped {
            (sample.sent, sample.finished) = (sample.intended, sample.intended);
        }
        ledger.record(&sample);
        if sample.outcome != Outcome::Ok {
            ledger.explain(sample.outcome, message);
        }
        contact
    }

    /// Records a request that found every connection taken.
    pub(crate) fn drop_unsent(&self, ready: &Ready, due: Instant, most: u32) {
        let intended = due.nanos_since(self.start);
        let mut ledger = self.ledger.borrow_mut();
        ledger.record(&Sample {
            load: ready.index,
            intended,
            sent: intended,
            finished: intended,
            outcome: Outcome::Dropped,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            endpoint: None,
            retries: 0,
        });
        let what = format!("all {most} connections were taken: raise `max_connections`");
        ledger.explain(Outcome::Dropped, what);
        ledger.unsent += 1;
        self.progress.finished();
    }
}

/// Waits for `future`, but not beyond `deadline`; then it is dropped.
async fn within<F: Future>(timer: &mut Timer, deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.poll_at(cx, deadline).map(|()| None),
    })
    .await
}
