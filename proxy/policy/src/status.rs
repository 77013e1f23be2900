//! Ranges of HTTP statuses, as a configuration writes them: `200` or `"200-399"`.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One status or a range of them, both ends included: `503`, `"500-599"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    /// The statuses from `first` to `last`; nothing unless 100 ≤ first ≤ last ≤ 999.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if 100 <= first && first <= last && last <= 999 { Some(Self { first, last }) } else { None }
    }

    /// Whether this status is in it.
    pub const fn contains(self, status: u16) -> bool {
        self.first <= status && status <= self.last
    }

    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Self::new(first.trim().parse().ok()?, last.trim().parse().ok()?)
    }
}

/// Whether any of the ranges holds this status.
pub fn any_contains(ranges: &[StatusRange], status: u16) -> bool {
    ranges.iter().any(|range| range.contains(status))
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl Serialize for StatusRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.first == self.last {
            return serializer.serialize_u16(self.first);
        }
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = StatusRange;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status like 503 or a range like \"500-599\", within 100 to 999")
            }

            fn visit_u64<E: de::Error>(self, status: u64) -> Result<StatusRange, E> {
                u16::try_from(status)
                    .ok()
                    .and_then(|status| StatusRange::new(status, status))
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(status), &self))
            }

            fn visit_i64<E: de::Error>(self, status: i64) -> Result<StatusRange, E> {
                u64::try_from(status)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(status), &self))
                    .and_then(|status| self.visit_u64(status))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusRange, E> {
                StatusRange::parse(text)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for StatusRange {
    fn schema_name() -> Cow<'static, str> {
        "StatusRange".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a status like 503, or a range like \"500-599\"",
            "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 999 },
                { "type": "string", "pattern": "^[1-9][0-9]{2}( *- *[1-9][0-9]{2})?$" },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_ranges_and_writes_them_back() {
        let read: Vec<StatusRange> =
            serde_json::from_str(r#"[503, "200-399", "404"]"#).expect("valid");
        assert_eq!(serde_json::to_string(&read).expect("valid"), r#"[503,"200-399",404]"#);
        assert!(any_contains(&read, 399) && any_contains(&read, 503) && !any_contains(&read, 400));
    }

    #[test]
    fn refuses_what_is_no_status() {
        for wrong in ["99", "1000", "-5", "\"399-200\"", "\"2xx\"", "true"] {
            let error = serde_json::from_str::<StatusRange>(wrong).expect_err(wrong).to_string();
            assert!(error.contains("a range like \"500-599\""), "{wrong}: {error}");
        }
    }
}
