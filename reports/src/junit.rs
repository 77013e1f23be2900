//! `junit.xml`: for CI systems, in the dialect that Jenkins, GitLab and the rest agree on.
//!
//! A suite is a run (scenario, variant, world), a case is a threshold or an invariant. One that did not hold is
//! a *failure*; an invariant that could not be checked was *skipped*; a run that could not be carried out, or whose measurement is not valid, is an *error*:
//! the harness' fault, not the proxy's. No times, no host, no random identifier: two runs of one seed
//! write the same file.

use crate::headline;
use crate::run::{Run, Suite, Verdict, World};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use std::io;

/// The file.
///
/// # Errors
/// None in memory; the signature is the XML writer's.
pub fn report(suite: &Suite) -> io::Result<Vec<u8>> {
    xml(suite.runs.iter().map(test_suite))
}

/// The file with these suites.
pub(crate) fn xml(suites: impl IntoIterator<Item = TestSuite>) -> io::Result<Vec<u8>> {
    let mut report = Report::new("windtunnel");
    report.add_test_suites(suites);
    let mut xml = Vec::new();
    report.serialize(&mut xml).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(xml)
}

fn test_suite(run: &Run) -> TestSuite {
    let mut suite = TestSuite::new(run.title());
    let mut property = |name: &str, value: &str| {
        suite.add_property(Property::new(name, value));
    };
    property("world", run.world.as_str());
    property("seed", &run.seed.to_string());
    property("configuration_hash", &run.configuration_hash);
    for (path, value) in &run.variant {
        property(path, value);
    }
    property("command", &run.command);
    let class = class(&run.scenario, run.world);
    let mut add = |name: &str, status: TestCaseStatus| {
        let mut case = TestCase::new(name, status);
        case.set_classname(class.as_str());
        suite.add_test_case(case);
    };
    // A run without thresholds, or one that never came to them, still is a case.
    match &run.verdict {
        Verdict::Error(why) => {
            add(
                "the run can be carried out",
                bad(NonSuccessKind::Error, "harness", why, &run.command),
            );
        }
        Verdict::Invalid(why) => {
            add(
                "the measurement is valid",
                bad(NonSuccessKind::Error, "invalid", why, &run.command),
            );
        }
        Verdict::Pass | Verdict::Fail if run.thresholds.is_empty() && run.invariants.is_empty() => {
            add("the run can be carried out", TestCaseStatus::success());
        }
        Verdict::Pass | Verdict::Fail => {}
    }
    for threshold in &run.thresholds {
        let status = if threshold.holds {
            TestCaseStatus::success()
        } else {
            let message = headline::sentence(threshold);
            bad(NonSuccessKind::Failure, "threshold", &message, &run.command)
        };
        add(&threshold.expression, status);
    }
    for invariant in &run.invariants {
        let status = match &invariant.unchecked {
            _ if !invariant.holds() => {
                let message = headline::broken(invariant);
                bad(NonSuccessKind::Failure, "invariant", &message, &run.command)
            }
            None => TestCaseStatus::success(),
            Some(why) => skipped(why),
        };
        add(&format!("invariant {}", invariant.name), status);
    }
    suite
}

/// What the cases of a scenario in a world are of: `ci.slow.model`.
pub(crate) fn class(scenario: &str, world: World) -> String {
    format!("{}.{world}", scenario.replace('/', "."))
}

/// What went wrong, and the command that repeats it.
pub(crate) fn bad(
    kind: NonSuccessKind,
    class: &str,
    message: &str,
    command: &str,
) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(class).set_message(message);
    status.set_description(format!("{message}\nrepeat: {command}"));
    status
}

/// What was looked at and does not count, with why.
pub(crate) fn skipped(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}
