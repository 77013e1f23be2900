//! Where a value came from.
//!
//! A configuration is the sum of a file, environment variables, flags and, in a scenario, the cells of
//! a matrix. Whoever reads an error wants to be led to the one of these that is wrong, so every key and
//! every value carries its [`Origin`]. Spans are byte ranges; lines and columns are computed when an
//! error is shown, which keeps reading linear in the size of the file however long its lines are.

use std::{fmt, ops::Range, sync::Arc};

/// In what notation a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// TOML 1.1.
    Toml,
    /// YAML 1.2.
    Yaml,
}

impl Syntax {
    /// By the ending of a file's name: `.yaml` and `.yml` are YAML, everything else is TOML.
    pub fn of(name: &str) -> Self {
        let ending = name.rsplit('.').next().unwrap_or_default();
        if ending.eq_ignore_ascii_case("yaml") || ending.eq_ignore_ascii_case("yml") {
            Self::Yaml
        } else {
            Self::Toml
        }
    }
}

/// A file's name and text.
#[derive(Debug)]
pub struct Source {
    /// The name, as the user gave it.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Its notation.
    pub syntax: Syntax,
}

impl Source {
    /// A source by its name and text; the notation follows from the name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let name = name.into();
        let syntax = Syntax::of(&name);
        Arc::new(Self { name, text: text.into(), syntax })
    }
}

/// A place in a text: both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A part of a file.
#[derive(Clone)]
pub struct Span {
    source: Arc<Source>,
    start: u32,
    end: u32,
}

impl Span {
    /// The bytes in `range`, pulled to the nearest character boundaries within the text.
    pub fn new(source: &Arc<Source>, range: Range<usize>) -> Self {
        let start = source.text.floor_char_boundary(range.start);
        let end = source.text.floor_char_boundary(range.end).max(start);
        Self { source: Arc::clone(source), start: start as u32, end: end as u32 }
    }

    /// The whole file: for what is missing at its top level.
    pub fn whole(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), start: 0, end: u32::MAX }
    }

    /// Whether this is the whole file.
    pub fn is_whole(&self) -> bool {
        self.end == u32::MAX
    }

    /// The file.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Where it starts.
    pub fn start(&self) -> Position {
        self.position(self.start as usize)
    }

    /// Where it ends: just after the last character.
    pub fn end(&self) -> Position {
        self.position(self.end as usize)
    }

    fn position(&self, byte: usize) -> Position {
        let text = &self.source.text;
        let before = &text[..byte.min(text.len())];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The line on which it starts, without its line ending.
    pub fn line_text(&self) -> &str {
        let text = &self.source.text;
        let start = (self.start as usize).min(text.len());
        let from = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[from..].split('\n').next().unwrap_or_default();
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// From the start of this to the end of `other`, which is in the same file.
    pub(super) fn to(&self, other: &Self) -> Self {
        Self { source: Arc::clone(&self.source), start: self.start, end: other.end.max(self.end) }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// `file:line:column`, as editors and terminals understand it.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_whole() {
            return f.write_str(&self.source.name);
        }
        let Position { line, column } = self.start();
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

/// Where a key or a value came from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A place in a file.
    File(Span),
    /// An environment variable.
    Environment {
        /// Its name.
        variable: Arc<str>,
        /// Its value.
        text: Arc<str>,
    },
    /// A flag of the command line.
    Flag {
        /// The flag as it was given: `--listen` or `--set proxy.retry.attempts`.
        flag: Arc<str>,
        /// Its value.
        text: Arc<str>,
    },
    /// A cell of a scenario's matrix.
    Cell {
        /// The dotted path that the matrix varies.
        path: Arc<str>,
        /// The value in the file.
        at: Span,
    },
    /// Made by the program itself.
    Default,
}

impl Origin {
    /// The part of a file that this is, if it is one.
    pub fn span(&self) -> Option<&Span> {
        match self {
            Self::File(span) | Self::Cell { at: span, .. } => Some(span),
            Self::Environment { .. } | Self::Flag { .. } | Self::Default => None,
        }
    }

    /// The text as it was given on a command line or in the environment: what a field that wants text
    /// gets, even where the text could be read as a number.
    pub(super) fn raw_text(&self) -> Option<&str> {
        match self {
            Self::Environment { text, .. } | Self::Flag { text, .. } => Some(text),
            Self::File(_) | Self::Cell { .. } | Self::Default => None,
        }
    }
}

/// One line for a person: `proxy.toml:3:1`, `environment variable PROXY_LISTEN`, `flag --listen`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(span) => span.fmt(f),
            Self::Environment { variable, .. } => write!(f, "environment variable {variable}"),
            Self::Flag { flag, .. } => write!(f, "flag {flag}"),
            Self::Cell { path, at } => write!(f, "{at} (matrix, {path})"),
            Self::Default => f.write_str("default"),
        }
    }
}
