//! Parts that make a larger part, or the whole (RFC 9111, section 3.4).
//!
//! Only parts of the very same bytes are put together: both have the same strong entity tag, and both know the same length of the whole. Where a
//! part is kept and the whole is wanted, what is missing is asked for with `If-Range`, so that an endpoint which has something else by now
//! sends all of that instead.

use super::{Meta, Part, Rules, request::Wanted};
use crate::message::Edits;

/// Two parts as one: first so many bytes of one, then of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// What part they make together; nothing if they make the whole.
    pub part: Option<Part>,
    /// What comes first.
    pub first: Piece,
    /// What follows; its length is 0 where the first has it all.
    pub second: Piece,
}

/// A run of bytes out of a part's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whose.
    pub of: Side,
    /// Where it begins in that body.
    pub from: u64,
    /// How many bytes it has.
    pub length: u64,
}

/// Which of two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that is kept.
    Kept,
    /// The one that has come.
    New,
}

/// How a kept part and a new one make one, if they touch and are of the same bytes.
pub fn join(kept: &Meta, new: &Meta) -> Option<Joined> {
    let (one, other) = (kept.part?, new.part?);
    let same = kept.is_strong() && kept.etag == new.etag && one.total == other.total;
    let touch = one.first <= other.last + 1 && other.first <= one.last + 1;
    if !same || !touch || !kept.vary.same(&new.vary) {
        return None;
    }
    let kept_first = one.first <= other.first;
    let (front, back) = if kept_first { (one, other) } else { (other, one) };
    let (front_side, back_side) =
        if kept_first { (Side::Kept, Side::New) } else { (Side::New, Side::Kept) };
    let last = front.last.max(back.last);
    let rest = last - front.last;
    let part = Part { first: front.first, last, total: front.total };
    Some(Joined {
        part: (part.length() < part.total).then_some(part),
        first: Piece { of: front_side, from: 0, length: front.length() },
        second: Piece { of: back_side, from: back.length() - rest, length: rest },
    })
}

impl Rules {
    /// What to ask for so that a kept part becomes the whole: only where one end is missing, and a strong tag says what it is a part of.
    pub fn completion(&self, wanted: &Wanted, kept: &Meta) -> Option<Edits> {
        let part = kept.part.filter(|_| kept.is_strong() && !wanted.range)?;
        let range = match (part.first, part.last + 1) {
            (0, next) if next < part.total => format!("bytes={next}-"),
            (first, next) if first > 0 && next == part.total => format!("bytes=0-{}", first - 1),
            _ => return None,
        };
        let mut edits = Edits::default();
        edits.remove("If-None-Match");
        edits.remove("If-Modified-Since");
        edits.set("Range", range);
        edits.set("If-Range", kept.etag.as_deref()?.to_vec());
        Some(edits)
    }
}
