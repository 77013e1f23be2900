//! What a backend is, as a scenario states it.
//!
//! These very types are the `[backends.NAME]` tables of a scenario file, so the text of their documentation is what an
//! editor shows beside a key. Reading checks the form; [`BackendConfig::problem`] checks what the form cannot.

use policy::{
    distribution::{Distribution, Quantity},
    quantity::{ByteSize, TimeSpan},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    content::ContentConfig,
    memory::MemoryConfig,
    redirect::Admission,
    station::{Discipline, Layout},
};

/// A group of equal endpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BackendConfig {
    /// How many endpoints there are, 1 to 10000; those of `web` are called `web-0`, `web-1`, …
    pub count: u32,
    /// How many requests an endpoint serves at full speed at once, 1 to 1000000. For `session`: how many
    /// sessions there may be at once.
    pub workers: u32,
    /// In which order requests are served.
    pub discipline: Discipline,
    /// How many requests may wait beyond `workers`, at most 1000000; the next is answered 503. Under processor
    /// sharing nobody waits: `workers + queue` requests may be there at once.
    pub queue: u32,
    /// The service time at speed 1 of a request that does not bring its own; for `session` the length of the session.
    pub service: Distribution<TimeSpan>,
    /// How fast the endpoint is: at 2.0 a service time of 20 ms takes 10 ms. Above 0, at most 1000000.
    pub speed: f64,
    /// The endpoint's weight for the proxy, 1 to 1000000; the endpoint itself does not care.
    pub weight: u32,
    /// The endpoint's tier for the proxy, 0 to 255: those of a higher number are used when too few of the lower are ready.
    #[serde(skip_serializing_if = "is_first")]
    pub priority: u8,
    /// What serving a request means.
    pub kind: Kind,
    /// What a session sends; only with `kind = "session"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionConfig>,
    /// How large the answer's body is, unless the request says so.
    pub response: Distribution<ByteSize>,
    /// How the length of the answer's body is told.
    pub framing: Framing,
    /// What the endpoint's answers are: the same for everybody who asks for the same path and query, and what they say of themselves to
    /// caches and compression. Without this table each answer is its request's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentConfig>,
    /// What the endpoint remembers of what it was asked for, which makes the next request for it cheap: nothing by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryConfig>,
    /// What goes wrong by chance, all the time.
    pub faults: FaultConfig,
    /// The path of the health check. It is answered at once: it neither waits nor needs service, so it says that
    /// the process lives, not that it is idle.
    pub health_path: String,
    /// The path of the load probe. It is answered at once, with 204 and a load report, also by an endpoint that fails; one that
    /// hangs answers nothing. Empty: there is none. In a scenario it is always what the strategy asks for, if that one probes, and else
    /// none.
    pub probe_path: String,
    /// Whether each answer says how loaded the endpoint is, in the field `endpoint-load-metrics`. A scenario whose
    /// strategy reads that sets it.
    pub load_report: bool,
    /// Only requests that a proxy has redirected here are let in. No key of a file: a secret comes from elsewhere.
    #[serde(skip)]
    pub admission: Option<Admission>,
}

impl Default for BackendConfig {
    fn default() -> Self {
        Self {
            count: 1,
            workers: 1,
            discipline: Discipline::Fifo,
            queue: 1024,
            service: Distribution::Constant(TimeSpan::millis(0)),
            speed: 1.0,
            weight: 1,
            priority: 0,
            kind: Kind::Delay,
            session: None,
            response: Distribution::Constant(ByteSize(100)),
            framing: Framing::Length,
            content: None,
            memory: None,
            faults: FaultConfig::default(),
            health_path: "/healthz".to_owned(),
            probe_path: "/loadz".to_owned(),
            load_report: false,
            admission: None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_first(priority: &u8) -> bool {
    *priority == 0
}

/// What serving a request means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Time passes: the endpoint waits for something else, such as a database.
    #[default]
    Delay,
    /// The processor works for that time. All endpoints of a thread share its core. In virtual time it is a delay.
    Compute,
    /// A stream that lasts for that time: see `session`.
    Session,
}

/// What a session sends while it lasts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionConfig {
    /// What the stream is made of.
    pub format: SessionFormat,
    /// The time from one chunk, event or message to the next; the first comes at once. At least 1 us.
    pub every: TimeSpan,
    /// Bytes in each, 1 B to 1 MiB.
    pub size: ByteSize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { format: SessionFormat::Chunked, every: TimeSpan::millis(100), size: ByteSize(100) }
    }
}

/// What a session's stream is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionFormat {
    /// Chunks of one long body.
    #[default]
    Chunked,
    /// Server-sent events.
    Sse,
    /// WebSocket messages (RFC 6455); what the client sends comes back.
    Websocket,
}

/// How the length of an answer's body is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// By `Content-Length`.
    #[default]
    Length,
    /// By chunks.
    Chunked,
}

/// What goes wrong by chance. Probabilities are from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FaultConfig {
    /// Statuses that are answered instead of service, at once; the probabilities may add up to 1.
    pub status: Vec<StatusShare>,
    /// Service demand that is added; the probabilities may add up to 1.
    pub delay: Vec<DelayShare>,
    /// The probability that the connection is reset instead of an answer.
    pub reset: f64,
}

