//! A reverse-proxy engine for HTTP, thread per core.
//!
//! Decisions live in [`policy`], the wire format in [`http1`], sockets and time behind [`net`]; this crate is what joins
//! them: [`config`] says what a proxy can be told, [`engine`] does it. On a machine, [`engine::Proxy`] starts it; in a
//! simulation, [`engine::run_worker`] is one worker of it on any network.

pub mod config;
pub mod engine;
