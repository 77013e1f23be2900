//! What is right and hardly what was meant: said once, by whoever reads the scenario, and no error.

use std::{fs, path::Path, process::Command};

use assert_cmd::cargo::cargo_bin;
use proxy::config::document::{Document, Paint};
use scenarios::language::{Loaded, matrix::variants};

fn scenario(strategies: &str, load: &str) -> String {
    format!(
        "seed = 7\nduration = \"1s\"\n[proxy.forwarding]\ntrusted = []\n[backends.web]\ncount = 3\n\
         [load.browse]\narrivals = {{ poisson = {{ rate = 20.0 }} }}\n{load}\n\
         [thresholds]\n\"latency.mean\" = \"<= 1h\"\n[matrix]\n\"proxy.balance.strategy\" = [{strategies}]\n"
    )
}

fn warnings(text: &str) -> Vec<String> {
    let variants = Document::parse("it.toml", text)
        .and_then(|document| variants(document, Path::new("")))
        .unwrap_or_else(|error| panic!("{error}"));
    let (name, path) = ("it".to_owned(), "it.toml".into());
    Loaded { name, path, settings: Vec::new(), variants, place: 0 }.warnings(Paint::Plain)
}

#[test]
fn a_key_of_one_value_is_no_balancing() {
    let all = r#""hash", "ring", "maglev", "rendezvous", "ip_hash""#;
    let of = |strategies, load| warnings(&scenario(strategies, load));
    let one = r#"request = [{ path = "/a?x=1" }, { path = "/a?x={key}", key = { uniform = { n = 9 } } }]"#;
    insta::assert_snapshot!(of(all, one).join("--------------------\n"));
    // Where it is not written it is `/`.
    assert_eq!(of("\"hash\"", "").len(), 1);
    for (strategies, load) in [
        ("\"round_robin\", \"p2c\"", "request = [{ path = \"/\" }]"),
        ("\"hash\"", "request = [{ path = \"/\" }, { path = \"/other\" }]"),
        ("\"hash\"", "request = [{ path = \"/{key}\", key = { uniform = { n = 9 } } }]"),
        ("{ strategy = \"hash\", key = \"header:X-User\" }", "request = [{ path = \"/\" }]"),
        ("{ strategy = \"ring\", load_bound = 1.25 }", "request = [{ path = \"/\" }]"),
    ] {
        assert_eq!(of(strategies, load), Vec::<String>::new(), "{strategies}, {load}");
    }
    let many = "clients = 200\nrequest = [{ headers = { X-Forwarded-For = \"10.0.0.{client}\" } }]";
    let trusting = |text: String| text.replace("trusted = []", "trusted = [\"0.0.0.0/0\"]");
    assert_eq!(of("\"ip_hash\"", many).len(), 1, "nobody believes what they say");
    assert_eq!(warnings(&trusting(scenario("\"ip_hash\"", many))).len(), 0);
    let alone = scenario("\"hash\"", "").replace("count = 3", "count = 1");
    assert_eq!(warnings(&alone).len(), 0);
}

#[test]
fn whoever_reads_the_scenario_says_it_once() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let file = directory.path().join("it.toml");
    let text = scenario("\"hash\", { strategy = \"hash\", key = \"path\" }", "");
    fs::write(&file, text).expect("a scratch file");
    for name in ["check", "run", "compare", "search"] {
        let mut command = Command::new(cargo_bin("windtunnel"));
        command.arg(name).arg(&file);
        if name != "check" {
            command.args(["--world", "model", "--out"]).arg(directory.path().join("out"));
        }
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{name}: {said}");
        assert_eq!(said.matches("warning: load `browse`").count(), 1, "{name}: {said}");
    }
}
