//! What a result directory says of its runs: `summary.csv`, and where they are there `manifest.json` and `latency.hlog`.
//!
//! The first has the figures. The second knows which configuration a run had and the command that repeats it. Of the third
//! only a fingerprint of each run's lines is taken: with it two runs can be told apart that have the same figures in the
//! summary. Everything is read up to a bound, and what is malformed is an error that names the file, the line and the column.

use super::cells::{Cell, Flaw, Rows};
use crate::csv::{RUN_COLUMNS, SCHEMA_VERSION};
use crate::files;
use crate::hlog;
use crate::run::{Verdict, World};
use serde::Deserialize;
use std::collections::{BTreeMap, btree_map::Entry};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

/// No file of a result directory that is read whole may be larger.
pub const MAX_BYTES: u64 = 256 << 20;

/// Which run it is: the same in two directories that are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What is repeated with several seeds.
    pub group: Group,
    /// The seed.
    pub seed: u64,
}

/// What is repeated with several seeds: one variant of one scenario in one world.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The scenario's name.
    pub scenario: String,
    /// The variant, `path=value; path=value`; empty without a matrix.
    pub variant: String,
    /// Where it ran.
    pub world: World,
}

impl Group {
    /// In one line for a person: `ci/slow [strategy=p2c] sim`.
    pub fn title(&self) -> String {
        if self.variant.is_empty() {
            return format!("{} {}", self.scenario, self.world);
        }
        let short = |cell: &str| {
            let (path, value) = cell.split_once('=').unwrap_or((cell, ""));
            format!("{}={value}", path.rsplit('.').next().unwrap_or(path))
        };
        let cells: Vec<String> = self.variant.split("; ").map(short).collect();
        format!("{} [{}] {}", self.scenario, cells.join(", "), self.world)
    }
}

/// A run as its directory tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// How it ended; the reason is empty where no manifest has it.
    pub verdict: Verdict,
    /// Its figures by column; a figure that the run does not have is not there.
    pub values: BTreeMap<String, f64>,
    /// The hash of its configuration, where a manifest has it.
    pub configuration: Option<String>,
    /// The command that repeats it, where a manifest has it.
    pub command: Option<String>,
    /// A fingerprint of its lines in `latency.hlog`, where there is such a file.
    pub latency: Option<u64>,
    /// Its line in `summary.csv`.
    line: usize,
}

/// A result directory.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// What the person calls it.
    pub name: String,
    /// Its runs.
    pub runs: BTreeMap<Key, Told>,
}

impl Results {
    /// Reads a directory that `windtunnel run` or `windtunnel compare` wrote.
    ///
    /// # Errors
    /// What is wrong with it, where.
    pub fn read(directory: &Path) -> Result<Self, String> {
        let name = directory.display().to_string();
        let summary = directory.join("summary.csv");
        let Some(bytes) = bytes(&summary)? else {
            return Err(files::missing(directory, "summary.csv"));
        };
        let mut runs = summary_rows(&bytes).map_err(|flaw| at(&summary, &flaw))?;
        let manifest = directory.join("manifest.json");
        if let Some(bytes) = self::bytes(&manifest)? {
            add_manifest(&bytes, &mut runs).map_err(|flaw| at(&manifest, &flaw))?;
        }
        let log = directory.join("latency.hlog");
        add_latencies(&log, &mut runs)
            .map_err(|error| format!("cannot read {}: {error}", log.display()))?;
        Ok(Self { name, runs })
    }
}

fn at(path: &Path, flaw: &Flaw) -> String {
    format!("{}:{}:{}: {}", path.display(), flaw.line, flaw.column, flaw.why)
}

