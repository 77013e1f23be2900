//! The way out: an endpoint has answered a request that had looked into the cache.
//!
//! What the answer means is decided in [`policy::cache`]. It may say that what is stored is true still (304): then that is freshened and given.
//! It may be an error for which what is stored may stand in. It may be one to store: then a recorder looks on while it goes to its
//! client. Whoever waits for this request hears as early as possible whether there will be something for others: at the head.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http1::{Framing, ResponseHead};
use net::Net;
use policy::{
    Instant,
    cache::{
        CacheStatus, Failure, Freshened, HeadEffect, Hit, Intake, Merged, Meta, Mode, Received,
        Stored, Taken, Wanted, request::Method,
    },
    message::Fields,
    report::REPORT_HEADER,
};

use super::{
    super::{
        exchange::{Exchange, Reached},
        fault::{Fault, Side},
        heads::{RequestFields, ResponseFields},
    },
    Cache, Recorder,
    consult::{Known, Pending},
    fill::{Fill, Source},
    flights::Lead,
    object::{Draft, Object},
    record::Room,
    second,
    serve::{Serving, Way},
};

/// What becomes of an endpoint's answer.
pub(crate) enum Settled<S> {
    /// The client gets it.
    Deliver(Reached<S>),
    /// The client gets this instead.
    Serve(Serving),
    /// It says nothing that anybody can use: ask again, without our conditions.
    Again,
}

/// The same, by the head alone.
enum Verdict {
    Deliver,
    Serve(Serving),
    Again,
}

