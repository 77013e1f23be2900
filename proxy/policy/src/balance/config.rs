//! How a strategy is read and written: `"p2c"`, or `{ strategy = "p2c", choices = 3 }`.
//!
//! By hand, because serde's tagged enums read the whole table into a buffer first and thereby lose the place of
//! what is wrong in it. Here, when `strategy` is the first key, every further key goes straight to that
//! strategy's own parameters, and an error points at the very key. Keys before it are kept until it is known.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, IntoDeserializer, MapAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{NAMES, Strategy, StrategyInfo};

const TAG: &str = "strategy";

impl<'de> Deserialize<'de> for Strategy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = Strategy;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a strategy like \"p2c\", or a table like { strategy = \"p2c\", choices = 2 }")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Strategy, E> {
        Strategy::named(name).ok_or_else(|| E::unknown_variant(name, NAMES))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strategy, A::Error> {
        let mut early = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == TAG {
                let Name(name) = map.next_value()?;
                return Strategy::read(&name, Rest { early: early.into_iter(), value: None, map });
            }
            early.push((key, map.next_value()?));
        }
        Err(de::Error::missing_field(TAG))
    }
}

/// A strategy's name; checked as it is read, so that an error points at it.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match Strategy::named(&name) {
            Some(_) => Ok(Self(name)),
            None => Err(de::Error::unknown_variant(&name, NAMES)),
        }
    }
}

/// The keys that stood before `strategy`, then those after it.
struct Rest<A> {
    early: std::vec::IntoIter<(String, Scalar)>,
    value: Option<Scalar>,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rest<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some((key, value)) = self.early.next() else { return self.map.next_key_seed(seed) };
        self.value = Some(value);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(Kept { value, error: std::marker::PhantomData }),
            None => self.map.next_value_seed(seed),
        }
    }
}

/// The value of a parameter: parameters are single values.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a number, a text, true or false")]
enum Scalar {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
}

/// A value that was kept, to be read as whatever the parameter is.
struct Kept<E> {
    value: Scalar,
    error: std::marker::PhantomData<E>,
}

impl<'de, E: de::Error> Deserializer<'de> for Kept<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.value {
            Scalar::Bool(value) => visitor.visit_bool(value),
            Scalar::Unsigned(value) => visitor.visit_u64(value),
            Scalar::Signed(value) => visitor.visit_i64(value),
            Scalar::Float(value) => visitor.visit_f64(value),
            Scalar::Text(value) => visitor.visit_string(value),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The name alone where every parameter has its default.
impl Serialize for Strategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if Self::named(self.name()).as_ref() == Some(self) {
            return serializer.serialize_str(self.name());
        }
        self.write(serializer)
    }
}

/// Writes the table form of one strategy.
pub(super) fn write<C: Serialize, S: Serializer>(
    strategy: &'static str,
    config: &C,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Table<'a, C> {
        strategy: &'static str,
        #[serde(flatten)]
        parameters: &'a C,
    }
    Table { strategy, parameters: config }.serialize(serializer)
}

/// The schema of the table form of one strategy.
pub(super) fn schema<C: JsonSchema>(
    info: &StrategyInfo,
    generator: &mut SchemaGenerator,
) -> Schema {
    let mut schema = C::json_schema(generator);
    let object = schema.ensure_object();
    object.insert("description".to_owned(), info.summary.into());
    let tag = json_schema!({ "type": "string", "const": info.name }).to_value();
    let required = json_schema!({ "required": [TAG] }).to_value();
    let properties = object.entry("properties").or_insert_with(|| json_schema!({}).to_value());
    if let Some(properties) = properties.as_object_mut() {
        properties.insert(TAG.to_owned(), tag);
    }
    object.insert("required".to_owned(), required["required"].clone());
    schema
}

