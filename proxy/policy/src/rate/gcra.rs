//! GCRA: one number a client says all that a token bucket must know.
//!
//! The generic cell rate algorithm (ITU-T I.371; the leaky bucket as a meter) keeps for each client the *theoretical arrival time*: when
//! its next request would come if it had spaced them evenly. Each request that is admitted moves it one interval on; one that
//! comes while it lies more than the tolerance ahead comes too early. So in any window of length `t` at most
//! `burst + t / interval` are admitted, nothing ticks, and a client that has been quiet for long needs no memory at all: its number
//! lies in the past, which is the same as none.
//!
//! These few lines are our own. `governor` does the same arithmetic, but only its whole limiters are public: a limiter reads a clock that
//! it owns, charges at once when asked (so that several limits cannot be asked before any is charged), and keeps keys in a map without
//! a bound. And the same sum is done once more in a Redis script. It is the judge instead: a test asks both for the same random arrivals.

use std::time::Duration;

use crate::{Instant, time::nanos};

/// How often, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Nanoseconds from one request to the next, when they are spaced evenly; rounded up, so that never more are admitted.
    pub interval: u64,
    /// How many nanoseconds the theoretical arrival time may lie ahead: `burst - 1` intervals.
    pub tolerance: u64,
}

/// Where a client stands with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many requests would be admitted at once, now.
    pub remaining: u64,
    /// Nanoseconds until it is one more; 0 when it is as many as it can be.
    pub reset: u64,
}

impl Quota {
    /// `requests` in `per`, and `burst` at once. All are at least 1, and a burst refills within 584 years.
    pub fn new(requests: u64, per: Duration, burst: u64) -> Self {
        let interval = nanos(per).div_ceil(requests.max(1)).max(1);
        Self { interval, tolerance: interval.saturating_mul(burst.max(1) - 1) }
    }

    /// May one more come `now`, whose client's theoretical arrival time is `known` (0 for a client that nobody knows)?
    ///
    /// # Errors
    /// It comes too early by so many nanoseconds.
    pub fn ask(&self, known: u64, now: Instant) -> Result<u64, u64> {
        let now = now.as_nanos();
        let due = known.max(now);
        match (due - now).checked_sub(self.tolerance) {
            Some(early) if early > 0 => Err(early),
            _ => Ok(due.saturating_add(self.interval)),
        }
    }

    /// Where a client stands whose theoretical arrival time is `known`.
    pub fn standing(&self, known: u64, now: Instant) -> Standing {
        let ahead = known.saturating_sub(now.as_nanos());
        if ahead == 0 {
            return Standing { remaining: self.tolerance / self.interval + 1, reset: 0 };
        }
        let full = self.tolerance.saturating_add(self.interval);
        let remaining = full.saturating_sub(ahead) / self.interval;
        // One more fits as soon as it lies this little ahead.
        let then = full.saturating_sub((remaining + 1).saturating_mul(self.interval));
        Standing { remaining, reset: ahead.saturating_sub(then) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_burst_and_then_one_an_interval() {
        let quota = Quota::new(10, Duration::from_secs(1), 3);
        let mut known = 0;
        for left in [2, 1, 0] {
            known = quota.ask(known, at(500)).expect("within the burst");
            let standing = quota.standing(known, at(500));
            assert_eq!(standing, Standing { remaining: left, reset: 100_000_000 });
        }
        assert_eq!(quota.ask(known, at(500)), Err(100_000_000));
        assert_eq!(quota.ask(known, at(599)), Err(1_000_000));
        assert_eq!(quota.standing(known, at(599)).reset, 1_000_000);
        known = quota.ask(known, at(600)).expect("one interval later");
        assert_eq!(quota.ask(known, at(600)), Err(100_000_000));
        assert_eq!(quota.standing(known, at(900)), Standing { remaining: 3, reset: 0 });
    }

    #[test]
    fn an_interval_that_is_no_whole_number_is_rounded_up() {
        assert_eq!(Quota::new(3, Duration::from_secs(1), 1).interval, 333_333_334);
        assert_eq!(Quota::new(u64::MAX, Duration::from_secs(1), u64::MAX).tolerance, u64::MAX - 1);
    }
}
