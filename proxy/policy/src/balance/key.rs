//! What of a request decides where it goes, for the strategies that send the same to the same endpoint.
//!
//! A [`Key`] names a part of the request; what is found there becomes 64 bits, and these alone are what a strategy sees
//! ([`View::key`](crate::View)). Whoever has a request (the engine its bytes, the model its plan) shows it as an [`Asked`], so that the
//! same request has the same key in every world. A request that has no such part has no key.
//!
//! The hash is FNV-1a with SplitMix64's finaliser, the one that seeds are derived with: fixed for ever (a test pins it), no seed of its own,
//! no table, and about a nanosecond a byte, for keys of tens of bytes. It resists no attacker, and no hash here could: who can
//! choose keys freely can ask for the same one always.

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ParameterInfo;
use crate::rng::mix;

/// The parameter `key`, as the strategies that have it document it.
pub(super) const KEY: ParameterInfo = ParameterInfo {
    name: "key",
    default: "\"path\"",
    doc: "What is hashed: \"path\", \"address\", \"header:NAME\", \"cookie:NAME\" or \"query:NAME\".",
};

/// Which part of a request its key is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// The client's address: the peer's, or what a trusted peer says that it is.
    Address,
    /// The first field of this name.
    Header(String),
    /// The cookie of this name.
    Cookie(String),
    /// The path, without the query.
    #[default]
    Path,
    /// The parameter of this name in the query, as it was sent (not decoded).
    Query(String),
}

/// The parts of a request that a key may be.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a, F> {
    /// The client's address.
    pub address: IpAddr,
    /// Path and query.
    pub target: &'a [u8],
    /// The fields, name and value, in their order.
    pub fields: F,
}

impl Key {
    /// The request's key, in 64 bits; nothing if it has no such part.
    pub fn of<'a>(
        &self,
        asked: Asked<'a, impl IntoIterator<Item = (&'a [u8], &'a [u8])>>,
    ) -> Option<u64> {
        let mut target = asked.target.splitn(2, |byte| *byte == b'?');
        let path = target.next().unwrap_or_default();
        let named = |pair: &'a [u8], wanted: &str| {
            let (name, value) = split(pair, b'=');
            (name.trim_ascii() == wanted.as_bytes()).then(|| value.trim_ascii())
        };
        let found = match self {
            Self::Address => return Some(of_address(asked.address)),
            Self::Path => path,
            Self::Query(name) => {
                let query = target.next()?;
                query.split(|byte| *byte == b'&').find_map(|pair| named(pair, name))?
            }
            Self::Header(name) => {
                let mut fields = asked.fields.into_iter();
                fields.find(|field| field.0.eq_ignore_ascii_case(name.as_bytes()))?.1
            }
            Self::Cookie(name) => {
                let fields = asked.fields.into_iter();
                let cookies = fields.filter(|field| field.0.eq_ignore_ascii_case(b"cookie"));
                cookies
                    .flat_map(|field| field.1.split(|byte| *byte == b';'))
                    .find_map(|pair| named(pair, name))?
            }
        };
        Some(hash(found))
    }
}

/// 64 well-mixed bits of any bytes; the same for ever.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(hash)
}

/// Of all of its bits: an IPv4 address that was mapped into IPv6 is the same client.
fn of_address(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => hash(&address.octets()),
        IpAddr::V6(address) => hash(&address.octets()),
    }
}

fn split(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == at) {
        Some(place) => (&text[..place], &text[place + 1..]),
        None => (text, &[]),
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once(':') {
            Some((kind, name)) => (kind, Some(name)),
            None => (text, None),
        };
        let is_token = |name: &&str| {
            let good =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            !name.is_empty() && name.len() <= 256 && name.bytes().all(good)
        };
        let found = match (kind, name) {
            ("address", None) => Some(Self::Address),
            ("path", None) => Some(Self::Path),
            (_, Some(name)) if !is_token(&name) => None,
            ("header", Some(name)) => Some(Self::Header(name.to_ascii_lowercase())),
            ("cookie", Some(name)) => Some(Self::Cookie(name.to_owned())),
            ("query", Some(name)) => Some(Self::Query(name.to_owned())),
            _ => None,
        };
        found.ok_or_else(|| {
            format!(
                "`{text}` is not a part of a request; write \"path\", \"address\", \"header:NAME\", \"cookie:NAME\" \
                 or \"query:NAME\""
            )
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("address"),
            Self::Path => f.write_str("path"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
        }
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Key {
    fn schema_name() -> Cow<'static, str> {
        "Key".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(address|path|(header|cookie|query):.+)$",
            "description": "\"path\", \"address\", \"header:NAME\", \"cookie:NAME\" or \"query:NAME\"",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(of: &str, target: &str, fields: &[(&str, &str)]) -> Option<u64> {
        let key: Key = of.parse().expect(of);
        assert_eq!(key.to_string(), of);
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let address = IpAddr::from([192, 0, 2, 7]);
        key.of(Asked { address, target: target.as_bytes(), fields })
    }

    #[test]
    fn each_part_of_a_request_is_found() {
        let fields = [("Host", "a"), ("X-User", "u1"), ("cookie", "a=1; s=two"), ("COOKIE", "t=3")];
        let is = |text: &str| Some(hash(text.as_bytes()));
        for (of, expected) in [
            ("path", is("/i/7")),
            ("query:b", is("2")),
            ("query:empty", is("")),
            ("query:c", None),
            ("header:x-user", is("u1")),
            ("header:x-none", None),
            ("cookie:s", is("two")),
            ("cookie:t", is("3")),
            ("cookie:u", None),
            ("address", Some(hash(&[192, 0, 2, 7]))),
        ] {
            assert_eq!(key(of, "/i/7?a=1&b=2&empty", &fields), expected, "{of}");
        }
        assert_eq!(key("query:b", "/i", &[]), None);
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().expect("an address");
        assert_eq!(of_address(mapped), hash(&[192, 0, 2, 7]));
    }

    #[test]
    fn what_is_no_part_of_a_request_is_refused() {
        for text in ["", "Path", "path:x", "header", "header:", "header:a b", "body:x", "address:"]
        {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_hash_is_pinned_for_ever() {
        assert_eq!((hash(b""), hash(b"/item/7")), PINNED);
    }

    const PINNED: (u64, u64) = (14_087_677_454_934_409_008, 17_452_072_624_885_219_484);
}
