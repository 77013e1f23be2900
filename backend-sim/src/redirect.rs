//! The endpoint's side of redirect mode: who may come in, and telling the proxy when they are done.
//!
//! An endpoint that was given the secret takes only requests with a token of the proxy ([`policy::token`]): for itself, this method,
//! this target and this client, not expired, not used before. All others are answered 403, with the reason. Health checks and load probes
//! are the proxy's own and need none. The token is taken out of the target before anything else sees it.
//!
//! Who was let in is a *visit*. When it is over (the answer was handed to the connection, the client left, the connection was broken
//! off) its end goes into a batch for the proxy that sent it: its address is in the token, signed. There is a lane for each proxy: one
//! connection, one batch at a time, and what ends meanwhile waits for the next. Everything is bounded, and a report that cannot be delivered
//! is lost: the proxy lets the session expire. A process that dies reports nothing, and one that hangs nothing until it goes on.
//!
//! Which tokens were used is known to this process only: one that was used just before a restart is good once more until it expires.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    fmt,
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
    service::Service,
};
use net::{Net, hyper_io};
use policy::{
    Instant,
    token::{
        Asked, Gatekeeper, Key, Refusal, TooShort,
        report::{self, End, Report},
        split,
    },
};
use tokio::{
    sync::Notify,
    task::{JoinHandle, spawn_local},
};

use crate::{
    answer::{Answering, Errand, Server, Unanswered, check, respond},
    body::Answer,
    core::{Core, add},
};

/// Tokens that are remembered at a time.
const REMEMBERED: usize = 1 << 20;
/// Reports that may wait for one proxy.
const WAITING: usize = 1 << 16;
/// Proxies that are reported to.
const LANES: usize = 64;
/// How long delivering a batch may take.
const DELIVERY: Duration = Duration::from_secs(5);
/// After a batch that could not be delivered.
const PAUSE: Duration = Duration::from_millis(100);

/// What an endpoint checks tokens with.
#[derive(Clone, PartialEq, Eq)]
pub struct Admission {
    secret: String,
}

impl Admission {
    /// By the secret that the proxies have too.
    ///
    /// # Errors
    /// When it is too short.
    pub fn by(secret: &str) -> Result<Self, TooShort> {
        Key::new(secret.as_bytes()).map(|_| Self { secret: secret.to_owned() })
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admission(…)")
    }
}

/// An endpoint's door, where tokens are checked.
pub(crate) struct Door {
    address: SocketAddr,
    key: Key,
    gatekeeper: RefCell<Gatekeeper>,
    /// The life that the gatekeeper is of.
    life: Cell<u64>,
    lanes: RefCell<BTreeMap<SocketAddr, Rc<Lane>>>,
    open_lane: Box<OpenLane>,
}

/// Starts to deliver what waits in a lane.
type OpenLane = dyn Fn(Rc<Core>, Rc<Lane>) -> JoinHandle<()>;

/// The way to one proxy.
pub(crate) struct Lane {
    to: SocketAddr,
    waiting: RefCell<VecDeque<(u64, Report)>>,
    rung: Notify,
    task: Cell<Option<JoinHandle<()>>>,
}

impl Door {
    /// The door of the endpoint at `address`.
    pub(crate) fn new<N: Net>(admission: &Admission, address: SocketAddr, net: N) -> Option<Self> {
        let key = Key::new(admission.secret.as_bytes()).ok()?;
        Some(Self {
            address,
            gatekeeper: RefCell::new(Gatekeeper::new(key.clone(), REMEMBERED)),
            key,
            life: Cell::new(0),
            lanes: RefCell::default(),
            open_lane: Box::new(move |core, lane| spawn_local(deliver(net.clone(), core, lane))),
        })
    }

    /// Nothing is reported any more.
    pub(crate) fn close(&self) {
        for lane in self.lanes.borrow().values() {
            if let Some(task) = lane.task.take() {
                task.abort();
            }
        }
    }

