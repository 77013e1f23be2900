//! One endpoint of the configuration: an address, or a table with an address and more.

use std::{borrow::Cow, fmt, net::SocketAddr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de, de::value::MapAccessDeserializer};

/// Where requests go: `"127.0.0.1:9001"`, or `{ address = "127.0.0.1:9001", weight = 2 }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointConfig {
    /// Its address.
    pub address: SocketAddr,
    /// Its name in logs and figures; the address by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its share, relative to the others; at least 1.
    pub weight: u32,
    /// Requests in flight at once; `limits.endpoint_in_flight` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Its tier, 0 to 255: those of a higher number are used when too few of the lower are ready.
    #[serde(skip_serializing_if = "is_first")]
    pub priority: u8,
}

impl EndpointConfig {
    /// An endpoint at `address`, with the defaults for everything else.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, name: None, weight: 1, max_in_flight: None, priority: 0 }
    }

    /// The name in logs and figures.
    pub fn name(&self) -> Cow<'_, str> {
        match &self.name {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(self.address.to_string()),
        }
    }
}

/// The table form; `EndpointConfig` reads both.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EndpointTable {
    /// Its address, like "127.0.0.1:9001".
    address: SocketAddr,
    /// Its name in logs and figures; the address by default.
    name: Option<String>,
    /// Its share, relative to the others; 1 by default.
    #[serde(default = "one")]
    weight: u32,
    /// Requests in flight at once; `limits.endpoint_in_flight` by default.
    max_in_flight: Option<u32>,
    /// Its tier, 0 to 255: those of a higher number are used when too few of the lower are ready. 0 by default.
    #[serde(default)]
    priority: u8,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_first(priority: &u8) -> bool {
    *priority == 0
}

impl<'de> Deserialize<'de> for EndpointConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = EndpointConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address like \"127.0.0.1:9001\", or a table with an `address`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<EndpointConfig, E> {
                text.parse().map(EndpointConfig::new).map_err(|_| {
                    E::custom(format!(
                        "`{text}` is not an address; write one like \"127.0.0.1:9001\""
                    ))
                })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<EndpointConfig, A::Error> {
                let table = EndpointTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(EndpointConfig {
                    address: table.address,
                    name: table.name,
                    weight: table.weight,
                    max_in_flight: table.max_in_flight,
                    priority: table.priority,
                })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for EndpointConfig {
    fn schema_name() -> Cow<'static, str> {
        "EndpointConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<EndpointTable>();
        json_schema!({
            "description": "An address like \"127.0.0.1:9001\", or a table with an `address` and more.",
            "anyOf": [{ "type": "string" }, table],
        })
    }
}
