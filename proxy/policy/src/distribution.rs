//! Distributions of service times, think times, sizes and latencies.
//!
//! A distribution is written in a scenario with the unit of what it describes (`Distribution<TimeSpan>`,
//! `Distribution<ByteSize>`) and drawn as `f64` in nanoseconds or bytes. Draws are inverse transforms or sums
//! of them over [`Rng`], with `libm`'s logarithms, powers and cosines instead of the platform's, so
//! that a seed means the same on every machine. Every one states its mean and squared coefficient of
//! variation where it has closed forms: the queueing formulas that the simulations are checked against need both.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    quantity::{ByteSize, TimeSpan},
    rng::Rng,
    time::nanos,
};

/// What a distribution can be of: read as an amount in base units (nanoseconds, bytes).
pub trait Quantity: Copy {
    /// The amount in base units.
    fn amount(self) -> f64;
}

impl Quantity for TimeSpan {
    fn amount(self) -> f64 {
        nanos(self.0) as f64
    }
}

impl Quantity for ByteSize {
    fn amount(self) -> f64 {
        self.0 as f64
    }
}

/// A distribution as a scenario states it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Distribution<Q> {
    /// Always the same.
    Constant(Q),
    /// Evenly between two values.
    Uniform {
        /// The least value.
        min: Q,
        /// The greatest value.
        max: Q,
    },
    /// Memoryless; squared coefficient of variation 1.
    Exponential {
        /// The mean.
        mean: Q,
    },
    /// The sum of `k` exponentials: less variable than one (1/k).
    Erlang {
        /// How many stages, 1 to 1000.
        k: u32,
        /// The mean of the sum.
        mean: Q,
    },
    /// A mix of two exponentials with balanced means: more variable than one.
    Hyperexponential {
        /// The mean.
        mean: Q,
        /// The squared coefficient of variation, above 1.
        cv2: f64,
    },
    /// The exponential of a normal: the usual shape of service times.
    Lognormal {
        /// The mean (not the median).
        mean: Q,
        /// The coefficient of variation: standard deviation by mean.
        cv: f64,
    },
    /// Bounded Pareto: a heavy tail between two bounds.
    Pareto {
        /// The least value, above 0.
        min: Q,
        /// The greatest value.
        max: Q,
        /// The tail index; the smaller, the heavier.
        alpha: f64,
    },
    /// One of two values.
    Bimodal {
        /// The common value.
        fast: Q,
        /// The rare value.
        slow: Q,
        /// The probability of the rare one, 0 to 1.
        slow_share: f64,
    },
    /// Drawn with replacement from the values in a file.
    Empirical {
        /// A CSV file with one value a line, relative to the scenario's file.
        file: String,
        /// The file's values in base units (nanoseconds, bytes): whoever reads the scenario fills them in.
        #[serde(skip)]
        values: Arc<[f64]>,
    },
}

