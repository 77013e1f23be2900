//! A stored response as bytes, and back: what a second tier keeps, and what another proxy reads there.
//!
//! ```text
//! format u8 · wall u64 · head: status u16, reason, count u16, name and value of each field
//!           · meta: flags u8, five lengths of time u64, two dates i64, tag, part, count u16 of Vary, count u16 of tags
//!           · body
//! ```
//!
//! Numbers are little-endian; what has a length of its own is a u32 and so many bytes. The first byte is the format's number: what another
//! version wrote is not read. Neither is anything else that is not exactly right, for whoever can write there could otherwise make
//! us send two responses where we mean one: lengths are checked against what is there, names and values by the codec's rules, and nothing may
//! follow.
//!
//! Instants mean nothing to another process. So the age is written with the wall time at which it was that, and grows by what has
//! passed since: clocks of proxies that share a store should agree to the second.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http1::encode::{is_name, is_value};
use policy::{
    Instant,
    cache::{Meta, Part, vary::Vary},
    message::Fields,
    time::nanos,
};

use super::object::{Draft, Object};

/// The number of this format. A change of anything in it is another number.
const FORMAT: u8 = 1;

/// No head has more fields, and no answer more tags.
const MOST: u16 = 1024;

/// When it is, on the clock of this process and on everybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) now: Instant,
    /// Seconds since 1970.
    pub(crate) wall: u64,
}

/// Appends the object and what is known of it, as they are now.
pub(crate) fn encode(out: &mut Vec<u8>, object: &Object, meta: &Meta, now: Now) {
    out.push(FORMAT);
    number(out, now.wall);
    out.extend_from_slice(&object.status().to_le_bytes());
    piece(out, object.reason());
    count(out, object.fields().count());
    for (name, value) in object.fields() {
        piece(out, name);
        piece(out, value);
    }
    let Meta { no_cache, must_revalidate, shared, heuristic, etag, last_modified, part, .. } = meta;
    let flags = [*no_cache, *must_revalidate, *shared, *heuristic].into_iter().chain([
        etag.is_some(),
        last_modified.is_some(),
        part.is_some(),
    ]);
    out.push(flags.enumerate().map(|(bit, set)| u8::from(set) << bit).sum());
    out.extend_from_slice(&meta.status.to_le_bytes());
    let spans =
        [meta.age(now.now), meta.lifetime, meta.stale_while_revalidate, meta.stale_if_error];
    for span in spans {
        number(out, nanos(span));
    }
    number(out, meta.date as u64);
    number(out, last_modified.unwrap_or(0) as u64);
    piece(out, etag.as_deref().unwrap_or_default());
    let Part { first, last, total } = part.unwrap_or(Part { first: 0, last: 0, total: 0 });
    for byte in [first, last, total] {
        number(out, byte);
    }
    count(out, meta.vary.parts().count());
    for (name, value) in meta.vary.parts() {
        piece(out, name.as_bytes());
        out.push(u8::from(value.is_some()));
        piece(out, value.unwrap_or_default());
    }
    count(out, meta.tags.len());
    for tag in &meta.tags {
        piece(out, tag);
    }
    piece(out, object.body());
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u16).to_le_bytes());
}

