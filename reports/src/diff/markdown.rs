//! The diff for a CI step's summary or a comment on a change: worse first, no markup but ours, and never too long for such a place.

use super::{Diff, Finding, Standing, rows};
use crate::markdown::{MAX_BYTES, escape};
use std::fmt::Write as _;

/// Room kept for what follows the tables.
const RESERVE: usize = 40_000;

/// The whole.
pub fn summary(diff: &Diff) -> String {
    let sign = if diff.is_worse() { "❌ worse" } else { "✅ nothing worse" };
    let mut out = format!("# Windtunnel diff: {sign}\n\n{}\n\n", escape(&rows::outcome(diff)));
    for (standing, heading) in [
        (Standing::Worse, "❌ Worse"),
        (Standing::Better, "✅ Better"),
        (Standing::Moved, "Moved, neither good nor bad"),
        (Standing::TooFew, "⚠️ Too few runs to tell"),
    ] {
        let turns: Vec<_> = diff.turned(standing).collect();
        let findings: Vec<&Finding> = diff.found(standing).collect();
        if turns.is_empty() && findings.is_empty() {
            continue;
        }
        let _ = writeln!(out, "## {heading}\n");
        for turn in &turns {
            push(&mut out, &format!("- {}\n", escape(&rows::turn(turn))));
        }
        if !turns.is_empty() {
            out.push('\n');
        }
        if !findings.is_empty() {
            let _ = writeln!(out, "| {} |\n|---|---|---:|---:|---:|---:|", rows::HEAD.join(" | "));
            for finding in findings {
                let cells = rows::finding(finding).map(|cell| escape(&cell));
                push(&mut out, &format!("| {} |\n", cells.join(" | ")));
            }
            out.push('\n');
        }
    }
    for remark in rows::remarks(diff) {
        push(&mut out, &format!("{}\n\n", escape(&remark)));
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// Adds what there is room for.
fn push(out: &mut String, text: &str) {
    if out.len() + text.len() + RESERVE < MAX_BYTES {
        out.push_str(text);
    }
}
