//! What the endpoints are told of the client, and the client of us.
//!
//! `X-Forwarded-*` and `Forwarded` say who the client is, and anybody can write them: they are believed only from
//! the peers that are named here, and replaced when anybody else sends them (RFC 7239, section 8.1).

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Whether `address` lies in the range; IPv4-mapped IPv6 addresses count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                u32::from(base).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                u128::from(base).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a range of addresses; write one like \"10.0.0.0/8\"");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits > most {
            return Err(format!("`{text}`: a prefix has at most {most} bits here"));
        }
        Ok(Self { base, bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Cidr {
    fn schema_name() -> Cow<'static, str> {
        "Cidr".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "a range of addresses, like \"10.0.0.0/8\"" })
    }
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

    #[test]
    fn ranges_hold_what_they_should() {
        for (range, address, inside) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("::/0", "2001:db8::1", true),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("127.0.0.0/8", "::1", false),
        ] {
            let range: Cidr = range.parse().expect(range);
            let address: IpAddr = address.parse().expect(address);
            assert_eq!(range.contains(address), inside, "{range} {address}");
        }
        assert!("10.0.0.0/33".parse::<Cidr>().is_err());
        assert!("ten".parse::<Cidr>().is_err());
    }
}