impl<Q: Quantity> Distribution<Q> {
    /// What is impossible about the parameters: the parameter's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let bad = |name, what: &str| Some((name, what.to_owned()));
        match self {
            Self::Uniform { min, max } if max.amount() < min.amount() => {
                bad("max", "must not be less than `min`")
            }
            Self::Erlang { k, .. } if !(1..=1000).contains(k) => bad("k", "must be 1 to 1000"),
            Self::Hyperexponential { cv2, .. } if !(*cv2 > 1.0 && *cv2 <= 1e6) => {
                bad("cv2", "must be above 1 and at most 1000000 (use `exponential` for 1)")
            }
            Self::Lognormal { cv, .. } if !(*cv > 0.0 && *cv <= 1e3) => {
                bad("cv", "must be above 0 and at most 1000 (use `constant` for 0)")
            }
            Self::Pareto { min, .. } if min.amount() <= 0.0 => bad("min", "must be above 0"),
            Self::Pareto { min, max, .. } if max.amount() <= min.amount() => {
                bad("max", "must be greater than `min`")
            }
            Self::Pareto { alpha, .. } if !(*alpha > 0.0 && *alpha <= 100.0) => {
                bad("alpha", "must be above 0 and at most 100")
            }
            Self::Bimodal { slow_share, .. } if !(0.0..=1.0).contains(slow_share) => {
                bad("slow_share", "must be 0 to 1")
            }
            Self::Empirical { values, .. } if values.is_empty() => {
                bad("file", "must hold at least one value")
            }
            _ => None,
        }
    }

    /// Draws one value in base units (nanoseconds, bytes); never negative.
    pub fn draw(&self, rng: &mut Rng) -> f64 {
        match self {
            Self::Constant(value) => value.amount(),
            Self::Uniform { min, max } => {
                rng.unit().mul_add(max.amount() - min.amount(), min.amount())
            }
            Self::Exponential { mean } => exponential(mean.amount(), rng),
            Self::Erlang { k, mean } => {
                let stage = mean.amount() / f64::from(*k);
                (0..*k).map(|_| exponential(stage, rng)).sum()
            }
            Self::Hyperexponential { mean, cv2 } => {
                let p = balanced_share(*cv2);
                let share = if rng.chance(p) { p } else { 1.0 - p };
                exponential(mean.amount() / (2.0 * share), rng)
            }
            Self::Lognormal { mean, cv } => {
                let variance = libm::log(cv.mul_add(*cv, 1.0));
                let normal = standard_normal(rng);
                mean.amount() * libm::exp(variance.sqrt().mul_add(normal, -variance / 2.0))
            }
            Self::Pareto { min, max, alpha } => {
                // Inverse of F(x) = (1 - (L/x)^α) / (1 - (L/H)^α).
                let ratio = libm::pow(min.amount() / max.amount(), *alpha);
                let u = rng.unit();
                min.amount() / libm::pow(1.0 - u * (1.0 - ratio), 1.0 / alpha)
            }
            Self::Bimodal { fast, slow, slow_share } => {
                if rng.chance(*slow_share) {
                    slow.amount()
                } else {
                    fast.amount()
                }
            }
            Self::Empirical { values, .. } => {
                values.get(rng.index(values.len())).copied().unwrap_or(0.0)
            }
        }
    }

    /// The mean in base units.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Constant(value) => value.amount(),
            Self::Uniform { min, max } => f64::midpoint(min.amount(), max.amount()),
            Self::Exponential { mean }
            | Self::Erlang { mean, .. }
            | Self::Hyperexponential { mean, .. }
            | Self::Lognormal { mean, .. } => mean.amount(),
            Self::Pareto { min, max, alpha } => {
                pareto_moment(min.amount(), max.amount(), *alpha, 1.0)
            }
            Self::Bimodal { fast, slow, slow_share } => {
                slow_share.mul_add(slow.amount() - fast.amount(), fast.amount())
            }
            Self::Empirical { values, .. } => average(values.iter().copied()),
        }
    }

    /// The squared coefficient of variation: variance by mean squared; 0 when the mean is 0.
    pub fn cv2(&self) -> f64 {
        let mean = self.mean();
        if mean <= 0.0 {
            return 0.0;
        }
        let variance = match self {
            Self::Constant(_) => 0.0,
            Self::Uniform { min, max } => (max.amount() - min.amount()).powi(2) / 12.0,
            Self::Exponential { .. } => return 1.0,
            Self::Erlang { k, .. } => return 1.0 / f64::from(*k),
            Self::Hyperexponential { cv2, .. } => return *cv2,
            Self::Lognormal { cv, .. } => return cv * cv,
            Self::Pareto { min, max, alpha } => {
                pareto_moment(min.amount(), max.amount(), *alpha, 2.0) - mean * mean
            }
            Self::Bimodal { fast, slow, slow_share } => {
                slow_share * (1.0 - slow_share) * (slow.amount() - fast.amount()).powi(2)
            }
            Self::Empirical { values, .. } => average(values.iter().map(|v| (v - mean).powi(2))),
        };
        variance / (mean * mean)
    }
}

/// Below this every whole number has its own float.
const EXACT: f64 = (1_u64 << 53) as f64;

/// The whole number next to an amount that was drawn, halves upwards: what `amount.round() as u64` is, without a call. What is
/// negative or no number is 0, and what is too large the largest.
#[inline]
pub fn whole(amount: f64) -> u64 {
    // All that is ever drawn, nearly: a signed number is one instruction from a float and back, an unsigned one is several.
    if (0.0..EXACT).contains(&amount) {
        let below = amount as i64;
        return (below + i64::from(amount - below as f64 >= 0.5)) as u64;
    }
    let below = amount as u64;
    // The rest is exact: both are of about one size, or there is none.
    below.saturating_add(u64::from(amount - below as f64 >= 0.5))
}

