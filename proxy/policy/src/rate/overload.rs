//! Admission control: who is refused when an upstream has as much as it can do.
//!
//! A server that takes all that comes is slow for all, and at last answers nobody in time: the work that it does is thrown away by clients that have
//! given up (Google, *Site Reliability Engineering*, chapter 21). So the proxy keeps to a limit on what the upstream has under way
//! ([`Adaptive`]) and refuses the rest at once with 503 and `Retry-After`, before any queue grows.
//!
//! Who is refused goes by priority. Each class may fill the limit up to its share: *critical* all of it, the others less, so that as the load
//! grows the lowest find no place first, and there is always a place left for those above. Telephony does the same with its lines and calls it
//! trunk reservation (Key 1990); WeChat's DAGOR (Zhou et al. 2018) and the criticalities of that chapter have the same classes. It
//! needs no second control loop, and where all requests are of one class it costs nothing: the limit grows until that class fills what the upstream can
//! do.
//!
//! A request is asked after the cache has had no answer for it, and counts until the head of its answer is there. A body
//! flows at the client's pace, and an event stream or a WebSocket would hold its place for hours.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Adaptive, AdaptiveConfig, Ended};
use crate::{Instant, message::Asked, quantity::TimeSpan};

/// How important a request is.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// It can be done without, or later: the first to be refused.
    Low,
    /// As most are.
    #[default]
    Normal,
    /// A user waits for it.
    High,
    /// The last to be refused.
    Critical,
}

impl Priority {
    /// All of them, the lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    fn read(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        Self::ALL.into_iter().find(|known| text.eq_ignore_ascii_case(known.name().as_bytes()))
    }
}

/// Who is refused first when the upstream's limit is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShedConfig {
    /// How important requests are that do not say it; a route may have its own.
    pub priority: Priority,
    /// The field in which a request says it: "low", "normal", "high" or "critical". None by default, for a client can write what it likes;
    /// let a filter set or remove it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The most important that a request can say it is.
    pub highest: Priority,
    /// How much of the limit requests of each priority may fill.
    pub shares: Shares,
    /// When those are told to come back that are refused, with 503.
    pub retry_after: TimeSpan,
}

impl Default for ShedConfig {
    fn default() -> Self {
        Self {
            priority: Priority::Normal,
            header: None,
            highest: Priority::High,
            shares: Shares::default(),
            retry_after: TimeSpan::secs(1),
        }
    }
}

/// How much of the limit requests of each priority may fill; critical ones all of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// Of high priority.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub high: f64,
    /// Of normal priority.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub normal: f64,
    /// Of low priority.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub low: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self { high: 0.9, normal: 0.75, low: 0.5 }
    }
}

impl Shares {
    /// Of this priority.
    pub fn of(&self, priority: Priority) -> f64 {
        match priority {
            Priority::Low => self.low,
            Priority::Normal => self.normal,
            Priority::High => self.high,
            Priority::Critical => 1.0,
        }
    }
}

impl ShedConfig {
    /// What is impossible about the values: the field's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let bad = |field, what: &str| Some((field, what.to_owned()));
        let Shares { high, normal, low } = self.shares;
        if !(0.0 <= low && low <= normal && normal <= high && high <= 1.0) {
            return bad(
                "shares",
                "must be 0 to 1, and not less for a higher priority (low <= normal <= high)",
            );
        }
        if self
            .header
            .as_ref()
            .is_some_and(|name| format!("header:{name}").parse::<crate::balance::Key>().is_err())
        {
            return bad("header", "must be the name of a header field, like \"X-Priority\"");
        }
        if !(0.001..=3600.0).contains(&self.retry_after.0.as_secs_f64()) {
            return bad("retry_after", "must be 1ms to 1h");
        }
        None
    }

    /// How important a request is.
    pub fn priority_of(&self, asked: &Asked<'_>) -> Priority {
        let said = self.header.as_ref().and_then(|name| asked.fields.find(name));
        said.and_then(Priority::read).map_or(self.priority, |said| said.min(self.highest))
    }

    /// Without classes: every request may fill all of the limit.
    pub fn none() -> Self {
        Self { shares: Shares { high: 1.0, normal: 1.0, low: 1.0 }, ..Self::default() }
    }

    /// When who is refused may come back, in seconds.
    pub fn seconds(&self) -> u64 {
        self.retry_after.0.as_nanos().div_ceil(1_000_000_000) as u64
    }
}

