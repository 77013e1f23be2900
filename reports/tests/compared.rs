//! What a comparison and a search leave for a CI system: that it says the same as the exit code, and that nothing of an earlier
//! report stays beside it.

#[expect(dead_code, reason = "the suite of the other tests is not needed here")]
mod sample;

use reports::{
    Manifest, Run, Suite, Unit, Verdict, World,
    compare::{self, Contrast, knee},
    diff::Results,
    files, results, search,
};
use sample::{Plan, invariants, judge, manifest, run, threshold};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Two variants with three seeds each, then the baseline again: `slow` does not keep its threshold.
fn runs() -> Vec<Run> {
    let one = |strategy: &str, mean_ms: f64, seed: u64| {
        let mut plan = Plan::new(4.0, 200.0);
        plan.seed = seed;
        // Not the same with every seed, and the middle one is not the first.
        plan.mean_ms = mean_ms * [1.0, 1.4, 1.2][seed as usize % 3];
        let mut run = run("compare/slow", "One endpoint is slow.", World::Model, &plan);
        run.variant = vec![("proxy.balance.strategy".to_owned(), strategy.to_owned())];
        run.seed = seed;
        let limit = threshold(&run.measurement, "latency.mean", "<=", 60.0, Unit::Milliseconds);
        run.thresholds = vec![limit];
        judge(&mut run);
        run
    };
    let all =
        |strategy: &'static str, mean, from| (from..from + 3).map(move |s| one(strategy, mean, s));
    all("slow", 90.0, 6).chain(all("fast", 10.0, 6)).chain(all("slow", 90.0, 9)).collect()
}

fn contrast(runs: &[Run]) -> Contrast<'_> {
    let group = |place: usize| runs[3 * place..3 * place + 3].iter().collect::<Vec<&Run>>();
    let variants = vec![("slow".to_owned(), group(0)), ("fast".to_owned(), group(1))];
    Contrast::new("latency.mean", variants, 0, group(2))
}

fn ladder(runs: &[Run]) -> knee::Knee {
    let step =
        |run: &Run| knee::Step { factor: 1.0, runs: vec![knee::Figures::of(run, "latency.mean")] };
    let line = |run: &Run| knee::Line { label: run.variant[0].1.clone(), steps: vec![step(run)] };
    knee::Knee { lines: vec![line(&runs[0]), line(&runs[3])], seeds: 1, ..knee::Knee::default() }
}

fn junit(contrast: &Contrast<'_>, knee: Option<&knee::Knee>) -> String {
    String::from_utf8(compare::junit::report(contrast, knee).expect("in memory")).expect("text")
}

#[test]
fn a_comparison_for_ci() {
    let mut runs = runs();
    runs[4].invariants = invariants(2);
    runs[5].verdict = Verdict::Invalid("the fault hit nothing".to_owned());
    insta::assert_snapshot!("compare_junit", junit(&contrast(&runs), Some(&ladder(&runs))));
    insta::assert_snapshot!("compare_summary", compare::markdown::summary(&contrast(&runs), None));
}

#[test]
fn only_what_could_not_be_carried_out_is_an_error() {
    let mut runs = runs();
    let errors = |runs: &[Run], knee: &knee::Knee| {
        let contrast = contrast(runs);
        let xml = junit(&contrast, Some(knee));
        assert!(!xml.contains("<failure"), "{xml}");
        let is_broken = contrast.broken().is_some() || knee.broken.is_some();
        let said =
            compare::markdown::summary(&contrast, Some(knee)).contains("could not be carried out");
        assert_eq!((xml.contains("<error"), said), (is_broken, is_broken), "{xml}");
        is_broken
    };
    let mut knee = ladder(&runs);
    assert!(!errors(&runs, &knee), "a threshold that does not hold is none");
    knee.broken = Some(("no memory".to_owned(), "windtunnel run a.toml".to_owned()));
    assert!(errors(&runs, &knee));
    knee.broken = None;
    runs[7].verdict = Verdict::Error("no free port".to_owned());
    assert!(errors(&runs, &knee), "one of the A/A runs counts too");
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_directory_holds_one_report() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let here = directory.path();
    fs::write(here.join("mine.txt"), "not a report's").expect("written");
    let suite = Suite { runs: runs(), manifest: manifest() };
    files::write_all(here, &suite).expect("written");
    let all = [&files::FILES[..], &["mine.txt"]].concat();
    assert_eq!(names(here), set(&all));
    assert_eq!(results::read(here).expect("it is one of a suite").len(), 9);

    let contrast = contrast(&suite.runs);
    compare::write(here, &suite, &contrast, Some(&ladder(&suite.runs))).expect("written");
    let both =
        ["index.html", "timeseries.csv", "junit.xml", "summary.md", "manifest.json", "mine.txt"];
    let compared = [&both[..], &["compare.csv", "knee.csv", "summary.csv"]].concat();
    assert_eq!(names(here), set(&compared));
    // A run a variant, with the seed of the baseline's median: 8 of 6, 7 and 8.
    let courses = fs::read_to_string(here.join("timeseries.csv")).expect("written");
    let shown = |line: &str| line.split(',').skip(2).take(2).map(str::to_owned).collect::<Vec<_>>();
    let shown: BTreeSet<Vec<String>> = courses.lines().skip(1).map(shown).collect();
    let strategy = |name: &str| vec![format!("proxy.balance.strategy={name}"), "8".to_owned()];
    assert_eq!(shown, [strategy("fast"), strategy("slow")].into());
    assert!(fs::read_to_string(here.join("index.html")).expect("written").contains("with seed 8"));
    assert_eq!(Results::read(here).expect("it can be diffed").runs.len(), 9);
    let why = results::read(here).expect_err("it is none of a suite");
    assert!(why.contains("`windtunnel compare` wrote it"), "{why}");

    let study = study();
    search::write(here, &study, &suite.runs[..1], Manifest::default()).expect("written");
    assert_eq!(names(here), set(&[&both[..], &["search.csv"]].concat()));
    for why in [results::read(here).expect_err("none"), Results::read(here).expect_err("none")] {
        assert!(why.contains("`windtunnel search` wrote it"), "{why}");
    }
    files::write_all(here, &suite).expect("written");
    assert_eq!(names(here), set(&all));
}

fn study() -> search::Study {
    search::Study {
        scenario: "compare/slow".to_owned(),
        description: String::new(),
        world: World::Model,
        metric: "latency.mean".to_owned(),
        unit: Unit::Milliseconds,
        limit: None,
        thresholds: vec!["latency.mean <= 60ms".to_owned()],
        scaled: None,
        seed: 7,
        seeds: 3,
        precision: 0.01,
        confirmed: "runs 4 times as long with other seeds".to_owned(),
        capacities: Vec::new(),
    }
}
