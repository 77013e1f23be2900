//! An endpoint of the model: the simulated backend's own station, and around it what its HTTP side does.
//!
//! The station is `backend_sim`'s, and what a request does not bring is drawn as there: from the endpoint's seed and the
//! request's number. The order is the backend's, too: it hangs, or it fails, or the request is unlucky, or it is queued and
//! served; failures are answered at once.

use std::time::Duration;

use backend_sim::{
    BackendConfig, FaultHits,
    config::{FaultConfig, Kind, SessionFormat},
    memory::Memory,
    station::{JobId, Station},
};
use policy::{
    Instant, Seed,
    distribution::{Distribution, whole},
};

use super::{
    inquiry::{Inquiry, Metered},
    probe::Probe,
    request::Try,
};

/// Bytes of the answers that the backend makes up.
pub(super) const FAILURE: u64 = "this endpoint fails because it was told to\n".len() as u64;
pub(super) const FULL: u64 = "every worker is busy and the waiting room is full\n".len() as u64;
pub(super) const HEALTHY: u64 = "ok\n".len() as u64;

/// Who a job is for, or who waits for a hung endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A request.
    Request(Try),
    /// A health check.
    Probe(Probe),
    /// A load probe; never a job's.
    Inquiry(Inquiry),
}

/// The answer instead of service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    pub(super) status: u16,
    pub(super) probability: f64,
}

/// An endpoint.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) name: String,
    /// In a box, because it is large and seldom asked: of thousands of endpoints only what every request needs should be in a near cache.
    pub(super) config: Box<BackendConfig>,
    /// Of the configuration, what every request needs: the path of health checks; the size of an answer, if all are alike; whether it
    /// holds sessions; whether requests are unlucky there.
    pub(super) health_path: String,
    alike: Option<u64>,
    is_session: bool,
    has_faults: bool,
    /// Whether its answers are of their targets.
    pub(super) has_content: bool,
    pub(super) station: Station,
    /// Its station's source on the agenda.
    pub(super) source: u32,
    /// Whose each job is, by the job's place.
    pub(super) owners: Vec<Option<Owner>>,
    /// Those who came while it hung.
    pub(super) held: Vec<Owner>,
    /// What it remembers, if anything.
    pub(super) memory: Option<Memory>,
    pub(super) failing: Option<Failing>,
    pub(super) factor: f64,
    pub(super) hung: bool,
    pub(super) down: bool,
    /// Each crash and restart begins another.
    pub(super) life: u32,
    /// Moves when it freezes or thaws.
    pub(super) freeze: u32,
    pub(super) hits: FaultHits,
    pub(super) seed: Seed,
    unnumbered: u64,
    health_checks: u64,
    /// How loaded it is, if anybody wants to know.
    pub(super) metered: Option<Box<Metered>>,
}

/// What goes wrong with a request by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfortune {
    Reset,
    Status(u16),
    Delay(Duration),
    Nothing,
}

impl Backend {
    pub(super) fn new(name: &str, config: &BackendConfig, seed: Seed, source: u32) -> Self {
        Self {
            name: name.to_owned(),
            health_path: config.health_path.clone(),
            alike: match &config.response {
                Distribution::Constant(size) => Some(size.0),
                _ => None,
            },
            is_session: config.kind == Kind::Session,
            has_faults: !config.faults.is_none(),
            has_content: config.content.is_some(),
            config: Box::new(config.clone()),
            station: match config.kind {
                Kind::Session => Station::new(config.layout()),
                Kind::Compute | Kind::Delay => Station::without_starts(config.layout()),
            },
            source,
            owners: Vec::new(),
            held: Vec::new(),
            memory: config.memory.map(Memory::new),
            failing: None,
            factor: 1.0,
            hung: false,
            down: false,
            life: 0,
            freeze: 0,
            hits: FaultHits::default(),
            seed: seed.child(name),
            unnumbered: 0,
            health_checks: 0,
            metered: None,
        }
    }

    /// The same with a meter, for those who want to know how loaded it is.
    pub(super) fn metered(self) -> Self {
        Self { metered: Some(Box::new(Metered::new(self.config.workers))), ..self }
    }

    /// The same with what is made of its station.
    pub(super) fn with_station(self, make: fn(Station) -> Station) -> Self {
        Self { station: make(self.station), ..self }
    }

    /// The random streams of a request, by its number.
    pub(super) fn draws(&mut self, id: Option<u64>) -> Seed {
        id.map_or_else(
            || {
                self.unnumbered += 1;
                self.seed.child("unnumbered").nth(self.unnumbered - 1)
            },
            |id| self.seed.nth(id),
        )
    }

