//! The path of one request through an endpoint, from top to bottom.
//!
//! ```text
//! health check or load probe? → read the demand → read and check the body → hang? → fail? → bad luck? → queue → service → answer
//! ```
//!
//! Failures, injected or by chance, are answered at once and take no service: that a broken endpoint is a fast one is
//! the trap that balancers must not fall into. The whole body is read before anything else, so that
//! a refusal reaches the client instead of a reset.
//!
//! A request that needs no service and finds everything idle is answered on the spot, without a future of its own.

use std::{
    cell::Cell,
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::{
    body::{Body as _, Incoming},
    service::Service,
};
use policy::{
    report::REPORT_HEADER,
    work::{ENDPOINT_HEADER, Pattern},
};

use crate::{
    body::{Answer, Session},
    config::{Kind, SessionFormat},
    core::{Core, Job, add},
    demand::{Demand, MISMATCH_HEADER, Misfortune},
    load::Arrival,
    redirect::Visit,
    station::Full,
    websocket::{self, Tunnel},
};

/// The connection shall end without an answer.
#[derive(Debug)]
pub(crate) struct Unanswered;

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ends without an answer")
    }
}

impl std::error::Error for Unanswered {}

type Outcome = Result<Response<Answer>, Unanswered>;

/// What a request leaves for its connection to do.
#[derive(Default)]
pub(crate) struct Errand {
    /// Reset instead of closing.
    pub(crate) reset: Cell<bool>,
    /// Go on as a WebSocket.
    pub(crate) tunnel: Cell<Option<Tunnel>>,
    /// The visit that this is, if a proxy has sent the client here.
    pub(crate) visit: Cell<Option<Box<Visit>>>,
}

/// The service of one connection.
pub(crate) struct Server {
    core: Rc<Core>,
    errand: Rc<Errand>,
}

impl Server {
    pub(crate) fn new(core: Rc<Core>, errand: Rc<Errand>) -> Self {
        Self { core, errand }
    }
}

/// An answer on its way.
pub(crate) enum Answering {
    /// It is here.
    Now(Option<Outcome>),
    /// It takes time.
    Later(Pin<Box<dyn Future<Output = Outcome>>>),
}

impl Future for Answering {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        match &mut *self {
            Self::Now(outcome) => Poll::Ready(outcome.take().unwrap_or(Err(Unanswered))),
            Self::Later(future) => future.as_mut().poll(cx),
        }
    }
}

impl Service<Request<Incoming>> for Server {
    type Response = Response<Answer>;
    type Error = Unanswered;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let core = &self.core;
        if request.uri().path() == core.config.health_path {
            return Answering::Later(Box::pin(health(Rc::clone(core))));
        }
        // No path is empty.
        if request.uri().path() == core.config.probe_path {
            return Answering::Later(Box::pin(tell_load(Rc::clone(core))));
        }
        let ticket = Ticket::new(core);
        let demand = match Demand::of(core, &request) {
            Ok(demand) => demand,
            Err(problem) => {
                return Answering::Later(Box::pin(bad_request(ticket, request, problem)));
            }
        };
        core.note(request.method(), demand.id);
        let mut ticket = ticket;
        if let Some(answer) = on_the_spot(&mut ticket, &request, &demand) {
            return Answering::Now(Some(Ok(answer)));
        }
        let errand = Rc::clone(&self.errand);
        Answering::Later(Box::pin(serve(ticket, errand, request, demand)))
    }
}

/// The answer to a request that needs no service and that nothing holds up.
fn on_the_spot(
    ticket: &mut Ticket,
    request: &Request<Incoming>,
    demand: &Demand,
) -> Option<Response<Answer>> {
    let core = Rc::clone(&ticket.core);
    let at_once = demand.service.is_zero()
        && core.config.kind == Kind::Delay
        && core.config.memory.is_none()
        && core.config.faults.is_none()
        && core.failing.get().is_none()
        && !core.is_hung()
        && !demand.echo
        && request.body().is_end_stream()
        && core.serve_instantly();
    at_once.then(|| {
        if core.is_slow() {
            core.hit(|hits| hits.slow += 1);
        }
        ticket.arrival = Some(core.arrived());
        ticket.completed();
        success(&core, demand, |body| body)
    })
}

