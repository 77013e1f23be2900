//! What the endpoints are told of the client, and the client of us.
//!
//! `X-Forwarded-*` and `Forwarded` say who the client is, and anybody can write them: they are believed only from
//! the peers that are named here, and replaced when anybody else sends them (RFC 7239, section 8.1).

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use policy::cidr::Cidr;

/// What the endpoints are told of the client, and the client of us.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ForwardingConfig {
    /// Our name in `Via` and `Proxy-Status`: a token.
    pub pseudonym: String,
    /// Peers whose `X-Forwarded-*` and `Forwarded` are believed and appended to; from all others they are replaced.
    pub trusted: Vec<Cidr>,
    /// Whether `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` are sent.
    pub x_forwarded: bool,
    /// Whether `Forwarded` (RFC 7239) is sent.
    pub forwarded: bool,
    /// Which `Host` the endpoint sees.
    pub host: HostHeader,
    /// Protocols that a client may upgrade to.
    pub upgrades: Vec<String>,
}

impl Default for ForwardingConfig {
    fn default() -> Self {
        Self {
            pseudonym: "windtunnel".to_owned(),
            trusted: Vec::new(),
            x_forwarded: true,
            forwarded: true,
            host: HostHeader::Client,
            upgrades: vec!["websocket".to_owned()],
        }
    }
}

impl ForwardingConfig {
    /// Whether `peer`'s own forwarding fields are believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|cidr| cidr.contains(peer))
    }

    /// Who the client is that `peer` speaks for: the last address in its `X-Forwarded-For` (all fields of that name, in their order)
    /// that is not itself trusted; `peer`, if that is not trusted or names nobody.
    pub fn client<'a>(&self, peer: IpAddr, said: impl Iterator<Item = &'a [u8]>) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let mut client = None;
        for entry in said.flat_map(|value| value.split(|byte| *byte == b',')) {
            client = match address(entry) {
                // Whoever stands to the left of what cannot be read is nobody's word.
                None => None,
                Some(address) if self.trusts(address) => client.or(Some(address)),
                other => other,
            };
        }
        client.unwrap_or(peer)
    }

    pub(super) fn pseudonym_is_token(&self) -> bool {
        !self.pseudonym.is_empty()
            && self
                .pseudonym
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    }
}

/// An address as it stands in `X-Forwarded-For`, maybe with a port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry.trim_ascii()).ok()?;
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port)
}

/// Which `Host` the endpoint sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostHeader {
    /// The client's.
    Client,
    /// The endpoint's own address.
    Endpoint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_whom_nobody_trusts() {
        let trusted = ["10.0.0.0/8", "::1"].map(|range| range.parse().expect(range));
        let config = ForwardingConfig { trusted: trusted.to_vec(), ..ForwardingConfig::default() };
        for (peer, said, client) in [
            ("192.0.2.1", vec!["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", vec!["203.0.113.9, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", vec!["203.0.113.9", "198.51.100.7", "10.0.0.2"], "198.51.100.7"),
            ("::1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", vec!["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", vec!["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", vec!["[2001:db8::1]:80"], "2001:db8::1"),
            ("10.0.0.1", vec!["203.0.113.9:1234"], "203.0.113.9"),
        ] {
            let peer = peer.parse().expect(peer);
            let found = config.client(peer, said.iter().map(|value| value.as_bytes()));
            assert_eq!(found.to_string(), client, "{said:?}");
        }
    }
}