    fn admit(
        &self,
        core: &Rc<Core>,
        request: &mut Request<Incoming>,
        client: IpAddr,
    ) -> Result<Box<Visit>, Refusal> {
        let (life, _) = core.gate.state();
        if self.life.replace(life) != life {
            self.gatekeeper.borrow_mut().forget();
        }
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let (rest, token) = split(target.as_bytes());
        let asked = Asked {
            endpoint: self.address,
            method: request.method().as_str().as_bytes(),
            target: rest,
            client,
        };
        let grant = self.gatekeeper.borrow_mut().admit(token, &asked, core.clock.wall())?;
        // What hyper could parse it can parse without its end.
        let rest = Uri::try_from(rest).unwrap_or_default();
        *request.uri_mut() = rest;
        Ok(Box::new(Visit {
            core: Rc::clone(core),
            life,
            nonce: grant.nonce,
            to: grant.reports,
            since: core.clock.now(),
            end: End::Cancelled,
        }))
    }

    fn report(&self, visit: &Visit) {
        let core = &visit.core;
        let took = core.clock.now().since(visit.since);
        let report = Report { nonce: visit.nonce, end: visit.end, took };
        let mut lanes = self.lanes.borrow_mut();
        if !lanes.contains_key(&visit.to) {
            if lanes.len() >= LANES {
                add(&core.counts.unreported);
                return;
            }
            let lane = Rc::new(Lane {
                to: visit.to,
                waiting: RefCell::default(),
                rung: Notify::new(),
                task: Cell::new(None),
            });
            lane.task.set(Some((self.open_lane)(Rc::clone(core), Rc::clone(&lane))));
            lanes.insert(visit.to, lane);
        }
        let lane = &lanes[&visit.to];
        let mut waiting = lane.waiting.borrow_mut();
        if waiting.len() >= WAITING {
            add(&core.counts.unreported);
            return;
        }
        waiting.push_back((visit.life, report));
        lane.rung.notify_one();
    }
}

/// Somebody who was let in.
pub(crate) struct Visit {
    core: Rc<Core>,
    /// The life of the endpoint that it began in.
    life: u64,
    nonce: u64,
    to: SocketAddr,
    since: Instant,
    end: End,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let core = Rc::clone(&self.core);
        if let Some(door) = &core.door
            && core.gate.state().0 == self.life
        {
            door.report(self);
        }
    }
}

/// The service of one connection, behind the door.
pub(crate) struct Doorkeeper {
    core: Rc<Core>,
    errand: Rc<Errand>,
    server: Server,
    client: IpAddr,
}

impl Doorkeeper {
    /// For a connection from `client`.
    pub(crate) fn new(core: &Rc<Core>, errand: &Rc<Errand>, client: IpAddr) -> Self {
        let server = Server::new(Rc::clone(core), Rc::clone(errand));
        Self { core: Rc::clone(core), errand: Rc::clone(errand), server, client }
    }
}

impl Service<Request<Incoming>> for Doorkeeper {
    type Response = Response<Answer>;
    type Error = Unanswered;
    type Future = Visiting;

    fn call(&self, mut request: Request<Incoming>) -> Visiting {
        let core = &self.core;
        let Some(door) = &core.door else {
            return Visiting { answering: self.server.call(request), visit: None };
        };
        let visit = match door.admit(core, &mut request, self.client) {
            Ok(visit) => Some((visit, Rc::clone(&self.errand))),
            Err(Refusal::Missing) if core.is_own_path(request.uri().path()) => None,
            Err(refusal) => {
                let refused = forbid(Rc::clone(core), request, refusal);
                return Visiting { answering: Answering::Later(Box::pin(refused)), visit: None };
            }
        };
        Visiting { answering: self.server.call(request), visit }
    }
}

/// An answer on its way, and the visit that it is for.
pub(crate) struct Visiting {
    answering: Answering,
    visit: Option<(Box<Visit>, Rc<Errand>)>,
}

