//! The access log: a line for each request, or for a share of them and all that were slow.
//!
//! A request that has ended states the facts ([`Entry`]); [`line`] makes text of them, and [`sink`] takes it off the request's path. Which
//! requests are logged is drawn by the worker's own stream, a draw each: nobody can choose his requests so that they stay out
//! of the log, as he could if a hash of something that he sends decided. Who took longer than `slow` is always in it.
//!
//! Whatever a client sends, it cannot write a line of its own: what is not printable is escaped in every format, line ends first of all.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use http1::RequestHead;
use policy::{Instant, Rng, trace::Names};

use super::fault::Fault;
use crate::config::{AccessLog, LogFormat, Phase, Template};

mod line;
mod moment;
mod sink;

pub use sink::Console;
pub(crate) use sink::{Offer, Sink};

/// What there is to say of a request.
pub(crate) struct Entry<'a> {
    /// Who asked, as far as those say so who are believed.
    pub(crate) client: IpAddr,
    /// Whose connection it was.
    pub(crate) peer: SocketAddr,
    pub(crate) head: &'a RequestHead,
    pub(crate) status: u16,
    pub(crate) fault: Option<&'a Fault>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) stamps: Stamps,
    /// The route's name; empty where none matched.
    pub(crate) route: &'a str,
    /// Why a stage has answered, if one has.
    pub(crate) reason: Option<&'static str>,
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) retries: u32,
    pub(crate) names: &'a Names,
}

/// When a request came where; never, where it did not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamps {
    /// The endpoint was chosen.
    pub(crate) chosen: Instant,
    /// There was a connection to it.
    pub(crate) connected: Instant,
    /// The head of its response was there.
    pub(crate) answered: Instant,
}

impl Stamps {
    /// It came nowhere.
    pub(crate) const NOWHERE: Self =
        Self { chosen: Instant::NEVER, connected: Instant::NEVER, answered: Instant::NEVER };
}

impl Entry<'_> {
    /// How long it took in all.
    fn spent(&self) -> Duration {
        self.ended.since(self.begun)
    }

    /// How long a part of it took, if it came there.
    fn phase(&self, phase: Phase) -> Option<Duration> {
        let Stamps { chosen, connected, answered } = self.stamps;
        let (from, to) = match phase {
            Phase::Waiting => (self.begun, chosen),
            Phase::Connecting => (chosen, connected),
            Phase::FirstByte => (connected, answered),
            Phase::Body => (answered, self.ended),
        };
        (from != Instant::NEVER).then(|| to.min(self.ended).since(from))
    }
}

/// How lines are written.
enum Writing {
    Text,
    Json,
    Template(Template),
}

/// The combined log format of Apache.
const COMBINED: &str =
    "$client - - [$time_local] \"$request\" $status $bytes_sent \"$referer\" \"$user_agent\"";

/// The access log of one worker, as it is configured.
pub(crate) struct Log {
    writing: Writing,
    sample: f64,
    slow: Option<Duration>,
    sink: Arc<Sink>,
}

impl Log {
    /// Nothing where nothing is logged.
    pub(crate) fn new(config: &AccessLog, sink: Option<&Arc<Sink>>) -> Option<Box<Self>> {
        let sink = Arc::clone(sink.filter(|_| config.is_on())?);
        let template = match (&config.template, config.format) {
            (Some(text), _) => Some(text.as_str()),
            (None, LogFormat::Combined) => Some(COMBINED),
            (None, _) => None,
        };
        let writing = match template {
            // A configuration that cannot be read does not come so far.
            Some(text) => Writing::Template(text.parse().ok()?),
            None if config.format == LogFormat::Json => Writing::Json,
            None => Writing::Text,
        };
        let slow = config.slow.map(|limit| limit.0);
        Some(Box::new(Self { writing, sample: config.sample, slow, sink }))
    }

    /// Logs the request, if it is one that is logged. False where its line had to be dropped.
    pub(crate) fn write(
        &self,
        worker: usize,
        rng: &mut Rng,
        now: SystemTime,
        entry: &Entry<'_>,
    ) -> bool {
        let slow = self.slow.is_some_and(|limit| entry.spent() >= limit);
        // Nobody draws where all are logged.
        if !slow && self.sample < 1.0 && !rng.chance(self.sample) {
            return true;
        }
        let facts = line::Facts { entry, now, slow };
        let offer = self.sink.offer(worker, |out| {
            match &self.writing {
                Writing::Json => line::json(out, &facts),
                Writing::Text => line::text(out, &facts),
                Writing::Template(template) => line::template(out, template, &facts),
            }
            out.push(b'\n');
        });
        offer == Offer::Taken
    }
}
