//! A text with holes: `/item/{key}`, `2001:db8::{client}`.
//!
//! Where a text with the same holes is filled in by somebody else (a model of the generator that needs to know what would
//! have been sent), it is filled in here, so that both say the same.

use std::fmt::Write as _;

use crate::schedule::Planned;

/// A text, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Fixed(String),
    Key,
    Client,
}

impl Text {
    /// Takes a text apart: `{key}` and `{client}` are holes, and nothing else is.
    pub fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let (mut rest, mut from) = (text, 0);
        while let Some(open) = rest[from..].find('{').map(|at| at + from) {
            let (hole, len) = match &rest[open..] {
                tail if tail.starts_with("{key}") => (Piece::Key, "{key}".len()),
                tail if tail.starts_with("{client}") => (Piece::Client, "{client}".len()),
                _ => {
                    from = open + 1;
                    continue;
                }
            };
            pieces.push(Piece::Fixed(rest[..open].to_owned()));
            pieces.push(hole);
            (rest, from) = (&rest[open + len..], 0);
        }
        pieces.push(Piece::Fixed(rest.to_owned()));
        pieces.retain(|piece| *piece != Piece::Fixed(String::new()));
        Self(pieces)
    }

    /// Whether it has no holes.
    pub fn is_fixed(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Fixed(_)))
    }

    /// Appends the text of a request.
    pub fn fill(&self, planned: &Planned, out: &mut String) {
        for piece in &self.0 {
            // Writing to a String does not fail.
            let _ = match piece {
                Piece::Fixed(text) => out.write_str(text),
                Piece::Key => write!(out, "{}", planned.key),
                Piece::Client => write!(out, "{}", planned.client),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use policy::Instant;

    use super::*;

    #[test]
    fn holes_are_filled_and_all_else_is_left() {
        let planned = Planned {
            at: Instant::START,
            id: 1,
            load: 0,
            template: 0,
            client: 17,
            key: 4,
            body: 0,
            size: None,
            work: None,
            traced: None,
        };
        for (text, filled, is_fixed) in [
            ("", "", true),
            ("/item/{key}?c={client}", "/item/4?c=17", false),
            ("{key}{key}", "44", false),
            ("{\"a\": {key}, {x}", "{\"a\": 4, {x}", false),
            ("{{key}}", "{4}", false),
            ("{\u{e9}", "{\u{e9}", true),
        ] {
            let mut out = String::new();
            Text::new(text).fill(&planned, &mut out);
            assert_eq!((out.as_str(), Text::new(text).is_fixed()), (filled, is_fixed), "{text}");
        }
    }
}