fn exponential(mean: f64, rng: &mut Rng) -> f64 {
    -mean * libm::log(rng.unit_open())
}

/// Box and Muller (1958), the cosine half: two uniforms a draw, no rejection, no state.
fn standard_normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * libm::log(rng.unit_open())).sqrt();
    radius * libm::cos(2.0 * std::f64::consts::PI * rng.unit())
}

/// The share of the first branch of a two-branch hyperexponential with balanced means.
fn balanced_share(cv2: f64) -> f64 {
    0.5 * (1.0 + ((cv2 - 1.0) / (cv2 + 1.0)).sqrt())
}

/// The `k`th moment of a bounded Pareto on `[low, high]`.
fn pareto_moment(low: f64, high: f64, alpha: f64, k: f64) -> f64 {
    let norm = 1.0 - libm::pow(low / high, alpha);
    if (alpha - k).abs() < 1e-12 {
        return alpha * libm::pow(low, alpha) * libm::log(high / low) / norm;
    }
    alpha * libm::pow(low, alpha) * (libm::pow(high, k - alpha) - libm::pow(low, k - alpha))
        / ((k - alpha) * norm)
}

fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Seed;

    proptest! {
        #[test]
        fn whole_is_rounding(bits in any::<u64>(), near in 0_u64..1 << 53, by in 0_u8..8) {
            let halves = near as f64 / 2.0 + f64::from(by) / 16.0;
            for amount in [f64::from_bits(bits), halves, halves.next_down(), halves.next_up()] {
                prop_assert_eq!(whole(amount), amount.round() as u64, "{}", amount);
            }
        }
    }

    fn ms(millis: u64) -> TimeSpan {
        TimeSpan::millis(millis)
    }

    fn each() -> Vec<Distribution<TimeSpan>> {
        vec![
            Distribution::Constant(ms(10)),
            Distribution::Uniform { min: ms(5), max: ms(15) },
            Distribution::Exponential { mean: ms(10) },
            Distribution::Erlang { k: 4, mean: ms(10) },
            Distribution::Hyperexponential { mean: ms(10), cv2: 4.0 },
            Distribution::Lognormal { mean: ms(10), cv: 0.8 },
            Distribution::Pareto { min: ms(2), max: ms(100), alpha: 1.5 },
            Distribution::Pareto { min: ms(2), max: ms(100), alpha: 1.0 },
            Distribution::Bimodal { fast: ms(5), slow: ms(55), slow_share: 0.1 },
            Distribution::Empirical { file: "x.csv".into(), values: [1e6, 2e6, 6e6].into() },
        ]
    }

    #[test]
    fn draws_have_the_moments_that_are_stated() {
        const DRAWS: usize = 400_000;
        for distribution in each() {
            let mut rng = Seed(11).stream("draws");
            let drawn: Vec<f64> = (0..DRAWS).map(|_| distribution.draw(&mut rng)).collect();
            let mean = average(drawn.iter().copied());
            let cv2 = average(drawn.iter().map(|v| (v - mean).powi(2))) / (mean * mean);
            // Five standard errors of the mean; the second moment of heavy tails gets 5 %.
            let error = 5.0 * (distribution.cv2() / DRAWS as f64).sqrt() + 1e-12;
            assert!(
                (mean / distribution.mean() - 1.0).abs() < error,
                "{distribution:?}: mean {mean}"
            );
            assert!(
                (cv2 - distribution.cv2()).abs() < 0.05 * distribution.cv2() + 1e-9,
                "{distribution:?}: cv² {cv2} for {}",
                distribution.cv2()
            );
        }
    }

    #[test]
    fn impossible_parameters_are_named() {
        let wrong = Distribution::Hyperexponential { mean: ms(1), cv2: 0.5 };
        assert_eq!(wrong.problem().map(|(name, _)| name), Some("cv2"));
        let wrong = Distribution::Uniform { min: ms(2), max: ms(1) };
        assert_eq!(wrong.problem().map(|(name, _)| name), Some("max"));
        assert!(each().iter().all(|good| good.problem().is_none()));
    }
}
