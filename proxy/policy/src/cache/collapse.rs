//! Requests for the same that come while it is being fetched (RFC 9111, section 4: "collapsed requests").
//!
//! The first leads: it asks the endpoint. The others follow: they wait until the leader has come to an end, look again, and find the answer; or they
//! ask here again and one of them leads. What cannot be kept is no use to those who wait, and they would queue behind each other, so it is
//! remembered for a while which URLs answer like that, and requests for them go alone. A wait has an end: whoever has waited as long
//! as is allowed goes alone, whatever happened in the meantime.
//!
//! Both tables are bounded. Where the first is full, requests go alone; where the second is, the one not asked for longest is forgotten.

use std::{collections::HashMap, hash::BuildHasherDefault, num::NonZeroUsize, time::Duration};

use lru::LruCache;

use super::{
    Rules,
    config::CollapseConfig,
    key::KeyHash,
    request::{Method, Wanted},
    store::Passing,
};
use crate::{Instant, message::Edits};

/// The most URLs that are being fetched at once with others waiting.
const FLIGHTS: usize = 1 << 16;
/// The most URLs that are remembered for answers that cannot be kept.
const REFUSED: NonZeroUsize = NonZeroUsize::new(1 << 14).expect("is not 0");

/// Who fetches what.
#[derive(Debug)]
pub struct Collapse {
    enabled: bool,
    timeout: Duration,
    memory: Duration,
    next: u64,
    flights: HashMap<KeyHash, Ticket, BuildHasherDefault<Passing>>,
    refused: LruCache<KeyHash, Instant, BuildHasherDefault<Passing>>,
}

/// One fetching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

/// What a request that found nothing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It asks the endpoint, and others may wait for it: [`Collapse::end`] must be told of its end.
    Lead(Ticket),
    /// It waits for this one's end, and then looks and asks again; at the latest until then.
    Follow {
        /// Whose end.
        ticket: Ticket,
        /// When it has waited long enough.
        until: Instant,
    },
    /// It asks the endpoint for itself.
    Alone,
}

/// How a fetching ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The answer is kept: those who wait find it.
    Stored,
    /// The answer cannot be kept, and the next ones could not either: all go alone, also those who come soon.
    Uncacheable,
    /// There is no answer, or one that this client alone may have: another one leads.
    Failed,
}

impl Collapse {
    /// Nobody fetches anything.
    pub fn new(config: &CollapseConfig) -> Self {
        Self {
            enabled: config.enabled,
            timeout: config.timeout.0,
            memory: config.memory.0,
            next: 0,
            flights: HashMap::default(),
            refused: LruCache::with_hasher(REFUSED, BuildHasherDefault::default()),
        }
    }

    /// What a request does that found nothing. `since` is when it asked first, if it has waited already.
    pub fn ask(&mut self, key: KeyHash, now: Instant, since: Option<Instant>) -> Role {
        if !self.enabled {
            return Role::Alone;
        }
        if let Some(until) = self.refused.get(&key) {
            if *until > now {
                return Role::Alone;
            }
            self.refused.pop(&key);
        }
        if let Some(ticket) = self.flights.get(&key) {
            let until = since.unwrap_or(now) + self.timeout;
            return if until > now { Role::Follow { ticket: *ticket, until } } else { Role::Alone };
        }
        if self.flights.len() >= FLIGHTS {
            return Role::Alone;
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.flights.insert(key, ticket);
        Role::Lead(ticket)
    }

    /// A fetching has ended. Whoever led and is dropped without another end has [`Ending::Failed`].
    pub fn end(&mut self, key: KeyHash, ticket: Ticket, ending: Ending, now: Instant) {
        if self.flights.get(&key) != Some(&ticket) {
            return;
        }
        self.flights.remove(&key);
        match ending {
            Ending::Uncacheable if !self.memory.is_zero() => {
                self.refused.put(key, now + self.memory);
            }
            Ending::Stored => {
                self.refused.pop(&key);
            }
            _ => {}
        }
    }

    /// How many are fetching.
    pub fn len(&self) -> usize {
        self.flights.len()
    }

    /// Whether nobody fetches anything.
    pub fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }
}

impl Rules {
    /// What a request says differently that leads others, where nothing is kept: nothing of its client's own conditions. A 304 would be for that client
    /// alone; an answer that is kept is for all, and their conditions are met when it is given.
    pub fn leading(&self, wanted: &Wanted) -> Edits {
        let mut edits = Edits::default();
        if wanted.if_none_match {
            edits.remove("If-None-Match");
        }
        if wanted.if_modified_since {
            edits.remove("If-Modified-Since");
        }
        edits
    }

    /// Whether a request may lead others or wait for them: its answer could be one for all.
    pub fn collapses(&self, wanted: &Wanted) -> bool {
        self.collapse
            && wanted.method == Method::Get
            && !wanted.range
            && !wanted.authorization
            && !wanted.demands.no_store
            && !wanted.demands.no_cache
    }
}
