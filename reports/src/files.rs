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
        "timeseries.csv" => csv::timeseries(suite),
        "latency.hlog" => hlog::latency(suite),
        "junit.xml" => junit::report(suite),
        "summary.md" => Ok(markdown::summary(suite).into_bytes()),
        results::NAME => results::render(suite),
        "manifest.json" => manifest::manifest(suite),
        other => Err(io::Error::other(format!("no file of a report is called `{other}`"))),
    }
}

/// Writes every file of the report into `directory`, which is made if it is not there.
///
/// # Errors
/// The first file that could not be written, by name, and why.
pub fn write_all(directory: &Path, suite: &Suite) -> io::Result<()> {
    fs::create_dir_all(directory).map_err(|error| at(directory, &error))?;
    for name in FILES {
        write(&directory.join(name), &render(name, suite)?)?;
    }
    Ok(())
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
