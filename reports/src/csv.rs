//! `summary.csv` and `timeseries.csv`: for spreadsheets, notebooks and whatever draws its own charts.
//!
//! Units are in the names of columns and metrics. A figure that does not exist in a run is an empty
//! cell, never a zero. RFC 4180 quoting.

use crate::format::plain;
use crate::metrics::{Metric, Unit};
use crate::record::MAX_ENDPOINT_SERIES;
use crate::run::{Run, Suite};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Goes up when a column changes its meaning or goes away; not when one is added.
pub const SCHEMA_VERSION: u32 = 1;

/// What every `summary.csv` starts with.
pub(crate) const RUN_COLUMNS: [&str; 6] =
    ["schema_version", "scenario", "world", "variant", "seed", "verdict"];

/// The metrics that every `summary.csv` has, in this order, whether or not a run has them.
pub(crate) const ALWAYS: [(&str, Unit); 18] = [
    ("requests", Unit::Count),
    ("ok", Unit::Count),
    ("failed", Unit::Count),
    ("timed_out", Unit::Count),
    ("refused", Unit::Count),
    ("dropped", Unit::Count),
    ("rate", Unit::PerSecond),
    ("success_ratio", Unit::Ratio),
    ("latency.mean", Unit::Milliseconds),
    ("latency.p50", Unit::Milliseconds),
    ("latency.p90", Unit::Milliseconds),
    ("latency.p99", Unit::Milliseconds),
    ("latency.p999", Unit::Milliseconds),
    ("latency.max", Unit::Milliseconds),
    ("service_time.p50", Unit::Milliseconds),
    ("service_time.p99", Unit::Milliseconds),
    ("retries", Unit::Count),
    ("imbalance", Unit::Ratio),
];

/// The column of a metric: `latency.p99` in ms is `latency_p99_ms`.
pub fn column(name: &str, unit: Unit) -> String {
    let mut column = name.replace('.', "_");
    column.push_str(unit.column_suffix());
    column
}

/// A run's metrics by column; where two metrics claim one column, both keep their dotted names.
fn columns_of(run: &Run) -> BTreeMap<String, f64> {
    let too_many = run.measurement.endpoints.len() > MAX_ENDPOINT_SERIES;
    let shown = |name: &str| !(too_many && name.starts_with("endpoint."));
    let mut claims: BTreeMap<String, Vec<(&str, Metric)>> = BTreeMap::new();
    for (name, metric) in run.measurement.metrics.iter().filter(|(name, _)| shown(name)) {
        claims.entry(column(name, metric.unit)).or_default().push((name, metric));
    }
    let mut columns = BTreeMap::new();
    for (column, claim) in claims {
        if let [(_, metric)] = claim[..] {
            columns.insert(column, metric.value);
        } else {
            columns.extend(claim.iter().map(|(name, m)| ((*name).to_owned(), m.value)));
        }
    }
    columns
}

/// `summary.csv`: one row a run.
///
/// # Errors
/// None in memory; the signature is the CSV writer's.
pub fn summary(suite: &Suite) -> io::Result<Vec<u8>> {
    let always: Vec<String> = ALWAYS.iter().map(|(name, unit)| column(name, *unit)).collect();
    let rows: Vec<BTreeMap<String, f64>> = suite.runs.iter().map(columns_of).collect();
    let mut extra: BTreeSet<&str> =
        rows.iter().flat_map(|row| row.keys().map(String::as_str)).collect();
    for column in &always {
        extra.remove(column.as_str());
    }
    let columns: Vec<&str> = always.iter().map(String::as_str).chain(extra).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(RUN_COLUMNS.iter().chain(&columns))?;
    for (run, row) in suite.runs.iter().zip(&rows) {
        let mut cells = vec![
            SCHEMA_VERSION.to_string(),
            run.scenario.clone(),
            run.world.to_string(),
            run.variant_text(),
            run.seed.to_string(),
            run.verdict.as_str().to_owned(),
        ];
        cells.extend(columns.iter().map(|c| row.get(*c).map_or(String::new(), |v| plain(*v))));
        writer.write_record(&cells)?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// `timeseries.csv`: tidy, one row for each run, interval and metric that has a value there. `t_s` is
/// the start of the interval, in seconds since the start of the run.
///
/// # Errors
/// None in memory; the signature is the CSV writer's.
pub fn timeseries<'a>(runs: impl IntoIterator<Item = &'a Run>) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "scenario", "world", "variant", "seed", "t_s", "metric", "label", "value",
    ])?;
    for run in runs {
        let (variant, seed) = (run.variant_text(), run.seed.to_string());
        let series = &run.measurement.series;
        let starts: Vec<String> = series.slots.iter().map(|s| plain(s.from as f64 / 1e9)).collect();
        for line in &series.lines {
            for (start, value) in starts.iter().zip(&line.values) {
                let Some(value) = value else { continue };
                let world = run.world.as_str();
                let value = plain(*value);
                writer.write_record([
                    &run.scenario,
                    world,
                    &variant,
                    &seed,
                    start,
                    &line.metric,
                    &line.label,
                    &value,
                ])?;
            }
        }
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}
