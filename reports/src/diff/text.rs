//! The diff on a terminal: what got worse first, then the rest in fewer and fewer words.

use super::{Diff, Finding, Standing, rows};
use crate::terminal::{Colour, clean};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;

/// So many rows of what moved without a meaning, or could not be decided; of worse and better all are shown.
const MOST: usize = 12;

/// The whole, ending in a line break.
pub fn summary(diff: &Diff, colour: Colour) -> String {
    let mut out = String::new();
    let bold = |ink: AnsiColor| ink.on_default().bold();
    for (standing, heading, style, most) in [
        (Standing::Worse, "worse", bold(AnsiColor::Red), usize::MAX),
        (Standing::Better, "better", bold(AnsiColor::Green), usize::MAX),
        (Standing::Moved, "moved, neither good nor bad", Style::new().bold(), MOST),
        (Standing::TooFew, "too few runs to tell", bold(AnsiColor::Yellow), MOST),
    ] {
        let turns: Vec<_> = diff.turned(standing).collect();
        let findings: Vec<&Finding> = diff.found(standing).collect();
        if turns.is_empty() && findings.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{}", colour.paint(style, heading));
        for turn in turns {
            let _ = writeln!(out, "  {}", clean(&rows::turn(turn)));
            if let (Standing::Worse, Some(command)) = (standing, &turn.command) {
                let _ = writeln!(out, "    repeat: {}", clean(command));
            }
        }
        out.push_str(&table(&findings[..findings.len().min(most)], colour));
        if findings.len() > most {
            let _ = writeln!(out, "  … and {} more; --format json has all", findings.len() - most);
        }
        out.push('\n');
    }
    for remark in rows::remarks(diff) {
        let _ = writeln!(out, "{}", clean(&remark));
    }
    let ink = if diff.is_worse() { AnsiColor::Red } else { AnsiColor::Green };
    let _ = writeln!(out, "\n{}", colour.paint(bold(ink), &clean(&rows::outcome(diff))));
    out
}

fn table(findings: &[&Finding], colour: Colour) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let rows: Vec<[String; 6]> =
        findings.iter().map(|finding| rows::finding(finding).map(|cell| clean(&cell))).collect();
    let head = rows::HEAD.map(str::to_owned);
    let wide = |column: usize| {
        let cells = rows.iter().chain([&head]).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; 6] = std::array::from_fn(wide);
    let line = |row: &[String; 6]| {
        let mut line = String::from("  ");
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Words stand on the left, figures on the right.
            let _ = if column < 2 {
                write!(line, "{cell:<width$}  ")
            } else {
                write!(line, "{cell:>width$}  ")
            };
        }
        line.trim_end().to_owned()
    };
    let mut out = colour.paint(Style::new().dimmed(), &line(&head));
    out.push('\n');
    for row in &rows {
        out.push_str(&line(row));
        out.push('\n');
    }
    out
}
