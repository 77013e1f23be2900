//! What is stale is fetched anew in the background, while clients still get it (RFC 5861, section 3).
//!
//! Whoever finds such a response takes the lead of a flight for its key, so that at most one goes for it, and over all keys
//! there is a bound. What comes back is judged as any other answer: 304 freshens what is stored, another answer takes its
//! place or makes it useless, an error leaves it as it is.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http1::RequestHead;
use net::Net;
use policy::cache::{Failure, Freshened, Intake, Merged, Meta, Received, Rules, Wanted};
use tokio::task::spawn_local;

use super::{
    super::{
        heads::{RequestFields, ResponseFields},
        upstream::Upstream,
        worker::{Setup, Worker},
    },
    fetch::{Answer, Errand, fetch},
    flights::Lead,
    object::Object,
    record::Spot,
    settle::{Outlook, conclude, draft, is_of_use, renewed},
    shards::RefreshPlace,
};

/// What is to be fetched anew.
pub(super) struct Refresh {
    pub(super) lead: Lead,
    /// Held until it has ended.
    pub(super) place: RefreshPlace,
    pub(super) rules: Arc<Rules>,
    pub(super) spot: Spot,
    pub(super) meta: Arc<Meta>,
    pub(super) object: Arc<Object>,
    pub(super) request: RequestHead,
    pub(super) client: SocketAddr,
    pub(super) wanted: Wanted,
}

impl Refresh {
    /// Begins, on a task of its own.
    pub(super) fn start<N: Net>(
        self: Box<Self>,
        worker: &Rc<Worker<N>>,
        setup: &Rc<Setup<N::Stream>>,
        upstream: &Rc<Upstream<N::Stream>>,
    ) {
        worker.stats.cache.refreshes.add(1);
        let (worker, setup) = (Rc::clone(worker), Rc::clone(setup));
        let upstream = Rc::clone(upstream);
        spawn_local(async move { self.run(&worker, &setup, &upstream).await });
    }

    async fn run<N: Net>(
        self: Box<Self>,
        worker: &Rc<Worker<N>>,
        setup: &Rc<Setup<N::Stream>>,
        upstream: &Rc<Upstream<N::Stream>>,
    ) {
        let now = worker.clock.now();
        let edits = self.rules.validation(&self.wanted, &self.meta, now).conditions;
        let errand = Errand {
            request: &self.request,
            client: self.client,
            edits: &edits,
            most: self.rules.largest() as usize,
        };
        let answer = fetch(worker, setup, upstream, &errand).await;
        let now = worker.clock.now();
        let Self { lead, place: _place, rules, spot, meta, object, request, client, wanted } =
            *self;
        let Some(Answer { head, body, sent, at }) = answer else { return lead.fail(now) };
        let wall = worker.clock.wall().duration_since(SystemTime::UNIX_EPOCH);
        let received = Received { sent, at, wall: wall.map_or(0, |since| since.as_secs()) };
        let peer = setup.signature.peer(client);
        let fields = RequestFields(&request);
        let asked = fields.asked(&setup.signature, &peer);
        let answered = ResponseFields(&head);
        if head.status() == 304 {
            let merged = Merged::new(&*object, &answered.answered());
            match rules.freshen(&asked, &wanted, &meta, &merged, received) {
                Freshened::Updated(taken) => {
                    let useful = is_of_use(&taken.meta);
                    spot.store(renewed(&object, &merged, &taken), taken.meta);
                    conclude(Some(lead), now, if useful { Outlook::Stored } else { Outlook::Lone });
                }
                Freshened::Forget(_) => {
                    spot.forget(&object);
                    lead.release(now);
                }
                Freshened::Other => lead.fail(now),
            }
            return;
        }
        if Failure::Status(head.status()).counts() {
            return lead.fail(now);
        }
        match (rules.take_in(&asked, &wanted, &answered.answered(), received), body) {
            (Intake::Store(taken), Some(body)) => {
                let useful = is_of_use(&taken.meta);
                let hides_load = upstream.hides_load();
                let draft = worker.with_date(|date| draft(&head, &taken, hides_load, date));
                let own = setup.signature.via(head.version());
                let body = Bytes::from(body.into_boxed_slice());
                spot.store(draft.finish(own, body), taken.meta);
                worker.stats.cache.stored.add(1);
                conclude(Some(lead), now, if useful { Outlook::Stored } else { Outlook::Lone });
            }
            // There is another by now, which cannot be stored: what is stored is no longer true.
            (Intake::Leave(why), _) if why.lasting() => {
                spot.forget(&object);
                lead.release(now);
            }
            _ => lead.fail(now),
        }
    }
}
