//! `summary.md`: what a CI system shows beside the build, failures first.
//!
//! Such places take 1 MiB and drop a longer file whole, so this one counts its bytes and says what it
//! left out. Nothing that came from a file is taken as markup.

use crate::agreement::{Agreement, Standing, agreements};
use crate::format;
use crate::headline;
use crate::run::{Run, Suite, Verdict};
use std::fmt::Write as _;

/// The most bytes that [`summary`] returns.
pub const MAX_BYTES: usize = 1_000_000;

/// Room kept for the words that say what was left out.
const RESERVE: usize = 300;

/// The file.
pub fn summary(suite: &Suite) -> String {
    let mut out = String::new();
    let worst = suite.worst();
    let _ = writeln!(out, "# Windtunnel: {}\n", verdict_word(&worst));
    let _ = writeln!(out, "{}.\n", headline::tally(&suite.runs));
    if let Some(watch) = headline::watch(&suite.runs) {
        let sign = if watch.holds { "" } else { "❌ " };
        let _ = writeln!(out, "{sign}{}.\n", escape(&watch.text));
    }
    let runs = suite.by_severity();
    let mut blocks: Vec<String> =
        runs.iter().filter(|r| r.verdict != Verdict::Pass).map(|run| trouble(run)).collect();
    let head = format!(
        "| verdict | scenario | world | variant | {} |\n|---|---|---|---|{}|\n",
        headline::FIGURES.join(" | "),
        vec!["---:"; headline::FIGURES.len()].join("|")
    );
    blocks.push(head);
    blocks.extend(runs.iter().map(|run| row(run)));
    let in_order: Vec<&Run> = suite.runs.iter().collect();
    blocks.extend(agreements(&in_order).iter().map(agreed));
    bounded(&mut out, blocks, "summary.csv");
    out
}

/// Adds blocks while they fit, and says how many do not and which table has all.
pub(crate) fn bounded(out: &mut String, blocks: Vec<String>, whole: &str) {
    let total = blocks.len();
    for (index, block) in blocks.into_iter().enumerate() {
        if out.len() + block.len() + RESERVE > MAX_BYTES {
            let left = total - index;
            let _ = write!(
                out,
                "\n*{left} more entries left out to keep this file below 1 MiB; `index.html` and \
                 `{whole}` have all.*\n"
            );
            break;
        }
        out.push_str(&block);
    }
}

/// A table as blocks, the head and then a row each; to the left stand the columns that `is_left` names.
pub(crate) fn table(
    head: &[String],
    rows: &[Vec<String>],
    is_left: impl Fn(usize) -> bool,
) -> Vec<String> {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let sides: Vec<&str> =
        (0..head.len()).map(|column| if is_left(column) { "---" } else { "---:" }).collect();
    let first = format!("{}|{}|\n", line(head), sides.join("|"));
    std::iter::once(first).chain(rows.iter().map(|row| line(row))).collect()
}

/// The command in a fence that nothing in it can end.
pub(crate) fn fenced(command: &str) -> String {
    let fence = "`".repeat(longest_fence(command).max(2) + 1);
    let command = command.replace(char::is_control, " ");
    format!("{fence}sh\n{command}\n{fence}\n")
}

fn verdict_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "passed",
        Verdict::Fail => "failed",
        Verdict::Invalid(_) => "invalid",
        Verdict::Error(_) => "error",
    }
}

fn sign(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✅ pass",
        Verdict::Fail => "❌ fail",
        Verdict::Invalid(_) => "⚠️ invalid",
        Verdict::Error(_) => "💥 error",
    }
}

fn row(run: &Run) -> String {
    let figures = headline::figures(run).map(|figure| escape(&figure)).join(" | ");
    format!(
        "| {} | {} | {} | {} | {figures} |\n",
        sign(&run.verdict),
        escape(&run.scenario),
        run.world,
        escape(&run.variant_short()),
    )
}

fn trouble(run: &Run) -> String {
    let mut out = format!("## {} {}\n\n", sign(&run.verdict), escape(&run.title()));
    if !run.description.is_empty() {
        let _ = writeln!(out, "{}\n", escape(&run.description));
    }
    if let Some(reason) = run.verdict.reason() {
        let _ = writeln!(out, "{}\n", escape(reason));
    }
    if run.failed_thresholds().next().is_some() {
        out.push_str("| threshold | value | limit | |\n|---|---:|---:|---|\n");
        for threshold in run.failed_thresholds() {
            let (value, limit) = headline::value_and_limit(threshold);
            let _ = writeln!(
                out,
                "| {} | **{}** | {} | {} |",
                escape(&threshold.expression),
                escape(&value),
                escape(&limit),
                escape(&threshold.remark)
            );
        }
        out.push('\n');
    }
    if run.broken_invariants().next().is_some() {
        out.push_str(
            "| invariant | broken | checked | promise | first seen |\n|---|---:|---:|---|---|\n",
        );
        for invariant in run.broken_invariants() {
            let _ = writeln!(
                out,
                "| {} | **{}** | {} | {} | {} |",
                escape(&invariant.name),
                format::count(invariant.broken as f64),
                format::count(invariant.checked as f64),
                escape(&invariant.promise),
                escape(invariant.examples.first().map_or("", String::as_str)),
            );
        }
        out.push('\n');
    }
    for note in &run.notes {
        let _ = writeln!(out, "- {}", escape(note));
    }
    let _ = writeln!(
        out,
        "\nSeed {}, {}. Repeat with:\n\n{}",
        run.seed,
        format::seconds(run.duration.as_secs_f64()),
        fenced(&run.command)
    );
    out
}

fn agreed(agreement: &Agreement) -> String {
    let mut out = format!("\n### How the worlds agree: {}\n\n", escape(&agreement.title()));
    let head = agreement.head();
    let _ = writeln!(out, "| {} |", head.join(" | "));
    let _ = writeln!(out, "|---|{}---|", "---:|".repeat(head.len() - 2));
    for row in agreement.table() {
        let cell = |(text, standing): (String, Standing)| match standing {
            Standing::Apart => format!("⚠️ **{}**", escape(&text)),
            Standing::Within | Standing::Unknown => escape(&text),
        };
        let cells: Vec<String> = row.into_iter().map(cell).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out
}

fn longest_fence(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Text from a file as text: no markup, no table cells, no lines of its own.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' | '#' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    // A bare `@name` would call somebody, a bare address become a link.
    out.replace('@', "&#64;").replace("://", "&#58;//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_from_a_file_is_text() {
        assert_eq!(escape("a|b <script>\n*x*"), r"a\|b &lt;script&gt; \*x\*");
        assert_eq!(escape("see https://x.example @me"), "see https&#58;//x.example &#64;me");
    }

    #[test]
    fn a_fence_is_longer_than_any_in_the_text() {
        assert_eq!(longest_fence("a ``` b ````"), 4);
    }
}
