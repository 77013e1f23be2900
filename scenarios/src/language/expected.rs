//! How many requests a scenario will ask for: what `check` prints, so that nobody starts a day by accident.

use std::time::Duration;

use loadgen::config::{Arrivals, Load};

use super::scenario::Scenario;

/// How many requests are expected.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expected {
    /// Those of the open loops.
    pub requests: f64,
    /// The users of the closed loops, whose requests depend on how fast they are answered.
    pub users: u64,
}

impl Scenario {
    /// The mean number of requests over the whole duration, warm-up included.
    pub fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        for load in self.load.values() {
            match (open(load, self.duration.0), load.users) {
                (Some(requests), _) => {
                    let limit = load.requests.map_or(f64::INFINITY, |limit| limit as f64);
                    expected.requests += requests.min(limit);
                }
                (None, users) => expected.users += u64::from(users.unwrap_or(0)),
            }
        }
        expected
    }
}

fn open(load: &Load, duration: Duration) -> Option<f64> {
    let seconds = duration.as_secs_f64();
    Some(match load.arrivals.as_ref()? {
        Arrivals::Constant(rate) | Arrivals::Poisson(rate) => rate.rate * seconds,
        Arrivals::Stages(stages) => {
            let (mut sum, mut left, mut rate) = (0.0, seconds, stages.start);
            for stage in &stages.steps {
                let lasts = stage.lasts.0.as_secs_f64();
                let part = lasts.min(left);
                // A stage that the end of the run cuts short has not reached its target.
                let reached =
                    if lasts > 0.0 { rate + (stage.target - rate) * part / lasts } else { rate };
                sum += f64::midpoint(rate, reached) * part;
                left -= part;
                rate = stage.target;
            }
            sum
        }
        Arrivals::Bursts(bursts) => {
            let time = (seconds - bursts.start.0.as_secs_f64()).max(0.0);
            (time / bursts.every.0.as_secs_f64()).ceil() * bursts.size as f64
        }
        Arrivals::Trace(trace) => {
            let end = seconds * 1e9 * trace.speed;
            let count = trace.requests.len();
            let before =
                |index: usize| trace.requests.at(index).is_some_and(|at| (at as f64) < end);
            partition_point(count, before) as f64
        }
    })
}

/// How many of the first `count` numbers fulfil a condition that, once false, stays so.
fn partition_point(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
