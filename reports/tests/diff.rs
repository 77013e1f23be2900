//! `report diff` from directories made by hand: what it says in each format, and how often it is wrong.

use proptest::prelude::*;
use reports::diff::{
    Diff, Key, Question, Results, Standing, Told, github, json, markdown, read, text, trackers,
};
use reports::statistics::{Better, random::SplitMix64};
use reports::terminal::Colour;
use std::fmt::Write as _;

const NOISE: Question = Question { noise: 2.0, metrics: Vec::new() };

/// The rows of a summary, built up.
#[derive(Clone, Default)]
struct Summary(String);

impl Summary {
    fn row(&mut self, run: (&str, &str, &str, u64), verdict: &str, figures: [f64; 4]) {
        let (scenario, world, variant, seed) = run;
        let [p50, p99, success, rate] = figures;
        let failed = (1.0 - success) * 1000.0;
        let _ = writeln!(
            self.0,
            "1,{scenario},{world},{variant},{seed},{verdict},1000,{failed},{rate},{success},{p50},{p99}"
        );
    }

    fn results(&self, name: &str) -> Results {
        let head = "schema_version,scenario,world,variant,seed,verdict,requests,failed,rate_rps,\
                    success_ratio,latency_p50_ms,latency_p99_ms\n";
        let text = format!("{head}{}", self.0);
        let runs = read::summary_rows(text.as_bytes()).expect("it is right");
        Results { name: name.to_owned(), runs }
    }
}

