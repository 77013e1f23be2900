//! What is said of a diff everywhere: the same words and digits on a terminal, in Markdown and in annotations.

use super::{Diff, Finding, Standing, Turn};
use crate::compare::sentence;
use crate::format;
use crate::metrics::Unit;

/// The headings of [`finding`].
pub(super) const HEAD: [&str; 6] =
    ["runs", "metric", "old", "new", "NEW / OLD (95 % interval)", "p, Holm"];

/// Ratios beyond this come from a zero.
const NOTHING: f64 = 1e8;

/// A metric that moved, as a row of a table.
pub(super) fn finding(finding: &Finding) -> [String; 6] {
    let value = |value: f64| {
        if finding.is_of_losses() { format::percent(value) } else { metric(value, finding.unit) }
    };
    let p = match finding.standing {
        Standing::TooFew => {
            let pairs = finding.judged.comparison.pairs;
            format!("{pairs} pair{}", if pairs == 1 { "" } else { "s" })
        }
        _ => sentence::p(finding.judged.corrected),
    };
    [
        finding.group.title(),
        finding.metric.clone(),
        value(finding.medians.0),
        value(finding.medians.1),
        ratio(finding),
        p,
    ]
}

/// A value with its unit; a share or a count with some digits.
pub(super) fn metric(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => format::significant(value, 4),
        unit => format::metric(value, unit),
    }
}

fn ratio(finding: &Finding) -> String {
    let of = if finding.is_of_losses() { " of losses" } else { "" };
    match finding.judged.comparison.ratio {
        Some(ratio) if ratio > NOTHING => "from nothing".to_owned(),
        Some(ratio) if ratio < 1.0 / NOTHING => "to nothing".to_owned(),
        // Ends at the limit would only say that a zero was among the values.
        _ => {
            let mut comparison = finding.judged.comparison;
            comparison.interval = comparison
                .interval
                .filter(|interval| interval.high < NOTHING && interval.low > 1.0 / NOTHING);
            sentence::ratio(&comparison).replacen(" ×", &format!(" ×{of}"), 1)
        }
    }
}

/// A metric that moved, in a sentence.
pub(super) fn sentence_of(found: &Finding) -> String {
    let [runs, metric, old, new, ratio, p] = finding(found);
    match found.standing {
        Standing::TooFew => {
            format!("{runs}: {metric} {old} → {new}, {ratio}; {p} are too few to tell")
        }
        _ => format!("{runs}: {metric} {old} → {new}, {ratio}, p {p}"),
    }
}

/// A verdict that turned, in a sentence.
pub(super) fn turn(turn: &Turn) -> String {
    let seeds: Vec<String> = turn.seeds.iter().take(10).map(u64::to_string).collect();
    let more = if turn.seeds.len() > 10 { ", …" } else { "" };
    let title = turn.group.title();
    let of = if turn.pairs == 1 {
        format!("seed {}", seeds.join(", "))
    } else {
        format!("{} of {} seeds: {}{more}", turn.seeds.len(), turn.pairs, seeds.join(", "))
    };
    let (from, to) = turn.verdicts;
    let mut text = format!("{title}: {from} → {to} ({of})");
    if let Some(reason) = &turn.reason {
        text.push_str(": ");
        text.push_str(reason);
    }
    text
}

/// The outcome in a line.
pub(super) fn outcome(diff: &Diff) -> String {
    let count = |standing| diff.found(standing).count();
    let (worse, better) = (count(Standing::Worse), count(Standing::Better));
    let turned = |standing| diff.turned(standing).count();
    let mut parts = Vec::new();
    for (n, word) in [
        (turned(Standing::Worse), "verdicts turned worse"),
        (worse, "metrics worse"),
        (turned(Standing::Better), "verdicts turned better"),
        (better, "metrics better"),
        (count(Standing::Moved), "moved, neither good nor bad"),
        (count(Standing::TooFew), "undecided for want of runs"),
    ] {
        if n > 0 {
            let word = if n == 1 {
                word.replacen("verdicts", "verdict", 1).replacen("metrics", "metric", 1)
            } else {
                word.to_owned()
            };
            parts.push(format!("{n} {word}"));
        }
    }
    parts.push(format!("{} unchanged", format::count(count(Standing::Unchanged) as f64)));
    let pairs = if diff.pairs == 1 {
        "1 pair".to_owned()
    } else {
        format!("{} pairs", format::count(diff.pairs as f64))
    };
    format!("{pairs} of runs: {}.", parts.join(", "))
}

/// What a reader must know besides, a sentence each.
pub(super) fn remarks(diff: &Diff) -> Vec<String> {
    let mut remarks = Vec::new();
    let list = |groups: &[super::Group]| {
        let titles: Vec<String> = groups.iter().take(10).map(super::Group::title).collect();
        let more = groups.len().saturating_sub(10);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", titles.join(", "))
    };
    if !diff.changes.is_empty() {
        let changes: Vec<String> = diff
            .changes
            .iter()
            .take(10)
            .map(|change| {
                format!("{} ({} of {})", change.group.title(), change.differ, change.pairs)
            })
            .collect();
        let more = diff.changes.len().saturating_sub(10);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        remarks.push(format!(
            "Changed: in virtual time the same seed and configuration give the same bytes, and here they do not. The program behaves differently, for better or worse: {}{more}.",
            changes.join(", ")
        ));
    }
    if !diff.reconfigured.is_empty() {
        remarks.push(format!(
            "The configuration as resolved is not the same (another version may only have more settings), so what is compared is also that: {}.",
            list(&diff.reconfigured)
        ));
    }
    if !diff.missing.is_empty() {
        remarks.push(format!("Not in {} any more: {}.", diff.new, list(&diff.missing)));
    }
    if !diff.added.is_empty() {
        remarks.push(format!("Only in {}: {}.", diff.new, list(&diff.added)));
    }
    if diff.lonely > 0 {
        let (runs, have) = if diff.lonely == 1 { ("run", "has") } else { ("runs", "have") };
        remarks.push(format!(
            "{} {runs} of scenarios that both have {have} no counterpart with the same seed.",
            diff.lonely
        ));
    }
    if let Some(few) = few(diff) {
        remarks.push(few);
    }
    remarks.push(statistics(diff));
    remarks
}

/// Where runs are too few to tell anything, how many it takes.
pub(super) fn few(diff: &Diff) -> Option<String> {
    let pairs = || diff.found(Standing::TooFew).map(|few| few.judged.comparison.pairs);
    let (least, most) = (pairs().min()?, pairs().max()?);
    let had = if least == most { least.to_string() } else { format!("{least} to {most}") };
    let seeds = if most == 1 { "seed" } else { "seeds" };
    let repeat = diff.needed.max(10);
    Some(format!(
        "Too few runs to tell a difference from chance: {had} {seeds}, and it takes {}. Run OLD and NEW again with `windtunnel run … --repeat {repeat}`.",
        diff.needed
    ))
}

fn statistics(diff: &Diff) -> String {
    let noise = format::significant(diff.noise, 3);
    let judged = match diff.family {
        0 => String::new(),
        1 => " In one group of runs enough differs to be judged.".to_owned(),
        n => format!(" In {n} groups of runs enough differs to be judged."),
    };
    format!(
        "A difference is called where it is significant (exact paired sign-flip tests, 5 % over all groups and then over the metrics of each, by Holm) and beyond the noise: {noise} %, or what OLD's seeds show among themselves if that is more.{judged}"
    )
}