/// A file whole, or nothing where there is none.
pub(crate) fn bytes(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(cannot(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_BYTES {
        let most = MAX_BYTES >> 20;
        return Err(format!("{} is larger than {most} MiB, which is the most", path.display()));
    }
    Ok(Some(bytes))
}

/// The runs of a `summary.csv`.
///
/// # Errors
/// The first flaw and its place.
pub fn summary_rows(bytes: &[u8]) -> Result<BTreeMap<Key, Told>, Flaw> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        let line = before.split(|byte| *byte == b'\n').count();
        let column = 1 + String::from_utf8_lossy(&before[start..]).chars().count();
        Flaw { line, column, why: "this is not UTF-8".to_owned() }
    })?;
    let mut rows = Rows::of(text);
    let nothing = || Flaw { line: 1, column: 1, why: "there is no heading".to_owned() };
    let head = rows.next().ok_or_else(nothing)??;
    let places = heading(&head)?;
    let mut runs: BTreeMap<Key, Told> = BTreeMap::new();
    for row in rows {
        let row = row?;
        if row.len() != head.len() {
            let cell = row.get(head.len()).or(row.last()).ok_or_else(nothing)?;
            let why = format!("{} cells, and the heading has {}", row.len(), head.len());
            return Err(flaw(cell, why));
        }
        let (key, told) = run(&head, &row, places)?;
        match runs.entry(key) {
            Entry::Vacant(free) => {
                free.insert(told);
            }
            Entry::Occupied(known) => {
                let why = format!(
                    "{}, seed {} is in line {} already",
                    known.key().group.title(),
                    known.key().seed,
                    known.get().line
                );
                return Err(flaw(&row[places[1]], why));
            }
        }
    }
    Ok(runs)
}

fn flaw(cell: &Cell<'_>, why: String) -> Flaw {
    Flaw { line: cell.line, column: cell.column, why }
}

/// Where the columns stand that say which run it is.
fn heading(head: &[Cell<'_>]) -> Result<[usize; 6], Flaw> {
    let mut seen = std::collections::BTreeSet::new();
    for cell in head {
        if !seen.insert(&cell.text) {
            return Err(flaw(cell, format!("the column `{}` is there twice", cell.text)));
        }
    }
    let mut places = [0; 6];
    for (place, name) in places.iter_mut().zip(RUN_COLUMNS) {
        let found = head.iter().position(|cell| cell.text == name);
        *place = found.ok_or_else(|| {
            let why = format!("no column is called `{name}`: this is no summary of windtunnel's");
            Flaw { line: 1, column: 1, why }
        })?;
    }
    Ok(places)
}

fn run(head: &[Cell<'_>], row: &[Cell<'_>], places: [usize; 6]) -> Result<(Key, Told), Flaw> {
    let [version, scenario, world, variant, seed, verdict] = places.map(|place| &row[place]);
    match version.text.parse::<u32>() {
        Ok(SCHEMA_VERSION) => {}
        Ok(other) if other > SCHEMA_VERSION => {
            let why = format!(
                "schema version {other} is newer than {SCHEMA_VERSION}, which this windtunnel reads; use a newer one"
            );
            return Err(flaw(version, why));
        }
        _ => {
            let why = format!("`{}` is no schema version; write {SCHEMA_VERSION}", version.text);
            return Err(flaw(version, why));
        }
    }
    let group = Group {
        scenario: scenario.text.clone().into_owned(),
        variant: variant.text.clone().into_owned(),
        world: world.text.parse().map_err(|why| flaw(world, why))?,
    };
    let number = |why: &str| flaw(seed, format!("`{}` is no seed: {why}", seed.text));
    let key = Key { group, seed: seed.text.parse().map_err(|_| number("write a whole number"))? };
    let verdict = match &*verdict.text {
        "pass" => Verdict::Pass,
        "fail" => Verdict::Fail,
        "invalid" => Verdict::Invalid(String::new()),
        "error" => Verdict::Error(String::new()),
        other => {
            let why = format!("`{other}` is no verdict; write pass, fail, invalid or error");
            return Err(flaw(verdict, why));
        }
    };
    let mut values = BTreeMap::new();
    for (place, (cell, name)) in row.iter().zip(head).enumerate() {
        if places.contains(&place) || cell.text.is_empty() {
            continue;
        }
        let value = cell.text.parse::<f64>().ok().filter(|value| value.is_finite());
        let value = value.ok_or_else(|| {
            flaw(cell, format!("`{}` in the column `{}` is no number", cell.text, name.text))
        })?;
        values.insert(name.text.clone().into_owned(), value);
    }
    let line = scenario.line;
    let told = Told { verdict, values, configuration: None, command: None, latency: None, line };
    Ok((key, told))
}

/// What is read of a manifest.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    runs: Vec<Entrance>,
}

#[derive(Deserialize)]
struct Entrance {
    scenario: String,
    world: String,
    variant: String,
    seed: u64,
    reason: Option<String>,
    configuration_hash: Option<String>,
    command: Option<String>,
}

