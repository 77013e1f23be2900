//! How long each endpoint takes to answer, as one worker has seen it: a moving average that fades.
//!
//! The average is exponential in *time* and not in the number of answers, because endpoints are asked at very different
//! rates: an answer after the time t counts exp(-t/τ) for what was known before it, and the rest for itself (τ is `decay`). Between
//! two answers the figure fades with the same factor, as Finagle's does, so that an endpoint which was slow once is asked again some
//! time. Finagle and tower let each *look* at a figure count as an answer of zero length, which makes the average depend on
//! how often it is looked at; here a look changes nothing.
//!
//! [`Rise::Peak`] is Finagle's: an answer that took longer than the figure becomes the figure at once, and only what is
//! faster is averaged in. [`Rise::Average`] averages both.
//!
//! What failed or was cancelled took *at least* as long as it lasted: it can raise the figure and never lowers it. Without the first
//! half an endpoint that hangs until its clients give up looks as fast as before, and without the second one that refuses
//! at once looks like the fastest.
//!
//! All figures fade by the same factor, so comparing them needs no exponential: each is kept as what it would have been at a common
//! `epoch`, which moves on when the factor becomes large. An answer costs two exponentials, a look a multiplication.
//! The figures are the worker's own, without locks or shared lines; a balancer that a reload builds anew starts without any.

use std::time::Duration;

use super::ParameterInfo;
use crate::{
    Instant,
    endpoint::{Outcome, View},
    quantity::TimeSpan,
    time::nanos,
};

/// The parameter `decay`, as the strategies that have it document it.
pub(super) const DECAY: ParameterInfo = ParameterInfo {
    name: "decay",
    default: "\"10s\"",
    doc: "The time in which what is known of an endpoint fades to 1/e; more than 0.",
};

/// The parameter `default_rtt`, likewise.
pub(super) const DEFAULT_RTT: ParameterInfo = ParameterInfo {
    name: "default_rtt",
    default: "\"30ms\"",
    doc: "The response time that is assumed before the first answer.",
};

/// The moving averages of one worker, by endpoint.
#[derive(Debug)]
pub(super) struct Latencies {
    rise: Rise,
    /// Nanoseconds in which a figure fades to 1/e.
    decay: f64,
    /// The figure before the first answer, in nanoseconds.
    initial: f64,
    /// What the figures refer to.
    epoch: Instant,
    figures: Vec<Figure>,
}

/// What an answer does to a figure that it exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rise {
    /// It becomes the figure.
    Peak,
    /// It is averaged in, as a faster one would be; the first replaces the default.
    Average,
}

#[derive(Clone, Copy, Debug)]
struct Figure {
    /// Nanoseconds, as they would have been at the epoch.
    at_epoch: f64,
    /// When the latest answer came; before the first, when the endpoint was first seen.
    answered: Instant,
    measured: bool,
}

/// The epoch moves on after so many times `decay`: the factor stays below 10²⁸.
const EPOCH: f64 = 64.0;
/// No figure fades to less, in nanoseconds: times the requests in flight, nothing would stay nothing.
const LEAST: f64 = 1.0;

impl Latencies {
    /// No figures yet: each endpoint's is `initial`, and fades from when it is first seen.
    pub(super) fn new(rise: Rise, decay: TimeSpan, initial: TimeSpan) -> Self {
        Self {
            rise,
            decay: (nanos(decay.0) as f64).max(1.0),
            initial: (nanos(initial.0) as f64).max(LEAST),
            epoch: Instant::START,
            figures: Vec::new(),
        }
    }

    /// Makes room for the endpoints of the view (once), and moves the epoch. Before each pick.
    pub(super) fn prepare(&mut self, view: &View<'_>) {
        self.advance(view.now);
        if self.figures.len() < view.endpoints.len() {
            let at_epoch = self.initial * self.growth(self.epoch, view.now);
            let new = Figure { at_epoch, answered: view.now, measured: false };
            self.figures.resize(view.endpoints.len(), new);
        }
    }

    /// A figure for comparison with others of the same moment: proportional to the faded nanoseconds.
    pub(super) fn relative(&self, endpoint: u32) -> f64 {
        self.figures.get(endpoint as usize).map_or(self.initial, |figure| figure.at_epoch)
    }

    /// A request to the endpoint has ended.
    pub(super) fn record(
        &mut self,
        endpoint: u32,
        now: Instant,
        elapsed: Duration,
        outcome: Outcome,
    ) {
        self.advance(now);
        let growth = self.growth(self.epoch, now);
        let Some(figure) = self.figures.get(endpoint as usize).copied() else { return };
        let (faded, took) = (figure.at_epoch / growth, nanos(elapsed) as f64);
        if outcome != Outcome::Success && took <= faded {
            return;
        }
        let kept = 1.0 / self.growth(figure.answered, now);
        let new = match self.rise {
            Rise::Peak if took > faded => took,
            Rise::Average if !figure.measured => took,
            // What was known has faded by `kept` already.
            _ => faded + took * (1.0 - kept),
        };
        self.figures[endpoint as usize] =
            Figure { at_epoch: new.max(LEAST) * growth, answered: now, measured: true };
    }

