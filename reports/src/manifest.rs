//! `manifest.json`: who made this, where, when and how.
//!
//! The only file in which two runs of one seed may differ: whatever depends on the machine, the clock
//! or the build goes here and nowhere else.

use crate::csv::SCHEMA_VERSION;
use crate::run::Suite;
use serde::Serialize;
use std::io;

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
