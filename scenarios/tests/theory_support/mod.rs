//! What the tests against theory share: systems that are run, laws that they obey, and estimates with honest intervals.

#![allow(dead_code, reason = "each of the programs uses its part")]

pub(crate) mod estimate;
pub(crate) mod laws;
pub(crate) mod system;

/// Three seeds of a run each. `THEORY_SEED` (1 when it is not set) is the first.
pub(crate) fn seeds() -> [u64; 3] {
    let asked = std::env::var("THEORY_SEED").ok();
    let first = asked.map_or(1, |text| text.parse().expect("THEORY_SEED is a number"));
    [first, first + 1, first + 2]
}
