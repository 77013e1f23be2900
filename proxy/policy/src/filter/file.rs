//! Texts that come from files of their own: lists of words, hosts and addresses, users, bodies.
//!
//! A configuration names the file. Whoever loads the configuration reads it and puts the contents in here, since nothing in this
//! crate does I/O. Two configurations that name one file are different when its contents are, so that a reload sees what has changed.

use std::{borrow::Cow, fmt, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is in a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Contents(pub Arc<[u8]>);

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There may be password hashes in it.
        write!(f, "{} bytes", self.0.len())
    }
}

/// A file that the configuration names, and what is in it once somebody has read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FromFile {
    /// Its path, from the folder of the configuration file.
    pub path: String,
    /// What is in it.
    pub contents: Option<Contents>,
}

impl FromFile {
    /// The largest that is read.
    pub const MOST: usize = 8 << 20;

    /// What is wrong with it, if its lines are to be entries.
    pub(super) fn problem_of_lines(
        &self,
        of_entry: impl Fn(&str) -> Option<String>,
    ) -> Option<String> {
        let text = match self.text() {
            Ok(text) => text,
            Err(message) => return Some(message),
        };
        let wrong = |(number, entry): (usize, &str)| {
            Some(format!("line {number} of `{}`: {}", self.path, of_entry(entry)?))
        };
        numbered(text).find_map(wrong)
    }

    /// Its lines without blanks and comments.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        numbered(self.text().unwrap_or_default()).map(|(_, entry)| entry)
    }

    fn text(&self) -> Result<&str, String> {
        let bytes = self.bytes()?;
        str::from_utf8(bytes).map_err(|_| {
            format!("`{}` is no text; a list has one entry a line, in UTF-8", self.path)
        })
    }

    /// What is in it.
    ///
    /// # Errors
    /// Nobody has read it.
    pub(super) fn bytes(&self) -> Result<&[u8], String> {
        let contents = self.contents.as_ref().map(|contents| &*contents.0);
        contents.ok_or_else(|| {
            format!("`{}` was not read; only a configuration file can name others", self.path)
        })
    }
}

/// The entries of a list with the numbers of their lines: `#` begins a comment.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().map(str::trim).enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

impl<'de> Deserialize<'de> for FromFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { path: String::deserialize(deserializer)?, contents: None })
    }
}

impl Serialize for FromFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.path)
    }
}

impl JsonSchema for FromFile {
    fn schema_name() -> Cow<'static, str> {
        "FromFile".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}
