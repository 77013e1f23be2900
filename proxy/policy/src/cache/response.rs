//! What an answer says to a cache, and what is kept of that with it.
//!
//! `Facts` is one pass over an answer's fields. [`Meta`] is what remains: how long it is fresh (RFC 9111, section 4.2.1), how old it was when it came
//! (4.2.3), what validates it, and what it depends on. A hit reads nothing else.

use std::time::Duration;

use super::{
    Received, Rules, dates,
    directives::{Directives, delta_seconds, unquoted},
    vary::{self, Vary},
};
use crate::{Instant, message::Fields};

/// What is kept of an answer's head, for decisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// The status.
    pub status: u16,
    /// When it came, or was last found to be true still.
    pub taken: Instant,
    /// How old it was then.
    pub initial_age: Duration,
    /// How old it may become and be fresh.
    pub lifetime: Duration,
    /// How long after that it may be given while a new one is fetched.
    pub stale_while_revalidate: Duration,
    /// How long after that it may be given where the endpoint fails.
    pub stale_if_error: Duration,
    /// It must be validated each time.
    pub no_cache: bool,
    /// It must never be given stale: `must-revalidate`, `proxy-revalidate`.
    pub must_revalidate: bool,
    /// Likewise by `s-maxage`, unless its own `stale-*` allow it.
    pub shared: bool,
    /// Its freshness is a guess.
    pub heuristic: bool,
    /// The entity tag, as it came.
    pub etag: Option<Box<[u8]>>,
    /// `Last-Modified`, in seconds since 1970.
    pub last_modified: Option<i64>,
    /// `Date`, or when it came, in seconds since 1970.
    pub date: i64,
    /// What of its request it depends on.
    pub vary: Vary,
    /// Its tags.
    pub tags: Box<[Box<[u8]>]>,
    /// Which part of the whole it is, if it is not the whole.
    pub part: Option<Part>,
}

/// A part of a whole: bytes from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
    /// How many the whole has.
    pub total: u64,
}

impl Part {
    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        self.last - self.first + 1
    }

    /// `Content-Range: bytes 0-4/10`; nothing if it makes no sense, or does not know the whole.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = str::from_utf8(value.trim_ascii()).ok()?;
        let (unit, rest) = value.split_once(' ')?;
        let (range, total) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse::<u64>().ok() } else { None }
        };
        let part = Self { first: number(first)?, last: number(last)?, total: number(total)? };
        let sound = part.first <= part.last && part.last < part.total && part.total < 1 << 60;
        (unit.eq_ignore_ascii_case("bytes") && sound).then_some(part)
    }
}

impl Meta {
    /// How old it is.
    pub fn age(&self, now: Instant) -> Duration {
        self.initial_age.saturating_add(now.since(self.taken))
    }

    /// Whether a body of so many bytes is what the head says that it is: a part has as many as its range. One that has not must not be kept.
    pub fn fits(&self, length: u64) -> bool {
        self.part.is_none_or(|part| part.length() == length)
    }

    /// The bytes that it takes beside itself.
    pub fn weight(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.len() + 48).sum();
        size_of::<Self>() + self.etag.as_deref().map_or(0, <[u8]>::len) + self.vary.weight() + tags
    }

    /// Whether its entity tag promises the same bytes.
    pub fn is_strong(&self) -> bool {
        self.etag.as_deref().is_some_and(|tag| tag.len() >= 2 && tag.starts_with(b"\""))
    }
}

/// What the fields of an answer say, as far as a cache cares.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) directives: Directives,
    pub(super) age: Option<u32>,
    pub(super) date: Option<i64>,
    /// Nothing if there is none; one that cannot be read is long past.
    pub(super) expires: Option<i64>,
    pub(super) last_modified: Option<i64>,
    pub(super) etag: Option<Box<[u8]>>,
    pub(super) vary: Vec<Box<str>>,
    pub(super) vary_any: bool,
    pub(super) set_cookie: bool,
    pub(super) content_length: Option<u64>,
    /// Nothing where there is no sound one.
    pub(super) content_range: Option<Part>,
    /// What `Connection` names.
    pub(super) connection: Vec<Box<[u8]>>,
    pub(super) tags: Vec<Box<[u8]>>,
}

/// The most tags that one answer may have, and the longest of them.
const TAGS: usize = 256;
const TAG: usize = 1024;

