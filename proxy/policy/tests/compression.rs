//! Which answers are compressed: tables of RFC 9110's rules, and what must hold for every head.

use std::net::IpAddr;

use policy::{
    compression::{Coding, CompressionConfig, Flush, Levels, Plan, Weights, choose},
    message::{Answered, Asked, Edits, Fields},
    quantity::ByteSize,
};
use proptest::prelude::*;

type Table<'a> = &'a [(&'a str, &'a str)];

fn on() -> CompressionConfig {
    CompressionConfig { enabled: true, ..CompressionConfig::default() }
}

fn decide(
    config: &CompressionConfig,
    (method, asked): (&str, Table<'_>),
    (status, answered): (u16, Table<'_>),
) -> (Option<Plan>, Edits) {
    let mut edits = Edits::default();
    let asked = Asked {
        client: IpAddr::from([127, 0, 0, 1]),
        method: method.as_bytes(),
        host: b"shop",
        target: b"/",
        fields: &asked,
    };
    let plan = choose(&asked, &Answered { status, fields: &answered }, config, 0, &mut edits);
    (plan, edits)
}

/// What a client sees of a head whose edits were applied, in lines.
fn seen(fields: Table<'_>, edits: &Edits) -> Vec<String> {
    let kept = fields.iter().filter(|field| !edits.omits(field.0.as_bytes()));
    let kept = kept.map(|(name, value)| format!("{name}: {value}"));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    kept.chain(edits.added().map(|(name, value)| format!("{name}: {}", text(value)))).collect()
}

const HTML: Table<'static> = &[("Content-Type", "text/html; charset=utf-8")];

fn coding(accept: Table<'_>) -> Option<Coding> {
    decide(&on(), ("GET", accept), (200, HTML)).0.map(|plan| plan.coding)
}

#[test]
fn accept_encoding_is_obeyed() {
    use Coding::{Br, Gzip, Zstd};
    for (accept, chosen) in [
        ("gzip", Some(Gzip)),
        ("x-gzip", Some(Gzip)),
        ("GZip", Some(Gzip)),
        ("br", Some(Br)),
        ("gzip, deflate, br, zstd", Some(Zstd)),
        ("gzip, deflate, br", Some(Br)),
        ("deflate", None),
        ("", None),
        (",,  ,", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("gzip; q=0.001", Some(Gzip)),
        ("gzip;q=1.0, br;q=0.9, zstd;q=0.8", Some(Gzip)),
        ("gzip;q=0.5, br;q=0.5", Some(Br)),
        ("*", Some(Zstd)),
        ("*;q=0", None),
        ("zstd;q=0, *", Some(Br)),
        ("gzip, *;q=0", Some(Gzip)),
        ("identity;q=0", None),
        ("identity;q=0, gzip;q=0.1", Some(Gzip)),
        ("identity;q=1, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", Some(Gzip)),
        ("identity, gzip", Some(Gzip)),
        ("gzip, gzip;q=0", None),
        ("gzip;q=high", None),
        ("gzip;level=9", None),
        ("gzipped", None),
        ("br gzip", None),
    ] {
        assert_eq!(coding(&[("Accept-Encoding", accept)]), chosen, "{accept}");
    }
    assert_eq!(coding(&[]), None, "who says nothing gets it plain");
    let two: Table<'_> = &[("accept-encoding", "gzip;q=0.5"), ("ACCEPT-ENCODING", "br")];
    assert_eq!(coding(two), Some(Br), "several fields are one list");
}

#[test]
fn our_own_order_decides_between_equals() {
    let mut config = on();
    config.encodings = vec![Coding::Gzip, Coding::Br];
    let accept: Table<'_> = &[("Accept-Encoding", "zstd, br, gzip")];
    let plan = decide(&config, ("GET", accept), (200, HTML)).0;
    assert_eq!(plan.map(|plan| (plan.coding, plan.level)), Some((Coding::Gzip, 5)));
}

const GZIP: Table<'static> = &[("Accept-Encoding", "gzip")];

/// Fields of an answer, whether it is compressed for who takes gzip, and whether it says `Vary` to who does not.
#[test]
fn answers_are_left_alone_where_they_must_be() {
    type Case = (&'static str, u16, &'static [(&'static str, &'static str)], [bool; 2]);
    const T: (&str, &str) = ("Content-Type", "text/css");
    let cases: &[Case] = &[
        ("plain", 200, &[T], [true, true]),
        ("an error page", 404, &[T], [true, true]),
        ("long enough", 200, &[T, ("Content-Length", "1024")], [true, true]),
        ("too small", 200, &[T, ("Content-Length", "1023")], [false, false]),
        ("empty", 200, &[T, ("Content-Length", "0")], [false, false]),
        ("no type", 200, &[], [false, false]),
        ("a picture", 200, &[("Content-Type", "image/png")], [false, false]),
        ("encoded by the origin", 200, &[T, ("Content-Encoding", "br")], [false, false]),
        ("a part", 206, &[T, ("Content-Range", "bytes 0-9/20")], [false, false]),
        (
            "a part of several",
            206,
            &[("Content-Type", "text/x; multipart/byteranges")],
            [false, false],
        ),
        ("no such part", 416, &[T, ("Content-Range", "bytes */20")], [false, false]),
        ("not to be touched", 200, &[T, ("Cache-Control", "public, No-Transform")], [false, false]),
        ("no content", 204, &[T], [false, false]),
        ("reset", 205, &[T], [false, false]),
        ("unchanged", 304, &[T], [false, false]),
        ("switching", 101, &[T], [false, false]),
        (
            "sealed at the end",
            200,
            &[T, ("Trailer", "Server-Timing, Content-Digest")],
            [false, false],
        ),
        ("other trailers", 200, &[T, ("Trailer", "Server-Timing")], [true, true]),
    ];
    for (what, status, fields, [compressed, varies]) in cases {
        let (plan, edits) = decide(&on(), ("GET", GZIP), (*status, fields));
        assert_eq!(plan.is_some(), *compressed, "{what}");
        assert_eq!(edits.is_empty(), !compressed, "{what}");
        let (plan, edits) = decide(&on(), ("GET", &[]), (*status, fields));
        assert_eq!(plan, None, "{what}");
        let said = edits.added().any(|(name, value)| (name, value) == ("Vary", b"Accept-Encoding"));
        assert_eq!(said, *varies, "{what}");
    }
}

#[test]
fn the_head_says_what_became_of_the_body() {
    let answered: Table<'_> = &[
        ("Content-Type", "application/ld+json"),
        ("content-length", "5000"),
        ("ETag", "\"v1\""),
        ("Vary", "Cookie"),
        ("Content-MD5", "x"),
        ("Digest", "sha-256=x"),
        ("Content-Digest", "sha-256=:x:"),
        ("Repr-Digest", "sha-256=:x:"),
        ("Accept-Ranges", "bytes"),
        ("Last-Modified", "Sat, 21 Nov 2026 09:00:00 GMT"),
    ];
    let expected = [
        "Content-Type: application/ld+json",
        "Vary: Cookie",
        "Last-Modified: Sat, 21 Nov 2026 09:00:00 GMT",
        "Vary: Accept-Encoding",
        "Content-Encoding: gzip",
        "ETag: W/\"v1\"",
    ];
    for method in ["GET", "HEAD", "POST"] {
        let (plan, edits) = decide(&on(), (method, GZIP), (200, answered));
        assert_eq!(plan.map(|plan| plan.flush), Some(Flush::AtPause));
        assert_eq!(seen(answered, &edits), expected, "{method}");
    }
    let (plan, edits) = decide(&on(), ("GET", &[]), (200, answered));
    assert_eq!(plan, None);
    assert_eq!(seen(answered, &edits).len(), answered.len() + 1, "only Vary is new");
}

#[test]
fn vary_is_said_once() {
    for (vary, expected) in [
        ("Accept-Encoding", vec!["Accept-Encoding"]),
        ("cookie , accept-encoding", vec!["cookie , accept-encoding"]),
        ("*", vec!["*"]),
        ("Accept", vec!["Accept", "Accept-Encoding"]),
    ] {
        let answered: Table<'_> = &[("Content-Type", "text/css"), ("Vary", vary)];
        let (_, edits) = decide(&on(), ("GET", &[]), (200, answered));
        let lines = seen(answered, &edits);
        let found: Vec<&str> =
            lines.iter().filter_map(|line| line.strip_prefix("Vary: ")).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn entity_tags_become_weak() {
    for (tag, expected) in [
        ("\"a\"", Some("ETag: W/\"a\"")),
        ("\"\"", Some("ETag: W/\"\"")),
        ("W/\"a\"", Some("ETag: W/\"a\"")),
        ("nonsense", None),
        ("\"", None),
    ] {
        let answered: Table<'_> = &[("Content-Type", "text/css"), ("ETag", tag)];
        let (_, edits) = decide(&on(), ("GET", GZIP), (200, answered));
        let lines = seen(answered, &edits);
        let found = lines.iter().find(|line| line.starts_with("ETag"));
        assert_eq!(found.map(String::as_str), expected, "{tag}");
    }
}

#[test]
fn a_304_speaks_of_the_form_that_the_client_has() {
    for (asked, tag, expected) in [
        ("W/\"a\"", "\"a\"", "W/\"a\""),
        ("\"b\", W/\"a\"", "\"a\"", "W/\"a\""),
        ("\"a\"", "\"a\"", "\"a\""),
        ("W/\"ab\"", "\"a\"", "\"a\""),
        ("*", "\"a\"", "\"a\""),
        ("W/\"a\"", "W/\"a\"", "W/\"a\""),
    ] {
        let answered: Table<'_> = &[("ETag", tag)];
        let asked: Table<'_> = &[("If-None-Match", asked), ("Accept-Encoding", "gzip")];
        let (plan, edits) = decide(&on(), ("GET", asked), (304, answered));
        assert_eq!(plan, None);
        let lines = seen(answered, &edits);
        assert!(lines.contains(&format!("ETag: {expected}")), "{asked:?} {lines:?}");
        let changed = expected != tag;
        assert_eq!(lines.contains(&"Vary: Accept-Encoding".to_owned()), changed, "{asked:?}");
    }
}

#[test]
fn events_come_out_at_once() {
    let events: Table<'_> = &[("Content-Type", "text/Event-Stream; charset=utf-8")];
    let (plan, _) = decide(&on(), ("GET", GZIP), (200, events));
    assert_eq!(plan.map(|plan| plan.flush), Some(Flush::EachPiece));
}

#[test]
fn a_busy_worker_sends_it_plain_and_says_that_it_varies() {
    let config = on();
    let asked = Asked {
        client: IpAddr::from([127, 0, 0, 1]),
        method: b"GET",
        host: b"shop",
        target: b"/",
        fields: &GZIP,
    };
    let mut edits = Edits::default();
    let answered = Answered { status: 200, fields: &HTML };
    assert!(choose(&asked, &answered, &config, config.encoders - 1, &mut edits).is_some());
    edits.clear();
    assert_eq!(choose(&asked, &answered, &config, config.encoders, &mut edits), None);
    assert_eq!(
        seen(HTML, &edits),
        ["Content-Type: text/html; charset=utf-8", "Vary: Accept-Encoding"]
    );
}

#[test]
fn a_client_may_forbid_it() {
    let asked: Table<'_> = &[("Accept-Encoding", "gzip"), ("Cache-Control", "no-transform")];
    assert_eq!(decide(&on(), ("GET", asked), (200, HTML)), (None, Edits::default()));
}

#[test]
fn off_by_default() {
    let config = CompressionConfig::default();
    assert_eq!(decide(&config, ("GET", GZIP), (200, HTML)), (None, Edits::default()));
    assert_eq!(config.problem(), None);
}

#[test]
fn impossible_values_are_named() {
    let with = |change: fn(&mut CompressionConfig)| {
        let mut config = CompressionConfig::default();
        change(&mut config);
        config.problem().map(|(path, message)| format!("{path} {message}")).unwrap_or_default()
    };
    for (found, expected) in [
        (with(|c| c.encodings.clear()), "encodings must name at least one of zstd, br and gzip"),
        (
            with(|c| c.encodings.push(Coding::Br)),
            "encodings[3] `br` is named twice; once is enough",
        ),
        (with(|c| c.levels = Levels { gzip: 0, ..c.levels }), "levels.gzip must be 1 to 9"),
        (with(|c| c.levels = Levels { br: 12, ..c.levels }), "levels.br must be 0 to 11"),
        (with(|c| c.levels = Levels { zstd: 20, ..c.levels }), "levels.zstd must be 1 to 19"),
        (with(|c| c.types.clear()), "types must name at least one media type, like \"text/*\""),
        (
            with(|c| c.types = vec!["text/*".to_owned(), "html".to_owned()]),
            "types[1] `html` is not a media type; write one like \"application/json\", or with one star, \
             like \"text/*\" or \"application/*+json\"",
        ),
        (with(|c| c.encoders = 0), "encoders must be 1 to 65536"),
    ] {
        assert_eq!(found, expected);
    }
}

const NAMES: [&str; 9] = [
    "Accept-Encoding",
    "Cache-Control",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "ETag",
    "If-None-Match",
    "Vary",
];

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let value = prop_oneof![
        Just("gzip, br;q=0.5".to_owned()),
        Just("text/html".to_owned()),
        Just("\"a\"".to_owned()),
        Just("W/\"a\"".to_owned()),
        Just("no-transform".to_owned()),
        Just("2000".to_owned()),
        "[ -~]{0,24}",
    ];
    let name = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
    prop::collection::vec((name, value), 0..8)
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

proptest! {
    /// Whatever the heads say: what is compressed may be, is taken by the client, and its head is consistent.
    #[test]
    fn what_is_compressed_may_be(asked in fields(), answered in fields(), status in 100_u16..600) {
        let (asked, answered) = (borrowed(&asked), borrowed(&answered));
        let config = on();
        let (plan, edits) = decide(&config, ("GET", &asked), (status, &answered));
        let lines = seen(&answered, &edits);
        let has = |start: &str| lines.iter().any(|line| line.to_lowercase().starts_with(start));
        if let Some(plan) = plan {
            let weights = Weights::of(&&asked[..]);
            prop_assert!(weights.weight(plan.coding) > 0);
            prop_assert!(status >= 200 && !matches!(status, 204 | 205 | 206 | 304));
            let table = &answered[..];
            prop_assert!((&table).find("Content-Encoding").is_none());
            let encoding = format!("Content-Encoding: {}", plan.coding.name());
            prop_assert!(lines.contains(&encoding));
            prop_assert!(!has("content-length") && !has("etag: \""));
            prop_assert!(has("vary: "));
        } else if status != 304 {
            prop_assert!(edits.added().all(|(name, _)| name == "Vary"));
        }
    }

    /// The chosen coding is one that no other of ours is liked better than.
    #[test]
    fn the_best_liked_is_chosen(accept in "((gzip|br|zstd|identity|\\*)(;q=(0|1|0\\.[0-9]{1,3}))?,? ?){0,5}") {
        let table: &[(&str, &str)] = &[("Accept-Encoding", &accept)];
        let weights = Weights::of(&table);
        let best = Coding::ALL.into_iter().map(|coding| weights.weight(coding)).max();
        match weights.prefer(&Coding::ALL) {
            Some(coding) => prop_assert_eq!(Some(weights.weight(coding)), best),
            None => prop_assert!(best == Some(0) || accept.contains("identity")),
        }
    }

    #[test]
    fn a_configuration_survives_a_round_trip(gzip in 1_u8..10, br in 0_u8..12, size in 0_u64..1 << 30) {
        let levels = Levels { gzip, br, ..Levels::default() };
        let config = CompressionConfig { levels, min_size: ByteSize(size), ..on() };
        let text = serde_json::to_string(&config).unwrap();
        prop_assert_eq!(serde_json::from_str::<CompressionConfig>(&text).unwrap(), config);
    }
}