    /// The inverse of what is left of a figure after the time between the two.
    fn growth(&self, from: Instant, to: Instant) -> f64 {
        libm::exp((to.nanos_since(from) as f64 / self.decay).min(700.0))
    }

    fn advance(&mut self, now: Instant) {
        if now.nanos_since(self.epoch) as f64 <= EPOCH * self.decay {
            return;
        }
        let growth = self.growth(self.epoch, now);
        for figure in &mut self.figures {
            figure.at_epoch = (figure.at_epoch / growth).max(LEAST);
        }
        self.epoch = now;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{Candidates, Endpoint, Endpoints};

    const SECOND: u64 = 1_000_000_000;

    fn seen(rise: Rise, endpoints: usize) -> Latencies {
        let list = (0..endpoints).map(|_| Arc::new(Endpoint::new("e", 1, 1))).collect();
        let endpoints = Endpoints::new(list);
        let mut latencies = Latencies::new(rise, TimeSpan::secs(10), TimeSpan::millis(30));
        let candidates = Candidates::new(0.0);
        latencies.prepare(&candidates.view(&endpoints, &[], Instant::START));
        latencies
    }

    fn millis(latencies: &Latencies, endpoint: u32, now: Instant) -> f64 {
        latencies.relative(endpoint) / latencies.growth(latencies.epoch, now) / 1e6
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
    }

    #[test]
    fn a_peak_is_taken_at_once_and_fades_with_the_decay() {
        let mut latencies = seen(Rise::Peak, 1);
        assert!(near(millis(&latencies, 0, Instant::START), 30.0));
        let now = Instant::from_nanos(SECOND);
        latencies.record(0, now, Duration::from_millis(200), Outcome::Success);
        assert!(near(millis(&latencies, 0, now), 200.0));
        let later = now + Duration::from_secs(10);
        assert!(near(millis(&latencies, 0, later), 200.0 / std::f64::consts::E));
        latencies.record(0, later, Duration::from_millis(10), Outcome::Success);
        let kept = libm::exp(-1.0);
        assert!(near(millis(&latencies, 0, later), 200.0 * kept + 10.0 * (1.0 - kept)));
    }

    #[test]
    fn an_average_starts_at_the_first_answer_and_moves_both_ways() {
        let mut latencies = seen(Rise::Average, 1);
        let mut now = Instant::from_nanos(SECOND);
        latencies.record(0, now, Duration::from_millis(10), Outcome::Success);
        assert!(near(millis(&latencies, 0, now), 10.0));
        now += Duration::from_secs(1);
        latencies.record(0, now, Duration::from_millis(110), Outcome::Success);
        let kept = libm::exp(-0.1);
        assert!(near(millis(&latencies, 0, now), 10.0 * kept + 110.0 * (1.0 - kept)));
    }

    #[test]
    fn what_failed_or_was_given_up_raises_and_never_lowers() {
        for rise in [Rise::Peak, Rise::Average] {
            for outcome in [Outcome::Failure, Outcome::Cancelled] {
                let mut latencies = seen(rise, 1);
                let now = Instant::from_nanos(SECOND);
                let before = millis(&latencies, 0, now);
                latencies.record(0, now, Duration::ZERO, outcome);
                assert!(near(millis(&latencies, 0, now), before));
                latencies.record(0, now, Duration::from_secs(5), outcome);
                assert!(millis(&latencies, 0, now) > 400.0);
            }
        }
    }

    proptest! {
        /// The epoch is an arrangement of ours: the figures are those of the plain recursion, however long it goes on.
        #[test]
        fn figures_are_those_of_the_recursion(
            answers in proptest::collection::vec((0_u64..400 * SECOND, 0_u64..SECOND, 0_u32..3), 1..60),
        ) {
            for rise in [Rise::Peak, Rise::Average] {
                let mut latencies = seen(rise, 3);
                let mut plain = [(30e6_f64, Instant::START, false); 3];
                let mut now = Instant::START;
                for &(after, took, endpoint) in &answers {
                    now += Duration::from_nanos(after);
                    latencies.record(endpoint, now, Duration::from_nanos(took), Outcome::Success);
                    let (figure, answered, measured) = plain[endpoint as usize];
                    let kept = libm::exp(-(now.nanos_since(answered) as f64 / 10e9));
                    let (took, faded) = (took as f64, (figure * kept).max(LEAST));
                    let new = match rise {
                        Rise::Peak if took > faded => took,
                        Rise::Average if !measured => took,
                        _ => faded + took * (1.0 - kept),
                    };
                    plain[endpoint as usize] = (new.max(LEAST), now, true);
                    let got = millis(&latencies, endpoint, now) * 1e6;
                    // Figures that have faded to a nanosecond may be off by one.
                    prop_assert!((got - new.max(LEAST)).abs() <= 1.0 + 1e-6 * new, "{got} {new}");
                }
            }
        }
    }
}
