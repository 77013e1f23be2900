//! `summary.md` of a search, for a CI step: the sentence and what each variant carries.

use super::{Study, text};
use crate::markdown::{bounded, escape, table};
use std::fmt::Write as _;

/// The file; like that of a suite it stays under 1 MiB.
pub fn summary(study: &Study) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# Windtunnel: {}, how much it carries\n", escape(&study.scenario));
    let _ = writeln!(out, "**{}**\n", escape(&text::sentence(study)));
    let _ = writeln!(out, "{}\n", escape(&text::method(study)));
    let (head, rows) = text::table(study);
    bounded(&mut out, table(&head, &rows, text::is_left), "search.csv");
    out
}
