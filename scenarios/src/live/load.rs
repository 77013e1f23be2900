//! The load of a live run, sent from a thread of its own.

use std::{io, sync::Arc, thread, time::Duration};

use loadgen::{End, Ledger, Plan, Progress, Stop};
use net::{Clock, Real};
use policy::Instant;
use tokio::{runtime::Builder, sync::oneshot, task::LocalSet};

/// Notices a load that cannot be sent at the rate that was asked for.
///
/// Nothing is due after the end of a scenario, so whatever is still taken up a second later was late, and if that goes
/// on for another second the generator will not catch up: then there is nothing to wait for, since such a measurement is
/// not valid anyway.
#[derive(Debug)]
pub(super) struct Overrun {
    at: Instant,
    sent: Option<u64>,
}

impl Overrun {
    const STEP: Duration = Duration::from_secs(1);

    /// For a load that ends at `end`.
    pub(super) fn new(end: Instant) -> Self {
        Self { at: end + Self::STEP, sent: None }
    }

    /// When [`look`](Self::look) is to be called.
    pub(super) fn due(&self) -> Instant {
        self.at
    }

    /// Whether requests are still taken up, when so many were so far.
    pub(super) fn look(&mut self, sent: u64) -> bool {
        let before = self.sent.replace(sent);
        self.at = if before.is_some() { Instant::NEVER } else { self.at + Self::STEP };
        before.is_some_and(|before| sent > before)
    }
}

/// What the load came to.
pub(super) type Ended = Result<(Ledger, End), String>;

/// Starts to send; what is received is the end.
pub(super) fn start(
    plan: Plan,
    clock: Clock,
    start: Instant,
    progress: Arc<Progress>,
    stop: Stop,
) -> io::Result<oneshot::Receiver<Ended>> {
    let (done, ended) = oneshot::channel();
    thread::Builder::new().name("loadgen".into()).spawn(move || {
        let result = match Builder::new_current_thread().enable_all().build() {
            Err(error) => Err(error.to_string()),
            Ok(runtime) => LocalSet::new().block_on(&runtime, async {
                let net = Real::with_clock(clock);
                loadgen::run(&net, &plan, start, progress, stop).await.map_err(|e| e.to_string())
            }),
        };
        // Nobody waits any more when the run was given up.
        drop(done.send(result));
    })?;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_load_that_goes_on_and_on_is_overrun() {
        let end = Instant::START + Duration::from_secs(9);
        let mut overrun = Overrun::new(end);
        assert_eq!(overrun.due(), end + Duration::from_secs(1));
        assert!(!overrun.look(500));
        assert_eq!(overrun.due(), end + Duration::from_secs(2));
        assert!(!overrun.look(500));
        assert_eq!(overrun.due(), Instant::NEVER);
        let mut overrun = Overrun::new(end);
        assert!(!overrun.look(500));
        assert!(overrun.look(501));
    }
}
