//! `search.csv`: a row for each load that was tried.
//!
//! `result` is `capacity` in the row of the highest load that holds, and `above` in that of the lowest one above it that
//! does not (where none holds, the lowest that has a figure); empty elsewhere. `command` repeats one of its runs, one
//! that did not hold if there is one.

use super::{Found, Study};
use crate::format::plain;
use std::io;

/// Renders it.
///
/// # Errors
/// None in memory; the signature is the CSV writer's.
pub fn search(study: &Study) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "scenario",
        "world",
        "variant",
        "try",
        "kind",
        "load_factor",
        "offered_rate_rps",
        "seeds",
        "held",
        "holds",
        "result",
        "metric",
        "value",
        "broke",
        "broke_value",
        "command",
    ])?;
    let number =
        |value: Option<f64>| value.filter(|value| value.is_finite()).map_or(String::new(), plain);
    for capacity in &study.capacities {
        let cells: Vec<String> = capacity.variant.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let (best, above) = match capacity.found {
            Found::Between { holds, breaks } => (Some(holds), Some(breaks)),
            Found::Always { holds } => (Some(holds), None),
            Found::Never { breaks } => (None, Some(breaks)),
        };
        for (place, tried) in capacity.tries.iter().enumerate() {
            let result = match Some(place) {
                place if place == best => "capacity",
                place if place == above => "above",
                _ => "",
            };
            let broke = tried.broke.as_ref();
            writer.write_record([
                study.scenario.clone(),
                study.world.to_string(),
                cells.join("; "),
                (place + 1).to_string(),
                if tried.is_confirming { "confirm" } else { "search" }.to_owned(),
                plain(tried.factor),
                number(tried.rate),
                tried.seeds.to_string(),
                tried.held.to_string(),
                tried.holds.to_string(),
                result.to_owned(),
                study.metric.clone(),
                number(tried.value),
                broke.map_or(String::new(), |broke| broke.what.clone()),
                broke.map_or(String::new(), |broke| broke.value.clone()),
                tried.command.clone(),
            ])?;
        }
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}
