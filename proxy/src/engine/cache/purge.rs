//! What the admin listener can do with the cache: forget, and say what is in it.
//!
//! ```text
//! POST /cache/purge?url=http://shop/a/b      what is stored for this URL, with whatever fields
//! POST /cache/purge?prefix=http://shop/a/    for all URLs that begin so
//! POST /cache/purge?tag=news                 what its endpoint has given this tag (Surrogate-Key, Cache-Tag)
//!                               &soft        is stale from now on, and not gone: it is validated, or given once more while it is fetched anew
//! GET /cache                                 figures
//! ```
//!
//! Several may be named at once. Values are percent-decoded: a `&` in a URL is written `%26`. A URL may come without its scheme.

use net::Clock;
use policy::cache::{Mode, Purge, Purging};
use serde_json::{Value, json};

use super::super::{admin::View, commons::Commons, redis::Unavailable, stats::CacheStats};

/// Purges what the query names. What it was and how much, or what is wrong about the query.
pub(crate) async fn purge(commons: &Commons, query: &str, clock: &Clock) -> Result<Value, String> {
    let now = clock.now();
    commons.shards().ok_or("the cache is switched off")?;
    let mut mode = Mode::Hard;
    let mut what = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value);
        match name {
            "soft" => mode = Mode::Soft(now),
            "tag" | "url" | "prefix" if value.is_empty() => {
                return Err(format!("`{name}` says nothing; write `{name}=…`"));
            }
            "tag" => what.push(Purging::Tag(value)),
            "prefix" => what.push(Purging::Prefix(prefix(&value))),
            "url" => {
                let (host, target) = split(&value);
                what.push(Purging::Url { host: host.to_owned(), target: target.to_owned() });
            }
            other => return Err(format!("nothing is purged by `{other}`; {WAYS}")),
        }
    }
    if what.is_empty() {
        return Err(format!("what is to be purged? {WAYS}"));
    }
    let purged = commons.purge(&what, mode);
    let mode = if matches!(mode, Mode::Hard) { "hard" } else { "soft" };
    tracing::info!(query, purged, "purged the cache");
    let mut outcome = json!({ "purged": purged, "mode": mode });
    if let Some(done) = commons.purge_second(&what, clock).await {
        outcome["redis"] = match done {
            Ok(()) => json!("purged"),
            Err(why) => json!(format!("not purged: {why}")),
        };
    }
    Ok(outcome)
}

impl Commons {
    /// Forgets what the cache keeps of these, or makes it stale; how many answers that was. The second tier is told by
    /// [`purge_second`](Self::purge_second).
    pub fn purge(&self, what: &[Purging], mode: Mode) -> usize {
        let Some(shards) = self.shards() else { return 0 };
        self.purges(what).iter().map(|purge| shards.purge(purge, mode)).sum()
    }

    /// Forgets it in the second tier, if there is one. What is only to be validated is validated by whoever has it; there it is
    /// gone either way.
    ///
    /// # Errors
    /// Why the Redis cannot be told.
    pub async fn purge_second(
        &self,
        what: &[Purging],
        clock: &Clock,
    ) -> Option<Result<(), Unavailable>> {
        let tier = self.redis.tier.as_ref()?;
        let mut done = Ok(());
        for purge in self.purges(what) {
            done = tier.purge(clock, &purge).await.and(done);
        }
        Some(done)
    }

    /// Whether there is a second tier.
    pub fn has_second(&self) -> bool {
        self.redis.tier.is_some()
    }

    fn purges(&self, what: &[Purging]) -> Vec<Purge> {
        Purging::by_all(what, self.caches.iter().flatten().map(|cache| &*cache.rules))
    }
}

const WAYS: &str = "write `url=http://host/path`, `prefix=http://host/path` or `tag=name`, and `soft` beside it to make stale only";

/// The figures, as far as there is a cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures<'a>(pub(crate) &'a View);

impl Figures<'_> {
    /// As JSON; null without a cache.
    pub(crate) fn json(self) -> Value {
        let Self(view) = self;
        let commons = &view.state.borrow().commons;
        let Some(shards) = commons.shards() else { return Value::Null };
        let content = shards.content();
        let outcomes =
            CacheStats::default().outcomes().map(|(name, _)| name).into_iter().enumerate();
        let outcomes: Vec<(&str, u64)> = outcomes
            .map(|(at, name)| (name, view.sum(|stats| stats.cache.outcomes()[at].1)))
            .collect();
        let of =
            |name: &str| outcomes.iter().find(|(known, _)| *known == name).map_or(0, |of| of.1);
        let looked = outcomes.iter().map(|(_, count)| count).sum::<u64>() - of("pass");
        let answered = looked - of("miss");
        let by_outcome: serde_json::Map<String, Value> =
            outcomes.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
        json!({
            "requests": by_outcome,
            "hit_ratio": (looked > 0).then(|| answered as f64 / looked as f64),
            "collapsed": view.sum(|stats| &stats.cache.collapsed),
            "stored": view.sum(|stats| &stats.cache.stored),
            "refreshes": view.sum(|stats| &stats.cache.refreshes),
            "bytes_served": view.sum(|stats| &stats.cache.bytes),
            "objects": content.objects,
            "bytes": content.bytes,
            "evictions": content.evictions,
            "under_way": content.under_way,
        })
    }
}

/// A URL without its scheme.
fn bare(url: &[u8]) -> &[u8] {
    let schemes: [&[u8]; 2] = [b"http://", b"https://"];
    let found = schemes.iter().find(|scheme| {
        url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    found.map_or(url, |scheme| &url[scheme.len()..])
}

/// A URL's host and target.
fn split(url: &[u8]) -> (&[u8], &[u8]) {
    let url = bare(url);
    let end = url.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(url.len());
    url.split_at(end)
}

/// How keys of URLs begin that begin so: the host in small letters.
fn prefix(url: &[u8]) -> Vec<u8> {
    let (host, target) = split(url);
    [&host.to_ascii_lowercase(), target].concat()
}

/// Without percent-encoding. What is no code stays as it is.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().iter();
    let mut out = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        let code = bytes.as_slice().get(..2).and_then(|code| str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        match code.filter(|_| byte == b'%') {
            Some(meant) => {
                out.push(meant);
                bytes.nth(1);
            }
            None => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_with_and_without_a_scheme() {
        for url in ["http://Shop:80/a?b", "HTTPS://Shop:80/a?b", "Shop:80/a?b"] {
            assert_eq!(split(url.as_bytes()), (&b"Shop:80"[..], &b"/a?b"[..]), "{url}");
            assert_eq!(prefix(url.as_bytes()), b"shop:80/a?b", "{url}");
        }
        assert_eq!(split(b"shop"), (&b"shop"[..], &b""[..]));
    }

    #[test]
    fn values_are_decoded() {
        assert_eq!(decoded("a%26b%3D%zz%2"), b"a&b=%zz%2");
    }
}
