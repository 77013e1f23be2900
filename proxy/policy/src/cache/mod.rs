//! The cache's decisions: HTTP caching as a shared cache (RFC 9111), without a byte of I/O.
//!
//! A request that may be answered from the store goes this way:
//!
//! ```text
//! Rules::read → gate → key → Store::get → Rules::serve ─┬─ Fresh, Stale → shape → the client
//!                                                       ├─ Validate → the endpoint → freshen (304) or take_in
//!                                                       └─ Miss → Collapse::ask → the endpoint → take_in → Store::put
//! ```
//!
//! [`Rules`] is a service's configuration, compiled once. [`request::Wanted`] is what a request's head says to a cache, read in
//! one pass; [`response::Meta`] what an answer's head says, kept with the stored answer, so that a hit reads no stored head again.
//! Each file is a section of the RFC or a document beside it: freshness and validation by RFC 9111, conditions and ranges by RFC 9110,
//! `stale-*` by RFC 5861, targeted fields by RFC 9213, `Cache-Status` by RFC 9211.
//!
//! Time is an [`Instant`] everywhere: ages need differences only, and a clock that is set back must not
//! make stale answers fresh. Wall time ([`Received::wall`]) is looked at in one place: where an answer comes in whose head has dates.

use crate::{Instant, rng::Seed};

pub mod collapse;
pub mod combine;
pub mod conditional;
pub mod config;
pub mod dates;
pub mod directives;
pub mod freshen;
pub mod invalidate;
pub mod key;
mod purging;
pub mod ranges;
pub mod request;
pub mod response;
mod rules;
pub mod serve;
pub mod status_field;
pub mod storable;
pub mod store;
pub mod vary;

pub use collapse::{Collapse, Ending, Role, Ticket};
pub use conditional::Shape;
pub use config::CacheConfig;
pub use freshen::{Freshened, HeadEffect, Merged};
pub use key::KeyHash;
pub use purging::Purging;
pub use request::{Gate, Wanted};
pub use response::{Meta, Part};
pub use rules::Rules;
pub use serve::{Decision, Failure, Hit, Validation};
pub use status_field::{CacheStatus, Forwarded};
pub use storable::{Intake, Omit, Taken, Why};
pub use store::{Mode, Purge, Store, Stored};

/// When an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// When its request was sent.
    pub sent: Instant,
    /// When its head was there.
    pub at: Instant,
    /// The same moment on the wall clock, in seconds since 1970: what dates in heads are compared with.
    pub wall: u64,
}

/// The seed of the keys' hashes, from the run's own.
fn hash_seed(seed: Seed) -> Seed {
    seed.child("cache.keys")
}
