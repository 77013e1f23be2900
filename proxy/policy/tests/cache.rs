//! The cache's rules, a table for each section of RFC 9111.

mod caching;

use std::time::Duration;

use caching::{Head, ask, at, date, intake, meta, received, rules, serve, stored, taken, word};
use policy::{
    cache::{
        Decision, Failure, Forwarded, Gate, Intake, Meta, Mode, Store, Why, config::SetCookie,
    },
    message::Answered,
    quantity::TimeSpan,
    status::StatusRange,
};
use proptest::prelude::*;

/// Section 3: which answers are kept.
#[test]
fn which_answers_are_kept() {
    let modified = date(-1000);
    let table: &[(u16, Head<'_>, Head<'_>, Option<Why>)] = &[
        (200, &[], &[("Cache-Control", "max-age=60")], None),
        (200, &[], &[("Cache-Control", "s-maxage=60")], None),
        (200, &[], &[], Some(Why::NoFreshness)),
        (200, &[], &[("Last-Modified", &modified)], None),
        (200, &[], &[("ETag", "\"a\"")], None),
        (200, &[], &[("Cache-Control", "max-age=0")], Some(Why::Stale)),
        (200, &[], &[("Cache-Control", "max-age=0"), ("ETag", "\"a\"")], None),
        (200, &[], &[("Cache-Control", "max-age=0, stale-if-error=60")], None),
        (200, &[], &[("Cache-Control", "max-age=60"), ("Age", "61")], Some(Why::Stale)),
        (200, &[], &[("Cache-Control", "no-cache")], Some(Why::NoFreshness)),
        (200, &[], &[("Cache-Control", "no-cache, max-age=60")], Some(Why::Stale)),
        (200, &[], &[("Cache-Control", "no-cache"), ("ETag", "\"a\"")], None),
        (200, &[], &[("Cache-Control", "No-Store, max-age=60")], Some(Why::NoStore)),
        (200, &[], &[("Cache-Control", "private, max-age=60")], Some(Why::Private)),
        (200, &[], &[("Cache-Control", "private=\"x\", max-age=60")], None),
        (200, &[], &[("Cache-Control", "private=\"\", max-age=60")], Some(Why::Private)),
        (200, &[], &[("Cache-Control", "x=\"no-store\", max-age=60")], None),
        (200, &[], &[("Cache-Control", "no-store, must-understand, max-age=60")], None),
        (599, &[], &[("Cache-Control", "must-understand, max-age=60")], Some(Why::NoStore)),
        (599, &[], &[("Cache-Control", "max-age=60")], None),
        (599, &[], &[("Last-Modified", &modified)], Some(Why::Failure)),
        (599, &[], &[("Last-Modified", &modified), ("Cache-Control", "public")], None),
        (302, &[], &[("Last-Modified", &modified)], Some(Why::NoFreshness)),
        (304, &[], &[("Cache-Control", "max-age=60")], Some(Why::Status)),
        (103, &[], &[("Cache-Control", "max-age=60")], Some(Why::Status)),
        (200, &[], &[("Cache-Control", "max-age=60"), ("Vary", "a, *")], Some(Why::Vary)),
        (200, &[], &[("Cache-Control", "max-age=60"), ("Set-Cookie", "a=b")], Some(Why::SetCookie)),
        (
            200,
            &[],
            &[("Cache-Control", "max-age=60, no-cache=\"set-cookie\""), ("Set-Cookie", "a=b")],
            None,
        ),
        // Section 3.5.
        (
            200,
            &[("Authorization", "x")],
            &[("Cache-Control", "max-age=60")],
            Some(Why::Authorization),
        ),
        (200, &[("Authorization", "x")], &[("Cache-Control", "max-age=60, public")], None),
        (200, &[("Authorization", "x")], &[("Cache-Control", "s-maxage=60")], None),
        (200, &[("Authorization", "x")], &[("Cache-Control", "max-age=60, must-revalidate")], None),
        // The client's word.
        (
            200,
            &[("Cache-Control", "no-store")],
            &[("Cache-Control", "max-age=60")],
            Some(Why::ClientNoStore),
        ),
        // Size.
        (200, &[], &[("Cache-Control", "max-age=60"), ("Content-Length", "8388608")], None),
        (
            200,
            &[],
            &[("Cache-Control", "max-age=60"), ("Content-Length", "8388609")],
            Some(Why::TooLarge),
        ),
        // Parts.
        (206, &[], &[("Cache-Control", "max-age=60"), ("Content-Range", "bytes 0-4/10")], None),
        (
            206,
            &[],
            &[
                ("Cache-Control", "max-age=60"),
                ("Content-Range", "bytes 4-9/10"),
                ("Content-Length", "5"),
            ],
            Some(Why::Part),
        ),
        (
            206,
            &[],
            &[("Cache-Control", "max-age=60"), ("Content-Range", "bytes 0-4/*")],
            Some(Why::Part),
        ),
        (206, &[], &[("Cache-Control", "max-age=60")], Some(Why::Part)),
    ];
    let rules = rules(|_| {});
    for (status, request, response, expected) in table {
        let why = match intake(&rules, request, *status, response) {
            Intake::Store(_) => None,
            Intake::Leave(why) => Some(why),
        };
        assert_eq!(why, *expected, "{status} {request:?} {response:?}");
    }
}

