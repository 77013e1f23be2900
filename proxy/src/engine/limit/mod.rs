//! The limits of a service: the effects to [`policy::rate`].
//!
//! They meet a request at two places. How often its client comes, and how many requests that has under way, is asked before the cache; a
//! request that is refused there has cost us its head and nothing more. How much the upstream has under way is asked when the request turns to the
//! endpoints, so that what the cache answers takes no place of it.
//!
//! All workers of the proxy share them (see [`Commons`](super::commons::Commons)), since a limit that each kept by itself would be as many times as
//! high. A reload hands on what counts the same: a client that is at its limit stays there, and what is under way stays counted.

use std::sync::Arc;

mod shared;

use net::{Clock, Net};
use policy::{
    Instant,
    message::Reply,
    rate::{
        Concurrency, Ended, Judgement, LimitingConfig, OnFailure, Overload, Places, Priority,
        Rates, ShedConfig, Tell,
    },
};

use super::{exchange::Exchange, fault::Fault, heads::RequestFields, redis::Redis};
use crate::config::ProxyConfig;

/// The limits of a service.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Of its route; empty for the proxy's own.
    service: Box<str>,
    tell: Tell,
    rates: Arc<Rates>,
    concurrency: Arc<Concurrency>,
    overload: Option<Arc<Overload>>,
    shed: ShedConfig,
    /// Through which proxies share the rates, and what holds without it.
    redis: Option<Arc<Redis>>,
    on_failure: OnFailure,
    /// The upstream that it leads to; empty for the proxy's own endpoints.
    upstream: Box<str>,
}

/// The limits of each service that has any, in the order of services; those before go on where they count the same.
pub(super) fn limits(
    config: &ProxyConfig,
    before: &[Option<Arc<Limits>>],
    redis: Option<&Arc<Redis>>,
) -> Vec<Option<Arc<Limits>>> {
    let mut made: Vec<Option<Arc<Limits>>> = Vec::new();
    for number in 0..=config.routes.len() {
        let route = number.checked_sub(1).and_then(|route| config.routes.get(route));
        let own = route.and_then(|route| route.limit.as_ref());
        let limiting = own.unwrap_or(&config.limit);
        if limiting.rate.is_empty()
            && limiting.concurrency.is_empty()
            && limiting.adaptive.is_none()
        {
            made.push(None);
            continue;
        }
        let name = config.service_name(number);
        let upstream = route.and_then(|route| route.upstream.clone()).unwrap_or_default();
        // A route without limits of its own shares the proxy's: one budget for all of these.
        let common = made.first().cloned().flatten().filter(|_| own.is_none());
        let former = before.iter().flatten().find(|former| *former.service == *name);
        let (rates, concurrency) = match common {
            Some(common) => (Arc::clone(&common.rates), Arc::clone(&common.concurrency)),
            None => clients(limiting, former),
        };
        let limits = Limits {
            service: if own.is_some() { name.into() } else { Box::default() },
            tell: limiting.tell,
            rates,
            concurrency,
            overload: overload(limiting, &upstream, &made, before),
            shed: limiting.shed.clone().unwrap_or_else(ShedConfig::none),
            redis: redis.filter(|_| !limiting.rate.is_empty()).cloned(),
            on_failure: config.limit.on_failure,
            upstream: upstream.into(),
        };
        made.push(Some(Arc::new(limits)));
    }
    made
}

fn clients(
    limiting: &LimitingConfig,
    former: Option<&Arc<Limits>>,
) -> (Arc<Rates>, Arc<Concurrency>) {
    let LimitingConfig { rate, concurrency, .. } = limiting;
    let memory = limiting.memory();
    let made = match former {
        Some(former) => {
            (former.rates.renewed(rate, memory), former.concurrency.renewed(concurrency, memory))
        }
        None => (Rates::new(rate, memory), Concurrency::new(concurrency, memory)),
    };
    (Arc::new(made.0), Arc::new(made.1))
}

/// One for each upstream, whatever leads there: so many requests are what *it* can do.
fn overload(
    limiting: &LimitingConfig,
    upstream: &str,
    made: &[Option<Arc<Limits>>],
    before: &[Option<Arc<Limits>>],
) -> Option<Arc<Overload>> {
    let adaptive = limiting.adaptive.as_ref()?;
    let known = made.iter().chain(before).flatten();
    let mut same = known
        .filter(|limits| *limits.upstream == *upstream)
        .filter_map(|limits| limits.overload.as_ref())
        .filter(|overload| overload.config() == adaptive);
    Some(same.next().map_or_else(|| Arc::new(Overload::new(adaptive)), Arc::clone))
}

impl Limits {
    /// The Redis that the rates are shared through.
    pub(super) fn redis(&self) -> Option<&Redis> {
        self.redis.as_deref()
    }
}

/// A request that is counted at the concurrency limits, until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    limits: Arc<Limits>,
    places: Places,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.limits.concurrency.leave(self.places);
    }
}

/// A request that is counted at its upstream, until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    overload: Arc<Overload>,
    clock: Clock,
    begun: Instant,
    ended: Ended,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.overload.leave(self.clock.now(), self.begun, self.ended);
    }
}

