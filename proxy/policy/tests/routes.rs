//! Routes: a table of what matches what, and properties against a judge that knows nothing of lists.

use std::net::IpAddr;

use policy::{
    message::{Asked, Fields},
    path,
    pattern::{FieldRule, Texts, host_is},
    route::{Match, Table},
};
use proptest::prelude::*;

fn asked<'a>(method: &'a str, host: &'a str, target: &'a str, fields: &'a dyn Fields) -> Asked<'a> {
    Asked {
        client: IpAddr::from([192, 0, 2, 1]),
        method: method.as_bytes(),
        host: host.as_bytes(),
        target: target.as_bytes(),
        fields,
    }
}

fn rule(json: &str) -> Match {
    let rule: Match = serde_json::from_str(json).expect(json);
    assert_eq!(rule.problem(), None, "{json}");
    rule
}

#[test]
fn what_matches_what() {
    let fields: &[(&str, &str)] = &[("x-version", "v2"), ("Cookie", "a=1"), ("cookie", "beta=1")];
    for (json, request, matches) in [
        ("{}", "GET shop /x", true),
        (r#"{"host": "shop"}"#, "GET shop /", true),
        (r#"{"host": "shop"}"#, "GET SHOP.:8080 /", true),
        (r#"{"host": "shop"}"#, "GET shops /", false),
        (r#"{"host": ["shop", "store.example"]}"#, "GET store.example:1 /", true),
        (r#"{"host": "*.example.org"}"#, "GET a.example.org /", true),
        (r#"{"host": "*.example.org"}"#, "GET a.b.EXAMPLE.org:443 /", true),
        (r#"{"host": "*.example.org"}"#, "GET example.org /", false),
        (r#"{"host": "*.example.org"}"#, "GET badexample.org /", false),
        (r#"{"host": "[::1]"}"#, "GET [::1]:80 /", true),
        (r#"{"path": "/a"}"#, "GET shop /a?b=c", true),
        (r#"{"path": "/a"}"#, "GET shop /a/", false),
        (r#"{"path": "/a"}"#, "GET shop /%61", true),
        (r#"{"path": "/a"}"#, "GET shop /A", false),
        (r#"{"path": "/a", "ignore_case": true}"#, "GET shop /A", true),
        (r#"{"prefix": "/api"}"#, "GET shop /apiary", true),
        (r#"{"prefix": "/api/"}"#, "GET shop /api", false),
        (r#"{"prefix": "/api/"}"#, "GET shop //x/..//api/./y", true),
        (r#"{"prefix": "/api/", "ignore_case": true}"#, "GET shop /API/y", true),
        (r#"{"prefix": "/"}"#, "OPTIONS shop *", false),
        (r#"{"pattern": "/item/*/photo"}"#, "GET shop /item/7/photo", true),
        (r#"{"pattern": "/item/*/photo"}"#, "GET shop /item/7/8/photo", false),
        (r#"{"pattern": "/item/**/photo"}"#, "GET shop /item/7/8/photo", true),
        (r#"{"pattern": "/item/*/photo"}"#, "GET shop /item/7/photo/x", false),
        (r#"{"pattern": "**.js"}"#, "GET shop /a/b.js?v=1", true),
        (r#"{"pattern": "**.js"}"#, "GET shop /a/bxjs", false),
        (r#"{"pattern": "/v?/x"}"#, "GET shop /v1/x", true),
        (r#"{"pattern": "/v?/x"}"#, "GET shop /v12/x", false),
        (r#"{"regex": "^/v[12]/"}"#, "GET shop /v2/x", true),
        (r#"{"regex": "^/v[12]/"}"#, "GET shop /v3/x", false),
        (r#"{"regex": "photo"}"#, "GET shop /a/photos", true),
        (r#"{"method": ["GET", "HEAD"]}"#, "HEAD shop /", true),
        (r#"{"method": "GET"}"#, "HEAD shop /", false),
        (r#"{"header": {"X-Version": "v2"}}"#, "GET shop /", true),
        (r#"{"header": {"X-Version": "v1"}}"#, "GET shop /", false),
        (r#"{"header": {"X-Version": true}}"#, "GET shop /", true),
        (r#"{"header": {"X-Version": false}}"#, "GET shop /", false),
        (r#"{"header": {"X-Other": false}}"#, "GET shop /", true),
        (r#"{"header": {"Cookie": {"regex": "^beta="}}}"#, "GET shop /", true),
        (r#"{"header": {"Cookie": {"regex": "^gamma="}}}"#, "GET shop /", false),
        (r#"{"host": "shop", "prefix": "/a", "method": "GET"}"#, "POST shop /a", false),
    ] {
        let parts: Vec<_> = request.split(' ').collect();
        let table = Table::new([&rule(json)]);
        let found = table.find(&asked(parts[0], parts[1], parts[2], &fields));
        assert_eq!(found == Some(0), matches, "{json} {request}");
    }
}

#[test]
fn the_first_that_matches() {
    let rules = [
        r#"{"host": "a.example.org", "prefix": "/x"}"#,
        r#"{"host": "*.example.org", "prefix": "/y"}"#,
        r#"{"host": "*.a.example.org"}"#,
        r#"{"prefix": "/z"}"#,
        r#"{"host": "a.example.org"}"#,
        r#"{"host": "*.example.org"}"#,
    ];
    let rules = rules.map(rule);
    let table = Table::new(&rules);
    let fields: &[(&str, &str)] = &[];
    for (host, target, route) in [
        ("a.example.org", "/x", Some(0)),
        ("a.example.org", "/y", Some(1)),
        ("a.example.org", "/z", Some(3)),
        ("a.example.org", "/q", Some(4)),
        ("b.example.org", "/z", Some(3)),
        ("b.example.org", "/q", Some(5)),
        ("b.a.example.org", "/y", Some(1)),
        ("b.a.example.org", "/z", Some(2)),
        ("example.org", "/z", Some(3)),
        ("example.org", "/q", None),
        ("", "/q", None),
        ("", "/z", Some(3)),
    ] {
        assert_eq!(table.find(&asked("GET", host, target, &fields)), route, "{host}{target}");
    }
    let long = "x.".repeat(200) + "example.org";
    assert_eq!(table.find(&asked("GET", &long, "/q", &fields)), None);
}

#[test]
fn what_is_impossible_is_said_with_what_to_write() {
    for (json, key, message) in [
        (r#"{"host": "*"}"#, "host[0]", "`*` is every host; leave `host` out for that"),
        (
            r#"{"host": ["a", "b:80"]}"#,
            "host[1]",
            "`b:80` must be a name alone, without a port and without a dot at its end; write \"b\"",
        ),
        (
            r#"{"host": "a.*.org"}"#,
            "host[0]",
            "`a.*.org` has a `*` in the wrong place; write it like \"*.example.org\"",
        ),
        (
            r#"{"host": "https://a"}"#,
            "host[0]",
            "`https://a` must be a name alone; write it like \"example.org\"",
        ),
        (
            r#"{"host": "bücher.example"}"#,
            "host[0]",
            "`bücher.example` is no host; write a name like \"example.org\" (an international one in its `xn--` form)",
        ),
        (
            r#"{"path": "/a", "prefix": "/b"}"#,
            "prefix",
            "cannot stand beside `path`; keep one, or write two routes",
        ),
        (r#"{"prefix": ""}"#, "prefix", "must not be empty; leave it out for every path"),
        (r#"{"path": "a"}"#, "path", "`a` must begin with `/`"),
        (
            r#"{"path": "/a?b"}"#,
            "path",
            "`/a?b` has a query; only paths are compared, leave out what follows `?`",
        ),
        (
            r#"{"prefix": "/a//%62"}"#,
            "prefix",
            "`/a//%62` is not how paths are compared (decoded, without `//`, `.` and `..`); write \"/a/b\"",
        ),
        (
            r#"{"regex": "(a"}"#,
            "regex",
            "`(a` is no regular expression: unclosed group; put a `\\` before a character that means itself",
        ),
        (
            r#"{"regex": "((a{1000}){1000}){1000}"}"#,
            "regex",
            "`((a{1000}){1000}){1000}` is too large a pattern; write fewer or smaller repetitions",
        ),
        (
            r#"{"method": "get"}"#,
            "method[0]",
            "`get` is not what clients send: methods are told by case; write \"GET\"",
        ),
        (
            r#"{"header": {"X Version": true}}"#,
            "header.\"X Version\"",
            "`X Version` is no name of a field; write one like \"X-Version\"",
        ),
    ] {
        let rule: Match = serde_json::from_str(json).expect(json);
        assert_eq!(rule.problem(), Some((key.to_owned(), message.to_owned())), "{json}");
    }
}

#[test]
fn what_covers_what() {
    for (one, other, covers) in [
        ("{}", "{}", true),
        ("{}", r#"{"host": "a", "prefix": "/x"}"#, true),
        (r#"{"prefix": "/"}"#, r#"{"path": "/x"}"#, true),
        (r#"{"prefix": "/x"}"#, r#"{"prefix": "/x/y"}"#, true),
        (r#"{"prefix": "/x/y"}"#, r#"{"prefix": "/x"}"#, false),
        (r#"{"prefix": "/x"}"#, "{}", false),
        (r#"{"prefix": "/item/"}"#, r#"{"pattern": "/item/*/photo"}"#, true),
        (r#"{"prefix": "/item/7"}"#, r#"{"pattern": "/item/*/photo"}"#, false),
        (r#"{"prefix": "/x"}"#, r#"{"prefix": "/x", "ignore_case": true}"#, false),
        (r#"{"prefix": "/X", "ignore_case": true}"#, r#"{"prefix": "/xy"}"#, true),
        (r#"{"host": "*.org"}"#, r#"{"host": ["a.org", "*.b.org"]}"#, true),
        (r#"{"host": "*.b.org"}"#, r#"{"host": "b.org"}"#, false),
        (r#"{"host": "*.b.org"}"#, r#"{"host": "*.org"}"#, false),
        (r#"{"host": ["a", "b"]}"#, r#"{"host": ["b", "a"]}"#, true),
        (r#"{"host": "a"}"#, r#"{"host": ["b", "a"]}"#, false),
        (r#"{"method": ["GET", "PUT"]}"#, r#"{"method": "PUT"}"#, true),
        (r#"{"method": ["GET", "PUT"]}"#, "{}", false),
        (r#"{"header": {"a": true}}"#, r#"{"header": {"A": true, "b": "1"}}"#, true),
        (r#"{"header": {"a": true}}"#, r#"{"header": {"b": "1"}}"#, false),
    ] {
        assert_eq!(rule(one).covers(&rule(other)), covers, "{one} {other}");
    }
}

fn texts(choice: &'static [&'static str]) -> impl Strategy<Value = Texts> {
    prop::collection::vec(prop::sample::select(choice), 0..3).prop_map(Texts::from_iter)
}

fn any_rule() -> impl Strategy<Value = Match> {
    let hosts = texts(&["a", "b.a", "*.a", "*.b.a", "c.b.a"]);
    let paths = prop::sample::select(&["/", "/x", "/x/", "/x/y", "/X/y"][..]);
    let forms = (0..4, paths, any::<bool>());
    let fields =
        prop::collection::btree_map("[XY]", any::<bool>().prop_map(FieldRule::Present), 0..2);
    (hosts, forms, texts(&["GET", "PUT"]), fields).prop_map(|(host, form, method, header)| {
        let mut rule = Match { host, method, header, ..Match::default() };
        let path = form.1.to_owned();
        match form.0 {
            0 => {}
            1 => rule.path = Some(path),
            2 => rule.prefix = Some(path),
            _ => rule.pattern = Some(format!("{path}*")),
        }
        rule.ignore_case = form.2;
        rule
    })
}

/// Whether it matches, read from the documentation of the fields.
fn matches(rule: &Match, asked: &Asked<'_>) -> bool {
    let path = String::from_utf8(path::normal(asked.path()).into_owned()).expect("ASCII was drawn");
    let fold = |text: &str| if rule.ignore_case { text.to_lowercase() } else { text.to_owned() };
    let path = fold(&path);
    let pattern = |glob: &String| {
        let start = fold(glob.strip_suffix('*').expect("they all end so"));
        path.strip_prefix(&start).is_some_and(|rest| !rest.contains('/'))
    };
    (rule.host.is_empty() || rule.host.iter().any(|host| host_is(host, asked.host)))
        && (rule.method.is_empty()
            || rule.method.iter().any(|method| method.as_bytes() == asked.method))
        && rule.path.as_ref().is_none_or(|text| path == fold(text))
        && rule.prefix.as_ref().is_none_or(|text| path.starts_with(&fold(text)))
        && rule.pattern.as_ref().is_none_or(pattern)
        && rule
            .header
            .iter()
            .all(|(name, rule)| *rule == FieldRule::Present(asked.fields.find(name).is_some()))
}

proptest! {
    #[test]
    fn the_table_finds_the_first_of_all(
        rules in prop::collection::vec(any_rule(), 0..8),
        host in prop::sample::select(&["a", "b.a:80", "c.B.a", "d.c.b.a", "ba", "xa", ""][..]),
        target in prop::sample::select(&["/", "/x", "/x/y", "/X/Y", "/%78/y", "//x/./z", "/x?/y"][..]),
        method in prop::sample::select(&["GET", "PUT", "HEAD"][..]),
        has in any::<bool>(),
    ) {
        let fields: &[(&str, &str)] = if has { &[("x", "1")] } else { &[] };
        let asked = asked(method, host, target, &fields);
        let expected = rules.iter().position(|rule| matches(rule, &asked));
        prop_assert_eq!(Table::new(&rules).find(&asked), expected);
        // What is covered is never reached.
        for (number, rule) in rules.iter().enumerate() {
            if rules[..number].iter().any(|earlier| earlier.covers(rule)) {
                prop_assert_ne!(expected, Some(number));
            }
        }
    }
}