#[test]
fn only_answers_to_get_are_kept() {
    let rules = rules(|_| {});
    let fields: Head<'_> = &[];
    let response: Head<'_> = &[("Cache-Control", "max-age=60")];
    for method in ["HEAD", "POST", "PUT", "OPTIONS", "get"] {
        let asked = ask(method, "/a", &fields);
        let answered = Answered { status: 200, fields: &response };
        let intake = rules.take_in(&asked, &rules.read(&asked), &answered, received(0));
        assert_eq!(intake, Intake::Leave(Why::Method), "{method}");
    }
}

/// Section 3.1: which fields are kept.
#[test]
fn which_fields_are_kept() {
    let strip = rules(|config| config.set_cookie = SetCookie::Strip);
    let response: Head<'_> = &[
        ("Cache-Control", "max-age=60, no-cache=\"X-A, x-b\", private=x-c"),
        ("Connection", "close, X-Hop, ETag"),
    ];
    let omit = taken(&strip, &[], 200, response).omit;
    for name in [
        "connection",
        "Keep-Alive",
        "TE",
        "Transfer-Encoding",
        "Upgrade",
        "Trailer",
        "Age",
        "x-a",
        "X-B",
        "X-C",
        "x-hop",
        "close",
        "Proxy-Authenticate",
        "proxy-authentication-info",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Set-Cookie",
    ] {
        assert!(omit.omits(name.as_bytes()), "{name}");
    }
    // `Connection` cannot take away what decisions need.
    for name in
        ["Cache-Control", "ETag", "Content-Type", "Date", "X-D", "Content-Length", "Warning"]
    {
        assert!(!omit.omits(name.as_bytes()), "{name}");
    }
    let keep = rules(|config| config.set_cookie = SetCookie::Store);
    assert!(!taken(&keep, &[], 200, &[("Cache-Control", "max-age=60")]).omit.omits(b"Set-Cookie"));
}

