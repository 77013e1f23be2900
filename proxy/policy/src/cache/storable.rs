//! Whether an answer may be kept, and without which of its fields (RFC 9111, section 3).
//!
//! The answer is no unless everything says yes; each no has a name ([`Why`]), which `Cache-Status` and the log tell. What concerns the
//! URL and not this one request (`no-store`, no freshness …) is lasting: nobody should wait for the next answer to it.

use std::time::Duration;

use super::{
    Received, Rules,
    config::SetCookie,
    request::{Method, Wanted},
    response::{Facts, Meta, heuristically, understood},
    vary::Vary,
};
use crate::message::{Answered, Asked};

/// What becomes of an answer that has come.
#[derive(Clone, Debug, PartialEq)]
pub enum Intake {
    /// It is kept.
    Store(Box<Taken>),
    /// It is not.
    Leave(Why),
}

/// What is kept of an answer's head.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// For decisions.
    pub meta: Meta,
    /// Which of its fields are not kept.
    pub omit: Omit,
    /// The bytes of its body, if it says how many.
    pub length: Option<u64>,
}

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Only answers to GET are.
    Method,
    /// It is a 304, or none that ends anything.
    Status,
    /// The client said `no-store`.
    ClientNoStore,
    /// `no-store`.
    NoStore,
    /// `private`.
    Private,
    /// The request had `Authorization`, and the answer does not say that it is for all (section 3.5).
    Authorization,
    /// It sets a cookie.
    SetCookie,
    /// `Vary: *`, or it depends on too much.
    Vary,
    /// It does not say how long it is fresh, and nothing lets it be guessed.
    NoFreshness,
    /// It is an endpoint's failure that does not say how long it is fresh.
    Failure,
    /// It is stale already, and nothing could validate it.
    Stale,
    /// Its body is larger than what is kept.
    TooLarge,
    /// It is a part that cannot be used.
    Part,
}

impl Why {
    /// Whether the next answer to the same URL will be no better.
    pub fn lasting(self) -> bool {
        !matches!(
            self,
            Self::Method
                | Self::Status
                | Self::ClientNoStore
                | Self::Authorization
                | Self::Part
                | Self::Failure
        )
    }

    /// In a word, for `Cache-Status`, logs and figures.
    pub fn word(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::ClientNoStore => "client-no-store",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::Vary => "vary",
            Self::NoFreshness => "no-freshness",
            Self::Failure => "failure",
            Self::Stale => "stale",
            Self::TooLarge => "too-large",
            Self::Part => "partial",
        }
    }
}

/// Which fields of an answer are not kept (section 3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Omit {
    /// Those that this answer names itself.
    named: Vec<Box<[u8]>>,
    cookies: bool,
}

/// Those that are for one connection, for a proxy, or written anew.
const NEVER: [&str; 11] = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
    "trailer",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "age",
];

impl Omit {
    /// Whether the field of this name is not kept.
    pub fn omits(&self, name: &[u8]) -> bool {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        NEVER.iter().any(|known| is(known.as_bytes()))
            || (self.cookies && (is(b"set-cookie") || is(b"set-cookie2")))
            || self.named.iter().any(|known| is(known))
    }

    pub(super) fn of(facts: &Facts, set_cookie: SetCookie) -> Self {
        // What would let the next one take it for another's must stay, whatever `Connection` says of it.
        let kept: [&[u8]; 6] =
            [b"cache-control", b"vary", b"etag", b"last-modified", b"date", b"expires"];
        let connection = facts
            .connection
            .iter()
            .filter(|name| !kept.iter().any(|known| name.eq_ignore_ascii_case(known)));
        let named = connection.chain(&facts.directives.fields).cloned().collect();
        Self { named, cookies: set_cookie == SetCookie::Strip }
    }
}

impl Rules {
    /// Whether an answer is kept, by its head.
    pub fn take_in(
        &self,
        asked: &Asked<'_>,
        wanted: &Wanted,
        answered: &Answered<'_>,
        received: Received,
    ) -> Intake {
        if wanted.method != Method::Get {
            return Intake::Leave(Why::Method);
        }
        if answered.status < 200 || answered.status == 304 {
            return Intake::Leave(Why::Status);
        }
        if wanted.demands.no_store {
            return Intake::Leave(Why::ClientNoStore);
        }
        let facts = Facts::read(self, answered.fields, received.wall);
        let length = facts.content_length;
        let omit = Omit::of(&facts, self.set_cookie);
        match self.meta(asked, wanted, answered.status, facts, received) {
            Ok(meta) => Intake::Store(Box::new(Taken { meta, omit, length })),
            Err(why) => Intake::Leave(why),
        }
    }

