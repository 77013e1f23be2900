//! What must hold: a metric, a comparison and a limit with its unit.
//!
//! A threshold that cannot be judged must never pass. So its metric is looked up in the table of metrics before
//! anything runs, its limit must be of the metric's unit (a time for a latency: `<= 250` could mean anything), and where a run
//! has no number for it (a p99.9 of a hundred requests) it has not held and says why.

use std::{borrow::Cow, fmt, str::FromStr};

use policy::quantity::{ByteSize, TimeSpan};
use proxy::config::document;
use reports::{MetricInfo, Metrics, Names, Reading, ThresholdResult, Unit, resolve};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::counters;

/// How a value is compared with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
}

impl Comparison {
    /// Longer signs first, so that `<` does not hide `<=`.
    const ALL: [(&str, Self); 6] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("==", Self::Equal),
        ("!=", Self::Unequal),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    /// The sign: `<=`.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, comparison)| *comparison == self).map_or("", |(sign, _)| sign)
    }

    /// Whether `value` stands so to `limit`.
    #[expect(clippy::float_cmp, reason = "`==` is for counts, which floats hold exactly")]
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::AtMost => value <= limit,
            Self::Greater => value > limit,
            Self::AtLeast => value >= limit,
            Self::Equal => value == limit,
            Self::Unequal => value != limit,
        }
    }
}

/// A number and the unit that stood with it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    Plain(f64),
    Percent(f64),
    PerSecond(f64),
    Time(TimeSpan),
    Size(ByteSize),
}

/// A comparison with a limit, as written: `<= 250ms`, `>= 99.9%`, `== 0`.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    comparison: Comparison,
    amount: Amount,
    /// The limit as it was written: `250ms`.
    text: String,
}

const EXAMPLES: &str = "write a comparison like \"<= 250ms\", \">= 0.999\", \"< 5%\" or \"== 0\"";

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = |why: String| Err(format!("{why}; {EXAMPLES}"));
        let trimmed = text.trim();
        let sign = Comparison::ALL.iter().find_map(|(sign, comparison)| {
            trimmed.strip_prefix(sign).map(|rest| (*comparison, rest.trim()))
        });
        let Some((comparison, rest)) = sign else {
            return fail(format!("`{text}` does not begin with <, <=, >, >=, == or !="));
        };
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
        let amount = if let Some(percent) = rest.strip_suffix('%') {
            number(percent).map(Amount::Percent)
        } else if let Some(rate) = rest.strip_suffix("/s") {
            number(rate).map(Amount::PerSecond)
        } else {
            number(rest)
                .map(Amount::Plain)
                .or_else(|| rest.parse().ok().map(Amount::Time))
                .or_else(|| rest.parse().ok().map(Amount::Size))
        };
        match amount {
            Some(amount) => Ok(Self { comparison, amount, text: rest.to_owned() }),
            None if rest.is_empty() => fail(format!("`{text}` has no limit")),
            None => fail(format!("`{rest}` is no number, time, size or rate")),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.comparison.as_str(), self.text)
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> de::Visitor<'de> for Text {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a comparison in quotes, like \"<= 250ms\" or \"== 0\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
                text.parse().map_err(E::custom)
            }

            /// `latency.p99 = …` without quotes is a table in TOML.
            fn visit_map<A: de::MapAccess<'de>>(self, _: A) -> Result<Limit, A::Error> {
                Err(de::Error::custom(
                    "a metric's name with dots goes in quotes; write it like `\"latency.p99\" = \"<= 250ms\"`",
                ))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^\\s*(<=|>=|==|!=|<|>).+$",
            "description": "A comparison with a limit in the metric's unit: \"<= 250ms\", \">= 0.999\", \"< 5%\", \"== 0\".",
        })
    }
}

/// A limit on a metric that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The metric's name: `phase.fault.latency.p99`.
    pub metric: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what, in `unit`.
    pub limit: f64,
    /// The metric's unit.
    pub unit: Unit,
    /// The limit as it was written.
    pub text: String,
    /// Whether a metric that was not seen is zero: statuses that nobody answered.
    zero_when_unseen: bool,
}

impl Threshold {
    /// Looks the metric up and brings the limit into its unit; or says what is wrong.
    pub fn new(metric: &str, limit: &Limit, names: Names<'_>) -> Result<Self, String> {
        let info = resolve(metric, names)?;
        if let Some(counter) = metric.strip_prefix("proxy.") {
            known_counter(counter)?;
        }
        Ok(Self {
            metric: metric.to_owned(),
            comparison: limit.comparison,
            limit: in_unit(metric, limit, info)?,
            unit: info.unit,
            text: limit.text.clone(),
            zero_when_unseen: info.name == "status.NNN",
        })
    }

    /// The threshold as a person reads it: `latency.p99 <= 250ms`.
    pub fn expression(&self) -> String {
        format!("{} {} {}", self.metric, self.comparison.as_str(), self.text)
    }

