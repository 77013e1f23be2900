//! C3: the endpoint with the lowest score of all, in which what is queued there counts by its cube.
//!
//! Suresh, Canini, Schmid and Feldmann, *C3: Cutting Tail Latency in Cloud Data Stores via Adaptive Replica Selection* (NSDI 2015); in use in
//! Elasticsearch (adaptive replica selection), whose reading of the formula this is. With each answer an endpoint says how many requests
//! are queued there and how long serving one takes, in the header field that `report.rs` describes. From moving averages of these, and of
//! the response times that the worker has seen itself, an endpoint's score is
//!
//! ```text
//! q̂ = 1 + in flight × clients + q̄          R̄ - S̄ + q̂³ × S̄
//! ```
//!
//! R̄ - S̄ is what an answer takes besides being served; q̂ is an estimate of the queue that the next request would find, since others than this
//! proxy send there, too, of whom the endpoint's own figure is old news. Its cube is a compromise: linear, a fast endpoint would be given
//! so long a queue that a hiccup there costs dearly; to the fourth power, everybody gets the same and slow ones the same, too.
//!
//! In flight are the requests of all workers of this proxy; other proxies come in by `clients`. A weight divides q̂. An endpoint that
//! reports nothing is taken to serve as long as it answers, and to queue nobody. One that has not answered for `forget`, or not yet, is
//! given the best service time that is known of any, and is so tried (the paper has no need of that: there, all replicas of a key get
//! some of its requests). What failed or was given up counts as an answer only if it lasted longer than answers do: it took at least that.
//!
//! *Rate control* (`rate_control`, off): the second half of C3. Each worker counts for each endpoint what it sends and what comes back, in windows of
//! 20 ms. More sent than came back: the allowed rate falls to a fifth less. Else it grows, by a cubic curve as TCP's congestion window does in CUBIC
//! (slowly around the rate at which it fell, for 100 ms, then steeply), by at most 10 a window. An endpoint that has had its rate is passed over. In the paper a request
//! for which all replicas have had theirs waits in the client until one has not; a strategy here only chooses, and holds back nobody, so
//! then the lowest score decides as if there were no rates. That is why it is off: in the paper it is what keeps the
//! queues short, here it spreads bursts.
//!
//! Parameters: `clients` (1), `alpha` (0.3, Elasticsearch's: the weight of what is new), `forget` (10 s), `rate_control` (false). Cost of a pick: a pass over all
//! candidates, with a shared counter and a handful of multiplications each.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Balancer, Needs, ParameterInfo, Parameters, StrategyInfo};
use crate::{
    Instant, LoadReport, Rng,
    endpoint::{Outcome, View},
    quantity::TimeSpan,
    time::nanos,
};

/// What `c3` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "c3",
    summary: "The lowest score of all: response time and the cube of an estimate of the queue, from load reports.",
    parameters: &[
        ParameterInfo {
            name: "clients",
            default: "1",
            doc: "How many proxies send to the same endpoints, 1 to 10000.",
        },
        ParameterInfo {
            name: "alpha",
            default: "0.3",
            doc: "The weight of a new figure in the moving averages, above 0 to 1.",
        },
        ParameterInfo {
            name: "forget",
            default: "\"10s\"",
            doc: "After so long without an answer nothing is known of an endpoint; more than 0.",
        },
        ParameterInfo {
            name: "rate_control",
            default: "false",
            doc: "Whether an endpoint is passed over that answers more slowly than it is asked.",
        },
    ],
};

/// The parameters of `c3`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many proxies send to the same endpoints.
    #[schemars(range(min = 1, max = 10000))]
    pub clients: u32,
    /// The weight of a new figure in the moving averages.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha: f64,
    /// After so long without an answer nothing is known of an endpoint.
    pub forget: TimeSpan,
    /// Whether an endpoint is passed over that answers more slowly than it is asked.
    pub rate_control: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { clients: 1, alpha: 0.3, forget: TimeSpan::secs(10), rate_control: false }
    }
}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(C3 { config: self.clone(), figures: Vec::new() })
    }

    fn needs(&self) -> Needs<'_> {
        Needs::Reports
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        if !(1..=10_000).contains(&self.clients) {
            return Some(("strategy.clients", "must be 1 to 10000".to_owned()));
        }
        if self.forget.0.is_zero() {
            return Some(("strategy.forget", "must be more than 0".to_owned()));
        }
        let possible = self.alpha > 0.0 && self.alpha <= 1.0;
        (!possible).then(|| ("strategy.alpha", "must be above 0 and at most 1".to_owned()))
    }
}