    /// The random stream of the next health check.
    pub(super) fn health_draws(&mut self) -> Seed {
        self.health_checks += 1;
        self.seed.child("health").nth(self.health_checks - 1)
    }

    /// The service demand of a request that may bring one.
    pub(super) fn service(&self, work: Option<u64>, draws: Seed) -> Duration {
        match (work, &self.config.service) {
            (Some(nanos), _) => Duration::from_nanos(nanos),
            (None, Distribution::Constant(span)) => span.0,
            (None, drawn) => Duration::from_nanos(whole(drawn.draw(&mut draws.stream("service")))),
        }
    }

    /// The bytes of its answer.
    pub(super) fn size(&self, size: Option<u64>, draws: Seed) -> u64 {
        size.or(self.alike)
            .unwrap_or_else(|| whole(self.config.response.draw(&mut draws.stream("size"))))
    }

    /// The same where nothing has to be drawn and nothing else can become of the request.
    #[inline]
    pub(super) fn plain_size(&self, size: Option<u64>) -> Option<u64> {
        let more = self.is_session || self.has_faults || self.has_content;
        let plain = !more && self.memory.is_none() && self.failing.is_none();
        if plain { size.or(self.alike) } else { None }
    }

    /// The bytes of an answer with this status instead of service: one that says that it succeeded looks like it.
    pub(super) fn failure_size(&self, status: u16, size: Option<u64>, draws: Seed) -> u64 {
        if status == 200 { self.size(size, draws) } else { FAILURE }
    }

    /// What a session of this length sends: a piece at once, and one each `every` while it lasts.
    pub(super) fn session_bytes(&self, lasts: Duration) -> u64 {
        let session = self.config.session();
        let every = session.every.0.as_nanos().max(1);
        let pieces = lasts.as_nanos().div_ceil(every).max(1);
        let pieces = u64::try_from(pieces).unwrap_or(u64::MAX);
        let frames = if session.format == SessionFormat::Sse { event_frames(pieces) } else { 0 };
        session.size.0.saturating_mul(pieces).saturating_add(frames)
    }

    /// What goes wrong with a request by chance.
    pub(super) fn misfortune(&self, draws: Seed) -> Misfortune {
        if self.has_faults { misfortune(&self.config.faults, draws) } else { Misfortune::Nothing }
    }

    pub(super) fn is_session(&self) -> bool {
        self.is_session
    }

    pub(super) fn is_slow(&self) -> bool {
        (self.factor - 1.0).abs() > f64::EPSILON
    }

    /// Sets how slow it is and whether it hangs.
    pub(super) fn set_pace(&mut self, now: Instant, factor: f64, hung: bool) {
        if self.hung != hung {
            self.freeze += 1;
        }
        (self.factor, self.hung) = (factor, hung);
        self.station.set_speed(now, if hung { 0.0 } else { self.config.speed / factor });
    }

    /// Notes whose a job is.
    pub(super) fn own(&mut self, job: JobId, owner: Owner) {
        if self.owners.len() <= job.index() {
            self.owners.resize(job.index() + 1, None);
        }
        self.owners[job.index()] = Some(owner);
    }

    pub(super) fn owner(&self, job: JobId) -> Option<Owner> {
        self.owners.get(job.index()).copied().flatten()
    }
}

/// The bytes around the data of so many server-sent events, which are numbered from 0.
fn event_frames(events: u64) -> u64 {
    let mut digits = events;
    let mut longer = 10;
    while longer < events {
        digits = digits.saturating_add(events - longer);
        longer = longer.saturating_mul(10);
    }
    digits.saturating_add(events.saturating_mul("id: \ndata: \n\n".len() as u64))
}

/// What goes wrong with a request by the configuration. All three are drawn always, so that one fault shifts no other.
fn misfortune(faults: &FaultConfig, draws: Seed) -> Misfortune {
    let mut rng = draws.stream("faults");
    let (reset, mut status, mut delay) = (rng.unit(), rng.unit(), rng.unit());
    if reset < faults.reset {
        return Misfortune::Reset;
    }
    for share in &faults.status {
        if status < share.probability {
            return Misfortune::Status(share.status);
        }
        status -= share.probability;
    }
    for share in &faults.delay {
        if delay < share.probability {
            return Misfortune::Delay(share.time.0);
        }
        delay -= share.probability;
    }
    Misfortune::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_framed_as_the_backend_does_it() {
        for events in [0, 1, 9, 10, 11, 100, 101, 1234] {
            let frames = (0..events).map(|number| format!("id: {number}\ndata: \n\n").len() as u64);
            assert_eq!(event_frames(events), frames.sum::<u64>(), "{events} events");
        }
    }
}
