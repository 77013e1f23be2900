//! The summary on a terminal: a table of verdicts, how the worlds agree, and below it, where the eye ends up, what did
//! not pass and how to repeat it.
//!
//! Whether there are colours is the caller's to say (a terminal, `NO_COLOR`). Text from files loses
//! its control characters on the way: a scenario's name may not repaint the screen.

use crate::agreement::{self, Agreement};
use crate::headline;
use crate::run::{Run, Suite, Verdict};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;

/// Whether the summary is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Text only.
    Plain,
    /// With ANSI escape sequences.
    Ansi,
}

impl Colour {
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        match self {
            Colour::Plain => text.to_owned(),
            Colour::Ansi => format!("{style}{text}{style:#}"),
        }
    }
}

fn style(verdict: &Verdict) -> Style {
    let colour = match verdict {
        Verdict::Pass => AnsiColor::Green,
        Verdict::Fail | Verdict::Error(_) => AnsiColor::Red,
        Verdict::Invalid(_) => AnsiColor::Yellow,
    };
    colour.on_default().bold()
}

/// The summary of a suite, ending in a line break.
pub fn summary(suite: &Suite, colour: Colour) -> String {
    let mut runs = suite.by_severity();
    runs.reverse();
    runs.sort_by(|a, b| {
        let key = |run: &Run| (run.verdict.severity(), run.scenario.clone(), run.variant_text());
        (key(a), a.world, a.seed).cmp(&(key(b), b.world, b.seed))
    });
    let mut out = table(&runs, colour);
    let agreements = agreement::agreements(&runs);
    if !agreements.is_empty() {
        out.push('\n');
    }
    for agreement in &agreements {
        out.push_str(&agreed(agreement, colour));
    }
    let bad: Vec<&&Run> = runs.iter().filter(|run| run.verdict != Verdict::Pass).collect();
    for run in &bad {
        out.push('\n');
        out.push_str(&trouble(run, colour));
    }
    out.push('\n');
    let tally = headline::tally(&suite.runs);
    let _ = writeln!(out, "{}", colour.paint(style(&suite.worst()), &tally));
    if let Some(watch) = headline::watch(&suite.runs) {
        let style = if watch.holds { Style::new().dimmed() } else { style(&Verdict::Fail) };
        let _ = writeln!(out, "{}", colour.paint(style, &clean(&watch.text)));
    }
    if let Some(covered) = headline::virtual_time(suite) {
        let _ = writeln!(out, "{}", colour.paint(Style::new().dimmed(), &covered));
    }
    out
}

fn table(runs: &[&Run], colour: Colour) -> String {
    let mut head = vec!["verdict", "scenario", "world", "variant"];
    head.extend(headline::FIGURES);
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let mut cells = vec![
                run.verdict.as_str().to_owned(),
                clean(&run.scenario),
                run.world.to_string(),
                clean(&run.variant_short()),
            ];
            cells.extend(headline::figures(run));
            cells
        })
        .collect();
    // A column in which nothing stands is left out (mostly: no run has a variant).
    let shown: Vec<usize> =
        (0..head.len()).filter(|c| rows.iter().any(|row| !row[*c].is_empty())).collect();
    let width = |c: usize| {
        rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0).max(head[c].len())
    };
    let mut out = String::new();
    let mut line = |cells: &[&str], verdict: Option<&Verdict>| {
        let mut text = String::new();
        for (position, c) in shown.iter().enumerate() {
            if position > 0 {
                text.push_str("  ");
            }
            let gap = " ".repeat(width(*c).saturating_sub(cells[*c].chars().count()));
            let painted = match (verdict, *c) {
                (Some(verdict), 0) => colour.paint(style(verdict), cells[*c]),
                (None, _) => colour.paint(Style::new().dimmed(), cells[*c]),
                (Some(_), _) => cells[*c].to_owned(),
            };
            // Figures stand on the right, words on the left.
            let (before, after) = if *c >= 4 { (gap.as_str(), "") } else { ("", gap.as_str()) };
            text.push_str(before);
            text.push_str(&painted);
            text.push_str(after);
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    if !rows.is_empty() {
        line(&head, None);
    }
    for (run, row) in runs.iter().zip(&rows) {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        line(&cells, Some(&run.verdict));
    }
    out
}

fn agreed(agreement: &Agreement, colour: Colour) -> String {
    let is_apart = agreement.apart().next().is_some();
    let (word, ink) =
        if is_apart { ("apart", AnsiColor::Yellow) } else { ("agree", AnsiColor::Green) };
    let word = colour.paint(ink.on_default(), word);
    format!("{word}: {}: {}\n", clean(&agreement.title()), clean(&agreement.sentence()))
}

fn trouble(run: &Run, colour: Colour) -> String {
    let word = colour.paint(style(&run.verdict), run.verdict.as_str());
    let mut out = format!("{word}: {}\n", clean(&run.title()));
    for reason in headline::reasons(run) {
        let _ = writeln!(out, "  {}", clean(&reason));
    }
    for note in &run.notes {
        let _ = writeln!(out, "  note: {}", clean(note));
    }
    let _ = writeln!(out, "  repeat: {}", clean(&run.command));
    out
}

pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
