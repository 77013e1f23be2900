//! What changes a kept answer: a 304, an answer to HEAD, and methods that are not safe (RFC 9111, sections 4.3.4, 4.3.5 and 4.4).

mod caching;

use std::time::Duration;

use caching::{Head, ask, at, date, meta, received, rules};
use policy::{
    cache::{Freshened, HeadEffect, Merged, Why},
    message::{Answered, Fields},
};

/// Section 4.3.4: what a 304 does.
#[test]
fn freshened_by_a_304() {
    let rules = rules(|_| {});
    let old_date = date(0);
    let kept_head: Head<'_> = &[
        ("Date", &old_date),
        ("Cache-Control", "max-age=10"),
        ("ETag", "\"a\""),
        ("Content-Length", "36"),
        ("Content-Type", "text/plain"),
        ("X-Kept", "1"),
        ("X-Both", "1"),
    ];
    let fields: Head<'_> = &[];
    let asked = ask("GET", "/a", &fields);
    let wanted = rules.read(&asked);
    let kept = meta(&rules, kept_head);
    let freshen = |head: Head<'_>| {
        let answered = Answered { status: 304, fields: &head };
        let merged = Merged::new(&kept_head, &answered);
        let mut lines = Vec::new();
        merged.each(&mut |name, value| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            lines.push(format!("{}: {}", text(name), text(value)));
            true
        });
        (rules.freshen(&asked, &wanted, &kept, &merged, received(100)), lines)
    };
    let (freshened, lines) = freshen(&[
        ("X-Both", "2"),
        ("X-Both", "3"),
        ("X-New", "4"),
        ("Content-Length", "10"),
        ("Connection", "x-hop"),
        ("X-Hop", "5"),
    ]);
    let Freshened::Updated(updated) = freshened else { panic!("{freshened:?}") };
    let date_line = format!("Date: {old_date}");
    assert_eq!(
        lines,
        [
            &*date_line,
            "Cache-Control: max-age=10",
            "ETag: \"a\"",
            "Content-Length: 36",
            "Content-Type: text/plain",
            "X-Kept: 1",
            "X-Both: 2",
            "X-Both: 3",
            "X-New: 4",
        ]
    );
    // The kept `Date` is no longer when it was made.
    assert_eq!((updated.meta.taken, updated.meta.initial_age), (at(100.0), Duration::ZERO));
    assert_eq!(
        (updated.meta.lifetime.as_secs(), updated.meta.etag.as_deref()),
        (10, Some(&b"\"a\""[..]))
    );

    let (freshened, _) =
        freshen(&[("Cache-Control", "max-age=70"), ("Age", "20"), ("ETag", "\"a\"")]);
    let Freshened::Updated(updated) = freshened else { panic!("{freshened:?}") };
    assert_eq!((updated.meta.lifetime.as_secs(), updated.meta.initial_age.as_secs()), (70, 20));

    assert_eq!(freshen(&[("ETag", "\"b\"")]).0, Freshened::Other);
    assert!(matches!(freshen(&[("ETag", "W/\"b\"")]).0, Freshened::Updated(_)));
    assert_eq!(freshen(&[("Cache-Control", "no-store")]).0, Freshened::Forget(Why::NoStore));
    assert_eq!(freshen(&[("Vary", "*")]).0, Freshened::Forget(Why::Vary));
}

/// Section 4.3.5: what the answer to HEAD does.
#[test]
fn freshened_by_head() {
    let rules = rules(|_| {});
    let kept_head: Head<'_> = &[("Cache-Control", "max-age=10"), ("ETag", "\"a\"")];
    let kept = meta(&rules, kept_head);
    let fields: Head<'_> = &[];
    let asked = ask("HEAD", "/a", &fields);
    let effect = |status, head: Head<'_>| {
        let answered = Answered { status, fields: &head };
        let merged = Merged::new(&kept_head, &answered);
        rules.freshen_by_head(&asked, &rules.read(&asked), &kept, 36, &merged, received(100))
    };
    let updated = |effect| matches!(effect, HeadEffect::Updated(_));
    assert!(updated(effect(200, &[("Cache-Control", "max-age=1000")])));
    assert!(updated(effect(200, &[("ETag", "\"a\""), ("Content-Length", "36")])));
    assert_eq!(effect(200, &[("ETag", "\"b\"")]), HeadEffect::Outdated);
    assert_eq!(effect(200, &[("Content-Length", "37")]), HeadEffect::Outdated);
    assert_eq!(effect(200, &[("Last-Modified", &date(-5))]), HeadEffect::Outdated);
    assert_eq!(effect(200, &[("Cache-Control", "no-store")]), HeadEffect::Outdated);
    assert_eq!(effect(410, &[("Cache-Control", "max-age=1000")]), HeadEffect::Nothing);
}

/// Section 4.4.
#[test]
fn what_a_change_makes_untrue() {
    let rules = rules(|_| {});
    let fields: Head<'_> = &[];
    let purges = |method, status, response: Head<'_>| {
        let asked = ask(method, "/a/b?c", &fields);
        rules.invalidates(&asked, &rules.read(&asked), &Answered { status, fields: &response })
    };
    let own = rules.url(b"shop", b"/a/b?c");
    assert_eq!(purges("POST", 200, &[]), std::slice::from_ref(&own));
    assert_eq!(purges("M-SEARCH", 303, &[]), std::slice::from_ref(&own));
    assert_eq!(purges("DELETE", 500, &[]), []);
    assert_eq!(purges("PUT", 404, &[]), []);
    assert_eq!(purges("GET", 200, &[]), []);
    assert_eq!(purges("OPTIONS", 200, &[]), []);
    let locations: Head<'_> = &[("Location", "http://SHOP/x"), ("Content-Location", "../y")];
    assert_eq!(
        purges("POST", 201, locations),
        [own.clone(), rules.url(b"shop", b"/x"), rules.url(b"shop", b"/y")]
    );
    assert_eq!(
        purges("POST", 201, &[("Location", "http://other/x"), ("Content-Location", "/a/b?c")]),
        [own]
    );
}