/// Normal numbers that are the same everywhere: the sum of twelve uniform ones.
fn normal(random: &mut SplitMix64) -> f64 {
    (0..12).map(|_| (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64).sum::<f64>() - 6.0
}

/// Ten seeds of a scenario: what is drawn with the seed is common to both sides, the rest is not.
fn ten_seeds(seed: u64, factor: f64) -> Results {
    let mut summary = Summary::default();
    let mut own = SplitMix64::new(seed);
    for run in 0..10 {
        let mut common = SplitMix64::new(1_000 + run);
        let mut value =
            |mean: f64| mean * (0.04 * normal(&mut common) + 0.03 * normal(&mut own)).exp();
        let (p50, p99, rate) = (value(10.0), value(80.0), value(400.0));
        let failed = value(0.02);
        let figures = [p50 * factor, p99 * factor, 1.0 - failed, rate];
        summary.row(("ci/steady", "live", "", run), "pass", figures);
    }
    summary.results("runs")
}

#[test]
fn equal_programs_seldom_raise_an_alarm() {
    let diffs = (0..200).map(|n| {
        Diff::of(&ten_seeds(2 * n, 1.0), &ten_seeds(2 * n + 1, 1.0), &NOISE).expect("comparable")
    });
    let (mut alarms, mut called) = (0, 0);
    for diff in diffs {
        // Of six metrics two are neither good nor bad.
        assert_eq!((diff.family, diff.needed), (1, 8));
        alarms += usize::from(diff.is_worse());
        called += usize::from(diff.is_worse() || diff.found(Standing::Better).next().is_some());
    }
    // Five in a hundred are called in either direction, so half as many are alarms; 5 % is ten of 200.
    assert!(alarms <= 10, "{alarms} alarms in 200");
    assert!(called <= 10, "{called} calls in 200");
}

#[test]
fn a_tenth_slower_is_found_with_ten_seeds() {
    let found = (0..20).filter(|n| {
        let diff = Diff::of(&ten_seeds(2 * n, 1.0), &ten_seeds(2 * n + 1, 1.10), &NOISE);
        let diff = diff.expect("comparable");
        diff.found(Standing::Worse).any(|worse| worse.metric.starts_with("latency."))
    });
    assert_eq!(found.count(), 20);
}

/// So many scenarios, ten seeds of each.
fn many(seed: u64, scenarios: u64, factor: f64) -> Results {
    let mut all = Results { name: "suite".to_owned(), ..Results::default() };
    for scenario in 0..scenarios {
        for (mut key, told) in ten_seeds(seed + 10_000 * scenario, factor).runs {
            key.group.scenario = format!("ci/{scenario}");
            all.runs.insert(key, told);
        }
    }
    all
}

#[test]
fn many_scenarios_raise_no_more_alarms_than_one() {
    let question =
        Question { noise: 0.0, metrics: ["latency.p50", "latency.p99"].map(str::to_owned).into() };
    let called = (0..100).filter(|n| {
        let (old, new) = (many(2 * n, 6, 1.0), many(2 * n + 1, 6, 1.0));
        let diff = Diff::of(&old, &new, &question).expect("comparable");
        assert_eq!((diff.family, diff.needed), (6, 8));
        diff.is_worse() || diff.found(Standing::Better).next().is_some()
    });
    let called = called.count();
    assert!(called <= 5, "{called} calls in 100");
}

#[test]
fn ten_seeds_suffice_for_a_suite_that_changed_everywhere() {
    let diff = Diff::of(&many(1, 20, 1.0), &many(5001, 20, 1.2), &NOISE).expect("comparable");
    assert_eq!((diff.family, diff.needed), (20, 10));
    let worse = diff.found(Standing::Worse).filter(|worse| worse.metric.starts_with("latency."));
    assert_eq!(worse.count(), 40);
}

/// Something of everything: OLD and NEW.
fn two_directories() -> (Results, Results) {
    let (mut old, mut new) = (Summary::default(), Summary::default());
    let strategy = "proxy.balance.strategy=p2c";
    for seed in 7..17 {
        let of = |step: f64| 1.0 + step * (seed as f64 - 12.0) / 100.0;
        let slow = ("ci/slow", "sim", strategy, seed);
        old.row(slow, "pass", [10.0 * of(0.4), 80.0 * of(0.6), 0.999, 400.0 * of(0.1)]);
        let verdict = if seed < 10 { "fail" } else { "pass" };
        let figures = [9.0 * of(0.3), 96.0 * of(0.5), 0.99, 400.0 * of(0.1)];
        new.row(slow, verdict, figures);
        let steady = ("ci/steady", "sim", "", seed);
        for side in [&mut old, &mut new] {
            side.row(steady, "pass", [5.0, 9.0 * of(1.0), 1.0, 100.0]);
        }
        let closed = ("ci/closed", "live", "", seed);
        old.row(closed, "pass", [1.0, 2.0 * of(1.0), 1.0, 900.0 * of(0.2)]);
        new.row(closed, "pass", [1.0, 2.0 * of(-1.0), 1.0, 990.0 * of(0.1)]);
    }
    old.row(("ci/few", "model", "", 1), "invalid", [0.0, 0.0, 0.0, 0.0]);
    new.row(("ci/few", "model", "", 1), "pass", [1.0, 1.0, 1.0, 1.0]);
    old.row(("ci/once", "model", "", 1), "pass", [1.0, 10.0, 1.0, 100.0]);
    new.row(("ci/once", "model", "", 1), "pass", [1.0, 15.0, 1.0, 100.0]);
    old.row(("ci/gone | <b>", "model", "", 1), "pass", [1.0, 1.0, 1.0, 1.0]);
    new.row(("ci/born", "model", "", 1), "pass", [1.0, 1.0, 1.0, 1.0]);
    new.row(("ci/steady", "sim", "", 17), "pass", [1.0, 1.0, 1.0, 1.0]);
    let (mut old, mut new) = (old.results("old"), new.results("new"));
    for (key, told) in old.runs.iter_mut().chain(&mut new.runs) {
        told.configuration = Some("c0ffee".to_owned());
        told.command =
            Some(format!("windtunnel run {}.toml --seed {}", key.group.scenario, key.seed));
    }
    for told in new.runs.values_mut().filter(|told| told.values["latency_p50_ms"] < 1.5) {
        told.configuration = Some("decaf".to_owned());
    }
    (old, new)
}

fn diff() -> (Diff, Results) {
    let (old, new) = two_directories();
    (Diff::of(&old, &new, &NOISE).expect("comparable"), new)
}

#[test]
fn on_a_terminal() {
    let (diff, _) = diff();
    assert!(diff.is_worse());
    insta::assert_snapshot!(text::summary(&diff, Colour::Plain));
    assert!(text::summary(&diff, Colour::Ansi).contains("\u{1b}[1m\u{1b}[31mworse"));
}

#[test]
fn as_annotations() {
    insta::assert_snapshot!(github::annotations(&diff().0));
}

#[test]
fn as_markdown() {
    insta::assert_snapshot!(markdown::summary(&diff().0));
}

#[test]
fn as_json() {
    let mut diff = diff().0;
    diff.findings.retain(|finding| finding.standing != Standing::Unchanged);
    insta::assert_snapshot!(json::document(&diff).expect("JSON"));
}

#[test]
fn for_trackers_of_benchmarks() {
    let (diff, mut new) = diff();
    new.runs.retain(|key, _| key.group.scenario == "ci/slow");
    let smaller = trackers::action(&diff, &new, Better::Smaller).expect("JSON");
    insta::assert_snapshot!("custom_smaller_is_better", smaller);
    let larger = trackers::action(&diff, &new, Better::Larger).expect("JSON");
    insta::assert_snapshot!("custom_bigger_is_better", larger);
    insta::assert_snapshot!("bencher", trackers::bencher(&new).expect("JSON"));
}

#[test]
fn a_change_for_the_worse_of_success_is_one_of_what_is_lost() {
    let side = |success: f64| {
        let mut summary = Summary::default();
        for seed in 0..10 {
            let success = success + seed as f64 * 1e-6;
            summary.row(("a", "live", "", seed), "pass", [1.0, 1.0, success, 1.0]);
        }
        summary.results("runs")
    };
    let question = Question { noise: 2.0, metrics: vec!["success_ratio".to_owned()] };
    // A ratio of 0.991 would be below the noise.
    let diff = Diff::of(&side(0.999), &side(0.990), &question).expect("comparable");
    let worse = diff.found(Standing::Worse).next().expect("found");
    let ratio = worse.judged.comparison.ratio.expect("ten pairs");
    assert!((9.9..10.1).contains(&ratio), "{ratio}");
    let diff = Diff::of(&side(0.990), &side(0.999), &question).expect("comparable");
    assert_eq!(diff.found(Standing::Better).count(), 1);
}

#[test]
fn any_metric_of_the_summary_may_be_asked_for() {
    let (old, new) = two_directories();
    let asked = |name: &str| {
        let question = Question { noise: 2.0, metrics: vec![name.to_owned()] };
        Diff::of(&old, &new, &question).map(|diff| diff.findings.len())
    };
    assert_eq!(asked("latency.p99"), Ok(4));
    let error = asked("latency.p98").expect_err("there is none");
    assert!(error.contains("`latency.p98`"), "{error}");
}

#[test]
fn the_noise_of_the_old_seeds_counts_where_it_is_larger() {
    let side = |factor: f64| {
        let mut summary = Summary::default();
        for seed in 0..10_u64 {
            // Far apart from seed to seed, and each a little slower.
            let p99 = if seed % 2 == 0 { 10.0 } else { 40.0 } * factor;
            summary.row(("a", "model", "", seed), "pass", [1.0, p99, 1.0, 1.0]);
        }
        summary.results("runs")
    };
    let diff = Diff::of(&side(1.0), &side(1.05), &NOISE).expect("comparable");
    assert!(!diff.is_worse());
    let p99 = diff.findings.iter().find(|finding| finding.metric == "latency.p99").expect("there");
    assert!(p99.judged.corrected < 0.05 && p99.floor.percent() > 50.0, "{p99:?}");
}

fn told() -> impl Strategy<Value = (u64, f64, f64, bool)> {
    (0..20_u64, 0.0..100.0_f64, 0.0..1.0_f64, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_directory_against_itself_shows_nothing(
        runs in proptest::collection::vec((0..3_u8, told()), 0..30)
    ) {
        let mut summary = Summary::default();
        let mut seen = std::collections::BTreeSet::new();
        for (scenario, (seed, p99, success, passed)) in runs {
            if seen.insert((scenario, seed)) {
                let verdict = if passed { "pass" } else { "fail" };
                let name = format!("s{scenario}");
                summary.row((&name, "sim", "", seed), verdict, [p99 / 2.0, p99, success, 1.0]);
            }
        }
        let results = summary.results("same");
        let diff = Diff::of(&results, &results.clone(), &NOISE).expect("comparable");
        prop_assert!(diff.findings.iter().all(|f| f.standing == Standing::Unchanged));
        prop_assert!(diff.turns.is_empty() && diff.changes.is_empty() && !diff.is_worse());
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// What did not change may be found to by chance, and by as much as the floor in one direction and a little less in the other: a
    /// ratio and its inverse are not equally far from 1. But never worse in both.
    #[test]
    fn what_got_worse_one_way_got_better_the_other(seed in 0..1000_u64) {
        let (a, b) = (ten_seeds(seed, 1.0), ten_seeds(seed + 5000, 1.3));
        let there = Diff::of(&a, &b, &NOISE).expect("comparable");
        let back = Diff::of(&b, &a, &NOISE).expect("comparable");
        let names = |diff: &Diff, standing| {
            let mut names: Vec<String> = diff.found(standing).map(|f| f.metric.clone()).collect();
            names.sort();
            names
        };
        let (worse, better) = (names(&there, Standing::Worse), names(&back, Standing::Better));
        for slower in ["latency.p50", "latency.p99"].map(str::to_owned) {
            prop_assert!(worse.contains(&slower) && better.contains(&slower), "{slower}");
        }
        let both = names(&back, Standing::Worse).into_iter().find(|name| worse.contains(name));
        prop_assert_eq!(both, None);
    }
}

#[test]
fn the_reader_takes_what_run_wrote() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let suite = sample::suite(0.1);
    reports::write_all(directory.path(), &suite).expect("written");
    let results = Results::read(directory.path()).expect("read");
    assert_eq!(results.runs.len(), suite.runs.len());
    let with = |of: &dyn Fn(&Told) -> bool| results.runs.values().filter(|told| of(told)).count();
    assert_eq!(with(&|told| told.configuration.is_some()), suite.runs.len());
    let measured = suite.runs.iter().filter(|run| !run.measurement.intervals.is_empty()).count();
    assert_eq!(with(&|told| told.latency.is_some_and(|print| print != 0)), measured);
    let keys: Vec<&Key> = results.runs.keys().collect();
    assert!(keys.is_sorted());
    // The third file alone tells two runs apart that have the same summary.
    let mut other = results.clone();
    let told = other.runs.values_mut().find(|told| told.latency.is_some_and(|print| print != 0));
    told.expect("one that was measured").latency = Some(1);
    let diff = Diff::of(&results, &other, &NOISE).expect("comparable");
    assert_eq!((diff.changes.len(), diff.is_worse()), (1, false));
}

mod sample;
