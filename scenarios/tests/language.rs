//! What a right scenario means.

use std::{fs, path::Path, time::Duration};

use proptest::prelude::*;
use proxy::config::document::{Document, Origin};
use reports::{Metrics, Unit, World};
use scenarios::language::{
    Action, Moment, Scenario, Setting, Threshold, Variant, load_paths,
    matrix::variants,
    suite::{Failure, find},
};

const DESIGN: &str = include_str!("files/design.toml");

fn read(text: &str) -> Vec<Variant> {
    let document = Document::parse("test.toml", text);
    document
        .and_then(|document| variants(document, Path::new("")))
        .unwrap_or_else(|error| panic!("{error}"))
}

const SMALL: &str = "duration = '10s'\n[backends.web]\ncount = 2\n[backends.db]\n\
                     [load.browse]\narrivals = { constant = { rate = 10 } }\n";

#[test]
fn the_designs_example() {
    let variants = read(DESIGN);
    let cells: Vec<_> = variants.iter().map(|variant| variant.cell.clone()).collect();
    let path = "proxy.balance.strategy".to_owned();
    assert_eq!(
        cells,
        ["round_robin", "least_connections", "p2c"].map(|s| vec![(path.clone(), s.to_owned())])
    );
    let scenario = &variants[0].scenario;
    assert_eq!(scenario.seed, 7);
    assert_eq!(scenario.worlds, [World::Model, World::Sim, World::Live]);
    assert_eq!(scenario.load.keys().collect::<Vec<_>>(), ["browse", "sessions"]);
    assert_eq!(scenario.endpoints().len(), 10);
    let expected = scenario.expected();
    assert!((expected.requests - 24_000.0).abs() < 1e-6);
    assert_eq!(expected.users, 50);
    let labels: Vec<String> = scenario.timeline().into_iter().map(|m| m.label).collect();
    assert_eq!(labels, ["slow web-3 ×20", "restore web-3"]);
    let thresholds = scenario.thresholds();
    let names: Vec<String> = thresholds.iter().map(Threshold::expression).collect();
    assert_eq!(
        names,
        [
            "success_ratio >= 0.999",
            "latency.p99 <= 250ms",
            "phase.fault.latency.p99 <= 400ms",
            "load.browse.dropped == 0",
        ]
    );
    let mut metrics = Metrics::new();
    metrics.insert("success_ratio", 0.9995, Unit::Ratio);
    metrics.insert("latency.p99", 250.1, Unit::Milliseconds);
    let holds: Vec<bool> = thresholds.iter().map(|t| t.evaluate(&metrics).holds).collect();
    assert_eq!(holds, [true, false, false, false]);
}

#[test]
fn written_and_read_again_is_the_same() {
    let more = "[[events]]\nat = '1s'\nslow = { endpoint = 'web-0', factor = 2 }\n\
                [[events]]\nat = '2s'\nfail = { endpoint = 'web-*' }\n\
                [[events]]\nat = '3s'\npartition = { load = 'browse' }\n\
                [[events]]\nat = '4s'\nlatency = { endpoint = 'db-0', one_way = { constant = '1ms' } }\n\
                [[events]]\nat = '5s'\ndrop = { endpoint = 'db-0', probability = 0.5 }\n\
                [[events]]\nat = '6s'\nadd = { backend = 'web', count = 3 }\n\
                [[events]]\nat = '7s'\nremove = { endpoint = 'web-4' }\n\
                [[events]]\nat = '8s'\nreload = { balance = { strategy = 'p2c' } }\n\
                [[events]]\nat = '9s'\nrestart_proxy = { down = '1s' }\n\
                [[events]]\nat = '9s'\nrepair = { load = 'browse' }\n";
    for text in [DESIGN.to_owned(), SMALL.to_owned(), format!("{SMALL}{more}")] {
        for variant in read(&text) {
            let again = read(&variant.scenario.to_toml());
            assert_eq!(again.len(), 1);
            assert_eq!(again[0].scenario, variant.scenario);
        }
    }
}

#[test]
fn the_matrix_is_a_product_in_order() {
    let matrix = "[matrix]\n\"proxy.balance.strategy\" = ['p2c', 'random']\nproxy.retry.attempts = [0, 1, 2]\n\
                  \"backends.web.service\" = [{ constant = '1ms' }]\n";
    let variants = read(&format!("{SMALL}{matrix}"));
    let cells: Vec<String> = variants
        .iter()
        .map(|variant| variant.cell.iter().map(|(_, v)| v.as_str()).collect::<Vec<_>>().join(" "))
        .collect();
    let constant = "{ constant = \"1ms\" }";
    let expected: Vec<String> = ["p2c 0", "p2c 1", "p2c 2", "random 0", "random 1", "random 2"]
        .iter()
        .map(|cell| format!("{cell} {constant}"))
        .collect();
    assert_eq!(cells, expected);
    assert_eq!(variants[4].scenario.proxy.retry.attempts, 1);
    assert!(variants.iter().all(|variant| variant.scenario.matrix.is_empty()));
}

