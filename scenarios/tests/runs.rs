//! `windtunnel run` as a CI job sees it: verdicts, exit codes and files.
//!
//! The runs are real, short and closed loops: a closed loop asks for no rate, so however slow the machine is, the
//! measurement is valid. Every threshold here holds or fails by construction.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use assert_cmd::cargo::cargo_bin;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Four users for a third of a second, and endpoints that take 10 ms.
const SMALL: &str = r#"
seed = 7
duration = "300ms"
[backends.web]
count = 2
workers = 8
service = { constant = "10ms" }
[load.browse]
users = 4
think = { constant = "5ms" }
"#;

const HOLDS: &str = "[thresholds]\nsuccess_ratio = \"== 1\"\n";
/// Nothing is served in less than its service time.
const FAILS: &str = "[thresholds]\n\"service_time.min\" = \"<= 1ms\"\n";

struct Suite {
    directory: TempDir,
}

impl Suite {
    fn new(scenarios: &[(&str, String)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("suite")).expect("created");
        for (name, text) in scenarios {
            fs::write(directory.path().join(format!("suite/{name}.toml")), text).expect("written");
        }
        Self { directory }
    }

    /// In the suite's directory, so that no path in the output is this machine's.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(cargo_bin("windtunnel"));
        command.args(arguments).env("NO_COLOR", "1").current_dir(&self.directory);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(&[&["run"], arguments].concat()).output().expect("it starts");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8(text).expect("text"))
    }

    fn file(&self, path: &str) -> String {
        let path = self.directory.path().join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Two columns of the summary, row by row.
    fn rows(&self, report: &str, columns: [&str; 2]) -> Vec<[String; 2]> {
        let text = self.file(&format!("{report}/summary.csv"));
        let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let head = lines.next().expect("a head");
        let index = columns.map(|column| {
            head.iter().position(|name| *name == column).expect("the column is there")
        });
        lines.map(|line| index.map(|at| line[at].to_owned())).collect()
    }
}

fn with(scenario: &str, more: &str) -> String {
    format!("{scenario}{more}")
}