/// Section 4.2.1: how long an answer is fresh, in seconds.
#[test]
fn how_long_an_answer_is_fresh() {
    let (now, later, earlier) = (date(0), date(90), date(-90));
    let table: &[(Head<'_>, u64)] = &[
        (&[("Cache-Control", "max-age=60")], 60),
        (&[("Cache-Control", "max-age=\"60\"")], 60),
        (&[("Cache-Control", "MAX-AGE=060")], 60),
        (&[("Cache-Control", "max-age=60, s-maxage=30")], 30),
        (&[("Cache-Control", "s-maxage=30"), ("Cache-Control", "max-age=60")], 30),
        (&[("Cache-Control", "max-age=60"), ("Expires", &later)], 60),
        (&[("Expires", &later), ("Date", &now)], 90),
        (&[("Expires", &later)], 90),
        (&[("Expires", &later), ("Date", "nonsense")], 90),
        (&[("Expires", &earlier), ("Date", &now)], 0),
        (&[("Expires", "0"), ("Date", &now)], 0),
        (&[("Expires", &later), ("Expires", &later), ("Date", &now)], 0),
        // The first of two counts; what is no number is 0; what is too large is 2³¹.
        (&[("Cache-Control", "max-age=60, max-age=10")], 60),
        (&[("Cache-Control", "max-age=-60")], 0),
        (&[("Cache-Control", "max-age='60'")], 0),
        (&[("Cache-Control", "max-age=60.5")], 0),
        (&[("Cache-Control", "max-age= 60")], 0),
        (&[("Cache-Control", "max-age")], 0),
        (&[("Cache-Control", "max-age=99999999999999999999999")], 1 << 31),
        (&[("Cache-Control", "x=\"max-age=9\", max-age=60")], 60),
        (&[("Cache-Control", "x=\"a\\\"max-age=9\", max-age=60")], 60),
        (&[("Cache-Control", ",, max-age=60 ,,")], 60),
        // Targeted fields, and what is no structured field.
        (&[("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "max-age=10")], 10),
        (&[("Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=10")], 10),
        (&[("CDN-Cache-Control", "max-age=10"), ("Expires", &later)], 10),
        (&[("CDN-Cache-Control", "max-age=1, x"), ("CDN-Cache-Control", "max-age=20;a=b")], 20),
        (&[("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "")], 60),
        (&[("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "max-age=10,")], 60),
        (&[("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "max-age =10")], 60),
        (&[("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "MAX-AGE=10")], 60),
        (&[("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "max-age=10, &&&")], 60),
        (&[("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "max-age=\"10\"")], 60),
        (
            &[
                ("Cache-Control", "max-age=60"),
                ("CDN-Cache-Control", "a=(1 2);b, c=:YQ==:, d=1.5, e=?0, max-age=10"),
            ],
            10,
        ),
        (&[("CDN-Cache-Control", "max-age=99999999999")], 1 << 31),
    ];
    let rules = rules(|_| {});
    for (response, seconds) in table {
        // With a tag, so that what is not fresh is kept as well.
        let response: Vec<_> = response.iter().copied().chain([("ETag", "\"a\"")]).collect();
        let found = meta(&rules, &response).lifetime;
        assert_eq!(found, Duration::from_secs(*seconds), "{response:?}");
    }
}

/// Section 4.2.2, and what the configuration says.
#[test]
fn freshness_by_guess_and_by_order() {
    let modified = date(-10_000);
    let response: Head<'_> = &[("Last-Modified", &modified)];
    let plain = rules(|_| {});
    let guessed = meta(&plain, response);
    assert_eq!((guessed.lifetime.as_secs(), guessed.heuristic), (1000, true));
    let capped = rules(|config| config.heuristic.max = TimeSpan::secs(60));
    assert_eq!(meta(&capped, response).lifetime.as_secs(), 60);
    let off = rules(|config| config.heuristic.enabled = false);
    assert_eq!(meta(&off, response).lifetime.as_secs(), 0);
    // One from the future was changed just now.
    assert_eq!(meta(&plain, &[("Last-Modified", &date(10_000))]).lifetime.as_secs(), 0);

    let default = rules(|config| config.default_ttl = Some(TimeSpan::secs(5)));
    assert_eq!(meta(&default, &[]).lifetime.as_secs(), 5);
    assert_eq!(meta(&default, &[("Cache-Control", "max-age=60")]).lifetime.as_secs(), 60);
    assert_eq!(intake(&default, &[], 500, &[]), Intake::Leave(Why::Failure));

    let forced = rules(|config| {
        config.ttl = Some(TimeSpan::secs(7));
        config.ttl_by_status = vec![policy::cache::config::StatusTtl {
            status: StatusRange::new(400, 499).expect("is a range"),
            ttl: TimeSpan::secs(2),
        }];
    });
    let of = |status, response| taken(&forced, &[], status, response).meta.lifetime.as_secs();
    assert_eq!(of(200, &[("Cache-Control", "max-age=60")]), 7);
    // From now on, however old it is.
    assert_eq!(of(200, &[("Cache-Control", "max-age=60"), ("Age", "50")]), 57);
    assert_eq!(of(404, &[("Cache-Control", "max-age=60")]), 2);
    assert_eq!(of(500, &[]), 7);
    let denied = intake(&forced, &[], 200, &[("Cache-Control", "no-store")]);
    assert_eq!(denied, Intake::Leave(Why::NoStore));
}

/// Section 4.2.3: how old an answer is when it comes, in seconds.
#[test]
fn how_old_an_answer_is() {
    let (now, old) = (date(0), date(-40));
    let table: &[(Head<'_>, u64)] = &[
        (&[], 0),
        (&[("Date", &now)], 0),
        (&[("Date", &old)], 40),
        (&[("Date", &old), ("Age", "30")], 40),
        (&[("Date", &now), ("Age", "30")], 30),
        (&[("Age", "30, 5")], 30),
        (&[("Age", "0"), ("Age", "30")], 0),
        (&[("Age", "abc")], 0),
        (&[("Age", "-7")], 0),
        (&[("Age", "7.0")], 0),
        (&[("Age", "99999999999")], 1 << 31),
    ];
    let rules = rules(|_| {});
    for (response, seconds) in table {
        let response: Vec<_> = response.iter().copied().chain([("ETag", "\"a\"")]).collect();
        let found = meta(&rules, &response);
        assert_eq!(found.initial_age, Duration::from_secs(*seconds), "{response:?}");
    }
    // The way here counts, to the nanosecond; and so does the time in the store.
    let fields: Head<'_> = &[];
    let response: Head<'_> = &[("Cache-Control", "max-age=60"), ("Age", "3")];
    let asked = ask("GET", "/a", &fields);
    let slow = policy::cache::Received { sent: at(-1.5), ..received(0) };
    let answered = Answered { status: 200, fields: &response };
    let Intake::Store(taken) = rules.take_in(&asked, &rules.read(&asked), &answered, slow) else {
        panic!("is kept");
    };
    assert_eq!(taken.meta.age(at(2.25)), Duration::from_millis(6750));
}

/// Section 4: what a request gets of an answer that came at 0.
#[test]
fn what_a_request_gets() {
    let rules = rules(|_| {});
    let table: &[(Head<'_>, &str, f64, &str)] = &[
        // The kept answer's Cache-Control, the request's, the second, what comes of it.
        (&[("Cache-Control", "max-age=60")], "", 0.0, "fresh"),
        (&[("Cache-Control", "max-age=60")], "", 59.999, "fresh"),
        (&[("Cache-Control", "max-age=60")], "", 60.0, "validate"),
        (&[("Cache-Control", "max-age=60"), ("Age", "59")], "", 0.5, "fresh"),
        (&[("Cache-Control", "max-age=60"), ("Age", "59")], "", 1.0, "validate"),
        (&[("Cache-Control", "max-age=60, no-cache")], "", 1.0, "validate"),
        (&[("Cache-Control", "max-age=60")], "no-cache", 1.0, "validate"),
        (&[("Cache-Control", "max-age=60")], "max-age=0", 1.0, "validate"),
        (&[("Cache-Control", "max-age=60")], "max-age=5", 5.0, "fresh"),
        (&[("Cache-Control", "max-age=60")], "max-age=5", 5.1, "validate"),
        (&[("Cache-Control", "max-age=60")], "max-age=x", 1.0, "validate"),
        (&[("Cache-Control", "max-age=60")], "min-fresh=50", 10.0, "fresh"),
        (&[("Cache-Control", "max-age=60")], "min-fresh=50", 10.1, "validate"),
        (&[("Cache-Control", "max-age=60")], "max-stale", 600.0, "stale"),
        (&[("Cache-Control", "max-age=60")], "max-stale=10", 70.0, "stale"),
        (&[("Cache-Control", "max-age=60")], "max-stale=10", 70.1, "validate"),
        (&[("Cache-Control", "max-age=60")], "max-age=5, max-stale=10", 65.0, "stale"),
        (&[("Cache-Control", "max-age=60, must-revalidate")], "max-stale", 61.0, "validate"),
        (&[("Cache-Control", "max-age=60, proxy-revalidate")], "max-stale", 61.0, "validate"),
        (&[("Cache-Control", "s-maxage=60")], "max-stale", 61.0, "validate"),
        (&[("Cache-Control", "max-age=60")], "only-if-cached", 59.0, "fresh"),
        (&[("Cache-Control", "max-age=60")], "only-if-cached", 61.0, "504"),
        (&[("Cache-Control", "max-age=60")], "only-if-cached, no-cache", 1.0, "504"),
        // RFC 5861.
        (&[("Cache-Control", "max-age=60, stale-while-revalidate=10")], "", 60.0, "refresh"),
        (&[("Cache-Control", "max-age=60, stale-while-revalidate=10")], "", 69.9, "refresh"),
        (&[("Cache-Control", "max-age=60, stale-while-revalidate=10")], "", 70.0, "validate"),
        (
            &[("Cache-Control", "max-age=60, must-revalidate, stale-while-revalidate=10")],
            "",
            61.0,
            "validate",
        ),
        (&[("Cache-Control", "s-maxage=60, stale-while-revalidate=10")], "", 61.0, "refresh"),
        (
            &[("Cache-Control", "max-age=60, stale-while-revalidate=10")],
            "max-age=60",
            61.0,
            "validate",
        ),
    ];
    for (response, request, seconds, expected) in table {
        let response: Vec<_> = response.iter().copied().chain([("ETag", "\"a\"")]).collect();
        let request: &[_] = if request.is_empty() { &[] } else { &[("Cache-Control", *request)] };
        let decision = serve(&rules, request, &[meta(&rules, &response)], *seconds);
        assert_eq!(word(&decision), *expected, "{response:?} {request:?} at {seconds}");
    }
    assert_eq!(word(&serve(&rules, &[], &[], 0.0)), "uri-miss");
    assert_eq!(word(&serve(&rules, &[("Cache-Control", "only-if-cached")], &[], 0.0)), "504");
}

#[test]
fn pragma_counts_where_there_is_no_cache_control() {
    let heard = rules(|_| {});
    let kept = [meta(&heard, &[("Cache-Control", "max-age=60")])];
    let pragma = ("Pragma", "x, no-cache");
    assert_eq!(word(&serve(&heard, &[pragma], &kept, 1.0)), "validate");
    assert_eq!(
        word(&serve(&heard, &[pragma, ("Cache-Control", "max-age=9")], &kept, 1.0)),
        "fresh"
    );
    // Where clients have no say, they can still ask for a kept answer only, or that none is kept.
    let deaf = rules(|config| config.client_directives = false);
    assert_eq!(word(&serve(&deaf, &[pragma], &kept, 1.0)), "fresh");
    assert_eq!(
        word(&serve(&deaf, &[("Cache-Control", "no-cache, max-stale")], &kept, 1.0)),
        "fresh"
    );
    assert_eq!(word(&serve(&deaf, &[("Cache-Control", "max-stale")], &kept, 61.0)), "validate");
    assert_eq!(word(&serve(&deaf, &[("Cache-Control", "only-if-cached")], &[], 1.0)), "504");
    let no_store =
        intake(&deaf, &[("Cache-Control", "no-store")], 200, &[("Cache-Control", "max-age=9")]);
    assert_eq!(no_store, Intake::Leave(Why::ClientNoStore));
}

/// Section 4.3.1: what is sent to validate.
#[test]
fn our_conditions_for_the_clients() {
    let rules = rules(|_| {});
    let modified = date(-1000);
    let kept = meta(
        &rules,
        &[("Cache-Control", "max-age=1"), ("ETag", "W/\"a\""), ("Last-Modified", &modified)],
    );
    let request: Head<'_> =
        &[("If-None-Match", "\"b\""), ("Range", "bytes=0-1"), ("If-Range", "\"b\"")];
    let Decision::Validate(validation) = serve(&rules, request, &[kept], 31.0) else {
        panic!("is stale");
    };
    assert!(validation.conditional);
    assert_eq!((validation.age.as_secs(), validation.ttl), (31, -30));
    let conditions = &validation.conditions;
    for name in [&b"if-none-match"[..], b"range", b"if-range", b"if-modified-since"] {
        assert!(conditions.omits(name), "{}", String::from_utf8_lossy(name));
    }
    let added: Vec<_> = conditions.added().collect();
    let expected = [("If-None-Match", &b"W/\"a\""[..]), ("If-Modified-Since", modified.as_bytes())];
    assert_eq!(added, expected);
    // With nothing to go by it can only be fetched anew.
    let bare = meta(&rules, &[("Cache-Control", "max-age=1")]);
    let Decision::Validate(validation) = serve(&rules, &[], &[bare], 31.0) else {
        panic!("is stale");
    };
    assert!(!validation.conditional && validation.conditions.is_empty());
}

/// RFC 5861, section 4.
#[test]
fn stale_ones_in_place_of_errors() {
    let plain = rules(|_| {});
    let generous = rules(|config| config.stale_if_error = Some(TimeSpan::secs(100)));
    let table: &[(&str, &str, f64, bool, bool)] = &[
        // The kept answer's, the request's, the second; by the answer alone; with a default of 100 s.
        ("max-age=60", "", 61.0, false, true),
        ("max-age=60, stale-if-error=10", "", 61.0, true, true),
        ("max-age=60, stale-if-error=10", "", 71.0, false, false),
        ("max-age=60", "stale-if-error=10", 61.0, true, true),
        ("max-age=60, must-revalidate, stale-if-error=10", "", 61.0, false, false),
        ("s-maxage=60", "", 61.0, false, false),
        ("s-maxage=60, stale-if-error=10", "", 61.0, true, true),
        ("max-age=60, stale-if-error=10", "no-cache", 61.0, false, false),
    ];
    for (response, request, seconds, alone, with_default) in table {
        for (rules, expected) in [(&plain, alone), (&generous, with_default)] {
            let fields: Head<'_> = &[("Cache-Control", request)];
            let wanted = rules.read(&ask("GET", "/a", &fields));
            let kept = stored(meta(rules, &[("Cache-Control", response)]));
            for failure in [Failure::Unreachable, Failure::Status(503)] {
                let hit = rules.after_error(&wanted, &kept, 3, at(*seconds), failure);
                assert_eq!(hit.is_some(), *expected, "{response} {request} at {seconds}");
                assert!(hit.is_none_or(|hit| hit.variant == 3 && hit.ttl < 0 && !hit.refresh));
            }
            for status in [200, 404, 501, 505] {
                let failure = Failure::Status(status);
                assert_eq!(rules.after_error(&wanted, &kept, 0, at(*seconds), failure), None);
            }
        }
    }
}

#[test]
fn a_soft_purge_makes_stale() {
    let rules = rules(|_| {});
    let mut store: Store<()> = Store::new(1 << 20, 8);
    let fields: Head<'_> = &[];
    let asked = ask("GET", "/a", &fields);
    let wanted = rules.read(&asked);
    let mut key = Vec::new();
    let hash = rules.key(&asked, &mut key);
    let response: Head<'_> = &[("Cache-Control", "max-age=600, stale-while-revalidate=10")];
    let _ = store.put(hash, &key, stored(meta(&rules, response)));
    let mut dropped = Vec::new();
    let purged = store.purge(&rules.url(b"shop", b"/a"), Mode::Soft(at(20.0)), &mut dropped);
    assert_eq!((purged, dropped.len()), (1, 0));
    // Again, later: it has been stale since the first time.
    store.purge(&rules.url(b"SHOP", b"/%61"), Mode::Soft(at(25.0)), &mut dropped);
    let mut decide = |seconds| {
        let variants = store.get(hash, &key).expect("is still there");
        rules.serve(&asked, &wanted, variants, at(seconds))
    };
    assert_eq!(word(&decide(29.0)), "refresh");
    assert_eq!(word(&decide(31.0)), "validate");
}

/// Which requests are looked up.
#[test]
fn the_gate() {
    let rules = rules(|config| {
        config.bypass.paths = vec!["/admin/**".to_owned()];
        config.bypass.cookies = vec!["session".to_owned()];
        config.bypass.headers = vec!["X-Preview".to_owned()];
    });
    let table: &[(&str, &str, Head<'_>, Gate)] = &[
        ("GET", "/a", &[], Gate::Look),
        ("HEAD", "/a", &[("Range", "bytes=0-1")], Gate::Look),
        ("POST", "/a", &[], Gate::Pass(Forwarded::Method)),
        ("get", "/a", &[], Gate::Pass(Forwarded::Method)),
        ("GET", "/admin/x/y?z", &[], Gate::Pass(Forwarded::Bypass)),
        ("GET", "/administrator", &[], Gate::Look),
        ("GET", "/a", &[("Cookie", "a=b; session=1")], Gate::Pass(Forwarded::Bypass)),
        ("GET", "/a", &[("Cookie", "a=session")], Gate::Look),
        ("GET", "/a", &[("x-preview", "")], Gate::Pass(Forwarded::Bypass)),
        ("GET", "/a", &[("If-Match", "*")], Gate::Pass(Forwarded::Request)),
        ("GET", "/a", &[("If-Unmodified-Since", "x")], Gate::Pass(Forwarded::Request)),
        ("GET", "/a", &[("Content-Length", "5")], Gate::Pass(Forwarded::Request)),
        ("GET", "/a", &[("Content-Length", "0")], Gate::Look),
        ("GET", "/a", &[("Transfer-Encoding", "chunked")], Gate::Pass(Forwarded::Request)),
        ("GET", "/a", &[("Upgrade", "websocket")], Gate::Pass(Forwarded::Request)),
    ];
    for (method, target, fields, expected) in table {
        let asked = ask(method, target, fields);
        assert_eq!(
            rules.gate(&asked, &rules.read(&asked)),
            *expected,
            "{method} {target} {fields:?}"
        );
    }
}

fn any_value() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "max-age",
        "s-maxage",
        "no-store",
        "private",
        "no-cache",
        "public",
        "=",
        "\"",
        ",",
        " ",
        "60",
        "\\",
        "must-revalidate",
        "stale-if-error",
        ";",
        "x",
        "(",
        ")",
        "?1",
        ":",
        "@",
        "%",
    ]);
    prop::collection::vec(token, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    /// Whatever is written, nothing panics; and what says `no-store` outside of quotes is never kept.
    #[test]
    fn no_value_breaks_anything(values in prop::collection::vec(any_value(), 1..4), targeted in any_value()) {
        let rules = rules(|_| {});
        let mut head: Vec<(&str, &str)> = values.iter().map(|value| ("Cache-Control", &**value)).collect();
        head.push(("ETag", "\"a\""));
        let kept = intake(&rules, &[], 200, &head);
        let says = |word: &str| {
            values.iter().any(|value| !value.contains(['"', '\\']) && value.split(',').any(|part| part.trim() == word))
        };
        if says("no-store") || says("private") {
            prop_assert!(matches!(kept, Intake::Leave(_)));
        }
        head.push(("CDN-Cache-Control", &targeted));
        let _ = intake(&rules, &head, 200, &head);
        let _ = serve(&rules, &head, &[meta_of(&kept)].into_iter().flatten().collect::<Vec<_>>(), 1.0);
    }

    /// However the numbers are: a fresh answer is younger than its lifetime, and a stale one is given only where something allows it.
    #[test]
    fn fresh_is_younger_than_its_lifetime(
        max_age in 0_u32..200, swr in 0_u32..100, age in 0_u32..100, seconds in 0_u32..400,
        client in prop::option::of(0_u32..200), stale in prop::option::of(0_u32..200),
    ) {
        let rules = rules(|_| {});
        let control = format!("max-age={max_age}, stale-while-revalidate={swr}");
        let age_text = age.to_string();
        let kept = meta(&rules, &[("Cache-Control", &control), ("Age", &age_text), ("ETag", "\"a\"")]);
        let mut demand = Vec::new();
        demand.extend(client.map(|seconds| format!("max-age={seconds}")));
        demand.extend(stale.map(|seconds| format!("max-stale={seconds}")));
        let demand = demand.join(", ");
        let decision = serve(&rules, &[("Cache-Control", &demand)], &[kept], f64::from(seconds));
        let now = age + seconds;
        let over = now.saturating_sub(max_age);
        let young = client.is_none_or(|most| now <= most) || stale.is_some_and(|most| over <= most);
        match decision {
            Decision::Fresh(hit) => {
                prop_assert!(now < max_age && young);
                prop_assert_eq!(hit.ttl, i64::from(max_age - now));
                prop_assert_eq!(hit.age.as_secs(), u64::from(now));
            }
            Decision::Stale(hit) => {
                prop_assert!(now >= max_age && young);
                prop_assert_eq!(hit.refresh, over < swr);
                prop_assert!(hit.refresh || stale.is_some_and(|most| over <= most));
                prop_assert_eq!(hit.ttl, -i64::from(over));
            }
            Decision::Validate(_) => {
                let may_be_stale = over < swr || stale.is_some_and(|most| over <= most);
                prop_assert!(!young || (now >= max_age && !may_be_stale));
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
}

fn meta_of(intake: &Intake) -> Option<Meta> {
    match intake {
        Intake::Store(taken) => Some(taken.meta.clone()),
        Intake::Leave(_) => None,
    }
}
