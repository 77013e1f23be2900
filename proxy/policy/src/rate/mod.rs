//! Limits: how often a client may come, how many requests it may have under way, and how many an upstream can take at all.
//!
//! The first two are fairness: no client may use up what is there for all. They are asked before the cache, for a client that is over its limit costs
//! us something even where the cache has the answer. The third is overload: however fair the clients are, an upstream can do only so much.
//! It is asked when a request turns to the endpoints.
//!
//! | file | what |
//! |---|---|
//! | `config` | what limits can be told |
//! | `by` | whom a limit counts together |
//! | `gcra` | the arithmetic of a rate limit |
//! | `table` | what is remembered of clients, in bounded memory |
//! | `rates`, `concurrency` | the limits that clients have |
//! | `shared` | rate limits that several proxies share through Redis |
//! | `adaptive`, `overload` | the limit that an upstream has, and who is refused when it is reached |
//!
//! Everything may be shared by the workers of a proxy (`&self`, short locks, atomics), and is as well driven by one thread.

mod adaptive;
mod by;
mod concurrency;
mod config;
mod gcra;
mod overload;
mod rates;
pub mod shared;
mod table;

pub use adaptive::{Adaptive, AdaptiveConfig, Algorithm, Ended};
pub use by::{By, Identity};
pub use concurrency::{Concurrency, Places};
pub use config::{
    ConcurrencyConfig, LimitingConfig, MOST_LIMITS, Memory, OnFailure, RateConfig, Tell,
};
pub use gcra::{Quota, Standing};
pub use overload::{Overload, Priority, Shares, ShedConfig};
pub use rates::{Identities, Judgement, Rates};
