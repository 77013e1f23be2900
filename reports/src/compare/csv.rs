//! `compare.csv`: tidy, a row for each pair, for whoever would rather do the statistics again.
//!
//! `kind` is `paired` (the variant against the baseline with the same seed) or `a_a` (the baseline with another seed
//! against the baseline; `seed` is that other seed).

use super::{Contrast, figures};
use crate::format::plain;
use crate::run::Run;
use crate::statistics::paired_ratios;
use std::io;

/// Renders it.
///
/// # Errors
/// None in memory; the signature is the CSV writer's.
pub fn compare(contrast: &Contrast<'_>) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "scenario", "world", "variant", "kind", "seed", "metric", "value", "baseline", "ratio",
    ])?;
    let mut names = vec![contrast.metric.as_str()];
    let others = contrast.variants.iter().flat_map(|variant| &variant.others);
    for (name, _) in others {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let base = &contrast.variants[contrast.baseline];
    let groups = contrast.variants.iter().map(|variant| ("paired", &variant.runs));
    for (kind, runs) in groups.chain([("a_a", &contrast.again.runs)]) {
        for name in &names {
            let (values, baseline) = (figures(runs, name), figures(&base.runs, name));
            for ((run, value), base) in runs.iter().zip(values).zip(baseline) {
                write_row(&mut writer, run, kind, name, value, base)?;
            }
        }
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

fn write_row(
    writer: &mut csv::Writer<Vec<u8>>,
    run: &Run,
    kind: &str,
    name: &str,
    value: f64,
    base: f64,
) -> io::Result<()> {
    let cell = |value: f64| if value.is_finite() { plain(value) } else { String::new() };
    let ratio = paired_ratios(&[base], &[value]).first().map_or(String::new(), |r| plain(*r));
    let row = [
        run.scenario.clone(),
        run.world.to_string(),
        run.variant_text(),
        kind.to_owned(),
        run.seed.to_string(),
        name.to_owned(),
        cell(value),
        cell(base),
        ratio,
    ];
    Ok(writer.write_record(&row)?)
}
