//! What is written down: a scenario file that breaks, with what broke and how it was found.
//!
//! A finding is never written over another one: it may be the only one of its kind.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use reports::World;

use super::{
    judge::{Broken, Kind},
    reduce::Case,
};
use crate::run::repeat::quote;

/// At most so many findings of one name in a directory.
const MOST: u32 = 10_000;

/// How it was found.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The command that finds it again.
    pub command: String,
    /// Which run it was, from 0; none for the one without events.
    pub number: Option<u64>,
    /// How many events were drawn.
    pub drawn: usize,
    /// How many runs it took to make it small.
    pub runs: u64,
}

/// The text of the file, for a file in `directory`.
pub fn text(case: &Case, broken: &Broken, origin: &Origin, directory: &Path) -> String {
    let mut out = String::new();
    let comment = |out: &mut String, text: &str| {
        for line in wrapped(text, 100) {
            out.push_str("# ");
            out.push_str(&line);
            out.push('\n');
        }
    };
    comment(&mut out, &format!("Breaks {broken}"));
    if !broken.promise.is_empty() {
        comment(&mut out, &format!("Promised: {}", broken.promise));
    }
    let events = |n: usize| if n == 1 { "1 event".to_owned() } else { format!("{n} events") };
    let run = origin.number.map_or_else(|| "without events".to_owned(), |n| format!("in run {n}"));
    comment(
        &mut out,
        &format!(
            "Found by `{}` {run}; made of {} in {} runs.",
            origin.command,
            events(origin.drawn),
            origin.runs
        ),
    );
    let description = match broken.kind {
        Kind::Panic => format!("It panics at {}.", broken.name),
        Kind::Invariant => format!("The invariant {} breaks.", broken.name),
        Kind::Endless => "It does not end.".to_owned(),
        Kind::Error => "It cannot be carried out.".to_owned(),
        Kind::Threshold => format!("The threshold {} does not hold.", broken.name),
    };
    let mut moved = case.clone();
    moved.draft = moved.draft.moved_to(directory);
    let _ = writeln!(out, "description = {}", super::text::inline(&description.into()));
    out.push_str(&moved.text());
    out
}

/// Where it is to be written: into a file, or into a directory under a name that says what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// This file, which must not be there yet.
    File(PathBuf),
    /// This directory.
    Directory(PathBuf),
}

impl Place {
    /// What ends in `.toml` is a file, everything else a directory.
    pub fn of(path: &Path) -> Self {
        match path.extension() {
            Some(ending) if ending == "toml" => Self::File(path.to_owned()),
            _ => Self::Directory(path.to_owned()),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        match self {
            Self::File(file) => file.parent().unwrap_or(Path::new("")),
            Self::Directory(directory) => directory,
        }
    }

    /// Writes a file that was not there before; says which.
    ///
    /// # Errors
    /// When it is there, or cannot be written.
    pub fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        if !self.directory().as_os_str().is_empty() {
            fs::create_dir_all(self.directory())?;
        }
        let new = |path: &Path| {
            let mut file = fs::File::create_new(path)?;
            file.write_all(text.as_bytes())
        };
        match self {
            Self::File(file) => new(file).map(|()| file.clone()),
            Self::Directory(directory) => {
                for number in 1..=MOST {
                    let number = if number == 1 { String::new() } else { format!("-{number}") };
                    let path = directory.join(format!("{name}{number}.toml"));
                    match new(&path) {
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        result => return result.map(|()| path),
                    }
                }
                Err(io::Error::new(io::ErrorKind::AlreadyExists, "there are too many already"))
            }
        }
    }
}

/// The name of a finding's file: `hang-one-outcome`.
pub fn name(scenario: &str, broken: &Broken) -> String {
    let what = match broken.kind {
        Kind::Panic => "panic",
        Kind::Endless => "endless",
        Kind::Error => "error",
        Kind::Invariant => &broken.name,
        Kind::Threshold => broken.name.split(' ').next().unwrap_or_default(),
    };
    let scenario = scenario.rsplit('/').next().unwrap_or(scenario);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    format!("{scenario}-{what}").chars().map(plain).collect()
}

/// The command that repeats it.
pub fn command(path: &Path, world: World) -> String {
    format!("windtunnel run {} --world {world}", quote(&path.display().to_string()))
}

/// Lines of at most `width` characters, broken at blanks.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
