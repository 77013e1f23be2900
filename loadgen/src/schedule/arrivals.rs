//! Arrival processes.
//!
//! Rates that change are handled by their integral, the expected number of requests so far. Even spacing: the nth
//! request (from 0) is due when the integral reaches n. Poisson: when it reaches the sum of n unit exponentials, which
//! is the time change by which any Poisson process of a varying rate comes from the one of rate 1 (Çinlar 1975).
//! Within a stage the rate is linear, so the integral is a parabola and its inverse has closed form; the
//! error does not grow with the number of requests, as it would if gaps were summed up.

use std::sync::Arc;

use policy::{Instant, Rng, Seed, distribution::whole};

use super::trace::TraceRequests;
use crate::config::{Arrivals, Bursts, Spacing, Stages};

/// One arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When, since the start of the load.
    pub at: Instant,
    /// The request of the trace that arrives.
    pub traced: Option<u32>,
}

/// The times at which requests arrive, in order. Endless for a constant rate and for bursts.
#[derive(Clone, Debug)]
pub struct ArrivalTimes(Process);

#[derive(Clone, Debug)]
enum Process {
    Rates(RateCurve),
    Bursts { bursts: Bursts, number: u64 },
    Trace { requests: Arc<TraceRequests>, speed: f64, next: usize },
}

impl ArrivalTimes {
    /// The arrivals of a load with this seed; they draw from its stream `arrivals` alone.
    pub fn new(arrivals: &Arrivals, seed: Seed) -> Self {
        let rng = seed.stream("arrivals");
        let forever =
            |rate| vec![Segment { start: 0.0, until: f64::INFINITY, from: 0.0, rate, slope: 0.0 }];
        Self(match arrivals {
            Arrivals::Constant(constant) => {
                Process::Rates(RateCurve::new(forever(constant.rate), Spacing::Constant, rng))
            }
            Arrivals::Poisson(poisson) => {
                Process::Rates(RateCurve::new(forever(poisson.rate), Spacing::Poisson, rng))
            }
            Arrivals::Stages(stages) => {
                Process::Rates(RateCurve::new(segments(stages), stages.spacing, rng))
            }
            Arrivals::Bursts(bursts) => Process::Bursts { bursts: *bursts, number: 0 },
            Arrivals::Trace(trace) => Process::Trace {
                requests: Arc::clone(&trace.requests),
                speed: trace.speed,
                next: 0,
            },
        })
    }
}

impl Iterator for ArrivalTimes {
    type Item = Arrival;

    #[inline]
    fn next(&mut self) -> Option<Arrival> {
        match &mut self.0 {
            Process::Rates(curve) => curve.next().map(|at| Arrival { at, traced: None }),
            Process::Bursts { bursts, number } => next_of_bursts(bursts, number),
            Process::Trace { requests, speed, next } => next_of_trace(requests, *speed, next),
        }
    }
}

#[inline(never)]
fn next_of_bursts(bursts: &Bursts, number: &mut u64) -> Option<Arrival> {
    let at = burst_time(bursts, *number)?;
    *number += 1;
    Some(Arrival { at, traced: None })
}

#[inline(never)]
fn next_of_trace(requests: &TraceRequests, speed: f64, next: &mut usize) -> Option<Arrival> {
    let at = requests.at(*next)?;
    let traced = u32::try_from(*next).ok();
    *next += 1;
    Some(Arrival { at: Instant::from_nanos(whole(at as f64 / speed)), traced })
}

fn burst_time(bursts: &Bursts, number: u64) -> Option<Instant> {
    let (burst, place) = (u128::from(number / bursts.size), u128::from(number % bursts.size));
    let within = place * bursts.over.0.as_nanos() / u128::from(bursts.size);
    let at = bursts.start.0.as_nanos() + burst * bursts.every.0.as_nanos() + within;
    u64::try_from(at).ok().map(Instant::from_nanos)
}

/// A stretch of time in which the rate is linear.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// When it starts, in seconds.
    start: f64,
    /// The integral of the rate at its end.
    until: f64,
    /// The integral of the rate at its start.
    from: f64,
    /// The rate at its start.
    rate: f64,
    /// The change of the rate, a second.
    slope: f64,
}

