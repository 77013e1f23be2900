//! What is sent a second time, and what must not be.
//!
//! Two questions, answered apart. *May* this request be sent again ([`RetryConfig::decide`])? And can the
//! endpoints afford it ([`RetryBudget`])? The first is about correctness, the second about storms.
//!
//! - What provably never reached a backend (no connection came about) may be sent again whatever its method.
//! - Everything else may have been acted upon, so only idempotent methods are sent again (RFC 9110, section 9.2.2): a
//!   request that buys something is never sent twice.
//! - Once the client has seen a part of the answer, or a part of the request's body is gone, it is too late.
//!
//! A *reused* connection that dies before the first byte of an answer was most likely closed by the endpoint at the
//! moment when the request was on its way: an ordinary race of keep-alive and no sign of trouble. Sending such an idempotent
//! request again (the *replay*) does not use up `attempts`: not even at `attempts = 0` does a client see a race that is the
//! proxy's own. It is bounded all the same: the engine sends the replay on a *fresh* connection, which cannot die this
//! way again, so that there is at most one for each sending, `2 × (attempts + 1)` sendings in all. And it *is* paid
//! for from the budget: an endpoint in trouble that drops its connections would otherwise see its load doubled by
//! replays just then. So every second sending is counted, and the share of them is within the budget without exceptions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod budget;

pub use budget::RetryBudget;

use crate::quantity::TimeSpan;

/// When a request is sent a second time, and how many may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// Extra tries of a request; 0 for none.
    #[schemars(range(max = 100))]
    pub attempts: u32,
    /// The statuses after which an idempotent request is tried again, like `[502, 503, 504]`.
    pub statuses: Vec<u16>,
    /// Retries allowed for each request: 0.2 is one for every five.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub budget: f64,
    /// Retries a second that are allowed besides, over all workers, so that little traffic can retry too.
    #[schemars(range(min = 0.0))]
    pub min_per_second: f64,
    /// How long an unused allowance lasts: the greatest burst is what was saved up in this time.
    pub window: TimeSpan,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 1,
            statuses: Vec::new(),
            budget: 0.2,
            min_per_second: 3.0,
            window: TimeSpan::secs(10),
        }
    }
}

/// What went wrong with a sending, as far as it matters for sending again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection came about (refused, failed, timed out): nothing reached a backend.
    NotSent,
    /// A connection that had been used before died before any byte of the answer.
    ReusedClosed,
    /// A fresh connection died before any byte of the answer.
    ClosedBeforeResponse,
    /// The answer did not begin in time.
    ResponseTimeout,
    /// The answer has this status and nothing of it has gone to the client.
    Status(u16),
    /// The answer broke off after its beginning has gone to the client.
    MidResponse,
}

impl Failure {
    /// Whether sending again after it uses up one of `attempts`: count it in `retries_so_far` only then.
    pub fn uses_attempt(self) -> bool {
        self != Self::ReusedClosed
    }
}

/// Whether a request may be acted upon twice (RFC 9110, section 9.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Idempotence {
    /// Twice is as good as once: GET, HEAD, OPTIONS, TRACE, PUT, DELETE.
    Idempotent,
    /// Twice is wrong: everything else.
    NonIdempotent,
}

/// Whether the request's body can be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// There is none, or all that was read of it is still here.
    Replayable,
    /// A part of it has been sent and not been kept.
    Gone,
}

/// Whether to send again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It may be sent again, if [`RetryBudget::try_retry`] agrees.
    Retry,
    /// It must not be.
    GiveUp(Reason),
}

/// Why a request is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The client has seen a part of the answer.
    ResponseBegun,
    /// The status is not among those that are tried again: the answer is the answer.
    StatusNotListed,
    /// A part of the request's body is gone.
    BodyGone,
    /// It may have been acted upon, and must not be twice.
    NonIdempotent,
    /// It was tried as often as it may be.
    OutOfAttempts,
    /// The budget is used up (said by whoever asked the [`RetryBudget`]).
    OverBudget,
}

