//! Finding scenario files and reading them.
//!
//! A suite is a directory. The name of a scenario is its path below the suite, without the ending and with `/` on every
//! system; a file that is given by itself is called by its own name. Files come in the order of their names, so that
//! a suite runs in the same order everywhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use proxy::config::document::{Document, Error, Origin, Paint, Problem};

use super::matrix::{self, Variant, dangling_part};

/// At most so many files in a suite.
const MAX_FILES: usize = 10_000;
/// At most so deep below the suite's directory.
const MAX_DEPTH: usize = 16;

/// A scenario file: where it is and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name: the path below the suite, without the ending.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// A scenario file that was read and checked.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The scenario's name.
    pub name: String,
    /// Its file, as errors and reports call it.
    pub path: PathBuf,
    /// What was set over the file.
    pub settings: Vec<Setting>,
    /// The cells of its matrix; one without a matrix.
    pub variants: Vec<Variant>,
    /// Its place among the scenarios that were chosen, from 0, counted before a shard takes its part.
    pub place: usize,
}

/// A value set on the command line: `proxy.balance.strategy=p2c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The dotted path.
    pub path: String,
    /// The value as text.
    pub text: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((path, value)) = text.split_once('=') else {
            return Err("write KEY=VALUE, such as proxy.balance.strategy=p2c".to_owned());
        };
        let (path, text) = (path.trim().to_owned(), value.trim().to_owned());
        path.parse::<proxy::config::document::Path>()?;
        Ok(Self { path, text })
    }
}

/// Why no scenarios came back.
#[derive(Debug)]
pub enum Failure {
    /// There is no scenario file in what was named.
    Nothing(String),
    /// What is wrong.
    Wrong(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Wrong(error)
    }
}

impl Loaded {
    /// What is right and hardly what was meant, in pictures: each once, whichever variants have it.
    pub fn warnings(&self, paint: Paint) -> Vec<String> {
        let all = self.variants.iter().flat_map(|variant| &variant.warnings);
        let mut pictures: Vec<String> = Vec::new();
        for picture in all.map(|warning| warning.render_warning(paint)) {
            if !pictures.contains(&picture) {
                pictures.push(picture);
            }
        }
        pictures
    }
}

impl Found {
    /// Its tree, with `settings` laid over the file.
    pub fn document(&self, settings: &[Setting]) -> Result<Document, Error> {
        let mut document = Document::load(&self.path)?;
        for Setting { path, text } in settings {
            let flag =
                Origin::Flag { flag: format!("--set {path}").into(), text: text.as_str().into() };
            let dangling = path.parse().ok().and_then(|path| dangling_part(&document, &path));
            if let Some(problem) = dangling {
                return Err(problem.at(flag).into());
            }
            document.set(path, text, &flag)?;
        }
        Ok(document)
    }

    /// Reads and checks it, with `settings` laid over the file.
    pub fn load(&self, settings: &[Setting]) -> Result<Loaded, Error> {
        let document = self.document(settings)?;
        let base = self.path.parent().unwrap_or(Path::new(""));
        let variants = matrix::variants(document, base)?;
        Ok(Loaded {
            name: self.name.clone(),
            path: self.path.clone(),
            settings: settings.to_vec(),
            variants,
            place: 0,
        })
    }
}

/// Reads and checks every scenario in files and directories, all errors together.
pub fn load_paths(paths: &[PathBuf], settings: &[Setting]) -> Result<Vec<Loaded>, Failure> {
    let mut loaded = Vec::new();
    let mut problems = Vec::new();
    for found in find(paths)? {
        match found.load(settings) {
            Ok(scenario) => loaded.push(scenario),
            Err(error) => problems.extend(error.into_problems()),
        }
    }
    Error::from_problems(problems)?;
    Ok(loaded)
}

/// Finds the scenario files: each file as it is, each directory's `.toml` files, hidden ones aside.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Found>, Failure> {
    let mut found: Vec<Found> = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        let result = match fs::metadata(path) {
            Err(why) => Err(format!("cannot read {}: {why}", path.display())),
            Ok(metadata) if metadata.is_dir() => directory(path, path, 0, &mut found),
            Ok(_) => {
                let name = path.file_stem().unwrap_or(path.as_os_str());
                let name = name.to_string_lossy().into_owned();
                found.push(Found { name, path: path.clone() });
                Ok(())
            }
        };
        problems.extend(result.err().map(Problem::new));
    }
    Error::from_problems(problems)?;
    if found.is_empty() {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Failure::Nothing(format!(
            "there is no scenario file (.toml) in {}",
            names.join(", ")
        )));
    }
    Ok(distinct(found))
}

fn directory(root: &Path, path: &Path, depth: usize, found: &mut Vec<Found>) -> Result<(), String> {
    let cannot = |why: std::io::Error| format!("cannot read {}: {why}", path.display());
    if depth > MAX_DEPTH {
        return Err(format!("{} is more than {MAX_DEPTH} directories deep", path.display()));
    }
    let mut entries: Vec<fs::DirEntry> =
        fs::read_dir(path).map_err(cannot)?.collect::<Result<_, _>>().map_err(cannot)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        // Links to directories are not followed: they may lead back up.
        if entry.file_type().map_err(cannot)?.is_dir() {
            directory(root, &path, depth + 1, found)?;
        } else if path.extension().is_some_and(|ending| ending == "toml") && path.is_file() {
            if found.len() >= MAX_FILES {
                return Err(format!("there are more than {MAX_FILES} scenario files"));
            }
            found.push(Found { name: name_below(root, &path), path });
        }
    }
    Ok(())
}

fn name_below(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path).with_extension("");
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// Each file once, and each under a name of its own: where two suites have the same names, the paths tell them apart.
fn distinct(found: Vec<Found>) -> Vec<Found> {
    let mut seen = BTreeSet::new();
    let mut found: Vec<Found> = found
        .into_iter()
        .filter(|found| seen.insert(found.path.canonicalize().unwrap_or(found.path.clone())))
        .collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for found in &found {
        *counts.entry(found.name.clone()).or_default() += 1;
    }
    for found in &mut found {
        if counts.get(&found.name).is_some_and(|count| *count > 1) {
            found.name = name_below(Path::new(""), &found.path);
        }
    }
    found
}
