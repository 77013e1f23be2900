//! The way in: a request looks into the cache.
//!
//! What it finds there is given to its client at once ([`serve`](super::serve)); that is the short way, and allocates nothing. Otherwise the
//! request goes to the endpoints, or waits for another that has gone for the same, and what its answer will be
//! judged by stays in the pad until that is there ([`Pending`]).

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use net::Net;
use policy::{
    Instant,
    cache::{
        CacheStatus, Decision, Forwarded, Gate, Rules, Shape as Cut, Stored, Wanted,
        request::Method,
    },
    message::Reply,
};

use super::{
    super::{
        exchange::{After, Exchange},
        fault::Fault,
        heads::RequestFields,
        worker::Pad,
    },
    Cache,
    fill::Fill,
    flights::{Flight, Lead},
    follow::Coming,
    object::Object,
    record::Spot,
    refresh::Refresh,
    second::Second,
    serve::{Rest, Sent, Serving, Way},
    shards::Seat,
};

/// What is known of a request that goes to the endpoints although there is a cache.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(super) wanted: Wanted,
    /// Why it goes.
    pub(super) forwarded: Forwarded,
    pub(super) spot: Spot,
    /// What is there and must be validated, or might be given if nobody answers.
    pub(super) known: Option<Known>,
    /// Others may wait for it.
    pub(super) lead: Option<Lead>,
    /// It has waited for another.
    pub(super) collapsed: bool,
    /// When it turned to the endpoints.
    pub(super) asked: Instant,
}

/// A stored response that may not be given as it is.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) stored: Stored<Arc<Object>>,
    /// We have asked whether it is true still.
    pub(super) conditional: bool,
}

/// What came of looking.
enum Looked {
    /// It is there. Somebody is to fetch it anew meanwhile.
    There(Serving, Option<Box<Refresh>>),
    /// The endpoints must be asked.
    Ask,
    /// Somebody asks already: wait, until then at most.
    Wait(Arc<Flight>, Instant),
    /// It is on its way, and is given as it comes.
    Coming(Coming),
    /// It is not there, and the client wants nothing else.
    NotThere,
}

/// What came of the short way.
enum Short {
    /// The client has its answer.
    Sent(After),
    /// The endpoints must be asked.
    Ask,
    /// There is more to do first.
    Long(Box<Looked>),
    /// The client takes its answer slowly.
    Rest(Box<Rest>),
}

