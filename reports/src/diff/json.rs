//! The diff for programs: everything that was compared, judged or not.

use super::{Diff, Finding, Group, Turn};
use crate::csv::SCHEMA_VERSION;
use crate::format::rounded;
use crate::statistics::ratio::LIMIT;
use serde::Serialize;

#[derive(Serialize)]
struct File<'a> {
    schema_version: u32,
    old: &'a str,
    new: &'a str,
    worse: bool,
    pairs: usize,
    noise_percent: f64,
    groups_judged: usize,
    pairs_needed: usize,
    verdicts: Vec<Verdict<'a>>,
    metrics: Vec<Compared<'a>>,
    changed: Vec<Changed<'a>>,
    reconfigured: Vec<Runs<'a>>,
    missing: Vec<Runs<'a>>,
    added: Vec<Runs<'a>>,
    without_counterpart: usize,
}

#[derive(Serialize)]
struct Runs<'a> {
    scenario: &'a str,
    world: &'a str,
    variant: &'a str,
}

#[derive(Serialize)]
struct Verdict<'a> {
    #[serde(flatten)]
    runs: Runs<'a>,
    standing: &'a str,
    old: &'a str,
    new: &'a str,
    seeds: &'a [u64],
    pairs: usize,
    reason: Option<&'a str>,
    command: Option<&'a str>,
}

#[derive(Serialize)]
struct Compared<'a> {
    #[serde(flatten)]
    runs: Runs<'a>,
    metric: &'a str,
    unit: &'a str,
    standing: &'a str,
    pairs: usize,
    old: f64,
    new: f64,
    /// `new_over_old`, or of `success_ratio` `losses`.
    ratio_of: &'a str,
    /// Null where one of the two is zero in the median.
    ratio: Option<f64>,
    ratio_low: Option<f64>,
    ratio_high: Option<f64>,
    p: f64,
    p_holm: f64,
    noise_percent: f64,
}

#[derive(Serialize)]
struct Changed<'a> {
    #[serde(flatten)]
    runs: Runs<'a>,
    differ: usize,
    pairs: usize,
}

fn runs(group: &Group) -> Runs<'_> {
    Runs { scenario: &group.scenario, world: group.world.as_str(), variant: &group.variant }
}

fn verdict(turn: &Turn) -> Verdict<'_> {
    Verdict {
        runs: runs(&turn.group),
        standing: turn.standing.as_str(),
        old: turn.verdicts.0,
        new: turn.verdicts.1,
        seeds: &turn.seeds,
        pairs: turn.pairs,
        reason: turn.reason.as_deref(),
        command: turn.command.as_deref(),
    }
}

fn metric(finding: &Finding) -> Compared<'_> {
    let comparison = &finding.judged.comparison;
    let finite = |ratio: f64| (ratio < LIMIT && ratio > 1.0 / LIMIT).then_some(ratio);
    Compared {
        runs: runs(&finding.group),
        metric: &finding.metric,
        unit: finding.unit.as_str(),
        standing: finding.standing.as_str(),
        pairs: comparison.pairs,
        old: rounded(finding.medians.0),
        new: rounded(finding.medians.1),
        ratio_of: if finding.is_of_losses() { "losses" } else { "new_over_old" },
        ratio: comparison.ratio.and_then(finite).map(rounded),
        ratio_low: comparison.interval.and_then(|interval| finite(interval.low)).map(rounded),
        ratio_high: comparison.interval.and_then(|interval| finite(interval.high)).map(rounded),
        p: comparison.p,
        p_holm: finding.judged.corrected,
        noise_percent: rounded(finding.floor.percent()),
    }
}

/// The whole, indented, ending in a line break.
///
/// # Errors
/// None that plain text and numbers could cause.
pub fn document(diff: &Diff) -> std::io::Result<String> {
    let file = File {
        schema_version: SCHEMA_VERSION,
        old: &diff.old,
        new: &diff.new,
        worse: diff.is_worse(),
        pairs: diff.pairs,
        noise_percent: diff.noise,
        groups_judged: diff.family,
        pairs_needed: diff.needed,
        verdicts: diff.turns.iter().map(verdict).collect(),
        metrics: diff.findings.iter().map(metric).collect(),
        changed: diff
            .changes
            .iter()
            .map(|change| Changed {
                runs: runs(&change.group),
                differ: change.differ,
                pairs: change.pairs,
            })
            .collect(),
        reconfigured: diff.reconfigured.iter().map(runs).collect(),
        missing: diff.missing.iter().map(runs).collect(),
        added: diff.added.iter().map(runs).collect(),
        without_counterpart: diff.lonely,
    };
    let mut text = serde_json::to_string_pretty(&file)?;
    text.push('\n');
    Ok(text)
}
