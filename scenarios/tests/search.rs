//! `windtunnel search`: that it finds what theory says, what it writes, and what it refuses.

use std::{fs, path::Path, process::Output};

use assert_cmd::Command;

/// One server that takes 10 ms in the mean: μ = 100/s, and a mean response time of 1/(μ − λ).
const M_M_1: &str = r#"
description = "One server and one queue."
seed = 7
duration = "400s"
warmup = "20s"
[backends.web]
count = 1
workers = 1
queue = 100000
service = { exponential = { mean = "10ms" } }
[load.browse]
arrivals = { poisson = { rate = 10.0 } }
request = [{ path = "/" }]
[thresholds]
"latency.mean" = "<= 40ms"
"#;

fn search(directory: &Path, scenario: &str, more: &[&str]) -> Output {
    let file = directory.join("queue.toml");
    fs::write(&file, scenario).expect("a scratch file");
    Command::cargo_bin("windtunnel")
        .expect("the program")
        .arg("search")
        .arg(file)
        .arg("--out")
        .arg(directory.join("out"))
        .args(more)
        .output()
        .expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The rows of search.csv: column names to values.
fn rows(directory: &Path) -> Vec<Vec<(String, String)>> {
    let text = fs::read_to_string(directory.join("out/search.csv")).expect("written");
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().expect("a head").split(',').collect();
    let row = |line: &str| {
        head.iter().map(|h| (*h).to_owned()).zip(line.split(',').map(str::to_owned)).collect()
    };
    lines.map(row).collect()
}

fn cell<'a>(row: &'a [(String, String)], name: &str) -> &'a str {
    row.iter().find(|(head, _)| head == name).map_or("", |(_, value)| value)
}

#[test]
fn one_server_carries_what_theory_says() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let output = search(directory.path(), M_M_1, &["--seeds", "5"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let rows = rows(directory.path());
    let row = rows.iter().find(|row| cell(row, "result") == "capacity").expect("a capacity");
    let rate = 10.0 * cell(row, "load_factor").parse::<f64>().expect("a number");
    // λ = μ − 1/T = 75/s. Measured over 1,600 s with five seeds, the mean response time at ρ = 0.75 has a standard error of
    // about 1.5 %, and dλ/λ = (1/T)/λ · dT/T is a third of that; the rest is the precision and how the confirmation chooses.
    assert!((72.0..=77.0).contains(&rate), "{rate}/s where 75/s was due\n{}", said(&output));
    assert_eq!(cell(row, "kind"), "confirm");
    let above = rows.iter().find(|row| cell(row, "result") == "above").expect("one above");
    assert_eq!(cell(above, "holds"), "false");
    assert_eq!(cell(above, "broke"), "latency.mean <= 40ms");
}

#[test]
fn variants_stand_by_what_they_carry_and_the_same_seed_gives_the_same_bytes() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let short = ["--set", "duration=60s", "--vary", "backends.web.workers=1,2", "--seeds", "1"];
    let run = |jobs: &str| {
        let output = search(directory.path(), M_M_1, &[&short[..], &["--jobs", jobs]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let files = ["index.html", "search.csv", "timeseries.csv", "junit.xml", "summary.md"];
        files.map(|name| fs::read(directory.path().join("out").join(name)).expect("written"))
    };
    let first = run("1");
    assert!(first == run("2"), "the files differ");
    let text = String::from_utf8(first[1].clone()).expect("text");
    let variant = text.lines().nth(1).expect("a row");
    assert!(variant.contains("backends.web.workers=2"), "two carry more: {variant}");
    // A run that confirmed each, four times as long.
    let courses = String::from_utf8(first[2].clone()).expect("text");
    for workers in ["1", "2"] {
        let variant = format!("backends.web.workers={workers}; ");
        let last = courses.lines().rfind(|row| row.contains(&variant)).expect("a course");
        assert!(last.contains("duration=240s") && last.contains(",239,"), "{last}");
    }
}

#[test]
fn closed_loops_are_scaled_by_their_users() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let closed = M_M_1.replace(
        "arrivals = { poisson = { rate = 10.0 } }",
        "users = 2\nthink = { exponential = { mean = \"1s\" } }",
    );
    let output = search(directory.path(), &closed, &["--set", "duration=60s", "--precision", "5%"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("latency.mean <= 40ms (4"), "{}", said(&output));
}

#[test]
fn where_nothing_holds_the_exit_code_is_one() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let set = [r#"thresholds={ "latency.min" = "> 1h" }"#, "duration=25s"];
    let output =
        search(directory.path(), M_M_1, &["--set", set[0], "--set", set[1], "--seeds", "1"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("No variant holds"), "{}", said(&output));
    let junit = fs::read_to_string(directory.path().join("out/junit.xml")).expect("written");
    assert!(junit.contains("failures=\"1\"") && junit.contains("errors=\"0\""), "{junit}");
}

#[test]
fn where_everything_holds_it_says_how_far_it_was_tried() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let set = [r#"thresholds={ "latency.min" = ">= 0" }"#, "duration=21s"];
    let output =
        search(directory.path(), M_M_1, &["--set", set[0], "--set", set[1], "--seeds", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    // Far beyond what one server can answer, connections are the end: then not everything is sent.
    assert!(said(&output).contains("It carries"), "{}", said(&output));
}

#[test]
fn what_cannot_be_searched_is_bad_usage() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    for (more, why) in [
        (vec!["--load", "none"], "no load is called `none`; there is browse"),
        (vec!["--metric", "latency.p98"], "no metric is called `latency.p98`"),
        (vec!["--set", "thresholds={}"], "has no [thresholds]"),
        (vec!["--precision", "0"], "write a part from 0.01%"),
        (vec!["--from", "0"], "write a factor"),
    ] {
        let output = search(directory.path(), M_M_1, &more);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", said(&output));
        assert!(said(&output).contains(why), "{more:?}: {}", said(&output));
    }
    let nowhere = Command::cargo_bin("windtunnel")
        .expect("the program")
        .args(["search", "nowhere.toml"])
        .output()
        .expect("it runs");
    assert_ne!(nowhere.status.code(), Some(0));
}