impl<N: Net> Exchange<'_, N> {
    /// The endpoints were asked: what that means for what is stored, and what the client gets.
    pub(crate) fn settle(
        &mut self,
        cache: &Cache,
        reached: Result<Reached<N::Stream>, Fault>,
    ) -> Result<Settled<N::Stream>, Fault> {
        let (connection, lease) = match reached {
            Ok(reached) => reached,
            Err(fault) => {
                return self.settle_without(cache, &fault).map(Settled::Serve).ok_or(fault);
            }
        };
        let settled = match self.judge(cache) {
            Verdict::Deliver => return Ok(Settled::Deliver((connection, lease))),
            Verdict::Serve(stored) => Settled::Serve(stored),
            Verdict::Again => Settled::Again,
        };
        let now = self.worker.clock.now();
        lease.finish(self.outcome_of_answer(), now);
        // Nobody reads a body that nobody gets: where there is one its connection ends with it.
        let framing = self.pad.response.framing(self.pad.request.method());
        if framing.is_empty() && self.is_reusable(&connection) {
            self.service.upstream.pool.give(connection, now, &self.worker.buffers);
        }
        Ok(settled)
    }

    /// The head of the response is in the pad.
    fn judge(&mut self, cache: &Cache) -> Verdict {
        if self.pad.response.status() == 101 {
            return Verdict::Deliver;
        }
        let Some(pending) = self.pad.cache.take() else {
            if let Some(why) = self.pad.passed {
                self.invalidate(cache);
                self.say(CacheStatus { forwarded: Some(why), ..CacheStatus::default() });
            }
            return Verdict::Deliver;
        };
        let mut pending = *pending;
        let status = self.pad.response.status();
        if let Some(known) = pending.known.take() {
            let now = self.worker.clock.now();
            if status == 304 && known.conditional {
                return self.freshen(cache, pending, known);
            }
            let failure = Failure::Status(status);
            let may = cache.rules.after_error(&pending.wanted, &known.stored, 0, now, failure);
            if let Some(hit) = may {
                return Verdict::Serve(self.stand_in(cache, pending, known, hit, Some(status)));
            }
        }
        self.take_in(cache, pending);
        Verdict::Deliver
    }

    /// No endpoint has answered: what is stored, if it may stand in.
    fn settle_without(&mut self, cache: &Cache, fault: &Fault) -> Option<Serving> {
        let mut pending = *self.pad.cache.take()?;
        let now = self.worker.clock.now();
        // Not where the client is to blame, or has gone.
        let known = pending.known.take().filter(|_| fault.side() != Side::Downstream);
        let stands_in = known.and_then(|known| {
            let failure = Failure::Unreachable;
            let hit = cache.rules.after_error(&pending.wanted, &known.stored, 0, now, failure)?;
            Some((known, hit))
        });
        let Some((known, hit)) = stands_in else {
            self.worker.stats.cache.misses.add(1);
            return None;
        };
        Some(self.stand_in(cache, pending, known, hit, None))
    }

    /// What is stored stands in for an error.
    fn stand_in(
        &mut self,
        cache: &Cache,
        pending: Pending,
        known: Known,
        hit: Hit,
        status: Option<u16>,
    ) -> Serving {
        let now = self.worker.clock.now();
        // The next one may find the endpoints better: it leads.
        if let Some(lead) = pending.lead {
            lead.fail(now);
        }
        self.worker.stats.cache.stale.add(1);
        let Stored { meta, value, .. } = known.stored;
        let way = Way { forwarded: Some(pending.forwarded), status, collapsed: pending.collapsed };
        self.serving(cache, &pending.wanted, value, &meta, hit, way)
    }

    /// What the client gets of a stored response.
    fn serving(
        &self,
        cache: &Cache,
        wanted: &Wanted,
        object: Arc<Object>,
        meta: &Meta,
        hit: Hit,
        way: Way,
    ) -> Serving {
        let fields = RequestFields(&self.pad.request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        let cut = cache.rules.shape(&asked, wanted, meta, object.body().len() as u64);
        Serving { object, part: meta.part, cut, age: hit.age, ttl: hit.ttl, way }
    }

    /// When the answer came.
    fn received(&self, pending: &Pending) -> Received {
        let wall = self.worker.clock.wall().duration_since(SystemTime::UNIX_EPOCH);
        Received {
            sent: pending.asked,
            at: self.worker.clock.now(),
            wall: wall.map_or(0, |since| since.as_secs()),
        }
    }

    /// What is stored is true still.
    fn freshen(&mut self, cache: &Cache, pending: Pending, known: Known) -> Verdict {
        let received = self.received(&pending);
        let Stored { meta, value: object, .. } = known.stored;
        let fields = RequestFields(&self.pad.request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        let new = ResponseFields(&self.pad.response);
        let merged = Merged::new(&*object, &new.answered());
        let Pending { wanted, spot, lead, .. } = pending;
        let freshened = cache.rules.freshen(&asked, &wanted, &meta, &merged, received);
        let (object, meta) = match freshened {
            Freshened::Other => {
                // What is stored is no longer there, and our conditions go; whoever waits goes on waiting for what comes then.
                spot.forget(&object);
                for name in ["If-None-Match", "If-Modified-Since"] {
                    self.pad.onward.remove(name);
                }
                self.pad.cache =
                    Some(Box::new(Pending { wanted, spot, lead, known: None, ..pending }));
                return Verdict::Again;
            }
            Freshened::Updated(taken) => {
                let object = Arc::new(renewed(&object, &merged, &taken));
                let Taken { meta, .. } = *taken;
                if let Some(second) = &spot.second {
                    second.keep(&spot.key, &object, &meta);
                }
                let meta = Arc::new(meta);
                let stored = Stored::new(Arc::clone(&meta), Arc::clone(&object), object.size());
                spot.shards.put(spot.hash, &spot.key, stored);
                let usable = is_of_use(&meta);
                conclude(lead, received.at, if usable { Outlook::Stored } else { Outlook::Lone });
                (object, meta)
            }
            Freshened::Forget(_) => {
                spot.forget(&object);
                conclude(lead, received.at, Outlook::Lone);
                (object, meta)
            }
        };
        self.worker.stats.cache.revalidated.add(1);
        let age = meta.age(received.at);
        let ttl = meta.lifetime.as_secs() as i64 - age.as_secs() as i64;
        let hit = Hit { variant: 0, age, ttl, refresh: false };
        let way = Way {
            forwarded: Some(pending.forwarded),
            status: Some(304),
            collapsed: pending.collapsed,
        };
        Verdict::Serve(self.serving(cache, &wanted, object, &meta, hit, way))
    }

    /// The client gets the answer; whether it is stored on the way.
    fn take_in(&mut self, cache: &Cache, pending: Pending) {
        self.worker.stats.cache.misses.add(1);
        let received = self.received(&pending);
        let fields = RequestFields(&self.pad.request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        let head = &self.pad.response;
        let answered = ResponseFields(head);
        if pending.wanted.method == Method::Head {
            self.look_at_head(cache, &pending, received);
        }
        let answered = answered.answered();
        let Pending { wanted, forwarded, spot, lead, collapsed, .. } = pending;
        let taken = match cache.rules.take_in(&asked, &wanted, &answered, received) {
            Intake::Store(taken) => taken,
            Intake::Leave(why) => {
                conclude(
                    lead,
                    received.at,
                    if why.lasting() { Outlook::Lone } else { Outlook::Failed },
                );
                let detail = Some(why.word());
                let forwarded = Some(forwarded);
                self.say(CacheStatus { forwarded, collapsed, detail, ..CacheStatus::default() });
                return;
            }
        };
        let hides_load = self.service.upstream.hides_load();
        let draft = self.worker.with_date(|date| draft(head, &taken, hides_load, date));
        let Taken { meta, .. } = *taken;
        let own = self.setup.signature.via(head.version());
        let lead = if is_of_use(&meta) {
            lead
        } else {
            conclude(lead, received.at, Outlook::Lone);
            None
        };
        let length = match head.framing(self.pad.request.method()) {
            Framing::Empty => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let (head, room) = (draft.finish(own, Bytes::new()), Room::new(&cache.shards));
        let fill = Fill::new(spot.key.clone(), head, meta, length, room);
        if let Some(lead) = &lead {
            lead.show(&fill);
        }
        let recorder = Recorder {
            spot,
            source: Source(fill),
            lead,
            clock: self.worker.clock,
            stats: Arc::clone(&self.worker.stats),
        };
        self.pad.shape.get_or_insert_default().record = Some(recorder);
        let forwarded = Some(forwarded);
        self.say(CacheStatus { forwarded, collapsed, stored: true, ..CacheStatus::default() });
    }

    /// An answer to HEAD may say that what is stored for GET is true still, or is not (RFC 9111, section 4.3.5).
    fn look_at_head(&self, cache: &Cache, pending: &Pending, received: Received) {
        let fields = RequestFields(&self.pad.request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        let new = ResponseFields(&self.pad.response);
        let spot = &pending.spot;
        let found = spot.shards.lock(spot.hash).store.peek(spot.hash, &spot.key).map(<[_]>::to_vec);
        let matching = |stored: &Stored<Arc<Object>>| stored.meta.vary.matches(asked.fields);
        for Stored { meta, value: object, .. } in
            found.unwrap_or_default().into_iter().filter(matching)
        {
            let merged = Merged::new(&*object, &new.answered());
            let length = object.body().len() as u64;
            let effect = cache.rules.freshen_by_head(
                &asked,
                &pending.wanted,
                &meta,
                length,
                &merged,
                received,
            );
            match effect {
                HeadEffect::Nothing => {}
                HeadEffect::Outdated => spot.forget(&object),
                HeadEffect::Updated(taken) => {
                    spot.store(renewed(&object, &merged, &taken), taken.meta);
                }
            }
        }
    }

    /// A request that is not for the cache has been answered: what it has changed is forgotten.
    fn invalidate(&self, cache: &Cache) {
        let fields = RequestFields(&self.pad.request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        let wanted = cache.rules.read(&asked);
        let answered = ResponseFields(&self.pad.response);
        let answered = answered.answered();
        let of_all =
            cache.all.iter().flat_map(|rules| rules.invalidates(&asked, &wanted, &answered));
        let mut done = Vec::new();
        for purge in of_all {
            // Most services make keys alike.
            if done.contains(&purge) {
                continue;
            }
            cache.shards.purge(&purge, Mode::Hard);
            if let Some(tier) = &cache.tier {
                second::forget(tier, self.worker.clock, purge.clone());
            }
            done.push(purge);
        }
    }

    /// Says in the response what the cache had to do with it (RFC 9211).
    pub(super) fn say(&mut self, status: CacheStatus<'_>) {
        let status = CacheStatus { cache: self.setup.signature.pseudonym(), ..status };
        let mut text = Vec::with_capacity(64);
        status.write(&mut text);
        self.pad.back.add("Cache-Status", text);
    }
}

/// What is in it for those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// They find it in the store.
    Stored,
    /// Nothing, and the next one will be no better.
    Lone,
    /// Nothing, this time.
    Failed,
}

/// Tells those who wait.
pub(super) fn conclude(lead: Option<Lead>, now: Instant, outlook: Outlook) {
    let Some(lead) = lead else { return };
    match outlook {
        Outlook::Stored => lead.land(now),
        Outlook::Lone => lead.release(now),
        Outlook::Failed => lead.fail(now),
    }
}

/// The head of an answer that is stored.
pub(super) fn draft(head: &ResponseHead, taken: &Taken, hides_load: bool, date: &[u8]) -> Draft {
    let mut draft = Draft::new(head.status(), head.reason());
    for field in head.end_to_end() {
        let load = hides_load && field.name.eq_ignore_ascii_case(REPORT_HEADER.as_bytes());
        if !taken.omit.omits(field.name) && !is_framing(head.status(), field.name) && !load {
            draft.field(field.name, field.value);
        }
    }
    // Who stores an answer without a date gives it the one at which it came (RFC 9110, section 6.6.1).
    if !draft.has(b"date") {
        draft.field(b"Date", date);
    }
    draft
}

/// The same content under a head that was made new.
pub(super) fn renewed(object: &Object, merged: &Merged<'_>, taken: &Taken) -> Object {
    let mut draft = Draft::new(object.status(), object.reason());
    merged.each(&mut |name, value| {
        if !taken.omit.omits(name) && !is_framing(object.status(), name) {
            draft.field(name, value);
        }
        true
    });
    draft.finish(object.own(), object.body().clone())
}

/// Whether a field says how long a body is, or which part: an object's own are written anew. What a whole answer says in `Content-Range`
/// means nothing, and is passed on as it is.
pub(super) fn is_framing(status: u16, name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-length")
        || (status == 206 && name.eq_ignore_ascii_case(b"content-range"))
}

/// Whether others could be given it as it is, at least for a moment.
pub(super) fn is_of_use(meta: &Meta) -> bool {
    let fresh = meta.lifetime > meta.initial_age || !meta.stale_while_revalidate.is_zero();
    fresh && !meta.no_cache && meta.part.is_none()
}
