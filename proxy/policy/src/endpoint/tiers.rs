//! Tiers: endpoints by priority, of which the lower are used only as far as the higher cannot carry the load.
//!
//! The lowest number is the first tier. After Envoy's priority levels: a tier is taken to be *overprovisioned* (by 1.4), so that it carries all
//! of the load until fewer than 1/1.4 = 71.4 % of its endpoints are ready. Its health is 1.4 × (ready / serving), at most 1; the first tier gets its
//! health's share of the requests, the next tier of what is left at most its own health's share, and so on. So with half of the first tier
//! 70 % of the requests stay there and 30 % spill over, and the share falls linearly as endpoints fail, instead of at a stroke. (Envoy counts
//! in whole percents; here nothing is rounded.)
//!
//! When the healths of all tiers sum to less than 1, what there is must carry it all: the shares are scaled up to 1. Only then is there panic, and in a
//! tier for itself: where its share of ready endpoints is below the threshold, all of it that do not drain are candidates. As long as the other
//! tiers have room enough, nobody needs to gamble. When nobody is ready anywhere, the first tier that has anybody gets everything.
//!
//! Which tier a request goes to is drawn; for a request with a key the draw is made of the key, so that the same goes to the same tier. Where
//! one tier carries everything, nothing is drawn. A tier that is *full* (every endpoint at its limit) is not unhealthy: its requests may go to
//! another one that is in use anyhow, else they wait. Only a request that has tried everybody of the tiers in use, and failed, goes on to the
//! ready ones below: that is what a backup is for while the checks have not noticed yet.

use std::sync::Arc;

use super::Endpoint;
use crate::{Rng, balance::subset::SubsetConfig, rng::mix};

/// Envoy's factor.
pub(crate) const OVERPROVISIONING: f64 = 1.4;

/// The endpoints by priority, and who carries how much.
#[derive(Clone, Debug)]
pub struct Tiers {
    overprovisioning: f64,
    list: Vec<Tier>,
    /// Whether more than one tier carries load.
    is_split: bool,
}

/// The endpoints of one priority.
#[derive(Clone, Debug)]
pub struct Tier {
    priority: u8,
    candidates: Vec<u32>,
    serving: usize,
    /// Of all requests, that which goes to this tier.
    share: f64,
    /// The sum of the shares up to this one.
    until: f64,
    panic: bool,
}

impl Tier {
    /// The indices of its endpoints that may be picked, in rising order.
    pub fn candidates(&self) -> &[u32] {
        &self.candidates
    }

    /// The share of the requests that it carries.
    pub fn share(&self) -> f64 {
        self.share
    }
}

/// The different priorities, the first tier's first.
pub(crate) fn priorities(endpoints: &[Arc<Endpoint>]) -> Vec<u8> {
    let mut all: Vec<u8> = endpoints.iter().map(|endpoint| endpoint.priority).collect();
    all.sort_unstable();
    all.dedup();
    all
}

impl Tiers {
    /// Empty ones for these endpoints; nothing where there is only one priority.
    pub(super) fn of(endpoints: &[Arc<Endpoint>], overprovisioning: f64) -> Option<Self> {
        let first = endpoints.first()?.priority;
        if endpoints.iter().all(|endpoint| endpoint.priority == first) {
            return None;
        }
        let tier = |priority| Tier {
            priority,
            candidates: Vec::new(),
            serving: 0,
            share: 0.0,
            until: 0.0,
            panic: false,
        };
        let list = priorities(endpoints).into_iter().map(tier).collect();
        Some(Self { overprovisioning, list, is_split: false })
    }

    /// All of them, the first tier first.
    pub fn list(&self) -> &[Tier] {
        &self.list
    }

    /// Whether all of a tier that carries load are candidates because too few are ready.
    pub(super) fn is_panic(&self) -> bool {
        self.list.iter().any(|tier| tier.panic && tier.share > 0.0)
    }

    /// Those that may be picked, of the tiers that carry load, in rising order.
    pub(super) fn write_candidates(&self, into: &mut Vec<u32>) {
        into.clear();
        for tier in self.list.iter().filter(|tier| tier.share > 0.0) {
            into.extend_from_slice(&tier.candidates);
        }
        into.sort_unstable();
    }

    /// Those that are ready in the tiers that carry none.
    pub(super) fn reserve(&self) -> impl Iterator<Item = u32> {
        let idle = self.list.iter().filter(|tier| tier.share <= 0.0);
        idle.flat_map(|tier| tier.candidates.iter().copied())
    }

    /// Looks at who is ready, and divides the load.
    pub(super) fn divide(&mut self, endpoints: &[Arc<Endpoint>], panic_threshold: f64) {
        let mut total = 0.0;
        for tier in &mut self.list {
            tier.candidates.clear();
            tier.serving = 0;
            for (index, endpoint) in (0_u32..).zip(endpoints) {
                if endpoint.priority == tier.priority {
                    tier.serving += usize::from(!endpoint.is_draining());
                    if endpoint.is_ready() {
                        tier.candidates.push(index);
                    }
                }
            }
            let (ready, serving) = (tier.candidates.len() as f64, tier.serving.max(1) as f64);
            tier.share = (self.overprovisioning * ready / serving).min(1.0);
            tier.panic = ready < panic_threshold * tier.serving as f64;
            total += tier.share;
        }
        let enough = total >= 1.0;
        for tier in &mut self.list {
            tier.panic &= !enough;
            if tier.panic {
                let serving = |endpoint: &Endpoint| {
                    endpoint.priority == tier.priority && !endpoint.is_draining()
                };
                let all = (0_u32..).zip(endpoints).filter(|(_, endpoint)| serving(endpoint));
                tier.candidates.clear();
                tier.candidates.extend(all.map(|(index, _)| index));
            }
        }
        if total <= 0.0
            && let Some(first) = self.list.iter_mut().find(|tier| !tier.candidates.is_empty())
        {
            first.share = 1.0;
        }
        let whole = if total > 0.0 { total.min(1.0) } else { 1.0 };
        let mut until = 0.0;
        for tier in &mut self.list {
            tier.share = (tier.share / whole).min(1.0 - until);
            until += tier.share;
            tier.until = until;
        }
        self.is_split = self.list.iter().filter(|tier| tier.share > 0.0).count() > 1;
    }

    /// Leaves in each tier only those that are in this proxy's subset of it.
    pub(super) fn narrow(&mut self, endpoints: &[Arc<Endpoint>], subset: SubsetConfig) {
        for tier in &mut self.list {
            let of_tier =
                |(_, endpoint): &(u32, &Arc<Endpoint>)| endpoint.priority == tier.priority;
            let members = (0_u32..).zip(endpoints).filter(of_tier).map(|(index, _)| index);
            subset.narrow(endpoints, members, &mut tier.candidates);
        }
    }

    /// The tier that a request goes to.
    pub(crate) fn draw(&self, key: Option<u64>, rng: &mut Rng) -> usize {
        let loaded = |tier: &Tier| tier.share > 0.0;
        if !self.is_split {
            return self.list.iter().position(loaded).unwrap_or(0);
        }
        let lot = match key {
            Some(key) => (mix(key ^ SALT) >> 11) as f64 / (1_u64 << 53) as f64,
            None => rng.unit(),
        };
        let drawn = self.list.iter().position(|tier| loaded(tier) && lot < tier.until);
        // Rounding may leave the sum a little below 1.
        drawn.or_else(|| self.list.iter().rposition(loaded)).unwrap_or(0)
    }
}

/// So that which tier a key goes to has nothing to do with where it goes within it.
const SALT: u64 = 0x7469_6572_7469_6572;
