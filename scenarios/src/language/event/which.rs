//! Which of several proxies an event is about: `proxy = "proxy-3"`, or `proxy = 3`.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

use crate::fleet;

/// One of the proxies, by its number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Which(pub u32);

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&fleet::named(self.0))
    }
}

impl Serialize for Which {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Which {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrNumber)
    }
}

struct NameOrNumber;

impl Visitor<'_> for NameOrNumber {
    type Value = Which;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a proxy like \"proxy-3\", or its number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Which, E> {
        // One that is far too large is as wrong as one that is a little: the check says how many there are.
        Ok(Which(u32::try_from(number).unwrap_or(u32::MAX)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Which, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Which, E> {
        let number = name.strip_prefix("proxy-").and_then(|number| number.parse().ok());
        // One way to write each: no `proxy-03`, no `proxy-+3`.
        let known = number.map(Which).filter(|which| which.to_string() == name);
        known.ok_or_else(|| E::invalid_value(de::Unexpected::Str(name), &self))
    }
}

impl JsonSchema for Which {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Which".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One of the proxies: its name, or its number from 0.",
            "anyOf": [
                { "type": "string", "pattern": "^proxy-(0|[1-9][0-9]*)$" },
                { "type": "integer", "minimum": 0 },
            ],
        })
    }
}
