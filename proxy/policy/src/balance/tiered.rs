//! A strategy over tiers: each tier has a balancer of its own, and a request is given to one of them.
//!
//! What tiers are, and how much each carries, is [`Tiers`](crate::endpoint::Tiers)'s. A strategy keeps tables of who may be picked (a ring, a schedule, a queue of
//! the idle), and when load spills over, two sets of endpoints are in use side by side: so there is one balancer for each, and each sees
//! nothing but its own tier. Where there is one priority only, there is none of this: the strategy's own balancer stands alone.

use std::time::Duration;

use super::{Balancer, Strategy};
use crate::{
    Instant, LoadReport, Rng,
    endpoint::{Endpoints, Outcome, Tiers, View, priorities},
};

/// The balancer for these endpoints: the strategy's own, or one of these for each tier.
pub(super) fn build(strategy: &Strategy, endpoints: &Endpoints) -> Box<dyn Balancer> {
    let priorities = priorities(endpoints.list());
    if priorities.len() < 2 {
        return strategy.build();
    }
    let place = |priority| priorities.iter().position(|each| *each == priority).unwrap_or(0);
    Box::new(Tiered {
        balancers: priorities.iter().map(|_| strategy.build()).collect(),
        places: endpoints.list().iter().map(|endpoint| place(endpoint.priority)).collect(),
    })
}

#[derive(Debug)]
struct Tiered {
    /// By tier.
    balancers: Vec<Box<dyn Balancer>>,
    /// The tier of each endpoint.
    places: Vec<usize>,
}

impl Tiered {
    fn ask(&mut self, tiers: &Tiers, place: usize, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        let candidates = tiers.list().get(place)?.candidates();
        let balancer = self.balancers.get_mut(place)?;
        balancer.pick(&View { ready: candidates, tiers: None, ..*view }, rng)
    }

    fn balancer(&mut self, endpoint: u32) -> Option<&mut Box<dyn Balancer>> {
        self.balancers.get_mut(*self.places.get(endpoint as usize)?)
    }
}

impl Balancer for Tiered {
    fn name(&self) -> &'static str {
        self.balancers.first().map_or("", |first| first.name())
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        let tiers = view.tiers?;
        let drawn = tiers.draw(view.key, rng);
        if let Some(index) = self.ask(tiers, drawn, view, rng) {
            return Some(index);
        }
        for place in (0..tiers.list().len()).filter(|place| *place != drawn) {
            if tiers.list()[place].share() > 0.0
                && let Some(index) = self.ask(tiers, place, view, rng)
            {
                return Some(index);
            }
        }
        // As long as one of them is only full, it is waited for.
        if !view.ready.iter().all(|index| view.tried.contains(index)) {
            return None;
        }
        let idle = |place: &usize| tiers.list()[*place].share() <= 0.0;
        (0..tiers.list().len()).filter(idle).find_map(|place| self.ask(tiers, place, view, rng))
    }

    fn on_start(&mut self, endpoint: u32, now: Instant) {
        if let Some(balancer) = self.balancer(endpoint) {
            balancer.on_start(endpoint, now);
        }
    }

    fn on_end(&mut self, endpoint: u32, now: Instant, elapsed: Duration, outcome: Outcome) {
        if let Some(balancer) = self.balancer(endpoint) {
            balancer.on_end(endpoint, now, elapsed, outcome);
        }
    }

    fn on_report(&mut self, endpoint: u32, now: Instant, report: &LoadReport) {
        if let Some(balancer) = self.balancer(endpoint) {
            balancer.on_report(endpoint, now, report);
        }
    }

    fn next_probe(&mut self) -> Option<u32> {
        self.balancers.iter_mut().find_map(|balancer| balancer.next_probe())
    }

    fn on_probe(&mut self, endpoint: u32, now: Instant, answer: Option<&LoadReport>) {
        if let Some(balancer) = self.balancer(endpoint) {
            balancer.on_probe(endpoint, now, answer);
        }
    }
}
