//! The engine: the effects to the decisions of [`policy`].
//!
//! Read it in the order in which a request meets it:
//!
//! | file | what |
//! |---|---|
//! | `server` | workers, and what is in force |
//! | `connection` | a client's connection, from request to request |
//! | `exchange` | the path of one request |
//! | `service` | what its route leads to: an upstream, and the stages on the way there |
//! | `limit` | how often clients may come, and how much an upstream may have under way |
//! | `stages` | where these meet a request: filters, limits, cache, compression |
//! | `cache` | what is answered from memory, and what is kept of answers |
//! | `reach` | its middle: an endpoint that answers, and retries |
//! | `answer` | its end: our own answers, the count and the log |
//! | `upstream`, `pool` | which endpoint, and over which connection |
//! | `forward`, `heads` | heads: what is dropped, added and rewritten; how decisions see them |
//! | `relay`, `shape`, `channel` | bodies, what is done to them, and the connections that they pass through |
//! | `compress`, `gzip` | bodies that are compressed on their way |
//! | `tunnel` | what comes after an upgrade |
//! | `redirect`, `sessions` | the other mode: clients go to the endpoints by themselves |
//! | `probe` | active health checks |
//! | `inquiry` | load probes, for strategies that ask for them |
//! | `fault` | what can go wrong, and whose it is |
//! | `redis` | a store elsewhere that several proxies share |
//! | `worker`, `commons` | what a worker has of its own, and what all share |
//! | `stats`, `analytics`, `access_log`, `admin` | what is counted, said and shown |
//! | `witness` | what a simulated world is told meanwhile |

mod access_log;
mod admin;
mod analytics;
mod answer;
mod cache;
mod channel;
mod commons;
mod compress;
mod connection;
mod exchange;
mod fault;
mod filters;
mod forward;
mod gzip;
mod heads;
mod inquiry;
mod limit;
#[cfg(feature = "planted-bugs")]
pub mod planted;
mod pool;
mod probe;
mod prometheus;
mod reach;
mod redirect;
pub mod redis;
mod relay;
mod server;
mod service;
mod sessions;
mod shape;
mod stages;
mod stats;
mod tunnel;
mod upstream;
mod witness;
mod worker;

pub use access_log::Console;
pub use commons::Commons;
pub use fault::{Fault, Side};
pub use inquiry::PROBES_AT_ONCE;
pub use server::{Phase, Proxy, StartError, State, WorkerArguments, run_worker};
pub use stats::{Counter, FAULTS, LATENCY_BUCKETS, METHODS, WorkerStats};
pub use upstream::{Site, UpstreamShared};
pub use witness::{Asking, Fact, Out, Sending, Standing, Turn, Witness};
pub use worker::Shared;