impl RetryConfig {
    /// What is impossible about the values: the field's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let bad = |name, what: &str| Some((name, what.to_owned()));
        if self.attempts > 100 {
            return bad("attempts", "must be at most 100");
        }
        if self.statuses.iter().any(|status| !(400..=599).contains(status)) {
            return bad("statuses", "must be statuses from 400 to 599");
        }
        if !(0.0..=10.0).contains(&self.budget) {
            return bad("budget", "must be 0 to 10 (retries for each request)");
        }
        if !(0.0..=1e6).contains(&self.min_per_second) {
            return bad("min_per_second", "must be 0 to 1000000");
        }
        let window = self.window.0.as_secs_f64();
        if !(0.1..=3600.0).contains(&window) {
            return bad("window", "must be 100ms to 1h");
        }
        None
    }

    /// Whether a request may be sent again after this failure. `retries_so_far` counts the second sendings whose
    /// failure [used up an attempt](Failure::uses_attempt).
    pub fn decide(
        &self,
        failure: Failure,
        idempotence: Idempotence,
        body: Body,
        retries_so_far: u32,
    ) -> Decision {
        let reason = match failure {
            Failure::MidResponse => Reason::ResponseBegun,
            Failure::Status(status) if !self.statuses.contains(&status) => Reason::StatusNotListed,
            _ if body == Body::Gone => Reason::BodyGone,
            Failure::ReusedClosed
            | Failure::ClosedBeforeResponse
            | Failure::ResponseTimeout
            | Failure::Status(_)
                if idempotence == Idempotence::NonIdempotent =>
            {
                Reason::NonIdempotent
            }
            _ if failure.uses_attempt() && retries_so_far >= self.attempts => Reason::OutOfAttempts,
            _ => return Decision::Retry,
        };
        Decision::GiveUp(reason)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failures() -> impl Strategy<Value = Failure> {
        prop_oneof![
            Just(Failure::NotSent),
            Just(Failure::ReusedClosed),
            Just(Failure::ClosedBeforeResponse),
            Just(Failure::ResponseTimeout),
            (200_u16..600).prop_map(Failure::Status),
            Just(Failure::MidResponse),
        ]
    }

    proptest! {
        #[test]
        fn what_may_have_been_acted_upon_is_never_sent_twice(
            failure in failures(), gone: bool, retries in 0_u32..5, attempts in 0_u32..5,
        ) {
            let statuses = (400..600).collect();
            let config = RetryConfig { attempts, statuses, ..RetryConfig::default() };
            let body = if gone { Body::Gone } else { Body::Replayable };
            let decide = |idempotence| config.decide(failure, idempotence, body, retries);
            if decide(Idempotence::NonIdempotent) == Decision::Retry {
                prop_assert_eq!(failure, Failure::NotSent);
            }
            for idempotence in [Idempotence::Idempotent, Idempotence::NonIdempotent] {
                if decide(idempotence) == Decision::Retry {
                    prop_assert!(body == Body::Replayable && failure != Failure::MidResponse);
                    prop_assert!(retries < attempts || failure == Failure::ReusedClosed);
                }
            }
        }
    }

    #[test]
    fn the_verdicts_at_the_defaults() {
        use Body::{Gone, Replayable};
        use Decision::{GiveUp, Retry};
        use Idempotence::{Idempotent, NonIdempotent};
        let config = RetryConfig::default();
        for (failure, idempotence, body, retries, verdict) in [
            (Failure::NotSent, NonIdempotent, Replayable, 0, Retry),
            (Failure::NotSent, NonIdempotent, Replayable, 1, GiveUp(Reason::OutOfAttempts)),
            (Failure::NotSent, Idempotent, Gone, 0, GiveUp(Reason::BodyGone)),
            (Failure::ReusedClosed, Idempotent, Replayable, 1, Retry),
            (Failure::ReusedClosed, NonIdempotent, Replayable, 0, GiveUp(Reason::NonIdempotent)),
            (Failure::ClosedBeforeResponse, Idempotent, Replayable, 0, Retry),
            (Failure::ResponseTimeout, NonIdempotent, Replayable, 0, GiveUp(Reason::NonIdempotent)),
            (Failure::Status(503), Idempotent, Replayable, 0, GiveUp(Reason::StatusNotListed)),
            (Failure::MidResponse, Idempotent, Replayable, 0, GiveUp(Reason::ResponseBegun)),
        ] {
            assert_eq!(config.decide(failure, idempotence, body, retries), verdict, "{failure:?}");
        }
    }

    #[test]
    fn impossible_values_are_named() {
        assert_eq!(RetryConfig::default().problem(), None);
        let wrong = RetryConfig { statuses: vec![200], ..RetryConfig::default() };
        assert_eq!(wrong.problem().map(|(field, _)| field), Some("statuses"));
        let wrong = RetryConfig { budget: f64::NAN, ..RetryConfig::default() };
        assert_eq!(wrong.problem().map(|(field, _)| field), Some("budget"));
    }
}
