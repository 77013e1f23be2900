//! The proxy's decisions, and the few quantities that they are made of.
//!
//! Everything in this crate is a plain state machine: time comes in as an argument ([`Instant`]),
//! randomness as `&mut` [`Rng`], and nothing here opens a socket, reads a clock or spawns a task. That is
//! what lets one and the same balancer, health check or retry budget drive the engine on real
//! sockets, the engine on a simulated network, and a queueing model without any bytes at all.
//!
//! What is here, from the ground up:
//!
//! - [`time`], [`rng`], [`quantity`], [`distribution`], [`status`]: instants, seeds, quantities as people write
//!   them, distributions whose draws mean the same on every machine, and ranges of HTTP statuses;
//! - [`work`]: how a request carries its work to a simulated backend, and what the answer must be;
//! - [`report`]: what an endpoint says of its own load, and how;
//! - [`endpoint`]: an upstream's endpoints with their shared figures, and who of them may be picked;
//! - [`balance`]: who is picked: a trait, a file for each strategy, and the registry of them;
//! - [`health`], [`outlier`]: who is ready, by asking (active) and by watching (passive);
//! - [`retry`], [`limit`]: what is sent twice, and what waits;
//! - [`breaker`], [`redis`]: whoever does not answer is not asked for a while, and what is written of a Redis;
//! - [`rate`]: how often clients may come, how much they and an upstream may have under way, and who is refused;
//! - [`cache`]: what is kept of answers, for how long, and who may be given it;
//! - [`compression`]: which answers are compressed, with what, and what their heads say then;
//! - [`message`]: heads as decisions see them, and what decisions want changed or answered;
//! - [`path`], [`pattern`], [`cidr`]: what rules compare with, and how paths are compared;
//! - [`route`], [`filter`]: which route a request takes, and what is done to it on the way;
//! - [`analytics`]: who asks for what, minute by minute;
//! - [`trace`]: what a request is called in logs, here and behind us;
//! - [`token`]: what lets a redirected client into its endpoint, and how that reports the end.

pub mod analytics;
pub mod balance;
pub mod breaker;
pub mod cache;
pub mod cidr;
pub mod compression;
pub mod distribution;
pub mod endpoint;
pub mod filter;
pub mod health;
pub mod limit;
pub mod message;
pub mod outlier;
pub mod path;
pub mod pattern;
pub mod quantity;
pub mod rate;
pub mod redis;
pub mod report;
pub mod retry;
pub mod rng;
pub mod route;
pub mod status;
pub mod time;
pub mod token;
pub mod trace;
pub mod work;

pub use balance::Balancer;
pub use endpoint::{Candidates, Endpoint, Endpoints, Outcome, Transition, View};
pub use report::LoadReport;
pub use rng::{Rng, Seed};
pub use time::Instant;
