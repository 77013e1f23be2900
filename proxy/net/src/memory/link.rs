//! One direction between two hosts: when what is sent there arrives.
//!
//! A segment waits until those before it have left, takes its length by the bandwidth to leave, and then its latency
//! to arrive. Bandwidth is shared first come, first served, and counts payload only. Latencies and losses have random
//! streams of their own, named after the two hosts: neither another host nor a loss shifts a latency.

use policy::{
    Rng, Seed,
    distribution::Distribution,
    quantity::{Bandwidth, TimeSpan},
};

/// The first pause before a segment is sent again, in nanoseconds: Linux's least (`TCP_RTO_MIN`); it doubles from then on.
const FIRST_RETRY: u64 = 200_000_000;
/// The longest such pause (`TCP_RTO_MAX`).
const LONGEST_RETRY: u64 = 120_000_000_000;
/// After so many losses in a row a segment gets through, whatever the probability says: a stream never misses a byte.
const MOST_LOSSES: u32 = 15;

/// What every link between two hosts is like unless a fault changes it.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkSettings {
    /// The time on the way, one way.
    pub latency: Distribution<TimeSpan>,
    /// Without limit when there is none.
    pub bandwidth: Option<Bandwidth>,
    /// The probability that a segment is lost and has to be sent again, 0 to 1.
    pub loss: f64,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self { latency: Distribution::Constant(TimeSpan::default()), bandwidth: None, loss: 0.0 }
    }
}

impl LinkSettings {
    /// What is impossible about them: the parameter's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let bad = |name, what: &str| Some((name, what.to_owned()));
        match self {
            Self { loss, .. } if !(0.0..=1.0).contains(loss) => bad("loss", "must be 0 to 1"),
            Self { bandwidth: Some(Bandwidth(0)), .. } => bad("bandwidth", "must be above 0"),
            Self { latency, .. } => latency.problem(),
        }
    }
}

/// One direction between two hosts.
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) settings: LinkSettings,
    pub(super) cut: bool,
    latencies: Rng,
    losses: Rng,
    /// When the last segment will have left, in nanoseconds.
    free: u64,
}

impl Link {
    pub(super) fn new(from: usize, to: usize, settings: LinkSettings, seed: Seed) -> Self {
        let (latencies, losses) = (seed.stream("latency"), seed.stream("loss"));
        Self { from, to, settings, cut: false, latencies, losses, free: 0 }
    }

    /// When a segment of so many bytes, sent at `now`, arrives, in nanoseconds; and how often it was lost on the way.
    pub(super) fn carry(&mut self, now: u64, bytes: usize) -> (u64, u64) {
        let mut left = self.free.max(now);
        if let Some(Bandwidth(bits)) = self.settings.bandwidth {
            left = left.saturating_add((bytes as u64 * 8_000_000_000).div_ceil(bits.max(1)));
        }
        self.free = left;
        let (mut losses, mut retry) = (0, FIRST_RETRY);
        while losses < u64::from(MOST_LOSSES) && self.loses() {
            left = left.saturating_add(retry);
            retry = (retry * 2).min(LONGEST_RETRY);
            losses += 1;
        }
        (self.reach(left), losses)
    }

    /// When the first packet of a dial, which is not lost, arrives.
    pub(super) fn carry_dial(&mut self, now: u64) -> u64 {
        self.reach(self.free.max(now))
    }

    fn reach(&mut self, left: u64) -> u64 {
        left.saturating_add(self.settings.latency.draw(&mut self.latencies) as u64)
    }

    /// Whether the next segment is lost.
    pub(super) fn loses(&mut self) -> bool {
        self.settings.loss > 0.0 && self.losses.chance(self.settings.loss)
    }
}

/// When what was first sent at `first` and not acknowledged is sent again, at `now` or after it, in nanoseconds.
pub(super) fn next_retry(first: u64, now: u64) -> u64 {
    let (mut at, mut pause) = (first.saturating_add(FIRST_RETRY), FIRST_RETRY * 2);
    while at < now {
        at = at.saturating_add(pause);
        pause = (pause * 2).min(LONGEST_RETRY);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_segment_is_sent_again_after_doubling_pauses() {
        let ms = |millis: u64| millis * 1_000_000;
        for (now, expected) in [(0, 200), (200, 200), (201, 600), (601, 1400), (1401, 3000)] {
            assert_eq!(next_retry(0, ms(now)), ms(expected), "at {now} ms");
        }
        let late = next_retry(0, ms(10_000_000));
        assert!(late >= ms(10_000_000) && late - ms(10_000_000) <= LONGEST_RETRY);
    }

    #[test]
    fn segments_leave_one_after_the_other() {
        let settings = LinkSettings {
            latency: Distribution::Constant(TimeSpan::millis(1)),
            bandwidth: Some(Bandwidth(8_000_000)),
            loss: 0.0,
        };
        let mut link = Link::new(0, 1, settings, Seed(1));
        assert_eq!(link.carry(0, 1000), (2_000_000, 0));
        assert_eq!(link.carry(500_000, 1000), (3_000_000, 0), "behind the first");
        assert_eq!(link.carry(9_000_000, 0), (10_000_000, 0));
    }
}
