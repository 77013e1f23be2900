//! Paths that are made: from the text of a configuration, and from what an expression found in the path of a request.
//!
//! What a client sent must never become more than a path. An expression sees the path in its normal form, which is decoded, so there may
//! be anything in what it finds: line ends, blanks, a `?`. Whatever of it goes into a new path is encoded again, all but the characters that
//! RFC 3986 has for paths. And a path never begins with two slashes, because `//example.org/` in a `Location` is another host (an open
//! redirect), nor with `/\`, which browsers take for that.

use std::fmt::Write as _;

use regex::bytes::{Captures, Regex};

use crate::path;

/// The longest text of a template.
const LONGEST: usize = 2 << 10;

/// A text with places for what an expression found: `$1`, `${name}`; `$$` is a `$`.
#[derive(Clone, Debug)]
pub(super) struct Template(Box<[Part]>);

#[derive(Clone, Debug)]
enum Part {
    Text(Box<[u8]>),
    Group(usize),
}

impl Template {
    /// From its text; `regex` is the expression whose groups it may name.
    ///
    /// # Errors
    /// It names a group that there is not: in words.
    pub(super) fn new(text: &str, regex: Option<&Regex>) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("must have at most {LONGEST} characters"));
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let (name, after) = if let Some(inner) = rest.strip_prefix('{') {
                inner.split_once('}').unwrap_or((inner, ""))
            } else {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                rest.split_at(end)
            };
            rest = after;
            let Some(regex) = regex else {
                return Err("has a `$` for what an expression finds, and there is no `regex`; write `$$` for a `$`".to_owned());
            };
            let named = || regex.capture_names().position(|known| known == Some(name));
            let group =
                name.parse().ok().filter(|group| *group < regex.captures_len()).or_else(named);
            let Some(group) = group else {
                let groups = regex.captures_len() - 1;
                return Err(format!(
                    "`${name}` is none of the expression's {groups} groups; write `$1` or `${{name}}`, or `$$` for a `$`"
                ));
            };
            parts.push(Part::Text(std::mem::take(&mut plain).into_bytes().into()));
            parts.push(Part::Group(group));
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain.into_bytes().into()));
        Ok(Self(parts.into()))
    }

    /// `text` with what was found in it replaced by this.
    pub(super) fn replaced(&self, text: &[u8], found: &Captures<'_>) -> Vec<u8> {
        self.between(text, found, |piece, out| out.extend_from_slice(piece))
    }

    /// The same for a path: what is not the template's own is encoded.
    pub(super) fn replaced_path(&self, path: &[u8], found: &Captures<'_>) -> Vec<u8> {
        // Behind the `?` of the template there are parameters, and what was found is not to make one of its own.
        self.between(path, found, |piece, out| {
            if out.contains(&b'?') { encode_but(piece, b"-._~/", out) } else { encode(piece, out) }
        })
    }

    fn between(
        &self,
        text: &[u8],
        found: &Captures<'_>,
        write: impl Fn(&[u8], &mut Vec<u8>),
    ) -> Vec<u8> {
        let (start, end) = found.get(0).map_or((0, 0), |whole| (whole.start(), whole.end()));
        let mut out = Vec::with_capacity(text.len() + 16);
        write(&text[..start], &mut out);
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Group(group) => {
                    write(found.get(*group).map_or(b"", |group| group.as_bytes()), &mut out);
                }
            }
        }
        write(&text[end..], &mut out);
        out
    }
}

/// Writes what is decoded as a part of a path (RFC 3986, 3.3).
fn encode(text: &[u8], out: &mut Vec<u8>) {
    encode_but(text, b"-._~!$&'()*+,;=:@/", out);
}

