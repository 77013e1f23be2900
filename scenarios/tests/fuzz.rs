//! `windtunnel fuzz`: what it draws is right, what it finds does not depend on how many run at a time, and what it writes
//! breaks in the same way when it is run again.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::Command;
use policy::Seed;
use reports::World;
use scenarios::{
    fuzz::{
        campaign::Campaign,
        draft::{Draft, drafts},
        draw::{MAX_EVENTS, draw},
        heal,
        judge::{Judge, Judged, Kind},
        smallest::smallest,
    },
    interrupt::Interrupt,
    language::suite,
};

const SUITES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/suites");

/// Two endpoints, one of which is enough; nobody may wait for long.
const SMALL: &str = r#"
seed = 5
duration = "10s"

[proxy.balance]
strategy = "round_robin"

[backends.web]
count = 3
workers = 4
service = { exponential = { mean = "10ms" } }

[load.browse]
arrivals = { poisson = { rate = 50.0 } }
timeout = "1s"

[thresholds]
timed_out = "== 0"
"#;

fn of_file(path: &Path, world: World) -> Vec<Draft> {
    let found = suite::find(&[path.to_owned()]).expect("it is there");
    drafts(&found[0], &[], world).expect("it is right")
}

fn of_text(text: &str, world: World) -> (tempfile::TempDir, Vec<Draft>) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("small.toml");
    fs::write(&path, text).expect("written");
    let drafts = of_file(&path, world);
    (directory, drafts)
}

fn ci() -> Vec<PathBuf> {
    let found = suite::find(&[PathBuf::from(SUITES).join("ci")]).expect("the suite is there");
    found.into_iter().map(|found| found.path).collect()
}

#[test]
fn whatever_is_drawn_passes_the_check() {
    let mut kinds = BTreeSet::new();
    let (mut healed, mut all) = (0, 0);
    for path in ci() {
        for draft in of_file(&path, World::Sim) {
            let bare = draft.scenario(&[], 1).expect("right without events");
            for seed in 0..150 {
                let events = draw(&bare, World::Sim, Seed(seed));
                kinds.extend(events.iter().map(|event| event.action.name()));
                all += 1;
                healed += usize::from(heal::is_healed(&bare, &events));
                // As many again may heal them.
                assert!((1..=2 * MAX_EVENTS + 1).contains(&events.len()), "{events:?}");
                let read = draft.scenario(&events, seed).unwrap_or_else(|error| {
                    panic!("{}", error.render(proxy::config::document::Paint::Plain))
                });
                let mut without_configurations = read.events.clone();
                for event in &mut without_configurations {
                    if let scenarios::language::Action::Reload { configs, .. } = &mut event.action {
                        configs.clear();
                    }
                }
                assert_eq!(without_configurations, events);
                assert_eq!(read.worlds, [World::Sim]);
            }
        }
    }
    assert_eq!(kinds.len(), 14, "{kinds:?}");
    assert!(healed * 10 > all * 7 && healed < all, "{healed} of {all}");
}

#[test]
fn nothing_is_drawn_that_the_world_cannot_do() {
    let (_directory, drafts) = of_text(SMALL, World::Model);
    let bare = drafts[0].scenario(&[], 1).expect("right");
    for seed in 0..500 {
        let events = draw(&bare, World::Model, Seed(seed));
        assert!(drafts[0].scenario(&events, 1).is_ok(), "{events:?}");
    }
}

#[test]
fn of_several_proxies_sometimes_one_is_restarted() {
    let text = SMALL.replace("seed = 5", "seed = 5\nproxies = 3");
    let (_directory, drafts) = of_text(&text, World::Sim);
    let bare = drafts[0].scenario(&[], 1).expect("right");
    let mut seen = BTreeSet::new();
    for seed in 0..500 {
        let events = draw(&bare, World::Sim, Seed(seed));
        assert!(drafts[0].scenario(&events, 1).is_ok(), "{events:?}");
        let restarts = events.iter().filter(|event| event.action.name() == "restart_proxy");
        seen.extend(restarts.map(|event| event.proxy.map(|which| which.0)));
    }
    assert_eq!(seen, [None, Some(0), Some(1), Some(2)].into());
}

