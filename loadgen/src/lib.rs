//! A load generator for HTTP proxies: open and closed loop, no coordinated omission.
//!
//! Read top-down: [`config`] is what a scenario's `[load.NAME]` table says; [`schedule`] turns it and a seed into
//! requests, each with its time and its work, before anything runs; [`run()`] sends them over any [`net::Net`] and
//! checks the answers; [`Ledger`] is what it saw; [`validity`] says whether that can be believed.

mod client;
pub mod config;
mod ledger;
mod progress;
mod run;
pub mod schedule;
mod send;
mod stop;
pub mod validity;

pub use client::{CLIENT_HEADER, Text};
pub use config::Load;
pub use ledger::{Failures, Ledger, Sending};
pub use progress::{Progress, Snapshot};
pub use run::{Carry, End, MAX_CONNECTIONS, Plan, Share, run};
pub use schedule::NamedLoad;
pub use stop::{Stop, Stopper};