/// Encodes all but letters, digits and these.
fn encode_but(text: &[u8], plain: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        if byte.is_ascii_alphanumeric() || plain.contains(byte) {
            out.push(*byte);
        } else {
            out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// What is to replace a path.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// The beginning.
    Prefix { from: Box<[u8]>, to: Box<[u8]> },
    /// What an expression finds.
    Regex(Regex, Template),
    /// All of it.
    All(Box<[u8]>),
}

impl Change {
    /// The new path and query for this target; nothing if the path is not one that is to be replaced. It begins with one slash, and has
    /// nothing in it that a target may not have.
    pub(super) fn apply(&self, target: &[u8]) -> Option<Vec<u8>> {
        let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
        let (written, query) = target.split_at(end);
        let normal = path::normal(written);
        let path = match self {
            Self::All(to) => to.to_vec(),
            // Where it finds nothing, which is mostly, no room is made for what it finds.
            Self::Regex(regex, _) if !regex.is_match(&normal) => return None,
            Self::Regex(regex, with) => with.replaced_path(&normal, &regex.captures(&normal)?),
            Self::Prefix { from, to } => {
                let rest = normal.strip_prefix(&**from)?;
                let mut path = to.to_vec();
                // Written as the client wrote it where that says the same, since `%2F` and `/` are two things to some.
                match written.strip_prefix(&**from) {
                    Some(rest) if path::keeps_its_segments(written) => path.extend_from_slice(rest),
                    _ => encode(rest, &mut path),
                }
                path
            }
        };
        Some(joined(&path, query))
    }
}

/// Path and query in one: the query that a template brought along comes first.
fn joined(path: &[u8], query: &[u8]) -> Vec<u8> {
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    let mut target = Vec::with_capacity(1 + path.len() + query.len());
    target.push(b'/');
    target.extend_from_slice(&path[slashes..]);
    match query {
        [b'?', more @ ..] if target.contains(&b'?') => {
            if !more.is_empty() {
                target.push(b'&');
                target.extend_from_slice(more);
            }
        }
        query => target.extend_from_slice(query),
    }
    target
}

/// What is wrong with the text that a path is made of.
pub(super) fn path_text_problem(text: &str) -> Option<String> {
    // Braces are a template's, and are looked at as such.
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic() || "#\\\"<>^`|".contains(*c)) {
        let mut encoded = String::new();
        for byte in bad.to_string().bytes() {
            let _ = write!(encoded, "%{byte:02X}");
        }
        return Some(format!("{bad:?} cannot stand in a path; write `{encoded}`"));
    }
    let mut percents = text.match_indices('%');
    let wrong = percents.find(|(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    wrong.map(|_| "has a `%` that encodes nothing; write `%25` for a `%`".to_owned())
}

/// What a redirect or a rewrite is told of paths: the keys and texts of `prefix`, `regex` and what comes in their place.
pub(super) struct Wanted<'a> {
    pub(super) prefix: Option<&'a str>,
    pub(super) regex: Option<&'a str>,
    pub(super) to: Option<&'a str>,
}

impl Wanted<'_> {
    /// The change; nothing if none is wanted.
    ///
    /// # Errors
    /// The key that is impossible (`to` for what comes in the place), and what it must be.
    pub(super) fn change(&self) -> Result<Option<Change>, (&'static str, String)> {
        let Some(to) = self.to else {
            let what = self.prefix.map(|_| "prefix").or(self.regex.map(|_| "regex"));
            return match what {
                Some(key) => Err((
                    key,
                    "says what is replaced, and nothing says by what; write `to = \"/\"` beside it"
                        .to_owned(),
                )),
                None => Ok(None),
            };
        };
        if let Some(message) = path_text_problem(to) {
            return Err(("to", message));
        }
        match (self.prefix, self.regex) {
            (Some(_), Some(_)) => Err((
                "regex",
                "cannot stand beside `prefix`; keep one, or write two filters".to_owned(),
            )),
            (Some(prefix), None) => {
                if let Some(message) = crate::route::path_form_problem(prefix, &[]) {
                    return Err(("prefix", message));
                }
                plain(to)?;
                let bytes = |text: &str| text.as_bytes().into();
                Ok(Some(Change::Prefix { from: bytes(prefix), to: bytes(to) }))
            }
            (None, Some(text)) => {
                let regex = crate::pattern::regex(text, crate::pattern::Case::Told)
                    .map_err(|message| ("regex", message))?;
                let with = Template::new(to, Some(&regex)).map_err(|message| ("to", message))?;
                Ok(Some(Change::Regex(regex, with)))
            }
            (None, None) => {
                plain(to)?;
                Ok(Some(Change::All(to.as_bytes().into())))
            }
        }
    }
}

/// A text without places.
fn plain(to: &str) -> Result<(), (&'static str, String)> {
    if !to.starts_with('/') {
        return Err(("to", format!("`{to}` must begin with `/`")));
    }
    if to.contains(['{', '}']) {
        return Err((
            "to",
            "has a brace, and only a `regex` has groups to put there; write `%7B` and `%7D`"
                .to_owned(),
        ));
    }
    Ok(())
}