#[test]
fn the_same_seed_draws_the_same() {
    let (_directory, drafts) = of_text(SMALL, World::Sim);
    let bare = drafts[0].scenario(&[], 1).expect("right");
    let text = |seed| drafts[0].text(&draw(&bare, World::Sim, Seed(seed)), 1);
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
    // A finding is named by its seed: what that seed draws must not change unnoticed.
    insta::assert_snapshot!(text(8));
}

#[test]
fn every_cell_of_a_matrix_is_a_draft() {
    let text = format!("{SMALL}\n[matrix]\n\"proxy.balance.strategy\" = [\"random\", \"p2c\"]\n");
    let (_directory, drafts) = of_text(&text, World::Sim);
    let strategies: Vec<&str> = drafts
        .iter()
        .map(|draft| {
            let scenario = draft.scenario(&[], 1).expect("right");
            assert!(scenario.matrix.is_empty());
            scenario.proxy.balance.strategy.name()
        })
        .collect();
    assert_eq!(strategies, ["random", "p2c"]);
}

#[test]
fn files_are_found_from_where_the_finding_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let (suite, found) = (directory.path().join("suite"), directory.path().join("found"));
    fs::create_dir_all(&suite).expect("made");
    fs::create_dir_all(&found).expect("made");
    fs::write(suite.join("times.csv"), "ms\n5\n10\n").expect("written");
    let text = SMALL.replace(
        "service = { exponential = { mean = \"10ms\" } }",
        "service = { empirical = { file = \"times.csv\" } }",
    );
    fs::write(suite.join("files.toml"), text).expect("written");
    let draft = of_file(&suite.join("files.toml"), World::Sim).remove(0);
    let moved = draft.moved_to(&found);
    assert!(moved.text(&[], 1).contains("\"../suite/times.csv\""), "{}", moved.text(&[], 1));
    let same = |draft: &Draft| {
        draft.scenario(&[], 1).expect("right").backends["web"].service.mean().to_bits()
    };
    assert_eq!(same(&draft), same(&moved));
}

fn campaign(drafts: Vec<Draft>, world: World, jobs: usize) -> Campaign {
    Campaign { drafts, judge: Judge::of(world), seed: 5, runs: 60, jobs }
}

/// In both worlds: the run that is found, and what is left of it, do not depend on how many run at a time.
#[test]
fn the_finding_does_not_depend_on_how_many_run_at_a_time() {
    for world in [World::Model, World::Sim] {
        let (_directory, drafts) = of_text(SMALL, world);
        let found = [1, 5].map(|jobs| {
            let campaign = campaign(drafts.clone(), world, jobs);
            let searched = campaign.search(&Interrupt::never(), &mut |_| {});
            assert!(!searched.interrupted);
            let found = searched.found.expect("a second's patience is soon lost");
            let small = smallest(&campaign.judge, &found, 150, &Interrupt::never(), &mut |_| {});
            let small = small.expect("something broke");
            assert!(small.broken.is_like(&found.broken[0]));
            assert!(small.case.events.len() <= 2, "{:?}", small.case.events);
            (found.number, found.case.text(), small.case.text(), small.runs)
        });
        assert_eq!(found[0], found[1]);
    }
}

#[test]
fn a_panic_is_a_finding() {
    let (_directory, drafts) = of_text(SMALL, World::Model);
    let judge = Judge { before: || panic!("on purpose"), ..Judge::of(World::Model) };
    let campaign = Campaign { judge, ..campaign(drafts, World::Model, 2) };
    let searched = campaign.search(&Interrupt::never(), &mut |_| {});
    let found = searched.found.expect("each run panics");
    assert_eq!(found.number, Some(0));
    let [broken] = found.broken.as_slice() else { panic!("{:?}", found.broken) };
    assert_eq!(broken.kind, Kind::Panic);
    assert!(broken.name.starts_with("scenarios/tests/fuzz.rs:"), "{}", broken.name);
    let interrupt = Interrupt::never();
    let small = smallest(&campaign.judge, &found, 50, &interrupt, &mut |_| {}).expect("found");
    assert_eq!(small.case.events, []);
}

