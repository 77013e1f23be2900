//! What a worker chooses from: the indices of the endpoints that are ready, and the view that a balancer gets.
//!
//! The list is dense and sorted, so that a strategy can index it at random or walk it in order. When too few endpoints are
//! ready, the health information itself is in doubt, or what is left would be buried under everybody's load: then
//! all that do not drain are candidates (Envoy's panic threshold). Wrong answers from some beat no answer from all.
//!
//! Where endpoints have different priorities, those of the [tiers](super::Tiers) that carry load are candidates, and the tiers are a part of the view.
//! Where this proxy has a [subset](crate::balance::subset) of them, it is taken last, of each tier: so it is one of those who may be picked.

use std::sync::Arc;

use super::{
    Endpoint, Endpoints, Tiers,
    tiers::{OVERPROVISIONING, Tier},
};
use crate::{
    Instant,
    balance::{BalanceConfig, SlowStart, sticky::Bound, subset::SubsetConfig},
};

/// One worker's list of the endpoints that may be picked.
#[derive(Clone, Debug)]
pub struct Candidates {
    panic_threshold: f64,
    generation: u64,
    panic: bool,
    ready: Vec<u32>,
    overprovisioning: f64,
    tiers: Option<Box<Tiers>>,
    subset: Option<SubsetConfig>,
    slow_start: Option<Box<SlowStart>>,
    bound: Option<Bound>,
}

impl Candidates {
    /// An empty list; `panic_threshold` is the share of ready endpoints below which all are candidates (0 to 1; 0: never).
    pub fn new(panic_threshold: f64) -> Self {
        Self {
            panic_threshold,
            generation: u64::MAX,
            panic: false,
            ready: Vec::new(),
            overprovisioning: OVERPROVISIONING,
            tiers: None,
            subset: None,
            slow_start: None,
            bound: None,
        }
    }

    /// An empty list, made as `config` says.
    pub fn by(config: &BalanceConfig) -> Self {
        Self {
            overprovisioning: config.overprovisioning,
            subset: config.subset,
            slow_start: config.slow_start.map(|window| Box::new(SlowStart::new(window))),
            bound: config.sticky.as_ref().map(|_| Bound::default()),
            ..Self::new(config.panic_threshold)
        }
    }

    /// Brings the list up to date, and what depends on time. Before each pick.
    pub fn prepare(&mut self, endpoints: &Endpoints, now: Instant) {
        let moved = self.refresh(endpoints);
        if let Some(bound) = self.bound.as_mut().filter(|_| moved) {
            bound.rebuild(endpoints.list(), &self.ready);
        }
        if let Some(slow_start) = &mut self.slow_start {
            match &self.tiers {
                _ if !moved => slow_start.advance(now),
                None => slow_start.rebuild(endpoints.list(), [&*self.ready].into_iter(), now),
                Some(tiers) => {
                    let groups = tiers.list().iter().map(Tier::candidates);
                    slow_start.rebuild(endpoints.list(), groups, now);
                }
            }
        }
    }

    /// The candidate that a request is bound to whose cookie has this [key](crate::balance::sticky::Token::key).
    pub fn bound(&self, cookie: u64) -> Option<u32> {
        self.bound.as_ref()?.find(cookie)
    }

    /// A request goes to this endpoint. After each pick.
    pub fn took(&mut self, index: u32) {
        if let Some(slow_start) = &mut self.slow_start {
            slow_start.took(index);
        }
    }

    /// Brings the list up to date, if the generation has moved; whether it had. Allocates only when the list grows.
    pub fn refresh(&mut self, endpoints: &Endpoints) -> bool {
        // Read before the endpoints: what changes meanwhile moves it again, and is seen next time.
        let generation = endpoints.generation();
        if generation == self.generation {
            return false;
        }
        self.generation = generation;
        self.tiers = Tiers::of(endpoints.list(), self.overprovisioning).map(Box::new);
        if let Some(tiers) = &mut self.tiers {
            tiers.divide(endpoints.list(), self.panic_threshold);
            if let Some(subset) = self.subset {
                tiers.narrow(endpoints.list(), subset);
            }
            tiers.write_candidates(&mut self.ready);
            self.panic = tiers.is_panic();
            return true;
        }
        self.ready.clear();
        let all = || (0_u32..).zip(endpoints.list());
        self.ready.extend(all().filter(|(_, e)| e.is_ready()).map(|(index, _)| index));
        let serving = all().filter(|(_, e)| !e.is_draining()).count();
        self.panic = (self.ready.len() as f64) < self.panic_threshold * serving as f64;
        if self.panic {
            self.ready.clear();
            self.ready.extend(all().filter(|(_, e)| !e.is_draining()).map(|(index, _)| index));
        }
        if let Some(subset) = self.subset {
            let members = 0..endpoints.list().len() as u32;
            subset.narrow(endpoints.list(), members, &mut self.ready);
        }
        true
    }

