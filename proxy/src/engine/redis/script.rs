//! What is decided where the data is, in one step.
//!
//! A rate that several proxies share must be read and written without anybody in between. Redis runs a Lua script so; the stand-in of simulated
//! worlds, which knows no Lua, runs a function that does the same to its [`Memory`]. A test with a real Redis asks both and compares.

use policy::Instant;
use redis::Value;

use super::Memory;

/// What the stand-in runs: the memory, the keys, the arguments, and when.
pub type InMemory = fn(&mut Memory, &[&[u8]], &[&[u8]], Instant) -> Value;

/// A script: Lua for Redis, and what does the same in the stand-in.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) lua: &'static str,
    /// SHA-1 of the text, by which Redis remembers it.
    pub(super) hash: String,
    pub(super) in_memory: InMemory,
}

impl Script {
    /// `lua`, and the function that stands in for it.
    pub fn new(lua: &'static str, in_memory: InMemory) -> Self {
        let hash = redis::Script::new(lua).get_hash().to_owned();
        Self { lua, hash, in_memory }
    }
}
