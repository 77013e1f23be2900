//! The live world by itself: events that overlap, counters, and what is left behind.

use scenarios::{
    interrupt::Interrupt,
    language::{Loaded, load_paths},
    live,
    outcome::{Outcome, Watcher},
};

struct Nobody;

impl Watcher for Nobody {
    fn at(&mut self, _: std::time::Duration, _: loadgen::Snapshot) {}
}

fn load(text: &str) -> Loaded {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("it.toml");
    std::fs::write(&path, text).expect("written");
    load_paths(&[path], &[]).expect("a good scenario").remove(0)
}

fn run(text: &str) -> Outcome {
    let loaded = load(text);
    let scenario = &loaded.variants[0].scenario;
    live::run(scenario, scenario.seed, &Interrupt::never(), &mut Nobody).expect("it can be run")
}

const OVERLAPPING: &str = r#"
duration = "1500ms"
[proxy.balance]
strategy = "round_robin"
[backends.web]
count = 2
workers = 8
service = { constant = "5ms" }
[load.browse]
users = 4
think = { constant = "5ms" }
[[events]]
at = "200ms"
restart_proxy = { down = "300ms" }
[[events]]
at = "250ms"
add = { backend = "web", count = 1 }
[[events]]
at = "300ms"
crash = { endpoint = "web-0" }
[[events]]
at = "300ms"
restart = { endpoint = "web-0" }
[[events]]
at = "350ms"
restart_proxy = { down = "100ms" }
[[events]]
at = "400ms"
remove = { endpoint = "web-1" }
[phases]
before = ["0s", "200ms"]
after = ["1s", "1500ms"]
"#;

#[test]
fn what_happens_while_the_proxy_is_down_is_there_when_it_comes_back() {
    let outcome = run(OVERLAPPING);
    let get = |name: &str| outcome.measurement.metrics.get(name).unwrap_or(f64::NAN);
    assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
    assert!(!outcome.notes.iter().any(|note| note.contains("event at")), "{:?}", outcome.notes);
    assert!(get("phase.after.ok") > 0.0, "{:?}", outcome.notes);
    assert!(get("endpoint.web-2.requests") > 0.0, "the endpoint that was added is known");
    // The first proxy's connections and the second's.
    assert!(get("proxy.client_connections") >= 8.0, "{}", get("proxy.client_connections"));
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_of_a_run_is_left_when_the_next_begins() {
    run(OVERLAPPING);
    // A thread that has done its work may need a moment to be gone.
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    for _ in 0..100 {
        if ours().is_empty() {
            return;
        }
        let _ = never.recv_timeout(std::time::Duration::from_millis(20));
    }
    assert_eq!(ours(), Vec::<String>::new());
}

/// The threads of a run that there are now.
#[cfg(target_os = "linux")]
fn ours() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let known = ["proxy-", "backend-sim", "loadgen", "events"];
    names.filter(|name| known.iter().any(|ours| name.starts_with(ours))).collect()
}

#[test]
fn ejections_and_retries_are_told_by_name_and_phase() {
    let outcome = run(r#"
duration = "1s"
[proxy.retry]
attempts = 1
statuses = [500]
[proxy.outlier]
consecutive_failures = 2
base_ejection = "1m"
[proxy.balance]
strategy = "round_robin"
[backends.web]
count = 4
workers = 8
service = { constant = "5ms" }
[load.browse]
users = 4
think = { constant = "5ms" }
[[events]]
at = "400ms"
fail = { endpoint = "web-3", status = 500 }
[phases]
before = ["0s", "400ms"]
after = ["400ms", "1s"]
"#);
    let get = |name: &str| outcome.measurement.metrics.get(name).unwrap_or(f64::NAN);
    // Counts, which floats hold exactly.
    let count = |name: &str| get(name) as u64;
    assert_eq!(count("ejections"), 1);
    assert_eq!(count("ok"), count("requests"), "{:?}", outcome.notes);
    assert_eq!(count("phase.before.retries"), 0);
    assert!(count("phase.after.retries") >= 2);
    assert_eq!(count("load.browse.retries"), count("retries"));
    for note in ["ejected as outliers: web-3 once", "at the end web-3 was ejected"] {
        assert!(outcome.notes.iter().any(|known| known == note), "{:?}", outcome.notes);
    }
}
