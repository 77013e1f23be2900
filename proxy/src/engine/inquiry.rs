//! Load probes: the effect to what a strategy such as `prequal` asks for.
//!
//! A strategy names endpoints whose load it would like to know ([`policy::Balancer::next_probe`]). Each is asked with a small GET over a connection
//! of the worker's own, which is kept and which no request uses, by a task that is started when the endpoint is first asked and ends
//! with the configuration or the worker. What it says, or that it says nothing in time, goes to the same worker's balancer.
//!
//! Nobody waits for an answer, and nothing piles up: an endpoint that is being asked is not asked again meanwhile, and at
//! most [`PROBES_AT_ONCE`] are. What is wanted beyond that is not asked at all: a later request will want it again.
//!
//! An answer counts whatever its status is, if it has a load report (`endpoint-load-metrics`). It should have no content: one that
//! has costs its connection.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http1::{Framing, Method, ResponseHead, encode};
use net::Net;
use policy::{Instant, LoadReport, report::REPORT_HEADER};
use tokio::task::JoinSet;

use super::{channel::Channel, probe, upstream::Upstream, worker::Worker};

/// So many endpoints are asked at a time, by each worker.
pub const PROBES_AT_ONCE: u32 = 256;

/// Who is to be asked, and how.
#[derive(Debug)]
pub(crate) struct Probing {
    path: String,
    timeout: Duration,
    seats: Vec<Seat>,
    under_way: Cell<u32>,
    /// Those that have no task yet, and who starts it.
    vacant: RefCell<Vec<u32>>,
    starter: RefCell<Option<Waker>>,
}

/// An endpoint, as the one who asks it sees it.
#[derive(Debug, Default)]
struct Seat {
    state: Cell<State>,
    asker: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nobody is there to ask it.
    #[default]
    Vacant,
    /// It is not asked.
    Idle,
    /// It is to be asked.
    Wanted,
    /// It is being asked.
    Asked,
}

impl Probing {
    pub(crate) fn new(endpoints: usize, path: &str, timeout: Duration) -> Self {
        Self {
            path: path.to_owned(),
            timeout,
            seats: (0..endpoints).map(|_| Seat::default()).collect(),
            under_way: Cell::new(0),
            vacant: RefCell::default(),
            starter: RefCell::default(),
        }
    }

    /// The endpoint is to be asked, unless it is already or too many are.
    pub(crate) fn want(&self, index: u32) {
        let Some(seat) = self.seats.get(index as usize) else { return };
        let before = seat.state.get();
        let asked = matches!(before, State::Wanted | State::Asked);
        if asked || self.under_way.get() >= PROBES_AT_ONCE {
            return;
        }
        self.under_way.set(self.under_way.get() + 1);
        seat.state.set(State::Wanted);
        let whom = if before == State::Vacant {
            self.vacant.borrow_mut().push(index);
            &self.starter
        } else {
            &seat.asker
        };
        if let Some(waker) = whom.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Ready with the next endpoint that needs somebody to ask it.
    fn poll_vacant(&self, cx: &Context<'_>) -> Poll<u32> {
        let mut vacant = self.vacant.borrow_mut();
        if vacant.is_empty() {
            *self.starter.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // In the order in which they were wanted.
        Poll::Ready(vacant.remove(0))
    }

    /// Ready when the endpoint is to be asked, which it then is.
    fn poll_wanted(&self, index: u32, cx: &Context<'_>) -> Poll<()> {
        let seat = &self.seats[index as usize];
        if seat.state.get() == State::Wanted {
            seat.state.set(State::Asked);
            return Poll::Ready(());
        }
        *seat.asker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    fn ended(&self, index: u32) {
        self.seats[index as usize].state.set(State::Idle);
        self.under_way.set(self.under_way.get() - 1);
    }
}

/// Asks whom the balancer of `upstream` wants to be asked, until it is aborted.
pub(crate) async fn run<N: Net>(worker: Rc<Worker<N>>, upstream: Rc<Upstream<N::Stream>>) {
    let Some(probing) = &upstream.probing else { return };
    let mut askers = JoinSet::new();
    loop {
        let index = poll_fn(|cx| probing.poll_vacant(cx)).await;
        askers.spawn_local(watch(Rc::clone(&worker), Rc::clone(&upstream), index));
    }
}

/// A connection between two probes, and since when it is.
type Kept<S> = Option<(Channel<S>, Instant)>;

/// Asks one endpoint, each time it is wanted.
async fn watch<N: Net>(worker: Rc<Worker<N>>, upstream: Rc<Upstream<N::Stream>>, index: u32) {
    let Some(probing) = &upstream.probing else { return };
    let mut kept = None;
    let mut head = ResponseHead::new();
    loop {
        poll_fn(|cx| probing.poll_wanted(index, cx)).await;
        let asking = ask(&worker, &upstream, probing, index, &mut kept, &mut head);
        let answer = worker.clock.timeout(probing.timeout, asking).await.ok().flatten();
        probing.ended(index);
        upstream.probed(index, worker.clock.now(), answer.as_ref());
    }
}

/// What the endpoint says. The connection is kept if another probe can use it.
async fn ask<N: Net>(
    worker: &Worker<N>,
    upstream: &Upstream<N::Stream>,
    probing: &Probing,
    index: u32,
    kept: &mut Kept<N::Stream>,
    head: &mut ResponseHead,
) -> Option<LoadReport> {
    let site = &upstream.shared.sites[index as usize];
    let now = worker.clock.now();
    let fresh =
        |(_, since): &(_, Instant)| now.since(*since) < upstream.config.timeouts.upstream_idle.0;
    let reused = match kept.take().filter(fresh) {
        Some((channel, _)) => still_open(worker, channel).await,
        None => None,
    };
    let mut channel = match reused {
        Some(channel) => channel,
        None => Channel::new(worker.net.connect(site.address).await.ok()?),
    };
    let out = channel.out();
    encode::request_line(out, b"GET", probing.path.as_bytes());
    encode::field(out, b"Host", site.authority.as_bytes());
    encode::field(out, b"User-Agent", b"windtunnel-probe");
    encode::end(out);
    head.clear();
    probe::receive(worker, &mut channel, head).await.ok()?;
    let report = head.find(REPORT_HEADER.as_bytes()).and_then(LoadReport::parse);
    let over = matches!(head.framing(Method::Get), Framing::Empty | Framing::Length(0));
    if over && head.keep_alive() && channel.is_clean() {
        *kept = Some((channel, worker.clock.now()));
    }
    report
}

/// The channel, unless its endpoint has closed it or has sent what nobody asked for.
async fn still_open<N: Net>(
    worker: &Worker<N>,
    mut channel: Channel<N::Stream>,
) -> Option<Channel<N::Stream>> {
    poll_fn(|cx| {
        let scratch = &mut *worker.scratch.borrow_mut();
        Poll::Ready(channel.poll_read(cx, scratch).is_pending())
    })
    .await
    .then_some(channel)
}
