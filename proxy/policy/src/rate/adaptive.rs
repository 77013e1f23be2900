//! How many requests an upstream can have under way before they queue: found out from how long they take.
//!
//! While an upstream has room, more requests take no longer; when it has none, each further one only waits. So the limit grows while response
//! times are as they were, and shrinks when they are longer. The gradient algorithm is that of Netflix's concurrency-limits
//! (`Gradient2Limit`): the response time of a short window is compared with a long average, and
//!
//! ```text
//! gradient = clamp(tolerance × long / short, 0.5, 1)
//! limit    = limit × (1 - smoothing) + (limit × gradient + √limit) × smoothing
//! ```
//!
//! where √limit is the queue that it allows itself, so that it can find out that there is more room. A window of few requests, or one in which not even half
//! of the limit was under way, says nothing about the limit. Four things differ from the original:
//!
//! - The long average learns ten times slower from times above it than from times below. It stands for the time without a queue; one that
//!   learns from the queue as well takes any overload that lasts for normal after a minute, and lets the limit run away.
//! - Where it is at its least, requests do not wait for one another. Times that are long there are those of an upstream that has become slower, and they
//!   are what is usual from then on; Envoy's adaptive concurrency measures its base so. Else an upstream that is slower for good would be left there.
//! - A window is at least one round: as many answers as the limit allows (10 to 200). A mean over fewer is noise, and the gradient is clamped on one side.
//! - Requests that were dropped (no connection, no answer in time, 503, 504) have no meaningful time. Where they are more than one in
//!   twenty, the window counts as the worst.
//!
//! `aimd` (additive increase, multiplicative decrease: Chiu and Jain 1989) does not look at times at all: one more each window while nothing is dropped, a
//! share less when something is, or when requests take longer than `patience`. `fixed` is what it says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Instant, quantity::TimeSpan, time::nanos};

/// A limit on the requests that an upstream has under way, which adapts to what the upstream can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptiveConfig {
    /// How the limit is found.
    pub algorithm: Algorithm,
    /// The limit at the start; for `fixed`, always.
    #[schemars(range(min = 1))]
    pub start: u32,
    /// It never is below this.
    #[schemars(range(min = 1))]
    pub min: u32,
    /// It never is above this.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u32,
    /// For `gradient`: how many times longer than usual requests may take before the limit shrinks.
    #[schemars(range(min = 1.0, max = 10.0))]
    pub tolerance: f64,
    /// For `gradient`: how much of each change is made at once.
    #[schemars(range(min = 0.01, max = 1.0))]
    pub smoothing: f64,
    /// How long response times are collected before the limit changes.
    pub window: TimeSpan,
    /// For `gradient`: over how many windows is learned what is usual.
    #[schemars(range(min = 10, max = 100_000))]
    pub long_windows: u32,
    /// For `aimd`: what the limit is multiplied with when requests are dropped.
    #[schemars(range(min = 0.1, max = 0.99))]
    pub backoff: f64,
    /// For `aimd`: what takes longer counts as dropped.
    pub patience: TimeSpan,
}

/// How the limit is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// From response times: it shrinks when they grow (Netflix's Gradient2).
    #[default]
    Gradient,
    /// From what is dropped: one more at a time, a share less when something is.
    Aimd,
    /// It stays at `start`.
    Fixed,
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Gradient,
            start: 100,
            min: 10,
            max: 10_000,
            tolerance: 1.5,
            smoothing: 0.2,
            window: TimeSpan::millis(100),
            long_windows: 600,
            backoff: 0.9,
            patience: TimeSpan::secs(5),
        }
    }
}

impl AdaptiveConfig {
    /// What is impossible about the values: the field's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let bad = |field, what: &str| Some((field, what.to_owned()));
        if self.min == 0 {
            return bad("min", "must be at least 1");
        }
        if self.max < self.min || self.max > 1_000_000 {
            return bad("max", "must be at least `min` and at most 1000000");
        }
        if !(self.min..=self.max).contains(&self.start) {
            return bad("start", "must be from `min` to `max`");
        }
        if !(1.0..=10.0).contains(&self.tolerance) {
            return bad("tolerance", "must be 1 to 10");
        }
        if !(0.01..=1.0).contains(&self.smoothing) {
            return bad("smoothing", "must be 0.01 to 1");
        }
        if !(0.001..=60.0).contains(&self.window.0.as_secs_f64()) {
            return bad("window", "must be 1ms to 1m");
        }
        if !(10..=100_000).contains(&self.long_windows) {
            return bad("long_windows", "must be 10 to 100000");
        }
        if !(0.1..=0.99).contains(&self.backoff) {
            return bad("backoff", "must be 0.1 to 0.99");
        }
        if self.patience.0.is_zero() {
            return bad("patience", "must be longer than 0");
        }
        None
    }
}

/// How a request to an upstream ended, as far as its limit is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// It was answered.
    Answered,
    /// It was not answered in time, or for want of room.
    Dropped,
    /// Its client went, after so long without an answer.
    Abandoned,
}

/// So many windows make the first long average.
const WARM_UP: u32 = 10;
/// In so many times as many windows the long average learns from times that are above it.
const RELUCTANCE: f64 = 10.0;
/// After so many windows at its least, times are those without a queue: what was sent before has ended.
const CALM: u32 = 2;