fn segments(stages: &Stages) -> Vec<Segment> {
    let (mut start, mut from, mut rate) = (0.0, 0.0, stages.start);
    let mut segments = Vec::with_capacity(stages.steps.len());
    for stage in &stages.steps {
        let lasts = stage.lasts.0.as_secs_f64();
        if lasts > 0.0 {
            let until = from + lasts * f64::midpoint(rate, stage.target);
            let slope = (stage.target - rate) / lasts;
            segments.push(Segment { start, until, from, rate, slope });
            (start, from) = (start + lasts, until);
        }
        rate = stage.target;
    }
    segments
}

#[derive(Clone, Debug)]
struct RateCurve {
    segments: Vec<Segment>,
    current: usize,
    spacing: Spacing,
    gaps: Gaps,
    number: u64,
    integral: f64,
    last: Instant,
}

/// Exponential gaps of mean 1, drawn a handful at a time: a logarithm is a chain of operations that wait for each other, and in a row
/// one chain overlaps with the next.
#[derive(Clone, Debug)]
struct Gaps {
    rng: Rng,
    drawn: [f64; 16],
    next: usize,
}

impl Gaps {
    fn new(rng: Rng) -> Self {
        let drawn = [0.0; 16];
        Self { rng, drawn, next: drawn.len() }
    }

    fn next(&mut self) -> f64 {
        if self.next == self.drawn.len() {
            self.draw();
        }
        let gap = self.drawn[self.next];
        self.next += 1;
        gap
    }

    #[inline(never)]
    fn draw(&mut self) {
        for drawn in &mut self.drawn {
            *drawn = self.rng.unit_open();
        }
        for drawn in &mut self.drawn {
            *drawn = -libm::log(*drawn);
        }
        self.next = 0;
    }
}

impl RateCurve {
    fn new(segments: Vec<Segment>, spacing: Spacing, rng: Rng) -> Self {
        let gaps = Gaps::new(rng);
        Self { segments, current: 0, spacing, gaps, number: 0, integral: 0.0, last: Instant::START }
    }

    #[inline]
    fn next(&mut self) -> Option<Instant> {
        match self.spacing {
            Spacing::Constant => {
                self.integral = self.number as f64;
                self.number += 1;
            }
            Spacing::Poisson => self.integral += self.gaps.next(),
        }
        while self.segments.get(self.current)?.until <= self.integral {
            self.current += 1;
        }
        let segment = self.segments.get(self.current)?;
        let due = segment.start + segment.inverse(self.integral - segment.from);
        // Where a ramp ends at 0 the root is ill-conditioned: some nanoseconds, but never back in time.
        self.last = self.last.max(Instant::from_nanos(whole(due * 1e9)));
        Some(self.last)
    }
}

