//! Outlier ejection: an endpoint whose answers go wrong is left out for a while (passive health checks).
//!
//! After Envoy's outlier detection (consecutive failures). Every worker reports every result; the
//! counts are shared and lock-free. An ejection lasts `base_ejection` × the number of times in a row, at most `max_ejection`, and
//! the number is counted down again by one for every `decay` that an endpoint has been back without another ejection (Envoy
//! does the same, at each round of its timer; here it is worked out when it is needed).
//!
//! Never more than floor(`max_ejected_share` × endpoints) are ejected at once, and never the last one: a place is reserved
//! before an endpoint is taken out, so the bound holds at every moment, from any number of threads. Unlike Envoy there is no
//! "at least one": of a single endpoint none is ejected, because its wrong answers are still better
//! than no answers, and whoever writes a share so small that it rounds down to none has asked for none.
//!
//! An endpoint that active checks hold to be down is not ejected on top: it would take up a place
//! under the cap for nothing. A probe that passes does not end an ejection, because a health path that
//! answers says little about the requests that failed; only coming back from *down* does (see `Endpoints::set_up`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Instant,
    endpoint::{Endpoints, Outcome},
    quantity::TimeSpan,
    status::{StatusRange, any_contains},
};

/// When an endpoint is ejected for its wrong answers, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutlierConfig {
    /// Whether endpoints are ejected at all.
    pub enabled: bool,
    /// Failures in a row, over all workers, after which an endpoint is ejected.
    #[schemars(range(min = 1))]
    pub consecutive_failures: u32,
    /// The statuses that count as failures, like `[500, "502-504"]`; broken connections and timeouts always do.
    pub statuses: Vec<StatusRange>,
    /// How long the first ejection lasts; the second lasts twice as long, and so on.
    pub base_ejection: TimeSpan,
    /// The longest that an ejection lasts.
    pub max_ejection: TimeSpan,
    /// How long an endpoint must have been back for one ejection to be forgotten.
    pub decay: TimeSpan,
    /// The greatest share of the endpoints that may be ejected at once, rounded down.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_ejected_share: f64,
}

impl Default for OutlierConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            consecutive_failures: 5,
            statuses: StatusRange::new(500, 599).into_iter().collect(),
            base_ejection: TimeSpan::secs(30),
            max_ejection: TimeSpan::secs(300),
            decay: TimeSpan::secs(10),
            max_ejected_share: 0.5,
        }
    }
}

impl OutlierConfig {
    /// What is impossible about the values: the field's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let bad = |name, what: &str| Some((name, what.to_owned()));
        if self.consecutive_failures == 0 {
            return bad("consecutive_failures", "must be at least 1");
        }
        if self.base_ejection.0.is_zero() {
            return bad("base_ejection", "must be longer than 0");
        }
        if self.max_ejection < self.base_ejection {
            return bad("max_ejection", "must not be shorter than `base_ejection`");
        }
        if self.decay.0.is_zero() {
            return bad("decay", "must be longer than 0");
        }
        if !(0.0..=1.0).contains(&self.max_ejected_share) {
            return bad("max_ejected_share", "must be 0 to 1");
        }
        None
    }

    /// Whether an answer with this status counts as a failure.
    pub fn is_failure(&self, status: u16) -> bool {
        any_contains(&self.statuses, status)
    }

    /// How many of so many endpoints may be ejected at once: the share, rounded down, and never all.
    pub fn max_ejected(&self, endpoints: usize) -> u32 {
        // A ten-billionth more: 0.29 × 100 is 28.999999999999996 in binary.
        let share = (self.max_ejected_share * endpoints as f64 + 1e-10).floor() as u32;
        share.min((endpoints as u32).saturating_sub(1))
    }
}

/// An endpoint has been ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// When it returns.
    pub until: Instant,
    /// How many times in a row it has been ejected.
    pub times: u32,
}

/// Takes the result of a request to endpoint `index`; ejects the endpoint if that was one failure too many.
pub fn on_result(
    config: &OutlierConfig,
    endpoints: &Endpoints,
    index: u32,
    now: Instant,
    outcome: Outcome,
) -> Option<Ejection> {
    let endpoint = endpoints.list().get(index as usize)?;
    match outcome {
        Outcome::Success => endpoint.succeeded(),
        Outcome::Failure => {
            let failures = endpoint.failed();
            if config.enabled && failures >= config.consecutive_failures {
                return eject(config, endpoints, index, now);
            }
        }
        Outcome::Cancelled => {}
    }
    None
}

fn eject(
    config: &OutlierConfig,
    endpoints: &Endpoints,
    index: u32,
    now: Instant,
) -> Option<Ejection> {
    let endpoint = &endpoints.list()[index as usize];
    let good_periods =
        now.since(endpoint.last_return()).as_nanos() / config.decay.0.as_nanos().max(1);
    let forgotten = u32::try_from(good_periods).unwrap_or(u32::MAX);
    let times = endpoint.times_ejected().saturating_sub(forgotten).saturating_add(1);
    let lasts = config.base_ejection.0.saturating_mul(times).min(config.max_ejection.0);
    let limit = config.max_ejected(endpoints.list().len());
    let until = endpoints.eject(index, now + lasts, times, limit)?;
    Some(Ejection { until, times })
}

/// Ends the ejections whose time is over and moves the generation; how many. Costs a load when nothing is due.
pub fn expire(endpoints: &Endpoints, now: Instant) -> u32 {
    endpoints.expire(now)
}
