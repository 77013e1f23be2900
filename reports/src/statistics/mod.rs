//! What may be concluded from a few runs of each of two variants.
//!
//! The *run* is the sample and not the request: requests of one run share a queue, and are anything but independent
//! (Alexopoulos and Seila, "Output data analysis for simulations", 2001). So each run gives one figure. Runs are paired
//! by their seed, both having faced the very same requests (common random numbers; Law, *Simulation Modeling and
//! Analysis*, section 11.2), and what is looked at is the ratio in each pair: a ratio has no unit, and a system that is
//! twice as slow is so at 2 ms and at 2 s.
//!
//! ```text
//! pairs → ratios ─┬→ median ratio with its 95 % interval   (ratio, bootstrap)   how much
//!                 ├→ sign flips → p → Holm                  (permutation, holm)  is it chance
//!                 └→ noise floor from A/A runs              (noise)              is it worth a word
//!                                       → Verdict           (verdict)
//! ```
//!
//! Everything here is a pure function; what resamples is told its seed, and its generator means the same everywhere.

pub mod bootstrap;
pub mod holm;
pub mod joint;
pub mod median;
pub mod noise;
pub mod permutation;
pub mod random;
pub mod ratio;
pub mod verdict;

pub use bootstrap::{Interval, median_ratio_interval};
pub use holm::holm;
pub use joint::joint_sign_flip_p;
pub use median::{lower_median, median};
pub use noise::NoiseFloor;
pub use permutation::sign_flip_p;
pub use ratio::{median_ratio, paired_ratios};
pub use verdict::{Better, Comparison, Judged, Verdict, judge, pairs_needed};
