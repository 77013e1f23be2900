//! A load generator for HTTP proxies.
//!
//! Read top-down: [`config`] is what a scenario's `[load.NAME]` table says; [`schedule`] turns it and a seed into
//! requests, each with its time and its work, before anything runs.

pub mod config;
pub mod schedule;