#[derive(Debug)]
struct C3 {
    config: Config,
    /// By endpoint.
    figures: Vec<Figure>,
}

/// What is known of an endpoint; times in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Figure {
    /// When it answered last.
    answered: Option<Instant>,
    response: Average,
    service: Average,
    queue: Average,
    rate: Rate,
}

/// A moving average; nothing before the first figure.
#[derive(Clone, Copy, Debug, Default)]
struct Average(Option<f64>);

impl Average {
    fn add(&mut self, figure: f64, alpha: f64) {
        self.0 = Some(self.0.map_or(figure, |before| before + alpha * (figure - before)));
    }
}

impl Figure {
    /// Response and service time and queue, if they are known.
    fn known(&self, now: Instant, forget: Duration) -> Option<(f64, f64, f64)> {
        let fresh = self.answered.is_some_and(|answered| now.since(answered) < forget);
        let response = self.response.0.filter(|_| fresh)?;
        Some((response, self.service.0.unwrap_or(response), self.queue.0.unwrap_or(0.0)))
    }
}

impl Balancer for C3 {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        if self.figures.len() < view.endpoints.len() {
            self.figures.resize(view.endpoints.len(), Figure::default());
        }
        let forget = self.config.forget.0;
        let known = view
            .ready
            .iter()
            .filter_map(|index| self.figures[*index as usize].known(view.now, forget));
        let best = known.map(|(_, service, _)| service).fold(f64::INFINITY, f64::min);
        // Where nothing is known of anybody, any figure will do.
        let unknown = if best.is_finite() { best } else { 1.0 };
        let clients = f64::from(self.config.clients);
        let mut found = Lowest::default();
        let mut held = Lowest::default();
        for &index in view.ready.iter().filter(|&&index| view.may_take(index)) {
            let figure = &self.figures[index as usize];
            let (response, service, queue) =
                figure.known(view.now, forget).unwrap_or((unknown, unknown, 0.0));
            let endpoint = &view.endpoints[index as usize];
            let queue = 1.0 + f64::from(endpoint.in_flight()) * clients + queue;
            let queue = queue / f64::from(endpoint.weight);
            let score = response - service + queue * queue * queue * service;
            let lowest = if self.config.rate_control && !figure.rate.allows(view.now) {
                &mut held
            } else {
                &mut found
            };
            lowest.look(index, score, rng);
        }
        let index = found.index.or(held.index)?;
        if self.config.rate_control {
            self.figures[index as usize].rate.sent(view.now);
        }
        Some(index)
    }

    fn on_report(&mut self, endpoint: u32, now: Instant, report: &LoadReport) {
        let (alpha, forget) = (self.config.alpha, self.config.forget.0);
        let Some(figure) = self.figures.get_mut(endpoint as usize) else { return };
        figure.renew(now, forget);
        figure.queue.add(f64::from(report.queue), alpha);
        if !report.service_time.is_zero() {
            figure.service.add(nanos(report.service_time) as f64, alpha);
        }
    }

    fn on_end(&mut self, endpoint: u32, now: Instant, elapsed: Duration, outcome: Outcome) {
        let Config { alpha, forget, rate_control, .. } = self.config;
        let Some(figure) = self.figures.get_mut(endpoint as usize) else { return };
        if rate_control {
            figure.rate.ended(now);
        }
        let took = nanos(elapsed) as f64;
        let is_longer = || figure.known(now, forget.0).is_none_or(|(response, ..)| took > response);
        if outcome == Outcome::Success || is_longer() {
            figure.renew(now, forget.0);
            figure.answered = Some(now);
            figure.response.add(took, alpha);
        }
    }
}

impl Figure {
    /// Forgets what is too old.
    fn renew(&mut self, now: Instant, forget: Duration) {
        if self.answered.is_some_and(|answered| now.since(answered) >= forget) {
            *self = Self { rate: self.rate, ..Self::default() };
        }
    }
}

/// The lowest score, any of them when several have it.
#[derive(Debug, Default)]
struct Lowest {
    index: Option<u32>,
    score: f64,
    tied: u64,
}

impl Lowest {
    fn look(&mut self, index: u32, score: f64, rng: &mut Rng) {
        if self.index.is_none() || score < self.score {
            *self = Self { index: Some(index), score, tied: 1 };
        } else if score <= self.score {
            self.tied += 1;
            if rng.below(self.tied) == 0 {
                self.index = Some(index);
            }
        }
    }
}

