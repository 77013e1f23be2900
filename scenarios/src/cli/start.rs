//! What every command that carries out runs needs before the first: how many at a time, and to hear when it is to end.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    path::Path,
    thread,
    time::{Duration, SystemTime},
};

use net::Clock;
use policy::Instant;
use reports::Manifest;

use super::descriptors;
use crate::{interrupt::Interrupt, run};

/// So many runs at a time: as many as were asked for, or one for each processor.
pub(super) fn jobs(asked: Option<NonZeroU16>) -> NonZeroUsize {
    let asked = asked.map(NonZeroUsize::from);
    asked.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
}

/// A command that has begun to carry out runs.
pub(super) struct Begun {
    /// Whether a person has enough of it.
    pub(super) interrupt: Interrupt,
    clock: Clock,
    started: SystemTime,
}

/// Begins, with the directory of the report: one that cannot be written is better known before the runs than after them.
///
/// # Errors
/// What stands in the way.
pub(super) fn begin(out: &Path) -> Result<Begun, String> {
    std::fs::create_dir_all(out)
        .map_err(|error| format!("cannot write to {}: {error}", out.display()))?;
    let interrupt = listen()?;
    let clock = Clock::real();
    let started = clock.wall();
    Ok(Begun { interrupt, clock, started })
}

impl Begun {
    /// Who did it and how long it took, of which so long in virtual time.
    pub(super) fn manifest(&self, virtual_elapsed: Duration) -> Manifest {
        run::manifest(self.started, self.clock.now() - Instant::START, virtual_elapsed)
    }
}

/// From now on signals are for us, and there are as many open files to be had as the system's owner allows. Once a process.
///
/// # Errors
/// Why signals cannot be received.
pub(super) fn listen() -> Result<Interrupt, String> {
    let interrupt =
        Interrupt::of_signals().map_err(|error| format!("signals cannot be received: {error}"))?;
    descriptors::raise();
    Ok(interrupt)
}
