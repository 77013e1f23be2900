//! Sessions that redirected clients have at endpoints: who is busy, although the proxy carries nothing.
//!
//! A session is a place at an endpoint ([`Lease`]) that is kept from the redirect until the endpoint reports the end, or until it
//! expires: a report may be lost, a client may never follow, an endpoint may die. The table is bounded in number by the configuration,
//! and in time by the expiry, which the clock drives. What expires says nothing of its endpoint but how long it has not answered: a client
//! that does not follow must not be able to have an endpoint ejected.
//!
//! Each worker has the sessions that it has opened, because what a report says is for its balancer. Reports come to whichever worker
//! accepts their connection; a session's number says whose it is, and the others' are handed over by a bounded channel. If that is full
//! a report is dropped, and its session expires. What a batch says of its endpoint's load the balancer hears with each session that was
//! answered, as it would with the answer.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    pin::pin,
    rc::Rc,
    sync::Mutex,
    task::Poll,
    time::Duration,
};

use http1::Method;
use net::Net;
use policy::{
    Instant, LoadReport,
    endpoint::Outcome,
    token::report::{self, Batch, End, Report},
};
use tokio::sync::{Notify, mpsc};

use super::{
    connection::Client,
    exchange::{After, Exchange},
    forward::Persistence,
    redirect::Redirector,
    relay::Broken,
    upstream::Lease,
    worker::{Pad, Setup, Worker},
};

/// Reports that may wait for their worker.
const POST: usize = 4096;
/// So few deadlines of sessions that are over are never cleared out.
const FEW: usize = 1024;
/// How long a report may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

/// A report, and how loaded its endpoint was then.
type Letter = (Report, Option<LoadReport>);

/// Where a worker gets the reports that others have accepted.
#[derive(Debug)]
pub(crate) struct Post {
    letters: mpsc::Sender<Letter>,
    /// Taken by the worker when it begins.
    slot: Mutex<Option<mpsc::Receiver<Letter>>>,
}

impl Default for Post {
    fn default() -> Self {
        let (letters, slot) = mpsc::channel(POST);
        Self { letters, slot: Mutex::new(Some(slot)) }
    }
}

/// The sessions of one worker.
pub(crate) struct Sessions<S> {
    open: RefCell<BTreeMap<u64, Lease<S>>>,
    /// When each expires, nearly in order: a reload may have changed for how long they last.
    due: RefCell<VecDeque<(Instant, u64)>>,
    /// Rung when there is something due where there was nothing.
    first: Notify,
}

impl<S> Default for Sessions<S> {
    fn default() -> Self {
        Self { open: RefCell::default(), due: RefCell::default(), first: Notify::new() }
    }
}

impl<S> Sessions<S> {
    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.open.borrow().len()
    }

    /// The first number drawn that no open session has.
    pub(super) fn new_number(&self, mut draw: impl FnMut() -> u64) -> u64 {
        let open = self.open.borrow();
        loop {
            let number = draw();
            if !open.contains_key(&number) {
                return number;
            }
        }
    }

    /// Opens one that expires at `due`.
    pub(super) fn open(&self, number: u64, lease: Lease<S>, expires: Instant) {
        let mut open = self.open.borrow_mut();
        open.insert(number, lease);
        let mut due = self.due.borrow_mut();
        if due.is_empty() {
            self.first.notify_one();
        }
        if due.len() >= 2 * open.len() + FEW {
            due.retain(|(_, number)| open.contains_key(number));
        }
        due.push_back((expires, number));
    }

    /// Ends one that nobody has reported, if it is open.
    pub(super) fn cancel(&self, number: u64, now: Instant) {
        if let Some(lease) = self.open.borrow_mut().remove(&number) {
            lease.finish_after(Outcome::Cancelled, now, None);
        }
    }

    /// Ends one as its endpoint has reported it, if it is open.
    fn settle(&self, (report, load): &Letter, now: Instant) {
        let Some(lease) = self.open.borrow_mut().remove(&report.nonce) else { return };
        if let (Some(load), End::Answered(_)) = (load, report.end) {
            lease.hear(now, load);
        }
        let outcome = match report.end {
            End::Answered(status) if lease.counts_as_failure(status) => Outcome::Failure,
            End::Answered(_) => Outcome::Success,
            End::Broken => Outcome::Failure,
            End::Cancelled => Outcome::Cancelled,
        };
        lease.finish_after(outcome, now, Some(report.took));
    }

    /// Ends those whose time has come; when the next one's comes.
    fn expire(&self, now: Instant) -> Instant {
        loop {
            let Some((expires, number)) = self.due.borrow().front().copied() else {
                return Instant::NEVER;
            };
            let is_open = self.open.borrow().contains_key(&number);
            if is_open && expires > now {
                return expires;
            }
            self.due.borrow_mut().pop_front();
            self.cancel(number, now);
        }
    }

    /// Ends all of them: the worker is about to end, and nobody would hear of theirs.
    pub(super) fn forget(&self, now: Instant) {
        for (_, number) in self.due.take() {
            self.cancel(number, now);
        }
    }
}