impl Facts {
    pub(super) fn read(rules: &Rules, fields: &dyn Fields, wall: u64) -> Self {
        let mut facts = Self::default();
        let mut ages = 0;
        let mut targeted = false;
        fields.each(&mut |name, value| {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match name.len() {
                3 if is("age") => {
                    // Of several the first counts; one that is no number does not (RFC 9111, section 5.1).
                    if ages == 0 {
                        let first = value.split(|byte| *byte == b',').next().unwrap_or_default();
                        facts.age = delta_seconds(first.trim_ascii());
                    }
                    ages += 1;
                }
                4 if is("date") => facts.date = facts.date.or_else(|| dates::parse(value, wall)),
                4 if is("etag") => {
                    let value = value.trim_ascii();
                    if facts.etag.is_none() && !value.is_empty() {
                        facts.etag = Some(value.into());
                    }
                }
                4 if is("vary") => facts.read_vary(value),
                7 if is("expires") => {
                    let date = dates::parse(value, wall).unwrap_or(i64::MIN);
                    // Two lines contradict each other, even where they say the same.
                    facts.expires = Some(if facts.expires.is_some() { i64::MIN } else { date });
                }
                10 if is("set-cookie") => facts.set_cookie = true,
                11 if is("set-cookie2") => facts.set_cookie = true,
                10 if is("connection") => {
                    let names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                    facts.connection.extend(names.filter(|name| !name.is_empty()).map(Into::into));
                }
                13 if is("cache-control") => facts.directives.read(value),
                13 if is("last-modified") => {
                    facts.last_modified = facts.last_modified.or_else(|| dates::parse(value, wall));
                }
                13 if is("content-range") => facts.content_range = Part::parse(value),
                14 if is("content-length") => {
                    facts.content_length =
                        str::from_utf8(value.trim_ascii()).ok().and_then(|text| text.parse().ok());
                }
                _ => {}
            }
            if rules.tags.iter().any(|known| is(known)) {
                facts.read_tags(value);
            }
            targeted |= rules.targeted.iter().any(|known| is(known));
            true
        });
        if targeted {
            facts.read_targeted(rules, fields);
        }
        facts
    }

    /// The first targeted field that is there and valid takes the place of `Cache-Control` and `Expires` (RFC 9213, section 2.2).
    fn read_targeted(&mut self, rules: &Rules, fields: &dyn Fields) {
        let found = rules
            .targeted
            .iter()
            .find_map(|name| Directives::targeted(&vary::joined(fields, name)?));
        if let Some(directives) = found {
            self.directives = directives;
            self.expires = None;
        }
    }

    fn read_vary(&mut self, value: &[u8]) {
        for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            match str::from_utf8(name) {
                Ok("") => {}
                Ok("*") | Err(_) => self.vary_any = true,
                Ok(name) => {
                    let name: Box<str> = name.to_ascii_lowercase().into();
                    if let Err(place) = self.vary.binary_search(&name) {
                        self.vary.insert(place, name);
                    }
                }
            }
        }
    }

    /// Tags stand apart by spaces (`Surrogate-Key`) or commas (`Cache-Tag`); none has either in it.
    fn read_tags(&mut self, value: &[u8]) {
        for tag in value.split(|byte| matches!(byte, b' ' | b'\t' | b',')) {
            if !tag.is_empty()
                && tag.len() <= TAG
                && self.tags.len() < TAGS
                && !self.tags.iter().any(|known| **known == *tag)
            {
                self.tags.push(tag.into());
            }
        }
    }

    /// How old it is at the moment that it came (RFC 9111, section 4.2.3).
    pub(super) fn initial_age(&self, received: &Received) -> Duration {
        let wall = received.wall as i64;
        let apparent = self.date.map_or(0, |date| wall.saturating_sub(date).max(0));
        let delay = received.at.since(received.sent);
        let corrected = Duration::from_secs(u64::from(self.age.unwrap_or(0))) + delay;
        corrected.max(Duration::from_secs(apparent as u64))
    }

    /// How long it is fresh by what it says itself (RFC 9111, section 4.2.1).
    pub(super) fn explicit(&self, received: &Received) -> Option<Duration> {
        let seconds = self.directives.s_maxage.or(self.directives.max_age);
        if let Some(seconds) = seconds {
            return Some(Duration::from_secs(u64::from(seconds)));
        }
        let expires = self.expires?;
        let from = self.date.unwrap_or(received.wall as i64);
        Some(Duration::from_secs(expires.saturating_sub(from).max(0) as u64))
    }
}

/// Whether answers of this status may be fresh by guess (RFC 9110, section 15.1).
pub(super) fn heuristically(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Whether we know what this status means (RFC 9110, section 15).
pub(super) fn understood(status: u16) -> bool {
    matches!(
        status,
        200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 428 | 429 | 431 | 451
            | 500..=505 | 511
    )
}

/// A text in quotes, or one without: the names of a `Vary`, the tags of a list, apart by commas outside of quotes.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = unquoted(text, b',');
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim_ascii())
    })
}
