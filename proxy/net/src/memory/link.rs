//! One direction between two hosts: when what is sent there arrives.
//!
//! A segment waits until those before it have left, takes its length by the bandwidth to leave, and then its latency
//! to arrive. Bandwidth is shared first come, first served, and counts payload only. Latencies and losses have random
//! streams of their own, named after the two hosts: neither another host nor a loss shifts a latency.

use policy::{Rng, Seed, quantity::Bandwidth};

use crate::fault::{Kind, LinkSettings, Touched};

/// The first pause before a segment is sent again, in nanoseconds: Linux's least (`TCP_RTO_MIN`); it doubles from then on.
const FIRST_RETRY: u64 = 200_000_000;
/// The longest such pause (`TCP_RTO_MAX`).
const LONGEST_RETRY: u64 = 120_000_000_000;
/// After so many losses in a row a segment gets through, whatever the probability says: a stream never misses a byte.
const MOST_LOSSES: u32 = 15;

/// What let a link through again, last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opener {
    Repair,
    /// Of this host.
    Restart(usize),
}

/// One direction between two hosts.
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) settings: LinkSettings,
    pub(super) cut: bool,
    pub(super) touched: Touched,
    pub(super) opener: Opener,
    latencies: Rng,
    losses: Rng,
    /// When the last segment will have left, in nanoseconds.
    free: u64,
}

impl Link {
    pub(super) fn new(from: usize, to: usize, settings: LinkSettings, seed: Seed) -> Self {
        let (latencies, losses) = (seed.stream("latency"), seed.stream("loss"));
        Self {
            from,
            to,
            settings,
            cut: false,
            touched: Touched::default(),
            opener: Opener::Repair,
            latencies,
            losses,
            free: 0,
        }
    }

    /// When a segment of so many bytes, sent at `now`, arrives, in nanoseconds; and how often it was lost on the way.
    pub(super) fn carry(&mut self, now: u64, bytes: usize) -> (u64, u64) {
        let mut left = self.free.max(now);
        if let Some(Bandwidth(bits)) = self.settings.bandwidth {
            left = left.saturating_add((bytes as u64 * 8_000_000_000).div_ceil(bits.max(1)));
        }
        self.free = left;
        self.note(now);
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
        self.note(now);
        self.reach(self.free.max(now))
    }

    /// Counts what the last changes of this link do to a segment that is sent at `now`.
    fn note(&mut self, now: u64) {
        self.touched.add(Kind::Latency, 1);
        if self.settings.bandwidth.is_none() || self.free > now {
            self.touched.add(Kind::Rate, 1);
        }
        if self.settings.loss == 0.0 {
            self.touched.add(Kind::Loss, 1);
        }
    }

    fn reach(&mut self, left: u64) -> u64 {
        left.saturating_add(self.settings.latency.draw(&mut self.latencies) as u64)
    }

    /// Whether the next segment is lost.
    pub(super) fn loses(&mut self) -> bool {
        let lost = self.settings.loss > 0.0 && self.losses.chance(self.settings.loss);
        if lost {
            self.touched.add(Kind::Loss, 1);
        }
        lost
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
    use policy::{distribution::Distribution, quantity::TimeSpan};

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
