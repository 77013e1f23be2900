//! The comparisons can fail: a small difference on purpose, in one of the two worlds.

use policy::distribution::Distribution;
use scenarios::{language::Scenario, sim::Network::Memory};

use crate::{
    compare::{Bounds, apart, differences},
    in_model, in_sim, only, whole,
};

/// So near must the percentiles be to pass for the same.
const NEAR: Bounds =
    Bounds { part: 0.01, tail: 0.01, ms: 0.003, rate: 0.001, share: 0.5, errors: 0.001, few: 0.0 };

/// What is found when the model's scenario is changed and the other is not; nothing may be found without the change.
fn found(name: &str, change: impl FnOnce(&mut Scenario)) -> Vec<String> {
    let same = only(name);
    let mut changed = same.clone();
    let sim = in_sim(&same, 1, Memory);
    let before = apart(&in_model(&same, 1), &sim, NEAR);
    assert!(before.is_empty(), "{name} as it is: {before:#?}");
    change(&mut changed);
    apart(&in_model(&changed, 1), &sim, NEAR)
}

#[track_caller]
fn tells(found: &[String], of: &str) {
    assert!(found.iter().any(|line| line.starts_with(of)), "nothing of {of}: {found:?}");
}

fn longer(scenario: &mut Scenario, factor: f64) {
    for backend in scenario.backends.values_mut() {
        let Distribution::Exponential { mean } = &mut backend.service else {
            panic!("another law")
        };
        mean.0 = mean.0.mul_f64(factor);
    }
}

#[test]
fn a_service_that_is_three_per_cent_longer() {
    let found = found("queue", |scenario| longer(scenario, 1.03));
    tells(&found, "latency.p50");
    tells(&found, "latency.p99");
}

#[test]
fn a_service_that_is_a_ten_thousandth_longer() {
    let same = whole::microseconds(&only("queue"), 1);
    let mut longer = same.clone();
    let Distribution::Empirical { values, .. } = &mut longer.backends["web"].service else {
        panic!("another law")
    };
    *values = values.iter().map(|value| value * 1.0001).collect();
    let sim = in_sim(&same, 1, Memory);
    assert!(differences(&in_model(&same, 1), &sim, 0.0, &[]).is_empty());
    assert!(!differences(&in_model(&longer, 1), &sim, 0.0, &[]).is_empty());
}

#[test]
fn another_retry_budget() {
    let found = found("retries", |scenario| scenario.proxy.retry.budget = 0.22);
    tells(&found, "retries");
}

#[test]
fn one_attempt_fewer() {
    let found = found("retries", |scenario| scenario.proxy.retry.attempts = 2);
    // The budget is spent all the same, by others.
    tells(&found, "refused");
}

#[test]
fn a_check_of_health_that_is_slower_to_see() {
    let found = found("crash", |scenario| {
        scenario.proxy.health.fall = 3;
        scenario.proxy.outlier.enabled = false;
    });
    tells(&found, "retries");
}

#[test]
fn another_weight() {
    let found = found("weights", |scenario| scenario.backends["large"].weight = 3);
    tells(&found, "large-0's share");
}

#[test]
fn more_patience() {
    let found = found("hang", |scenario| {
        scenario.load["hasty"].timeout.0 = std::time::Duration::from_millis(600);
    });
    tells(&found, "timed_out");
}