/// Lets sessions expire, and takes the reports that other workers have accepted. For the first to call it of the same worker.
pub(super) async fn keep<N: Net>(worker: Rc<Worker<N>>, index: usize) {
    let post = worker.shared.post[index].slot.lock().map(|mut slot| slot.take());
    let Ok(Some(mut post)) = post else { return };
    loop {
        let due = worker.sessions.expire(worker.clock.now());
        let mut first = pin!(worker.sessions.first.notified());
        let mut time = pin!(worker.clock.sleep_until(due));
        poll_fn(|cx| {
            while let Poll::Ready(Some(letter)) = post.poll_recv(cx) {
                worker.sessions.settle(&letter, worker.clock.now());
            }
            if first.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // Where nothing is due no time is waited for.
            if due == Instant::NEVER { Poll::Pending } else { time.as_mut().poll(cx) }
        })
        .await;
    }
}

/// Takes a batch of reports.
pub(super) async fn take_reports<N: Net>(
    worker: &Rc<Worker<N>>,
    setup: &Rc<Setup<N::Stream>>,
    redirector: &Redirector,
    client: &mut Client<N>,
    pad: &mut Pad,
) -> After {
    let mut body = Vec::new();
    let status = if pad.request.method() == Method::Post {
        match read(worker, client, pad, &mut body).await {
            Some(status) => status,
            None => return After::Close,
        }
    } else {
        405
    };
    let code = pad.request.find(report::CODE_HEADER.as_bytes()).unwrap_or_default();
    let status = match status {
        200 if !redirector.key.is_report(&body, code) => 403,
        200 => match report::read(&body) {
            None => 400,
            Some(Batch { reports, load }) => {
                for report in reports {
                    match Redirector::worker_of(report.nonce) {
                        own if own == worker.index => {
                            worker.sessions.settle(&(report, load), worker.clock.now());
                        }
                        other => {
                            let post = worker.shared.post.get(other);
                            // Full, or from before a restart: that session expires.
                            let _ = post.map(|post| post.letters.try_send((report, load)));
                        }
                    }
                }
                204
            }
        },
        other => other,
    };
    let keep = pad.upload.is_received() && pad.request.keep_alive() && !worker.draining.get();
    let persistence = Persistence::of(pad.request.version(), keep);
    let mut exchange = Exchange::new(worker, setup, setup.services.own(), client, pad);
    let out = exchange.client.channel.out();
    http1::encode::status_line(out, status);
    if status != 204 {
        http1::encode::content_length(out, 0);
    }
    persistence.write(out);
    http1::encode::end(out);
    match (exchange.send_answer().await, keep) {
        (Err(_), _) => After::Reset,
        (Ok(()), true) => After::KeepAlive,
        (Ok(()), false) => After::Linger,
    }
}

/// Reads the body: 200, or why not; nothing when the client has gone.
async fn read<N: Net>(
    worker: &Worker<N>,
    client: &mut Client<N>,
    pad: &mut Pad,
    body: &mut Vec<u8>,
) -> Option<u16> {
    let deadline = worker.clock.now() + ARRIVAL;
    poll_fn(|cx| {
        let scratch = &mut *worker.scratch.borrow_mut();
        let most = report::MAX_BODY as u64;
        let keep = |bytes: &[u8]| body.extend_from_slice(bytes);
        match pad.upload.poll_gather(cx, &mut client.channel, scratch, most, keep) {
            Poll::Ready(Ok(true)) => Poll::Ready(Some(200)),
            Poll::Ready(Ok(false)) => Poll::Ready(Some(413)),
            Poll::Ready(Err(Broken::Framing(_))) => Poll::Ready(Some(400)),
            Poll::Ready(Err(_)) => Poll::Ready(None),
            Poll::Pending => client.timer.poll_at(cx, deadline).map(|()| Some(408)),
        }
    })
    .await
}
