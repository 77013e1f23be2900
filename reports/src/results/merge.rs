//! Several result directories as one.
//!
//! Shards of a suite (`--shard 1/2`, `--shard 2/2`) have every second scenario each; a run knows its scenario's place in the whole
//! suite, and so the merged runs come in the order in which one machine would have had them. Directories of which two claim
//! the same place for different scenarios are different suites: these are put one behind the other.

use crate::run::{Manifest, Run, Suite};
use std::collections::BTreeMap;

/// Puts directories together, each with its name. The manifest is the caller's: who merges is not who ran.
///
/// # Errors
/// When two have the same run: which, and in which directories.
pub fn merge(parts: Vec<(String, Vec<Run>)>) -> Result<Suite, String> {
    let mut seen = BTreeMap::new();
    for (name, runs) in &parts {
        for run in runs {
            let key = (&run.scenario, &run.variant, run.world, run.seed);
            if let Some(before) = seen.insert(key, name) {
                return Err(format!(
                    "{}, seed {} is in {before} and in {name}: the same run twice would count twice; leave one out",
                    run.title(),
                    run.seed
                ));
            }
        }
    }
    let is_one_suite = are_of_one_suite(&parts);
    let mut runs: Vec<Run> = Vec::new();
    for (_, mut part) in parts {
        if !is_one_suite {
            let behind = runs.iter().map(|run| run.place.saturating_add(1)).max().unwrap_or(0);
            for run in &mut part {
                run.place = run.place.saturating_add(behind);
            }
        }
        runs.append(&mut part);
    }
    // Within a scenario the order of the directories, and in each its own.
    runs.sort_by_key(|run| run.place);
    Ok(Suite { runs, manifest: Manifest::default() })
}

fn are_of_one_suite(parts: &[(String, Vec<Run>)]) -> bool {
    let mut places: BTreeMap<usize, &str> = BTreeMap::new();
    let mut runs = parts.iter().flat_map(|(_, runs)| runs);
    runs.all(|run| *places.entry(run.place).or_insert(&run.scenario) == run.scenario)
}
