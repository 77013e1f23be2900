//! The engine: the effects to the decisions of [`policy`].
//!
//! Read it in the order in which a request meets it:
//!
//! | file | what |
//! |---|---|
//! | `server` | workers, and what is in force |
//! | `connection` | a client's connection, from request to request |
//! | `exchange` | the path of one request |
//! | `reach` | its middle: an endpoint that answers, and retries |
//! | `answer` | its end: our own answers, the count and the log |
//! | `upstream`, `pool` | which endpoint, and over which connection |
//! | `forward` | heads: what is dropped, added and rewritten |
//! | `relay`, `channel` | bodies, and the connections that they pass through |
//! | `tunnel` | what comes after an upgrade |
//! | `redirect`, `sessions` | the other mode: clients go to the endpoints by themselves |
//! | `probe` | active health checks |
//! | `inquiry` | load probes, for strategies that ask for them |
//! | `fault` | what can go wrong, and whose it is |
//! | `worker` | what a worker has of its own |
//! | `stats`, `access_log`, `admin` | what is counted, said and shown |
//! | `witness` | what a simulated world is told meanwhile |

mod access_log;
mod admin;
mod answer;
mod channel;
mod connection;
mod exchange;
mod fault;
mod forward;
mod inquiry;
#[cfg(feature = "planted-bugs")]
pub mod planted;
mod pool;
mod probe;
mod prometheus;
mod reach;
mod redirect;
mod relay;
mod server;
mod sessions;
mod stats;
mod tunnel;
mod upstream;
mod witness;
mod worker;

pub use fault::{Fault, Side};
pub use inquiry::PROBES_AT_ONCE;
pub use server::{Phase, Proxy, StartError, State, WorkerArguments, run_worker};
pub use stats::{Counter, FAULTS, LATENCY_BUCKETS, METHODS, WorkerStats};
pub use upstream::{Site, UpstreamShared};
pub use witness::{Asking, Fact, Out, Sending, Standing, Turn, Witness};
pub use worker::Shared;