/// A window of the rate control.
const WINDOW: Duration = Duration::from_millis(20);
/// What is left of a rate that was too high.
const DECREASE: f64 = 0.8;
/// The curve is back at the rate at which it fell after so long.
const SADDLE: f64 = 100e6;
/// A rate grows by so much a window at most.
const STEP: f64 = 10.0;
/// A rate is never less than this, in requests a window.
const LEAST: f64 = 0.1;
/// Where a rate begins.
const FIRST: f64 = 10.0;

/// What one endpoint may be sent, in requests a window.
#[derive(Clone, Copy, Debug)]
struct Rate {
    limit: f64,
    /// The rate before it fell last, and when that was.
    high: f64,
    fell: Instant,
    rose: Instant,
    /// The present window.
    begun: Instant,
    sent: u32,
    ended: u32,
    /// What may be sent now, in requests: a bucket that fills with the rate.
    credit: f64,
    filled: Instant,
}

impl Default for Rate {
    fn default() -> Self {
        let start = Instant::START;
        Self {
            limit: FIRST,
            high: FIRST,
            fell: start,
            rose: start,
            begun: start,
            sent: 0,
            ended: 0,
            credit: FIRST,
            filled: start,
        }
    }
}

impl Rate {
    fn credit(&self, now: Instant) -> f64 {
        let windows = now.nanos_since(self.filled) as f64 / nanos(WINDOW) as f64;
        (self.credit + windows * self.limit).min(self.limit.max(1.0))
    }

    /// Whether it has not had its rate yet.
    fn allows(&self, now: Instant) -> bool {
        self.credit(now) >= 1.0
    }

    fn sent(&mut self, now: Instant) {
        self.roll(now);
        self.credit = (self.credit(now) - 1.0).max(0.0);
        self.filled = now;
        self.sent += 1;
    }

    fn ended(&mut self, now: Instant) {
        self.roll(now);
        self.ended += 1;
    }

    /// At the end of a window the rate follows from what was sent and what came back in it.
    fn roll(&mut self, now: Instant) {
        let windows = now.nanos_since(self.begun) / nanos(WINDOW);
        if windows == 0 {
            return;
        }
        (self.credit, self.filled) = (self.credit(now), now);
        if self.sent > self.ended && now.since(self.rose) >= 2 * WINDOW {
            self.high = self.limit;
            self.limit = (self.limit * DECREASE).max(LEAST);
            self.fell = now;
        } else if self.sent <= self.ended {
            let curve = 1.0 - DECREASE;
            // (t / saddle - 1)³ is -1 when it fell, 0 at the saddle, and steep beyond.
            let way = now.nanos_since(self.fell) as f64 / SADDLE - 1.0;
            let target = self.high * (1.0 + curve * way * way * way);
            self.limit = target.clamp(LEAST, self.limit + STEP * windows as f64);
            self.rose = now;
        }
        (self.begun, self.sent, self.ended) = (now, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::START + Duration::from_millis(millis)
    }

    #[test]
    fn a_rate_falls_where_less_comes_back_and_climbs_again() {
        let mut rate = Rate::default();
        // Three a window are sent, one comes back.
        for window in 3..20 {
            (0..3).for_each(|_| rate.sent(at(window * 20)));
            rate.ended(at(window * 20 + 1));
        }
        let fallen = rate.limit;
        assert!(fallen < 2.0, "{fallen}");
        // From here on all of it comes back.
        for window in 20..27 {
            rate.sent(at(window * 20));
            rate.ended(at(window * 20 + 1));
        }
        assert!(rate.limit > fallen && rate.limit <= rate.high * 1.01, "{}", rate.limit);
        for window in 27..60 {
            rate.sent(at(window * 20));
            rate.ended(at(window * 20 + 1));
        }
        assert!(rate.limit > 10.0, "{}", rate.limit);
    }

    #[test]
    fn a_rate_is_kept() {
        let mut rate = Rate::default();
        let mut sent = 0;
        for millis in 0..1000 {
            let now = at(1000 + millis);
            if rate.allows(now) {
                rate.sent(now);
                rate.ended(now);
                sent += 1;
            }
        }
        // Ten a window at first, and it may grow.
        assert!(sent >= 500, "{sent}");
        let mut rate =
            Rate { limit: 1.0, credit: 0.0, filled: at(0), begun: at(999), ..Rate::default() };
        let allowed = (0..100).filter(|millis| {
            let now = at(*millis);
            let allowed = rate.allows(now);
            if allowed {
                rate.credit = rate.credit(now) - 1.0;
                rate.filled = now;
            }
            allowed
        });
        assert_eq!(allowed.count(), 4);
    }
}
