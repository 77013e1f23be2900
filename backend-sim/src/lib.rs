//! Simulated backends: endpoints that serve HTTP as slowly, as fast and as badly as they are told.
//!
//! An endpoint is a [`station`] (workers, a queue, a discipline: the queueing theorist's server) behind a real HTTP
//! server. A request brings its own service demand in a header, or one is drawn; it waits, is served, and its answer's
//! body can be checked byte for byte. While it runs an endpoint can be slowed, made to fail, hung, crashed and
//! restarted. It is generic over [`net::Net`]: the same endpoint runs on real sockets and in simulated time.
//!
//! The HTTP side is hyper, on purpose: what stands behind our proxy shall not share its codec.
//!
//! Reading order: [`config`] says what an endpoint is, [`station`] how it serves, [`load`] what it says of its load, `demand` what a
//! request asks of it, [`content`] what it has that is the same for all, [`memory`] what it remembers,
//! `answer` is the path of one request from top to bottom, `connection` and [`endpoint`] carry it, [`control`] commands
//! it while it runs, [`threads`] puts it all on a thread of its own.

mod answer;
mod body;
mod burn;
mod connection;
mod core;
mod demand;
mod gate;
mod heap;
mod redirect;
mod websocket;

pub mod config;
pub mod content;
pub mod control;
pub mod endpoint;
pub mod load;
pub mod memory;
pub mod notation;
pub mod station;
pub mod threads;

pub use config::BackendConfig;
pub use control::{Control, Fault, FaultHits, Snapshot};
pub use demand::{ECHO_HEADER, FRAMING_HEADER, MISMATCH_HEADER, size_of_target};
pub use endpoint::{Endpoint, Group, serve};
pub use redirect::Admission;
pub use threads::{GroupSpec, Remote, run_in_thread};
