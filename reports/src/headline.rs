//! What is said of a run everywhere: its headline figures, and why it did not pass.
//!
//! The terminal, the Markdown summary, the JUnit file and the page show the same words and the same
//! digits, because they all ask here.

use crate::format;
use crate::metrics::{Reading, Unit};
use crate::run::{Run, ThresholdResult, Verdict};

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

/// Every reason why a run did not pass, a line each; none for a pass.
pub fn reasons(run: &Run) -> Vec<String> {
    let mut lines: Vec<String> = match &run.verdict {
        Verdict::Pass | Verdict::Fail => Vec::new(),
        Verdict::Invalid(why) => vec![format!("the measurement is not valid: {why}")],
        Verdict::Error(why) => vec![format!("the run could not be carried out: {why}")],
    };
    if run.verdict != Verdict::Pass {
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
