//! Which of several answers to one URL a request may be given: the secondary key (RFC 9111, section 4.1).
//!
//! An answer's `Vary` names the fields of the request that it depends on. They are kept with it as that request had them, and one that comes later
//! may have the answer if it has the same. What is the same in all but its letters is the same: lines are joined, the space beside commas
//! is left out; of `Accept-Encoding` and `Accept-Language`, whose members are names of any case that weights order and not their
//! places, members are put in order in small letters. A value as it came is compared first, without making anything: most often
//! it is the same to the byte.

use super::directives::unquoted;
use crate::message::Fields;

/// What an answer depends on, with the values of its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vary(Box<[Selecting]>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Selecting {
    /// In small letters.
    name: Box<str>,
    /// All lines as they came, joined; nothing if there was none.
    raw: Option<Box<[u8]>>,
    /// The same in the form that is compared.
    normal: Option<Box<[u8]>>,
}

/// The most fields that one answer may depend on; one that depends on more is not kept.
pub const FIELDS: usize = 32;

impl Vary {
    /// What an answer depends on: the names of `Vary`, with the values of the request. Nothing if it depends on more than can be said.
    pub fn of(names: &[Box<str>], request: &dyn Fields) -> Option<Self> {
        if names.len() > FIELDS {
            return None;
        }
        let selecting = |name: &str| {
            let raw = joined(request, name);
            let normal = raw.as_deref().map(|raw| normal(name, raw).into());
            Selecting { name: name.into(), raw: raw.map(Into::into), normal }
        };
        Some(Self(names.iter().map(|name| selecting(name)).collect()))
    }

    /// Whether it depends on nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a request with these fields may have the answer.
    pub fn matches(&self, request: &dyn Fields) -> bool {
        self.0.iter().all(|selecting| selecting.matches(request))
    }

    /// Whether both are for the same requests: one takes the other's place in the store.
    pub fn same(&self, other: &Self) -> bool {
        let pairs = || self.0.iter().zip(&other.0);
        self.0.len() == other.0.len()
            && pairs().all(|(a, b)| a.name == b.name && a.normal == b.normal)
    }

    /// What all requests that may have the answer have in common, as bytes: for a store elsewhere to find it by.
    pub fn canonical(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for Selecting { name, normal, .. } in &self.0 {
            all.extend_from_slice(name.as_bytes());
            let value = normal.as_deref();
            all.push(if value.is_some() { b'=' } else { b'-' });
            // With its length: no value can look like the next field.
            all.extend_from_slice(&(value.map_or(0, <[u8]>::len) as u64).to_le_bytes());
            all.extend_from_slice(value.unwrap_or_default());
        }
        all
    }

    /// The bytes that it takes.
    pub(super) fn weight(&self) -> usize {
        let of = |selecting: &Selecting| {
            let value = selecting.raw.as_deref().map_or(0, <[u8]>::len);
            size_of::<Selecting>() + selecting.name.len() + 2 * value
        };
        self.0.iter().map(of).sum()
    }

    /// The fields that it depends on, and the values as they came: for a store elsewhere to keep.
    pub fn parts(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.0.iter().map(|selecting| (&*selecting.name, selecting.raw.as_deref()))
    }
}

impl Selecting {
    fn matches(&self, request: &dyn Fields) -> bool {
        // What is left of the value as it came, while the lines are gone through.
        let mut left = self.raw.as_deref();
        let mut lines = 0;
        let mut same = true;
        request.each(&mut |name, value| {
            if name.eq_ignore_ascii_case(self.name.as_bytes()) {
                let value = value.trim_ascii();
                let before: &[u8] = if lines == 0 { b"" } else { b", " };
                lines += 1;
                left = left.and_then(|left| left.strip_prefix(before)?.strip_prefix(value));
                same = left.is_some();
            }
            same
        });
        if lines == 0 {
            return self.raw.is_none();
        }
        if same && left.is_some_and(<[u8]>::is_empty) {
            return true;
        }
        let Some(known) = &self.normal else { return false };
        joined(request, &self.name).is_some_and(|raw| normal(&self.name, &raw) == **known)
    }
}

/// All lines of a field, joined.
pub(super) fn joined(fields: &dyn Fields, name: &str) -> Option<Vec<u8>> {
    let mut whole: Option<Vec<u8>> = None;
    fields.each(&mut |each, value| {
        if each.eq_ignore_ascii_case(name.as_bytes()) {
            let value = value.trim_ascii();
            match &mut whole {
                None => whole = Some(value.to_vec()),
                Some(whole) => {
                    whole.extend_from_slice(b", ");
                    whole.extend_from_slice(value);
                }
            }
        }
        true
    });
    whole
}

/// A value in the form that is compared.
fn normal(name: &str, raw: &[u8]) -> Vec<u8> {
    let ordered = matches!(name, "accept-encoding" | "accept-language");
    let mut members: Vec<Vec<u8>> = Vec::new();
    let mut rest = raw;
    loop {
        let end = unquoted(rest, b',');
        let member = rest[..end.unwrap_or(rest.len())].trim_ascii();
        if ordered {
            let dense = member.iter().filter(|byte| !matches!(byte, b' ' | b'\t'));
            members.push(dense.map(u8::to_ascii_lowercase).collect());
        } else {
            members.push(member.to_vec());
        }
        match end {
            Some(end) => rest = &rest[end + 1..],
            None => break,
        }
    }
    if ordered {
        members.retain(|member| !member.is_empty());
        members.sort();
    }
    members.join(&b","[..])
}
