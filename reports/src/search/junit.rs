//! `junit.xml` of a search: a suite for the scenario, a case for each variant.
//!
//! As the exit code has it: a variant that does not hold at any load is a *failure*; one whose end is a run that could not be carried out, or
//! the load generator's own limit, is an *error*. What each carries is in its output.

use super::{Capacity, Study, text};
use crate::junit::{bad, class, xml};
use crate::run::Verdict;
use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};
use std::io;

/// The file.
///
/// # Errors
/// None in memory; the signature is the XML writer's.
pub fn report(study: &Study) -> io::Result<Vec<u8>> {
    let mut suite =
        TestSuite::new(format!("{} {}, how much it carries", study.scenario, study.world));
    for (name, value) in [
        ("world", study.world.to_string()),
        ("seed", study.seed.to_string()),
        ("seeds", study.seeds.to_string()),
        ("thresholds", study.thresholds.join("; ")),
    ] {
        suite.add_property(Property::new(name, value));
    }
    suite.set_system_out(format!("{}\n{}", text::sentence(study), text::method(study)));
    let class = class(&study.scenario, study.world);
    for capacity in &study.capacities {
        let mut case = TestCase::new(capacity.label.as_str(), status(capacity));
        case.set_classname(class.as_str()).set_system_out(text::carries(capacity));
        suite.add_test_case(case);
    }
    xml([suite])
}

fn status(capacity: &Capacity) -> TestCaseStatus {
    let (kind, class) = match capacity.verdict() {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Fail => (NonSuccessKind::Failure, "capacity"),
        Verdict::Invalid(_) => (NonSuccessKind::Error, "invalid"),
        Verdict::Error(_) => (NonSuccessKind::Error, "harness"),
    };
    let command = capacity.above().map_or("", |tried| tried.command.as_str());
    bad(kind, class, &text::carries(capacity), command)
}
