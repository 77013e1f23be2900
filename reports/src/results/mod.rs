//! `results.jsonl`: the whole of a suite, so that every other file can be written again and parts can be put together.
//!
//! The other files are for readers: each leaves out what its readers do not need (exact sums, what is too fine for a chart,
//! the configuration). This one leaves out nothing but who ran it, which is `manifest.json`'s, so two runs of one seed
//! write the same bytes. JSON Lines: the first line says what it is and which version, then each run is a line. So it is
//! read and checked run by run within a bound on each line, and a person can look into it with `jq`. Histograms are in
//! the format of `latency.hlog` (HdrHistogram V2, deflated, base64); numbers are written so that they are read back to the last
//! bit. Not compressed as a
//! whole: the suite `ci` takes 55 KB a run, as much as its page.

mod histogram;
mod merge;

pub(crate) use histogram::{buckets, wide};
pub use merge::merge;

use crate::files;
use crate::run::{Run, Suite};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

/// The file's name.
pub const NAME: &str = "results.jsonl";

/// Goes up when a reader of the one before would misread it.
pub const SCHEMA_VERSION: u32 = 1;

/// No line may be longer, in bytes.
const MAX_LINE: u64 = 64 << 20;

/// No file may have more runs.
const MAX_RUNS: usize = 100_000;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    windtunnel: String,
    schema_version: u32,
    runs: usize,
}

/// What the first line calls the file.
const KIND: &str = "results";

/// The file.
///
/// # Errors
/// None that plain data in memory could cause.
pub fn render(suite: &Suite) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let head = Head {
        windtunnel: KIND.to_owned(),
        schema_version: SCHEMA_VERSION,
        runs: suite.runs.len(),
    };
    serde_json::to_writer(&mut out, &head)?;
    out.write_all(b"\n")?;
    for run in &suite.runs {
        serde_json::to_writer(&mut out, run)?;
        out.write_all(b"\n")?;
    }
    Ok(out)
}

/// Reads the runs of a result directory.
///
/// # Errors
/// What is wrong, with the file, the line and the column.
pub fn read(directory: &Path) -> Result<Vec<Run>, String> {
    let path = directory.join(NAME);
    let name = path.display();
    let file = File::open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => files::missing(directory, NAME),
        _ => format!("cannot read {name}: {error}"),
    })?;
    parse(BufReader::new(file)).map_err(|why| format!("{name}:{why}"))
}

/// The runs of a file.
///
/// # Errors
/// `LINE:COLUMN: what is wrong`.
pub fn parse(mut reader: impl BufRead) -> Result<Vec<Run>, String> {
    let mut line = Vec::new();
    let head: Head = match next_line(&mut reader, &mut line, 1)? {
        Some(text) => serde_json::from_slice(text).map_err(|error| at(1, &error))?,
        None => return Err("1:1: it is empty".to_owned()),
    };
    if head.windtunnel != KIND {
        return Err(format!("1:1: these are no results but {}", head.windtunnel));
    }
    if head.schema_version > SCHEMA_VERSION {
        return Err(format!(
            "1:1: schema version {} is newer than {SCHEMA_VERSION}, which this windtunnel reads; use a newer one",
            head.schema_version
        ));
    }
    if head.schema_version == 0 || head.runs > MAX_RUNS {
        return Err(format!("1:1: no file has schema version 0 or more than {MAX_RUNS} runs"));
    }
    let mut runs = Vec::new();
    for number in 2..head.runs + 2 {
        let Some(text) = next_line(&mut reader, &mut line, number)? else {
            return Err(format!(
                "{number}:1: it ends after {} of {} runs: it was cut off",
                runs.len(),
                head.runs
            ));
        };
        let run: Run = serde_json::from_slice(text).map_err(|error| at(number, &error))?;
        check(&run).map_err(|why| format!("{number}:1: {why}"))?;
        runs.push(run);
    }
    match next_line(&mut reader, &mut line, head.runs + 2)? {
        None => Ok(runs),
        Some(_) => Err(format!("{}:1: more than the {} runs of line 1", head.runs + 2, head.runs)),
    }
}

/// What charts and tables rely on.
fn check(run: &Run) -> Result<(), String> {
    let series = &run.measurement.series;
    let slots = series.slots.len();
    match series.lines.iter().find(|line| line.values.len() != slots) {
        None => Ok(()),
        Some(line) => Err(format!(
            "the course of {} has {} values for {slots} intervals",
            line.metric,
            line.values.len()
        )),
    }
}

fn at(line: usize, error: &serde_json::Error) -> String {
    format!("{line}:{}: {error}", error.column())
}

/// The next line without its end, or nothing at the end of the file.
fn next_line<'a>(
    reader: &mut impl BufRead,
    line: &'a mut Vec<u8>,
    number: usize,
) -> Result<Option<&'a [u8]>, String> {
    line.clear();
    let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', line);
    match read.map_err(|error| format!("{number}:1: {error}"))? {
        0 => Ok(None),
        _ if line.len() as u64 == MAX_LINE => {
            Err(format!("{number}:1: a line of {} MiB or more", MAX_LINE >> 20))
        }
        _ => Ok(Some(line.strip_suffix(b"\n").unwrap_or(line))),
    }
}
