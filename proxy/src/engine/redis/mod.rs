//! A Redis that the proxy does better with and as well without.
//!
//! Every call has a deadline and passes a circuit breaker ([`policy::breaker`]); whoever calls gets an answer in time or
//! [`Unavailable`], and goes on without. A Redis that is *full* still answers what it has, so calls that write pass a second breaker, which
//! only hears of that. That it is not available is said once when it begins and once when it ends, and counted for each call.
//!
//! | file | what |
//! |---|---|
//! | `held` | which Redis a proxy has, and what for |
//! | `link` | connections to a real one: alone, behind Sentinels, or a Cluster |
//! | `memory` | the stand-in of simulated worlds, with faults on demand |
//! | `tier` | the cache's second tier: what is kept there, how it is found and purged |
//! | `script` | what is decided where the data is, in one step: Lua there, a function in the stand-in |
//!
//! Calls of many requests share a connection without waiting for one another: what is called at the same time is sent together and answered in order (the
//! protocol's pipelining). The connections live on a thread of their own, so that their number has nothing to do with
//! that of the workers, and no worker ever opens one.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use ::redis::RedisError;
use net::Clock;
use policy::{
    Instant, Outcome, Rng, Seed,
    breaker::{Breaker, BreakerConfig, Change, Ticket},
    redis::RedisConfig,
};

mod held;
mod link;
mod memory;
mod script;
pub mod tier;

pub use ::redis::{Cmd, Value, cmd};
pub(crate) use held::Held;
pub use held::Outside;
pub use memory::{Condition, Memory, StandIn};
pub use script::{InMemory, Script};

/// A call that was not answered: go on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// It has failed before: nobody is to call for a while.
    Resting,
    /// There are as many calls under way as may be.
    Busy,
    /// It did not answer within the deadline.
    Late,
    /// There is no connection, or it broke.
    Lost,
    /// It has no room for what was to be written.
    Full,
    /// It answered that it cannot.
    Refused,
}

impl Unavailable {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 6] =
        [Self::Resting, Self::Busy, Self::Late, Self::Lost, Self::Full, Self::Refused];

    /// What it is called in figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resting => "resting",
            Self::Busy => "busy",
            Self::Late => "late",
            Self::Lost => "lost",
            Self::Full => "full",
            Self::Refused => "refused",
        }
    }

    /// Whether the other side is to blame.
    fn outcome(self) -> Outcome {
        match self {
            Self::Resting | Self::Busy => Outcome::Cancelled,
            Self::Late | Self::Lost | Self::Full | Self::Refused => Outcome::Failure,
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resting => "it has failed before and is left alone for a while",
            Self::Busy => "too many calls are under way",
            Self::Late => "it did not answer within the deadline",
            Self::Lost => "there is no connection",
            Self::Full => "it is full",
            Self::Refused => "it answered that it cannot",
        })
    }
}

impl std::error::Error for Unavailable {}

/// What a call does to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Reads,
    Writes,
}

/// Why a call failed, and what the other side said.
#[derive(Debug)]
struct Failed {
    why: Unavailable,
    said: Option<Box<str>>,
}

impl Failed {
    fn new(why: Unavailable) -> Self {
        Self { why, said: None }
    }
}

impl From<RedisError> for Failed {
    fn from(error: RedisError) -> Self {
        let why = match error.code() {
            Some("OOM") => Unavailable::Full,
            Some(_) => Unavailable::Refused,
            None if error.is_timeout() => Unavailable::Late,
            None => Unavailable::Lost,
        };
        Self { why, said: Some(error.to_string().into()) }
    }
}

/// What has come of the calls.
#[derive(Debug, Default)]
pub struct Figures {
    answered: AtomicU64,
    unavailable: [AtomicU64; Unavailable::ALL.len()],
}

impl Figures {
    /// Calls that were answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Calls that were not, and why, in the order of [`Unavailable::ALL`].
    pub fn unavailable(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = Unavailable::ALL.into_iter().map(Unavailable::name);
        names.zip(self.unavailable.iter().map(|count| count.load(Relaxed)))
    }
}

/// One breaker, and since when it is open.
#[derive(Debug)]
struct Guard {
    breaker: Breaker,
    since: Instant,
}

impl Guard {
    fn new(config: &BreakerConfig) -> Self {
        Self { breaker: Breaker::new(config.clone()), since: Instant::START }
    }
}

/// Whether it may be called.
#[derive(Debug)]
struct Gate {
    /// For all calls.
    all: Guard,
    /// For those that write: it is full.
    room: Guard,
    rng: Rng,
}

