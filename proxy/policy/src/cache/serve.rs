//! Whether a kept answer may be given, and what to do if not (RFC 9111, section 4).
//!
//! In the order of the RFC: of the answers to this URL those whose `Vary` agrees, the newest of them; is it fresh, and fresh enough for this
//! client; may it be given stale (`max-stale`, `stale-while-revalidate`); else it is validated, and what we send for that is made here.
//! After an error [`Rules::after_error`] says whether the stale one may be given all the same (RFC 5861).

use std::time::Duration;

use super::{Meta, Rules, dates, ranges, request::Wanted, status_field::Forwarded, store::Stored};
use crate::{
    Instant,
    message::{Asked, Edits},
};

/// What to do with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Give this one: it is fresh.
    Fresh(Hit),
    /// Give this one, although it is stale.
    Stale(Hit),
    /// Ask the endpoint whether this one is still true.
    Validate(Validation),
    /// Ask the endpoint: none is here, for this reason.
    Miss(Forwarded),
    /// The client wants a kept one or nothing: answer 504.
    OnlyIfCached,
}

/// A kept answer that may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Which of the variants.
    pub variant: usize,
    /// How old it is: the field `Age`.
    pub age: Duration,
    /// For how many more seconds it is fresh; below 0 it is stale.
    pub ttl: i64,
    /// Whether a new one is to be fetched meanwhile.
    pub refresh: bool,
}

/// A kept answer that must be validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Validation {
    /// Which of the variants.
    pub variant: usize,
    /// How old it is.
    pub age: Duration,
    /// For how many more seconds it is fresh; mostly below 0.
    pub ttl: i64,
    /// What the request to the endpoint says differently: our conditions for the client's.
    pub conditions: Edits,
    /// Whether there is anything to validate it by. If not, the answer can only be a new one.
    pub conditional: bool,
}

/// How an endpoint failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It answered this.
    Status(u16),
    /// It did not answer.
    Unreachable,
}

impl Failure {
    /// Whether it is an error as `stale-if-error` means it (RFC 5861, section 4).
    pub fn counts(self) -> bool {
        matches!(self, Self::Unreachable | Self::Status(500 | 502 | 503 | 504))
    }
}

/// How fresh an answer is now.
#[derive(Clone, Copy)]
struct Freshness {
    age: Duration,
    /// How much longer it is fresh.
    left: Duration,
    /// How long it has been stale.
    stale: Duration,
}

impl Freshness {
    fn of(meta: &Meta, stale_since: Option<Instant>, now: Instant) -> Self {
        let age = meta.age(now);
        let mut stale = age.saturating_sub(meta.lifetime);
        let mut left = meta.lifetime.saturating_sub(age);
        if let Some(since) = stale_since {
            stale = stale.max(now.since(since));
            left = Duration::ZERO;
        }
        Self { age, left, stale }
    }

    fn is_fresh(self) -> bool {
        !self.left.is_zero()
    }

    fn ttl(self) -> i64 {
        if self.is_fresh() { self.left.as_secs() as i64 } else { -(self.stale.as_secs() as i64) }
    }
}

impl Rules {
    /// Whether one of the answers that are kept for a URL may be given.
    pub fn serve<V>(
        &self,
        asked: &Asked<'_>,
        wanted: &Wanted,
        variants: &[Stored<V>],
        now: Instant,
    ) -> Decision {
        let none = |why| {
            if wanted.demands.only_if_cached { Decision::OnlyIfCached } else { Decision::Miss(why) }
        };
        if variants.is_empty() {
            return none(Forwarded::UriMiss);
        }
        let mut best: Option<usize> = None;
        let mut partial = false;
        for (index, stored) in variants.iter().enumerate() {
            if !stored.meta.vary.matches(asked.fields) {
                continue;
            }
            if stored.meta.part.is_some() && !(wanted.range && ranges::covers(asked, &stored.meta))
            {
                partial = true;
                continue;
            }
            // A whole one before a part, then the newest.
            let rank = |stored: &Stored<V>| (stored.meta.part.is_none(), stored.meta.taken);
            if best.is_none_or(|best| rank(stored) >= rank(&variants[best])) {
                best = Some(index);
            }
        }
        let Some(variant) = best else {
            return none(if partial { Forwarded::Partial } else { Forwarded::VaryMiss });
        };
        let stored = &variants[variant];
        let meta = &*stored.meta;
        let freshness = Freshness::of(meta, stored.stale_since, now);
        let hit = |refresh| Hit { variant, age: freshness.age, ttl: freshness.ttl(), refresh };
        match Self::usable(wanted, meta, freshness) {
            Use::Fresh => Decision::Fresh(hit(false)),
            Use::Stale => Decision::Stale(hit(false)),
            Use::StaleWhileRefreshed => Decision::Stale(hit(true)),
            Use::No if wanted.demands.only_if_cached => Decision::OnlyIfCached,
            Use::No => Decision::Validate(Self::validate(wanted, meta, variant, freshness)),
        }
    }

