//! What of a kept answer the client gets: all of it, 304, a part, or 416 (RFC 9110, sections 13 and 14).
//!
//! The client's own conditions are met by the kept answer in the order of section 13.2.2: `If-None-Match`, or else `If-Modified-Since`; then `Range`,
//! unless `If-Range` finds that the client has a part of something else. `If-Match` and `If-Unmodified-Since` are for the endpoint: such
//! requests never come here ([`super::Gate`]).

use super::{
    Meta, Rules, dates, ranges,
    request::{Method, Wanted},
    response::list,
};
use crate::message::Asked;

/// What of a kept answer the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All of it.
    Whole,
    /// 304, without a body: the client has it.
    NotModified,
    /// 206 with these bytes of the whole, both included.
    Part {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// 416 with `Content-Range: bytes */length`.
    Unsatisfiable,
}

/// The fields of a kept answer that a 304 has (RFC 9110, section 15.4.5), besides those that are there to save the client a question.
const OF_NOT_MODIFIED: [&str; 4] =
    ["content-length", "content-encoding", "content-type", "content-range"];

/// Whether a field of a kept answer is left out of a 304 made from it: what describes a body that is not there.
pub fn omitted_from_not_modified(name: &[u8]) -> bool {
    OF_NOT_MODIFIED.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

impl Rules {
    /// What of a kept answer, whose whole has so many bytes, the client gets.
    pub fn shape(&self, asked: &Asked<'_>, wanted: &Wanted, meta: &Meta, length: u64) -> Shape {
        let conditional = wanted.if_none_match || wanted.if_modified_since;
        if conditional && matches!(meta.status, 200..=299) && is_known(asked, wanted, meta) {
            return Shape::NotModified;
        }
        let may_be_part = wanted.range && self.ranges && matches!(meta.status, 200 | 206);
        if !may_be_part || wanted.method != Method::Get {
            return Shape::Whole;
        }
        if wanted.if_range && !is_same(asked, meta) {
            return Shape::Whole;
        }
        let total = meta.part.map_or(length, |part| part.total);
        match asked.fields.find("Range") {
            Some(range) => ranges::cut(range, total),
            None => Shape::Whole,
        }
    }
}

/// Whether the client has this answer already.
fn is_known(asked: &Asked<'_>, wanted: &Wanted, meta: &Meta) -> bool {
    if wanted.if_none_match {
        return any_tag_matches(asked, meta.etag.as_deref());
    }
    // Where nothing says when it was changed, it was when it was made (section 13.1.3).
    let since = asked.fields.find("If-Modified-Since");
    let now = meta.date.max(0) as u64;
    let since = since.and_then(|since| dates::parse(since, now));
    since.is_some_and(|since| meta.last_modified.unwrap_or(meta.date) <= since)
}

fn any_tag_matches(asked: &Asked<'_>, etag: Option<&[u8]>) -> bool {
    let mut known = false;
    asked.fields.each(&mut |name, value| {
        if name.eq_ignore_ascii_case(b"if-none-match") {
            known |= value.trim_ascii() == b"*"
                || etag.is_some_and(|etag| list(value).any(|tag| weakly_same(tag, etag)));
        }
        !known
    });
    known
}

/// The weak comparison of section 8.8.3.2.
pub(super) fn weakly_same(one: &[u8], other: &[u8]) -> bool {
    let opaque = |tag: &'_ [u8]| -> usize { if tag.starts_with(b"W/") { 2 } else { 0 } };
    one[opaque(one)..] == other[opaque(other)..]
}

/// Whether the part that the client has is one of this answer (section 13.1.5): by a strong tag, or by a date that is surely strong.
fn is_same(asked: &Asked<'_>, meta: &Meta) -> bool {
    let Some(value) = asked.fields.find("If-Range").map(<[u8]>::trim_ascii) else { return true };
    if value.starts_with(b"\"") {
        return meta.is_strong() && meta.etag.as_deref() == Some(value);
    }
    if value.starts_with(b"W/") {
        return false;
    }
    let date = dates::parse(value, meta.date.max(0) as u64);
    // A second change within the second of the first would not show, unless the answer is from later (section 8.8.2.2).
    let strong = meta.last_modified.is_some_and(|modified| meta.date - modified >= 1);
    date.is_some() && date == meta.last_modified && strong
}
