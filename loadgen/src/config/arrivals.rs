//! When requests arrive, as a scenario states it.
//!
//! Rates are in requests a second. Ramps are linear from the former target to the next; a step is a stage that
//! takes no time. Whether the arrivals at a given rate are evenly spaced or a Poisson process makes a large
//! difference to a queue, so it is always stated: `constant` is even, `poisson` is random, and the
//! other forms say which they are.

use std::{fmt, sync::Arc};

use policy::quantity::TimeSpan;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::Problem;
use crate::schedule::trace::TraceRequests;

/// Beyond this no schedule is sent by one machine.
const MAX_RATE: f64 = 1e7;

/// When requests arrive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrivals {
    /// Evenly spaced, the first at once.
    Constant(Rate),
    /// A Poisson process: memoryless gaps with mean 1/rate.
    Poisson(Rate),
    /// A rate that changes: ramps and steps. The load ends with the last stage.
    Stages(Stages),
    /// Many at a time, then nothing.
    Bursts(Bursts),
    /// At the times that a file says.
    Trace(Trace),
}

/// A rate that does not change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests a second, above 0 and at most 10,000,000.
    pub rate: f64,
}

/// How arrivals are spaced at a given rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// Evenly.
    #[default]
    Constant,
    /// As a Poisson process whose rate is the stage's at each moment.
    Poisson,
}

/// A rate that changes. Written as a list of stages, or as a table with `steps` and options.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stages {
    /// The rate at the start, in requests a second.
    pub start: f64,
    /// How arrivals are spaced.
    pub spacing: Spacing,
    /// The stages, one after the other.
    pub steps: Vec<Stage>,
}

/// One stage: a linear change of the rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The rate at its end, in requests a second.
    pub target: f64,
    /// How long it takes; `"0s"` is a step.
    #[serde(rename = "for")]
    pub lasts: TimeSpan,
}

/// Many requests at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// Requests in a burst.
    pub size: u64,
    /// From the start of one burst to the start of the next.
    pub every: TimeSpan,
    /// Over how long a burst's requests are spread evenly; all at once by default.
    #[serde(default)]
    pub over: TimeSpan,
    /// When the first burst starts.
    #[serde(default)]
    pub start: TimeSpan,
}

/// The times of a file, and what was asked for then, where the file says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// The file, relative to the scenario's.
    pub file: String,
    /// How much faster than in the file, above 0.
    #[serde(default = "unit_speed")]
    pub speed: f64,
    /// How the file is written.
    #[serde(default)]
    pub format: TraceFormat,
    /// The file's requests: whoever reads the scenario fills them in, see [`TraceRequests::read`].
    #[serde(skip)]
    pub requests: Arc<TraceRequests>,
}

/// How a trace is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceFormat {
    /// A CSV file with a header: `at` (seconds since the start of the load), and, where wanted, `method`, `path`,
    /// `client`, `body` and `size` (bytes) and `work` (seconds).
    #[default]
    Csv,
    /// The "common" or "combined" access log of Apache and nginx. Its times have whole seconds: the requests
    /// of one second are spread evenly over it.
    Combined,
}

fn unit_speed() -> f64 {
    1.0
}

fn rate_problem(at: &str, rate: f64) -> Option<Problem> {
    let fits = rate > 0.0 && rate <= MAX_RATE;
    (!fits).then(|| Problem::new(at, format!("must be above 0 and at most {MAX_RATE} a second")))
}

impl Arrivals {
    /// What is impossible about them.
    pub(super) fn problem(&self) -> Option<Problem> {
        match self {
            Self::Constant(constant) => rate_problem("constant.rate", constant.rate),
            Self::Poisson(poisson) => rate_problem("poisson.rate", poisson.rate),
            Self::Stages(stages) => stages.problem(),
            Self::Bursts(bursts) => bursts.problem(),
            Self::Trace(trace) if !(trace.speed > 0.0 && trace.speed <= 1e6) => {
                Some(Problem::new("trace.speed", "must be above 0 and at most 1000000"))
            }
            Self::Trace(trace) if trace.requests.is_empty() => {
                Some(Problem::new("trace.file", "must hold at least one request"))
            }
            Self::Trace(_) => None,
        }
    }
}

impl Stages {
    fn problem(&self) -> Option<Problem> {
        if self.steps.is_empty() {
            return Some(Problem::new("stages", "must list at least one stage"));
        }
        let bad = |rate: f64| !(0.0..=MAX_RATE).contains(&rate);
        if bad(self.start) {
            return Some(Problem::new("stages.start", "must be 0 to 10000000 a second"));
        }
        if let Some(index) = self.steps.iter().position(|stage| bad(stage.target)) {
            let at = format!("stages[{index}].target");
            return Some(Problem::new(at, "must be 0 to 10000000 a second"));
        }
        if self.steps.iter().all(|stage| stage.lasts.0.is_zero()) {
            return Some(Problem::new(
                "stages",
                "take no time: at least one needs a `for` above 0",
            ));
        }
        (self.start == 0.0 && self.steps.iter().all(|stage| stage.target == 0.0))
            .then(|| Problem::new("stages", "never ask for a request: every target is 0"))
    }
}

impl Bursts {
    fn problem(&self) -> Option<Problem> {
        if !(1..=10_000_000).contains(&self.size) {
            return Some(Problem::new("bursts.size", "must be 1 to 10000000"));
        }
        if self.every.0.is_zero() {
            return Some(Problem::new("bursts.every", "must be above 0"));
        }
        (self.over > self.every)
            .then(|| Problem::new("bursts.over", "must not be longer than `every`"))
    }
}

/// The table form of [`Stages`], which is also how it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StagesTable {
    /// The rate at the start, in requests a second; 0 by default.
    #[serde(default)]
    start: f64,
    /// How arrivals are spaced.
    #[serde(default)]
    spacing: Spacing,
    /// The stages, one after the other.
    steps: Vec<Stage>,
}

impl<'de> Deserialize<'de> for Stages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StagesVisitor)
    }
}

struct StagesVisitor;

impl<'de> de::Visitor<'de> for StagesVisitor {
    type Value = Stages;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a list of stages, or a table with `steps` and, where wanted, `start` and `spacing`",
        )
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Stages, A::Error> {
        let steps = Vec::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
        Ok(Stages { start: 0.0, spacing: Spacing::Constant, steps })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Stages, A::Error> {
        let table = StagesTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Stages { start: table.start, spacing: table.spacing, steps: table.steps })
    }
}

impl JsonSchema for Stages {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Stages".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let list = generator.subschema_for::<Vec<Stage>>();
        let table = generator.subschema_for::<StagesTable>();
        json_schema!({
            "description": "A rate that changes: a list of stages, or a table with `steps` and options.",
            "anyOf": [list, table],
        })
    }
}
