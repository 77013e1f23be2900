//! The cache: the effects to the decisions of [`policy::cache`].
//!
//! | file | what |
//! |---|---|
//! | `object` | a stored response, laid out so that a hit is a few copies |
//! | `shards` | what all workers share: the store, and who is under way |
//! | `flights` | who waits for whom |
//! | `fill` | a response that is being stored, for those who asked for the same |
//! | `follow` | they are given it as it comes |
//! | `carry` | it is fetched on without its own client |
//! | `consult` | the way in: is it there, does somebody fetch it already |
//! | `serve` | a stored response goes to the client |
//! | `encoded` | the same, compressed on the way |
//! | `settle` | the way out: what the endpoint's answer means for what is stored |
//! | `record` | a response is stored while it goes to its client |
//! | `fetch`, `refresh` | requests of the cache's own, for what is stale |
//! | `second` | what is not here may be in a second tier |
//! | `purge` | what the admin listener can do |
//! | `bytes` | a stored response as bytes, for a second tier |

mod bytes;
mod carry;
mod consult;
mod encoded;
mod fetch;
mod fill;
mod flights;
mod follow;
mod object;
mod purge;
mod record;
mod refresh;
mod second;
mod serve;
mod settle;
mod shards;

use std::sync::Arc;

use policy::cache::Rules;

use super::redis::tier::Tier;

pub(crate) use consult::Pending;
pub(crate) use purge::{Figures, purge};
pub(crate) use record::Recorder;
pub(crate) use settle::Settled;
pub(crate) use shards::Shards;

/// The cache of a service.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    /// What may be stored and given.
    pub(crate) rules: Arc<Rules>,
    /// Those of all services: what one changes another may have stored.
    pub(crate) all: Arc<[Arc<Rules>]>,
    /// What is stored.
    pub(crate) shards: Arc<Shards>,
    /// Where else something may be.
    pub(crate) tier: Option<Arc<Tier>>,
}