#[test]
fn a_person_can_end_it() {
    let (_directory, drafts) = of_text(SMALL, World::Model);
    let (cord, interrupt) = Interrupt::by_hand();
    let campaign = Campaign { runs: 1_000_000, ..campaign(drafts, World::Model, 2) };
    let judged = Judge { judged: Judged::Invariants, ..campaign.judge.clone() };
    let campaign = Campaign { judge: judged, ..campaign };
    let searched = campaign.search(&interrupt, &mut |ended| {
        if ended == 3 {
            cord.pull();
        }
    });
    assert!(searched.interrupted);
    assert!((3..100).contains(&searched.ended), "{}", searched.ended);
}

fn windtunnel(arguments: &[&str]) -> (i32, String, String) {
    windtunnel_in(Path::new("."), arguments)
}

fn windtunnel_in(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("windtunnel")
        .expect("the program is built with its tests")
        .args(arguments)
        .current_dir(directory)
        .env("NO_COLOR", "1")
        .output()
        .expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn what_is_written_breaks_in_the_same_way() {
    let directory = tempfile::tempdir().expect("a directory");
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).expect("it is there");
    let windtunnel = |arguments: &[&str]| windtunnel_in(directory.path(), arguments);
    fs::write(directory.path().join("small.toml"), SMALL).expect("written");
    let fuzz = ["fuzz", "small.toml", "--world", "model", "--out", "found"];
    let (code, out, err) = windtunnel(&fuzz);
    assert_eq!(code, 1, "{out}{err}");
    insta::assert_snapshot!("what_is_printed", out);
    let text = read("found/small-timed-out.toml");
    insta::assert_snapshot!("what_is_written", text);
    let (code, out, err) = windtunnel(&["run", "found/small-timed-out.toml"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("timed_out is"), "{out}");
    // A second finding of the same name has a file of its own, and says the same.
    let (code, out, _) = windtunnel(&fuzz);
    assert_eq!(code, 1, "{out}");
    assert_eq!(read("found/small-timed-out-2.toml"), text);
    assert_eq!(read("found/small-timed-out.toml"), text);
}

#[test]
fn exit_codes() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = |name: &str| directory.path().join(name).display().to_string();
    let (small, wrong, live) = (place("small.toml"), place("wrong.toml"), place("live.toml"));
    fs::write(&small, SMALL).expect("written");
    fs::write(&wrong, SMALL.replace("workers", "wrokers")).expect("written");
    fs::write(&live, format!("worlds = [\"live\"]\n{SMALL}")).expect("written");
    let here = directory.path().display().to_string();
    for (arguments, expected, says) in [
        (
            vec![
                "fuzz",
                &small,
                "--world",
                "model",
                "--runs",
                "3",
                "--set",
                "thresholds.timed_out=>= 0",
            ],
            0,
            "",
        ),
        (vec!["fuzz", &small, "--world", "live"], 2, "no run can be repeated"),
        (vec!["fuzz", &live, "--world", "model"], 2, "does not allow the world `model`"),
        (vec!["fuzz", &wrong, "--world", "model"], 2, "wrokers"),
        (vec!["fuzz", &here, "--world", "model"], 2, "name one scenario file"),
        (vec!["fuzz", "no/such.toml", "--world", "model"], 2, "cannot read"),
        (vec!["fuzz", &small, "--world", "model", "--out", &small], 2, "nothing is overwritten"),
        (vec!["fuzz", &small, "--runs", "0"], 2, "--runs"),
        (vec!["fuzz"], 2, "SCENARIO"),
    ] {
        let (code, out, err) = windtunnel(&arguments);
        assert_eq!(code, expected, "{arguments:?}\n{out}{err}");
        assert!(err.contains(says), "{arguments:?}\n{err}");
    }
}

/// A threshold that asks for the effect of the scenario's own events cannot hold without them, and is no finding.
#[test]
fn what_does_not_hold_without_events_is_put_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    let small = directory.path().join("small.toml").display().to_string();
    fs::write(&small, SMALL.replace("timed_out = \"== 0\"", "ejections = \">= 1\""))
        .expect("written");
    let (code, out, err) = windtunnel(&["fuzz", &small, "--world", "model", "--runs", "5"]);
    assert_eq!(code, 0, "{out}{err}");
    insta::assert_snapshot!(out);
}
