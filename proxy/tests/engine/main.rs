//! The engine against raw sockets: every byte that a client and an origin see.
//!
//! One program, so that it is linked once; the files are the topics.

mod admin;
mod analytics;
mod bodies;
mod cache;
mod cache_flights;
mod cache_follow;
mod cache_purge;
mod chaos;
mod compression;
mod curl;
mod drain;
mod errors;
mod filters;
mod forwarding;
mod framing;
mod health;
mod hostile;
mod inquiry;
mod limits;
mod logs;
mod ratelimits;
mod redirect;
mod redis;
mod retries;
mod routes;
mod second_tier;
mod sharedlimits;
mod start;
mod sticky;
mod support;
mod tier;
mod tiers;
mod timeouts;
mod upgrades;
