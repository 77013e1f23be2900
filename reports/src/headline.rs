//! What is said of a run everywhere: its headline figures, and why it did not pass.
//!
//! The terminal, the Markdown summary, the JUnit file and the page show the same words and the same
//! digits, because they all ask here.

use crate::format;
use crate::invariant::InvariantResult;
use crate::metrics::{Reading, Unit};
use crate::run::{Run, Suite, ThresholdResult, Verdict};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What stands where there is no number.
pub const NONE: &str = "–";

/// The headings of [`figures`].
pub const FIGURES: [&str; 5] = ["requests", "rate", "p50", "p99", "success"];

/// Requests, rate, median and 99th percentile of the response time, part that succeeded.
pub fn figures(run: &Run) -> [String; 5] {
    if matches!(run.verdict, Verdict::Error(_)) && run.measurement.series.slots.is_empty() {
        return std::array::from_fn(|_| NONE.to_owned());
    }
    let success = run.measurement.metrics.get("success_ratio");
    [
        figure(run, "requests"),
        figure(run, "rate"),
        figure(run, "latency.p50"),
        figure(run, "latency.p99"),
        success.map_or(NONE.to_owned(), format::percent),
    ]
}

/// One metric of a run with its unit, or a dash.
pub fn figure(run: &Run, name: &str) -> String {
    match run.measurement.metrics.read(name) {
        Reading::Value(metric) => format::metric(metric.value, metric.unit),
        Reading::Absent(_) | Reading::Unknown => NONE.to_owned(),
    }
}

/// The value of a threshold and its limit with the comparison: (`312 ms`, `<= 250 ms`).
pub fn value_and_limit(threshold: &ThresholdResult) -> (String, String) {
    let (value, limit) = match threshold.value {
        Some(value) => format::against(value, threshold.limit, threshold.unit),
        None => (NONE.to_owned(), format::metric(threshold.limit, threshold.unit)),
    };
    (value, format!("{} {limit}", threshold.comparison))
}

/// What a threshold says, in a line: `latency.p99 is 312 ms, must be <= 250 ms`.
pub fn sentence(threshold: &ThresholdResult) -> String {
    let (value, limit) = value_and_limit(threshold);
    let metric = &threshold.metric;
    let mut text = match threshold.value {
        Some(_) => format!("{metric} is {value}, must be {limit}"),
        None => format!("{metric} has no value, must be {limit}"),
    };
    if !threshold.remark.is_empty() {
        text.push_str(" (");
        text.push_str(&threshold.remark);
        text.push(')');
    }
    text
}

/// What a broken invariant says, in a line: `invariant one_outcome is broken, 3 of 1,200 checks: … First: …`.
pub fn broken(invariant: &InvariantResult) -> String {
    let InvariantResult { name, promise, checked, broken, examples, .. } = invariant;
    let (broken, checked) = (format::count(*broken as f64), format::count(*checked as f64));
    let mut text = format!("invariant {name} is broken, {broken} of {checked} checks: {promise}");
    if let Some(first) = examples.first() {
        text.push_str(" First: ");
        text.push_str(first);
    }
    text
}

/// What the invariants came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// In a line: `8 invariants held in 3 runs, 12,345 checks`.
    pub text: String,
    /// Whether none was broken.
    pub holds: bool,
}

/// What the invariants of these runs came to; nothing where none of them had any.
pub fn watch(runs: &[Run]) -> Option<Watch> {
    let watched = runs.iter().filter(|run| !run.invariants.is_empty()).count();
    if watched == 0 {
        return None;
    }
    let all = || runs.iter().flat_map(|run| &run.invariants);
    let names = |wanted: &dyn Fn(&&InvariantResult) -> bool| -> BTreeSet<&str> {
        all().filter(wanted).map(|invariant| invariant.name.as_str()).collect()
    };
    let checked = names(&|invariant| invariant.unchecked.is_none());
    let broken = names(&|invariant| !invariant.holds());
    let unchecked = names(&|_| true).len() - checked.len();
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let mut text = if broken.is_empty() {
        let checks: u64 = all().map(|invariant| invariant.checked).sum();
        let (held, checks) = (plural(checked.len(), "invariant"), format::count(checks as f64));
        let within = match runs {
            [_] => String::new(),
            _ => format!(" in {}", plural(watched, "run")),
        };
        format!("{held} held{within}, {checks} checks")
    } else {
        let list: Vec<&str> = broken.iter().copied().collect();
        let invariants = plural(checked.len(), "invariant");
        let with = runs.iter().filter(|run| run.broken_invariants().next().is_some()).count();
        let within = match runs {
            [_] => String::new(),
            _ => format!(", in {with} of {}", plural(watched, "run")),
        };
        format!("{} of {invariants} broken{within}: {}", list.len(), list.join(", "))
    };
    if unchecked > 0 {
        let _ = write!(text, "; {unchecked} could not be checked");
    }
    Some(Watch { text, holds: broken.is_empty() })
}

/// How much virtual time the suite covered, and how fast: `20 min 10 s of virtual time in 12.3 s: 98 virtual seconds
/// per second`. Nothing where no run was in virtual time.
pub fn virtual_time(suite: &Suite) -> Option<String> {
    let covered = suite.virtual_time();
    if covered.is_zero() {
        return None;
    }
    let mut text = format!("{} of virtual time", format::span(covered));
    let took = suite.manifest.virtual_elapsed;
    if !took.is_zero() {
        let speed = covered.as_secs_f64() / took.as_secs_f64();
        let speed = format::significant(speed, 3);
        let _ = write!(text, " in {}: {speed} virtual seconds per second", format::span(took));
    }
    Some(text)
}

/// Every reason why a run did not pass, a line each; none for a pass.
pub fn reasons(run: &Run) -> Vec<String> {
    let mut lines: Vec<String> = match &run.verdict {
        Verdict::Pass | Verdict::Fail => Vec::new(),
        Verdict::Invalid(why) => vec![format!("the measurement is not valid: {why}")],
        Verdict::Error(why) => vec![format!("the run could not be carried out: {why}")],
    };
    if run.verdict != Verdict::Pass {
        lines.extend(run.broken_invariants().map(broken));
        lines.extend(run.failed_thresholds().map(sentence));
    }
    lines
}

/// How many runs ended how, in words: `3 runs: 2 passed, 1 failed`.
pub fn tally(runs: &[Run]) -> String {
    let mut text = match runs.len() {
        1 => "1 run".to_owned(),
        n => format!("{} runs", format::metric(n as f64, Unit::Count)),
    };
    // By severity.
    let kinds = ["passed", "invalid", "failed", "in error"];
    let parts: Vec<String> = kinds
        .iter()
        .enumerate()
        .map(|(severity, word)| {
            (
                runs.iter().filter(|run| usize::from(run.verdict.severity()) == severity).count(),
                word,
            )
        })
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    if !parts.is_empty() {
        text.push_str(": ");
        text.push_str(&parts.join(", "));
    }
    text
}