    /// What is kept of an answer of which the facts are known, or why it is not.
    pub(super) fn meta(
        &self,
        asked: &Asked<'_>,
        wanted: &Wanted,
        status: u16,
        facts: Facts,
        received: Received,
    ) -> Result<Meta, Why> {
        let directives = &facts.directives;
        // Who knows what the status means need not heed `no-store` beside `must-understand` (section 5.2.2.3).
        let must_understand = directives.must_understand;
        if must_understand && !understood(status) {
            return Err(Why::NoStore);
        }
        if directives.no_store && !must_understand {
            return Err(Why::NoStore);
        }
        if directives.private {
            return Err(Why::Private);
        }
        let for_all =
            directives.public || directives.s_maxage.is_some() || directives.must_revalidate;
        if wanted.authorization && !for_all {
            return Err(Why::Authorization);
        }
        if facts.vary_any {
            return Err(Why::Vary);
        }
        // Whose answer says that its cookies are not for others has seen to it.
        let named =
            || directives.fields.iter().any(|name| name.eq_ignore_ascii_case(b"set-cookie"));
        if facts.set_cookie && self.set_cookie == SetCookie::Refuse && !named() {
            return Err(Why::SetCookie);
        }
        let part = self.part(status, &facts)?;
        let whole = part.map_or(facts.content_length, |part| Some(part.length()));
        if whole.is_some_and(|length| length > self.object) {
            return Err(Why::TooLarge);
        }
        let initial_age = facts.initial_age(&received);
        let (lifetime, heuristic) = self.lifetime(status, &facts, &received, initial_age)?;
        let seconds = |own: Option<u32>, general: Option<Duration>| {
            let general = if directives.s_maxage.is_some() { None } else { general };
            own.map(|own| Duration::from_secs(own.into())).or(general).unwrap_or_default()
        };
        let stale_while_revalidate =
            seconds(directives.stale_while_revalidate, self.stale_while_revalidate);
        let stale_if_error = seconds(directives.stale_if_error, self.stale_if_error);
        let useful_stale = !(stale_while_revalidate.is_zero() && stale_if_error.is_zero());
        let validates = facts.etag.is_some() || facts.last_modified.is_some();
        let is_fresh = lifetime > initial_age && !directives.no_cache;
        if !is_fresh && !validates && !useful_stale {
            return Err(Why::Stale);
        }
        let vary = Vary::of(&facts.vary, asked.fields).ok_or(Why::Vary)?;
        Ok(Meta {
            status,
            taken: received.at,
            initial_age,
            lifetime,
            stale_while_revalidate,
            stale_if_error,
            no_cache: directives.no_cache,
            must_revalidate: directives.must_revalidate || directives.proxy_revalidate,
            shared: directives.s_maxage.is_some(),
            heuristic,
            date: facts.date.unwrap_or(received.wall as i64),
            last_modified: facts.last_modified,
            etag: facts.etag,
            vary,
            tags: facts.tags.into(),
            part,
        })
    }

    /// Which part of the whole the answer is. A part that does not say which, or has another length than that, is of no use.
    fn part(&self, status: u16, facts: &Facts) -> Result<Option<super::Part>, Why> {
        if status != 206 {
            return Ok(None);
        }
        let part = facts.content_range.filter(|_| self.ranges).ok_or(Why::Part)?;
        let agrees = facts.content_length.is_none_or(|length| length == part.length());
        if agrees { Ok(Some(part)) } else { Err(Why::Part) }
    }

    /// How old the answer may become and be fresh, and whether that is a guess.
    fn lifetime(
        &self,
        status: u16,
        facts: &Facts,
        received: &Received,
        initial_age: Duration,
    ) -> Result<(Duration, bool), Why> {
        if let Some(ttl) = self.forced_ttl(status) {
            // So long from now on, however old it is.
            return Ok((initial_age.saturating_add(ttl), false));
        }
        if let Some(explicit) = facts.explicit(received) {
            return Ok((explicit, false));
        }
        let directives = &facts.directives;
        if !(heuristically(status) || directives.public) {
            return Err(if status >= 500 { Why::Failure } else { Why::NoFreshness });
        }
        if let Some(((fraction, max), modified)) = self.heuristic.zip(facts.last_modified) {
            let unchanged =
                facts.date.unwrap_or(received.wall as i64).saturating_sub(modified).max(0);
            let guess = Duration::try_from_secs_f64(unchanged as f64 * fraction).unwrap_or(max);
            return Ok((guess.min(max), true));
        }
        if let Some(ttl) = self.default_ttl {
            return Ok((initial_age.saturating_add(ttl), false));
        }
        // It may be kept all the same where it can be validated.
        let validates = facts.etag.is_some() || facts.last_modified.is_some();
        if validates { Ok((Duration::ZERO, false)) } else { Err(Why::NoFreshness) }
    }
}