impl Segment {
    /// When the integral has grown by `count`: the smaller root of `rate·t + slope·t²/2 = count`, in the form that
    /// loses no digits when the slope is small.
    fn inverse(&self, count: f64) -> f64 {
        if count <= 0.0 {
            return 0.0;
        }
        if self.slope == 0.0 {
            // The same to the last bit, and most loads are so.
            return count / self.rate;
        }
        let under = (self.rate * self.rate + 2.0 * self.slope * count).max(0.0);
        2.0 * count / (self.rate + under.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Rate, Stage};
    use policy::quantity::TimeSpan;
    use proptest::prelude::*;

    fn times(arrivals: &Arrivals, seconds: f64) -> Vec<f64> {
        ArrivalTimes::new(arrivals, Seed(5))
            .map(|arrival| arrival.at.as_secs_f64())
            .take_while(|at| *at < seconds)
            .collect()
    }

    fn stages(steps: &[(f64, f64)], spacing: Spacing) -> Arrivals {
        let steps = steps
            .iter()
            .map(|&(target, lasts)| Stage {
                target,
                lasts: TimeSpan(std::time::Duration::from_secs_f64(lasts)),
            })
            .collect();
        Arrivals::Stages(Stages { start: 0.0, spacing, steps })
    }

    #[test]
    fn a_constant_rate_is_even_and_does_not_drift() {
        let drawn = times(&Arrivals::Constant(Rate { rate: 3.0 }), 1e6);
        assert_eq!(drawn.len(), 3_000_000);
        assert!(drawn.iter().enumerate().all(|(n, at)| (at - n as f64 / 3.0).abs() < 1e-9));
    }

    #[test]
    fn poisson_gaps_are_exponential() {
        let drawn = times(&Arrivals::Poisson(Rate { rate: 1000.0 }), 200.0);
        // The count is Poisson with mean and variance 200,000: five standard deviations.
        let count = drawn.len() as f64;
        assert!((count - 200_000.0).abs() < 5.0 * 200_000_f64.sqrt(), "{count}");
        let gaps: Vec<f64> = drawn.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / count;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
        // An exponential's variance is its mean squared; the estimate's standard error is sqrt(8/n) of it.
        assert!((variance / (mean * mean) - 1.0).abs() < 5.0 * (8.0 / count).sqrt(), "{variance}");
        // And the count of a second has a variance equal to its mean: index of dispersion 1 ± 5·sqrt(2/200).
        let mut counts = [0.0_f64; 200];
        for at in &drawn {
            counts[*at as usize] += 1.0;
        }
        let mean = counts.iter().sum::<f64>() / 200.0;
        let dispersion = counts.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / 199.0 / mean;
        assert!((dispersion - 1.0).abs() < 0.5, "{dispersion}");
    }

    #[test]
    fn stages_integrate_to_the_right_count() {
        // Up to 100/s in 10 s (500), 20 s there (2000), a step to 20/s for 5 s (100), down to 0 in 10 s (100).
        let steps = [(100.0, 10.0), (100.0, 20.0), (20.0, 0.0), (20.0, 5.0), (0.0, 10.0)];
        let even = times(&stages(&steps, Spacing::Constant), 1e9);
        assert_eq!(even.len(), 2700);
        let until = |end: f64| even.iter().filter(|at| **at < end).count();
        assert_eq!((until(10.0), until(30.0), until(35.0)), (500, 2500, 2600));
        assert!(
            (even[125] - 5.0).abs() < 1e-9,
            "a quarter of the ramp's requests in its first half"
        );
        assert!(even.is_sorted() && even[2699] < 45.0);
        let random = times(&stages(&steps, Spacing::Poisson), 1e9);
        assert!((random.len() as f64 - 2700.0).abs() < 5.0 * 2700_f64.sqrt());
        assert!(random.is_sorted());
    }

    #[test]
    fn a_pause_has_no_arrivals() {
        let steps = [(10.0, 0.0), (10.0, 1.0), (0.0, 0.0), (0.0, 5.0), (10.0, 0.0), (10.0, 1.0)];
        let drawn = times(&stages(&steps, Spacing::Constant), 1e9);
        assert_eq!(drawn.len(), 20);
        assert!(drawn[9] < 1.0 && (drawn[10] - 6.0).abs() < 1e-9);
    }

    #[test]
    fn bursts_come_in_time() {
        let (every, over) = (TimeSpan::secs(1), TimeSpan::millis(10));
        let bursts = Bursts { size: 5, every, over, start: TimeSpan::millis(500) };
        let drawn = times(&Arrivals::Bursts(bursts), 3.0);
        assert_eq!(drawn.len(), 15);
        assert!((drawn[5] - 1.5).abs() < 1e-9 && (drawn[9] - 1.508).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn any_stages_are_in_order_and_integrate(
            start in 0.0_f64..200.0,
            steps in prop::collection::vec((0.0_f64..500.0, 0_u64..4000), 1..8),
        ) {
            let integral = {
                let mut rate = start;
                steps.iter().map(|&(target, ms)| {
                    let area = ms as f64 / 1000.0 * f64::midpoint(rate, target);
                    rate = target;
                    area
                }).sum::<f64>()
            };
            let steps: Vec<Stage> = steps
                .iter()
                .map(|&(target, ms)| Stage { target, lasts: TimeSpan::millis(ms) })
                .collect();
            let end: f64 = steps.iter().map(|stage| stage.lasts.0.as_secs_f64()).sum();
            for spacing in [Spacing::Constant, Spacing::Poisson] {
                let stages = Stages { start, spacing, steps: steps.clone() };
                let drawn = times(&Arrivals::Stages(stages), f64::INFINITY);
                prop_assert!(drawn.is_sorted());
                prop_assert!(drawn.iter().all(|at| *at <= end + 1e-6));
                if spacing == Spacing::Constant {
                    prop_assert!((drawn.len() as f64 - integral.ceil()).abs() <= 1.0);
                }
            }
        }
    }
}
