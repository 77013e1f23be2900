//! A run that needs more memory than there is is refused before it begins, and no other.

use std::{
    fs,
    num::NonZeroUsize,
    path::PathBuf,
    process::{Command, Stdio},
};

use assert_cmd::cargo::cargo_bin;
use reports::World;
use scenarios::{
    language::{self, Scenario},
    run::memory::{at_hand, refusal},
};

const WORLDS: [World; 3] = [World::Model, World::Sim, World::Live];
const GIB: u64 = 1 << 30;

fn scenario(text: &str) -> Scenario {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("scenario.toml");
    fs::write(&path, text).expect("written");
    let mut loaded = language::load_paths(&[path], &[]).expect("a valid scenario");
    loaded.remove(0).variants.remove(0).scenario
}

fn jobs(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("above 0")
}

/// Ten endpoints, one load with these keys.
fn loaded(load: &str) -> Scenario {
    scenario(&format!(
        "duration = \"60s\"\nworlds = [\"model\", \"sim\", \"live\"]\n[backends.web]\ncount = 10\n[load.browse]\n{load}\n"
    ))
}

#[test]
fn what_needs_more_than_there_is_is_refused_with_what_to_write() {
    let many = loaded("users = 1000000");
    let why = |world, n, at_hand| {
        refusal(&many, world, jobs(n), Some(at_hand)).unwrap_or_else(|| "not refused".to_owned())
    };
    insta::assert_snapshot!(
        [
            why(World::Live, 2, 16 * GIB),
            why(World::Sim, 2, 16 * GIB),
            why(World::Model, 2, GIB),
            why(World::Model, 1, 16 << 20),
        ]
        .join("\n\n")
    );
    // What it says may be written is not refused.
    let fewer = loaded("users = 230000");
    assert_eq!(refusal(&fewer, World::Live, jobs(2), Some(16 * GIB)), None);
}

#[test]
fn runs_that_go_on_at_once_share_the_memory() {
    let some = loaded("users = 100000");
    let is_refused = |world, n| refusal(&some, world, jobs(n), Some(10 * GIB)).is_some();
    assert!(!is_refused(World::Sim, 1));
    assert!(is_refused(World::Sim, 2));
    // Those go one at a time.
    assert!(!is_refused(World::Live, 2));
}

#[test]
fn what_each_proxy_keeps_of_each_endpoint_counts() {
    let views = |proxies: u32| {
        scenario(&format!(
            "duration = \"60s\"\nproxies = {proxies}\nworlds = [\"model\"]\n[backends.web]\ncount = 1000\n[load.browse]\nusers = 1\n"
        ))
    };
    let fits = |proxies| refusal(&views(proxies), World::Model, jobs(1), Some(GIB)).is_none();
    assert!(fits(1) && fits(500) && !fits(1000));
    let why = refusal(&views(1000), World::Model, jobs(1), Some(GIB)).expect("too many");
    assert!(why.contains("for 1,000 proxies, 1,004 KiB each (`proxies`); write at most "), "{why}");
    let most = why.split("at most ").nth(1).and_then(|rest| rest.split(' ').next());
    let most = most.and_then(|number| number.parse().ok()).expect("a number");
    assert!(fits(most), "{why}");
}

#[test]
fn where_nobody_knows_nothing_is_refused() {
    let many = loaded("users = 1000000");
    assert!(WORLDS.iter().all(|world| refusal(&many, *world, jobs(9), None).is_none()));
}

/// The least memory, in MiB, with which a load is not refused live.
fn needed(load: &str) -> u64 {
    let scenario = loaded(load);
    let fits = |mib: u64| refusal(&scenario, World::Live, jobs(1), Some(mib << 20)).is_none();
    let (mut least, mut most) = (0, 1 << 30);
    while least < most {
        let middle = u64::midpoint(least, most);
        if fits(middle) { most = middle } else { least = middle + 1 }
    }
    least
}