/// A status and how often it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusShare {
    /// The status, 200 to 599.
    pub status: u16,
    /// How often, 0 to 1.
    pub probability: f64,
}

/// An additional service demand and how often it comes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelayShare {
    /// The additional service demand at speed 1.
    pub time: TimeSpan,
    /// How often, 0 to 1.
    pub probability: f64,
}

impl FaultConfig {
    /// Whether nothing ever goes wrong.
    pub fn is_none(&self) -> bool {
        self.status.is_empty() && self.delay.is_empty() && self.reset <= 0.0
    }
}

impl BackendConfig {
    /// What is impossible: the dotted path of the key and what it must be.
    pub fn problem(&self) -> Option<(String, String)> {
        let bad = |path: &str, what: &str| Some((path.to_owned(), what.to_owned()));
        if !(1..=10_000).contains(&self.count) {
            return bad("count", "must be 1 to 10000");
        }
        if !(1..=1_000_000).contains(&self.workers) {
            return bad("workers", "must be 1 to 1000000");
        }
        if self.queue > 1_000_000 {
            return bad("queue", "must be at most 1000000");
        }
        if !(self.speed > 0.0 && self.speed <= 1e6) {
            return bad("speed", "must be above 0 and at most 1000000");
        }
        if !(1..=1_000_000).contains(&self.weight) {
            return bad("weight", "must be 1 to 1000000");
        }
        if !self.health_path.starts_with('/') {
            return bad("health_path", "must begin with `/`");
        }
        if !self.probe_path.is_empty() && !self.probe_path.starts_with('/') {
            return bad("probe_path", "must begin with `/`, or be empty for none");
        }
        if self.probe_path == self.health_path {
            return bad("probe_path", "must not be the path of the health check");
        }
        inside("service", &self.service)
            .or_else(|| inside("response", &self.response))
            .or_else(|| self.session_problem())
            .or_else(|| self.content_problem())
            .or_else(|| self.memory_problem())
            .or_else(|| self.faults.problem())
    }

    fn session_problem(&self) -> Option<(String, String)> {
        let session = self.session.as_ref()?;
        let bad = |path: &str, what: &str| Some((path.to_owned(), what.to_owned()));
        if self.kind != Kind::Session {
            return bad("session", "needs `kind = \"session\"` beside it");
        }
        if session.every.0.as_nanos() < 1_000 {
            return bad("session.every", "must be at least 1us");
        }
        if !(1..=1 << 20).contains(&session.size.0) {
            return bad("session.size", "must be 1B to 1MiB");
        }
        None
    }

    fn content_problem(&self) -> Option<(String, String)> {
        let content = self.content.as_ref()?;
        if self.kind == Kind::Session {
            let what = "means nothing with `kind = \"session\"`: a session is its client's own";
            return Some(("content".to_owned(), what.to_owned()));
        }
        content.problem().map(|(name, what)| (format!("content.{name}"), what.to_owned()))
    }

    fn memory_problem(&self) -> Option<(String, String)> {
        let memory = self.memory?;
        if self.kind == Kind::Session {
            let what =
                "means nothing with `kind = \"session\"`: a session lasts as long as it lasts";
            return Some(("memory".to_owned(), what.to_owned()));
        }
        memory.problem().map(|(name, what)| (format!("memory.{name}"), what.to_owned()))
    }

    /// What the session sends: as stated, or the default.
    pub fn session(&self) -> SessionConfig {
        self.session.clone().unwrap_or_default()
    }

    /// The parameters of an endpoint's service model.
    pub fn layout(&self) -> Layout {
        Layout {
            workers: self.workers,
            queue: self.queue,
            discipline: self.discipline,
            speed: self.speed,
        }
    }
}

impl FaultConfig {
    fn problem(&self) -> Option<(String, String)> {
        let share = "must be 0 to 1";
        let mut sum = 0.0;
        for (i, fault) in self.status.iter().enumerate() {
            if !(200..=599).contains(&fault.status) {
                let path = format!("faults.status[{i}].status");
                return Some((path, "must be a status from 200 to 599".into()));
            }
            if !(0.0..=1.0).contains(&fault.probability) {
                return Some((format!("faults.status[{i}].probability"), share.into()));
            }
            sum += fault.probability;
        }
        if sum > 1.0 + 1e-9 {
            return Some(("faults.status".into(), "must not add up to more than 1".into()));
        }
        sum = 0.0;
        for (i, fault) in self.delay.iter().enumerate() {
            if !(0.0..=1.0).contains(&fault.probability) {
                return Some((format!("faults.delay[{i}].probability"), share.into()));
            }
            sum += fault.probability;
        }
        if sum > 1.0 + 1e-9 {
            return Some(("faults.delay".into(), "must not add up to more than 1".into()));
        }
        if !(0.0..=1.0).contains(&self.reset) {
            return Some(("faults.reset".into(), share.into()));
        }
        None
    }
}

fn inside<Q: Quantity>(path: &str, distribution: &Distribution<Q>) -> Option<(String, String)> {
    distribution.problem().map(|(name, what)| (format!("{path}.{name}"), what))
}
