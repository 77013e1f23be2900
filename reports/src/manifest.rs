//! `manifest.json`: who made this, where, when and how.
//!
//! The only file in which two runs of one seed may differ: whatever depends on the machine, the clock
//! or the build goes here and nowhere else.

use crate::csv::SCHEMA_VERSION;
use crate::diff::read;
use crate::run::{Manifest, Suite};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

#[derive(Serialize)]
struct File<'a> {
    schema_version: u32,
    version: &'a str,
    revision: &'a str,
    host: &'a str,
    command: &'a str,
    started: &'a str,
    elapsed_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_time: Option<VirtualTime>,
    runs: Vec<Entry<'a>>,
}

/// How much virtual time was covered, and how fast.
#[derive(Serialize)]
struct VirtualTime {
    covered_s: f64,
    elapsed_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_per_second: Option<f64>,
}

impl VirtualTime {
    fn of(suite: &Suite) -> Option<Self> {
        let covered_s = suite.virtual_time().as_secs_f64();
        let elapsed_s = suite.manifest.virtual_elapsed.as_secs_f64();
        let speed = Some(covered_s / elapsed_s).filter(|speed| speed.is_finite());
        (covered_s > 0.0).then_some(Self { covered_s, elapsed_s, seconds_per_second: speed })
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    scenario: &'a str,
    world: &'a str,
    variant: String,
    seed: u64,
    verdict: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    configuration_hash: &'a str,
    command: &'a str,
}

/// The file.
///
/// # Errors
/// None that plain text and numbers could cause.
pub fn manifest(suite: &Suite) -> io::Result<Vec<u8>> {
    let manifest = &suite.manifest;
    let file = File {
        schema_version: SCHEMA_VERSION,
        version: &manifest.version,
        revision: &manifest.revision,
        host: &manifest.host,
        command: &manifest.command,
        started: &manifest.started,
        elapsed_s: manifest.elapsed.as_secs_f64(),
        virtual_time: VirtualTime::of(suite),
        runs: suite
            .runs
            .iter()
            .map(|run| Entry {
                scenario: &run.scenario,
                world: run.world.as_str(),
                variant: run.variant_text(),
                seed: run.seed,
                verdict: run.verdict.as_str(),
                reason: run.verdict.reason(),
                configuration_hash: &run.configuration_hash,
                command: &run.command,
            })
            .collect(),
    };
    let mut text = serde_json::to_vec_pretty(&file)?;
    text.push(b'\n');
    Ok(text)
}

/// What is read of a file: all but the runs, whose truth is in `results.jsonl`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    version: String,
    revision: String,
    host: String,
    command: String,
    started: String,
    elapsed_s: f64,
    virtual_time: Option<ToldVirtual>,
}

#[derive(Deserialize)]
struct ToldVirtual {
    elapsed_s: f64,
}

/// Reads the manifest of a result directory; an empty one where there is none.
///
/// # Errors
/// What is wrong with it, where.
pub fn read(directory: &Path) -> Result<Manifest, String> {
    let path = directory.join("manifest.json");
    let Some(bytes) = read::bytes(&path)? else { return Ok(Manifest::default()) };
    let wrong = |line: usize, column: usize, why: String| {
        format!("{}:{line}:{column}: {why}", path.display())
    };
    let told: Told = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(error.line(), error.column(), error.to_string()))?;
    let length = |seconds: f64| {
        Duration::try_from_secs_f64(seconds).map_err(|error| wrong(1, 1, error.to_string()))
    };
    Ok(Manifest {
        version: told.version,
        revision: told.revision,
        host: told.host,
        command: told.command,
        started: told.started,
        elapsed: length(told.elapsed_s)?,
        virtual_elapsed: length(told.virtual_time.map_or(0.0, |time| time.elapsed_s))?,
    })
}

/// One manifest for what several made: what differs stands one beside the other, times add up.
pub fn merge(parts: &[Manifest]) -> Manifest {
    let all = |of: &dyn Fn(&Manifest) -> &str| {
        let mut seen = BTreeSet::new();
        let distinct: Vec<&str> =
            parts.iter().map(of).filter(|text| !text.is_empty() && seen.insert(*text)).collect();
        distinct.join("; ")
    };
    Manifest {
        version: all(&|part| &part.version),
        revision: all(&|part| &part.revision),
        host: all(&|part| &part.host),
        command: all(&|part| &part.command),
        started: parts.iter().map(|part| &part.started).min().cloned().unwrap_or_default(),
        elapsed: parts.iter().map(|part| part.elapsed).sum(),
        virtual_elapsed: parts.iter().map(|part| part.virtual_elapsed).sum(),
    }
}
