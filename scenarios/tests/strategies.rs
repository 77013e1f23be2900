//! Where strategies must part, in the model and over the simulated network: one endpoint of ten that is slow, and one that
//! answers nothing at all. What each promises by itself is in the crate `policy`.

use std::{collections::BTreeMap, fs, process::Command};

use assert_cmd::cargo::cargo_bin;

const WORLDS: [&str; 2] = ["model", "sim"];

/// Ten endpoints at 15 % of what they can do, one of which has this happen to it at once.
fn scenario(seconds: u32, timeout: &str, event: &str, strategies: &[&str]) -> String {
    format!(
        "seed = 7\nduration = \"{seconds}s\"\nwarmup = \"1s\"\n[proxy.outlier]\nenabled = false\n\
         [backends.web]\ncount = 10\nworkers = 4\nqueue = 400\nservice = {{ exponential = {{ mean = \"10ms\" }} }}\n\
         [load.browse]\narrivals = {{ poisson = {{ rate = 600.0 }} }}\ntimeout = \"{timeout}\"\nrequest = [{{ path = \"/\" }}]\n\
         [[events]]\nat = \"500ms\"\n{event}\n[thresholds]\nrequests = \">= 1\"\n\
         [matrix]\n\"proxy.balance.strategy\" = {strategies:?}\n"
    )
}

/// The columns of each strategy's run.
type Runs = BTreeMap<String, BTreeMap<String, f64>>;

fn run(world: &str, text: &str) -> Runs {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("parting.toml");
    fs::write(&path, text).expect("written");
    let out = directory.path().join("out");
    let mut command = Command::new(cargo_bin("windtunnel"));
    command.args(["run", "--world", world, "--out"]).arg(&out).arg(&path);
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = fs::read_to_string(out.join("summary.csv")).expect("it is there");
    let mut lines = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let mut runs = BTreeMap::new();
    for line in lines {
        assert_eq!(line.len(), header.len(), "no field of this scenario needs quotes");
        let columns = header.iter().zip(&line);
        let variant = columns.clone().find(|(name, _)| **name == "variant").expect("a variant").1;
        let strategy = variant.rsplit('=').next().expect("a strategy").to_owned();
        let figures = columns.filter_map(|(name, value)| Some((*name, value.parse().ok()?)));
        runs.insert(strategy, figures.map(|(name, value)| (name.to_owned(), value)).collect());
    }
    runs
}

/// Round robin and random send a tenth of the requests to the slow one, which falls ever further behind; those who count send few,
/// and those who measure fewer.
#[test]
fn a_slow_endpoint_is_found_by_those_who_look() {
    let strategies = [
        "round_robin",
        "random",
        "least_connections",
        "p2c",
        "least_request",
        "peak_ewma",
        "least_time",
        "join_idle_queue",
        "prequal",
        "c3",
    ];
    let text = scenario(8, "5s", "slow = { endpoint = \"web-3\", factor = 20.0 }", &strategies);
    for world in WORLDS {
        let runs = run(world, &text);
        assert_eq!(runs.len(), strategies.len());
        let p99 = |strategy: &str| runs[strategy]["latency_p99_ms"];
        let blind = p99("round_robin").min(p99("random"));
        for counting in
            ["least_connections", "p2c", "least_request", "join_idle_queue", "prequal", "c3"]
        {
            assert!(p99(counting) < blind / 5.0, "{world}: {counting} {}", p99(counting));
        }
        for measuring in ["peak_ewma", "least_time"] {
            let best = p99("p2c").min(p99("least_request")).min(p99("join_idle_queue"));
            assert!(p99(measuring) < best / 1.3, "{world}: {measuring} {}", p99(measuring));
        }
    }
}

/// Whoever goes by what endpoints say of their load finds the slow one, too, without any setting of the backends: where a strategy wants to
/// know, they say it.
#[test]
fn what_endpoints_say_of_their_load_beats_turns() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/suites/compare/slow-endpoint.toml");
    let text = fs::read_to_string(path).expect("it is there");
    let (text, _) = text.split_once("[thresholds]").expect("it has some, which round_robin misses");
    let strategies = ["round_robin", "weighted_by_load", "prequal", "c3"];
    let matrix = format!(
        "[thresholds]\nrequests = \">= 1\"\n[matrix]\n\"proxy.balance.strategy\" = {strategies:?}\n"
    );
    let runs = run("model", &format!("{text}{matrix}"));
    let p99 = |strategy: &str| runs[strategy]["latency_p99_ms"];
    for strategy in &strategies[1..] {
        assert!(p99(strategy) < p99("round_robin") / 5.0, "{strategy}: {}", p99(strategy));
    }
}

/// Nothing comes back from an endpoint that hangs but clients who give up: that must count, in both worlds alike.
#[test]
fn an_endpoint_that_hangs_does_not_look_fast() {
    let strategies = ["round_robin", "p2c", "peak_ewma", "least_time"];
    let text = scenario(5, "200ms", "hang = { endpoint = \"web-3\" }", &strategies);
    let [model, sim] = WORLDS.map(|world| run(world, &text));
    for runs in [&model, &sim] {
        let lost = |strategy: &str| runs[strategy]["timed_out"];
        assert!(lost("round_robin") > 150.0);
        assert!(lost("peak_ewma") < lost("p2c") / 3.0, "{} {}", lost("peak_ewma"), lost("p2c"));
        assert!(lost("least_time") < lost("p2c") / 3.0, "{} {}", lost("least_time"), lost("p2c"));
    }
    for strategy in strategies {
        let lost = |runs: &Runs| runs[strategy]["timed_out"] as u64;
        assert_eq!(lost(&model), lost(&sim), "{strategy}");
    }
}
