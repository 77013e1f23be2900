//! IP hash: the same client to the same endpoint, by its address. nginx's `ip_hash`.
//!
//! This is [`hash`](super::hash) with the key `"address"`, with its row of weights and its hashing again where the endpoint that is hit may not be taken.
//! nginx takes only the first three octets of an IPv4 address, so that a client which changes its address within a provider stays where it
//! was; here the whole address counts, because behind today's carriers the last octet is what tells clients apart.
//!
//! The client's address is the peer's; from a peer that `forwarding.trusted` names, it is the last one in `X-Forwarded-For` that is not
//! itself trusted. All clients of a scenario's load have one address, in every world: to have many, let the requests say
//! `headers = { X-Forwarded-For = "2001:db8::{client}" }` with `clients = 1000`, and trust them: `trusted = ["0.0.0.0/0"]`.
//!
//! Parameters: none. Cost of a pick: as `hash`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Balancer, Parameters, StrategyInfo, hash::Hash, key::Key};

/// What `ip_hash` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "ip_hash",
    summary: "By the hash of the client's address: the same client to the same endpoint.",
    parameters: &[],
};

/// `ip_hash` has no parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(Hash::named(INFO.name))
    }

    fn key(&self) -> Option<&Key> {
        Some(&Key::Address)
    }
}