fn add_manifest(bytes: &[u8], runs: &mut BTreeMap<Key, Told>) -> Result<(), Flaw> {
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| Flaw {
        line: error.line(),
        column: error.column(),
        why: error.to_string(),
    })?;
    for entry in manifest.runs {
        // A world that is none is none of the summary's either.
        let Ok(world) = entry.world.parse() else { continue };
        let group = Group { scenario: entry.scenario, variant: entry.variant, world };
        let Some(told) = runs.get_mut(&Key { group, seed: entry.seed }) else { continue };
        told.configuration = entry.configuration_hash;
        told.command = entry.command;
        if let (Verdict::Invalid(why) | Verdict::Error(why), Some(reason)) =
            (&mut told.verdict, entry.reason)
        {
            *why = reason;
        }
    }
    Ok(())
}

/// Fingerprints the lines of each run, one line in memory at a time. They are compared within this process only, so it does
/// not matter that another version of the library may hash otherwise.
fn add_latencies(path: &Path, runs: &mut BTreeMap<Key, Told>) -> std::io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut tags: BTreeMap<Vec<u8>, DefaultHasher> = BTreeMap::new();
    let mut reader = BufReader::new(file.take(8 * MAX_BYTES));
    let mut line = Vec::new();
    while reader.by_ref().take(MAX_BYTES).read_until(b'\n', &mut line)? > 0 {
        if let Some(rest) = line.strip_prefix(b"Tag=") {
            let end = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
            let hasher = tags.entry(rest[..end].to_vec()).or_default();
            rest[end..].hash(hasher);
        }
        line.clear();
    }
    for (key, told) in runs {
        let Group { scenario, variant, world } = &key.group;
        let tag = hlog::tag_of(scenario, *world, variant, key.seed);
        told.latency = Some(tags.get(tag.as_bytes()).map_or(0, DefaultHasher::finish));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "schema_version,scenario,world,variant,seed,verdict,latency_p99_ms";

    fn told(rows: &str) -> Result<usize, String> {
        let flaw = |flaw: Flaw| format!("{}:{}: {}", flaw.line, flaw.column, flaw.why);
        summary_rows(format!("{HEAD}\n{rows}").as_bytes()).map(|runs| runs.len()).map_err(flaw)
    }

    #[test]
    fn what_is_malformed_is_told_with_line_and_column() {
        assert_eq!(told("1,a,sim,,7,pass,12.5\n1,a,sim,,8,pass,\n"), Ok(2));
        for (rows, why) in [
            ("1,a,sim,,7,pass,abc", "2:17: `abc` in the column `latency_p99_ms` is no number"),
            ("1,a,sim,,7,pass,NaN", "2:17: `NaN` in the column `latency_p99_ms` is no number"),
            ("1,a,sim,,7,passed,1", "2:12: `passed` is no verdict"),
            ("1,a,mars,,7,pass,1", "2:5: no world is called `mars`"),
            ("1,a,sim,,-7,pass,1", "2:10: `-7` is no seed"),
            ("2,a,sim,,7,pass,1", "2:1: schema version 2 is newer than 1"),
            ("x,a,sim,,7,pass,1", "2:1: `x` is no schema version"),
            ("1,a,sim,,7,pass", "2:12: 6 cells, and the heading has 7"),
            ("1,a,sim,,7,pass,1,2", "2:19: 8 cells, and the heading has 7"),
            ("1,a,sim,,7,pass,1\n1,a,sim,,7,fail,2", "3:3: a sim, seed 7 is in line 2 already"),
            ("1,\"a,sim,,7,pass,1", "2:3: a quotation mark opens a cell"),
        ] {
            let error = told(rows).expect_err("it is wrong");
            assert!(error.starts_with(why), "{rows}: {error}");
        }
        let place = |bytes: &[u8]| summary_rows(bytes).map_err(|flaw| (flaw.line, flaw.column));
        assert_eq!(place(b"a\nb\xc3\xa4\xff"), Err((2, 3)));
        assert_eq!(place(b""), Err((1, 1)));
        assert_eq!(place(b"a,a"), Err((1, 3)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = summary_rows(&bytes);
        }

        #[test]
        fn nor_do_rows_that_look_like_some(rows in "[1a,\"\r\nsimpa7.ex-]{0,80}") {
            let _ = told(&rows);
            let _ = add_manifest(rows.as_bytes(), &mut BTreeMap::new());
        }
    }
}
