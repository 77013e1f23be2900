//! `windtunnel report` and `report diff` as a CI job sees them.

use std::{collections::BTreeMap, fs, path::Path, process::Output};

use assert_cmd::Command;

/// One scenario of each kind: with a matrix, without, and one that fails.
const SCENARIOS: [(&str, &str); 3] = [
    ("a-matrix", "[matrix]\n\"proxy.balance.strategy\" = [\"round_robin\", \"p2c\"]\n"),
    ("b/steady", ""),
    ("c-slow", "[thresholds]\n\"latency.p50\" = \"<= 1ms\"\n"),
];

fn suite(directory: &Path) -> String {
    let suite = directory.join("suite");
    for (name, more) in SCENARIOS {
        let file = suite.join(format!("{name}.toml"));
        fs::create_dir_all(file.parent().expect("below the suite")).expect("a scratch directory");
        let text = format!(
            "description = \"About {name}.\"\nseed = 7\nduration = \"2s\"\nwarmup = \"500ms\"\n\
             worlds = [\"model\", \"sim\"]\n\
             [backends.web]\ncount = 3\nworkers = 2\nservice = {{ exponential = {{ mean = \"10ms\" }} }}\n\
             [load.browse]\narrivals = {{ poisson = {{ rate = 200.0 }} }}\nrequest = [{{ path = \"/\" }}]\n\
             [phases]\nlate = [\"1s\", \"2s\"]\n{more}"
        );
        fs::write(file, text).expect("written");
    }
    suite.display().to_string()
}

fn windtunnel(directory: &Path, arguments: &[&str]) -> Output {
    Command::cargo_bin("windtunnel")
        .expect("the program")
        .current_dir(directory)
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn ends(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
    said(output)
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, fs::read(path).expect("a file"))
    };
    fs::read_dir(directory).expect("a directory").map(entry).collect()
}

#[track_caller]
fn same(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, bytes) in one {
        assert!(other[name] == *bytes, "{name} differs");
    }
}

#[test]
fn a_report_is_written_again_byte_for_byte() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let here = directory.path();
    let suite = suite(here);
    ends(&windtunnel(here, &["run", &suite, "--world", "all", "--repeat", "2", "--out", "one"]), 1);
    // The verdict is still that of the runs.
    ends(&windtunnel(here, &["report", "one", "--out", "again"]), 1);
    let one = files(&here.join("one"));
    assert_eq!(one.len(), reports::files::FILES.len());
    same(&one, &files(&here.join("again")));
}

#[test]
fn shards_put_together_are_the_whole() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let here = directory.path();
    let suite = suite(here);
    let run = |more: &[&str]| {
        windtunnel(here, &[&["run", suite.as_str(), "--world", "all"], more].concat())
    };
    ends(&run(&["--out", "whole"]), 1);
    ends(&run(&["--out", "one", "--shard", "1/2"]), 1);
    ends(&run(&["--out", "two", "--shard", "2/2"]), 0);
    ends(&windtunnel(here, &["report", "two", "one", "--out", "merged"]), 1);
    let [mut whole, mut merged] = ["whole", "merged"].map(|name| files(&here.join(name)));
    let manifest = merged.remove("manifest.json").expect("written");
    whole.remove("manifest.json");
    same(&whole, &merged);
    let manifest = String::from_utf8(manifest).expect("text");
    assert!(manifest.contains("--shard 2/2; ") && manifest.contains("--shard 1/2"), "{manifest}");
    let twice = windtunnel(here, &["report", "whole", "one", "--out", "never"]);
    assert!(ends(&twice, 2).contains("seed 7 is in whole and in one"), "{}", said(&twice));
}

#[test]
fn a_regression_is_found_and_the_same_is_none() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let here = directory.path();
    let suite = suite(here);
    let run = |out: &str, more: &[&str]| {
        let all = ["run", suite.as_str(), "--world", "model", "--filter", "steady", "--out", out];
        ends(&windtunnel(here, &[&all[..], more].concat()), 0)
    };
    run("old", &["--repeat", "10"]);
    run("same", &["--repeat", "10", "--jobs", "1"]);
    let slower = ["--repeat", "10", "--set", "backends.web.service.exponential.mean=13ms"];
    run("slower", &slower);
    run("once", &[]);
    let diff = |new: &str, more: &[&str]| {
        windtunnel(here, &[&["report", "diff", "old", new], more].concat())
    };
    let same = ends(&diff("same", &[]), 0);
    assert!(!same.contains("worse") && !same.contains("Changed"), "{same}");
    let worse = ends(&diff("slower", &[]), 1);
    let first = worse.lines().take(4).collect::<Vec<_>>().join("\n");
    assert!(first.starts_with("worse\n") && first.contains("latency."), "{worse}");
    assert!(worse.contains("The configuration as resolved is not the same"), "{worse}");
    assert!(worse.contains("5 % over all groups"), "{worse}");
    let other_way = windtunnel(here, &["report", "diff", "slower", "old"]);
    assert!(ends(&other_way, 0).starts_with("better\n"), "{}", said(&other_way));
    // One metric alone, and a noise that swallows it.
    ends(&diff("slower", &["--metric", "phase.late.latency.mean"]), 1);
    ends(&diff("slower", &["--noise", "1000%"]), 0);
    // Every format, on the terminal and into a file.
    for (format, begins) in [
        ("github", "::error title=Worse%3A "),
        ("markdown", "# Windtunnel diff: ❌ worse"),
        ("json", "{\n  \"schema_version\": 1,"),
        ("customSmallerIsBetter", "[\n  {\n    \"name\": \"b/steady model: "),
        ("customBiggerIsBetter", "[\n  {\n    \"name\": \"b/steady model: ok\""),
        ("bencher", "{\n  \"b/steady model\": {"),
        ("text", "worse\n"),
    ] {
        let shown = diff("slower", &["--format", format]);
        assert!(ends(&shown, 1).starts_with(begins), "{format}: {}", said(&shown));
        let written = diff("slower", &["--format", format, "--out", "diff.txt"]);
        assert!(ends(&written, 1).starts_with("worse\n"), "{format}");
        let file = fs::read_to_string(here.join("diff.txt")).expect("written");
        assert_eq!(file, String::from_utf8_lossy(&shown.stdout), "{format}");
    }
    // With one seed nothing can be told, and it says what can be done.
    let few = windtunnel(here, &["report", "diff", "once", "slower"]);
    let few = ends(&few, 0);
    assert!(few.contains("Too few runs") && few.contains("--repeat 10"), "{few}");
}