#[test]
fn what_is_set_is_not_varied() {
    let text =
        format!("{SMALL}[matrix]\n\"seed\" = [1, 2, 3]\n\"proxy.retry.attempts\" = [0, 1]\n");
    let mut document = Document::parse("test.toml", &text).expect("good");
    let origin = Origin::Flag { flag: "--set seed".into(), text: "9".into() };
    document.set("seed", "9", &origin).expect("it fits");
    let variants = variants(document, Path::new("")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(variants.len(), 2);
    assert!(variants.iter().all(|variant| variant.scenario.seed == 9));
}

#[test]
fn events_come_by_time_and_find_who_is_there() {
    let events = "[[events]]\nat = '6s'\nfail = { endpoint = 'web-*' }\n\
                  [[events]]\nat = '2s'\nadd = { backend = 'web', count = 2 }\n\
                  [[events]]\nat = '4s'\nremove = { endpoint = 'web-0' }\n\
                  [[events]]\nat = '6s'\nadd = { backend = 'web' }\n";
    let scenario = read(&format!("{SMALL}{events}")).remove(0).scenario;
    let moments: Vec<String> = scenario
        .timeline()
        .iter()
        .map(|m| format!("{:?} {} [{}]", m.at, m.label, m.endpoints.join(" ")))
        .collect();
    assert_eq!(
        moments,
        [
            "2s add 2 to web [web-2 web-3]",
            "4s remove web-0 [web-0]",
            "6s fail web-* 500 [web-1 web-2 web-3]",
            "6s add 1 to web [web-4]",
        ]
    );
    assert_eq!(scenario.all_endpoints().len(), 6);
}

#[test]
fn reloads_add_up() {
    let events = "[proxy.retry]\nattempts = 3\n\
                  [[events]]\nat = '4s'\nreload = { retry = { attempts = 2 } }\n\
                  [[events]]\nat = '2s'\nreload = { balance = { strategy = 'random' } }\n";
    let scenario = read(&format!("{SMALL}{events}")).remove(0).scenario;
    let configs: Vec<_> = scenario
        .timeline()
        .into_iter()
        .flat_map(|moment| match moment.action {
            Action::Reload { configs, .. } => configs,
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(configs.len(), 2);
    assert_eq!(configs[0].retry.attempts, 3);
    assert_eq!(configs[1].retry.attempts, 2);
    assert_eq!(configs[1].balance, configs[0].balance);
    assert_ne!(configs[0].balance, scenario.proxy.balance);
}

#[test]
fn each_of_several_proxies_has_what_it_was_told() {
    let events = "[[events]]\nat = '1s'\nreload = { retry = { attempts = 2 } }\n\
                  [[events]]\nat = '2s'\nproxy = 1\nreload = { balance = { strategy = 'random' } }\n\
                  [[events]]\nat = '3s'\nproxy = 'proxy-2'\nrestart_proxy = { down = '1s' }\n\
                  [[events]]\nat = '4s'\nreload = { retry = { attempts = 3 } }\n\
                  [[events]]\nat = '5s'\nproxy = 'proxy-0'\nreload = { retry = { attempts = 0 } }\n\
                  [[events]]\nat = '6s'\nproxy = 1\npartition = { endpoint = 'web-0' }\n";
    let scenario = read(&format!("proxies = 3\n{SMALL}{events}")).remove(0).scenario;
    let tell = |moment: Moment| {
        let configs = match moment.action {
            Action::Reload { configs, .. } => configs,
            _ => Vec::new(),
        };
        let told = configs
            .iter()
            .map(|config| format!(" {} {}", config.retry.attempts, config.balance.strategy.name()));
        format!("{} {:?}:{}", moment.label, moment.proxies, told.collect::<String>())
    };
    let told: Vec<String> = scenario.timeline().into_iter().map(tell).collect();
    let first = scenario.proxy.balance.strategy.name();
    assert_eq!(
        told,
        [
            format!("reload retry 0..3: 2 {first} 2 {first} 2 {first}"),
            "reload balance (proxy-1) 1..2: 2 random".to_owned(),
            "restart proxy, 1s down (proxy-2) 2..3:".to_owned(),
            format!("reload retry 0..3: 3 {first} 3 random 3 {first}"),
            format!("reload retry (proxy-0) 0..1: 0 {first}"),
            "partition web-0 (proxy-1) 1..2:".to_owned(),
        ]
    );
    // Written and read again it is the same, and one proxy is not worth a word.
    assert_eq!(read(&scenario.to_toml()).remove(0).scenario, scenario);
    assert!(scenario.to_toml().contains("\nproxies = 3\n"));
    let one = read(&format!("proxies = 1\n{SMALL}")).remove(0).scenario;
    assert!(!one.to_toml().contains("proxies"));
    assert_eq!(one.to_toml(), read(SMALL).remove(0).scenario.to_toml());
    // How many there are can be varied.
    let varied = read(&format!("{SMALL}[matrix]\nproxies = [1, 20]\n"));
    assert_eq!(varied.iter().map(|v| v.scenario.proxies).collect::<Vec<_>>(), [1, 20]);
}

#[test]
fn expected_requests() {
    for (arrivals, requests) in [
        ("constant = { rate = 10 }", 100.0),
        (
            "stages = [{ target = 100, for = '5s' }, { target = 0, for = '0s' }, { target = 0, for = '9s' }]",
            250.0,
        ),
        ("stages = [{ target = 100, for = '20s' }]", 250.0),
        ("bursts = { size = 7, every = '3s' }", 28.0),
    ] {
        let text = SMALL.replace("constant = { rate = 10 }", arrivals);
        let expected = read(&text)[0].scenario.expected();
        assert!((expected.requests - requests).abs() < 1e-6, "{arrivals}: {expected:?}");
    }
}

#[test]
fn files_are_found_beside_the_scenario() {
    let suite = tempfile::tempdir().expect("a directory");
    fs::write(suite.path().join("times.csv"), "ms\n1\n2\n3\n").expect("written");
    fs::write(suite.path().join("trace.csv"), "at,path\n0.5,/a\n1.5,/b\n99,/late\n")
        .expect("written");
    let text = "duration = '10s'\n[backends.web]\nservice = { empirical = { file = 'times.csv' } }\n\
                [load.replay]\narrivals = { trace = { file = 'trace.csv' } }\n\
                [matrix]\nseed = [1, 2]\n";
    let file = suite.path().join("replay.toml");
    fs::write(&file, text).expect("written");
    let loaded = load_paths(&[file], &[]).unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!(loaded[0].variants.len(), 2);
    let scenario = &loaded[0].variants[1].scenario;
    assert!((scenario.backends["web"].service.mean() - 2e6).abs() < 1e-6);
    assert!((scenario.expected().requests - 2.0).abs() < 1e-9);
}

#[test]
fn suites_are_found_in_order() {
    let root = tempfile::tempdir().expect("a directory");
    for name in
        ["b/two.toml", "b/a/one.toml", "a.toml", "b/notes.md", ".hidden.toml", "b/.x/y.toml"]
    {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("made");
        fs::write(path, SMALL).expect("written");
    }
    let names = |paths: &[&str]| {
        let paths: Vec<_> = paths.iter().map(|path| root.path().join(path)).collect();
        find(&paths).map(|found| found.into_iter().map(|f| f.name).collect::<Vec<_>>())
    };
    assert_eq!(names(&[""]).expect("found"), ["a", "b/a/one", "b/two"]);
    assert_eq!(names(&["b", "a.toml", "b/two.toml"]).expect("found"), ["a/one", "two", "a"]);
    assert!(matches!(names(&["b/.x", "nowhere"]), Err(Failure::Wrong(_))));
    fs::create_dir(root.path().join("empty")).expect("made");
    assert!(matches!(names(&["empty"]), Err(Failure::Nothing(_))));
    let settings: Vec<Setting> = vec!["duration=20s".parse().expect("a setting")];
    let loaded = load_paths(&[root.path().join("a.toml")], &settings).expect("good");
    assert_eq!(loaded[0].variants[0].scenario.duration.0, Duration::from_secs(20));
    let settings: Vec<Setting> = vec!["duration=20".parse().expect("a setting")];
    let Err(Failure::Wrong(error)) = load_paths(&[root.path().join("a.toml")], &settings) else {
        panic!("this has no unit");
    };
    assert!(error.to_string().contains("--set duration=20"), "{error}");
}

#[test]
fn a_wide_matrix_is_quick_enough() {
    let numbers: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let numbers = numbers.join(", ");
    let text = format!("{SMALL}[matrix]\nseed = [{numbers}]\nbackends.web.queue = [{numbers}]\n");
    assert_eq!(read(&text).len(), 10_000);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = Document::parse("x.toml", &text).and_then(|document| variants(document, Path::new("")));
    }

    /// Right scenarios with a piece cut out, doubled or replaced: nearly right is where readers stumble.
    #[test]
    fn no_damaged_scenario_panics(
        from in 0..DESIGN.len(),
        length in 0..40_usize,
        text in "[a-z0-9\\[\\]{}=.,\"' \\n-]{0,12}",
    ) {
        let from = DESIGN.floor_char_boundary(from);
        let to = DESIGN.floor_char_boundary((from + length).min(DESIGN.len()));
        let damaged = format!("{}{text}{}", &DESIGN[..from], &DESIGN[to..]);
        let read = Document::parse("x.toml", &damaged)
            .and_then(|document| variants(document, Path::new("")));
        match read {
            Ok(variants) => {
                let again: Vec<Scenario> = self::read(&variants[0].scenario.to_toml())
                    .into_iter().map(|variant| variant.scenario).collect();
                prop_assert_eq!(&again[0], &variants[0].scenario);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