    /// Judges a run. Without a number it has not held.
    pub fn evaluate(&self, metrics: &Metrics) -> ThresholdResult {
        let (value, remark) = match metrics.read(&self.metric) {
            Reading::Value(metric) => (Some(metric.value), String::new()),
            Reading::Absent(why) => (None, why.to_owned()),
            Reading::Unknown if self.zero_when_unseen => (Some(0.0), String::new()),
            Reading::Unknown => (None, "was not measured in this run".to_owned()),
        };
        ThresholdResult {
            expression: self.expression(),
            metric: self.metric.clone(),
            comparison: self.comparison.as_str().to_owned(),
            value,
            limit: self.limit,
            unit: self.unit,
            holds: value.is_some_and(|value| self.comparison.holds(value, self.limit)),
            remark,
        }
    }
}

/// Which counters the proxy has is the proxy's matter, not that of whoever names metrics.
fn known_counter(counter: &str) -> Result<(), String> {
    let known: Vec<String> = counters::names().collect();
    if known.iter().any(|name| name == counter) {
        return Ok(());
    }
    let near = document::nearest(counter, known.iter().map(String::as_str));
    let near = near.map(|near| format!("; did you mean `proxy.{near}`?"));
    let all = || format!("; there are {}", known.join(", "));
    Err(format!("the proxy has no counter `{counter}`{}", near.unwrap_or_else(all)))
}

fn in_unit(metric: &str, limit: &Limit, info: &MetricInfo) -> Result<f64, String> {
    let (what, example) = match (info.unit, limit.amount) {
        (Unit::Milliseconds, Amount::Time(time)) => return Ok(time.0.as_nanos() as f64 / 1e6),
        (Unit::Seconds, Amount::Time(time)) => return Ok(time.0.as_nanos() as f64 / 1e9),
        (Unit::Ratio, Amount::Percent(percent)) => return Ok(percent / 100.0),
        (Unit::PerSecond, Amount::PerSecond(rate)) => return Ok(rate),
        (Unit::Bytes, Amount::Size(size)) => return Ok(size.0 as f64),
        (Unit::Ratio | Unit::Count | Unit::PerSecond | Unit::Bytes, Amount::Plain(number)) => {
            return Ok(number);
        }
        (Unit::Milliseconds | Unit::Seconds, Amount::Plain(0.0)) => return Ok(0.0),
        (Unit::Milliseconds | Unit::Seconds, _) => ("a time", "<= 250ms"),
        (Unit::Ratio, _) => ("a ratio", ">= 0.999"),
        (Unit::Count, _) => ("a count", "== 0"),
        (Unit::PerSecond, _) => ("a rate", ">= 100/s"),
        (Unit::Bytes, _) => ("a size", "<= 2MiB"),
    };
    let text = &limit.text;
    Err(format!("`{metric}` is {what} and `{text}` is not; write a limit like \"{example}\""))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn threshold(metric: &str, limit: &str) -> Result<Threshold, String> {
        Threshold::new(metric, &limit.parse()?, Names::default())
    }

    #[test]
    fn limits_are_brought_into_the_unit_of_the_metric() {
        for (metric, limit, value) in [
            ("latency.p99", "<= 250ms", 250.0),
            ("latency.p99", "<1.5s", 1500.0),
            ("latency.min", "> 0", 0.0),
            ("success_ratio", ">= 99.9%", 0.999),
            ("success_ratio", ">= 0.999", 0.999),
            ("dropped", "== 0", 0.0),
            ("rate", ">= 100/s", 100.0),
            ("rate", ">= 1e2", 100.0),
            ("bytes_in", "<= 2KiB", 2048.0),
        ] {
            let threshold = threshold(metric, limit).unwrap_or_else(|why| panic!("{why}"));
            assert!(
                (threshold.limit - value).abs() < 1e-9,
                "{metric} {limit}: {}",
                threshold.limit
            );
        }
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        let mut out = String::new();
        for (metric, limit) in [
            ("latency.p99", "<= 250"),
            ("latency.p99", "< 5%"),
            ("success_ratio", "< 5ms"),
            ("dropped", "== 2%"),
            ("rate", "> 5ms"),
            ("bytes_in", "< 5s"),
            ("latency.p97", "< 5ms"),
            ("success_ratio", "0.9"),
            ("success_ratio", "=> 0.9"),
            ("success_ratio", "= 0.9"),
            ("success_ratio", ">="),
            ("success_ratio", ">= most"),
            ("success_ratio", ">= nan"),
        ] {
            let why = threshold(metric, limit).expect_err(limit);
            let _ = writeln!(out, "{metric} {limit}: {why}");
        }
        insta::assert_snapshot!(out);
    }

    #[test]
    fn without_a_number_nothing_holds() {
        let mut metrics = Metrics::new();
        metrics.set_absent("latency.p999", "fewer than ten samples beyond it");
        metrics.insert("ok", 7.0, Unit::Count);
        let judge = |metric: &str, limit: &str| {
            threshold(metric, limit).unwrap_or_else(|why| panic!("{why}")).evaluate(&metrics)
        };
        let absent = judge("latency.p999", "<= 1s");
        assert!(!absent.holds);
        assert_eq!(absent.remark, "fewer than ten samples beyond it");
        assert!(!judge("latency.p999", "!= 1s").holds);
        assert!(!judge("failed", "== 0").holds);
        assert!(judge("status.503", "== 0").holds);
        assert!(judge("ok", "== 7").holds);
        assert!(!judge("ok", "!= 7").holds);
        assert_eq!(judge("ok", "> 6").expression, "ok > 6");
    }
}
