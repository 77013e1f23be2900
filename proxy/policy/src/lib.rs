//! The proxy's decisions, and the few quantities that they are made of.
//!
//! Everything in this crate is a plain state machine: time comes in as an argument ([`Instant`]),
//! randomness as `&mut` [`Rng`], and nothing here opens a socket, reads a clock or spawns a task. That is
//! what lets one and the same balancer, health check or retry budget drive the engine on real
//! sockets, the engine on a simulated network, and a queueing model without any bytes at all.
//!
//! What is here, from the ground up:
//!
//! - [`time`], [`rng`], [`quantity`], [`distribution`]: instants, seeds, quantities as people write them,
//!   and distributions whose draws mean the same on every machine;
//! - [`work`]: how a request carries its work to a simulated backend, and what the answer must be.

pub mod distribution;
pub mod quantity;
pub mod rng;
pub mod time;
pub mod work;

pub use rng::{Rng, Seed};
pub use time::Instant;
