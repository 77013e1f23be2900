//! What every command that carries out runs needs before the first: how many at a time, and to hear when it is to end.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    thread,
};

use super::descriptors;
use crate::interrupt::Interrupt;

/// So many runs at a time: as many as were asked for, or one for each processor.
pub(super) fn jobs(asked: Option<NonZeroU16>) -> NonZeroUsize {
    let asked = asked.map(NonZeroUsize::from);
    asked.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
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
