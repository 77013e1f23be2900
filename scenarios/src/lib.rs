//! Scenarios: the language, the worlds it runs in, and the `windtunnel` program.
//!
//! A scenario file says what the proxy is, what stands behind it, what load arrives, what goes wrong when, and what must
//! hold ([`language`]; see also this crate's README). [`live`] is the world of real sockets, [`run`] carries out what was
//! asked for, and the [`cli`] is one file a command.

pub mod cli;
pub mod compare;
pub mod counters;
pub mod features;
pub mod felt;
pub mod fleet;
pub mod fuzz;
pub mod generations;
pub mod interrupt;
pub mod invariants;
pub mod language;
pub mod live;
pub mod load;
pub mod model;
pub mod outcome;
pub mod panics;
pub mod redirect;
pub mod reload;
pub mod run;
pub mod search;
pub mod sent;
pub mod sim;
pub mod wanted;