#[test]
fn what_holds_passes_and_every_file_is_there() {
    let suite = Suite::new(&[("small", with(SMALL, HOLDS))]);
    let (code, text) = suite.run(&["suite"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("1 run: 1 passed"), "{text}");
    for file in [
        "index.html",
        "summary.csv",
        "timeseries.csv",
        "latency.hlog",
        "results.jsonl",
        "junit.xml",
        "summary.md",
        "manifest.json",
    ] {
        assert!(!suite.file(&format!("windtunnel-report/{file}")).is_empty(), "{file}");
    }
    let contract = "schema_version,scenario,world,variant,seed,verdict,requests,ok,failed,timed_out,refused,dropped,\
                    rate_rps,success_ratio,latency_mean_ms,latency_p50_ms,latency_p90_ms,latency_p99_ms,\
                    latency_p999_ms,latency_max_ms,service_time_p50_ms,service_time_p99_ms,retries,imbalance";
    let summary = suite.file("windtunnel-report/summary.csv");
    assert!(summary.starts_with(contract), "{summary}");
    assert_eq!(
        suite.rows("windtunnel-report", ["scenario", "verdict"]),
        [["small".to_owned(), "pass".to_owned()]]
    );
    let junit = suite.file("windtunnel-report/junit.xml");
    let junit = quick_junit::Report::deserialize_from_str(&junit).expect("JUnit");
    // The threshold, and every invariant of a world that watches over itself.
    assert_eq!((junit.tests, junit.failures, junit.errors), (9, 0, 0));
    assert_eq!(junit.test_suites[0].test_cases[0].name.as_str(), "success_ratio == 1");
}

#[test]
fn what_fails_names_the_threshold_the_value_and_the_command() {
    let suite = Suite::new(&[("small", with(SMALL, FAILS))]);
    let (code, text) = suite.run(&[
        "suite/small.toml",
        "--world",
        "live",
        "--seed",
        "9",
        "--set",
        "load.browse.users=3",
    ]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("service_time.min is ") && text.contains(" ms, must be <= 1 ms"),
        "{text}"
    );
    let command = "windtunnel run suite/small.toml --world live --seed 9 --set load.browse.users=3";
    assert!(text.contains(&format!("repeat: {command}\n")), "{text}");
    let junit = suite.file("windtunnel-report/junit.xml");
    let junit = quick_junit::Report::deserialize_from_str(&junit).expect("JUnit");
    assert_eq!((junit.tests, junit.failures, junit.errors), (1, 1, 0));
    // The command does what it says.
    let arguments: Vec<&str> = command.split(' ').skip(2).collect();
    assert_eq!(suite.run(&arguments).0, 1);
}

#[test]
fn a_misspelt_key_is_found_before_anything_runs() {
    let suite = Suite::new(&[
        ("good", with(SMALL, HOLDS)),
        ("misspelt", with(SMALL, HOLDS).replace("workers", "wrokers")),
    ]);
    let (code, text) = suite.run(&["suite"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("suite/misspelt.toml:6:1"), "{text}");
    assert!(text.contains("did you mean `workers`?"), "{text}");
    assert!(!suite.directory.path().join("windtunnel-report").exists());
}

#[test]
fn a_counter_that_the_proxy_has_not_is_no_threshold() {
    let text = with(SMALL, "[thresholds]\n\"proxy.upstream_conects\" = \"<= 9\"\n");
    let suite = Suite::new(&[("small", text)]);
    let (code, text) = suite.run(&["suite"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("did you mean `proxy.upstream_connects`?"), "{text}");
}

#[test]
fn nothing_there_is_four() {
    let suite = Suite::new(&[]);
    assert_eq!(suite.run(&["suite"]).0, 4);
}

#[test]
fn nobody_said_where_so_it_is_the_first_world_that_is_allowed() {
    let only =
        |worlds: &str| with(SMALL, HOLDS).replacen("seed", &format!("worlds = {worlds}\nseed"), 1);
    let suite = Suite::new(&[
        ("a", with(SMALL, HOLDS)),
        ("b", only(r#"["live", "model"]"#)),
        ("c", only(r#"["live"]"#)),
    ]);
    let (code, text) = suite.run(&["suite"]);
    assert_eq!(code, 0, "{text}");
    let worlds = suite.rows("windtunnel-report", ["scenario", "world"]);
    assert_eq!(worlds, [["a", "sim"], ["b", "model"], ["c", "live"]]);
}

#[test]
fn all_worlds_are_one_report_in_the_order_of_the_plan() {
    let suite = Suite::new(&[("a", with(SMALL, HOLDS)), ("b", with(SMALL, HOLDS))]);
    let (code, text) = suite.run(&["suite", "--world", "all"]);
    assert_eq!(code, 0, "{text}");
    let worlds = suite.rows("windtunnel-report", ["scenario", "world"]);
    let each = |name: &'static str| ["sim", "model", "live"].map(|world| [name, world]);
    assert_eq!(worlds, [each("a"), each("b")].concat());
}

#[test]
fn an_unreachable_rate_is_no_measurement() {
    // A million requests a second over ten connections to endpoints that take 10 ms each.
    let flood =
        "[load.flood]\narrivals = { constant = { rate = 1000000 } }\nmax_connections = 10\n";
    let suite = Suite::new(&[("flood", with(&SMALL.replace("300ms", "100ms"), flood))]);
    let (code, text) = suite.run(&["suite", "--world", "live"]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("ask for a lower rate"), "{text}");
    assert_eq!(suite.rows("windtunnel-report", ["verdict", "seed"])[0][0], "invalid");
}

#[test]
fn a_run_that_cannot_be_carried_out_is_three_and_the_suite_goes_on() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it is bound");
    let admin = format!("[proxy.admin]\nenabled = true\nlisten = \"{address}\"\n");
    let suite = Suite::new(&[("a", with(SMALL, &admin)), ("b", with(SMALL, HOLDS))]);
    let (code, text) = suite.run(&["suite", "--world", "live"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains(&format!("cannot listen on {address}")), "{text}");
    let verdicts = suite.rows("windtunnel-report", ["scenario", "verdict"]);
    assert_eq!(verdicts, [["a", "error"], ["b", "pass"]]);
}

#[test]
fn the_first_failure_can_be_the_last_run() {
    let suite = Suite::new(&[
        ("a", with(SMALL, HOLDS)),
        ("b", with(SMALL, FAILS)),
        ("c", with(SMALL, HOLDS)),
    ]);
    // However many go on at once.
    for (world, jobs) in [("live", "1"), ("sim", "1"), ("sim", "3"), ("model", "2")] {
        let arguments = ["suite", "--fail-fast", "--world", world, "--jobs", jobs];
        let (code, text) = suite.run(&arguments);
        assert_eq!(code, 1, "{text}");
        let verdicts = suite.rows("windtunnel-report", ["scenario", "verdict"]);
        assert_eq!(verdicts, [["a", "pass"], ["b", "fail"]]);
    }
}

#[test]
fn seeds_go_up_from_the_one_that_was_given() {
    let suite = Suite::new(&[("a", with(SMALL, HOLDS)), ("b", with(SMALL, FAILS))]);
    let arguments = ["suite", "--filter", "a", "--seed", "40", "--repeat", "2", "--out", "r"];
    let (code, text) = suite.run(&arguments);
    assert_eq!(code, 0, "{text}");
    assert_eq!(suite.rows("r", ["scenario", "seed"]), [["a", "40"], ["a", "41"]]);
}

#[test]
fn two_shards_are_the_suite() {
    let names = ["a", "b", "c"];
    let suite = Suite::new(&names.map(|name| (name, with(SMALL, HOLDS))));
    let mut seen = Vec::new();
    for part in ["1", "2"] {
        let (code, text) = suite.run(&["suite", "--shard", &format!("{part}/2"), "--out", part]);
        assert_eq!(code, 0, "{text}");
        seen.extend(suite.rows(part, ["scenario", "verdict"]).into_iter().map(|[name, _]| name));
    }
    seen.sort();
    assert_eq!(seen, names);
    assert_eq!(suite.run(&["suite", "--shard", "4/4"]).0, 4);
}

fn pause(span: Duration) {
    let (_sender, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(span);
}

#[test]
fn interrupted_it_still_reports() {
    // Half a day of virtual time with a hundred users, and a minute of real time, are more than anybody waits for.
    let endless = SMALL.replace("300ms", "12h").replace("users = 4", "users = 100");
    let long = SMALL.replace("300ms", "60s");
    for (text, world) in [(long, "live"), (endless.clone(), "sim"), (endless, "model")] {
        let suite = Suite::new(&[("a", with(&text, HOLDS)), ("b", with(&text, HOLDS))]);
        for signal in [Signal::INT, Signal::TERM] {
            interrupt(&suite, world, signal);
        }
    }
}

fn interrupt(suite: &Suite, world: &str, signal: Signal) {
    let arguments = ["run", "suite", "--world", world, "--jobs", "1"];
    let mut child = suite.command(&arguments).spawn().expect("it starts");
    let mut err = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    err.read_line(&mut line).expect("it announces the runs");
    assert!(line.starts_with("2 runs"), "{line}");
    // Wherever it is now, the signal is for it already.
    pause(Duration::from_millis(500));
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
    kill_process(pid, signal).expect("it runs");
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest}");
    let report = suite.directory.path().join("windtunnel-report");
    assert!(Path::new(&report).join("index.html").exists());
    assert_eq!(
        suite.rows("windtunnel-report", ["scenario", "verdict"]),
        [["a".to_owned(), "error".to_owned()]]
    );
    fs::remove_dir_all(report).expect("removed");
}

#[test]
fn help() {
    let suite = Suite::new(&[]);
    for (name, arguments) in [("help", vec!["--help"]), ("help_run", vec!["run", "--help"])] {
        let output = suite.command(&arguments).output().expect("it starts");
        assert_eq!(output.status.code(), Some(0));
        insta::assert_snapshot!(name, String::from_utf8(output.stdout).expect("text"));
    }
}