fn piece(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The object and what is known of it; nothing where these bytes are not what [`encode`] wrote. `own` are the lines that we
/// add ourselves, with their ends. The body is not copied: it keeps the bytes that it lies in.
pub(crate) fn decode(bytes: &Bytes, own: &[u8], now: Now) -> Option<(Object, Arc<Meta>)> {
    let mut rest = Rest(bytes);
    if rest.take(1)? != [FORMAT] {
        return None;
    }
    let passed = Duration::from_secs(now.wall.saturating_sub(rest.number()?));
    let status = rest.short()?;
    let reason = rest.piece()?;
    if !(200..=999).contains(&status) || !is_value(reason) {
        return None;
    }
    let mut draft = Draft::new(status, reason);
    for _ in 0..rest.count()? {
        let (name, value) = (rest.piece()?, rest.piece()?);
        if !is_name(name) || !is_value(value) {
            return None;
        }
        draft.field(name, value);
    }
    let flags = *rest.take(1)?.first()?;
    let flag = |bit: u8| flags & 1 << bit != 0;
    let meta_status = rest.short()?;
    let mut span = || rest.number().map(Duration::from_nanos);
    let (age, lifetime) = (span()?, span()?);
    let (stale_while_revalidate, stale_if_error) = (span()?, span()?);
    let (date, last_modified) = (rest.number()? as i64, rest.number()? as i64);
    let etag = rest.piece()?;
    let (first, last, total) = (rest.number()?, rest.number()?, rest.number()?);
    let mut selecting = Table::default();
    for _ in 0..rest.count()? {
        let name = str::from_utf8(rest.piece()?).ok().filter(|name| is_name(name.as_bytes()))?;
        let is_there = *rest.take(1)?.first()? == 1;
        let value = rest.piece()?;
        selecting.names.push(name.to_ascii_lowercase().into());
        if is_there {
            selecting.values.push((name.to_ascii_lowercase(), value.to_vec()));
        }
    }
    let vary = Vary::of(&selecting.names, &selecting)?;
    let mut tags: Vec<Box<[u8]>> = Vec::new();
    for _ in 0..rest.count()? {
        tags.push(rest.piece()?.into());
    }
    let body = rest.piece()?;
    let part = flag(6).then_some(Part { first, last, total });
    let is_sound = |part: Part| {
        part.first <= part.last && part.last < part.total && part.length() == body.len() as u64
    };
    if !rest.0.is_empty() || !part.is_none_or(is_sound) || !is_value(etag) {
        return None;
    }
    let meta = Meta {
        status: meta_status,
        taken: now.now,
        initial_age: age.saturating_add(passed),
        lifetime,
        stale_while_revalidate,
        stale_if_error,
        no_cache: flag(0),
        must_revalidate: flag(1),
        shared: flag(2),
        heuristic: flag(3),
        etag: flag(4).then(|| etag.into()),
        last_modified: flag(5).then_some(last_modified),
        date,
        vary,
        tags: tags.into(),
        part,
    };
    Some((draft.finish(own, bytes.slice_ref(body)), Arc::new(meta)))
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, behind) = self.0.split_at_checked(count)?;
        self.0 = behind;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn count(&mut self) -> Option<u16> {
        self.short().filter(|count| *count <= MOST)
    }

    fn piece(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.take(4)?.try_into().ok()?);
        self.take(length as usize)
    }
}

/// What the request had of the fields that an answer depends on.
#[derive(Debug, Default)]
struct Table {
    names: Vec<Box<str>>,
    values: Vec<(String, Vec<u8>)>,
}

impl Fields for Table {
    fn each(&self, see: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        for (name, value) in &self.values {
            if !see(name.as_bytes(), value) {
                return;
            }
        }
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        let mut found = self.values.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| &**value)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: &[u8] = b"Via: 1.1 us\r\n";

    fn at(seconds: u64) -> Now {
        Now { now: Instant::START + Duration::from_secs(seconds), wall: 1_000_000 + seconds }
    }

