//! The admin listener's side of the cache: purging, and the figures.

use crate::{
    cache::{Asked, caching, get, origin, with},
    support::{Message, Origin, Rig, Wire, eventually, with_admin},
};

/// A proxy with four things in its cache.
fn filled() -> (Rig, Origin, Asked) {
    let (origin, asked) = origin(|number, request| {
        let path = request.start().split(' ').nth(1).unwrap_or_default().to_owned();
        let tag = if path.starts_with("/news") { "news all" } else { "all" };
        let fields = format!(
            "Cache-Control: max-age=60, stale-while-revalidate=60\nETag: \"1\"\nSurrogate-Key: {tag}\nVary: X-Kind"
        );
        with(&fields, &format!("{path} {number}"))
    });
    let rig = Rig::start(with_admin(caching(&origin)));
    for path in ["/news/1", "/news/2", "/shop/1?a&b", "/"] {
        get(&rig, path, "");
    }
    eventually("all are stored", || rig.sum(|stats| &stats.cache.stored) == 4);
    (rig, origin, asked)
}

fn post(rig: &Rig, path: &str, fields: &str) -> Message {
    let address = rig.proxy.admin_address().expect("it is switched on");
    let mut wire = Wire::connect(address);
    wire.send(format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 0\r\nConnection: close\r\n\r\n"
    ));
    wire.response()
}

/// Purges so; how much that was.
pub(crate) fn purge(rig: &Rig, query: &str) -> u64 {
    let done = post(rig, &format!("/cache/purge?{query}"), "");
    assert_eq!(done.status(), 200, "{}", done.text());
    let done: serde_json::Value = serde_json::from_slice(&done.body).expect("JSON");
    done["purged"].as_u64().expect("a number")
}

/// Which of the four are still there.
fn there(rig: &Rig) -> Vec<&'static str> {
    let paths = ["/news/1", "/news/2", "/shop/1?a&b", "/"];
    let is_there = |path: &&str| get(rig, path, "Cache-Control: only-if-cached").status() == 200;
    paths.into_iter().filter(is_there).collect()
}

#[test]
fn by_url() {
    let (rig, _origin, _) = filled();
    assert_eq!(purge(&rig, "url=http://Shop/news/1"), 1);
    assert_eq!(purge(&rig, "url=shop/shop/1?a%26b"), 1);
    assert_eq!(purge(&rig, "url=http://other/news/2"), 0);
    assert_eq!(there(&rig), ["/news/2", "/"]);
}

#[test]
fn by_prefix_and_by_tag() {
    let (rig, _origin, _) = filled();
    assert_eq!(purge(&rig, "prefix=http://shop/news/"), 2);
    assert_eq!(there(&rig), ["/shop/1?a&b", "/"]);
    assert_eq!(purge(&rig, "tag=all"), 2);
    assert_eq!(there(&rig), [""; 0]);
    let (rig, _origin, _) = filled();
    assert_eq!(purge(&rig, "tag=news&tag=none"), 2);
    assert_eq!(there(&rig), ["/shop/1?a&b", "/"]);
}

#[test]
fn softly_it_is_stale_and_not_gone() {
    let (rig, _origin, asked) = filled();
    assert_eq!(purge(&rig, "tag=news&soft"), 2);
    assert_eq!(get(&rig, "/news/1", "").text(), "/news/1 1", "given once more");
    eventually("while it is fetched anew", || asked.count() == 5);
    eventually("it is there", || get(&rig, "/news/1", "").text() == "/news/1 5");
    assert_eq!(get(&rig, "/", "").text(), "/ 4");
}

#[test]
fn what_cannot_be_purged_is_said() {
    let (rig, _origin, _) = filled();
    for (query, part) in [
        ("", "what is to be purged?"),
        ("?soft", "what is to be purged?"),
        ("?all=yes", "nothing is purged by `all`"),
        ("?url=", "`url` says nothing"),
    ] {
        let refused = post(&rig, &format!("/cache/purge{query}"), "");
        assert_eq!(refused.status(), 400);
        assert!(refused.text().contains(part), "{}", refused.text());
    }
    assert_eq!(post(&rig, "/cache/purge?tag=all", "Origin: http://evil\r\n").status(), 403);
    assert_eq!(rig.admin("/cache/purge?tag=all").status(), 405);
    assert_eq!(there(&rig).len(), 4);
    let (origin, _) = crate::cache::always("", "hello");
    let off = Rig::start(with_admin(crate::support::config(&[origin.address()])));
    assert_eq!(post(&off, "/cache/purge?tag=all", "").text(), "the cache is switched off\n");
}

#[test]
fn the_figures_say_what_was_done() {
    let (rig, _origin, _) = filled();
    for path in ["/", "/news/1"] {
        get(&rig, path, "");
    }
    eventually("all is counted", || rig.sum(|stats| &stats.requests) == 6);
    let figures = rig.admin("/cache");
    let figures: serde_json::Value = serde_json::from_slice(&figures.body).expect("JSON");
    assert_eq!(figures, rig.admin_json()["cache"]);
    assert_eq!(figures["requests"]["hit"], 2);
    assert_eq!(figures["requests"]["miss"], 4);
    assert_eq!(
        (&figures["objects"], &figures["stored"], &figures["evictions"]),
        (&4.into(), &4.into(), &0.into())
    );
    assert_eq!(figures["hit_ratio"], 2.0 / 6.0);
    assert!(
        figures["bytes"].as_u64().is_some_and(|bytes| (1000..10_000).contains(&bytes)),
        "{figures}"
    );
    let metrics = rig.admin("/metrics");
    for line in [
        "proxy_cache_requests_total{outcome=\"hit\"} 2",
        "proxy_cache_requests_total{outcome=\"miss\"} 4",
        "proxy_cache_stored_total 4",
        "proxy_cache_objects 4",
        "proxy_cache_evictions_total 0",
    ] {
        assert!(metrics.text().contains(line), "{line}: {}", metrics.text());
    }
}
