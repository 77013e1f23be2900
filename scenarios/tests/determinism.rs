//! The same seed is the same bytes: of every file but the manifest, in every virtual world, whatever runs beside it.
//!
//! The program is started anew for each report, so that nothing that differs between two processes (addresses, the
//! order of a map, the time) can go unnoticed. A debug build against a release build is `tests/determinism/run`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use assert_cmd::cargo::cargo_bin;

const SEVERAL_PROXIES: [&str; 2] =
    ["../tests/worlds/proxies.toml", "../tests/worlds/some-proxies.toml"];

/// A report's files, without the one in which two runs of a seed may differ.
fn report(world: &str, jobs: &str, seed: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(cargo_bin("windtunnel"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["run", "suites/ci"]).args(SEVERAL_PROXIES);
    command.args(["--world", world, "--jobs", jobs, "--seed", seed]);
    command.arg("--out").arg(directory.path());
    let output = command.output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr);
    // A threshold was made for its scenario's own seed: whether it holds with this one is not what is asked here.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{text}");
    let mut files = BTreeMap::new();
    collect(directory.path(), directory.path(), &mut files);
    assert!(files.remove(Path::new("manifest.json")).is_some(), "there is a manifest");
    files
}

fn collect(root: &Path, directory: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(directory).expect("it can be listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("it is below").to_owned();
            files.insert(name, fs::read(&path).expect("it can be read"));
        }
    }
}

fn same_bytes(world: &str) {
    let one = report(world, "1", "7");
    assert!(one.len() >= 6, "{:?}", one.keys());
    let two = report(world, "2", "7");
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(two[name] == *bytes, "{} differs", name.display());
    }
    let other = report(world, "2", "8");
    let summary = Path::new("summary.csv");
    assert_ne!(one[summary], other[summary], "another seed is another run");
}

#[test]
fn the_simulated_network() {
    same_bytes("sim");
}

#[test]
fn the_model() {
    same_bytes("model");
}
