//! Rate limits: how many requests a client may make in how much time.
//!
//! A request asks all the limits that are for it before any of them is charged: one that a limit refuses uses up nothing of another, so a client
//! that is over its limit by the second loses nothing of its limit by the hour. To make that exact while other workers ask
//! too, the shards stay locked from the question to the charge, each limit's in the order of the list: everybody takes them in
//! the same order, so nobody waits in a circle. Each limit has a table of its own, so that a limit by something that
//! clients choose freely cannot drive out what another knows of addresses.
//!
//! What clients are told is of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy` has the quota and its window, `RateLimit`
//! what remains and when there will be more, by the limit's name.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{Identity, MOST_LIMITS, Memory, Quota, RateConfig, Standing, table::Table};
use crate::{
    Instant,
    message::{Asked, Edits, Reply},
};

/// The rate limits of a proxy, or of a route.
#[derive(Debug)]
pub struct Rates {
    limits: Vec<Rate>,
    memory: Memory,
}

#[derive(Debug)]
struct Rate {
    config: RateConfig,
    name: Box<str>,
    /// What `RateLimit-Policy` says of it.
    policy: Box<str>,
    quota: Quota,
    known: Arc<Table>,
    refused: Arc<AtomicU64>,
}

/// Who a request is, for each of the limits; nobody where one is not for it.
pub type Identities = [Option<Identity>; MOST_LIMITS];

/// What the limits say of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    standings: [Option<Standing>; MOST_LIMITS],
    /// The limit that refuses it for longest, if one does.
    refused_by: Option<usize>,
}

impl Rates {
    /// These limits, at most [`MOST_LIMITS`] of them; nobody has come yet.
    pub fn new(configs: &[RateConfig], memory: Memory) -> Self {
        let limits = configs.iter().take(MOST_LIMITS).enumerate();
        let limits = limits.map(|(number, config)| {
            let name = config.name(number);
            let quota = config.quota();
            // One common limit has one client.
            let keys = if config.by.0.is_empty() { 1 } else { memory.keys as usize };
            Rate {
                policy: policy(&name, config).into(),
                name: name.into(),
                quota,
                known: Arc::new(Table::new(keys)),
                refused: Arc::default(),
                config: config.clone(),
            }
        });
        Self { limits: limits.collect(), memory }
    }

    /// Other limits in place of these: one that counts as one of these did goes on where that was.
    pub fn renewed(&self, configs: &[RateConfig], memory: Memory) -> Self {
        let mut made = Self::new(configs, memory);
        for limit in &mut made.limits {
            let same = |former: &&Rate| {
                former.name == limit.name
                    && former.config.by == limit.config.by
                    && former.quota == limit.quota
                    && self.memory == memory
            };
            if let Some(former) = self.limits.iter().find(same) {
                limit.known = Arc::clone(&former.known);
                limit.refused = Arc::clone(&former.refused);
            }
        }
        made
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Who the request is, for each limit.
    pub fn identify(&self, asked: &Asked<'_>) -> Identities {
        let mut made = Identities::default();
        for (who, limit) in made.iter_mut().zip(&self.limits) {
            if limit.config.covers(asked) {
                *who = limit.config.by.identify(asked, self.memory.ipv6_prefix);
            }
        }
        made
    }

    /// Asks all limits whether the request may come, and charges them if all agree.
    pub fn ask(&self, who: &Identities, now: Instant) -> Judgement {
        let mut judgement = Judgement::default();
        self.walk(0, who, now, &mut judgement);
        if let Some(limit) = judgement.refused_by {
            self.limits[limit].refused.fetch_add(1, Relaxed);
        }
        judgement
    }

    /// Asks those from the `at`th on. Whether all have agreed.
    fn walk(&self, at: usize, who: &Identities, now: Instant, judgement: &mut Judgement) -> bool {
        let Some(limit) = self.limits.get(at) else { return judgement.refused_by.is_none() };
        let Some(who_here) = who[at] else { return self.walk(at + 1, who, now, judgement) };
        let mut shard = limit.known.shard(who_here);
        let known = shard.get(&who_here).copied().unwrap_or(0);
        let answer = limit.quota.ask(known, now);
        if let Err(early) = answer {
            judgement.note(at, early);
        }
        let agreed = self.walk(at + 1, who, now, judgement);
        match answer {
            Ok(next) if agreed => {
                shard.put(who_here, next);
                judgement.standings[at] = Some(limit.quota.standing(next, now));
            }
            Ok(_) => judgement.standings[at] = Some(limit.quota.standing(known, now)),
            Err(_) => {}
        }
        agreed
    }

    /// The limits that are for the request: each by its name, with whom it counts, and how much it allows.
    pub fn of<'a>(
        &'a self,
        who: &'a Identities,
    ) -> impl Iterator<Item = (&'a str, Identity, &'a Quota)> {
        let both = self.limits.iter().zip(who);
        both.filter_map(|(limit, who)| Some((&*limit.name, (*who)?, &limit.quota)))
    }

