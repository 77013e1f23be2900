//! The load of a live run: the plan that a scenario means, sent from a thread of its own.

use std::{io, net::SocketAddr, sync::Arc, thread, time::Duration};

use loadgen::{Carry, End, Ledger, NamedLoad, Plan, Progress, Share, Stop};
use net::{Clock, Real};
use policy::{Instant, Seed};
use reports::{Phase, RecorderConfig};
use tokio::{runtime::Builder, sync::oneshot, task::LocalSet};

use crate::language::Scenario;

/// What is sent, and what of it is measured.
pub(super) fn plan(scenario: &Scenario, seed: Seed, address: SocketAddr) -> Plan {
    let phases = scenario.phases.iter().map(|(name, window)| Phase {
        name: name.clone(),
        from: window.from(),
        to: window.to(),
    });
    let recorder = RecorderConfig {
        endpoints: scenario.all_endpoints(),
        phases: phases.collect(),
        ..RecorderConfig::new(Some(scenario.duration.0), scenario.warmup.0)
    };
    // Where all backends are alike, the work is drawn with the request, so that every strategy faces the same.
    let mut services = scenario.backends.values().map(|backend| &backend.service);
    let work = services.next().filter(|first| services.all(|other| other == *first)).cloned();
    let loads = scenario.load.iter().map(|(name, load)| NamedLoad {
        name: name.clone(),
        load: load.clone(),
        work: work.clone(),
    });
    Plan {
        loads: loads.collect(),
        seed: seed.child("load"),
        duration: Some(scenario.duration.0),
        address,
        host: address.to_string(),
        recorder,
        carry: Carry::Work,
        payload: None,
        share: Share::WHOLE,
    }
}

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
