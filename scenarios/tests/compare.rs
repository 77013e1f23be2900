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
    for name in ["index.html", "compare.csv", "summary.csv"] {
        let [a, b] = ["a", "b"].map(|out| fs::read(directory.path().join(out).join(name)));
        assert!(a.expect("written") == b.expect("written"), "{name} differs");
    }
    let pairs = fs::read_to_string(directory.path().join("a/compare.csv")).expect("written");
    let of = |kind: &str| pairs.lines().filter(|line| line.contains(kind)).count();
    // Each variant and each metric has ten pairs, and so has the baseline against itself.
    assert_eq!(of(",paired,"), 3 * of(",a_a,"));
    assert_eq!(of(",a_a,") % 10, 0);
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
