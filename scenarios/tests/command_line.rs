//! The program as a person or a CI job sees it.

use std::fs;

use assert_cmd::Command;

fn windtunnel(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("windtunnel")
        .expect("the program is built with its tests")
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

const DESIGN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/design.toml");

#[test]
fn check_says_what_will_run() {
    let (code, out, err) = windtunnel(&["check", DESIGN]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    insta::assert_snapshot!(out);
}

#[test]
fn check_says_what_is_wrong() {
    let suite = tempfile::tempdir().expect("a directory");
    let design = fs::read_to_string(DESIGN).expect("it is here");
    fs::write(suite.path().join("good.toml"), &design).expect("written");
    fs::write(suite.path().join("bad.toml"), design.replace("attempts", "atempts"))
        .expect("written");
    let path = suite.path().display().to_string();
    let (code, out, err) = windtunnel(&["check", &path]);
    assert_eq!(code, 2, "{out}{err}");
    insta::assert_snapshot!(format!("{out}----\n{}", err.replace(&path, "SUITE")));
}

#[test]
fn exit_codes() {
    let empty = tempfile::tempdir().expect("a directory");
    let empty = empty.path().display().to_string();
    for (arguments, expected) in [
        (vec!["check", empty.as_str()], 4),
        (vec!["run", empty.as_str()], 4),
        (vec!["check", "no/such/file.toml"], 2),
        (vec!["check"], 2),
        (vec!["chekc", DESIGN], 2),
        (vec!["check", DESIGN, "--set", "seed"], 2),
        (vec!["check", DESIGN, "--set", "sede=1"], 2),
        (vec!["check", DESIGN, "--set", "load.brows.users=1"], 2),
        (vec!["run", DESIGN, "--world", "mars"], 2),
        (vec!["run", DESIGN, "--shard", "3/2"], 2),
        (vec!["run", DESIGN, "--filter", "nothing-of-that-name"], 4),
        (vec!["--version"], 0),
        (vec!["help"], 0),
    ] {
        let (code, out, err) = windtunnel(&arguments);
        assert_eq!(code, expected, "{arguments:?}\n{out}{err}");
    }
}

#[test]
fn lists() {
    for what in ["distributions", "events"] {
        let (code, out, _) = windtunnel(&["list", what]);
        assert_eq!(code, 0);
        insta::assert_snapshot!(what, out);
    }
    let (code, out, _) = windtunnel(&["list", "scenarios", DESIGN]);
    assert_eq!(code, 0);
    assert!(out.contains("design    model sim live  One backend of ten"), "{out}");
}

#[test]
fn the_schema_is_json() {
    let (code, out, _) = windtunnel(&["schema"]);
    assert_eq!(code, 0);
    let schema: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    for key in ["proxy", "backends", "load", "events", "thresholds", "matrix"] {
        assert!(schema.pointer(&format!("/properties/{key}")).is_some(), "{key}");
    }
}