#[test]
fn an_open_loop_needs_what_may_be_under_way_at_a_time() {
    let idle = needed("arrivals = { constant = { rate = 0.001 } }");
    let over = |load: &str| needed(load) - idle;
    let thousand = over("users = 1001");
    assert!((60..=80).contains(&thousand), "{thousand}");
    for load in [
        "arrivals = { constant = { rate = 100.0 } }\ntimeout = \"10s\"",
        "arrivals = { poisson = { rate = 1000.0 } }\ntimeout = \"1s\"",
        "arrivals = { stages = [{ target = 200.0, for = \"50s\" }, { target = 0.0, for = \"10s\" }] }\ntimeout = \"5s\"",
        "arrivals = { bursts = { size = 500, every = \"20s\" } }\ntimeout = \"30s\"",
        "arrivals = { constant = { rate = 1e6 } }\nmax_connections = 1000",
        "arrivals = { constant = { rate = 1e6 } }\nrequests = 1000",
    ] {
        let over = over(load);
        assert!(over.abs_diff(thousand) <= 1, "{load}: {over} MiB, not {thousand}");
    }
}

#[test]
fn a_trace_needs_what_its_busiest_moment_does() {
    let directory = tempfile::tempdir().expect("a directory");
    // 600 requests in the tenth second, ten a second otherwise.
    let mut rows: Vec<f64> = (0..300).map(|n| f64::from(n) / 10.0).collect();
    rows.extend((0..600).map(|n| 10.0 + f64::from(n) / 600.0));
    rows.sort_by(f64::total_cmp);
    let rows: Vec<String> = rows.iter().map(f64::to_string).collect();
    let text = format!("at\n{}\n", rows.join("\n"));
    fs::write(directory.path().join("trace.csv"), text).expect("written");
    let path = directory.path().join("traced.toml");
    let text = "duration = \"60s\"\n[backends.web]\n[load.browse]\narrivals = { trace = { file = \"trace.csv\" } }\n\
                timeout = \"2s\"\n";
    fs::write(&path, text).expect("written");
    let loaded = language::load_paths(&[path], &[]).expect("a valid scenario");
    let why = refusal(&loaded[0].variants[0].scenario, World::Live, jobs(1), Some(1 << 20));
    let why = why.expect("a megabyte is not enough");
    assert!(why.contains("for 621 connections"), "{why}");
}

#[test]
fn bodies_count_as_far_as_windows_let_them() {
    let of = |body: &str| {
        needed(&format!(
            "users = 1000\nrequest = [{{ method = \"POST\", body = {{ constant = \"{body}\" }} }}]"
        ))
    };
    let [small, medium, large, huge] = ["1KiB", "100KiB", "1MiB", "1GiB"].map(of);
    assert!(small * 5 < medium && medium < large, "{small} {medium} {large}");
    assert_eq!(large, huge, "a body streams, however long");
}

#[test]
fn the_suites_run_on_a_small_machine() {
    let suites = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("suites");
    let loaded = language::load_paths(&[suites], &[]).expect("the suites are valid");
    let mut count = 0;
    for each in &loaded {
        for variant in &each.variants {
            for world in WORLDS.into_iter().filter(|world| variant.allows(*world)) {
                let why = refusal(&variant.scenario, world, jobs(2), Some(4 * GIB));
                assert_eq!(why, None, "{}", each.name);
                count += 1;
            }
        }
    }
    assert!(count > 60, "{count}");
}

#[test]
fn a_run_that_is_too_large_ends_before_it_begins() {
    if at_hand().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let text = "duration = \"1h\"\n[backends.web]\n[load.browse]\narrivals = { constant = { rate = 1e7 } }\n\
                timeout = \"1h\"\nmax_connections = 4000000000\n";
    fs::write(directory.path().join("huge.toml"), text).expect("written");
    let mut command = Command::new(cargo_bin("windtunnel"));
    command.args(["run", "huge.toml", "--world", "model,live"]).current_dir(&directory);
    let output = command.env("NO_COLOR", "1").stdin(Stdio::null()).output().expect("it starts");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert_eq!(text.matches("it could need ").count(), 2, "{text}");
    assert!(text.contains("(`load.browse.max_connections`); write at most "), "{text}");
}
