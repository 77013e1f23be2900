//! The cells of a CSV file, each with the line and the column at which it stands.
//!
//! RFC 4180, read strictly: what `summary.csv` should never be is told with its place, so that a person finds it in an
//! editor. The `csv` crate knows the line of a row but not the column of a cell once it took the quotation marks off; so
//! this is a reader of our own. It never panics, whatever the text is, and holds one row at a time.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::CharIndices;

/// A cell without its quotation marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// What stands in it.
    pub text: Cow<'a, str>,
    /// Its line, from 1.
    pub line: usize,
    /// The column at which it begins, in characters, from 1.
    pub column: usize,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
    /// What is wrong, and what should stand there.
    pub why: String,
}

/// The rows of a text, empty lines left out. Ends after the first flaw.
#[derive(Debug)]
pub struct Rows<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    line: usize,
    column: usize,
}

impl<'a> Rows<'a> {
    /// Of this text.
    pub fn of(text: &'a str) -> Self {
        Self { text, rest: text.char_indices().peekable(), line: 1, column: 1 }
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().map(|(_, c)| *c)
    }

    fn position(&mut self) -> usize {
        self.rest.peek().map_or(self.text.len(), |(place, _)| *place)
    }

    fn step(&mut self) {
        if let Some((_, c)) = self.rest.next() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
    }

    fn flaw(&self, why: &str) -> Flaw {
        Flaw { line: self.line, column: self.column, why: why.to_owned() }
    }

    fn cell(&mut self) -> Result<Cell<'a>, Flaw> {
        let (line, column) = (self.line, self.column);
        let text = if self.peek() == Some('"') { self.quoted()? } else { self.bare()? };
        Ok(Cell { text, line, column })
    }

    fn bare(&mut self) -> Result<Cow<'a, str>, Flaw> {
        let from = self.position();
        loop {
            match self.peek() {
                None | Some(',' | '\n' | '\r') => break,
                Some('"') => {
                    return Err(self.flaw("a quotation mark inside of a cell that begins without"));
                }
                Some(_) => self.step(),
            }
        }
        let to = self.position();
        Ok(Cow::Borrowed(self.text.get(from..to).unwrap_or_default()))
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>, Flaw> {
        let opened = self.flaw("a quotation mark opens a cell and none closes it");
        self.step();
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(opened),
                Some('"') => {
                    self.step();
                    if self.peek() != Some('"') {
                        return Ok(Cow::Owned(text));
                    }
                    text.push('"');
                }
                Some(c) => text.push(c),
            }
            self.step();
        }
    }

    fn row(&mut self) -> Result<Vec<Cell<'a>>, Flaw> {
        let mut cells = Vec::new();
        loop {
            cells.push(self.cell()?);
            match self.peek() {
                Some(',') => self.step(),
                Some('\r') => {
                    self.step();
                    match self.peek() {
                        Some('\n') | None => self.step(),
                        Some(_) => return Err(self.flaw("a carriage return inside of a line")),
                    }
                    return Ok(cells);
                }
                Some('\n') => {
                    self.step();
                    return Ok(cells);
                }
                None => return Ok(cells),
                Some(_) => {
                    return Err(self.flaw("text behind a closing quotation mark; write a comma"));
                }
            }
        }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Vec<Cell<'a>>, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.peek()?;
            let row = self.row();
            match &row {
                Ok(cells) if cells.len() == 1 && cells[0].text.is_empty() => {}
                Ok(_) => return Some(row),
                Err(_) => {
                    self.rest = "".char_indices().peekable();
                    return Some(row);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str) -> Vec<Vec<String>> {
        let row = |row: Result<Vec<Cell<'_>>, Flaw>| {
            row.expect("it is right").into_iter().map(|cell| cell.text.into_owned()).collect()
        };
        Rows::of(text).map(row).collect()
    }

    fn flaw(text: &str) -> (usize, usize) {
        let flaw = Rows::of(text).find_map(Result::err).expect("it is wrong");
        (flaw.line, flaw.column)
    }

    #[test]
    fn cells_know_where_they_stand() {
        let rows: Vec<_> = Rows::of("ä,\"b\"\"\n,\",c\r\n\n1,2,3").map(Result::unwrap).collect();
        let places: Vec<Vec<(usize, usize)>> =
            rows.iter().map(|row| row.iter().map(|c| (c.line, c.column)).collect()).collect();
        assert_eq!(places, [[(1, 1), (1, 3), (2, 4)], [(4, 1), (4, 3), (4, 5)]]);
        assert_eq!(rows[0][1].text, "b\"\n,");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert_eq!(flaw("a,b\n1,\"2"), (2, 3));
        assert_eq!(flaw("a,b\n1,\"2\"x"), (2, 6));
        assert_eq!(flaw("a,b\n1,x\"2"), (2, 4));
        assert_eq!(flaw("a\rb"), (1, 3));
        assert_eq!(Rows::of("a\"\nb\nc").count(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[a\",\r\n é]{0,40}") {
            prop_assert!(Rows::of(&text).count() <= text.len() + 1);
        }

        #[test]
        fn what_the_csv_crate_writes_is_read_back(
            rows in proptest::collection::vec(proptest::collection::vec("[a\",\r\n é]{0,5}", 2..4), 1..5)
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).expect("in memory");
            }
            let text = String::from_utf8(writer.into_inner().expect("in memory")).expect("text");
            prop_assert_eq!(texts(&text), rows);
        }
    }
}