/// Who answers.
#[derive(Debug)]
enum Far {
    Real(link::Link),
    InMemory(StandIn),
}

/// A Redis, for all workers of a proxy.
#[derive(Debug)]
pub struct Redis {
    config: RedisConfig,
    /// What the log calls it.
    name: String,
    far: Far,
    gate: Mutex<Gate>,
    under_way: AtomicU32,
    figures: Figures,
}

impl Redis {
    /// The one that `config` names. Connections are opened behind the caller's back, by a thread that ends with this.
    pub fn real(config: RedisConfig, seed: Seed) -> Arc<Self> {
        let far = Far::Real(link::Link::new(&config, seed.child("link")));
        Self::new(config, far, seed)
    }

    /// A stand-in for it, in a simulated world.
    pub fn in_memory(config: RedisConfig, stand_in: StandIn, seed: Seed) -> Arc<Self> {
        Self::new(config, Far::InMemory(stand_in), seed)
    }

    fn new(config: RedisConfig, far: Far, seed: Seed) -> Arc<Self> {
        let hosts = config.hosts().unwrap_or_default();
        let hosts: Vec<String> =
            hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        let gate = Gate {
            all: Guard::new(&config.breaker),
            // One answer that it is full says as much as five.
            room: Guard::new(&BreakerConfig { failures: 1, ..config.breaker.clone() }),
            rng: seed.stream("breaker"),
        };
        Arc::new(Self {
            name: hosts.join(", "),
            far,
            gate: Mutex::new(gate),
            under_way: AtomicU32::new(0),
            figures: Figures::default(),
            config,
        })
    }

    /// What it was made from.
    pub fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// What has come of the calls.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// What all keys begin with.
    pub fn prefix(&self) -> &str {
        &self.config.prefix
    }

    /// Whether calls are made, as far as is known.
    pub fn is_available(&self) -> bool {
        self.gate().all.breaker.is_closed()
    }

    /// A call that only reads.
    pub async fn read(&self, clock: &Clock, command: &Cmd) -> Result<Value, Unavailable> {
        self.call(clock, Access::Reads, command).await
    }

    /// A call that may write.
    pub async fn write(&self, clock: &Clock, command: &Cmd) -> Result<Value, Unavailable> {
        self.call(clock, Access::Writes, command).await
    }

    /// Runs a script: on its keys and arguments, in one step.
    pub async fn eval(
        &self,
        clock: &Clock,
        script: &Script,
        keys: &[&[u8]],
        arguments: &[&[u8]],
    ) -> Result<Value, Unavailable> {
        let mut call = self.begin(clock, Access::Writes)?;
        let running = async {
            match &self.far {
                Far::Real(link) => link.eval(script, keys, arguments).await,
                Far::InMemory(stand_in) => stand_in.eval(clock, script, keys, arguments).await,
            }
        };
        let result = clock.timeout(self.config.deadline.0, running).await;
        call.end(result.unwrap_or(Err(Failed::new(Unavailable::Late))))
    }

    async fn call(
        &self,
        clock: &Clock,
        access: Access,
        command: &Cmd,
    ) -> Result<Value, Unavailable> {
        let mut call = self.begin(clock, access)?;
        let running = async {
            match &self.far {
                Far::Real(link) => link.call(command).await,
                Far::InMemory(stand_in) => stand_in.call(clock, command).await,
            }
        };
        let result = clock.timeout(self.config.deadline.0, running).await;
        call.end(result.unwrap_or(Err(Failed::new(Unavailable::Late))))
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, why: Unavailable) {
        let place = Unavailable::ALL.iter().position(|known| *known == why);
        self.figures.unavailable[place.unwrap_or(0)].fetch_add(1, Relaxed);
    }