/// What a request was served: what stands at its target, or that the client has it; without content a body of its own.
fn success(core: &Core, demand: &Demand, hold: impl FnOnce(Answer) -> Answer) -> Response<Answer> {
    let Some((content, shown)) = core.content.as_ref().zip(demand.shown) else {
        let body = Answer::pattern(demand.id, demand.size, demand.framing);
        return respond(core, StatusCode::OK, hold(body));
    };
    let (status, body) = if shown.unchanged {
        (StatusCode::NOT_MODIFIED, Answer::empty())
    } else {
        let number = shown.number;
        let pattern = if content.is_text { Pattern::text(number) } else { Pattern::new(number) };
        (StatusCode::OK, Answer::content(pattern, demand.size, demand.framing))
    };
    let mut answer = respond(core, status, hold(body));
    content.describe(shown, answer.headers_mut());
    answer
}

async fn serve(
    mut ticket: Ticket,
    errand: Rc<Errand>,
    request: Request<Incoming>,
    demand: Demand,
) -> Outcome {
    let core = Rc::clone(&ticket.core);
    let (head, body) = request.into_parts();

    // The body.
    let echo = if demand.echo {
        Some(body)
    } else {
        let wrong = check(body, demand.id).await?;
        if let Some(offset) = wrong {
            core.awake().await;
            ticket.end(&core.counts.mismatched);
            let text = format!("the request's body is wrong from byte {offset} on\n");
            let mut answer = respond(&core, StatusCode::BAD_REQUEST, Answer::text(text));
            answer
                .headers_mut()
                .insert(HeaderName::from_static(MISMATCH_HEADER), HeaderValue::from(offset));
            return Ok(answer);
        }
        None
    };

    // What goes wrong.
    core.awake().await;
    if let Some(failing) = core.failing.get()
        && demand.fails(failing.probability)
    {
        core.hit(|hits| hits.fail += 1);
        ticket.fail(&core.counts.failed);
        return Ok(failure(&core, failing.status, Some(&demand)));
    }
    let mut work = demand.service;
    match demand.misfortune(&core.config.faults) {
        Misfortune::Nothing => {}
        Misfortune::Delay(more) => work = work.saturating_add(more),
        Misfortune::Status(status) => {
            ticket.fail(&core.counts.failed);
            return Ok(failure(&core, status, Some(&demand)));
        }
        Misfortune::Reset => {
            ticket.fail(&core.counts.failed);
            errand.reset.set(true);
            return Err(Unanswered);
        }
    }

    // Queue and service.
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let work = core.recall(target, work);
    let Ok(job) = submit(&core, &mut ticket, work) else {
        let text = "every worker is busy and the waiting room is full\n";
        return Ok(respond(&core, StatusCode::SERVICE_UNAVAILABLE, Answer::text(text)));
    };
    if core.config.kind == Kind::Session {
        return Ok(session(&core, ticket, &errand, &head, &demand, job).await);
    }
    job.done().await;

    // The answer.
    ticket.completed();
    let Some(body) = echo else {
        return Ok(success(&core, &demand, |body| body.holding(ticket)));
    };
    let mut answer = respond(&core, StatusCode::OK, Answer::echo(body).holding(ticket));
    for name in [header::CONTENT_TYPE, header::TRAILER] {
        if let Some(value) = head.headers.get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    Ok(answer)
}

fn submit(core: &Rc<Core>, ticket: &mut Ticket, work: std::time::Duration) -> Result<Job, Full> {
    ticket.arrival = Some(core.arrived());
    core.submit(work).inspect_err(|Full| ticket.fail(&core.counts.rejected))
}

async fn session(
    core: &Rc<Core>,
    mut ticket: Ticket,
    errand: &Errand,
    head: &http::request::Parts,
    demand: &Demand,
    job: Job,
) -> Response<Answer> {
    let format = core.session.format;
    let accept = match format {
        SessionFormat::Websocket => match websocket::accept(head) {
            Ok(accept) => Some(accept),
            Err(problem) => {
                ticket.end(&core.counts.bad);
                let mut answer = respond(core, StatusCode::UPGRADE_REQUIRED, Answer::text(problem));
                let websocket = HeaderValue::from_static("websocket");
                answer.headers_mut().insert(header::UPGRADE, websocket);
                return answer;
            }
        },
        SessionFormat::Chunked | SessionFormat::Sse => None,
    };
    job.started().await;
    let session = Session::new(job, demand.id);
    let fixed = HeaderValue::from_static;
    if let Some(accept) = accept {
        errand.tunnel.set(Some(Tunnel { session, ticket }));
        let mut answer = respond(core, StatusCode::SWITCHING_PROTOCOLS, Answer::empty());
        let headers = answer.headers_mut();
        headers.insert(header::CONNECTION, fixed("upgrade"));
        headers.insert(header::UPGRADE, fixed("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        return answer;
    }
    let mut answer = respond(core, StatusCode::OK, Answer::session(session).holding(ticket));
    if format == SessionFormat::Sse {
        answer.headers_mut().insert(header::CONTENT_TYPE, fixed("text/event-stream"));
        answer.headers_mut().insert(header::CACHE_CONTROL, fixed("no-store"));
    }
    answer
}

/// Answers at once unless the endpoint hangs or fails: neither queue nor service.
async fn health(core: Rc<Core>) -> Outcome {
    let nth = add(&core.counts.health_checks);
    core.awake().await;
    if let Some(failing) = core.failing.get()
        && core.seed.child("health").nth(nth).rng().chance(failing.probability)
    {
        core.hit(|hits| hits.fail += 1);
        return Ok(failure(&core, failing.status, None));
    }
    Ok(respond(&core, StatusCode::OK, Answer::text(Bytes::from_static(b"ok\n"))))
}

/// Says at once how loaded the endpoint is, unless it hangs. One that fails does not fail at this: a probe asks for its load, and the
/// health check whether it is well.
async fn tell_load(core: Rc<Core>) -> Outcome {
    core.awake().await;
    let mut answer = respond(&core, StatusCode::NO_CONTENT, Answer::empty());
    if !core.config.load_report {
        answer.headers_mut().insert(HeaderName::from_static(REPORT_HEADER), core.load_value());
    }
    Ok(answer)
}

async fn bad_request(mut ticket: Ticket, request: Request<Incoming>, problem: String) -> Outcome {
    let core = Rc::clone(&ticket.core);
    check(request.into_body(), None).await?;
    core.awake().await;
    ticket.end(&core.counts.bad);
    Ok(respond(&core, StatusCode::BAD_REQUEST, Answer::text(problem + "\n")))
}

/// Reads a body to its end. Tells where it first differs from the pattern of `id`, if it has one.
pub(crate) async fn check(mut body: Incoming, id: Option<u64>) -> Result<Option<u64>, Unanswered> {
    let pattern = id.map(Pattern::new);
    let (mut offset, mut wrong) = (0, None);
    while let Some(frame) = body.frame().await {
        // The client is gone, or its framing is broken: hyper ends the connection.
        let frame = frame.map_err(|_| Unanswered)?;
        if let Some(data) = frame.data_ref() {
            if let (Some(pattern), None) = (pattern, wrong) {
                wrong = pattern.mismatch(offset, data);
            }
            offset += data.len() as u64;
        }
    }
    Ok(wrong)
}

fn failure(core: &Core, status: StatusCode, demand: Option<&Demand>) -> Response<Answer> {
    let body = match (status, demand) {
        (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED, _) => Answer::empty(),
        // What says that it succeeded must look like it: a client checks every byte of that.
        (StatusCode::OK, Some(demand)) => Answer::pattern(demand.id, demand.size, demand.framing),
        _ => Answer::text(Bytes::from_static(b"this endpoint fails because it was told to\n")),
    };
    respond(core, status, body)
}

pub(crate) fn respond(core: &Core, status: StatusCode, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let name = HeaderName::from_static(ENDPOINT_HEADER);
    response.headers_mut().insert(name, core.name_value.clone());
    if core.config.load_report {
        response.headers_mut().insert(HeaderName::from_static(REPORT_HEADER), core.load_value());
    }
    response
}

/// A request is in flight for as long as its ticket lives, and ends in exactly one way.
pub(crate) struct Ticket {
    core: Rc<Core>,
    /// When it came to the station.
    arrival: Option<Arrival>,
    ended: bool,
}

impl Ticket {
    fn new(core: &Rc<Core>) -> Self {
        add(&core.counts.requests);
        add(&core.counts.in_flight);
        Self { core: Rc::clone(core), arrival: None, ended: false }
    }

    /// It was served.
    pub(crate) fn completed(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            add(&self.core.counts.completed);
            if let Some(arrival) = self.arrival {
                self.core.served(arrival);
            }
        }
    }

    /// It was answered so instead of being served.
    fn fail(&mut self, count: &Cell<u64>) {
        if !self.ended {
            self.core.not_served();
        }
        self.end(count);
    }

    /// It ended in this other way.
    fn end(&mut self, count: &Cell<u64>) {
        if !std::mem::replace(&mut self.ended, true) {
            add(count);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let counts = &self.core.counts;
        counts.in_flight.set(counts.in_flight.get() - 1);
        if !self.ended {
            add(&counts.cancelled);
        }
    }
}