impl<N: Net> Exchange<'_, N> {
    /// Answers from the cache, if that can be done; otherwise the request goes on.
    pub(crate) async fn consult(&mut self, cache: &Cache) -> Result<Option<After>, Fault> {
        let short = poll_fn(|cx| Poll::Ready(self.short_way(cx, cache)));
        match short.await? {
            Short::Sent(after) => Ok(Some(after)),
            Short::Ask => Ok(None),
            // All that is rarer is boxed, so that a connection's task stays small.
            Short::Long(looked) => Box::pin(self.go_on(cache, *looked)).await,
            Short::Rest(rest) => Box::pin(self.send_rest(*rest)).await.map(Some),
        }
    }

    /// As far as it goes without waiting for anything: that is the whole way of a hit.
    fn short_way(&mut self, cx: &mut Context<'_>, cache: &Cache) -> Result<Short, Fault> {
        Ok(match self.look_up(cache, None) {
            Looked::There(serving, None) => match self.begin_stored(cx, &serving)? {
                Sent::All(after) => Short::Sent(after),
                Sent::Part(rest) => Short::Rest(rest),
            },
            Looked::Ask if cache.tier.is_none() => Short::Ask,
            looked => Short::Long(Box::new(looked)),
        })
    }

    async fn go_on(&mut self, cache: &Cache, mut looked: Looked) -> Result<Option<After>, Fault> {
        let began = self.worker.clock.now();
        let mut since = None;
        let mut further = false;
        loop {
            match looked {
                Looked::There(serving, refresh) => {
                    if let Some(refresh) = refresh {
                        refresh.start(self.worker, self.setup, &self.service.upstream);
                    }
                    return self.serve_stored(&serving).await.map(Some);
                }
                Looked::Ask => {
                    if further || !self.look_further(cache).await {
                        return Ok(None);
                    }
                    further = true;
                    looked = self.look_up(cache, since);
                }
                Looked::NotThere => {
                    let line = "it is not in the cache, and only-if-cached was asked for";
                    let detail = Some("only-if-cached");
                    let forwarded = Some(Forwarded::Miss);
                    self.say(CacheStatus { forwarded, detail, ..CacheStatus::default() });
                    let reply = Reply::text(504, "only_if_cached", line);
                    return self.reply(&reply).await.map(Some);
                }
                Looked::Wait(flight, until) => {
                    since = Some(began);
                    looked = match self.await_answer(cache, &flight, until).await? {
                        Some(looked) => looked,
                        None => self.look_up(cache, since),
                    };
                }
                Looked::Coming(coming) => return self.serve_coming(coming).await.map(Some),
            }
        }
    }

    /// Waits until another request has an answer; nothing where that is not for this one and has ended, or was waited for long enough.
    async fn await_answer(
        &mut self,
        cache: &Cache,
        flight: &Flight,
        until: Instant,
    ) -> Result<Option<Looked>, Fault> {
        let mut seen = false;
        loop {
            // Made before the look: what happens after that look rings it.
            let news = pin!(flight.news());
            if flight.is_over() {
                return Ok(None);
            }
            if let Some(fill) = flight.fill().filter(|_| !seen) {
                seen = true;
                if let Some(looked) = self.look_at(cache, fill) {
                    return Ok(Some(looked));
                }
            }
            match self.wait(news, until).await {
                Ok(()) => {}
                Err(Fault::QueueTimeout) => return Ok(None),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Looks at an answer that is on its way; nothing if it is not for this request.
    fn look_at(&mut self, cache: &Cache, fill: &Arc<Fill>) -> Option<Looked> {
        let Pad { request, key, .. } = &*self.pad;
        let fields = RequestFields(request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        let wanted = cache.rules.read(&asked);
        let known = [Stored::new(Arc::clone(&fill.meta), (), 0)];
        let decision = cache.rules.serve(&asked, &wanted, &known, self.worker.clock.now());
        let (Decision::Fresh(hit) | Decision::Stale(hit)) = decision else { return None };
        if *fill.key != **key {
            return None;
        }
        let cut = cache.rules.shape(&asked, &wanted, &fill.meta, fill.length.unwrap_or_default());
        let way = Way { collapsed: true, ..Way::default() };
        let object = Arc::clone(&fill.head);
        let serving = Serving { object, part: None, cut, age: hit.age, ttl: hit.ttl, way };
        let looked = match cut {
            // For that the head is enough.
            Cut::NotModified => Looked::There(serving, None),
            Cut::Whole => Looked::Coming(Coming { serving, follower: fill.follow()? }),
            // Who wants a part goes alone, and does not come here.
            Cut::Part { .. } | Cut::Unsatisfiable => return None,
        };
        let stats = &self.worker.stats.cache;
        let outcome = if hit.ttl >= 0 && !hit.refresh { &stats.hits } else { &stats.stale };
        outcome.add(1);
        Some(looked)
    }

    /// Looks into the store; `since` is when it began to wait for another, if it did.
    fn look_up(&mut self, cache: &Cache, since: Option<Instant>) -> Looked {
        let Cache { rules, shards, tier, .. } = cache;
        let second = || tier.as_ref().map(|tier| Box::new(Second::new(tier, self.worker.clock)));
        let stats = &self.worker.stats.cache;
        let now = if since.is_some() { self.worker.clock.now() } else { self.begun };
        let Pad { request, key, onward, cache: pending, .. } = &mut *self.pad;
        let fields = RequestFields(request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        let wanted = rules.read(&asked);
        if let Gate::Pass(why) = rules.gate(&asked, &wanted) {
            stats.passed.add(1);
            self.pad.passed = Some(why);
            return Looked::Ask;
        }
        let hash = rules.key(&asked, key);
        let mut shard = shards.lock(hash);
        let found = shard.store.get(hash, key).unwrap_or_default();
        let (forwarded, validation) = match rules.serve(&asked, &wanted, found, now) {
            Decision::Fresh(hit) | Decision::Stale(hit) => {
                let Stored { meta, value, .. } = &found[hit.variant];
                let object = Arc::clone(value);
                let length = object.body().len() as u64;
                let cut = rules.shape(&asked, &wanted, meta, length);
                let part = meta.part;
                let meta = hit.refresh.then(|| Arc::clone(meta));
                // What HEAD finds stale the next GET fetches anew.
                let fetches = hit.refresh && wanted.method == Method::Get;
                let lead = fetches.then(|| shards.lead(&mut shard, hash, now)).flatten();
                drop(shard);
                let outcome = if hit.ttl >= 0 && !hit.refresh { &stats.hits } else { &stats.stale };
                outcome.add(1);
                let way = Way { collapsed: since.is_some(), ..Way::default() };
                let (age, ttl) = (hit.age, hit.ttl);
                let serving = Serving { object, part, cut, age, ttl, way };
                let refresh = lead.zip(meta).map(|((lead, place), meta)| {
                    let key = key.as_slice().into();
                    Box::new(Refresh {
                        lead,
                        place,
                        rules: Arc::clone(rules),
                        spot: Spot {
                            shards: Arc::clone(shards),
                            hash,
                            key,
                            most: rules.largest(),
                            second: second(),
                        },
                        meta,
                        object: Arc::clone(&serving.object),
                        request: request.clone(),
                        client: self.client.address,
                        wanted,
                    })
                });
                return Looked::There(serving, refresh);
            }
            Decision::OnlyIfCached => {
                stats.misses.add(1);
                return Looked::NotThere;
            }
            Decision::Miss(why) => (why, None),
            Decision::Validate(validation) => {
                let stored = found[validation.variant].clone();
                (Forwarded::Stale, Some((validation, stored)))
            }
        };
        let seat = if may_share(rules, &wanted) {
            shards.board(&mut shard, hash, now, since)
        } else {
            Seat::Alone
        };
        drop(shard);
        let lead = match seat {
            Seat::Follower(flight, until) => {
                if since.is_none() {
                    stats.collapsed.add(1);
                }
                return Looked::Wait(flight, until);
            }
            Seat::Lead(lead) => Some(lead),
            Seat::Alone => None,
        };
        let known = validation.map(|(validation, stored)| {
            onward.append(validation.conditions);
            Known { stored, conditional: validation.conditional }
        });
        if lead.is_some() && known.is_none() {
            onward.append(rules.leading(&wanted));
        }
        let (key, most) = (key.as_slice().into(), rules.largest());
        let spot = Spot { shards: Arc::clone(shards), hash, key, most, second: second() };
        *pending = Some(Box::new(Pending {
            wanted,
            forwarded,
            spot,
            known,
            lead,
            collapsed: since.is_some(),
            asked: now,
        }));
        Looked::Ask
    }
}

/// Whether a request may wait for another or be waited for: not where it will have nothing that is there already, for what
/// another brings is no newer for it.
fn may_share(rules: &Rules, wanted: &Wanted) -> bool {
    let picky = wanted.demands.max_age.is_some() || wanted.demands.min_fresh.is_some();
    rules.collapses(wanted) && !picky
}