    prop_compose! {
        fn meta(body: usize)(
            status in 200_u16..600,
            spans in prop::array::uniform4(0_u64..1 << 40),
            flags in prop::array::uniform4(any::<bool>()),
            etag in prop::option::of("\"[a-z]{0,9}\""),
            last_modified in prop::option::of(any::<i64>()),
            date: i64,
            vary in prop::collection::btree_map("[a-z-]{1,9}", prop::option::of("[a-z, ]{0,9}"), 0..4),
            tags in prop::collection::vec("[a-z]{1,9}", 0..4),
            part in prop::option::of((0_u64..100, 0_u64..100)),
        ) -> Meta {
            let names: Vec<Box<str>> = vary.keys().map(|name| name.as_str().into()).collect();
            let values = vary.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?.into_bytes())));
            let table = Table { names: Vec::new(), values: values.collect() };
            let [age, lifetime, swr, sie] = spans.map(Duration::from_nanos);
            let part = part.filter(|_| body > 0).map(|(first, more)| {
                let last = first + body as u64 - 1;
                Part { first, last, total: last + 1 + more }
            });
            Meta {
                status,
                taken: at(0).now,
                initial_age: age,
                lifetime,
                stale_while_revalidate: swr,
                stale_if_error: sie,
                no_cache: flags[0],
                must_revalidate: flags[1],
                shared: flags[2],
                heuristic: flags[3],
                etag: etag.map(|tag| tag.into_bytes().into()),
                last_modified,
                date,
                vary: Vary::of(&names, &table).expect("few enough"),
                tags: tags.into_iter().map(|tag| tag.into_bytes().into()).collect(),
                part,
            }
        }
    }

    prop_compose! {
        fn stored()(body in prop::collection::vec(any::<u8>(), 0..300))(
            meta in meta(body.len()),
            body in Just(body),
            status in 200_u16..600,
            reason in "[A-Za-z]{0,9}",
            fields in prop::collection::vec(("[A-Za-z-]{1,9}", "[!-~]{0,20}"), 0..8),
        ) -> (Object, Meta) {
            let mut draft = Draft::new(status, reason.as_bytes());
            for (name, value) in &fields {
                draft.field(name.as_bytes(), value.as_bytes());
            }
            (draft.finish(OWN, Bytes::from(body)), meta)
        }
    }

    fn bytes_of((object, meta): &(Object, Meta), now: Now) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, object, meta, now);
        out
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(stored in stored(), later in 0_u64..1000) {
            let bytes = Bytes::from(bytes_of(&stored, at(1)));
            let (object, meta) = decode(&bytes, OWN, at(1 + later)).expect("it is what was written");
            prop_assert_eq!(&object, &stored.0);
            // It has grown older by a second before and by the rest after.
            let age = stored.1.initial_age + Duration::from_secs(1 + later);
            let expected = Meta { taken: at(1 + later).now, initial_age: age, ..stored.1.clone() };
            prop_assert_eq!(&*meta, &expected);
        }

        #[test]
        fn what_is_cut_is_not_read(stored in stored(), cut in any::<prop::sample::Index>(), more: u8) {
            let mut bytes = bytes_of(&stored, at(0));
            bytes.push(more);
            prop_assert!(decode(&bytes.clone().into(), OWN, at(0)).is_none());
            bytes.truncate(cut.index(bytes.len() - 1));
            prop_assert!(decode(&bytes.into(), OWN, at(0)).is_none());
        }

        /// Whatever was changed: what is read, if anything, is one response and no more.
        #[test]
        fn what_was_changed_is_harmless(
            stored in stored(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = bytes_of(&stored, at(0));
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if let Some((object, _)) = decode(&bytes.into(), OWN, at(0)) {
                let lines = object.lines().strip_suffix(OWN).expect("ours come last");
                let ends = lines.windows(2).filter(|pair| pair == b"\r\n").count();
                prop_assert_eq!(ends, object.fields().count());
                prop_assert!(!lines.windows(4).any(|four| four == b"\r\n\r\n"));
            }
        }

        #[test]
        fn noise_is_not_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes.into(), OWN, at(0));
        }
    }

    /// What is known of a plain answer.
    pub(in super::super) fn fresh_for_a_minute() -> Meta {
        Meta {
            status: 200,
            taken: at(0).now,
            initial_age: Duration::ZERO,
            lifetime: Duration::from_mins(1),
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            no_cache: false,
            must_revalidate: false,
            shared: false,
            heuristic: false,
            etag: None,
            last_modified: None,
            date: 0,
            vary: Vary::default(),
            tags: Box::default(),
            part: None,
        }
    }

    #[test]
    fn another_format_is_not_read() {
        let object = Draft::new(200, b"OK").finish(OWN, Bytes::from_static(b"hello"));
        let mut bytes = bytes_of(&(object, fresh_for_a_minute()), at(0));
        assert!(decode(&bytes.clone().into(), OWN, at(0)).is_some());
        bytes[0] += 1;
        assert!(decode(&bytes.into(), OWN, at(0)).is_none());
    }
}
