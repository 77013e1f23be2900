//! Parts of what is kept (RFC 9110, section 14).
//!
//! One range is cut out. Several are joined where they touch; if one comes out of it, that is cut out, and otherwise the client gets the whole,
//! as it may (section 14.2): a `multipart/byteranges` costs more than it saves, and many small ranges are an attack. What is no
//! range is as if it were not there.

use super::{Meta, conditional::Shape, response::Part};
use crate::message::Asked;

/// More ranges than this are as if there were none.
const MOST: usize = 32;

/// One range as it is asked for.
#[derive(Clone, Copy)]
enum Asking {
    From(u64, Option<u64>),
    Last(u64),
}

impl Asking {
    fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text.trim_ascii()).ok()?;
        let (first, last) = text.split_once('-')?;
        let number = |text: &str| -> Option<u64> {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // Beyond all bytes there are is beyond.
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        if first.is_empty() {
            return Some(Self::Last(number(last)?));
        }
        let first = number(first)?;
        let last = if last.is_empty() { None } else { Some(number(last)?) };
        last.is_none_or(|last| first <= last).then_some(Self::From(first, last))
    }

    /// The bytes that it means, if there are any.
    fn of(self, total: u64) -> Option<(u64, u64)> {
        let end = total.checked_sub(1)?;
        match self {
            Self::From(first, last) => {
                (first <= end).then(|| (first, last.unwrap_or(end).min(end)))
            }
            Self::Last(0) => None,
            Self::Last(count) => Some((total.saturating_sub(count), end)),
        }
    }
}

/// What a value of `Range` cuts out of so many bytes.
pub(super) fn cut(value: &[u8], total: u64) -> Shape {
    let Some((unit, set)) = split_unit(value) else { return Shape::Whole };
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Shape::Whole;
    }
    let mut asking = 0;
    let mut found = [(0, 0); MOST];
    let mut count = 0;
    for text in set.split(|byte| *byte == b',') {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let Some(range) = Asking::parse(text) else { return Shape::Whole };
        asking += 1;
        if asking > MOST {
            return Shape::Whole;
        }
        if let Some(bytes) = range.of(total) {
            found[count] = bytes;
            count += 1;
        }
    }
    let found = &mut found[..count];
    if asking == 0 {
        return Shape::Whole;
    }
    found.sort_unstable();
    let Some((&(first, mut last), others)) = found.split_first() else {
        return Shape::Unsatisfiable;
    };
    for &(next, end) in others {
        if next > last + 1 {
            return Shape::Whole;
        }
        last = last.max(end);
    }
    Shape::Part { first, last }
}

/// Whether a kept part has all that a request asks for. `If-Range` is for the whole's sake: with one the part is of no use.
pub(super) fn covers(asked: &Asked<'_>, meta: &Meta) -> bool {
    let Some(part) = meta.part else { return true };
    let Some(range) = asked.fields.find("Range") else { return false };
    match cut(range, part.total) {
        Shape::Part { first, last } => {
            part.first <= first && last <= part.last && asked.fields.find("If-Range").is_none()
        }
        Shape::Unsatisfiable => true,
        _ => false,
    }
}

/// `Content-Range` of a part of so many bytes.
pub fn content_range(part: Part) -> String {
    format!("bytes {}-{}/{}", part.first, part.last, part.total)
}

fn split_unit(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = value.iter().position(|byte| *byte == b'=')?;
    Some((value[..at].trim_ascii(), &value[at + 1..]))
}
