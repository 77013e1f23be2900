//! What happened: one run, and a suite of them.
//!
//! A *run* is one variant of one scenario in one world with one seed. It carries everything that any
//! output needs, as plain data: this crate reads no clock, opens no socket and judges nothing. Whoever
//! ran the scenario decides the verdict; we only show it. That is what lets the same page be drawn
//! again years later, byte for byte.

use crate::invariant::InvariantResult;
use crate::metrics::Unit;
use crate::record::Measurement;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Where a scenario ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum World {
    /// The proxy's decisions drive a queueing model; virtual time.
    Model,
    /// The real engine on a simulated network; virtual time.
    Sim,
    /// The real engine on real sockets; real time.
    Live,
}

impl World {
    /// Whether time there costs nothing but the work done in it.
    pub fn is_virtual(self) -> bool {
        match self {
            World::Model | World::Sim => true,
            World::Live => false,
        }
    }

    /// The name as it stands in scenario files and in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            World::Model => "model",
            World::Sim => "sim",
            World::Live => "live",
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for World {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "model" => Ok(World::Model),
            "sim" => Ok(World::Sim),
            "live" => Ok(World::Live),
            other => Err(format!("no world is called `{other}`: write model, sim or live")),
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every threshold and every invariant held.
    Pass,
    /// At least one threshold or invariant did not hold.
    Fail,
    /// The measurement is not valid, and why: the generator could not send what was asked, or an
    /// injected fault hit nothing. Says nothing about the proxy.
    Invalid(String),
    /// The run could not be carried out, and why.
    Error(String),
}

impl Verdict {
    /// One lower-case word: `pass`, `fail`, `invalid` or `error`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Invalid(_) => "invalid",
            Verdict::Error(_) => "error",
        }
    }

    /// The reason that an invalid run or an error carries.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Verdict::Invalid(reason) | Verdict::Error(reason) => Some(reason),
            Verdict::Pass | Verdict::Fail => None,
        }
    }

    /// The exit code that this verdict alone would give: 0, 1, 5 or 3.
    pub fn exit_code(&self) -> u8 {
        match self {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Invalid(_) => 5,
            Verdict::Error(_) => 3,
        }
    }

    /// How much attention it wants: 0 for a pass, 3 for an error. A threshold that failed in a valid run is
    /// certain, and must not hide behind a run that says nothing.
    pub fn severity(&self) -> u8 {
        match self {
            Verdict::Pass => 0,
            Verdict::Invalid(_) => 1,
            Verdict::Fail => 2,
            Verdict::Error(_) => 3,
        }
    }
}

/// What one threshold said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThresholdResult {
    /// The threshold as a person wrote it, e.g. `latency.p99 <= 250ms`.
    pub expression: String,
    /// The metric's name, e.g. `latency.p99`.
    pub metric: String,
    /// The comparison, e.g. `<=`.
    pub comparison: String,
    /// The value measured, in `unit`; `None` where there is no number to compare (too few samples).
    pub value: Option<f64>,
    /// The limit, in `unit`.
    pub limit: f64,
    /// The unit of value and limit.
    pub unit: Unit,
    /// Whether it held. A threshold without a value has not held.
    pub holds: bool,
    /// Why there is no value, or any other remark; empty when there is nothing to say.
    pub remark: String,
}

/// Something that happened at an instant of a run: a fault, a repair, a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMark {
    /// When, since the start of the run.
    pub at: Duration,
    /// What, in a few words: `slow web-3 ×20`.
    pub label: String,
}

/// A named window of a run: `from <= t < to`, since the start of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name, as thresholds use it: `phase.<name>.…`.
    pub name: String,
    /// Start.
    pub from: Duration,
    /// End, not included.
    pub to: Duration,
}

/// One run of one variant of one scenario in one world.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Which scenario of the suite it is of, from 0, counted before a shard took its part: the order of a merged report.
    pub place: usize,
    /// The scenario's name: its path below the suite, without the ending.
    pub scenario: String,
    /// What the scenario is about, in a sentence.
    pub description: String,
    /// The scenario's file, as the user named it.
    pub path: String,
    /// Where it ran.
    pub world: World,
    /// Which cell of the matrix: (dotted path, value as text). Empty without a matrix.
    pub variant: Vec<(String, String)>,
    /// The seed.
    pub seed: u64,
    /// How long load was offered, warm-up included.
    pub duration: Duration,
    /// The part at the start that no metric counts.
    pub warmup: Duration,
    /// The command that repeats exactly this run.
    pub command: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Remarks for the reader, one sentence each.
    pub notes: Vec<String>,
    /// What each threshold said, in the order of the file.
    pub thresholds: Vec<ThresholdResult>,
    /// What became of each invariant. Empty in `live`, where nobody can look.
    pub invariants: Vec<InvariantResult>,
    /// The figures. For a run that could not be carried out: [`Measurement::empty`].
    pub measurement: Measurement,
    /// What happened when.
    pub events: Vec<EventMark>,
    /// The named windows.
    pub phases: Vec<Phase>,
    /// The scenario as resolved: defaults filled in, matrix applied.
    pub configuration: String,
    /// A hash of that text, as text.
    pub configuration_hash: String,
}

