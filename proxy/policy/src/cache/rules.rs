//! A configuration, made ready for use: names in small letters, lengths of time in one unit, paths as patterns.
//!
//! One for each service that has a cache. All of a proxy's have the same seed, so that one store serves them: what differs between
//! services is part of the key's text.

use std::time::Duration;

use super::{
    CacheConfig,
    config::{KeyConfig, QueryKey, SetCookie, StatusTtl},
    hash_seed,
    key::HashKey,
};
use crate::{message::Asked, rng::Seed};

/// How a service's answers are cached.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(super) client_directives: bool,
    pub(super) ranges: bool,
    pub(super) collapse: bool,
    pub(super) object: u64,
    pub(super) default_ttl: Option<Duration>,
    pub(super) ttl: Option<Duration>,
    pub(super) ttl_by_status: Vec<StatusTtl>,
    pub(super) heuristic: Option<(f64, Duration)>,
    pub(super) stale_while_revalidate: Option<Duration>,
    pub(super) stale_if_error: Option<Duration>,
    pub(super) set_cookie: SetCookie,
    pub(super) key: KeyConfig,
    pub(super) plain_key: bool,
    /// The upstream whose answers these are; empty for the proxy's own.
    pub(super) upstream: Box<str>,
    pub(super) tags: Vec<Box<str>>,
    pub(super) targeted: Vec<Box<str>>,
    pub(super) hash: HashKey,
    bypass_paths: Vec<Box<[u8]>>,
    bypass_cookies: Vec<Box<str>>,
    bypass_headers: Vec<Box<str>>,
}

impl Rules {
    /// The rules of a configuration. The seed, the run's own, keys the hashes.
    pub fn new(config: &CacheConfig, seed: Seed) -> Self {
        let lower = |names: &[String]| -> Vec<Box<str>> {
            names.iter().map(|name| name.to_ascii_lowercase().into()).collect()
        };
        let own = |names: &[String]| -> Vec<Box<str>> {
            names.iter().map(|name| name.as_str().into()).collect()
        };
        let key = &config.key;
        let heuristic = config.heuristic;
        Self {
            client_directives: config.client_directives,
            ranges: config.ranges,
            collapse: config.collapse.enabled,
            object: config.object.0,
            default_ttl: config.default_ttl.map(|span| span.0),
            ttl: config.ttl.map(|span| span.0),
            ttl_by_status: config.ttl_by_status.clone(),
            heuristic: heuristic.enabled.then_some((heuristic.fraction, heuristic.max.0)),
            stale_while_revalidate: config.stale_while_revalidate.map(|span| span.0),
            stale_if_error: config.stale_if_error.map(|span| span.0),
            set_cookie: config.set_cookie,
            plain_key: key.query == QueryKey::All
                && !key.sort_query
                && key.headers.is_empty()
                && key.cookies.is_empty(),
            key: key.clone(),
            upstream: Box::default(),
            tags: lower(&config.tags),
            targeted: lower(&config.targeted),
            hash: HashKey::new(hash_seed(seed)),
            bypass_paths: config.bypass.paths.iter().map(|path| path.as_bytes().into()).collect(),
            bypass_cookies: own(&config.bypass.cookies),
            bypass_headers: lower(&config.bypass.headers),
        }
    }

    /// The same for answers of the upstream of this name. One URL may lead to several, where routes go by more than that: what they answer
    /// is kept apart.
    #[must_use]
    pub fn of_upstream(mut self, name: &str) -> Self {
        self.upstream = name.into();
        self
    }

    /// The largest body that is kept, in bytes.
    pub fn largest(&self) -> u64 {
        self.object
    }

    pub(super) fn is_bypass_header(&self, name: &[u8]) -> bool {
        self.bypass_headers.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    }

    pub(super) fn is_bypass_cookie(&self, value: &[u8]) -> bool {
        self.bypass_cookies.iter().any(|name| cookie(value, name.as_bytes()).is_some())
    }

    pub(super) fn is_bypass_path(&self, path: &[u8]) -> bool {
        self.bypass_paths.iter().any(|pattern| glob(pattern, path))
    }

    /// How long the configuration says that answers of this status are fresh, whatever they say.
    pub(super) fn forced_ttl(&self, status: u16) -> Option<Duration> {
        let by_status = self.ttl_by_status.iter().find(|entry| entry.status.contains(status));
        by_status.map(|entry| entry.ttl.0).or(self.ttl)
    }
}

/// The value of a cookie in a line of `Cookie`.
pub(super) fn cookie<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    line.split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

/// Whether a path is one of a pattern: `*` is any text but `/`, `**` any text. Takes no longer than their lengths multiplied.
fn glob(pattern: &[u8], path: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where to go on when what is after a star does not match: one byte later. Of each kind of star the last is enough.
    let mut single: Option<(usize, usize)> = None;
    let mut double: Option<(usize, usize)> = None;
    loop {
        if pattern[at..].starts_with(b"**") {
            double = Some((at + 2, read));
            single = None;
            at += 2;
        } else if pattern.get(at) == Some(&b'*') {
            single = Some((at + 1, read));
            at += 1;
        } else if read < path.len() && pattern.get(at) == Some(&path[read]) {
            at += 1;
            read += 1;
        } else if read == path.len() && at == pattern.len() {
            return true;
        } else if let Some((after, from)) =
            single.filter(|(_, from)| path.get(*from).is_some_and(|byte| *byte != b'/'))
        {
            single = Some((after, from + 1));
            (at, read) = (after, from + 1);
        } else if let Some((after, from)) = double.filter(|(_, from)| *from < path.len()) {
            double = Some((after, from + 1));
            single = None;
            (at, read) = (after, from + 1);
        } else {
            return false;
        }
    }
}

/// The host that a request names, in small letters, into `out`.
pub(super) fn host(asked: &Asked<'_>, out: &mut Vec<u8>) {
    out.extend(asked.host.iter().map(u8::to_ascii_lowercase));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_of_both_kinds() {
        let table: [(&str, &str, bool); 14] = [
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/**", "/a/b/c", true),
            ("/a/**/z", "/a/b/c/z", true),
            ("/a/**/z", "/a/b/c/y", false),
            ("**.php", "/x/y.php", true),
            ("/*/edit", "/x/edit", true),
            ("/*/edit", "/x/y/edit", false),
            ("/**/x*/z", "/a/xb/c/xd/z", true),
            ("*", "/a", false),
            ("**", "/a", true),
            ("/a*b*c", "/aXbYbZc", true),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(glob(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} {path}");
        }
        // Nothing that takes for ever.
        assert!(!glob(&b"*a".repeat(50), &b"a".repeat(5000)[..4999].to_ascii_uppercase()));
    }

    #[test]
    fn cookies_by_name() {
        assert_eq!(cookie(b"a=1; session=x=y", b"session"), Some(&b"x=y"[..]));
        assert_eq!(cookie(b"asession=1", b"session"), None);
    }
}
