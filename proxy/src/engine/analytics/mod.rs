//! Analytics: each worker keeps its own ([`policy::analytics`]), and whoever asks for them gets copies.
//!
//! A copy is asked for by a letter: the admin listener sends one to every worker and puts together what comes back. So nothing is locked on a
//! request's path, nothing is copied as long as nobody asks, and what is shown is as of now. (The other way, a copy behind a mutex
//! that each worker renews every second, costs more the less one looks at it.) A worker that does not answer in time is left out, and the
//! answer says so.

use std::{rc::Rc, sync::Mutex, time::Duration};

use http1::Name;
use net::Net;
use policy::{
    Instant,
    analytics::{Analytics, Cached, Ended, Summary},
};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{admin::View, exchange::Exchange, fault::Fault, worker::Worker};

mod page;

pub(super) use page::page;

/// Letters that may wait for their worker.
const LETTERS: usize = 16;
/// How long a worker may take to answer one.
const PATIENCE: Duration = Duration::from_secs(2);

/// Somebody wants a copy; nothing comes back from a worker that keeps none.
type Letter = oneshot::Sender<Option<Analytics>>;

/// Where a worker is asked for a copy.
#[derive(Debug)]
pub(crate) struct Inbox {
    letters: mpsc::Sender<Letter>,
    /// Taken by the worker when it begins.
    slot: Mutex<Option<mpsc::Receiver<Letter>>>,
}

impl Default for Inbox {
    fn default() -> Self {
        let (letters, slot) = mpsc::channel(LETTERS);
        Self { letters, slot: Mutex::new(Some(slot)) }
    }
}

/// Answers letters for as long as the worker is there. For the first to call it of the same worker.
pub(super) async fn answer<N: Net>(worker: Rc<Worker<N>>) {
    let inbox = &worker.shared.inboxes[worker.index];
    let Ok(Some(mut letters)) = inbox.slot.lock().map(|mut slot| slot.take()) else { return };
    while let Some(letter) = letters.recv().await {
        let copy = worker.analytics.borrow().as_deref().cloned();
        // Whoever asked may have lost patience.
        let _ = letter.send(copy);
    }
}

/// What all workers know, and how many have said so; the minutes are those of `route`, or of all.
pub(super) async fn summary(view: &View, route: Option<&str>) -> (Summary, usize) {
    let asked: Vec<_> = view
        .shared
        .inboxes
        .iter()
        .filter_map(|inbox| {
            let (letter, copy) = oneshot::channel();
            inbox.letters.try_send(letter).ok().map(|()| copy)
        })
        .collect();
    let deadline = view.clock.now() + PATIENCE;
    let mut copies = Vec::with_capacity(asked.len());
    for copy in asked {
        let left = deadline.since(view.clock.now());
        if let Ok(Ok(Some(copy))) = view.clock.timeout(left, copy).await {
            copies.push(copy);
        }
    }
    (Summary::of(&copies, view.clock.now(), route), copies.len())
}

/// The same as JSON.
pub(super) fn json(summary: &Summary, workers: usize) -> Value {
    let mut value = serde_json::to_value(summary).unwrap_or_default();
    value["workers"] = workers.into();
    value
}

impl<N: Net> Exchange<'_, N> {
    /// The request has ended: into the analytics with it.
    pub(super) fn analyse(&self, status: u16, fault: Option<&Fault>, ended: Instant) {
        let Self { worker, setup, service, client, pad, .. } = self;
        let Some(analytics) = &mut *worker.analytics.borrow_mut() else { return };
        let head = &pad.request;
        let target = head.target();
        let cached = match service.stages.as_ref().and_then(|stages| stages.cache.as_ref()) {
            Some(_) if pad.passed.is_none() && pad.reason.is_none() => match (self.endpoint, fault)
            {
                (None, None) => Cached::Hit,
                _ => Cached::Miss,
            },
            _ => Cached::Apart,
        };
        analytics.note(
            ended,
            &Ended {
                route: &service.name,
                path: target.split(|byte| *byte == b'?').next().unwrap_or(target),
                client: setup.signature.client(head, &client.peer),
                user_agent: head.get(Name::UserAgent),
                referer: head.find(b"Referer"),
                status,
                received: pad.upload.bytes(),
                sent: pad.download.sent(),
                took: ended.since(self.begun),
                cached,
            },
        );
    }
}
