//! What `search` and `compare` end with when they cannot answer: a run that could not be carried out, a generator that could not send, a person who
//! has seen enough. (What they end with when they can is beside what they say: `search`, `compare`.)

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use assert_cmd::cargo::cargo_bin;

const SCENARIO: &str = r#"
seed = 7
duration = "2s"
[backends.web]
count = 2
service = { constant = "1ms" }
[load.browse]
arrivals = { poisson = { rate = 20.0 } }
request = [{ path = "/" }]
[thresholds]
"latency.mean" = "<= 1s"
[matrix]
"proxy.balance.strategy" = ["random", "p2c"]
"#;

fn command(directory: &Path, name: &str, more: &[&str]) -> Command {
    let file = directory.join("it.toml");
    fs::write(&file, SCENARIO).expect("a scratch file");
    let mut command = Command::new(cargo_bin("windtunnel"));
    command.arg(name).arg(file).arg("--out").arg(directory.join("out")).args(more);
    command
}

fn run(name: &str, more: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a scratch directory");
    ended(&command(directory.path(), name, more).output().expect("it runs"))
}

fn ended(output: &Output) -> (Option<i32>, String) {
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    (output.status.code(), said.concat())
}

#[test]
fn three_where_a_run_cannot_be_carried_out() {
    for (name, why) in [("search", "could not be run"), ("compare", "connections` is 1")] {
        // More clients than the proxy takes: in the model there is no backlog for them to wait in.
        let more = ["--world", "model", "--set", "proxy.limits.connections=1", "--seeds", "1"];
        let (code, said) = run(name, &more);
        assert_eq!(code, Some(3), "{name}: {said}");
        assert!(said.contains(why), "{name}: {said}");
    }
}

#[test]
fn three_where_the_report_cannot_be_written() {
    for name in ["search", "compare"] {
        let directory = tempfile::tempdir().expect("a scratch directory");
        fs::write(directory.path().join("out"), "a file").expect("a scratch file");
        let output = command(directory.path(), name, &["--seeds", "1"]).output().expect("it runs");
        let (code, said) = ended(&output);
        assert_eq!(code, Some(3), "{name}: {said}");
        assert!(said.contains("cannot write to"), "{name}: {said}");
    }
}

#[test]
fn four_where_there_is_no_scenario() {
    for name in ["search", "compare"] {
        let directory = tempfile::tempdir().expect("a scratch directory");
        let output = Command::new(cargo_bin("windtunnel")).arg(name).arg(directory.path()).output();
        let (code, said) = ended(&output.expect("it runs"));
        assert_eq!(code, Some(4), "{name}: {said}");
    }
}

#[test]
fn five_where_the_generator_could_not_send() {
    // Over one connection with answers of 200 ms go five requests a second, whoever serves them, and twenty are due.
    let search = [
        "--world",
        "live",
        "--seeds",
        "1",
        "--precision",
        "100%",
        "--vary",
        "proxy.balance.strategy=random",
        "--set",
        "load.browse.max_connections=1",
        "--set",
        "backends.web.service={ constant = \"200ms\" }",
        "--set",
        "duration=1s",
    ];
    let (code, said) = run("search", &search);
    assert_eq!(code, Some(5), "{said}");
    let compare = [
        "--world",
        "model",
        "--seeds",
        "2",
        "--set",
        "load.browse.max_connections=1",
        "--set",
        "backends.web.service={ constant = \"200ms\" }",
    ];
    let (code, said) = run("compare", &compare);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("; and 5 other runs"), "{said}");
}

/// Interrupts it once it listens to signals.
#[cfg(target_os = "linux")]
fn interrupted(name: &str, more: &[&str]) -> (Option<i32>, String, bool) {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let mut command = command(directory.path(), name, more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it runs");
    let tasks = format!("/proc/{}/task", child.id());
    let listens = || {
        let tasks = fs::read_dir(&tasks).into_iter().flatten().flatten();
        let mut names = tasks.map(|task| fs::read_to_string(task.path().join("comm")));
        names.any(|name| name.is_ok_and(|name| name.trim() == "signals"))
    };
    while !listens() {
        std::thread::yield_now();
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("it runs").success());
    let (code, said) = ended(&child.wait_with_output().expect("it ends"));
    (code, said, directory.path().join("out/index.html").exists())
}

#[cfg(target_os = "linux")]
#[test]
fn a_hundred_and_thirty_where_it_is_interrupted() {
    for (name, what) in [("search", "half a search"), ("compare", "half a comparison")] {
        // Hours, if nobody wanted the end.
        let more = ["--world", "live", "--set", "duration=200s", "--seeds", "100"];
        let (code, said, reported) = interrupted(name, &more);
        assert_eq!(code, Some(130), "{name}: {said}");
        assert!(said.contains(what), "{name}: {said}");
        assert!(!reported, "{name}: {said}");
    }
}
