//! Quantities as people write them: `"20ms"`, `"1m30s"`, `"2KiB"`, `"1Gbps"`.
//!
//! A number without its unit is the commonest mistake in a configuration, so a bare number is refused and
//! the message says what to write instead. Sizes are exact: `KB` is 1,000 bytes and `KiB` 1,024.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, written with its unit: `"20ms"`, `"1.5s"`, `"1m30s"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(pub Duration);

/// A number of bytes, written with its unit: `"512B"`, `"2KiB"`, `"10MB"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A bandwidth in bits a second, written with its unit: `"100Mbps"`, `"1Gbps"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bandwidth(pub u64);

/// Why a text is no quantity; says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantityError(String);

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for QuantityError {}

const TIME_UNITS: [(&str, f64); 7] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
const SIZE_UNITS: [(&str, f64); 7] = [
    ("B", 1.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
];
const BANDWIDTH_UNITS: [(&str, f64); 4] =
    [("bps", 1.0), ("Kbps", 1e3), ("Mbps", 1e6), ("Gbps", 1e9)];

impl TimeSpan {
    /// So many milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// So many seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

/// One quantity of `parse`: digits with an optional fraction, then a unit of letters.
fn split_one(text: &str) -> Option<(f64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')?;
    let number: f64 = text[..digits].replace('_', "").parse().ok()?;
    let rest = text[digits..].trim_start();
    let unit = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    (unit > 0).then(|| (number, &rest[..unit], rest[unit..].trim_start()))
}

fn parse(
    text: &str,
    units: &[(&str, f64)],
    kind: &str,
    example: &str,
) -> Result<u64, QuantityError> {
    let fail = |why: String| QuantityError(format!("{why}; write {kind} like {example}"));
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(fail(format!("no text where there should be {kind}")));
    }
    if trimmed == "0" {
        return Ok(0);
    }
    if trimmed.starts_with('-') {
        return Err(fail(format!("`{text}` is negative")));
    }
    if trimmed.parse::<f64>().is_ok() {
        return Err(fail(format!("`{text}` has no unit")));
    }
    let mut sum = 0.0;
    let mut rest = trimmed;
    while !rest.is_empty() {
        let Some((number, unit, tail)) = split_one(rest) else {
            return Err(fail(format!("`{text}` is not {kind}")));
        };
        let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
            let known: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
            return Err(fail(format!(
                "`{unit}` is not a unit of it (known: {})",
                known.join(", ")
            )));
        };
        sum += number * factor;
        rest = tail;
    }
    if sum > 9e18 {
        return Err(fail(format!("`{text}` is too large")));
    }
    Ok(sum.round() as u64)
}

/// `value` in the largest unit that divides it.
fn write_exact(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let (unit, factor) = units
        .iter()
        .rev()
        .find(|(_, factor)| value.is_multiple_of(*factor))
        .copied()
        .unwrap_or(units[0]);
    write!(f, "{}{unit}", value / factor)
}

macro_rules! quantity {
    ($name:ident, $inner:expr, $wrap:expr, $units:expr, $print:expr, $kind:literal, $example:literal) => {
        impl FromStr for $name {
            type Err = QuantityError;

            fn from_str(text: &str) -> Result<Self, QuantityError> {
                parse(text, &$units, $kind, $example).map($wrap)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let value = $inner(self);
                if value == 0 {
                    return write!(f, "0{}", $print[0].0);
                }
                write_exact(f, value, &$print)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!($kind, " with its unit, like ", $example))
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": concat!($kind, " with its unit, like ", $example),
                })
            }
        }
    };
}

quantity!(
    TimeSpan,
    |span: &TimeSpan| crate::time::nanos(span.0),
    |nanos| TimeSpan(Duration::from_nanos(nanos)),
    TIME_UNITS,
    [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)],
    "a length of time",
    "\"20ms\" or \"1m30s\""
);
quantity!(
    ByteSize,
    |size: &ByteSize| size.0,
    ByteSize,
    SIZE_UNITS,
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)],
    "a size",
    "\"2KiB\" or \"10MB\""
);
quantity!(
    Bandwidth,
    |bandwidth: &Bandwidth| bandwidth.0,
    Bandwidth,
    BANDWIDTH_UNITS,
    [("bps", 1), ("Kbps", 1_000), ("Mbps", 1_000_000), ("Gbps", 1_000_000_000)],
    "a bandwidth",
    "\"100Mbps\" or \"1Gbps\""
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, nanos) in [
            ("20ms", 20_000_000),
            ("1.5s", 1_500_000_000),
            ("1m30s", 90_000_000_000),
            ("1h 2m", 3_720_000_000_000),
            ("250 us", 250_000),
            ("3µs", 3_000),
            ("0", 0),
        ] {
            assert_eq!(text.parse::<TimeSpan>().map(|s| s.0.as_nanos()), Ok(nanos), "{text}");
        }
        assert_eq!("2KiB".parse(), Ok(ByteSize(2048)));
        assert_eq!("10MB".parse(), Ok(ByteSize(10_000_000)));
        assert_eq!("1Gbps".parse(), Ok(Bandwidth(1_000_000_000)));
    }

    #[test]
    fn says_what_is_wrong_and_what_to_write() {
        for (text, message) in [
            ("20", "`20` has no unit; write a length of time like \"20ms\" or \"1m30s\""),
            ("-1s", "`-1s` is negative; write a length of time like \"20ms\" or \"1m30s\""),
            (
                "5 parsecs",
                "`parsecs` is not a unit of it (known: ns, us, µs, ms, s, m, h); write a length of time \
                 like \"20ms\" or \"1m30s\"",
            ),
            (
                "",
                "no text where there should be a length of time; write a length of time like \"20ms\" or \"1m30s\"",
            ),
            (
                "soon",
                "`soon` is not a length of time; write a length of time like \"20ms\" or \"1m30s\"",
            ),
        ] {
            assert_eq!(text.parse::<TimeSpan>().unwrap_err().to_string(), message, "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_and_read_again_is_the_same(nanos in 0..9_000_000_000_000_000_u64, bytes in 0..1_u64 << 50) {
            let span = TimeSpan(Duration::from_nanos(nanos));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
            let size = ByteSize(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<TimeSpan>();
            let _ = text.parse::<ByteSize>();
        }
    }
}
