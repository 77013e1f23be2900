//! `summary.md` of a comparison, for a CI step: the sentence, the ranking, and what could not be carried out.

use super::{Contrast, directory, knee::Knee, sentence, text};
use crate::markdown::{bounded, escape, fenced, table};
use std::fmt::Write as _;

/// The file; like that of a suite it stays under 1 MiB.
pub fn summary(contrast: &Contrast<'_>, knee: Option<&Knee>) -> String {
    let runs = contrast.variants.iter().flat_map(|variant| &variant.runs);
    let runs = runs.chain(&contrast.again.runs);
    let Some(run) = runs.clone().next() else {
        return "# Windtunnel: nothing was compared\n".into();
    };
    let mut out = String::new();
    let (scenario, metric) = (escape(&run.scenario), escape(&contrast.metric));
    let _ = writeln!(out, "# Windtunnel: {scenario}, compared by {metric}\n");
    let broken = runs.filter_map(|run| Some((super::error(run)?, run.command.clone())));
    for (why, command) in broken.chain(knee.and_then(|knee| knee.broken.clone())).take(10) {
        let _ = writeln!(out, "💥 A run could not be carried out: {}\n", escape(&why));
        let _ = writeln!(out, "{}", fenced(&command));
    }
    let _ = writeln!(out, "**{}**\n", escape(&sentence(contrast)));
    let _ =
        writeln!(out, "{}. {}\n", escape(&text::facts(contrast)), escape(&text::noise(contrast)));
    let (head, rows) = text::table(contrast);
    bounded(&mut out, table(&head, &rows, |column| matches!(column, 0 | 4)), "summary.csv");
    if let Some(shown) = directory::shown(contrast).first() {
        let _ =
            writeln!(out, "\nThe courses in `timeseries.csv` are those of seed {}.", shown.seed);
    }
    out
}
