//! `junit.xml` of a comparison: a suite for the scenario, a case for each variant and one for each of its thresholds.
//!
//! A comparison asks what is best, and its exit code is 0 when it could be asked: variants that do not keep the thresholds
//! are what it is there to show. So the file has no failures. A variant is an *error* where a run could not be carried out
//! (exit code 3); a threshold that does not hold with more than half of the seeds is *skipped* and says by how much, and so are a
//! broken invariant and a measurement that is not valid.

use super::{Contrast, Variant, knee::Knee, sentence, text};
use crate::headline;
use crate::junit::{bad, class, skipped, xml};
use crate::run::{Run, ThresholdResult, Verdict};
use crate::statistics::median;
use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};
use std::io;

/// The file.
///
/// # Errors
/// None in memory; the signature is the XML writer's.
pub fn report(contrast: &Contrast<'_>, knee: Option<&Knee>) -> io::Result<Vec<u8>> {
    let base = &contrast.variants[contrast.baseline];
    let Some(run) = base.runs.first() else { return xml([]) };
    let title = format!("{} {}, compared by {}", run.scenario, run.world, contrast.metric);
    let mut suite = TestSuite::new(title);
    for (name, value) in [
        ("world", run.world.to_string()),
        ("seed", run.seed.to_string()),
        ("seeds", contrast.seeds().to_string()),
        ("metric", contrast.metric.clone()),
        ("baseline", base.label.clone()),
    ] {
        suite.add_property(Property::new(name, value));
    }
    suite.set_system_out(format!("{}\n{}", sentence(contrast), text::noise(contrast)));
    let class = class(&run.scenario, run.world);
    let mut add = |name: &str, status: TestCaseStatus, said: &str| {
        let mut case = TestCase::new(name, status);
        case.set_classname(class.as_str());
        if !said.is_empty() {
            case.set_system_out(said);
        }
        suite.add_test_case(case);
    };
    for variant in &contrast.variants {
        let label = &variant.label;
        add(label, carried_out(&variant.runs), &place(contrast, variant));
        for (name, status) in remarks(&variant.runs) {
            add(&format!("{label}: {name}"), status, "");
        }
    }
    add(&format!("{}, against itself", base.label), carried_out(&contrast.again.runs), "");
    if let Some(knee) = knee.filter(|knee| !knee.lines.is_empty()) {
        let status = match &knee.broken {
            None => TestCaseStatus::success(),
            Some((why, command)) => bad(NonSuccessKind::Error, "harness", why, command),
        };
        add("the knee", status, "");
    }
    xml([suite])
}

fn carried_out(runs: &[&Run]) -> TestCaseStatus {
    match runs.iter().find_map(|run| Some((super::error(run)?, run))) {
        Some((why, run)) => bad(NonSuccessKind::Error, "harness", &why, &run.command),
        None => TestCaseStatus::success(),
    }
}

/// What the variant came to: `latency.p99 113 ms, 0.0226 × (0.0209 to 0.0242) of round_robin: better`.
fn place(contrast: &Contrast<'_>, variant: &Variant<'_>) -> String {
    let base = &contrast.variants[contrast.baseline].label;
    let value = text::value(contrast, variant);
    let metric = &contrast.metric;
    match &variant.judged {
        None => format!("{metric} {value}, the baseline"),
        Some(judged) => format!(
            "{metric} {value}, {} of {base}: {}",
            sentence::ratio(&judged.comparison),
            judged.verdict.as_str()
        ),
    }
}

/// A case for each threshold, each invariant that is broken, and for what makes a measurement no measurement.
fn remarks(runs: &[&Run]) -> Vec<(String, TestCaseStatus)> {
    let seeds = runs.len();
    let mut cases = Vec::new();
    let invalid: Vec<&str> = runs
        .iter()
        .filter(|run| matches!(run.verdict, Verdict::Invalid(_)))
        .filter_map(|run| run.verdict.reason())
        .collect();
    if let Some(first) = invalid.first() {
        let why = format!("not with {} of {seeds} seeds: {first}", invalid.len());
        cases.push(("the measurement is valid".to_owned(), skipped(&why)));
    }
    let judged = runs.iter().find(|run| !run.thresholds.is_empty());
    for (place, threshold) in judged.iter().flat_map(|run| run.thresholds.iter().enumerate()) {
        let all: Vec<&ThresholdResult> =
            runs.iter().filter_map(|run| run.thresholds.get(place)).collect();
        let held = all.iter().filter(|threshold| threshold.holds).count();
        let status = if 2 * held > seeds {
            TestCaseStatus::success()
        } else {
            let value = median(&all.iter().filter_map(|one| one.value).collect::<Vec<f64>>());
            let middle = ThresholdResult { value, ..threshold.clone() };
            skipped(&format!(
                "held with {held} of {seeds} seeds; in the median {}",
                headline::sentence(&middle)
            ))
        };
        cases.push((threshold.expression.clone(), status));
    }
    for run in runs {
        for invariant in run.broken_invariants() {
            let name = format!("invariant {}", invariant.name);
            if !cases.iter().any(|(other, _)| *other == name) {
                let why = format!("seed {}: {}", run.seed, headline::broken(invariant));
                cases.push((name, skipped(&why)));
            }
        }
    }
    cases
}
