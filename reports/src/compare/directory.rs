//! The directory of a comparison's report.
//!
//! Beside the page: `compare.csv` (every pair), `summary.csv` (every run), `timeseries.csv`, `knee.csv` where there is a knee,
//! `junit.xml` and `summary.md` for CI, `manifest.json`. The courses are of one seed for each variant, which is that with which the
//! baseline is at its median: the same for all, so that every course faces the same requests. Seventeen strategies with ten
//! endpoints are 25,000 rows (2 MB) so, and would be ten times as many with every seed; a mean over seeds would be a
//! course that no run had. What a run of another seed looked like, its command in `manifest.json` says.

use super::{Contrast, csv, figures, junit, knee, knee::Knee, markdown, page};
use crate::files::Directory;
use crate::run::{Run, Suite};
use crate::statistics::lower_median;
use crate::{csv as runs_csv, manifest};
use std::io;
use std::path::Path;

/// Writes all files, and takes away what an earlier report left there.
///
/// # Errors
/// Which file could not be written, and why.
pub fn write(
    directory: &Path,
    suite: &Suite,
    contrast: &Contrast<'_>,
    knee: Option<&Knee>,
) -> io::Result<()> {
    let mut report = Directory::begin(directory)?;
    report.write("index.html", page::index(contrast, knee)?.as_bytes())?;
    report.write("compare.csv", &csv::compare(contrast)?)?;
    report.write("summary.csv", &runs_csv::summary(suite)?)?;
    report.write("timeseries.csv", &runs_csv::timeseries(shown(contrast))?)?;
    if let (Some(knee), Some(run)) = (knee.filter(|k| !k.lines.is_empty()), suite.runs.first()) {
        let rows = knee::csv(knee, &run.scenario, run.world.as_str(), &contrast.metric)?;
        report.write("knee.csv", &rows)?;
    }
    report.write("junit.xml", &junit::report(contrast, knee)?)?;
    report.write("summary.md", markdown::summary(contrast, knee).as_bytes())?;
    report.write("manifest.json", &manifest::manifest(suite)?)?;
    report.finish()
}

/// The runs whose courses are kept: one a variant, all with the same seed.
pub(crate) fn shown<'r>(contrast: &Contrast<'r>) -> Vec<&'r Run> {
    let place = middle(contrast);
    contrast.variants.iter().filter_map(|variant| variant.runs.get(place).copied()).collect()
}

/// The place of the seed with which the baseline is at its median; of an even number the lower.
fn middle(contrast: &Contrast<'_>) -> usize {
    let values = figures(&contrast.variants[contrast.baseline].runs, &contrast.metric);
    lower_median(&values).unwrap_or(0)
}
