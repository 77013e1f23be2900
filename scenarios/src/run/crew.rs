//! Runs in virtual time, several at once.
//!
//! Each is a thread's alone and knows nothing of the others, so that what it comes to does not depend on how many go on
//! beside it. They are begun in the order of the plan; when the first failure ends it, what was begun after that run is
//! forgotten, so that the report does not depend on it either.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use reports::{Run, Verdict};

use super::{Completion, Conduct, Patience, Planned, Progress, one};
use crate::interrupt::Interrupt;

/// Carries out those of the plan that `chosen` names, and returns them with their places in the plan.
pub(super) fn carry_out(
    planned: &[Planned<'_>],
    chosen: &[usize],
    conduct: Conduct,
    interrupt: &Interrupt,
    progress: &Progress,
) -> (Vec<(usize, Run)>, Completion) {
    if chosen.is_empty() {
        return (Vec::new(), Completion::Done);
    }
    progress.cover(chosen.iter().map(|index| planned[*index].variant.scenario.duration.0).sum());
    let next = AtomicUsize::new(0);
    let (over, interrupted) = (AtomicBool::new(false), AtomicBool::new(false));
    let done = Mutex::new(Vec::with_capacity(chosen.len()));
    let work = || {
        while !over.load(Relaxed) {
            if interrupt.is_wanted() {
                interrupted.store(true, Relaxed);
                return;
            }
            let Some(&index) = chosen.get(next.fetch_add(1, Relaxed)) else { return };
            let mut watching = progress.watch(&planned[index]);
            let (run, completion) =
                one::carry_out(&planned[index], conduct, interrupt, &mut watching);
            watching.end(&run);
            if completion == Completion::Interrupted {
                interrupted.store(true, Relaxed);
            }
            if run.verdict != Verdict::Pass && conduct.patience == Patience::FirstFailure {
                over.store(true, Relaxed);
            }
            done.lock().expect("nobody panics with it").push((index, run));
        }
    };
    thread::scope(|scope| {
        for _ in 0..conduct.jobs.get().min(chosen.len()) {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().expect("nobody panics with it");
    done.sort_by_key(|(index, _)| *index);
    if conduct.patience == Patience::FirstFailure
        && let Some(first) = done.iter().position(|(_, run)| run.verdict != Verdict::Pass)
    {
        done.truncate(first + 1);
    }
    let completion =
        if interrupted.into_inner() { Completion::Interrupted } else { Completion::Done };
    (done, completion)
}
