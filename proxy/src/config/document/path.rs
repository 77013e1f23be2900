//! Dotted paths: `proxy.balance.strategy`, `events[1].slow.endpoint`, `thresholds."latency.p99"`.
//!
//! The notation is TOML's for keys, plus `[n]` for the elements of an array; `.n` means the same where an
//! array stands. Names with dots or other special characters go in quotes.

use std::{fmt, str::FromStr};

/// One step down a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// To the value of a key.
    Key(String),
    /// To an element of an array, from 0.
    Index(usize),
}

/// A way from the root of a tree to one of its nodes; the empty path is the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(pub Vec<Step>);

/// How deep a path may go.
const MAX_STEPS: usize = 64;

impl Path {
    /// The path of the enclosing node; the root's is the root.
    pub fn parent(&self) -> Self {
        let mut steps = self.0.clone();
        steps.pop();
        Self(steps)
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// This path and one key more.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.push(Step::Key(key.into()));
        self
    }

    /// This path and one index more.
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Step::Index(index));
        self
    }

    /// The last step as text, for messages; the empty text for the root.
    pub(super) fn last(&self) -> String {
        match self.0.last() {
            None => String::new(),
            Some(Step::Key(key)) => key.clone(),
            Some(Step::Index(_)) => self.to_string(),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    let bare = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
                    if !key.is_empty() && key.chars().all(bare) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = |why: &str| {
            Err(format!("`{text}` is not a path: {why}; write it like proxy.balance.strategy"))
        };
        let mut steps = Vec::new();
        let mut rest = text.trim();
        loop {
            if steps.len() >= MAX_STEPS {
                return fail("it is too deep");
            }
            if let Some(quote @ ('"' | '\'')) = rest.chars().next() {
                let Some((key, tail)) = quoted(&rest[1..], quote) else {
                    return fail("a quote is not closed");
                };
                steps.push(Step::Key(key));
                rest = tail;
            } else {
                let end = rest.find(['.', '[', '"', '\'', ']', '=']).unwrap_or(rest.len());
                let key = rest[..end].trim();
                if key.is_empty() {
                    return fail("a name is missing");
                }
                steps.push(Step::Key(key.to_owned()));
                rest = &rest[end..];
            }
            while let Some(tail) = rest.strip_prefix('[') {
                let Some((index, tail)) = tail.split_once(']') else {
                    return fail("a bracket is not closed");
                };
                let Ok(index) = index.trim().parse() else {
                    return fail("between brackets belongs the number of an element, from 0");
                };
                steps.push(Step::Index(index));
                rest = tail;
                if steps.len() >= MAX_STEPS {
                    return fail("it is too deep");
                }
            }
            match rest.strip_prefix('.') {
                Some(tail) => rest = tail,
                None if rest.is_empty() => return Ok(Self(steps)),
                None => return fail("a dot belongs between two names"),
            }
        }
    }
}

/// The text up to the closing quote, and what follows it. In double quotes, a backslash takes the next
/// character as it is.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((key, &text[at + c.len_utf8()..]));
        }
        if c == '\\' && quote == '"' {
            key.push(chars.next()?.1);
        } else {
            key.push(c);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "proxy",
            "proxy.balance.strategy",
            "events[1].slow.endpoint",
            "thresholds.\"latency.p99\"",
            "load.browse.request[0].weight",
            "a[0][1]",
        ] {
            let path: Path = text.parse().expect("a good path");
            assert_eq!(path.to_string(), text);
        }
        let quoted: Path = "thresholds.'latency.p99'".parse().expect("a good path");
        assert_eq!(quoted, Path::default().key("thresholds").key("latency.p99"));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a]", "a\"b", "\"a", "a[0]b"] {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
        assert!("a.".repeat(100_000).parse::<Path>().is_err());
        assert!(format!("a{}", "[0]".repeat(100_000)).parse::<Path>().is_err());
    }
}
