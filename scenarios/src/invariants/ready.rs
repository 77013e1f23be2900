//! `only_ready`: nothing is sent to an endpoint that is ejected, removed or down by its health check, but for panic.
//!
//! Judged is the moment at which a request *turns* to an endpoint: when it takes a connection to it or dials one. Whatever befalls
//! the endpoint while the dial is under way is nobody's fault. Whether so few are ready that all are used (panic) is worked out
//! here from the counts, not asked for. An endpoint that a reload has removed is still used by the requests that began
//! before, and by no other. In redirect mode a request turns to an endpoint when its client is sent there.

use policy::Instant;
use proxy::engine::{Out, Standing};

use super::{Invariants, request};

/// A request turns to an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// When the request began, in the proxy.
    pub begun: Instant,
    /// The configuration that it began with.
    pub configuration: u32,
    /// The endpoint's place there.
    pub place: u32,
    /// How the endpoint stands now, by its own figures.
    pub standing: Standing,
    /// Turns before this one that have failed.
    pub failed: u32,
}

impl Invariants {
    /// A request turns to an endpoint: takes a connection to it, or dials.
    #[inline]
    pub fn turned(&mut self, now: Instant, turn: &Turn, number: impl FnOnce() -> Option<u64>) {
        self.ready.check();
        self.book.note_turn(now, turn.configuration);
        let setup = self.book.setup(turn.configuration);
        let is_late = turn.begun > setup.replaced;
        if turn.standing != Standing::Ready || is_late {
            self.judge_turn(now, turn, number());
        }
        if turn.failed > 0 {
            self.retried(now, turn.configuration);
        }
    }

    #[cold]
    fn judge_turn(&mut self, now: Instant, turn: &Turn, number: Option<u64>) {
        let why = match turn.standing {
            _ if turn.begun > self.book.setup(turn.configuration).replaced
                && !self.book.is_still_there(turn.configuration, turn.place) =>
            {
                "which had been removed before it began".to_owned()
            }
            Standing::Ready => return,
            // Its time is over, and the word that says so is not cleared yet.
            Standing::Out { why: Out::Ejected(until), .. } if until <= now => return,
            Standing::Out { why, ready, serving } => {
                let threshold = self.book.setup(turn.configuration).panic_threshold;
                let panic = f64::from(ready) < threshold * f64::from(serving);
                let what = match why {
                    Out::Draining => "which drains".to_owned(),
                    _ if panic => return,
                    Out::Down => "which its health checks hold to be down".to_owned(),
                    Out::Ejected(until) => {
                        format!("which is ejected for {:?} more", until.since(now))
                    }
                };
                format!("{what}, while {ready} of {serving} are ready")
            }
        };
        let at = self.at(now);
        let name = self.book.name(turn.configuration, turn.place);
        self.ready.fail(|| format!("{at} {} went to {name}, {why}", request(number)));
    }
}
