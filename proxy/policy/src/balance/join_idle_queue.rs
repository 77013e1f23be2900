//! Join the idle queue: an endpoint that has nothing to do, if one is known, and any other otherwise.
//!
//! Lu, Xie, Kliot, Geller, Larus and Greenberg 2011. Each dispatcher keeps a queue of idle servers; a server that becomes idle joins the queue of
//! one dispatcher. A request goes to the first in its dispatcher's queue, and to a random server when the queue is empty.
//! Nothing is compared when a request comes, so the choice is free at the moment when it matters; and as long as some
//! are idle, nobody waits, however many dispatchers there are.
//!
//! Here a dispatcher is a worker. When a request of its own ends, the endpoint joins its queue; whether it is truly idle
//! (workers share the counts) is asked when it is picked, and who is not leaves the queue then. So each entry is looked at once for each
//! request that has ended, and whoever becomes idle is in the queue of the worker that made it so: the paper's servers choose
//! among the dispatchers at random instead. An idle endpoint that is only in another worker's queue is not known to this one, as in
//! the paper.
//!
//! Among the idle the one that waits longest is first, whatever its weight; who is taken when none is idle is drawn by weight, as
//! in `random`. When endpoints come or go the queue is made anew from all that are idle, in random order.
//!
//! Parameters: none. Cost of a pick: constant, averaged over the requests that have ended; making the queue anew is a pass over all.

use std::{collections::VecDeque, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Balancer, Parameters, StrategyInfo, random::Random};
use crate::{
    Instant, Rng,
    endpoint::{Outcome, View},
};

/// What `join_idle_queue` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "join_idle_queue",
    summary: "An idle endpoint if one is known, else any, with a probability by its weight.",
    parameters: &[],
};

/// `join_idle_queue` has no parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(JoinIdleQueue::default())
    }
}

#[derive(Debug, Default)]
struct JoinIdleQueue {
    generation: Option<u64>,
    /// Each endpoint at most once.
    queue: VecDeque<u32>,
    /// Where each endpoint is, by its index.
    places: Vec<Place>,
    otherwise: Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is no candidate.
    Out,
    /// It is a candidate that was busy when it was last looked at.
    Busy,
    /// It is in the queue.
    Queued,
}

impl Balancer for JoinIdleQueue {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        if self.generation != Some(view.generation) {
            self.rebuild(view, rng);
        }
        for _ in 0..self.queue.len() {
            let Some(index) = self.queue.pop_front() else { break };
            if !is_idle(view, index) {
                self.places[index as usize] = Place::Busy;
            } else if view.may_take(index) {
                self.places[index as usize] = Place::Busy;
                return Some(index);
            } else {
                // Idle, and tried for this request already: it is still the next one's.
                self.queue.push_back(index);
            }
        }
        self.otherwise.pick(view, rng)
    }

    fn on_end(&mut self, endpoint: u32, _: Instant, _: Duration, _: Outcome) {
        if let Some(place) = self.places.get_mut(endpoint as usize)
            && *place == Place::Busy
        {
            *place = Place::Queued;
            self.queue.push_back(endpoint);
        }
    }
}

impl JoinIdleQueue {
    fn rebuild(&mut self, view: &View<'_>, rng: &mut Rng) {
        self.generation = Some(view.generation);
        self.places.clear();
        self.places.resize(view.endpoints.len(), Place::Out);
        self.queue.clear();
        // So that an endpoint that joins never has to wait for memory.
        self.queue.reserve(view.endpoints.len());
        for &index in view.ready {
            let idle = is_idle(view, index);
            self.places[index as usize] = if idle { Place::Queued } else { Place::Busy };
            if idle {
                self.queue.push_back(index);
            }
        }
        // Fisher and Yates: the workers of a proxy do not all begin with the same one.
        for last in (1..self.queue.len()).rev() {
            self.queue.swap(last, rng.index(last + 1));
        }
    }
}

fn is_idle(view: &View<'_>, index: u32) -> bool {
    view.endpoints.get(index as usize).is_some_and(|endpoint| endpoint.in_flight() == 0)
}
