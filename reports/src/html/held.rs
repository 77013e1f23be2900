//! What held beside the thresholds, as the page shows it: the invariants of a run, and how the worlds agree.

use crate::agreement::{Agreement, Standing, agreements};
use crate::format;
use crate::headline;
use crate::invariant::InvariantResult;
use crate::run::Run;

/// With more tables than this of how worlds agree, those where they do are folded away.
const FEW_AGREEMENTS: usize = 2;

/// How the worlds agree on one variant.
pub(super) struct Agreed {
    pub(super) title: String,
    pub(super) sentence: String,
    pub(super) is_apart: bool,
    pub(super) is_open: bool,
    pub(super) head: Vec<String>,
    /// Each cell with the class of the style sheet.
    pub(super) rows: Vec<Vec<(String, &'static str)>>,
}

/// What became of the invariants of a run.
pub(super) struct Invariants<'a> {
    pub(super) summary: String,
    pub(super) is_open: bool,
    pub(super) rows: Vec<Invariant<'a>>,
}

/// What became of one.
pub(super) struct Invariant<'a> {
    pub(super) name: &'a str,
    pub(super) promise: &'a str,
    pub(super) checked: String,
    pub(super) broken: String,
    /// `pass`, `fail` or `unchecked`.
    pub(super) class: &'static str,
    /// What there is to say: examples, or why it was not checked.
    pub(super) remarks: Vec<&'a str>,
}

/// Folded away where all hold and few ask, open where one is broken.
pub(super) fn invariants<'a>(run: &'a Run) -> Option<Invariants<'a>> {
    let summary = headline::watch(std::slice::from_ref(run))?;
    let row = |invariant: &'a InvariantResult| Invariant {
        name: &invariant.name,
        promise: &invariant.promise,
        checked: format::count(invariant.checked as f64),
        broken: format::count(invariant.broken as f64),
        class: match invariant.unchecked {
            _ if !invariant.holds() => "fail",
            None => "pass",
            Some(_) => "unchecked",
        },
        remarks: invariant
            .unchecked
            .iter()
            .chain(&invariant.examples)
            .map(String::as_str)
            .collect(),
    };
    let rows = run.invariants.iter().map(row).collect();
    Some(Invariants { summary: summary.text, is_open: !summary.holds, rows })
}

/// With few of them all are open, with many those that are apart.
pub(super) fn agreed(runs: &[(usize, &Run)]) -> Vec<Agreed> {
    let runs: Vec<&Run> = runs.iter().map(|(_, run)| *run).collect();
    let all = agreements(&runs);
    let is_few = all.len() <= FEW_AGREEMENTS;
    let cell = |(text, standing)| match standing {
        Standing::Within => (text, "within"),
        Standing::Apart => (text, "apart"),
        Standing::Unknown => (text, ""),
    };
    let agreed = |agreement: &Agreement| {
        let is_apart = agreement.apart().next().is_some();
        Agreed {
            title: agreement.title(),
            sentence: agreement.sentence(),
            is_apart,
            is_open: is_few || is_apart,
            head: agreement.head(),
            rows: agreement
                .table()
                .into_iter()
                .map(|row| row.into_iter().map(cell).collect())
                .collect(),
        }
    };
    all.iter().map(agreed).collect()
}
