//! What a request says to a cache, read in one pass over its fields.
//!
//! A hit must cost next to nothing, so the fields are looked through once, and what is found is a few numbers and bits; values are looked
//! up again only where a bit says that they are there.

use super::{Rules, directives::Demands, status_field::Forwarded};
use crate::message::Asked;

/// What a request's head says to a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What its method means to a cache.
    pub method: Method,
    /// What its `Cache-Control` and `Pragma` demand, as far as clients may.
    pub demands: Demands,
    /// `Authorization` is there.
    pub authorization: bool,
    /// `Cookie` is there.
    pub cookie: bool,
    /// `If-None-Match` is there.
    pub if_none_match: bool,
    /// `If-Modified-Since` is there.
    pub if_modified_since: bool,
    /// `If-Match` or `If-Unmodified-Since` is there: for the endpoint alone (RFC 9111, section 4.3.2).
    pub precondition: bool,
    /// `Range` is there, in a request that it means something in.
    pub range: bool,
    /// `If-Range` is there.
    pub if_range: bool,
    /// It has a body, or wants to speak something else.
    pub odd: bool,
    /// One of the configuration's fields for passing by is there.
    pub bypass: bool,
}

/// What a method means to a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// HEAD: the head of what GET would be answered.
    Head,
    /// One that is neither, and changes nothing.
    Safe,
    /// One that may change something, like any that we do not know.
    Unsafe,
}

impl Method {
    /// Of this name, whose case counts.
    pub fn of(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" | b"TRACE" | b"CONNECT" | b"PROPFIND" | b"SEARCH" | b"REPORT" | b"QUERY" => {
                Self::Safe
            }
            _ => Self::Unsafe,
        }
    }
}

/// Whether a request may be answered from the store at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Look.
    Look,
    /// Forward it, and do not keep the answer. An unsafe one may still make kept answers invalid.
    Pass(Forwarded),
}

impl Rules {
    /// Reads a request.
    pub fn read(&self, asked: &Asked<'_>) -> Wanted {
        let mut wanted = Wanted { method: Method::of(asked.method), ..Wanted::default() };
        let mut control = false;
        let mut pragma = false;
        asked.fields.each(&mut |name, value| {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match name.len() {
                5 => wanted.range |= wanted.method == Method::Get && is("range"),
                6 if is("cookie") => {
                    wanted.cookie = true;
                    wanted.bypass |= self.is_bypass_cookie(value);
                }
                6 => pragma |= is("pragma") && names(value, b"no-cache"),
                7 => wanted.odd |= is("upgrade"),
                8 => {
                    wanted.if_range |= is("if-range");
                    wanted.precondition |= is("if-match");
                }
                13 if is("cache-control") => {
                    control = true;
                    wanted.demands.read(value);
                }
                13 => {
                    wanted.authorization |= is("authorization");
                    wanted.if_none_match |= is("if-none-match");
                }
                14 => wanted.odd |= is("content-length") && value.trim_ascii() != b"0",
                17 => {
                    wanted.if_modified_since |= is("if-modified-since");
                    wanted.odd |= is("transfer-encoding");
                }
                19 => wanted.precondition |= is("if-unmodified-since"),
                _ => {}
            }
            wanted.bypass |= self.is_bypass_header(name);
            true
        });
        wanted.demands.no_cache |= pragma && !control;
        if !self.client_directives {
            let Demands { no_store, only_if_cached, .. } = wanted.demands;
            wanted.demands = Demands { no_store, only_if_cached, ..Demands::default() };
        }
        wanted
    }

    /// Whether a request may be answered from the store.
    pub fn gate(&self, asked: &Asked<'_>, wanted: &Wanted) -> Gate {
        if !matches!(wanted.method, Method::Get | Method::Head) {
            return Gate::Pass(Forwarded::Method);
        }
        if wanted.odd || wanted.precondition {
            return Gate::Pass(Forwarded::Request);
        }
        // A URL that is none we can name (`*`) has no answer to be kept.
        if wanted.bypass || self.is_bypass_path(asked.path()) || asked.target.is_empty() {
            return Gate::Pass(Forwarded::Bypass);
        }
        Gate::Look
    }
}

/// Whether a list has this member.
pub(super) fn names(value: &[u8], member: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(member))
}
