//! What a program reads at the end: every figure as JSON, the run over time as CSV.

use std::path::Path;

use loadgen::End;
use serde_json::{Map, Value, json};

use super::Result;

/// The version of both files' layout.
const SCHEMA: u32 = 1;

/// Writes the files that were asked for.
pub(crate) fn write(result: &Result) -> std::result::Result<(), String> {
    if let Some(path) = &result.args.json {
        let text =
            serde_json::to_string_pretty(&document(result)).map_err(|error| error.to_string())?;
        save(path, format!("{text}\n").as_bytes())?;
    }
    if let Some(path) = &result.args.csv {
        let table = table(result).map_err(|error| error.to_string())?;
        save(path, &table)?;
    }
    Ok(())
}

fn save(path: &Path, bytes: &[u8]) -> std::result::Result<(), String> {
    std::fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn document(result: &Result) -> Value {
    let Result { args, target, ledger, measurement, elapsed, .. } = result;
    let metrics: Map<String, Value> = measurement
        .metrics
        .iter()
        .filter(|(name, _)| !name.starts_with("load."))
        .map(|(name, metric)| {
            (name.to_owned(), json!({ "value": metric.value, "unit": metric.unit.as_str() }))
        })
        .collect();
    let failures: Map<String, Value> = ledger
        .failures
        .iter()
        .map(|(kind, failures)| {
            (kind.clone(), json!({ "count": failures.count, "first": failures.example }))
        })
        .collect();
    let lateness = ledger.sending.first().filter(|sending| sending.is_open).map(|sending| {
        json!({
            "p50": sending.lateness.quantile_ms(0.5),
            "p99": sending.lateness.quantile_ms(0.99),
            "max": sending.lateness.max_ms(),
        })
    });
    json!({
        "schema_version": SCHEMA,
        "url": format!("http://{}{}", target.url.authority, target.url.path),
        "address": target.address.to_string(),
        "method": args.method(),
        "loop": if args.rate.is_some() { "open" } else { "closed" },
        "rate": args.rate,
        "concurrency": args.rate.is_none().then_some(args.concurrency),
        "threads": args.threads,
        "seed": args.seed,
        "elapsed_s": elapsed.as_secs_f64(),
        "interrupted": matches!(result.end, End::Stopped(_)),
        "valid": result.invalid.is_empty(),
        "invalid_because": result.invalid,
        "metrics": metrics,
        "failures": failures,
        "lateness_ms": lateness,
        "connections": ledger.connections,
        "resent": ledger.resent,
        "abandoned": ledger.abandoned,
    })
}

fn table(result: &Result) -> std::result::Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["t_s", "metric", "label", "value"])?;
    let series = &result.measurement.series;
    for line in &series.lines {
        for (slot, value) in series.slots.iter().zip(&line.values) {
            let Some(value) = value else { continue };
            let at = format!("{:.3}", slot.from as f64 / 1e9);
            writer.write_record([&at, &line.metric, &line.label, &value.to_string()])?;
        }
    }
    Ok(writer.into_inner()?)
}