    /// What to ask the endpoint to renew this answer in the background.
    pub fn validation(&self, wanted: &Wanted, meta: &Meta, now: Instant) -> Validation {
        Self::validate(wanted, meta, 0, Freshness::of(meta, None, now))
    }

    /// Whether an answer may be given in place of an error, and how old it is then. `variant` is for the hit only.
    pub fn after_error<V>(
        &self,
        wanted: &Wanted,
        stored: &Stored<V>,
        variant: usize,
        now: Instant,
        failure: Failure,
    ) -> Option<Hit> {
        let meta = &*stored.meta;
        if !failure.counts() || meta.must_revalidate || meta.no_cache || wanted.demands.no_cache {
            return None;
        }
        let freshness = Freshness::of(meta, stored.stale_since, now);
        let own = wanted.demands.stale_if_error.map(|seconds| Duration::from_secs(seconds.into()));
        let allowed = if meta.shared {
            meta.stale_if_error
        } else {
            own.unwrap_or_default().max(meta.stale_if_error)
        };
        let may = freshness.is_fresh() || freshness.stale < allowed;
        may.then(|| Hit { variant, age: freshness.age, ttl: freshness.ttl(), refresh: false })
    }

    fn usable(wanted: &Wanted, meta: &Meta, freshness: Freshness) -> Use {
        let demands = &wanted.demands;
        if meta.no_cache || demands.no_cache {
            return Use::No;
        }
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        if demands.max_age.is_some_and(|most| freshness.age > seconds(most)) {
            // Unless it asks for stale ones as well (section 5.2.1.1), and this is one that it would take.
            let takes = demands.max_stale.is_some_and(|most| freshness.stale <= seconds(most));
            if !takes {
                return Use::No;
            }
        }
        if demands.min_fresh.is_some_and(|least| freshness.left < seconds(least)) {
            return Use::No;
        }
        if freshness.is_fresh() {
            return Use::Fresh;
        }
        if meta.must_revalidate {
            return Use::No;
        }
        if freshness.stale < meta.stale_while_revalidate {
            return Use::StaleWhileRefreshed;
        }
        let takes = demands.max_stale.is_some_and(|most| freshness.stale <= seconds(most));
        if takes && !meta.shared { Use::Stale } else { Use::No }
    }

    fn validate(wanted: &Wanted, meta: &Meta, variant: usize, freshness: Freshness) -> Validation {
        let mut conditions = Edits::default();
        // What the client has is not what we have; its own conditions are met when our answer is there.
        if wanted.if_none_match {
            conditions.remove("If-None-Match");
        }
        if wanted.if_modified_since {
            conditions.remove("If-Modified-Since");
        }
        if wanted.range {
            conditions.remove("Range");
        }
        if wanted.if_range {
            conditions.remove("If-Range");
        }
        let conditional = meta.part.is_none();
        if conditional && let Some(tag) = &meta.etag {
            conditions.set("If-None-Match", tag.to_vec());
        }
        if conditional && let Some(modified) = meta.last_modified {
            conditions.set("If-Modified-Since", dates::format(modified));
        }
        Validation {
            variant,
            age: freshness.age,
            ttl: freshness.ttl(),
            conditional: conditional && (meta.etag.is_some() || meta.last_modified.is_some()),
            conditions,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Fresh,
    Stale,
    StaleWhileRefreshed,
    No,
}
