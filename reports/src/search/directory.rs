//! The directory of a search's report.
//!
//! Beside the page: `search.csv` (every load that was tried), `timeseries.csv` (for each variant one of the runs that confirmed its
//! capacity, that with the median figure), `junit.xml` and `summary.md` for CI, `manifest.json`. No `summary.csv`: the runs of a search have different loads and
//! answer one question together, so there is nothing that `report diff` could pair.

use super::{Study, csv, junit, markdown, page};
use crate::files::Directory;
use crate::run::{Manifest, Run, Suite};
use crate::{csv as runs_csv, manifest};
use std::io;
use std::path::Path;

/// Writes all files, and takes away what an earlier report left there; `confirmed` are the runs whose courses are kept.
///
/// # Errors
/// Which file could not be written, and why.
pub fn write(
    directory: &Path,
    study: &Study,
    confirmed: &[Run],
    manifest: Manifest,
) -> io::Result<()> {
    let mut report = Directory::begin(directory)?;
    report.write("index.html", page::index(study)?.as_bytes())?;
    report.write("search.csv", &csv::search(study)?)?;
    report.write("timeseries.csv", &runs_csv::timeseries(confirmed)?)?;
    report.write("junit.xml", &junit::report(study)?)?;
    report.write("summary.md", markdown::summary(study).as_bytes())?;
    let suite = Suite { runs: Vec::new(), manifest };
    report.write("manifest.json", &manifest::manifest(&suite)?)?;
    report.finish()
}
