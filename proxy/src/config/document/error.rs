//! Errors that point at the place.
//!
//! A [`Problem`] is one thing that is wrong: a message, where it is, and what to write instead. An
//! [`Error`] is all of them that could be found in one reading, because a person who must run a program
//! seven times to find seven misspelt keys stops reading at the second. The picture is the one that
//! compilers have taught everybody; drawing it takes the hundred lines below, which is less than a
//! dependency would cost to configure.

use std::fmt::{self, Write as _};

use super::origin::{Origin, Position, Span};

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// Where, when it has a place.
    pub origin: Option<Origin>,
    /// What to write instead, or what else is worth knowing; a line each.
    pub help: Vec<String>,
}

impl Problem {
    /// A problem that has no place yet.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), origin: None, help: Vec::new() }
    }

    /// The same at a place.
    pub fn at(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// The same with a line of help.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

impl Problem {
    /// The picture of what is no error, and the reader should know all the same.
    pub fn render_warning(&self, paint: Paint) -> String {
        let mut out = String::new();
        draw(&mut out, &paint.yellow("warning"), self, paint);
        out
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

/// Everything that is wrong: at least one problem.
#[derive(Clone, Debug)]
pub struct Error {
    problems: Vec<Problem>,
}

impl Error {
    /// All of these, or `Ok` when there is none.
    pub fn from_problems(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// One problem without a place.
    pub fn message(message: impl Into<String>) -> Self {
        Problem::new(message).into()
    }

    /// The problems, in the order in which they were found.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The problems, to be put among others.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// The picture of all problems, for a terminal or a file.
    pub fn render(&self, paint: Paint) -> String {
        let mut out = String::new();
        for (position, problem) in self.problems.iter().enumerate() {
            if position > 0 {
                out.push('\n');
            }
            draw(&mut out, &paint.red("error"), problem, paint);
        }
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Paint::Plain).trim_end())
    }
}

impl std::error::Error for Error {}

/// Whether a picture has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text only: files, pipes, `NO_COLOR`.
    Plain,
    /// ANSI colours: terminals.
    Coloured,
}

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }

    fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    fn yellow(self, text: &str) -> String {
        self.wrap("1;33", text)
    }

    fn blue(self, text: &str) -> String {
        self.wrap("1;34", text)
    }

    fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }
}

/// Writing to a `String` cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {
        let _ = writeln!($out, $($arg)*);
    };
}

fn draw(out: &mut String, title: &str, problem: &Problem, paint: Paint) {
    put!(out, "{title}{}", paint.bold(&format!(": {}", clean(&problem.message))));
    let margin = match &problem.origin {
        None => " ".to_owned(),
        Some(origin) => draw_origin(out, origin, paint),
    };
    for help in &problem.help {
        put!(out, "{margin} {} help: {}", paint.blue("="), clean(help));
    }
}

/// Draws the place and gives back the margin, as wide as the line's number.
fn draw_origin(out: &mut String, origin: &Origin, paint: Paint) -> String {
    match origin {
        Origin::File(span) => draw_span(out, span, paint),
        Origin::Cell { path, at } => {
            let margin = draw_span(out, at, paint);
            put!(
                out,
                "{margin} {} note: this cell of the matrix stands for `{path}`",
                paint.blue("=")
            );
            margin
        }
        Origin::Environment { variable, text } => {
            put!(out, " {} environment variable {variable}={}", paint.blue("-->"), clean(text));
            " ".to_owned()
        }
        Origin::Flag { flag, text } => {
            let joint = if flag.starts_with("--set ") { "=" } else { " " };
            put!(out, " {} {flag}{joint}{}", paint.blue("-->"), clean(text));
            " ".to_owned()
        }
        Origin::Default => " ".to_owned(),
    }
}

fn draw_span(out: &mut String, span: &Span, paint: Paint) -> String {
    if span.is_whole() {
        put!(out, " {} {span}", paint.blue("-->"));
        return " ".to_owned();
    }
    let (start, end) = (span.start(), span.end());
    let number = start.line.to_string();
    let margin = " ".repeat(number.len());
    let bar = paint.blue("|");
    let (line, from, width) = window(span.line_text(), start, end);
    let pad: String = line.chars().take(from).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    put!(out, "{margin}{} {span}", paint.blue("-->"));
    put!(out, "{margin} {bar}");
    put!(out, "{} {bar} {line}", paint.blue(&number));
    put!(out, "{margin} {bar} {pad}{}", paint.red(&"^".repeat(width)));
    margin
}

/// The part of a line worth showing, the first character to underline in it, and how many.
fn window(line: &str, start: Position, end: Position) -> (String, usize, usize) {
    const WIDEST: usize = 120;
    const BEFORE: usize = 40;
    let letters: Vec<char> = line.chars().map(visible).collect();
    let from = (start.column - 1).min(letters.len());
    let to = if end.line == start.line { end.column - 1 } else { letters.len() };
    // A span that reaches over the end of its line is underlined to the last visible character.
    let to = if end.line == start.line { to } else { line.trim_end().chars().count() };
    let width = to.min(letters.len()).saturating_sub(from).max(1);
    if letters.len() <= WIDEST {
        return (letters.into_iter().collect(), from, width);
    }
    let cut = from.saturating_sub(BEFORE);
    let shown: String = letters.iter().skip(cut).take(WIDEST).collect();
    let (before, shift) = if cut > 0 { ("… ", 2) } else { ("", 0) };
    let after = if cut + WIDEST < letters.len() { " …" } else { "" };
    let at = from - cut;
    (format!("{before}{shown}{after}"), at + shift, width.min(WIDEST - at))
}

/// A file must not be able to send commands to the terminal of whoever checks it.
fn visible(c: char) -> char {
    if c.is_control() && c != '\t' { '\u{fffd}' } else { c }
}

fn clean(text: &str) -> String {
    text.chars().map(visible).collect()
}
