//! `index.html` of a search: the answer first, then the knee: the metric at every load that was tried.
//!
//! One file, no script, nothing fetched, like the page of a suite; and with its style sheet.

use super::{Study, text};
use crate::format;
use crate::html::{
    self,
    charts::{self, Figure},
    table::Table,
};
use askama::Template;
use std::io;

/// More variants than this have no list of their tries.
const LISTED: usize = 40;

#[derive(Template)]
#[template(path = "search.html")]
struct Page {
    scenario: String,
    description: String,
    sentence: String,
    method: String,
    main: Table,
    figures: Vec<Figure>,
    tries: Vec<Table>,
}

/// Renders it.
///
/// # Errors
/// When a chart or the template cannot be rendered, which in memory does not happen.
pub fn index(study: &Study) -> io::Result<String> {
    let (head, rows) = text::table(study);
    let page = Page {
        scenario: study.scenario.clone(),
        description: study.description.clone(),
        sentence: text::sentence(study),
        method: text::method(study),
        main: Table {
            caption: "Highest capacity first".to_owned(),
            note: "Capacity: the highest load that holds, in requests a second. Breaks at: the lowest load above it that was seen not \
                   to; seeds: with how many it held there."
                .to_owned(),
            head,
            rows,
        },
        figures: charts::of_search(study)?.into_iter().collect(),
        tries: tries(study),
    };
    html::written(&page)
}

/// Every load that was tried, a table a variant.
fn tries(study: &Study) -> Vec<Table> {
    let head = ["try", "load", "offered", study.metric.as_str(), "seeds that held", "broke"];
    let none = || "–".to_owned();
    let of = |capacity: &super::Capacity| Table {
        caption: capacity.label.clone(),
        head: head.map(str::to_owned).to_vec(),
        rows: capacity
            .tries
            .iter()
            .enumerate()
            .map(|(place, tried)| {
                let word = if tried.is_confirming { ", confirming" } else { "" };
                vec![
                    format!("{}{word}", place + 1),
                    format!("× {}", format::significant(tried.factor, 4)),
                    text::rate(tried),
                    tried.value.map_or_else(none, |value| format::metric(value, study.unit)),
                    format!("{} of {}", tried.held, tried.seeds),
                    text::broke(tried),
                ]
            })
            .collect(),
        note: String::new(),
    };
    study.capacities.iter().take(LISTED).map(of).collect()
}
