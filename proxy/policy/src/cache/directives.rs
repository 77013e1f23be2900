//! `Cache-Control`, as it is and as it is written.
//!
//! The field is a list of names, some with an argument (RFC 9111, section 5.2). Who reads it wrongly keeps what is private, so:
//! an argument may be a token or a quoted text, and what stands in quotes is never taken for a directive; names have any
//! case; of a directive that is there twice the first counts (section 4.2.1); a number that is none makes the answer stale, as if it
//! were 0; one that is too large is 2³¹ (section 1.2.2), 68 years.
//!
//! A targeted field (RFC 9213) says the same for some caches only, and is a structured field (RFC 9651): strictly parsed, and as if it
//! were not there when there is one thing wrong in it.

use super::config::is_token_byte;

/// The largest number of seconds.
const MOST: u64 = 1 << 31;

/// What an answer's directives say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `max-age`, in seconds.
    pub max_age: Option<u32>,
    /// `s-maxage`, in seconds.
    pub s_maxage: Option<u32>,
    /// `stale-while-revalidate`, in seconds (RFC 5861).
    pub stale_while_revalidate: Option<u32>,
    /// `stale-if-error`, in seconds (RFC 5861).
    pub stale_if_error: Option<u32>,
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache` without names of fields.
    pub no_cache: bool,
    /// `private` without names of fields.
    pub private: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// The fields that `no-cache="…"` and `private="…"` name.
    pub fields: Vec<Box<[u8]>>,
}

impl Directives {
    /// Reads one line of `Cache-Control`; the next one goes on where this ends.
    pub fn read(&mut self, value: &[u8]) {
        members(value, |name, argument| {
            let name = Name::of(name);
            let text = argument.map_or(&b""[..], |argument| argument.text);
            match name {
                Name::NoCache | Name::Private if argument.is_some() => self.qualified(text, name),
                Name::MaxAge | Name::SMaxage | Name::StaleWhileRevalidate | Name::StaleIfError => {
                    // A number that is none says that the answer is stale at once.
                    self.seconds(name, delta_seconds(text).unwrap_or(0));
                }
                _ => self.flag(name),
            }
        });
    }

    /// Reads a targeted field, all its lines joined by commas; nothing if there is anything wrong in it.
    pub fn targeted(value: &[u8]) -> Option<Self> {
        let mut directives = Self::default();
        let mut any = false;
        // Of a structured field the last of one name counts: read what is found from the end.
        let members = structured::dictionary(value)?;
        for (index, (key, bare)) in members.iter().enumerate() {
            any = true;
            if members[index + 1..].iter().any(|(later, _)| later == key) {
                continue;
            }
            let name = Name::of(key);
            match (name, bare) {
                (Name::Other, _) | (_, structured::Bare::Boolean(false)) => {}
                (
                    Name::MaxAge | Name::SMaxage | Name::StaleWhileRevalidate | Name::StaleIfError,
                    structured::Bare::Integer(seconds),
                ) => {
                    let seconds = u64::try_from(*seconds).ok()?.min(MOST);
                    directives.seconds(name, seconds as u32);
                }
                (Name::NoCache | Name::Private, structured::Bare::Text(text)) => {
                    directives.qualified(text, name);
                }
                (_, structured::Bare::Boolean(true)) => directives.flag(name),
                _ => return None,
            }
        }
        any.then_some(directives)
    }

    fn seconds(&mut self, name: Name, seconds: u32) {
        let place = match name {
            Name::MaxAge => &mut self.max_age,
            Name::SMaxage => &mut self.s_maxage,
            Name::StaleWhileRevalidate => &mut self.stale_while_revalidate,
            _ => &mut self.stale_if_error,
        };
        place.get_or_insert(seconds);
    }

    fn flag(&mut self, name: Name) {
        match name {
            Name::NoStore => self.no_store = true,
            Name::NoCache => self.no_cache = true,
            Name::Private => self.private = true,
            Name::Public => self.public = true,
            Name::MustRevalidate => self.must_revalidate = true,
            Name::ProxyRevalidate => self.proxy_revalidate = true,
            Name::MustUnderstand => self.must_understand = true,
            _ => {}
        }
    }

    /// `no-cache="a, b"` and `private="a, b"`: these fields are not kept. One that names none, or what is no name, means the whole answer.
    fn qualified(&mut self, names: &[u8], directive: Name) {
        let before = self.fields.len();
        let mut odd = false;
        for name in names.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if name.is_empty() {
                continue;
            }
            odd |= !name.iter().all(|&byte| is_token_byte(byte));
            self.fields.push(name.into());
        }
        if odd || self.fields.len() == before {
            self.fields.truncate(before);
            self.flag(directive);
        }
    }
}

/// What a request's directives say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// `no-cache`, or `Pragma: no-cache` where there is no `Cache-Control`.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `max-age`, in seconds.
    pub max_age: Option<u32>,
    /// `min-fresh`, in seconds.
    pub min_fresh: Option<u32>,
    /// `max-stale`, in seconds; without an argument it is as long as it can be.
    pub max_stale: Option<u32>,
    /// `stale-if-error`, in seconds (RFC 5861).
    pub stale_if_error: Option<u32>,
}

impl Demands {
    /// Reads one line of `Cache-Control`.
    pub fn read(&mut self, value: &[u8]) {
        members(value, |name, argument| {
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            let seconds = || argument.and_then(|argument| delta_seconds(argument.text));
            if is(b"no-cache") {
                self.no_cache = true;
            } else if is(b"no-store") {
                self.no_store = true;
            } else if is(b"only-if-cached") {
                self.only_if_cached = true;
            } else if is(b"max-age") {
                // What is no number demands the freshest.
                self.max_age.get_or_insert(seconds().unwrap_or(0));
            } else if is(b"min-fresh") {
                self.min_fresh = self.min_fresh.or_else(seconds);
            } else if is(b"max-stale") {
                let most = || argument.is_none().then_some(MOST as u32);
                self.max_stale = self.max_stale.or_else(|| seconds().or_else(most));
            } else if is(b"stale-if-error") {
                self.stale_if_error = self.stale_if_error.or_else(seconds);
            }
        });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    MaxAge,
    SMaxage,
    StaleWhileRevalidate,
    StaleIfError,
    NoStore,
    NoCache,
    Private,
    Public,
    MustRevalidate,
    ProxyRevalidate,
    MustUnderstand,
    Other,
}

impl Name {
    fn of(name: &[u8]) -> Self {
        const ALL: [(&[u8], Name); 11] = [
            (b"max-age", Name::MaxAge),
            (b"s-maxage", Name::SMaxage),
            (b"stale-while-revalidate", Name::StaleWhileRevalidate),
            (b"stale-if-error", Name::StaleIfError),
            (b"no-store", Name::NoStore),
            (b"no-cache", Name::NoCache),
            (b"private", Name::Private),
            (b"public", Name::Public),
            (b"must-revalidate", Name::MustRevalidate),
            (b"proxy-revalidate", Name::ProxyRevalidate),
            (b"must-understand", Name::MustUnderstand),
        ];
        let known = ALL.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        known.map_or(Self::Other, |(_, name)| *name)
    }
}

/// Seconds as the RFC writes them: digits, and 2³¹ where they are too many.
pub fn delta_seconds(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    let mut sum = 0_u64;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = (sum * 10 + u64::from(digit)).min(MOST);
    }
    Some(sum as u32)
}

/// What stands behind a directive's `=`.
#[derive(Clone, Copy)]
struct Argument<'a> {
    /// The text, without its quotes.
    text: &'a [u8],
}

/// Shows each member of a list of directives.
fn members<'a>(value: &'a [u8], mut see: impl FnMut(&'a [u8], Option<Argument<'a>>)) {
    let mut rest = value;
    while !rest.is_empty() {
        let end = unquoted(rest, b',').unwrap_or(rest.len());
        let member = rest[..end].trim_ascii();
        rest = rest.get(end + 1..).unwrap_or_default();
        if member.is_empty() {
            continue;
        }
        // No space is allowed around the `=`; who writes some has written something else.
        match member.iter().position(|byte| *byte == b'=') {
            None => see(member, None),
            Some(at) => {
                let text = &member[at + 1..];
                let inner = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
                see(&member[..at], Some(Argument { text: inner.unwrap_or(text) }));
            }
        }
    }
}

/// Where this byte stands outside of quotes.
pub(super) fn unquoted(text: &[u8], wanted: u8) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, &byte) in text.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted {
            match byte {
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else if byte == b'"' {
            quoted = true;
        } else if byte == wanted {
            return Some(at);
        }
    }
    None
}

mod structured {
    //! As much of structured fields (RFC 9651) as a dictionary of directives needs: all of it is parsed, and little of it kept.

    /// A value without its parameters.
    pub(super) enum Bare {
        Integer(i64),
        Text(Vec<u8>),
        Boolean(bool),
        Other,
    }

    /// A dictionary's members in their order, or nothing if it is none.
    pub(super) fn dictionary(value: &[u8]) -> Option<Vec<(&[u8], Bare)>> {
        let mut cursor = Cursor { rest: value };
        let mut members = Vec::new();
        cursor.skip(b" ");
        while !cursor.rest.is_empty() {
            let key = cursor.key()?;
            let bare = if cursor.take(b'=') {
                if cursor.rest.first() == Some(&b'(') {
                    cursor.inner_list()?
                } else {
                    cursor.bare()?
                }
            } else {
                Bare::Boolean(true)
            };
            cursor.parameters()?;
            members.push((key, bare));
            cursor.skip(b" \t");
            if cursor.rest.is_empty() {
                break;
            }
            if !cursor.take(b',') {
                return None;
            }
            cursor.skip(b" \t");
            // A comma at the end is an error.
            if cursor.rest.is_empty() {
                return None;
            }
        }
        Some(members)
    }

    struct Cursor<'a> {
        rest: &'a [u8],
    }

    impl<'a> Cursor<'a> {
        fn skip(&mut self, of: &[u8]) {
            while self.rest.first().is_some_and(|byte| of.contains(byte)) {
                self.rest = &self.rest[1..];
            }
        }

        fn take(&mut self, byte: u8) -> bool {
            let is = self.rest.first() == Some(&byte);
            if is {
                self.rest = &self.rest[1..];
            }
            is
        }

        fn next(&mut self) -> Option<u8> {
            let (&first, rest) = self.rest.split_first()?;
            self.rest = rest;
            Some(first)
        }

        fn run(&mut self, of: impl Fn(u8) -> bool) -> &'a [u8] {
            let end = self.rest.iter().position(|&byte| !of(byte)).unwrap_or(self.rest.len());
            let (run, rest) = self.rest.split_at(end);
            self.rest = rest;
            run
        }

        fn key(&mut self) -> Option<&'a [u8]> {
            let first = *self.rest.first()?;
            if !(first.is_ascii_lowercase() || first == b'*') {
                return None;
            }
            Some(self.run(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
            }))
        }

        fn parameters(&mut self) -> Option<()> {
            while self.take(b';') {
                self.skip(b" ");
                self.key()?;
                if self.take(b'=') {
                    self.bare()?;
                }
            }
            Some(())
        }

        fn inner_list(&mut self) -> Option<Bare> {
            self.next();
            loop {
                self.skip(b" ");
                if self.take(b')') {
                    return Some(Bare::Other);
                }
                self.bare()?;
                self.parameters()?;
                if !matches!(self.rest.first(), Some(b' ' | b')')) {
                    return None;
                }
            }
        }

        fn bare(&mut self) -> Option<Bare> {
            match *self.rest.first()? {
                b'-' | b'0'..=b'9' => self.number(),
                b'"' => self.text().map(Bare::Text),
                b'?' => {
                    self.next();
                    match self.next()? {
                        b'1' => Some(Bare::Boolean(true)),
                        b'0' => Some(Bare::Boolean(false)),
                        _ => None,
                    }
                }
                b':' => {
                    self.next();
                    self.run(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                    self.take(b':').then_some(Bare::Other)
                }
                b'@' => {
                    self.next();
                    matches!(self.number()?, Bare::Integer(_)).then_some(Bare::Other)
                }
                b'%' => {
                    self.next();
                    self.text().map(|_| Bare::Other)
                }
                first if first.is_ascii_alphabetic() || first == b'*' => {
                    self.run(|byte| super::is_token_byte(byte) || b":/".contains(&byte));
                    Some(Bare::Other)
                }
                _ => None,
            }
        }

        fn number(&mut self) -> Option<Bare> {
            let negative = self.take(b'-');
            let whole = self.run(|byte| byte.is_ascii_digit());
            if self.take(b'.') {
                let fraction = self.run(|byte| byte.is_ascii_digit());
                let fits = (1..=12).contains(&whole.len()) && (1..=3).contains(&fraction.len());
                return fits.then_some(Bare::Other);
            }
            if !(1..=15).contains(&whole.len()) {
                return None;
            }
            let sum = whole.iter().fold(0_i64, |sum, byte| sum * 10 + i64::from(byte - b'0'));
            Some(Bare::Integer(if negative { -sum } else { sum }))
        }

        fn text(&mut self) -> Option<Vec<u8>> {
            if !self.take(b'"') {
                return None;
            }
            let mut text = Vec::new();
            loop {
                match self.next()? {
                    b'"' => return Some(text),
                    b'\\' => match self.next()? {
                        byte @ (b'"' | b'\\') => text.push(byte),
                        _ => return None,
                    },
                    byte @ 0x20..=0x7e => text.push(byte),
                    _ => return None,
                }
            }
        }
    }
}
