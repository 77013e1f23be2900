//! `windtunnel compare`: what it answers, what it writes, and what it refuses.

use std::{fs, path::Path, process::Output};

use assert_cmd::Command;

const SCENARIO: &str = r#"
description = "One endpoint of four is slow."
seed = 7
duration = "4s"
warmup = "1s"
[backends.web]
count = 4
workers = 4
service = { exponential = { mean = "10ms" } }
[load.browse]
arrivals = { poisson = { rate = 400.0 } }
request = [{ path = "/" }]
[[events]]
at = "0s"
slow = { endpoint = "web-1", factor = 8.0 }
[thresholds]
"latency.p99" = "<= 1s"
[matrix]
"proxy.balance.strategy" = ["round_robin", "least_connections", "random"]
"#;

fn compare(directory: &Path, out: &str, more: &[&str]) -> Output {
    let file = directory.join("slow.toml");
    fs::write(&file, SCENARIO).expect("a scratch file");
    Command::cargo_bin("windtunnel")
        .expect("the program")
        .arg("compare")
        .arg(file)
        .arg("--out")
        .arg(directory.join(out))
        .args(more)
        .output()
        .expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_best_comes_first_and_the_same_seed_gives_the_same_bytes() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let first = compare(directory.path(), "a", &["--jobs", "1"]);
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    let text = String::from_utf8_lossy(&first.stdout);
    assert!(text.contains("least_connections wins by latency.p99"), "{text}");
    assert!(text.lines().nth(1).is_some_and(|row| row.starts_with("least_connections")), "{text}");
    assert!(text.contains("10 A/A pairs"), "{text}");
    let second = compare(directory.path(), "b", &["--jobs", "2"]);
    assert_eq!(second.status.code(), Some(0));
    let mut names: Vec<String> = fs::read_dir(directory.path().join("a"))
        .expect("written")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let all = [
        "compare.csv",
        "index.html",
        "junit.xml",
        "knee.csv",
        "manifest.json",
        "summary.csv",
        "summary.md",
        "timeseries.csv",
    ];
    assert_eq!(names, all);
    for name in all.into_iter().filter(|name| *name != "manifest.json") {
        let [a, b] = ["a", "b"].map(|out| fs::read(directory.path().join(out).join(name)));
        assert!(a.expect("written") == b.expect("written"), "{name} differs");
    }
    let pairs = fs::read_to_string(directory.path().join("a/compare.csv")).expect("written");
    let of = |kind: &str| pairs.lines().filter(|line| line.contains(kind)).count();
    // Each variant and each metric has ten pairs, and so has the baseline against itself.
    assert_eq!(of(",paired,"), 3 * of(",a_a,"));
    assert_eq!(of(",a_a,") % 10, 0);
    // The directories can be held against each other; a page is not made of them again.
    let report = |arguments: &[&str]| {
        let mut program = Command::cargo_bin("windtunnel").expect("the program");
        program.arg("report").args(arguments).current_dir(directory.path()).output().expect("runs")
    };
    let diff = report(&["diff", "a", "b"]);
    assert_eq!(diff.status.code(), Some(0), "{}", said(&diff));
    assert!(said(&diff).contains("40 pairs of runs"), "{}", said(&diff));
    let again = report(&["a", "--out", "again"]);
    assert_eq!(again.status.code(), Some(2), "{}", said(&again));
    assert!(said(&again).contains("`windtunnel compare` wrote it"), "{}", said(&again));
}

#[test]
fn the_knee_has_every_variant_at_every_load() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let read = |path: &str| fs::read_to_string(directory.path().join(path));
    let output = compare(directory.path(), "a", &["--seeds", "3", "--metric", "latency.mean"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(read("a/index.html").expect("written").contains("<strong>The knee</strong>"));
    let knee = read("a/knee.csv").expect("written");
    let rows: Vec<Vec<&str>> = knee.lines().skip(1).map(|line| line.split(',').collect()).collect();
    // Three variants, ten loads with two seeds each; the scenario's own load is among them and was not run again.
    assert_eq!(rows.len(), 3 * 10 * 2, "{knee}");
    let number = |cell: &str| cell.parse::<f64>().expect("a number");
    for row in &rows {
        let (factor, rate) = (number(row[3]), number(row[5]));
        assert!((rate / (400.0 * factor) - 1.0).abs() < 0.2, "{row:?}");
    }
    let own = |row: &&Vec<&str>| row[2] == "random" && row[3] == "1" && row[4] == "7";
    let value = rows.iter().find(own).expect("it is there")[7];
    let pairs = read("a/compare.csv").expect("written");
    let same = |line: &&str| line.contains("=random,paired,7,latency.mean,");
    let pair = pairs.lines().find(same).expect("it is there");
    assert!(pair.contains(&format!("latency.mean,{value},")), "{pair} and {value}");
    let mean = |variant: &str, factor: &str| {
        let of = |row: &&Vec<&str>| row[2] == variant && row[3] == factor;
        number(rows.iter().find(of).expect("it is there")[7])
    };
    // Four endpoints of four workers serve 1,300 a second; at six times 400 nobody does.
    assert!(mean("least_connections", "0.25") * 5.0 < mean("least_connections", "6"));
    // Without one, none of an earlier comparison is left.
    let output = compare(directory.path(), "a", &["--seeds", "3", "--knee", "never"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(read("a/knee.csv").is_err());
    assert!(!read("a/index.html").expect("written").contains("The knee"));
}

#[test]
fn a_knee_that_cannot_be_drawn_says_why() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let rate = "load.browse.arrivals={ poisson = { rate = 400.0 } }";
    let values: Vec<String> = (1..=25).map(|workers| workers.to_string()).collect();
    let vary = format!("backends.web.workers={}", values.join(","));
    let more = ["--seeds", "1", "--vary", &vary, "--set", rate, "--set", "duration=2s"];
    let output = compare(directory.path(), "a", &more);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let page = fs::read_to_string(directory.path().join("a/index.html")).expect("written");
    assert!(page.contains("is drawn for 24 variants at most; vary less."), "{page}");
    assert!(!directory.path().join("a/knee.csv").exists());
}

#[test]
fn a_variant_against_its_like_is_no_difference() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    // Two ways to write the same.
    let vary = r#"proxy.balance.strategy=p2c,{ strategy = "p2c", choices = 2 }"#;
    let output = compare(directory.path(), "a", &["--vary", vary]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("no difference"), "{}", said(&output));
}

#[test]
fn few_seeds_are_said_to_be_few() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let output = compare(directory.path(), "a", &["--seeds", "3"]);
    assert!(said(&output).contains("3 seeds are too few"), "{}", said(&output));
}

#[test]
fn what_cannot_be_compared_is_bad_usage() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    for (more, why) in [
        (vec!["--metric", "latency.p98"], "no metric is called `latency.p98`"),
        (vec!["--baseline", "none"], "no variant is `none`"),
        (vec!["--set", "proxy.balance.strategy=p2c"], "takes two to compare"),
        (vec!["--vary", "proxy.balance.strategy=p2c,nonsense"], "nonsense"),
    ] {
        let output = compare(directory.path(), "a", &more);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", said(&output));
        assert!(said(&output).contains(why), "{more:?}: {}", said(&output));
    }
}