#[test]
fn a_threshold_that_holds_no_more_needs_no_statistics() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let here = directory.path();
    let suite = suite(here);
    let run = |out: &str, more: &[&str], code: i32| {
        let all = ["run", suite.as_str(), "--world", "model", "--filter", "c-slow", "--out", out];
        ends(&windtunnel(here, &[&all[..], more].concat()), code);
    };
    run("old", &["--set", "thresholds.\"latency.p50\"=<= 1s"], 0);
    run("new", &[], 1);
    let turned = ends(&windtunnel(here, &["report", "diff", "old", "new"]), 1);
    assert!(turned.contains("c-slow model: pass → fail (seed 7)"), "{turned}");
    assert!(turned.contains("repeat: windtunnel run "), "{turned}");
    let back = ends(&windtunnel(here, &["report", "diff", "new", "old"]), 0);
    assert!(back.contains("c-slow model: fail → pass"), "{back}");
}

#[test]
fn the_same_seed_with_other_bytes_is_a_change() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let here = directory.path();
    let suite = suite(here);
    let run = ["run", suite.as_str(), "--world", "model", "--filter", "steady", "--out", "old"];
    ends(&windtunnel(here, &run), 0);
    fs::create_dir(here.join("new")).expect("a scratch directory");
    for (name, mut bytes) in files(&here.join("old")) {
        if name == "latency.hlog" {
            // A histogram of the run itself, so to say of another version of the program.
            let at = bytes.iter().rposition(u8::is_ascii_digit).expect("a digit");
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
        }
        fs::write(here.join("new").join(name), bytes).expect("written");
    }
    let changed = ends(&windtunnel(here, &["report", "diff", "old", "new"]), 0);
    assert!(changed.contains("Changed: "), "{changed}");
    assert!(changed.contains("b/steady model (1 of 1)"), "{changed}");
}

#[test]
fn what_is_no_result_is_bad_usage() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let here = directory.path();
    let head = "schema_version,scenario,world,variant,seed,verdict,latency_p99_ms\n";
    for (name, text) in [
        ("good", format!("{head}1,a,sim,,7,pass,1\n")),
        ("else", format!("{head}1,b,sim,,7,pass,1\n")),
        ("bad", format!("{head}1,a,sim,,7,pass,fast\n")),
    ] {
        fs::create_dir(here.join(name)).expect("a scratch directory");
        fs::write(here.join(name).join("summary.csv"), text).expect("written");
    }
    fs::create_dir(here.join("empty")).expect("a scratch directory");
    fs::create_dir(here.join("broken")).expect("a scratch directory");
    fs::write(here.join("broken/results.jsonl"), "{\"windtunnel\":").expect("written");
    for (arguments, code, why) in [
        (vec!["diff", "good", "bad"], 2, "bad/summary.csv:2:17: `fast` in the column"),
        (vec!["diff", "good", "empty"], 2, "empty has no summary.csv"),
        (vec!["diff", "good", "nowhere"], 2, "there is no directory nowhere"),
        (vec!["diff", "good", "else"], 4, "nothing can be compared"),
        (vec!["diff", "good", "good", "--metric", "latency.p42"], 2, "`latency.p42`"),
        (vec!["diff", "good", "good", "--noise", "loud"], 2, "write such as 2%"),
        (vec!["diff", "good"], 2, "<NEW>"),
        (vec!["diff", "good", "good"], 0, "unchanged"),
        (vec!["good"], 2, "good has no results.jsonl"),
        (vec!["broken"], 2, "broken/results.jsonl:1:14: "),
        (vec!["nowhere"], 2, "there is no directory nowhere"),
        (vec![], 2, "Usage: windtunnel report"),
    ] {
        let output = windtunnel(here, &[&["report"], &arguments[..]].concat());
        let text = ends(&output, code);
        assert!(text.contains(why), "{arguments:?}: {text}");
    }
}
