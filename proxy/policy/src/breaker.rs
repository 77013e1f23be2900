//! A circuit breaker: whoever does not answer is not asked for a while.
//!
//! After Nygard's pattern ("Release It!", 2007) with its three states. *Closed*: calls pass, and failures are counted, in a row and as a share
//! over a window of time. *Open*: calls are refused at once. *Half-open*: when the time is over one call at a time is let through as a
//! probe, and its result decides. Each opening in a row lasts twice as long as the one before, up to a limit, less a random part, so that
//! many proxies do not come back to a recovering server at the same moment; the row ends when the breaker has been closed for as long
//! as the longest opening.
//!
//! Each call holds a [`Ticket`]. Results of calls that began before the state last changed count for nothing: a thousand calls
//! that time out together open the breaker once.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Instant, Rng, endpoint::Outcome, quantity::TimeSpan};

/// When calls are refused, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerConfig {
    /// Failures in a row after which calls are refused.
    #[schemars(range(min = 1))]
    pub failures: u32,
    /// The share of failures over `window` from which on calls are refused, too.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
    /// Over how long the share is taken.
    pub window: TimeSpan,
    /// Calls that `window` must have seen for the share to count.
    #[schemars(range(min = 1))]
    pub least: u32,
    /// How long calls are refused the first time; the second time in a row twice as long, and so on.
    pub open: TimeSpan,
    /// The longest that calls are refused before one of them is let through to see.
    pub max_open: TimeSpan,
    /// The random part of these times: 0.2 takes away up to a fifth.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            share: 0.5,
            window: TimeSpan::secs(10),
            least: 20,
            open: TimeSpan::millis(250),
            max_open: TimeSpan::secs(5),
            jitter: 0.2,
        }
    }
}

impl BreakerConfig {
    /// What is impossible about the values: the field's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let bad = |name, what: &str| Some((name, what.to_owned()));
        if self.failures == 0 {
            return bad("failures", "must be at least 1");
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            return bad("share", "must be more than 0 and at most 1");
        }
        if self.window.0 < Duration::from_millis(1) {
            return bad("window", "must be at least 1ms");
        }
        if self.least == 0 {
            return bad("least", "must be at least 1");
        }
        if self.open.0.is_zero() {
            return bad("open", "must be longer than 0");
        }
        if self.max_open < self.open {
            return bad("max_open", "must not be shorter than `open`");
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return bad("jitter", "must be 0 to 1");
        }
        None
    }

    /// How long the opening of this number in a row (from 1) lasts at most.
    fn lasts(&self, times: u32) -> Duration {
        let doubled = times.saturating_sub(1).min(30);
        self.open.0.saturating_mul(1 << doubled).min(self.max_open.0)
    }
}

/// A call that was let through: hand it back with the result, whatever that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a probe that is never told of keeps all others out"]
pub struct Ticket {
    generation: u64,
    probe: bool,
}

impl Ticket {
    /// Whether this call decides if the breaker closes again.
    pub fn is_probe(self) -> bool {
        self.probe
    }
}

/// The breaker has changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// From closed to open.
    Opened {
        /// When the first probe may go.
        until: Instant,
    },
    /// A probe has failed: open again, for longer.
    StaysOpen {
        /// When the next probe may go.
        until: Instant,
    },
    /// A probe has succeeded.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { row: u32 },
    Open { until: Instant },
    HalfOpen,
}

/// Parts of the window.
const SLOTS: usize = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Which part of time it counts: `now / (window / SLOTS)`.
    number: u64,
    calls: u32,
    failures: u32,
}

/// A circuit breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
    generation: u64,
    slots: [Slot; SLOTS],
    /// Openings in a row.
    times: u32,
    /// When it was last closed after an opening.
    closed_at: Instant,
}

impl Breaker {
    /// A closed one.
    pub fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            state: State::Closed { row: 0 },
            generation: 0,
            slots: [Slot::default(); SLOTS],
            times: 0,
            closed_at: Instant::START,
        }
    }

    /// Whether a call may go; nothing when it is refused.
    pub fn ask(&mut self, now: Instant) -> Option<Ticket> {
        match self.state {
            State::Closed { .. } => Some(Ticket { generation: self.generation, probe: false }),
            State::Open { until } if now >= until => {
                self.enter(State::HalfOpen);
                Some(Ticket { generation: self.generation, probe: true })
            }
            State::Open { .. } | State::HalfOpen => None,
        }
    }

    /// What came of a call. `Cancelled` says nothing of the other side: a probe that was cancelled makes room for another.
    pub fn tell(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Change> {
        if ticket.generation != self.generation {
            return None;
        }
        match (self.state, outcome) {
            (State::Closed { .. }, Outcome::Cancelled) | (State::Open { .. }, _) => None,
            (State::Closed { .. }, Outcome::Success) => {
                self.state = State::Closed { row: 0 };
                self.slot(now).calls += 1;
                None
            }
            (State::Closed { row }, Outcome::Failure) => {
                let row = row.saturating_add(1);
                self.state = State::Closed { row };
                let slot = self.slot(now);
                slot.calls += 1;
                slot.failures += 1;
                if row < self.config.failures && !self.share_is_reached(now) {
                    return None;
                }
                let quiet = now.since(self.closed_at) >= self.config.max_open.0;
                self.times = if quiet { 1 } else { self.times.saturating_add(1) };
                Some(Change::Opened { until: self.open(now, rng) })
            }
            (State::HalfOpen, Outcome::Cancelled) => {
                self.enter(State::Open { until: now });
                None
            }
            (State::HalfOpen, Outcome::Failure) => {
                self.times = self.times.saturating_add(1);
                Some(Change::StaysOpen { until: self.open(now, rng) })
            }
            (State::HalfOpen, Outcome::Success) => {
                self.slots = [Slot::default(); SLOTS];
                self.closed_at = now;
                self.enter(State::Closed { row: 0 });
                Some(Change::Closed)
            }
        }
    }

    /// Whether calls pass without being probes.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    fn open(&mut self, now: Instant, rng: &mut Rng) -> Instant {
        let longest = self.config.lasts(self.times);
        let until = now + longest.mul_f64(1.0 - self.config.jitter * rng.unit());
        self.enter(State::Open { until });
        until
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }

    fn slot_number(&self, now: Instant) -> u64 {
        let width = crate::time::nanos(self.config.window.0) / SLOTS as u64;
        now.as_nanos() / width.max(1)
    }

    /// The part of the window that counts now, emptied if it counted another time.
    fn slot(&mut self, now: Instant) -> &mut Slot {
        let number = self.slot_number(now);
        let slot = &mut self.slots[(number % SLOTS as u64) as usize];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot
    }

    fn share_is_reached(&self, now: Instant) -> bool {
        let present = self.slot_number(now);
        let counted = self.slots.iter().filter(|slot| present.abs_diff(slot.number) < SLOTS as u64);
        let (calls, failures) = counted.fold((0_u64, 0_u64), |(calls, failures), slot| {
            (calls + u64::from(slot.calls), failures + u64::from(slot.failures))
        });
        calls >= u64::from(self.config.least) && failures as f64 >= self.config.share * calls as f64
    }
}
