//! What heads say to a cache, and what it answers with: dates, keys, variants, conditions, ranges and `Cache-Status`.

mod caching;

use std::time::{Duration, SystemTime};

use caching::{Head, WALL, ask, date, meta, rules, serve, taken, word};
use policy::cache::{
    CacheStatus, Forwarded, Meta, Part, Shape, combine, conditional, config::QueryKey, dates,
    ranges,
};
use proptest::prelude::*;

/// RFC 9110, section 5.6.7.
#[test]
fn dates_in_their_three_forms_and_no_other() {
    const SAME: i64 = 784_111_777;
    let table: &[(&str, Option<i64>)] = &[
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(SAME)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(SAME)),
        ("Sun Nov  6 08:49:37 1994", Some(SAME)),
        ("Sun Nov 06 08:49:37 1994", Some(SAME)),
        (" SUN, 06 nov 1994 08:49:37 gmt ", Some(SAME)),
        // The weekday need not agree, but must be one.
        ("Mon, 06 Nov 1994 08:49:37 GMT", Some(SAME)),
        ("Xyz, 06 Nov 1994 08:49:37 GMT", None),
        ("Sunday, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 6 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 94 08:49:37 GMT", None),
        ("Sun 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06-Nov-1994 08:49:37 GMT", None),
        ("Sun, 06  Nov  1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08.49.37 GMT", None),
        ("Sun, 06 Nov 1994 8:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 06 Nov 1994 08:49:37 AEST", None),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("Sun, 06 Nov 1994 24:00:00 GMT", None),
        ("Sun, 06 Nov 1994 08:49:61 GMT", None),
        ("Sun, 06 Nov 1994 23:59:60 GMT", Some(SAME - SAME % 86_400 + 86_400)),
        ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400)),
        ("Thu, 29 Feb 1900 00:00:00 GMT", None),
        ("Thu, 00 Jan 1970 00:00:00 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ("Wed, 31 Dec 1969 23:59:59 GMT", Some(-1)),
        ("Sun, 21 Nov 2286 04:46:39 GMT", Some(10_000_039_599)),
        // Two digits of a year are at most 50 years ahead of 1994.
        ("Sunday, 06-Nov-44 08:49:37 GMT", Some(2_362_034_977)),
        ("Sunday, 06-Nov-45 08:49:37 GMT", Some(-762_189_023)),
        ("0", None),
        ("", None),
        ("Sun, ", None),
        ("Sun, \u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}", None),
    ];
    for (text, expected) in table {
        assert_eq!(dates::parse(text.as_bytes(), WALL), *expected, "{text}");
    }
}

proptest! {
    /// The crate `httpdate` is the judge.
    #[test]
    fn dates_agree_with_another_implementation(seconds in 0_u64..250_000_000_000) {
        let text = dates::format(seconds as i64);
        let theirs = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        prop_assert_eq!(&text, &theirs);
        prop_assert_eq!(dates::parse(text.as_bytes(), WALL), Some(seconds as i64));
    }

    #[test]
    fn no_text_breaks_the_dates(text in "[A-Za-z]{3,9},? ?[0-9 -]{0,4}[A-Za-z]{0,3}[ -][0-9]{0,4} [0-9:.]{0,9}( GMT)?") {
        let ours = dates::parse(text.as_bytes(), WALL);
        if let (Some(ours), Ok(theirs)) = (ours, httpdate::parse_http_date(&text)) {
            let theirs = theirs.duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs() as i64);
            // Two-digit years are the clock's to judge.
            prop_assert!(text.contains('-') || theirs.ok() == Some(ours));
        }
    }
}

