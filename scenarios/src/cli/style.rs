//! Colours, and columns that line up.

use std::io::{IsTerminal, stderr, stdout};

use clap::builder::styling::{AnsiColor, Styles};
use proxy::config::document::Paint;
use reports::terminal::Colour;

/// How text is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// With colours.
    Coloured,
}

impl Style {
    /// For what goes to standard output.
    pub fn of_stdout() -> Self {
        Self::on(stdout().is_terminal())
    }

    /// For what goes to standard error.
    pub fn of_stderr() -> Self {
        Self::on(stderr().is_terminal())
    }

    fn on(terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        if terminal && !refused && !dumb { Self::Coloured } else { Self::Plain }
    }

    /// The same for what `reports` says.
    pub fn colour(self) -> Colour {
        match self {
            Self::Plain => Colour::Plain,
            Self::Coloured => Colour::Ansi,
        }
    }

    /// The same for errors in files.
    pub fn paint(self) -> Paint {
        match self {
            Self::Plain => Paint::Plain,
            Self::Coloured => Paint::Coloured,
        }
    }

    /// Good news.
    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Bad news.
    pub fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// What stands out.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What may be overlooked.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// Prints a line to standard output. A reader that has gone away (`… | head`) is nobody's fault.
pub fn print(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(stdout(), "{text}");
}

/// The colours of `--help`.
pub(super) fn help_styles() -> Styles {
    Styles::styled()
        .header(AnsiColor::Green.on_default().bold())
        .usage(AnsiColor::Green.on_default().bold())
        .literal(AnsiColor::Cyan.on_default().bold())
        .placeholder(AnsiColor::Cyan.on_default())
}

/// Rows with columns two blanks apart, each as wide as its widest cell; the last column is as long as it is.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]], style: Style) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heading[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        line.trim_end().to_owned()
    };
    let mut out = style.bold(&line(heading));
    for row in rows {
        out.push('\n');
        out.push_str(&line(row.each_ref().map(String::as_str)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            ["a".to_owned(), "größer".to_owned(), "x y".to_owned()],
            ["long name".to_owned(), "b".to_owned(), String::new()],
        ];
        let text = table(["NAME", "UNIT", "DOC"], &rows, Style::Plain);
        assert_eq!(text, "NAME       UNIT    DOC\na          größer  x y\nlong name  b");
    }
}
