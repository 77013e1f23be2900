//! Running scenarios: which runs there are, who carries them out, and what they come to.
//!
//! A run is one cell of one scenario's matrix in one world with one seed. Whatever goes wrong with one is a verdict of
//! that run and no end of the suite, unless the person asked for that (`--fail-fast`) or interrupted it: then what there
//! is so far is still reported. Runs in virtual time share the processors and go first; live runs need the machine for
//! themselves and go one at a time. Neither changes what any of them comes to, nor their order in the report.

use std::{num::NonZeroUsize, path::Path, time::Duration};

use net::Clock;
use reports::{Run, Suite, Verdict, World};

use crate::{interrupt::Interrupt, sim::Network};

mod crew;
mod host;
pub mod memory;
mod one;
mod plan;
mod progress;
pub(crate) mod repeat;

pub use host::{manifest, stamp};
pub use plan::{Planned, Unplannable, WorldChoice, plan};
pub use progress::Progress;

/// When to stop before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Never: every run is carried out.
    All,
    /// At the first run that does not pass.
    FirstFailure,
}

/// How to carry out runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conduct {
    /// When to stop before the end.
    pub patience: Patience,
    /// So often a measurement is taken again that the machine disturbed.
    pub again: u32,
    /// So many runs in virtual time go on at once.
    pub jobs: NonZeroUsize,
    /// On which network `sim` runs.
    pub network: Network,
}

/// Whether all runs that were planned were carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// They were, or `--fail-fast` ended them.
    Done,
    /// A person ended them.
    Interrupted,
}

/// What became of the runs.
#[derive(Debug)]
pub struct Carried {
    /// Those that were carried out, in the order of the plan.
    pub runs: Vec<Run>,
    /// Whether these are all.
    pub completion: Completion,
    /// The real time that the runs in virtual time took.
    pub virtual_elapsed: Duration,
}

/// Carries out the runs.
pub fn carry_out(
    planned: &[Planned<'_>],
    conduct: Conduct,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Carried {
    let clock = Clock::real();
    let is_live = |index: &usize| planned[*index].world == World::Live;
    let (live, virtual_ones): (Vec<usize>, Vec<usize>) = (0..planned.len()).partition(is_live);
    // Who goes alone shares the memory with nobody.
    let at_once = NonZeroUsize::new(virtual_ones.len()).unwrap_or(NonZeroUsize::MIN);
    let conduct = Conduct { jobs: conduct.jobs.min(at_once), ..conduct };
    let begun = clock.now();
    let (mut done, mut completion) =
        crew::carry_out(planned, &virtual_ones, conduct, interrupt, progress);
    let virtual_elapsed = clock.now().since(begun);
    for index in live {
        let stop = conduct.patience == Patience::FirstFailure
            && done.iter().any(|(_, run)| run.verdict != Verdict::Pass);
        if stop || completion == Completion::Interrupted {
            break;
        }
        if interrupt.is_wanted() {
            completion = Completion::Interrupted;
            break;
        }
        let mut watching = progress.watch(&planned[index]);
        let (run, end) = one::carry_out(&planned[index], conduct, interrupt, &mut watching);
        watching.end(&run);
        completion = end;
        done.push((index, run));
    }
    done.sort_by_key(|(index, _)| *index);
    let runs = done.into_iter().map(|(_, run)| run).collect();
    Carried { runs, completion, virtual_elapsed }
}

/// Writes every file of the report.
///
/// # Errors
/// Which file could not be written, and why.
pub fn write(directory: &Path, suite: &Suite) -> std::io::Result<()> {
    reports::write_all(directory, suite)
}