/// The primary key: what two requests have in common.
#[test]
fn which_requests_ask_for_the_same() {
    type Change = fn(&mut policy::cache::CacheConfig);
    let all: Change = |_| {};
    let none: Change = |config| config.key.query = QueryKey::None;
    let only: Change = |config| config.key.query = QueryKey::Only(vec!["page".to_owned()]);
    let without: Change = |config| config.key.query = QueryKey::Without(vec!["utm".to_owned()]);
    let sorted: Change = |config| config.key.sort_query = true;
    let extras: Change = |config| {
        config.key.headers = vec!["X-Device".to_owned()];
        config.key.cookies = vec!["lang".to_owned()];
    };
    let table: &[(Change, &str, Head<'_>, &str)] = &[
        (all, "/a?b=2&a=1", &[("X-Device", "tv")], "shop/a?b=2&a=1"),
        (all, "/a?", &[], "shop/a?"),
        (all, "/%7Ea%2fb?%3d%41", &[], "shop/~a%2Fb?%3DA"),
        (all, "", &[], "shop/"),
        (all, "?x", &[], "shop/?x"),
        (none, "/a?b=2", &[], "shop/a"),
        (only, "/a?b=2&page=3&page=4&pages=5", &[], "shop/a?page=3&page=4"),
        (only, "/a?b=2", &[], "shop/a"),
        (without, "/a?b=2&utm=3&utm_x=4", &[], "shop/a?b=2&utm_x=4"),
        (sorted, "/a?b=2&a=1&a=0", &[], "shop/a?a=0&a=1&b=2"),
        (extras, "/a", &[], "shop/a\nx-device\nlang"),
        (
            extras,
            "/a",
            &[("x-device", "tv"), ("Cookie", "x=y; lang=de; lang=en"), ("X-Device", "")],
            "shop/a\nx-device:tv:\nlang=de",
        ),
    ];
    let mut key = b"what was there before".to_vec();
    for (change, target, fields, expected) in table {
        let rules = rules(change);
        let hash = rules.key(&ask("GET", target, fields), &mut key);
        assert_eq!(String::from_utf8_lossy(&key), *expected);
        let again = rules.key(&ask("HEAD", target, fields), &mut key);
        assert_eq!(hash, again);
    }
}

proptest! {
    /// Different texts, different keys: nothing that a client writes looks like another's key.
    #[test]
    fn keys_do_not_run_into_each_other(
        one in ("[/a?&=%~2fF]{0,6}", "[a:\\n]{0,3}", "[a=; l]{0,4}"),
        two in ("[/a?&=%~2fF]{0,6}", "[a:\\n]{0,3}", "[a=; l]{0,4}"),
    ) {
        let rules = rules(|config| {
            config.key.headers = vec!["h".to_owned()];
            config.key.cookies = vec!["l".to_owned()];
        });
        let key = |(target, header, cookie): &(String, String, String)| {
            // A field has no line's end in it: whoever parses heads sees to that.
            let header = header.replace('\n', "");
            let fields: Head<'_> = &[("H", &header), ("Cookie", cookie)];
            let mut text = Vec::new();
            let hash = rules.key(&ask("GET", &format!("/{target}"), &fields), &mut text);
            (hash, text, header)
        };
        let (first, second) = (key(&one), key(&two));
        prop_assert_eq!(first.0 == second.0, first.1 == second.1);
        if first.1 == second.1 {
            prop_assert_eq!(first.2.trim(), second.2.trim());
        }
    }
}

#[test]
fn hashes_depend_on_the_seed_and_spread() {
    use policy::{
        Seed,
        cache::{CacheConfig, Rules},
    };
    let fields: Head<'_> = &[];
    let hash = |seed, target: &str| {
        Rules::new(&CacheConfig::default(), Seed(seed))
            .key(&ask("GET", target, &fields), &mut Vec::new())
    };
    assert_eq!(hash(1, "/a"), hash(1, "/a"));
    assert_ne!(hash(1, "/a"), hash(2, "/a"));
    let mut shards = [0; 8];
    for number in 0..8000 {
        shards[hash(1, &format!("/{number}")).shard(8)] += 1;
    }
    // 1,000 expected each, standard deviation 30: five of them.
    assert!(shards.iter().all(|count: &u32| count.abs_diff(1000) < 150), "{shards:?}");
}

/// RFC 9111, section 4.1.
#[test]
fn which_variant_a_request_may_have() {
    let rules = rules(|_| {});
    let table: &[(&str, Head<'_>, Head<'_>, bool)] = &[
        ("Foo", &[("Foo", "1")], &[("foo", "1")], true),
        ("Foo", &[("Foo", "1")], &[("Foo", "2")], false),
        ("Foo", &[("Foo", "1")], &[("Foo", "12")], false),
        ("Foo", &[("Foo", "12")], &[("Foo", "1")], false),
        ("Foo", &[("Foo", "1")], &[], false),
        ("Foo", &[], &[("Foo", "1")], false),
        ("Foo", &[("Foo", "")], &[], false),
        ("Foo", &[], &[("Bar", "1")], true),
        ("foo, BAR", &[("Foo", "1"), ("Bar", "2")], &[("Bar", "2"), ("Foo", "1")], true),
        ("Foo, Bar", &[("Foo", "1"), ("Bar", "2")], &[("Bar", "3"), ("Foo", "1")], false),
        // Lines joined, space beside commas.
        ("Foo", &[("Foo", "1, 2")], &[("Foo", "1"), ("Foo", "2")], true),
        ("Foo", &[("Foo", "1"), ("Foo", "2")], &[("Foo", "1,2")], true),
        ("Foo", &[("Foo", "1,2")], &[("Foo", " 1 ,  2 ")], true),
        ("Foo", &[("Foo", "1, 2")], &[("Foo", "2, 1")], false),
        ("Foo", &[("Foo", "A")], &[("Foo", "a")], false),
        ("Foo", &[("Foo", "\"1, 2\"")], &[("Foo", "\"1,2\"")], false),
        // Members without an order, of any case.
        (
            "Accept-Language",
            &[("Accept-Language", "en, de")],
            &[("Accept-Language", "DE,eN")],
            true,
        ),
        (
            "Accept-Language",
            &[("Accept-Language", "en, de;q=0.5")],
            &[("Accept-Language", "de; q=0.5, en")],
            true,
        ),
        (
            "Accept-Language",
            &[("Accept-Language", "en, de;q=0.5")],
            &[("Accept-Language", "de, en;q=0.5")],
            false,
        ),
        (
            "Accept-Encoding",
            &[("Accept-Encoding", "gzip, br")],
            &[("accept-encoding", "br"), ("accept-encoding", "GZIP")],
            true,
        ),
        ("Accept-Encoding", &[("Accept-Encoding", "gzip")], &[("Accept-Encoding", "br")], false),
        ("Accept", &[("Accept", "a/b, c/d")], &[("Accept", "c/d, a/b")], false),
    ];
    for (vary, first, second, expected) in table {
        let response: Head<'_> = &[("Cache-Control", "max-age=60"), ("Vary", vary)];
        let kept = taken(&rules, first, 200, response).meta;
        let decision = serve(&rules, second, std::slice::from_ref(&kept), 1.0);
        assert_eq!(
            word(&decision),
            if *expected { "fresh" } else { "vary-miss" },
            "{vary} {first:?} {second:?}"
        );
        // The other way round, and in the store.
        let other = taken(&rules, second, 200, response).meta;
        assert_eq!(kept.vary.same(&other.vary), *expected);
        assert_eq!(other.vary.same(&kept.vary), *expected);
        assert_eq!(other.vary.matches(first), *expected);
    }
}

#[test]
fn the_newest_of_several_variants() {
    let rules = rules(|_| {});
    let plain: Head<'_> = &[("Cache-Control", "max-age=60")];
    let varying: Head<'_> = &[("Cache-Control", "max-age=60"), ("Vary", "Foo")];
    let at_second = |mut meta: Meta, second: f64| {
        meta.taken = caching::at(second);
        meta
    };
    let metas = [
        at_second(taken(&rules, &[("Foo", "1")], 200, varying).meta, 5.0),
        at_second(taken(&rules, &[], 200, plain).meta, 7.0),
        at_second(taken(&rules, &[("Foo", "2")], 200, varying).meta, 9.0),
    ];
    let chosen = |request| match serve(&rules, request, &metas, 10.0) {
        policy::cache::Decision::Fresh(hit) => hit.variant,
        other => panic!("{other:?}"),
    };
    assert_eq!(chosen(&[("Foo", "1")]), 1);
    assert_eq!(chosen(&[("Foo", "2")]), 2);
    assert_eq!(chosen(&[]), 1);
}

/// What the client gets of a kept answer of 10 bytes.
fn shape(request: Head<'_>, kept: &Meta) -> Shape {
    let rules = rules(|_| {});
    let asked = ask("GET", "/a", &request);
    rules.shape(&asked, &rules.read(&asked), kept, 10)
}

/// RFC 9110, section 13.
#[test]
fn the_clients_own_conditions() {
    let rules = rules(|_| {});
    let (modified, made) = (date(-1000), date(0));
    let old_form = "Sunday, 06-Nov-94 08:49:37 GMT";
    let control = ("Cache-Control", "max-age=60");
    let tagged: Head<'_> =
        &[control, ("ETag", "\"a,b\""), ("Last-Modified", &modified), ("Date", &made)];
    let weak: Head<'_> = &[control, ("ETag", "W/\"a\"")];
    let bare: Head<'_> = &[control, ("Date", &made)];
    let (same, before, after) = (date(-1000), date(-2000), date(-10));
    let table: &[(Head<'_>, Head<'_>, bool)] = &[
        (tagged, &[("If-None-Match", "\"a,b\"")], true),
        (tagged, &[("If-None-Match", "W/\"a,b\"")], true),
        (tagged, &[("If-None-Match", "\"x\", \"a,b\" ,\"y\"")], true),
        (tagged, &[("If-None-Match", "\"x\""), ("If-None-Match", "\"a,b\"")], true),
        (tagged, &[("If-None-Match", "*")], true),
        (tagged, &[("If-None-Match", "\"a\", b")], false),
        (tagged, &[("If-None-Match", "")], false),
        (weak, &[("If-None-Match", "\"a\"")], true),
        (bare, &[("If-None-Match", "\"a\"")], false),
        (tagged, &[("If-Modified-Since", &same)], true),
        (tagged, &[("If-Modified-Since", &after)], true),
        (tagged, &[("If-Modified-Since", &before)], false),
        (tagged, &[("If-Modified-Since", old_form)], true),
        (tagged, &[("If-Modified-Since", "yesterday")], false),
        // Without a date of change it is that of making.
        (bare, &[("If-Modified-Since", &after)], false),
        (bare, &[("If-Modified-Since", &made)], true),
        // The tag decides where both are there.
        (tagged, &[("If-None-Match", "\"a,b\""), ("If-Modified-Since", &before)], true),
        (tagged, &[("If-None-Match", "\"x\""), ("If-Modified-Since", &same)], false),
        // And before the range.
        (tagged, &[("If-None-Match", "\"a,b\""), ("Range", "bytes=0-1")], true),
    ];
    for (response, request, expected) in table {
        let found = shape(request, &meta(&rules, response));
        let expected = if *expected { Shape::NotModified } else { Shape::Whole };
        assert_eq!(found, expected, "{response:?} {request:?}");
    }
    // Conditions are about what went well.
    let gone = taken(&rules, &[], 404, tagged).meta;
    assert_eq!(shape(&[("If-None-Match", "\"a,b\"")], &gone), Shape::Whole);
    assert!(conditional::omitted_from_not_modified(b"Content-Type"));
    assert!(!conditional::omitted_from_not_modified(b"ETag"));
}

/// RFC 9110, section 14.
#[test]
fn ranges_of_ten_bytes() {
    let table: &[(&str, Shape)] = &[
        ("bytes=0-1", Shape::Part { first: 0, last: 1 }),
        ("BYTES=0-0", Shape::Part { first: 0, last: 0 }),
        ("bytes = 3-", Shape::Part { first: 3, last: 9 }),
        ("bytes=-3", Shape::Part { first: 7, last: 9 }),
        ("bytes=-30", Shape::Part { first: 0, last: 9 }),
        ("bytes=5-99999999999999999999999", Shape::Part { first: 5, last: 9 }),
        ("bytes=10-", Shape::Unsatisfiable),
        ("bytes=99999999999999999999999-", Shape::Unsatisfiable),
        ("bytes=-0", Shape::Unsatisfiable),
        ("bytes=10-,-0", Shape::Unsatisfiable),
        ("bytes=2-1", Shape::Whole),
        ("bytes=a-b", Shape::Whole),
        ("bytes=1", Shape::Whole),
        ("bytes=", Shape::Whole),
        ("bytes=,", Shape::Whole),
        ("bytes=+1-2", Shape::Whole),
        ("lines=0-1", Shape::Whole),
        ("0-1", Shape::Whole),
        // Several: one where they touch, else the whole.
        ("bytes=0-1,2-3", Shape::Part { first: 0, last: 3 }),
        ("bytes=4-6, ,2-5,-1,7-8", Shape::Part { first: 2, last: 9 }),
        ("bytes=0-1,3-4", Shape::Whole),
        ("bytes=0-1,20-", Shape::Part { first: 0, last: 1 }),
        ("bytes=0-1,x", Shape::Whole),
    ];
    let rules = rules(|_| {});
    let kept = meta(&rules, &[("Cache-Control", "max-age=60")]);
    for (range, expected) in table {
        assert_eq!(shape(&[("Range", range)], &kept), *expected, "{range}");
    }
    let many = format!("bytes={}", vec!["0-1"; 33].join(","));
    assert_eq!(shape(&[("Range", &many)], &kept), Shape::Whole);
    let rules = caching::rules(|config| config.ranges = false);
    let fields: Head<'_> = &[("Range", "bytes=0-1")];
    let asked = ask("GET", "/a", &fields);
    assert_eq!(rules.shape(&asked, &rules.read(&asked), &kept, 10), Shape::Whole);
    // HEAD has no range.
    let rules = caching::rules(|_| {});
    let asked = ask("HEAD", "/a", &fields);
    assert_eq!(rules.shape(&asked, &rules.read(&asked), &kept, 10), Shape::Whole);
    assert_eq!(ranges::content_range(Part { first: 0, last: 4, total: 10 }), "bytes 0-4/10");
}

#[test]
fn if_range_keeps_parts_of_different_things_apart() {
    let rules = rules(|_| {});
    let (modified, made) = (date(-1000), date(0));
    let of = |head: Head<'_>| meta(&rules, head);
    let strong = of(&[
        ("Cache-Control", "max-age=60"),
        ("ETag", "\"a\""),
        ("Last-Modified", &modified),
        ("Date", &made),
    ]);
    let weak = of(&[("Cache-Control", "max-age=60"), ("ETag", "W/\"a\"")]);
    let same_second =
        of(&[("Cache-Control", "max-age=60"), ("Last-Modified", &made), ("Date", &made)]);
    let part = Shape::Part { first: 0, last: 1 };
    let table: &[(&Meta, &str, Shape)] = &[
        (&strong, "\"a\"", part),
        (&strong, "\"b\"", Shape::Whole),
        (&strong, "W/\"a\"", Shape::Whole),
        (&weak, "W/\"a\"", Shape::Whole),
        (&weak, "\"a\"", Shape::Whole),
        (&strong, &modified, part),
        (&strong, &made, Shape::Whole),
        (&same_second, &made, Shape::Whole),
        (&strong, "nonsense", Shape::Whole),
    ];
    for (kept, if_range, expected) in table {
        let request: Head<'_> = &[("Range", "bytes=0-1"), ("If-Range", if_range)];
        assert_eq!(shape(request, kept), *expected, "{if_range}");
    }
}

proptest! {
    /// What is cut out is what was asked for, byte by byte; and never more than there is.
    #[test]
    fn a_cut_is_what_was_asked_for(
        total in 0_u64..12,
        ranges in prop::collection::vec((0_u64..14, prop::option::of(0_u64..14), any::<bool>()), 1..4),
    ) {
        let rules = rules(|_| {});
        let kept = meta(&rules, &[("Cache-Control", "max-age=60")]);
        let mut wanted = [false; 64];
        let mut sound = true;
        let texts: Vec<String> = ranges.iter().map(|&(first, last, suffix)| {
            if suffix {
                (total.saturating_sub(first)..total).for_each(|byte| wanted[byte as usize] = true);
                return format!("-{first}");
            }
            sound &= last.is_none_or(|last| first <= last);
            (first..=last.unwrap_or(40)).filter(|byte| *byte < total).for_each(|byte| wanted[byte as usize] = true);
            last.map_or_else(|| format!("{first}-"), |last| format!("{first}-{last}"))
        }).collect();
        let range = format!("bytes={}", texts.join(","));
        let request: Head<'_> = &[("Range", &range)];
        let asked = ask("GET", "/a", &request);
        match rules.shape(&asked, &rules.read(&asked), &kept, total) {
            Shape::Part { first, last } => {
                prop_assert!(sound && last < total);
                for (byte, wanted) in wanted.iter().enumerate() {
                    prop_assert_eq!(*wanted, (first..=last).contains(&(byte as u64)), "{} of {}", &range, total);
                }
            }
            Shape::Unsatisfiable => prop_assert!(sound && !wanted.contains(&true)),
            Shape::Whole => {
                let pieces = wanted.split(|wanted| !wanted).filter(|piece| !piece.is_empty()).count();
                prop_assert!(!sound || pieces > 1, "{} of {}", &range, total);
            }
            Shape::NotModified => prop_assert!(false),
        }
    }

    /// Two parts put together are the bytes of the whole (RFC 9111, section 3.4).
    #[test]
    fn parts_joined_are_the_whole(one in (0_u64..20, 1_u64..20), two in (0_u64..20, 1_u64..20)) {
        const TOTAL: u64 = 24;
        let rules = rules(|_| {});
        let whole: Vec<u8> = (0..TOTAL as u8).collect();
        let part = |(first, length): (u64, u64)| {
            let last = (first + length - 1).min(TOTAL - 1);
            let range = format!("bytes {first}-{last}/{TOTAL}");
            let head: Head<'_> = &[("Cache-Control", "max-age=60"), ("ETag", "\"a\""), ("Content-Range", &range)];
            let meta = taken(&rules, &[], 206, head).meta;
            (meta, &whole[first as usize..=last as usize])
        };
        let ((kept, kept_bytes), (new, new_bytes)) = (part(one), part(two));
        let (a, b) = (kept.part.expect("is a part"), new.part.expect("is a part"));
        let touch = a.first <= b.last + 1 && b.first <= a.last + 1;
        let joined = combine::join(&kept, &new);
        prop_assert_eq!(joined.is_some(), touch);
        if let Some(joined) = joined {
            let bytes: Vec<u8> = [joined.first, joined.second].into_iter().flat_map(|piece| {
                let body = match piece.of {
                    combine::Side::Kept => kept_bytes,
                    combine::Side::New => new_bytes,
                };
                body[piece.from as usize..(piece.from + piece.length) as usize].to_vec()
            }).collect();
            let part = joined.part.unwrap_or(Part { first: 0, last: TOTAL - 1, total: TOTAL });
            prop_assert_eq!(&bytes, &whole[part.first as usize..=part.last as usize]);
            prop_assert_eq!(part.first, a.first.min(b.first));
            prop_assert_eq!(part.last, a.last.max(b.last));
        }
    }
}

#[test]
fn only_parts_of_the_same_bytes_are_joined() {
    let rules = rules(|_| {});
    let part = |tag: &str, range: &str| {
        let head: Head<'_> =
            &[("Cache-Control", "max-age=60"), ("ETag", tag), ("Content-Range", range)];
        taken(&rules, &[], 206, head).meta
    };
    let kept = part("\"a\"", "bytes 0-4/10");
    assert!(
        combine::join(&kept, &part("\"a\"", "bytes 5-9/10"))
            .is_some_and(|joined| joined.part.is_none())
    );
    assert_eq!(combine::join(&kept, &part("\"b\"", "bytes 5-9/10")), None);
    assert_eq!(combine::join(&kept, &part("\"a\"", "bytes 5-9/11")), None);
    let weak = part("W/\"a\"", "bytes 0-4/10");
    assert_eq!(combine::join(&weak, &part("W/\"a\"", "bytes 5-9/10")), None);
    // What is missing is asked for.
    let fields: Head<'_> = &[];
    let wanted = rules.read(&ask("GET", "/a", &fields));
    let edits = rules.completion(&wanted, &kept).expect("one end is missing");
    let added: Vec<_> = edits.added().collect();
    assert_eq!(added, [("Range", &b"bytes=5-"[..]), ("If-Range", &b"\"a\""[..])]);
    let end =
        rules.completion(&wanted, &part("\"a\"", "bytes 6-9/10")).expect("one end is missing");
    assert_eq!(end.added().next(), Some(("Range", &b"bytes=0-5"[..])));
    assert_eq!(rules.completion(&wanted, &part("\"a\"", "bytes 2-4/10")), None);
    assert_eq!(rules.completion(&wanted, &weak), None);
}

#[test]
fn a_part_is_given_for_what_it_has_only() {
    let rules = rules(|_| {});
    let head: Head<'_> =
        &[("Cache-Control", "max-age=60"), ("ETag", "\"a\""), ("Content-Range", "bytes 4-9/10")];
    let kept = [taken(&rules, &[], 206, head).meta];
    // A body that has not as many bytes as its range is not what it says.
    assert!(kept[0].fits(6) && !kept[0].fits(5) && !kept[0].fits(10));
    assert!(meta(&rules, &[("Cache-Control", "max-age=60")]).fits(10));
    let table: &[(Head<'_>, &str, Option<Shape>)] = &[
        (&[], "partial", None),
        (&[("Range", "bytes=6-8")], "fresh", Some(Shape::Part { first: 6, last: 8 })),
        (&[("Range", "bytes=-2")], "fresh", Some(Shape::Part { first: 8, last: 9 })),
        (&[("Range", "bytes=3-8")], "partial", None),
        (&[("Range", "bytes=20-")], "fresh", Some(Shape::Unsatisfiable)),
        (&[("Range", "bytes=4-5,7-8")], "partial", None),
        (&[("Range", "bytes=6-8"), ("If-Range", "\"b\"")], "partial", None),
        (&[("Range", "bytes=3-8"), ("Cache-Control", "only-if-cached")], "504", None),
    ];
    for (request, expected, cut) in table {
        assert_eq!(word(&serve(&rules, request, &kept, 1.0)), *expected, "{request:?}");
        if let Some(cut) = cut {
            assert_eq!(shape(request, &kept[0]), *cut, "{request:?}");
        }
    }
}

/// RFC 9211.
#[test]
fn cache_status_in_words() {
    let status = CacheStatus { cache: "windtunnel", ..CacheStatus::default() };
    let table: &[(CacheStatus<'_>, &str)] = &[
        (CacheStatus { ttl: Some(30), ..status }, "windtunnel; hit; ttl=30"),
        (
            CacheStatus { ttl: Some(-7), detail: Some("error"), ..status },
            "windtunnel; hit; ttl=-7; detail=error",
        ),
        (
            CacheStatus {
                forwarded: Some(Forwarded::Stale),
                status: Some(304),
                ttl: Some(0),
                stored: true,
                ..status
            },
            "windtunnel; fwd=stale; fwd-status=304; ttl=0; stored",
        ),
        (
            CacheStatus { forwarded: Some(Forwarded::UriMiss), collapsed: true, ..status },
            "windtunnel; fwd=uri-miss; collapsed",
        ),
        (
            CacheStatus { cache: "1 \"x\"\u{e4}", ttl: Some(i64::MIN), ..status },
            "\"1 \\\"x\\\"\"; hit; ttl=-9223372036854775808",
        ),
    ];
    for (status, expected) in table {
        let mut out = Vec::new();
        status.write(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), *expected);
    }
}