    /// Whether a call may be made now.
    fn begin(&self, clock: &Clock, access: Access) -> Result<Call<'_>, Unavailable> {
        let begun = self.begin_uncounted(clock, access);
        begun.inspect_err(|why| self.count(*why))
    }

    fn begin_uncounted(&self, clock: &Clock, access: Access) -> Result<Call<'_>, Unavailable> {
        let more = |calls: u32| (calls < self.config.in_flight).then(|| calls + 1);
        self.under_way.fetch_update(Relaxed, Relaxed, more).map_err(|_| Unavailable::Busy)?;
        let (now, mut gate) = (clock.now(), self.gate());
        // A probe without a connection would tell nothing new, and put off the next one.
        let in_vain = matches!(&self.far, Far::Real(link) if !gate.all.breaker.is_closed() && !link.is_connected());
        let room = match access {
            _ if in_vain => Err(Unavailable::Resting),
            Access::Reads => Ok(None),
            Access::Writes => gate.room.breaker.ask(now).map(Some).ok_or(Unavailable::Full),
        };
        let tickets = room.and_then(|room| {
            if let Some(all) = gate.all.breaker.ask(now) {
                return Ok((all, room));
            }
            if let Some(room) = room {
                // Not made after all.
                let Gate { room: guard, rng, .. } = &mut *gate;
                guard.breaker.tell(room, Outcome::Cancelled, now, rng);
            }
            Err(Unavailable::Resting)
        });
        drop(gate);
        match tickets {
            Ok(tickets) => Ok(Call { redis: self, clock: *clock, tickets: Some(tickets) }),
            Err(why) => {
                self.under_way.fetch_sub(1, Relaxed);
                Err(why)
            }
        }
    }

    /// Tells the breakers what came of a call, and the log what came of that.
    fn tell(
        &self,
        now: Instant,
        (all, room): (Ticket, Option<Ticket>),
        outcome: Result<(), &Failed>,
    ) {
        let mut gate = self.gate();
        let Gate { all: guard_all, room: guard_room, rng } = &mut *gate;
        let full = outcome.is_err_and(|failed| failed.why == Unavailable::Full);
        let of_all = match outcome {
            // It has answered: that it is full is another matter.
            Ok(()) => Outcome::Success,
            Err(_) if full => Outcome::Success,
            Err(failed) => failed.why.outcome(),
        };
        let of_room = match outcome {
            Ok(()) => Outcome::Success,
            Err(_) if full => Outcome::Failure,
            Err(_) => Outcome::Cancelled,
        };
        let changed = guard_all.breaker.tell(all, of_all, now, rng);
        let changed_room = room.and_then(|room| guard_room.breaker.tell(room, of_room, now, rng));
        let begins = |guard: &mut Guard| std::mem::replace(&mut guard.since, now);
        let lasted = |guard: &Guard| now.since(guard.since).as_secs_f64();
        let name = &self.name;
        let why = || outcome.err().map_or_else(String::new, Failed::to_string);
        match changed {
            Some(Change::Opened { .. }) => {
                begins(guard_all);
                tracing::warn!("Redis at {name} is not available, going on without it: {}", why());
            }
            Some(Change::Closed) => {
                tracing::info!(
                    "Redis at {name} is available again, after {:.1} s",
                    lasted(guard_all)
                );
            }
            Some(Change::StaysOpen { .. }) | None => {}
        }
        match changed_room {
            Some(Change::Opened { .. }) => {
                begins(guard_room);
                tracing::warn!("Redis at {name} is full, writing nothing there: {}", why());
            }
            Some(Change::Closed) => {
                tracing::info!("Redis at {name} has room again, after {:.1} s", lasted(guard_room));
            }
            Some(Change::StaysOpen { .. }) | None => {}
        }
        drop(gate);
        let is_lost = matches!(changed, Some(Change::Opened { .. } | Change::StaysOpen { .. }));
        if let (Far::Real(link), true) = (&self.far, is_lost) {
            // Whatever is wrong with the connections: the next try gets new ones.
            link.renew();
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.said {
            Some(said) => write!(f, "{} ({said})", self.why),
            None => self.why.fmt(f),
        }
    }
}

/// A call that is under way. One that is dropped without an end was given up by its client, which says nothing of Redis.
struct Call<'a> {
    redis: &'a Redis,
    clock: Clock,
    tickets: Option<(Ticket, Option<Ticket>)>,
}

impl Call<'_> {
    fn end(&mut self, result: Result<Value, Failed>) -> Result<Value, Unavailable> {
        if let Some(tickets) = self.tickets.take() {
            self.redis.tell(self.clock.now(), tickets, result.as_ref().map(|_| ()));
        }
        match result {
            Ok(value) => {
                self.redis.figures.answered.fetch_add(1, Relaxed);
                Ok(value)
            }
            Err(failed) => {
                self.redis.count(failed.why);
                Err(failed.why)
            }
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.redis.under_way.fetch_sub(1, Relaxed);
        if let Some(tickets) = self.tickets.take() {
            let given_up = Failed::new(Unavailable::Busy);
            self.redis.tell(self.clock.now(), tickets, Err(&given_up));
        }
    }
}
