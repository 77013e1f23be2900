//! From a run that broke something to the smallest scenario that breaks the same.
//!
//! *The same* is what makes shrinking honest: a timeline with half of its events that breaks something else has shown
//! nothing about the first fault. So a candidate counts only when the very invariant or threshold breaks that broke first, or
//! the panic is at the same line. (Whether a system recovers is asked only of one that was put right again: the
//! invariant sees to that itself.)

use super::{
    campaign::{Found, try_case},
    judge::{Broken, Judge, Kind, STUCK_NAME},
    reduce::{self, Case},
    shrink::Trials,
};
use crate::interrupt::Interrupt;

/// What a finding was made into.
#[derive(Clone, Debug)]
pub struct Smallest {
    /// The scenario.
    pub case: Case,
    /// What it breaks.
    pub broken: Broken,
    /// How many runs it took.
    pub runs: u64,
}

/// The smallest case that breaks what `found` broke first, in at most `most` runs; `each` is told how many there were. What has
/// been reached so far, when `interrupt` wants the end.
pub fn smallest(
    judge: &Judge,
    found: &Found,
    most: u32,
    interrupt: &Interrupt,
    each: &mut dyn FnMut(u64),
) -> Option<Smallest> {
    let first = found.broken.first()?;
    let mut result = Smallest { case: found.case.clone(), broken: first.clone(), runs: 0 };
    // To run again and again what got stuck would take hours.
    if first.kind == Kind::Endless && first.name == STUCK_NAME {
        return Some(result);
    }
    let mut runs = 0;
    let mut last = first.clone();
    let mut breaks = |case: &Case| {
        if interrupt.is_wanted() {
            return false;
        }
        runs += 1;
        each(runs);
        let interrupt = interrupt.clone();
        let seen = try_case(judge, case, move || interrupt.is_wanted()).unwrap_or_default();
        let same = seen.into_iter().find(|seen| seen.is_like(first));
        let is_same = same.is_some();
        last = same.unwrap_or_else(|| last.clone());
        is_same
    };
    let mut trials = Trials::new(most, Case::text, &mut breaks);
    let mut start = reduce::only_about(&found.case, first);
    if start != found.case && !trials.breaks(&start) {
        // Thresholds change nothing in a run. But what was found must not be lost, whatever the reason is.
        start = found.case.clone();
    }
    result.case = reduce::case(start, &mut trials);
    (result.broken, result.runs) = (last, runs);
    Some(result)
}