/// The limit, and what it is found from.
#[derive(Clone, Debug)]
pub struct Adaptive {
    config: AdaptiveConfig,
    limit: f64,
    /// The long average of response times, in nanoseconds, and over how many windows it is one.
    long: f64,
    windows: u32,
    /// In so many windows running no more were under way than the least.
    calm: u32,
    window: Window,
}

/// What is being collected.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    begun: Instant,
    sum: f64,
    answered: u32,
    dropped: u32,
    /// The most that were under way.
    under_way: u32,
}

impl Adaptive {
    /// At its start.
    pub fn new(config: &AdaptiveConfig) -> Self {
        Self {
            limit: f64::from(config.start),
            long: 0.0,
            windows: 0,
            calm: 0,
            window: Window::default(),
            config: config.clone(),
        }
    }

    /// How many requests may be under way.
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// A request has ended `now` that was sent at `begun`, when `under_way` were under way with it.
    pub fn on_end(&mut self, now: Instant, begun: Instant, under_way: u32, ended: Ended) {
        if self.config.algorithm == Algorithm::Fixed {
            return;
        }
        let took = now.nanos_since(begun) as f64;
        let impatient =
            self.config.algorithm == Algorithm::Aimd && took > nanos(self.config.patience.0) as f64;
        let window = &mut self.window;
        if window.answered + window.dropped == 0 {
            window.begun = now;
        }
        window.under_way = window.under_way.max(under_way);
        match ended {
            Ended::Dropped => window.dropped += 1,
            _ if impatient => window.dropped += 1,
            Ended::Answered => {
                window.answered += 1;
                window.sum += took;
            }
            // It would have taken longer still: that says something only if it has taken long already.
            Ended::Abandoned if took > self.long => {
                window.answered += 1;
                window.sum += took;
            }
            Ended::Abandoned => {}
        }
        let enough = (self.limit as u32).clamp(10, 200);
        let over = now.since(window.begun) >= self.config.window.0;
        if over && window.answered + window.dropped >= enough {
            let window = std::mem::take(window);
            self.learn(&window);
        }
    }

    fn learn(&mut self, window: &Window) {
        let calm = self.limit() <= self.config.min && window.under_way <= self.config.min;
        self.calm = if calm { self.calm + 1 } else { 0 };
        let short = (window.answered > 0).then(|| window.sum / f64::from(window.answered));
        if let Some(short) = short {
            self.remember(short.max(1.0));
        }
        let lossy = window.dropped * 20 > window.answered + window.dropped;
        // Half of the limit was not even asked for: nothing can be said about the rest of it.
        if f64::from(window.under_way) < self.limit / 2.0 {
            return;
        }
        let AdaptiveConfig { algorithm, min, max, tolerance, smoothing, backoff, .. } = self.config;
        let limit = self.limit;
        let next = match (algorithm, short) {
            (Algorithm::Fixed, _) => limit,
            (Algorithm::Aimd, _) if lossy => limit * backoff,
            (Algorithm::Aimd, _) => limit + 1.0,
            (Algorithm::Gradient, short) => {
                let gradient = match short {
                    Some(short) if !lossy => (tolerance * self.long / short).clamp(0.5, 1.0),
                    _ => 0.5,
                };
                // A square root is exact on every machine (IEEE 754).
                let wanted = limit * gradient + limit.sqrt();
                limit * (1.0 - smoothing) + wanted * smoothing
            }
        };
        self.limit = next.clamp(f64::from(min), f64::from(max));
    }

    fn remember(&mut self, short: f64) {
        if self.windows < WARM_UP {
            self.windows += 1;
            self.long += (short - self.long) / f64::from(self.windows);
            return;
        }
        let step = 2.0 / (f64::from(self.config.long_windows) + 1.0);
        let step = match short > self.long {
            true if self.calm >= CALM => 1.0,
            true => step / RELUCTANCE,
            false => step,
        };
        self.long += (short - self.long) * step;
        // Back from a long overload: what was usual in it need not be forgotten slowly.
        if self.long > 2.0 * short {
            self.long *= 0.95;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_named() {
        let good = AdaptiveConfig::default;
        assert_eq!(good().problem(), None);
        for (config, field) in [
            (AdaptiveConfig { min: 0, ..good() }, "min"),
            (AdaptiveConfig { max: 5, ..good() }, "max"),
            (AdaptiveConfig { start: 5, ..good() }, "start"),
            (AdaptiveConfig { tolerance: 0.5, ..good() }, "tolerance"),
            (AdaptiveConfig { smoothing: 0.0, ..good() }, "smoothing"),
            (AdaptiveConfig { window: TimeSpan::secs(0), ..good() }, "window"),
            (AdaptiveConfig { long_windows: 1, ..good() }, "long_windows"),
            (AdaptiveConfig { backoff: 1.0, ..good() }, "backoff"),
            (AdaptiveConfig { patience: TimeSpan::secs(0), ..good() }, "patience"),
        ] {
            assert_eq!(config.problem().map(|(field, _)| field), Some(field));
        }
    }
}