impl Run {
    /// The variant as `path=value; path=value`, or an empty text.
    pub fn variant_text(&self) -> String {
        let cells: Vec<String> = self.variant.iter().map(|(k, v)| format!("{k}={v}")).collect();
        cells.join("; ")
    }

    /// The variant with only the last word of each path: `strategy=p2c`. For legends and labels.
    pub fn variant_short(&self) -> String {
        let cells: Vec<String> = self
            .variant
            .iter()
            .map(|(k, v)| format!("{}={v}", k.rsplit('.').next().unwrap_or(k)))
            .collect();
        cells.join(", ")
    }

    /// Scenario, variant and world in one line for a person: `slow/backend [strategy=p2c] sim`.
    pub fn title(&self) -> String {
        if self.variant.is_empty() {
            format!("{} {}", self.scenario, self.world)
        } else {
            format!("{} [{}] {}", self.scenario, self.variant_short(), self.world)
        }
    }

    /// The thresholds that did not hold.
    pub fn failed_thresholds(&self) -> impl Iterator<Item = &ThresholdResult> {
        self.thresholds.iter().filter(|t| !t.holds)
    }

    /// The invariants that did not hold. One is enough to fail the run.
    pub fn broken_invariants(&self) -> impl Iterator<Item = &InvariantResult> {
        self.invariants.iter().filter(|invariant| !invariant.holds())
    }
}

/// Who ran this, where and when. Plain data from the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The version of the program.
    pub version: String,
    /// The revision it was built from.
    pub revision: String,
    /// The machine: name, system, processors, as the caller puts it.
    pub host: String,
    /// The command line of the whole suite.
    pub command: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// How long it took, real time.
    pub elapsed: Duration,
    /// How much of that went by while runs in virtual time were going on, several at once counted once. Zero where there
    /// were none, or where nobody looked.
    pub virtual_elapsed: Duration,
}

/// Runs that belong together, with who made them.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// The runs, in the order in which outputs that keep an order show them.
    pub runs: Vec<Run>,
    /// The only part in which two suites of one seed may differ.
    pub manifest: Manifest,
}

impl Suite {
    /// The verdict that weighs most: error, fail, invalid, pass. A pass for a suite without runs.
    pub fn worst(&self) -> Verdict {
        let worst = self.runs.iter().map(|run| &run.verdict).max_by_key(|v| v.severity());
        worst.cloned().unwrap_or(Verdict::Pass)
    }

    /// How much virtual time was covered: the runs in `model` and `sim` that could be carried out, one after the other.
    pub fn virtual_time(&self) -> Duration {
        let carried_out = self
            .runs
            .iter()
            .filter(|run| run.world.is_virtual() && !matches!(run.verdict, Verdict::Error(_)));
        carried_out.map(|run| run.duration).sum()
    }

    /// The runs with what wants attention first: errors, failed, invalid, then passed; otherwise in
    /// their order.
    pub fn by_severity(&self) -> Vec<&Run> {
        let mut runs: Vec<&Run> = self.runs.iter().collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.verdict.severity()));
        runs
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A run of which nothing is known.
    pub(crate) fn run() -> Run {
        Run {
            place: 0,
            scenario: "ci/steady".to_owned(),
            description: String::new(),
            path: String::new(),
            world: World::Sim,
            variant: Vec::new(),
            seed: 7,
            duration: Duration::from_secs(1),
            warmup: Duration::ZERO,
            command: String::new(),
            verdict: Verdict::Pass,
            notes: Vec::new(),
            thresholds: Vec::new(),
            invariants: Vec::new(),
            measurement: Measurement::empty(),
            events: Vec::new(),
            phases: Vec::new(),
            configuration: String::new(),
            configuration_hash: String::new(),
        }
    }
}