impl JsonSchema for Strategy {
    fn schema_name() -> Cow<'static, str> {
        "Strategy".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut forms = vec![json_schema!({ "type": "string", "enum": NAMES })];
        forms.extend(Self::schemas(generator));
        json_schema!({
            "description": "a strategy's name, or a table with its name and parameters",
            "anyOf": forms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::{BalanceConfig, STRATEGIES, p2c};

    fn read(text: &str) -> Result<Strategy, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_or_a_table_in_any_order() {
        let p2c = |choices, replacement| {
            Ok(Strategy::P2c(p2c::Config { choices, replacement, ..p2c::Config::default() }))
        };
        assert_eq!(read(r#""p2c""#), p2c(2, false));
        assert_eq!(read(r#"{"strategy": "p2c"}"#), p2c(2, false));
        assert_eq!(read(r#"{"strategy": "p2c", "choices": 3}"#), p2c(3, false));
        assert_eq!(read(r#"{"replacement": true, "strategy": "p2c", "choices": 3}"#), p2c(3, true));
        assert_eq!(read(r#"{"strategy": "random"}"#).map(|s| s.name()), Ok("random"));
    }

    #[test]
    fn what_is_unknown_is_named_with_what_is_known() {
        for (text, error) in [
            (r#""p2d""#, "unknown variant `p2d`, expected one of `round_robin`"),
            (r#"{"strategy": "p2d"}"#, "unknown variant `p2d`, expected one of `round_robin`"),
            (
                r#"{"strategy": "p2c", "choice": 3}"#,
                "unknown field `choice`, expected one of `choices`, ",
            ),
            (
                r#"{"choice": 3, "strategy": "p2c"}"#,
                "unknown field `choice`, expected one of `choices`, ",
            ),
            (
                r#"{"strategy": "random", "choices": 3}"#,
                "unknown field `choices`, there are no fields",
            ),
            (r#"{"strategy": "p2c", "choices": "x"}"#, "invalid type: string \"x\", expected u32"),
            (r#"{"choices": "x", "strategy": "p2c"}"#, "invalid type: string \"x\", expected u32"),
            (r#"{"choices": 3}"#, "missing field `strategy`"),
            ("3", "invalid type: integer `3`, expected a strategy like \"p2c\", or a table like"),
        ] {
            let found = read(text).expect_err(text);
            assert!(found.starts_with(error), "{text}: {found}");
        }
    }

    #[test]
    fn every_strategy_is_registered_and_written_back() {
        for info in STRATEGIES {
            let strategy = Strategy::named(info.name).expect("registered");
            assert_eq!((strategy.name(), strategy.build().name()), (info.name, info.name));
            assert_eq!(serde_json::to_value(&strategy).expect("a name"), info.name);
            assert_eq!(strategy.problem(), None);
            // The parameters that are documented are those that there are, in their order, with their defaults.
            let mut table = vec![];
            strategy.write(&mut serde_json::Serializer::new(&mut table)).expect("a table");
            let table: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&table).expect("a table");
            let written: Vec<(String, String)> =
                table.iter().skip(1).map(|(key, value)| (key.clone(), value.to_string())).collect();
            let documented: Vec<(String, String)> =
                info.parameters.iter().map(|p| (p.name.to_owned(), p.default.to_owned())).collect();
            assert_eq!(written, documented, "{}", info.name);
        }
        let three = Strategy::P2c(p2c::Config { choices: 3, ..p2c::Config::default() });
        let written = serde_json::to_string(&three).expect("a table");
        assert_eq!(
            written,
            r#"{"strategy":"p2c","choices":3,"replacement":false,"refresh":"0ns"}"#
        );
        assert_eq!(read(&written), Ok(three));
    }

    #[test]
    fn the_schema_has_each_form() {
        let schema = schemars::schema_for!(BalanceConfig).to_value();
        let forms = &schema["$defs"]["Strategy"]["anyOf"];
        assert_eq!(forms[0]["enum"][3], "p2c");
        assert_eq!(forms.as_array().map(Vec::len), Some(1 + STRATEGIES.len()));
        assert_eq!(forms[4]["properties"]["strategy"]["const"], "p2c");
        assert_eq!(forms[4]["properties"]["choices"]["maximum"], 16);
        assert_eq!(forms[4]["additionalProperties"], false);
        assert_eq!(forms[1]["properties"]["strategy"]["const"], "round_robin");
    }

    #[test]
    fn impossible_parameters_are_named() {
        let strategy = Strategy::P2c(p2c::Config { choices: 0, ..p2c::Config::default() });
        let config = BalanceConfig { strategy, ..BalanceConfig::default() };
        assert_eq!(config.problem().map(|(field, _)| field), Some("strategy.choices"));
        let config = BalanceConfig { panic_threshold: 1.5, ..BalanceConfig::default() };
        assert_eq!(config.problem().map(|(field, _)| field), Some("panic_threshold"));
    }
}
