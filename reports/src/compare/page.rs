//! `index.html` of a comparison: the answer first, then what it rests on.
//!
//! One file, no script, nothing fetched, like the page of a suite; and with its style sheet.

use super::{Contrast, directory, knee::Knee, sentence, text};
use crate::format;
use crate::html::{
    self,
    charts::{self, Figure},
    table::Table,
};
use askama::Template;
use std::io;

/// More endpoints than this are not shown one by one.
const ENDPOINTS: usize = 24;

#[derive(Template)]
#[template(path = "compare.html")]
struct Page {
    scenario: String,
    description: String,
    sentence: String,
    noise: String,
    facts: String,
    tables: Vec<Table>,
    figures: Vec<Figure>,
    /// What is to be said of the knee.
    knee: String,
    has_knee: bool,
    /// The seed whose courses are in `timeseries.csv`.
    shown: u64,
    events: Vec<(usize, String, String)>,
}

/// Renders it; with the knee, where one was made.
///
/// # Errors
/// When a chart or the template cannot be rendered, which in memory does not happen.
pub fn index(contrast: &Contrast<'_>, knee: Option<&Knee>) -> io::Result<String> {
    let base = &contrast.variants[contrast.baseline];
    let run = base.runs.first().ok_or_else(|| io::Error::other("there is no run to show"))?;
    let (head, rows) = text::table(contrast);
    let main = Table {
        caption: "Best first".to_owned(),
        note: format!(
            "Medians over {} seeds. Ratios to the baseline, paired by seed; p of the exact paired permutation test after Holm's correction. A difference is called where p is at most 0.05 and the ratio is beyond the noise floor.",
            contrast.seeds()
        ),
        head,
        rows,
    };
    let mut tables = vec![main, decisions(contrast)];
    tables.extend(loads(contrast));
    let seconds = |d: std::time::Duration| format::seconds(d.as_secs_f64());
    let shown = directory::shown(contrast).first().map_or(run.seed, |shown| shown.seed);
    let page = Page {
        scenario: run.scenario.clone(),
        description: run.description.clone(),
        sentence: sentence(contrast),
        noise: text::noise(contrast),
        facts: text::facts(contrast),
        tables,
        figures: charts::compared(contrast, knee)?,
        knee: knee.map_or(String::new(), |knee| knee.remark.clone()),
        shown,
        has_knee: knee.is_some_and(|knee| !knee.lines.is_empty()),
        events: run
            .events
            .iter()
            .enumerate()
            .map(|(index, event)| (index + 1, seconds(event.at), event.label.clone()))
            .collect(),
    };
    html::written(&page)
}

fn decisions(contrast: &Contrast<'_>) -> Table {
    let to = contrast.slow.as_deref().unwrap_or("the busiest");
    let has_proxies = contrast.variants.iter().any(|v| v.quality.one_proxy.is_some());
    let to = format!("to {to}");
    let mut head =
        vec!["variant", &to, "busiest / mean", "Jain's index", "in flight, median", "99 %", "most"];
    if has_proxies {
        head.insert(3, "of one proxy's");
    }
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let number = |value: f64| format::significant(value, 3);
    let rows = contrast.variants.iter().map(|variant| {
        let quality = &variant.quality;
        let in_flight = |place: usize| or_none(quality.in_flight.map(|of| number(of[place])));
        let mut row = vec![
            variant.label.clone(),
            or_none(quality.share.map(format::percent)),
            or_none(quality.imbalance.map(number)),
            or_none(quality.jain.map(number)),
            in_flight(0),
            in_flight(1),
            in_flight(2),
        ];
        if has_proxies {
            row.insert(3, or_none(quality.one_proxy.map(number)));
        }
        row
    });
    let mut note =
        "In flight is to one endpoint, over all endpoints, intervals and seeds.".to_owned();
    if has_proxies {
        note.push_str(" Of one proxy's: busiest / mean of the requests that one of the proxies sent, the median over proxies.");
    }
    Table {
        caption: "Quality of the decisions".to_owned(),
        note,
        head: head.iter().map(|word| (*word).to_owned()).collect(),
        rows: rows.collect(),
    }
}

/// Who got how much, a column an endpoint.
fn loads(contrast: &Contrast<'_>) -> Option<Table> {
    let names = &contrast.variants[contrast.baseline].quality.shares;
    if !(2..=ENDPOINTS).contains(&names.len()) {
        return None;
    }
    let mut head = vec!["variant".to_owned()];
    head.extend(names.iter().map(|(name, _)| name.clone()));
    let rows = contrast.variants.iter().map(|variant| {
        let mut row = vec![variant.label.clone()];
        row.extend(variant.quality.shares.iter().map(|(_, share)| format::percent(*share)));
        row
    });
    Some(Table {
        caption: "Load by endpoint".to_owned(),
        note: format!(
            "Share of the requests, median over seeds; an even share is {}.",
            format::percent(1.0 / names.len() as f64)
        ),
        head,
        rows: rows.collect(),
    })
}