    /// What it means that somebody else ([`shared`](super::shared)) has decided: whether a limit refuses, and how many nanoseconds the
    /// theoretical arrival times lie ahead, in the order of [`of`](Self::of). They are remembered: should nobody answer the next time, the count
    /// goes on from here.
    pub fn decided(
        &self,
        who: &Identities,
        refused: bool,
        ahead: impl IntoIterator<Item = u64>,
        now: Instant,
    ) -> Judgement {
        let mut judgement = Judgement::default();
        let mut ahead = ahead.into_iter();
        for (at, limit) in self.limits.iter().enumerate() {
            let Some(who) = who[at] else { continue };
            let ahead = ahead.next().unwrap_or(0);
            limit.known.shard(who).put(who, now.as_nanos().saturating_add(ahead));
            let early = limit.quota.ask(ahead, Instant::START).err();
            match early.filter(|_| refused) {
                Some(early) => judgement.note(at, early),
                None => {
                    judgement.standings[at] = Some(limit.quota.standing(ahead, Instant::START));
                }
            }
        }
        if let Some(limit) = judgement.refused_by {
            self.limits[limit].refused.fetch_add(1, Relaxed);
        }
        judgement
    }

    /// The answer to a request that one of the limits refuses.
    pub fn reply(&self, judgement: &Judgement) -> Option<Reply> {
        let at = judgement.refused_by?;
        let limit = self.limits.get(at)?;
        let early = judgement.standings[at].map_or(0, |standing| standing.reset);
        let seconds = whole_seconds(early);
        let RateConfig { requests, per, .. } = limit.config;
        let line = format!(
            "{}: the limit `{}` is {requests} in {per}; try again in {seconds} s",
            limit.config.status, limit.name
        );
        let reply = Reply::text(limit.config.status, "rate_limited", &line);
        Some(reply.with("Retry-After", seconds.to_string()))
    }

    /// What the client of the request is told of the limits.
    pub fn tell(&self, judgement: &Judgement, edits: &mut Edits) {
        let (mut policies, mut standings) = (String::new(), String::new());
        for (limit, standing) in self.limits.iter().zip(&judgement.standings) {
            let Some(Standing { remaining, reset }) = *standing else { continue };
            let comma = if policies.is_empty() { "" } else { ", " };
            let reset = whole_seconds(reset);
            // Writing to a string cannot fail.
            let _ = write!(policies, "{comma}{}", limit.policy);
            let _ = write!(standings, "{comma}\"{}\";r={remaining};t={reset}", limit.name);
        }
        if !policies.is_empty() {
            // What an origin says of limits of its own stays beside it: both fields are lists.
            edits.add("RateLimit-Policy", policies);
            edits.add("RateLimit", standings);
        }
    }

    /// Each limit's name, how many it has refused, and how many clients it remembers.
    pub fn figures(&self) -> impl Iterator<Item = (&str, u64, usize)> {
        self.limits
            .iter()
            .map(|limit| (&*limit.name, limit.refused.load(Relaxed), limit.known.len()))
    }
}

impl Judgement {
    /// The limit at this place refuses, until the time is up.
    fn note(&mut self, at: usize, early: u64) {
        let longest = self.refused_by.and_then(|at| self.standings[at]);
        if longest.is_none_or(|known| early > known.reset) {
            self.refused_by = Some(at);
        }
        self.standings[at] = Some(Standing { remaining: 0, reset: early });
    }

    /// Whether the request may come.
    pub fn admits(&self) -> bool {
        self.refused_by.is_none()
    }

    /// How long one must wait who may not come.
    pub fn wait(&self) -> Option<Duration> {
        let standing = self.standings[self.refused_by?]?;
        Some(Duration::from_nanos(standing.reset))
    }
}

/// In what is told to clients, and never too early.
fn whole_seconds(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000)
}

/// The quota as the draft says it: in a window of whole seconds.
fn policy(name: &str, config: &RateConfig) -> String {
    let per = config.per.0.as_nanos().max(1);
    let window = per.div_ceil(1_000_000_000);
    let quota = u128::from(config.requests) * window * 1_000_000_000 / per;
    format!("\"{name}\";q={quota};w={window}")
}