    /// Whether so few are ready that all are candidates.
    pub fn is_panic(&self) -> bool {
        self.panic
    }

    /// How many endpoints besides `last` a request could try, and how many of them have room now: of the candidates or, when it has tried
    /// them all, of those in reserve.
    pub fn others(&self, endpoints: &Endpoints, tried: &[u32], last: u32) -> (usize, usize) {
        let untried = |index: &u32| *index != last && !tried.contains(index);
        let count = |all: &mut dyn Iterator<Item = u32>| {
            let room =
                |index: u32| endpoints.list().get(index as usize).is_some_and(|e| !e.is_full());
            all.filter(untried).fold((0, 0), |(others, with_room), index| {
                (others + 1, with_room + usize::from(room(index)))
            })
        };
        let candidates = count(&mut self.ready.iter().copied());
        match &self.tiers {
            Some(tiers) if candidates.0 == 0 => count(&mut tiers.reserve()),
            _ => candidates,
        }
    }

    /// The tiers, where there are several.
    pub fn tiers(&self) -> Option<&Tiers> {
        self.tiers.as_deref()
    }

    /// The indices of the candidates, in rising order.
    pub fn ready(&self) -> &[u32] {
        &self.ready
    }

    /// The generation that the list was made from.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What a balancer is given; `endpoints` is the set of the latest [`refresh`](Self::refresh).
    pub fn view<'a>(
        &'a self,
        endpoints: &'a Endpoints,
        tried: &'a [u32],
        now: Instant,
    ) -> View<'a> {
        View {
            endpoints: endpoints.list(),
            ready: &self.ready,
            generation: self.generation,
            tried,
            now,
            key: None,
            bound: None,
            tiers: self.tiers.as_deref(),
            slow_start: self.slow_start.as_deref().filter(|slow_start| !slow_start.is_idle()),
        }
    }
}

/// What a balancer sees of the endpoints when it picks one for a request.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// All endpoints of the upstream.
    pub endpoints: &'a [Arc<Endpoint>],
    /// The indices of those that may be picked, in rising order.
    pub ready: &'a [u32],
    /// The generation that `ready` was made from ([`Candidates::generation`], not a newer one: balancers
    /// keep tables that they build from `ready`, and build them again when this number moves).
    pub generation: u64,
    /// The indices that were tried for this request already; few.
    pub tried: &'a [u32],
    /// Now.
    pub now: Instant,
    /// The request's hash key, for strategies that have an affinity to one.
    pub key: Option<u64>,
    /// The endpoint that the request is bound to, if it is a candidate.
    pub(crate) bound: Option<u32>,
    /// The endpoints by priority, where there are several priorities.
    pub(crate) tiers: Option<&'a Tiers>,
    /// The endpoints that warm up, while there are any.
    pub(crate) slow_start: Option<&'a SlowStart>,
}

impl View<'_> {
    /// The same for a request with this key.
    pub fn with_key(self, key: Option<u64>) -> Self {
        Self { key, ..self }
    }

    /// The same for a request that is bound to this endpoint, as [`Candidates::bound`] has found it.
    #[must_use]
    pub fn with_bound(self, bound: Option<u32>) -> Self {
        Self { bound, ..self }
    }

    /// Whether this endpoint was not tried for the request yet, is below its limit, and is not held back by slow start.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured: it is on the path of every pick")]
    pub fn may_take(&self, index: u32) -> bool {
        !self.tried.contains(&index)
            && self.endpoints.get(index as usize).is_some_and(|endpoint| !endpoint.is_full())
            && self.slow_start.is_none_or(|slow_start| !slow_start.holds(index, self.key))
    }

    /// The weight of an endpoint; 1 when there is none at this index.
    pub(crate) fn weight(&self, index: u32) -> u32 {
        self.endpoints.get(index as usize).map_or(1, |endpoint| endpoint.weight)
    }
}