impl Future for Visiting {
    type Output = Result<Response<Answer>, Unanswered>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = std::task::ready!(Pin::new(&mut self.answering).poll(cx));
        let Some((mut visit, errand)) = self.visit.take() else { return Poll::Ready(answer) };
        Poll::Ready(match answer {
            Ok(answer) => {
                visit.end = End::Answered(answer.status().as_u16());
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                    // It lasts as long as what comes then.
                    errand.visit.set(Some(visit));
                    Ok(answer)
                } else {
                    Ok(answer.map(|body| body.for_visit(visit)))
                }
            }
            Err(unanswered) => {
                visit.end = End::Broken;
                Err(unanswered)
            }
        })
    }
}

/// The answer to somebody who is not let in. The body is read first, so that it reaches them.
async fn forbid(
    core: Rc<Core>,
    request: Request<Incoming>,
    refusal: Refusal,
) -> Result<Response<Answer>, Unanswered> {
    add(&core.counts.forbidden);
    check(request.into_body(), None).await?;
    core.awake().await;
    let mut answer = respond(&core, StatusCode::FORBIDDEN, Answer::text(format!("{refusal}\n")));
    answer.headers_mut().insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Delivers the reports of one lane, for ever.
async fn deliver<N: Net>(net: N, core: Rc<Core>, lane: Rc<Lane>) {
    let Some(door) = &core.door else { return };
    let clock = core.clock;
    let mut connection = None;
    let mut life = core.gate.state().0;
    loop {
        while lane.waiting.borrow().is_empty() {
            lane.rung.notified().await;
        }
        core.going_on().await;
        if std::mem::replace(&mut life, core.gate.state().0) != life {
            // The process that had it is dead.
            connection = None;
        }
        let batch: Vec<Report> = {
            let mut waiting = lane.waiting.borrow_mut();
            let count = waiting.len().min(report::BATCH);
            let batch = waiting.drain(..count).filter(|(of, _)| *of == life);
            batch.map(|(_, report)| report).collect()
        };
        if batch.is_empty() {
            continue;
        }
        // Of each answer's load report the proxy has seen nothing.
        let load = core.config.load_report.then(|| core.load_report());
        let body = Bytes::from(report::write(&batch, load.as_ref()));
        let code = door.key.sign_report(&body);
        let sent = clock.timeout(DELIVERY, send(&net, lane.to, &mut connection, &body, &code));
        if sent.await != Ok(Some(())) {
            connection = None;
            let counts = &core.counts.unreported;
            counts.set(counts.get() + batch.len() as u64);
            clock.sleep(PAUSE).await;
        }
    }
}

/// A connection to a proxy; it ends when this goes.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Sends one batch: over the connection that is there, and if that has gone stale over a new one.
async fn send<N: Net>(
    net: &N,
    to: SocketAddr,
    connection: &mut Option<Connection>,
    body: &Bytes,
    code: &str,
) -> Option<()> {
    loop {
        let kept = connection.take().filter(|kept| !kept.sender.is_closed());
        let is_fresh = kept.is_none();
        let mut open = if let Some(kept) = kept {
            kept
        } else {
            let stream = net.connect(to).await.ok()?;
            let (sender, driver) = handshake(hyper_io(stream)).await.ok()?;
            let driver = spawn_local(async {
                // Its error is also that of the batch that was on it.
                let _ = driver.await;
            });
            Connection { sender, driver }
        };
        let request = Request::post(report::PATH)
            .header(header::HOST, to.to_string())
            .header(report::CODE_HEADER, code)
            .body(Full::new(body.clone()))
            .ok()?;
        let answered = match open.sender.ready().await {
            Ok(()) => open.sender.send_request(request).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(answer) => {
                let status = answer.status();
                answer.into_body().collect().await.ok()?;
                *connection = Some(open);
                return (status == StatusCode::NO_CONTENT).then_some(());
            }
            // What is reported twice does no harm.
            Err(_) if !is_fresh => {}
            Err(_) => return None,
        }
    }
}
