//! Whom a limit counts together.
//!
//! A limit counts by parts of a request, the same that balancing can go by ([`Key`]): all requests whose parts are the same
//! share it. What is kept of them is 128 bits of SHA-256 over the parts, each with its length before it. It is as long for a cookie of
//! 4 KiB as for an address, no client can find a second value that gets another one's number, and all proxies that share a Redis
//! make the same of it without a common secret (and Redis never sees an address or an API key).

use std::{fmt, net::IpAddr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
};
use sha2::{Digest, Sha256};

use crate::{balance::Key, message::Asked, path};

/// Those who share a limit, as a number.
pub type Identity = u128;

/// The parts of a request that a limit counts by; none: all requests together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct By(pub Vec<Key>);

impl By {
    /// Whom the request is counted with; nothing if it lacks one of the parts. Of an IPv6 address the first `ipv6_prefix` bits count.
    pub fn identify(&self, asked: &Asked<'_>, ipv6_prefix: u8) -> Option<Identity> {
        if self.0.is_empty() {
            return Some(0);
        }
        let mut digest = Sha256::new();
        for part in &self.0 {
            if !feed(&mut digest, part, asked, ipv6_prefix) {
                return None;
            }
        }

        let digest: [u8; 32] = digest.finalize().into();
        digest.first_chunk().map(|number| Identity::from_le_bytes(*number))
    }
}

/// Whether there is such a part.
fn feed(digest: &mut Sha256, part: &Key, asked: &Asked<'_>, ipv6_prefix: u8) -> bool {
    let mut add = |value: &[u8]| {
        digest.update((value.len() as u64).to_le_bytes());
        digest.update(value);
    };
    let named = |pair: &[u8], name: &str| -> Option<usize> {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (pair[..end].trim_ascii() == name.as_bytes()).then(|| (end + 1).min(pair.len()))
    };
    match part {
        Key::Address => match asked.client.to_canonical() {
            IpAddr::V4(address) => add(&address.octets()),
            IpAddr::V6(address) => {
                let kept = 128 - u32::from(ipv6_prefix.clamp(1, 128));
                add(&(address.to_bits() >> kept << kept).to_be_bytes());
            }
        },
        Key::Path => add(&path::normal(asked.path())),
        Key::Header(name) => match asked.fields.find(name) {
            Some(value) => add(value),
            None => return false,
        },
        Key::Query(name) => {
            let mut pairs = asked.query().unwrap_or_default().split(|byte| *byte == b'&');
            match pairs.find_map(|pair| Some(&pair[named(pair, name)?..])) {
                Some(value) => add(value),
                None => return false,
            }
        }
        Key::Cookie(name) => {
            let mut found = false;
            asked.fields.each(&mut |field, value| {
                if field.eq_ignore_ascii_case(b"cookie") {
                    let mut pairs = value.split(|byte| *byte == b';');
                    if let Some(value) = pairs.find_map(|pair| Some(&pair[named(pair, name)?..])) {
                        add(value.trim_ascii());
                        found = true;
                    }
                }
                !found
            });
            return found;
        }
    }
    true
}

impl Serialize for By {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for By {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;

        impl<'de> Visitor<'de> for Parts {
            type Value = By;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a part of a request, like \"address\", or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<By, E> {
                Ok(By(vec![text.parse().map_err(E::custom)?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<By, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = list.next_element()? {
                    parts.push(part);
                }
                Ok(By(parts))
            }
        }

        deserializer.deserialize_any(Parts)
    }
}

impl JsonSchema for By {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "By".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let key = generator.subschema_for::<Key>();
        json_schema!({ "anyOf": [key, { "type": "array", "items": key }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(parts: &str) -> By {
        serde_json::from_str(parts).expect(parts)
    }

    fn identity(parts: &str, client: &str, target: &str, fields: &[(&str, &str)]) -> Option<u128> {
        let asked = Asked {
            client: client.parse().expect(client),
            method: b"GET",
            host: b"shop",
            target: target.as_bytes(),
            fields: &fields,
        };
        by(parts).identify(&asked, 64)
    }

    #[test]
    fn those_with_the_same_parts_are_one() {
        let address = |client| identity("\"address\"", client, "/", &[]).expect("an address");
        assert_eq!(address("192.0.2.7"), address("::ffff:192.0.2.7"));
        assert_ne!(address("192.0.2.7"), address("192.0.2.8"));
        assert_eq!(address("2001:db8:0:1::1"), address("2001:db8:0:1:ffff::2"));
        assert_ne!(address("2001:db8:0:1::1"), address("2001:db8:0:2::1"));

        let path = |target| identity("\"path\"", "::1", target, &[]);
        assert_eq!(path("/a/b?x=1"), path("//a/./%62"));
        assert_ne!(path("/a/b"), path("/a"));

        let cookies = [("cookie", "a=1; s = two"), ("Cookie", "t=3")];
        let cookie = |name, fields| identity(name, "::1", "/", fields);
        assert_eq!(
            cookie("\"cookie:s\"", &cookies),
            cookie("\"cookie:s\"", &[("Cookie", "s=two")])
        );
        assert_eq!(cookie("\"cookie:t\"", &cookies), cookie("\"header:x\"", &[("X", "3")]));
        assert_eq!(cookie("\"cookie:u\"", &cookies), None);

        let query = |target| identity("\"query:q\"", "::1", target, &[]);
        assert_eq!(query("/?a=1&q=2"), query("/b?q=2"));
        assert_eq!((query("/?a=1"), query("/")), (None, None));
        assert!(query("/?q").is_some());
    }

    #[test]
    fn combined_parts_cannot_be_shifted_into_each_other() {
        let both = r#"["header:a", "header:b"]"#;
        let of = |a, b| identity(both, "::1", "/", &[("a", a), ("b", b)]).expect("both are there");
        assert_eq!(of("1", "2"), of("1", "2"));
        assert_ne!(of("12", ""), of("1", "2"));
        assert_ne!(of("", "12"), of("1", "2"));
        assert_eq!(identity(both, "::1", "/", &[("a", "1")]), None);
        assert_eq!(identity("[]", "::1", "/", &[]), Some(0));
    }

    #[test]
    fn it_is_written_as_one_text_or_as_a_list() {
        for text in [r#""address""#, r#"["address","header:x-user"]"#, "[]"] {
            assert_eq!(serde_json::to_string(&by(text)).expect("text"), text);
        }
        let error = serde_json::from_str::<By>("7").expect_err("no part").to_string();
        assert!(error.contains("a part of a request, like \"address\""), "{error}");
        let error = serde_json::from_str::<By>("\"adress\"").expect_err("no part").to_string();
        assert!(error.contains("`adress` is not a part of a request"), "{error}");
    }
}