impl<N: Net> Exchange<'_, N> {
    /// Asks what the client's requests are limited by. The answer, if it may not pass.
    pub(super) fn limit(&mut self, limits: &Arc<Limits>) -> Option<Reply> {
        let fields = RequestFields(&self.pad.request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        if !limits.concurrency.is_empty() {
            match limits.concurrency.enter(&asked) {
                Ok(places) => {
                    self.pad.held = Some(Held { limits: Arc::clone(limits), places });
                }
                Err(at) => {
                    self.worker.stats.limited.add(1);
                    return limits.concurrency.reply(at);
                }
            }
        }
        if limits.rates.is_empty() || limits.redis.is_some() {
            return None;
        }
        let judgement = limits.rates.ask(&limits.rates.identify(&asked), self.worker.clock.now());
        self.judged(limits, &judgement)
    }

    /// What follows from what the rate limits say.
    fn judged(&mut self, limits: &Limits, judgement: &Judgement) -> Option<Reply> {
        let told = match limits.tell {
            Tell::All => true,
            Tell::Refused => !judgement.admits(),
            Tell::None => false,
        };
        if told {
            limits.rates.tell(judgement, &mut self.pad.back);
        }
        let reply = limits.rates.reply(judgement)?;
        self.pad.held = None;
        self.worker.stats.limited.add(1);
        Some(reply)
    }

    /// Takes a place at the upstream, where that has a limit.
    pub(super) fn enter(&mut self) -> Result<(), Fault> {
        let limits = self.service.stages.as_ref().and_then(|stages| stages.limits.as_ref());
        let Some(limits) = limits else { return Ok(()) };
        let Some(overload) = &limits.overload else { return Ok(()) };
        let fields = RequestFields(&self.pad.request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        let shed = &limits.shed;
        if !overload.enter(shed.priority_of(&asked), &shed.shares) {
            self.worker.stats.shed.add(1);
            return Err(Fault::Overloaded(shed.seconds()));
        }
        let clock = self.worker.clock;
        self.pad.entered = Some(Entered {
            overload: Arc::clone(overload),
            clock,
            begun: clock.now(),
            // Should the client go meanwhile.
            ended: Ended::Abandoned,
        });
        Ok(())
    }

    /// The upstream has answered, or has not; the place that was taken is given back.
    pub(super) fn leave<T>(&mut self, reached: &Result<T, Fault>) {
        let Some(mut entered) = self.pad.entered.take() else { return };
        entered.ended = match reached {
            Ok(_) if matches!(self.pad.response.status(), 503 | 504) => Ended::Dropped,
            Ok(_) => Ended::Answered,
            Err(Fault::QueueFull | Fault::QueueTimeout) => Ended::Dropped,
            Err(fault) if fault.side() == super::Side::Upstream => Ended::Dropped,
            Err(_) => Ended::Abandoned,
        };
    }
}

/// What the limits of a service have done.
#[derive(Debug)]
pub(crate) struct Figures<'a>(pub(crate) &'a [Option<Arc<Limits>>]);

impl<'a> Figures<'a> {
    /// Those with limits of their own, or the first that shares the proxy's.
    fn clients(&self) -> impl Iterator<Item = &'a Limits> {
        let mut common = false;
        self.0.iter().flatten().map(AsRef::as_ref).filter(move |limits| {
            !limits.service.is_empty() || !std::mem::replace(&mut common, true)
        })
    }

    /// Each limit by its name, how many it has refused, and how many clients it knows.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (String, u64, usize)> {
        self.clients().flat_map(|limits| {
            let named = move |(name, refused, clients): (&str, u64, usize)| {
                let service = &limits.service;
                let name =
                    if service.is_empty() { name.to_owned() } else { format!("{service}.{name}") };
                (name, refused, clients)
            };
            limits.rates.figures().chain(limits.concurrency.figures()).map(named)
        })
    }

    /// Each upstream with an adaptive limit: its name, the limit, and what it has under way.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = (&'a str, &'a Overload)> {
        let mut seen: Vec<*const Overload> = Vec::new();
        self.0.iter().flatten().filter_map(move |limits| {
            let overload = limits.overload.as_ref()?;
            let new = !seen.contains(&Arc::as_ptr(overload));
            seen.push(Arc::as_ptr(overload));
            new.then(|| (&*limits.upstream, &**overload))
        })
    }

    /// How many requests of each priority upstreams had no place for, the lowest first.
    pub(crate) fn shed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let mut sums = [0; 4];
        for (_, overload) in self.upstreams() {
            for (priority, refused) in overload.refused() {
                sums[priority as usize] += refused;
            }
        }
        Priority::ALL.into_iter().map(move |priority| (priority.name(), sums[priority as usize]))
    }

    /// The same as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        use serde_json::{Value, json};
        let limits = self.limits().map(|(name, refused, clients)| {
            json!({ "name": name, "refused": refused, "clients": clients })
        });
        let upstreams = self.upstreams().map(|(name, overload)| {
            json!({ "upstream": name, "limit": overload.limit(), "under_way": overload.under_way() })
        });
        let shed: serde_json::Map<_, _> =
            self.shed().map(|(name, count)| (name.to_owned(), json!(count))).collect();
        json!({
            "limits": limits.collect::<Vec<Value>>(),
            "adaptive": upstreams.collect::<Vec<Value>>(),
            "shed": shed,
        })
    }
}
