//! One direction between two hosts: when what is sent there arrives.
//!
//! Written anew and not shared with the network in memory, so that the two can judge each other: payload leaves one
//! message after the other at the bandwidth, a lost one leaves again after 200 ms, 400 ms, …, and the latency
//! is drawn from the scenario's own distribution. Nanoseconds of the scenario; the wire rounds up to ticks.

use policy::{Rng, Seed, quantity::Bandwidth};

use crate::fault::{Kind, LinkSettings, Touched};

/// The first pause before something is sent again (Linux's `TCP_RTO_MIN`), in nanoseconds; it doubles.
const RETRY: u64 = 200_000_000;
/// It doubles up to this (`TCP_RTO_MAX`).
const LONGEST_RETRY: u64 = 120_000_000_000;
/// So many losses in a row at most: a stream never misses a byte.
const MOST_LOSSES: u32 = 15;

/// What made a link free again, last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freed {
    /// Its repair.
    Repair,
    /// The restart of this host.
    Restart(usize),
}

pub(super) struct Link {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) settings: LinkSettings,
    pub(super) cut: bool,
    pub(super) freed: Freed,
    pub(super) touched: Touched,
    latencies: Rng,
    losses: Rng,
    /// When the last message will have left.
    busy_until: u64,
}

impl Link {
    pub(super) fn new(from: usize, to: usize, settings: LinkSettings, seed: Seed) -> Self {
        Self {
            from,
            to,
            settings,
            cut: false,
            freed: Freed::Repair,
            touched: Touched::default(),
            latencies: seed.stream("latency"),
            losses: seed.stream("loss"),
            busy_until: 0,
        }
    }

    /// When a message of so many bytes that is sent at `now` arrives, and how often it is lost before.
    pub(super) fn transmit(&mut self, now: u64, bytes: u64) -> (u64, u64) {
        let start = self.busy_until.max(now);
        let pace = self.settings.bandwidth.map_or(0, |Bandwidth(bits)| {
            let nanos = u128::from(bytes) * 8_000_000_000 / u128::from(bits.max(1));
            u64::try_from(nanos).unwrap_or(u64::MAX)
        });
        self.busy_until = start.saturating_add(pace);
        self.count(now);
        let mut losses = 0;
        let mut delay = 0_u64;
        while losses < MOST_LOSSES && self.loses() {
            delay = delay.saturating_add((RETRY << losses).min(LONGEST_RETRY));
            losses += 1;
        }
        let left = self.busy_until.saturating_add(delay);
        (left.saturating_add(self.latency()), u64::from(losses))
    }

    /// When the first packet of a dial arrives; nothing if it is lost.
    pub(super) fn transmit_dial(&mut self, now: u64) -> Option<u64> {
        if self.loses() {
            return None;
        }
        self.count(now);
        let start = self.busy_until.max(now);
        Some(start.saturating_add(self.latency()))
    }

    fn latency(&mut self) -> u64 {
        self.settings.latency.draw(&mut self.latencies) as u64
    }

    fn loses(&mut self) -> bool {
        let lost = self.settings.loss > 0.0 && self.losses.chance(self.settings.loss);
        self.touched.add(Kind::Loss, u64::from(lost));
        lost
    }

    /// Counts what the last changes of this link do to a message that is sent at `now`.
    fn count(&mut self, now: u64) {
        self.touched.add(Kind::Latency, 1);
        let free = self.settings.bandwidth.is_none();
        self.touched.add(Kind::Rate, u64::from(free || self.busy_until > now));
        self.touched.add(Kind::Loss, u64::from(self.settings.loss == 0.0));
    }
}

/// When what was first sent at `first` is sent again, at `now` or after it.
pub(super) fn sent_again(first: u64, now: u64) -> u64 {
    let mut pauses = (0_u32..)
        .map(|turn| if turn < 32 { (RETRY << turn).min(LONGEST_RETRY) } else { LONGEST_RETRY });
    let mut at = first;
    loop {
        at = at.saturating_add(pauses.next().unwrap_or(LONGEST_RETRY));
        if at >= now {
            return at;
        }
    }
}