/// What an upstream has under way, and how much it may have; shared by all workers.
#[derive(Debug)]
#[repr(align(128))]
pub struct Overload {
    under_way: AtomicU32,
    /// What `state` says, for those who need not wait for it.
    limit: AtomicU32,
    state: Mutex<Adaptive>,
    config: AdaptiveConfig,
    /// By priority.
    refused: [AtomicU64; 4],
}

impl Overload {
    /// With nothing under way.
    pub fn new(config: &AdaptiveConfig) -> Self {
        Self {
            under_way: AtomicU32::new(0),
            limit: AtomicU32::new(config.start),
            state: Mutex::new(Adaptive::new(config)),
            config: config.clone(),
            refused: Default::default(),
        }
    }

    /// What it was made from.
    pub fn config(&self) -> &AdaptiveConfig {
        &self.config
    }

    /// Takes a place for a request, if its class may have one more. Pair it with [`leave`](Self::leave).
    #[must_use]
    pub fn enter(&self, priority: Priority, shares: &Shares) -> bool {
        let most = (f64::from(self.limit()) * shares.of(priority)) as u32;
        // A class that may fill anything may have one.
        let most = if shares.of(priority) > 0.0 { most.max(1) } else { 0 };
        let more = |under_way: u32| (under_way < most).then(|| under_way + 1);
        let entered = self.under_way.fetch_update(Relaxed, Relaxed, more).is_ok();
        if !entered {
            self.refused[priority as usize].fetch_add(1, Relaxed);
        }
        entered
    }

    /// A request that entered at `begun` has ended `now`. Exactly once for each.
    pub fn leave(&self, now: Instant, begun: Instant, ended: Ended) {
        let under_way = self.under_way.fetch_sub(1, Relaxed);
        debug_assert!(under_way > 0, "`leave` without `enter`");
        if under_way == 0 {
            self.under_way.fetch_add(1, Relaxed);
        }
        // One sample more or less says nothing: who finds another worker here goes on.
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(std::sync::TryLockError::WouldBlock) => return,
        };
        state.on_end(now, begun, under_way, ended);
        self.limit.store(state.limit(), Relaxed);
    }

    /// How many requests may be under way.
    pub fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    /// How many are.
    pub fn under_way(&self) -> u32 {
        self.under_way.load(Relaxed)
    }

    /// How many requests of each priority were refused, the lowest first.
    pub fn refused(&self) -> impl Iterator<Item = (Priority, u64)> {
        Priority::ALL
            .into_iter()
            .map(|priority| (priority, self.refused[priority as usize].load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Algorithm;

    #[test]
    fn the_lowest_are_refused_first_and_there_is_room_for_the_others() {
        let config =
            AdaptiveConfig { algorithm: Algorithm::Fixed, start: 20, ..AdaptiveConfig::default() };
        let overload = Overload::new(&config);
        let shares = Shares::default();
        let fill = |priority| (0..100).filter(|_| overload.enter(priority, &shares)).count();
        assert_eq!(Priority::ALL.map(fill), [10, 5, 3, 2]);
        let refused: Vec<u64> = overload.refused().map(|(_, refused)| refused).collect();
        assert_eq!(refused, [90, 95, 97, 98]);
        for _ in 0..6 {
            overload.leave(Instant::START, Instant::START, Ended::Answered);
        }
        assert_eq!(Priority::ALL.map(fill), [0, 1, 3, 2]);
    }

    #[test]
    fn a_request_may_say_how_important_it_is_up_to_a_bound() {
        let config = ShedConfig { header: Some("X-Priority".to_owned()), ..ShedConfig::default() };
        assert_eq!(config.problem(), None);
        let of = |value: &str| {
            let fields: &[(&str, &str)] = &[("x-priority", value)];
            config.priority_of(&Asked {
                client: [127, 0, 0, 1].into(),
                method: b"GET",
                host: b"a",
                target: b"/",
                fields: &fields,
            })
        };
        assert_eq!(of("low"), Priority::Low);
        assert_eq!(of(" HIGH "), Priority::High);
        assert_eq!(of("critical"), Priority::High);
        assert_eq!(of("most urgent"), Priority::Normal);
    }

    #[test]
    fn impossible_values_are_named() {
        let good = ShedConfig::default;
        assert_eq!(good().problem(), None);
        let upside_down = Shares { high: 0.5, normal: 0.7, low: 0.1 };
        for (config, field) in [
            (ShedConfig { shares: upside_down, ..good() }, "shares"),
            (ShedConfig { header: Some("a b".to_owned()), ..good() }, "header"),
            (ShedConfig { retry_after: TimeSpan::secs(0), ..good() }, "retry_after"),
        ] {
            assert_eq!(config.problem().map(|(field, _)| field), Some(field));
        }
    }
}
