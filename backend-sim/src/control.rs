//! Commanding an endpoint while it runs, and asking what it has seen.
//!
//! Faults are the words of a scenario's events. Each counts whom it touched: a fault that was injected and hit nobody
//! has tested nothing, and the run says so.

use std::{fmt, io, rc::Rc, time::Duration};

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    core::{Core, Failing},
    gate::Wanted,
};

/// What is done to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Everything takes `factor` times as long, what is being served included; below 1 it is faster.
    Slow {
        /// Above 0, at most 1000000000.
        factor: f64,
    },
    /// Requests are answered with `status` at once and without service, with this probability.
    Fail {
        /// From 200 to 599.
        status: u16,
        /// From 0 to 1.
        probability: f64,
    },
    /// The process stops as if frozen: it accepts and reads, but answers nothing and serves nothing until it is
    /// restored; then it goes on where it was.
    Hang,
    /// The process dies: the listener closes, every connection is reset, all jobs are lost.
    Crash,
    /// A new process on the same address: cold and without any fault. One that still runs dies first.
    Restart,
    /// Back to normal: speed, answers, and life, if it had crashed.
    Restore,
}

impl Fault {
    /// What is impossible: the key and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Slow { factor } if !(*factor > 0.0 && *factor <= 1e9) => {
                Some(("factor", "must be above 0 and at most 1000000000".into()))
            }
            Self::Fail { status, .. } if !(200..=599).contains(status) => {
                Some(("status", "must be a status from 200 to 599".into()))
            }
            Self::Fail { probability, .. } if !(0.0..=1.0).contains(probability) => {
                Some(("probability", "must be 0 to 1".into()))
            }
            _ => None,
        }
    }
}

/// How many requests, or for a crash connections, each fault has touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FaultHits {
    /// Requests that were served, in part or whole, at a changed speed.
    pub slow: u64,
    /// Requests (health checks included) that an injected failure answered.
    pub fail: u64,
    /// Requests (health checks included) that were there, or came, while the endpoint hung.
    pub hang: u64,
    /// Connections that a crash or a restart reset.
    pub crash: u64,
}

/// What an endpoint has seen so far. Health checks are counted apart and in nothing else but `hits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open_connections: u64,
    /// Requests begun.
    pub requests: u64,
    /// Health checks.
    pub health_checks: u64,
    /// Requests that are here now: waiting, being served or being answered.
    pub in_flight: u64,
    /// Those of them that wait for a worker.
    pub waiting: u64,
    /// Requests served; the answer was handed to the connection, a session was carried through to its end.
    pub completed: u64,
    /// Requests answered 503 because the waiting room was full.
    pub rejected: u64,
    /// Requests that a fault answered: injected, or by chance from the configuration.
    pub failed: u64,
    /// Requests whose own headers made no sense; answered 400.
    pub bad_requests: u64,
    /// Requests without a good token; answered 403. In no other count.
    pub forbidden: u64,
    /// Ends of sessions that no proxy could be told of.
    pub unreported: u64,
    /// Requests whose body was not what its number says; answered 400.
    pub mismatches: u64,
    /// Requests whose connection ended before their answer.
    pub cancelled: u64,
    /// Connections that were reset: by a crash, a restart or by chance.
    pub resets: u64,
    /// Connections that could not be accepted, and binds that failed.
    pub accept_errors: u64,
    /// Workers' time spent on requests.
    #[serde(rename = "busy_ns", serialize_with = "as_nanos")]
    pub busy: Duration,
    /// Whom the injected faults have touched.
    pub hits: FaultHits,
}

fn as_nanos<S: serde::Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(policy::time::nanos(*value))
}

/// The handle of a running endpoint. Cheap to clone; stays on the endpoint's thread.
#[derive(Clone)]
pub struct Control {
    pub(crate) core: Rc<Core>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("endpoint", &self.core.name).finish_non_exhaustive()
    }
}

impl Control {
    /// The endpoint's name.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Does it. Service is affected at once; wait for [`settled`](Self::settled) to know the listener in its new state.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the fault has an impossible parameter; nothing has happened then.
    pub fn apply(&self, fault: &Fault) -> io::Result<()> {
        if let Some((key, what)) = fault.problem() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{key}` {what}")));
        }
        match *fault {
            Fault::Slow { factor } => {
                self.core.hit(|hits| hits.slow += self.core.jobs());
                self.core.set_pace(factor, self.core.is_hung());
            }
            Fault::Fail { status, probability } => {
                let status =
                    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                self.core.failing.set(Some(Failing { status, probability }));
            }
            Fault::Hang => {
                if !self.core.is_hung() {
                    self.core.hit(|hits| hits.hang += self.core.jobs());
                }
                self.core.set_pace(self.core.factor(), true);
            }
            Fault::Crash => self.end_life(Wanted::Closed),
            Fault::Restart => {
                self.end_life(Wanted::Open);
                self.heal();
            }
            Fault::Restore => {
                self.heal();
                let (_, wanted) = self.core.gate.state();
                if wanted == Wanted::Closed {
                    self.core.gate.want(Wanted::Open);
                }
            }
        }
        Ok(())
    }

    /// Everything takes `factor` times as long. See [`Fault::Slow`].
    pub fn slow(&self, factor: f64) -> io::Result<()> {
        self.apply(&Fault::Slow { factor })
    }

    /// Requests are answered `status` with this probability. See [`Fault::Fail`].
    pub fn fail(&self, status: u16, probability: f64) -> io::Result<()> {
        self.apply(&Fault::Fail { status, probability })
    }

    /// Accepts, reads, never answers. See [`Fault::Hang`].
    pub fn hang(&self) {
        let _ = self.apply(&Fault::Hang);
    }

    /// Dies. See [`Fault::Crash`].
    pub fn crash(&self) {
        let _ = self.apply(&Fault::Crash);
    }

    /// Lives again, cold. See [`Fault::Restart`].
    pub fn restart(&self) {
        let _ = self.apply(&Fault::Restart);
    }

    /// Back to normal. See [`Fault::Restore`].
    pub fn restore(&self) {
        let _ = self.apply(&Fault::Restore);
    }

    /// Waits until the last crash, restart or restore has been carried out: the address refuses connections, or
    /// takes them, and the connections of the life before are gone.
    ///
    /// # Errors
    ///
    /// When the address could not be bound again. It is tried further, 20 times a second.
    pub async fn settled(&self) -> io::Result<()> {
        self.core.gate.settled().await
    }

    /// What the endpoint has seen so far.
    pub fn snapshot(&self) -> Snapshot {
        self.core.snapshot()
    }

    /// From now on the endpoint notes the numbers of the requests that are not idempotent, in the order in which they come: 8 bytes each.
    /// Whoever has several endpoints can tell from them what was sent twice.
    pub fn note_unrepeatable(&self) {
        self.core.note_unrepeatable();
    }

    /// The numbers that were noted since [`note_unrepeatable`](Self::note_unrepeatable).
    pub fn unrepeatable(&self) -> Vec<u64> {
        self.core.unrepeatable()
    }

    fn end_life(&self, next: Wanted) {
        let ended = self.core.gate.end_life(next) as u64;
        self.core.hit(|hits| hits.crash += ended);
        self.core.lose_jobs();
    }

    fn heal(&self) {
        self.core.failing.set(None);
        self.core.set_pace(1.0, false);
    }
}
