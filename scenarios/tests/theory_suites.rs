//! The scenario files that allow it run in the model, hold their own thresholds there, and give the same figures each time.

use std::path::PathBuf;

use reports::{Measurement, World};
use scenarios::{language, model};

/// Everything that was measured, as text.
fn print(measurement: &Measurement) -> String {
    format!("{:?}\n{:?}\n{:?}", measurement.metrics, measurement.endpoints, measurement.series)
}

/// Runs each variant twice; how many were run, and which thresholds did not hold.
fn suite(name: &str) -> (usize, Vec<String>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("suites").join(name);
    let loaded = language::load_paths(&[path], &[]).expect("the suite is valid");
    let (mut count, mut broken) = (0, Vec::new());
    for each in &loaded {
        for variant in &each.variants {
            let scenario = &variant.scenario;
            let excluded = variant.exclusions.iter().any(|one| one.world == World::Model);
            if excluded || !scenario.worlds.contains(&World::Model) {
                continue;
            }
            let run = || model::run(scenario, scenario.seed).expect("the model can do this");
            let (first, second) = (run(), run());
            let figures = print(&first.measurement);
            assert_eq!(figures, print(&second.measurement), "{}", each.name);
            assert_eq!((first.notes, first.events), (second.notes, second.events), "{}", each.name);
            assert_eq!(first.problems, Vec::<String>::new(), "{}", each.name);
            for invariant in &first.invariants {
                assert!(invariant.holds(), "{}: {invariant:?}", each.name);
            }
            let results = scenario.thresholds().into_iter();
            let results = results.map(|threshold| threshold.evaluate(&first.measurement.metrics));
            broken.extend(results.filter(|result| !result.holds).map(|result| {
                format!(
                    "{}: {}: {:?} {}",
                    each.name, result.expression, result.value, result.remark
                )
            }));
            let other = model::run(scenario, scenario.seed + 1).expect("the model can do this");
            assert_ne!(
                figures,
                print(&other.measurement),
                "{}: a seed that means nothing",
                each.name
            );
            count += 1;
        }
    }
    (count, broken)
}

#[test]
fn the_smoke_suite_holds_in_the_model() {
    let (count, broken) = suite("smoke");
    assert_eq!(broken, Vec::<String>::new());
    assert!(count >= 6, "{count}");
}

#[test]
fn the_ci_suite_holds_in_the_model() {
    let (count, broken) = suite("ci");
    assert_eq!(broken, Vec::<String>::new());
    assert!(count >= 12, "{count}");
}
