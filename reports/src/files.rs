//! The directory of a report.
//!
//! Each file is written beside its place and then moved there, so that a reader (or a CI job that was
//! killed) never finds half of one.

use crate::run::Suite;
use crate::{csv, hlog, html, junit, manifest, markdown, results};
use std::fs;
use std::io;
use std::path::Path;

/// Every file that [`write_all`] writes.
pub const FILES: [&str; 8] = [
    "index.html",
    "summary.csv",
    "timeseries.csv",
    "latency.hlog",
    "junit.xml",
    "summary.md",
    results::NAME,
    "manifest.json",
];

/// The content of one of [`FILES`].
///
/// # Errors
/// When the file cannot be made, or none is called so.
pub fn render(name: &str, suite: &Suite) -> io::Result<Vec<u8>> {
    match name {
        "index.html" => html::index(suite).map(String::into_bytes),
        "summary.csv" => csv::summary(suite),
        "timeseries.csv" => csv::timeseries(&suite.runs),
        "latency.hlog" => hlog::latency(suite),
        "junit.xml" => junit::report(suite),
        "summary.md" => Ok(markdown::summary(suite).into_bytes()),
        results::NAME => results::render(suite),
        "manifest.json" => manifest::manifest(suite),
        other => Err(io::Error::other(format!("no file of a report is called `{other}`"))),
    }
}

/// What only a comparison or a search has.
const OTHERS: [&str; 3] = [COMPARED, "knee.csv", SEARCHED];
/// The file that only a comparison has.
const COMPARED: &str = "compare.csv";
/// The file that only a search has.
const SEARCHED: &str = "search.csv";

/// Writes every file of the report into `directory`, which is made if it is not there.
///
/// # Errors
/// The first file that could not be written, by name, and why.
pub fn write_all(directory: &Path, suite: &Suite) -> io::Result<()> {
    let mut report = Directory::begin(directory)?;
    for name in FILES {
        report.write(name, &render(name, suite)?)?;
    }
    report.finish()
}

/// A directory that is to hold one report, of whatever kind, and nothing of the one before.
pub(crate) struct Directory<'a> {
    path: &'a Path,
    written: Vec<&'static str>,
}

impl<'a> Directory<'a> {
    /// Makes it if it is not there.
    pub(crate) fn begin(path: &'a Path) -> io::Result<Self> {
        fs::create_dir_all(path).map_err(|error| at(path, &error))?;
        Ok(Self { path, written: Vec::new() })
    }

    /// Writes one of its files.
    pub(crate) fn write(&mut self, name: &'static str, content: &[u8]) -> io::Result<()> {
        self.written.push(name);
        write(&self.path.join(name), content)
    }

    /// Takes away what an earlier report left: beside this one it would pass for a part of it.
    pub(crate) fn finish(self) -> io::Result<()> {
        let left = FILES.into_iter().chain(OTHERS).filter(|name| !self.written.contains(name));
        for path in left.map(|name| self.path.join(name)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let why = format!("cannot remove {}: {error}", path.display());
                    return Err(io::Error::new(error.kind(), why));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Why a directory has no file of this name, for the person who named the directory.
pub(crate) fn missing(directory: &Path, name: &str) -> String {
    let shown = directory.display();
    if !directory.is_dir() {
        return format!(
            "there is no directory {shown}: name one that `windtunnel run --out` wrote"
        );
    }
    if directory.join(COMPARED).is_file() {
        return format!(
            "{shown} has no {name}: `windtunnel compare` wrote it, and its page is not made again from files; the command \
             in its manifest.json makes it anew, and `windtunnel report diff` takes it"
        );
    }
    if directory.join(SEARCHED).is_file() {
        return format!(
            "{shown} has no {name}: `windtunnel search` wrote it, which keeps loads and no runs that could be paired or \
             shown again; its figures are in search.csv, and the command in its manifest.json makes it anew"
        );
    }
    format!("{shown} has no {name}: name a directory that `windtunnel run --out` wrote")
}

/// Writes a file so that it is there whole or not at all.
///
/// # Errors
/// What went wrong, with the file's name.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let written = fs::write(&beside, content).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is left of it is of no use; that it cannot be removed either is not news.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(|error| at(path, &error))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
}
