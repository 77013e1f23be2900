//! NEW's figures for tools that keep a history of benchmarks.
//!
//! Both take a figure for each benchmark and compare it with what they were given before, so what they get is NEW's median over
//! its seeds, with the spread. `benchmark-action/github-action-benchmark` (`customSmallerIsBetter`, `customBiggerIsBetter`)
//! takes a list of `name`, `unit`, `value`, `range` and `extra`, of one direction each; Bencher's metric format an
//! object of benchmarks, each an object of measures with `value`, `lower_value` and `upper_value`.

use super::{Diff, Finding, Group, Results, direction, judging::is_measured, rows};
use crate::csv::{ALWAYS, column};
use crate::format::{self, rounded};
use crate::metrics::Unit;
use crate::statistics::{Better, median};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;

/// The longest name of a benchmark that Bencher takes, in characters; a measure's may have 64, and all of ours are shorter.
const LONGEST: usize = 1024;

#[derive(Serialize)]
struct Benchmark {
    name: String,
    unit: &'static str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    extra: String,
}

#[derive(Serialize)]
struct Measure {
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper_value: Option<f64>,
}

/// A metric of a group over its seeds.
struct Spread {
    median: f64,
    least: f64,
    greatest: f64,
    runs: usize,
}

fn groups(new: &Results) -> BTreeMap<&Group, Vec<&super::Told>> {
    let mut groups: BTreeMap<&Group, Vec<&super::Told>> = BTreeMap::new();
    for (key, told) in new.runs.iter().filter(|(_, told)| is_measured(told)) {
        groups.entry(&key.group).or_default().push(told);
    }
    groups
}

fn spread(runs: &[&super::Told], column: &str) -> Option<Spread> {
    let values: Vec<f64> =
        runs.iter().filter_map(|told| told.values.get(column).copied()).collect();
    Some(Spread {
        median: rounded(median(&values)?),
        least: values.iter().copied().fold(f64::INFINITY, f64::min),
        greatest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        runs: values.len(),
    })
}

/// The list for github-action-benchmark of the metrics that are better in this direction.
///
/// # Errors
/// None that plain text and numbers could cause.
pub fn action(diff: &Diff, new: &Results, better: Better) -> io::Result<String> {
    let mut list = Vec::new();
    for (group, runs) in groups(new) {
        for (metric, unit) in ALWAYS.iter().filter(|(name, _)| direction(name) == Some(better)) {
            let Some(spread) = spread(&runs, &column(metric, *unit)) else { continue };
            let is_it = |finding: &&Finding| finding.group == *group && finding.metric == *metric;
            let runs = format!("{} run{}", spread.runs, if spread.runs == 1 { "" } else { "s" });
            let extra = match diff.findings.iter().find(is_it) {
                Some(finding) => {
                    let [_, _, old, _, ratio, _] = rows::finding(finding);
                    let standing = finding.standing.as_str();
                    format!("{runs}\nwas {old}: {ratio}\n{standing}")
                }
                None => runs,
            };
            let half = (spread.greatest - spread.least) / 2.0;
            list.push(Benchmark {
                name: format!("{}: {metric}", group.title()),
                unit: match unit {
                    Unit::PerSecond => "requests/s",
                    Unit::Count => "requests",
                    unit => unit.as_str(),
                },
                value: spread.median,
                range: (spread.runs > 1).then(|| format!("± {}", format::plain(half))),
                extra,
            });
        }
    }
    finished(&list)
}

/// Bencher's metric format: all metrics that every summary has.
///
/// # Errors
/// None that plain text and numbers could cause.
pub fn bencher(new: &Results) -> io::Result<String> {
    let mut benchmarks: BTreeMap<String, BTreeMap<String, Measure>> = BTreeMap::new();
    for (group, runs) in groups(new) {
        let name: String = group.title().chars().take(LONGEST).collect();
        let measures = benchmarks.entry(name).or_default();
        for (metric, unit) in ALWAYS {
            let column = column(metric, unit);
            let Some(spread) = spread(&runs, &column) else { continue };
            let several = spread.runs > 1;
            let measure = Measure {
                value: spread.median,
                lower_value: several.then_some(spread.least),
                upper_value: several.then_some(spread.greatest),
            };
            measures.insert(column.replace('_', "-"), measure);
        }
    }
    finished(&benchmarks)
}

fn finished(document: &impl Serialize) -> io::Result<String> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    Ok(text)
}
