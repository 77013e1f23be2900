//! Filters: tables of what each does, and that nothing that a client sends becomes more than it is.

use std::{net::IpAddr, sync::Arc};

use policy::{
    Instant, Seed,
    filter::{Chain, Contents, FILTERS, FilterConfig, Outcome, Passage},
    message::{Answered, Asked, Edits, Fields, Reply},
};
use proptest::prelude::*;

type Table<'a> = &'a [(&'a str, &'a str)];

/// The filters of a JSON array; files have the contents that this table says.
fn filters_with(json: &str, files: Table<'_>) -> Vec<FilterConfig> {
    let mut filters: Vec<FilterConfig> = serde_json::from_str(json).expect(json);
    for (_, file) in filters.iter_mut().flat_map(FilterConfig::files) {
        let contents = files.iter().find(|known| known.0 == file.path);
        file.contents = contents.map(|known| Contents(Arc::from(known.1.as_bytes())));
    }
    filters
}

fn chain_with(json: &str, files: Table<'_>) -> Chain {
    let filters = filters_with(json, files);
    for filter in &filters {
        assert_eq!(filter.problem(), None, "{json}");
    }
    Chain::new(&filters, Seed(7)).expect("there are filters")
}

fn chain(json: &str) -> Chain {
    chain_with(json, &[])
}

/// A request from a line: `METHOD host target [client]`.
fn asked<'a>(line: &'a str, fields: &'a dyn Fields) -> Asked<'a> {
    let mut parts = line.split(' ');
    let mut next = || parts.next().unwrap_or_default();
    let (method, host, target) = (next(), next(), next());
    let client = parts.next().unwrap_or("192.0.2.1").parse::<IpAddr>().expect(line);
    let (method, host, target) = (method.as_bytes(), host.as_bytes(), target.as_bytes());
    Asked { client, method, host, target, fields }
}

fn run(chain: &Chain, line: &str, fields: Table<'_>) -> (Outcome, Edits, u64) {
    let (mut edits, mut passage) = (Edits::default(), Passage::default());
    let outcome = chain.on_request(&asked(line, &fields), Instant::START, &mut passage, &mut edits);
    (outcome, edits, passage.body)
}

fn status(chain: &Chain, line: &str, fields: Table<'_>) -> u16 {
    match run(chain, line, fields).0 {
        Outcome::Pass => 200,
        Outcome::Answer(reply, _) => reply.status,
        Outcome::Check(_) => panic!("{line}: nothing has to be checked"),
    }
}

fn reply(chain: &Chain, line: &str) -> Reply {
    match run(chain, line, &[]).0 {
        Outcome::Answer(reply, _) => reply,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn who_is_denied_and_who_is_not() {
    let fields: Table<'_> = &[("user-agent", "Mozilla/5.0 (BadBot 1.0)"), ("x-key", "abc")];
    for (when, line, denied) in [
        (r#"{"address": "10.0.0.0/8"}"#, "GET a / 10.1.2.3", true),
        (r#"{"address": "10.0.0.0/8"}"#, "GET a / ::ffff:10.1.2.3", true),
        (r#"{"address": "10.0.0.0/8"}"#, "GET a / 11.1.2.3", false),
        (r#"{"address": ["10.0.0.0/8", "2001:db8::/32"]}"#, "GET a / 2001:db8:1::1", true),
        (r#"{"host": ["a", "*.b.org"]}"#, "GET x.B.org:80 /", true),
        (r#"{"host": ["a", "*.b.org"]}"#, "GET b.org /", false),
        (r#"{"method": ["DELETE", "PUT"]}"#, "PUT a /", true),
        (r#"{"method": ["DELETE", "PUT"]}"#, "GET a /", false),
        (r#"{"prefix": "/admin"}"#, "GET a /admin/x?y", true),
        (r#"{"prefix": "/admin"}"#, "GET a /administrator", true),
        (r#"{"prefix": "/admin/"}"#, "GET a /administrator", false),
        (r#"{"prefix": "/admin"}"#, "GET a /x?/admin", false),
        // No way around.
        (r#"{"prefix": "/admin"}"#, "GET a /%61dmin", true),
        (r#"{"prefix": "/admin"}"#, "GET a /%41dmin", false),
        (r#"{"prefix": "/admin", "ignore_case": true}"#, "GET a /%41DMIN", true),
        (r#"{"prefix": "/admin"}"#, "GET a //admin", true),
        (r#"{"prefix": "/admin"}"#, "GET a /./admin", true),
        (r#"{"prefix": "/admin"}"#, "GET a /x/../admin", true),
        (r#"{"prefix": "/admin"}"#, "GET a /x/%2e%2e/admin", true),
        (r#"{"prefix": "/admin"}"#, "GET a /x%2f..%2fadmin", true),
        (r#"{"prefix": "/admin"}"#, "GET a /x\\..\\admin", true),
        (r#"{"prefix": "/admin"}"#, "GET a /admin;jsessionid=1", true),
        (r#"{"path": ["/admin", "/x"]}"#, "GET a /%61dmin?q", true),
        (r#"{"path": "/admin"}"#, "GET a /admin/", false),
        (r#"{"pattern": "**.php"}"#, "GET a /x/y.php?a=b", true),
        (r#"{"pattern": "**.php"}"#, "GET a /x/y.ph%70", true),
        (r#"{"regex": "\\.(git|svn)(/|$)"}"#, "GET a /x/.git/config", true),
        (r#"{"regex": "\\.(git|svn)(/|$)"}"#, "GET a /x.gitx", false),
        (r#"{"path": "/a", "prefix": "/b"}"#, "GET a /b/c", true),
        (r#"{"header": {"X-Key": true}}"#, "GET a /", true),
        (r#"{"header": {"X-Key": "abd"}}"#, "GET a /", false),
        (r#"{"header": {"X-Key": {"regex": "^ab"}}}"#, "GET a /", true),
        (r#"{"header": {"X-Key": true, "X-None": true}}"#, "GET a /", false),
        (r#"{"user_agent": ["curl", "badbot"]}"#, "GET a /", true),
        (r#"{"user_agent": "goodbot"}"#, "GET a /", false),
        (r#"{"word": ["union select", "<script"]}"#, "GET a /x?q=UNION+SELECT+1", true),
        (r#"{"word": ["union select", "<script"]}"#, "GET a /%3Cscript%3e", true),
        (r#"{"word": "select"}"#, "GET a /x", false),
        // All must hold.
        (r#"{"prefix": "/admin", "address": "10.0.0.0/8"}"#, "GET a /admin 10.0.0.1", true),
        (r#"{"prefix": "/admin", "address": "10.0.0.0/8"}"#, "GET a /admin 11.0.0.1", false),
    ] {
        let expected = |denied| if denied { 403 } else { 200 };
        let deny = chain(&format!(r#"[{{"deny": {when}}}]"#));
        assert_eq!(status(&deny, line, fields), expected(denied), "deny {when} {line}");
        let allow = chain(&format!(r#"[{{"allow": {when}}}]"#));
        assert_eq!(status(&allow, line, fields), expected(!denied), "allow {when} {line}");
    }
}

#[test]
fn lists_come_from_files() {
    let files: Table<'_> = &[
        ("bad.txt", "# who has been here before\n10.0.0.0/8\n\n  192.0.2.7  \n"),
        ("hosts.txt", "a.example\n*.b.example\r\n"),
        ("words.txt", "Eval(\npasswd\n"),
        ("empty.txt", "# nobody\n"),
    ];
    for (filter, line, expected) in [
        (r#"{"deny": {"address_file": "bad.txt"}}"#, "GET a / 192.0.2.7", 403),
        (r#"{"deny": {"address_file": "bad.txt"}}"#, "GET a / 192.0.2.8", 200),
        (r#"{"deny": {"address_file": "bad.txt", "address": "::1"}}"#, "GET a / ::1", 403),
        (r#"{"allow": {"host_file": "hosts.txt"}}"#, "GET x.b.example /", 200),
        (r#"{"allow": {"host_file": "hosts.txt"}}"#, "GET b.example /", 403),
        (r#"{"deny": {"word_file": "words.txt"}}"#, "GET a /?x=eval%28", 403),
        (r#"{"deny": {"word_file": "words.txt"}}"#, "GET a /etc/%70asswd", 403),
        (r#"{"deny": {"user_agent_file": "empty.txt"}}"#, "GET a /", 200),
        (r#"{"allow": {"address_file": "empty.txt"}}"#, "GET a /", 403),
    ] {
        let chain = chain_with(&format!("[{filter}]"), files);
        assert_eq!(status(&chain, line, &[("user-agent", "x")]), expected, "{filter} {line}");
    }
    for (filter, files, message) in [
        (
            r#"[{"deny": {"address_file": "x"}}]"#,
            &[("x", "10.0.0.0/8\n# so far\n10.0.0.0/99\n")] as Table<'_>,
            "line 3 of `x`: `10.0.0.0/99`: a prefix has at most 32 bits here",
        ),
        (
            r#"[{"deny": {"address_file": "x"}}]"#,
            &[],
            "`x` was not read; only a configuration file can name others",
        ),
    ] {
        let problem = filters_with(filter, files)[0].problem();
        assert_eq!(problem, Some(("deny.address_file".to_owned(), message.to_owned())));
    }
}

#[test]
fn the_first_that_answers_ends_the_row() {
    let chain = chain(
        r#"[{"allow": {"address": "192.0.2.0/24"}}, {"answer": {"when": {"path": "/robots.txt"}, "body": "x"}},
            {"deny": {"method": "PUT"}}]"#,
    );
    for (line, expected, by) in [
        ("GET a /robots.txt", 200, "answer"),
        ("PUT a /robots.txt", 200, "answer"),
        ("PUT a /robots.txt 10.0.0.1", 403, "allow"),
        ("PUT a /", 403, "deny"),
    ] {
        let (outcome, ..) = run(&chain, line, &[]);
        let Outcome::Answer(reply, number) = outcome else { panic!("{line}") };
        assert_eq!((reply.status, FILTERS[number].name), (expected, by), "{line}");
    }
    assert_eq!(run(&chain, "GET a /", &[]).0, Outcome::Pass);
}

#[test]
fn what_is_too_large() {
    let chain = chain(
        r#"[{"size": {"body": "10B", "target": "8B", "fields": 3, "field": "20B", "head": "30B"}}]"#,
    );
    let many: Table<'_> = &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
    for (line, fields, expected) in [
        ("POST a /", &[("Content-Length", "10")] as Table<'_>, 200),
        ("POST a /", &[("content-length", "11")], 413),
        ("GET a /1234567", &[], 200),
        ("GET a /12345678", &[], 414),
        ("GET a /", &many[1..], 200),
        ("GET a /", many, 431),
        ("GET a /", &[("name", "1234567890123456")], 200),
        ("GET a /", &[("name", "12345678901234567")], 431),
        ("GET a /", &[("name", "123456789012"), ("nome", "12345678901")], 431),
    ] {
        assert_eq!(status(&chain, line, fields), expected, "{line} {fields:?}");
    }
    // What does not say its length is counted by whoever passes it on; the least limit counts.
    assert_eq!(run(&chain, "POST a /", &[("a", "b")]).2, 10);
    let two = self::chain(
        r#"[{"size": {"body": "10B"}}, {"size": {"when": {"prefix": "/up"}, "body": "5B"}}]"#,
    );
    assert_eq!((run(&two, "POST a /up", &[]).2, run(&two, "POST a /", &[]).2), (5, 10));
}

/// The head that would be sent on.
fn applied(edits: &Edits, fields: Table<'_>) -> Vec<String> {
    let kept = fields.iter().filter(|(name, _)| !edits.omits(name.as_bytes()));
    let kept = kept.map(|(name, value)| format!("{name}: {value}"));
    let text = |value| String::from_utf8_lossy(value).into_owned();
    kept.chain(edits.added().map(|(name, value)| format!("{name}: {}", text(value)))).collect()
}

#[test]
fn fields_are_set_added_removed_and_rewritten() {
    let fields: Table<'_> = &[
        ("accept", "*/*"),
        ("X-Internal-Id", "7"),
        ("x-internal-key", "8"),
        ("Via", "http://a/1, http://b/2"),
        ("via", "none"),
    ];
    let changes = r#"{"set": {"Accept": "text/html"}, "add": {"X-New": ["1", "2"]}, "remove": "X-Internal-*",
        "rewrite": {"Via": {"regex": "http://(?<host>[a-z])/", "with": "https://${host}$1/$$"}}}"#;
    let expected = [
        "Via: https://aa/$1, http://b/2",
        "Via: none",
        "Accept: text/html",
        "X-New: 1",
        "X-New: 2",
    ];
    let request = chain(&format!(r#"[{{"request_header": {changes}}}]"#));
    let (outcome, edits, _) = run(&request, "GET a /", fields);
    assert_eq!(
        (outcome, applied(&edits, fields)),
        (Outcome::Pass, expected.map(str::to_owned).to_vec())
    );
    let response = chain(&format!(r#"[{{"response_header": {changes}}}]"#));
    assert_eq!(run(&response, "GET a /", fields).1, Edits::NONE);
    let mut edits = Edits::default();
    let none: Table<'_> = &[];
    let answered = Answered { status: 200, fields: &fields };
    response.on_response(&asked("GET a /", &none), &answered, &mut edits);
    assert_eq!(applied(&edits, fields), expected);
    // Where nothing is found nothing is said.
    let other: Table<'_> = &[("Via", "none")];
    let rewrite =
        chain(r#"[{"request_header": {"rewrite": {"Via": {"regex": "x", "with": "y"}}}}]"#);
    assert_eq!(run(&rewrite, "GET a /", other).1, Edits::NONE);
}

#[test]
fn answers_of_our_own_pass_the_filters_before_them() {
    let chain = chain(
        r#"[{"response_header": {"set": {"X-Frame-Options": "DENY"}, "remove": "Content-Type"}},
            {"deny": {"path": "/x"}}, {"response_header": {"set": {"X-Later": "1"}}}]"#,
    );
    let fields = reply(&chain, "GET a /x").fields;
    assert_eq!(fields, [("X-Frame-Options".into(), b"DENY".to_vec())]);
}

#[test]
fn paths_are_rewritten() {
    for (config, target, expected) in [
        (r#"{"prefix": "/api/", "to": "/"}"#, "/api/x?y=1", Some("/x?y=1")),
        (r#"{"prefix": "/api/", "to": "/"}"#, "/apis", None),
        (r#"{"prefix": "/api", "to": "/v2/api"}"#, "/api", Some("/v2/api")),
        (r#"{"prefix": "/api", "to": "/"}"#, "/api/x", Some("/x")),
        (r#"{"prefix": "/api/", "to": "/"}"#, "/%61pi/a%20b", Some("/a%20b")),
        // What a client encoded stays so where it means the same.
        (r#"{"prefix": "/api/", "to": "/"}"#, "/api/a%20b%41|", Some("/a%20b%41|")),
        (r#"{"prefix": "/api/", "to": "/"}"#, "/api/a%2fb", Some("/a/b")),
        // Nobody climbs out.
        (r#"{"prefix": "/api/", "to": "/"}"#, "/api/../secret", None),
        (r#"{"prefix": "/api/", "to": "/"}"#, "/api/x/../../api/y", Some("/y")),
        (r#"{"prefix": "/api/", "to": "/"}"#, "/api/x%2f..%2f..%2fapi/y", Some("/y")),
        (r#"{"prefix": "/old", "to": "/"}"#, "/old//example.org", Some("/example.org")),
        (r#"{"prefix": "/old", "to": "/"}"#, "/old\\example.org", Some("/example.org")),
        (r#"{"regex": "^/item/(\\d+)$", "to": "/i?id=$1"}"#, "/item/7", Some("/i?id=7")),
        (r#"{"regex": "^/item/(\\d+)$", "to": "/i?id=$1"}"#, "/item/7?a=b", Some("/i?id=7&a=b")),
        (r#"{"regex": "^/item/(\\d+)$", "to": "/i?id=$1"}"#, "/item/x", None),
        (
            r#"{"regex": "^/item/(.+)$", "to": "/i?id=$1"}"#,
            "/item/7&admin=1",
            Some("/i?id=7%26admin%3D1"),
        ),
        (r#"{"regex": "/v1/", "to": "/v2/"}"#, "/a/v1/b/v1/", Some("/a/v2/b/v1/")),
        (r#"{"regex": "^/(?<who>[^/]+)", "to": "/u/${who}"}"#, "/j%0d%0a?x", Some("/u/j%0D%0A?x")),
        (r#"{"regex": "^/x(.*)$", "to": "/$1"}"#, "/x/evil.example/", Some("/evil.example/")),
        (r#"{"to": "/maintenance"}"#, "/anything?x=1", Some("/maintenance?x=1")),
        (r#"{"to": "/m"}"#, "*", None),
        (r#"{"when": {"method": "PUT"}, "to": "/m"}"#, "/x", None),
    ] {
        let chain = chain(&format!(r#"[{{"rewrite": {config}}}]"#));
        let (outcome, edits, _) = run(&chain, &format!("GET a {target}"), &[]);
        let found = edits.target.as_deref().map(String::from_utf8_lossy);
        assert_eq!((outcome, found.as_deref()), (Outcome::Pass, expected), "{config} {target}");
    }
    // What comes after a rewrite sees what it has made.
    let chain = chain(
        r#"[{"rewrite": {"prefix": "/api/", "to": "/"}}, {"deny": {"prefix": "/secret"}},
            {"rewrite": {"prefix": "/x", "to": "/y"}}]"#,
    );
    assert_eq!(status(&chain, "GET a /api/secret", &[]), 403);
    assert_eq!(run(&chain, "GET a /api/x", &[]).1.target.as_deref(), Some(&b"/y"[..]));
}

#[test]
fn clients_are_sent_elsewhere() {
    for (config, line, expected) in [
        (r#"{"prefix": "/old/", "to": "/new/"}"#, "GET a:80 /old/x?y", Some((307, "/new/x?y"))),
        (r#"{"prefix": "/old/", "to": "/new/"}"#, "GET a /other", None),
        (r#"{"to": "/", "status": 302}"#, "GET a /x", Some((302, "/"))),
        // To where it is already it need not be sent.
        (r#"{"to": "/"}"#, "GET a /", None),
        (r#"{"scheme": "https"}"#, "GET a:8080 /x?y", Some((307, "https://a/x?y"))),
        (
            r#"{"scheme": "https", "host": "b:8443", "status": 301}"#,
            "GET a /x",
            Some((301, "https://b:8443/x")),
        ),
        (r#"{"host": "www.a"}"#, "GET a:80 /x", Some((307, "//www.a/x"))),
        (r#"{"host": "www.a"}"#, "GET WWW.a:80 /x", None),
        (r#"{"host": "www.a:81"}"#, "GET www.a:80 /x", Some((307, "//www.a:81/x"))),
        (r#"{"scheme": "https"}"#, "GET  /x", None),
        (r#"{"host": "b", "prefix": "/x/", "to": "/"}"#, "GET a /x/y", Some((307, "//b/y"))),
        // Never to a host that the path names.
        (r#"{"prefix": "/x", "to": "/"}"#, "GET a /x//evil.example", Some((307, "/evil.example"))),
        (r#"{"prefix": "/x", "to": "/"}"#, "GET a /x\\evil.example", Some((307, "/evil.example"))),
        (
            r#"{"prefix": "/x", "to": "/"}"#,
            "GET a /x/%5cevil.example",
            Some((307, "/evil.example")),
        ),
        (
            r#"{"regex": "^/x(.*)", "to": "$1"}"#,
            "GET a /x//evil.example",
            Some((307, "/evil.example")),
        ),
        (r#"{"regex": "^/x(.*)", "to": "$1"}"#, "GET a /x/%0d%0aX:y", Some((307, "/%0D%0AX:y"))),
    ] {
        let chain = chain(&format!(r#"[{{"redirect": {config}}}]"#));
        let found = match run(&chain, line, &[]).0 {
            Outcome::Answer(reply, _) => {
                let (name, value) = reply.fields.first().expect("it says where");
                assert_eq!(name, "Location");
                Some((reply.status, String::from_utf8_lossy(value).into_owned()))
            }
            _ => None,
        };
        let found = found.as_ref().map(|(status, location)| (*status, &**location));
        assert_eq!(found, expected, "{config} {line}");
    }
}

#[test]
fn answers_are_given() {
    let files: Table<'_> = &[("page.html", "<p>back soon</p>")];
    let chain = chain_with(
        r#"[{"answer": {"when": {"path": "/robots.txt"}, "body": "Disallow: /\n"}},
            {"answer": {"when": {"path": "/gone"}, "status": 204, "header": {"X-A": "1"}}},
            {"answer": {"status": 503, "header": {"content-type": "text/html", "Retry-After": "60"}, "file": "page.html"}}]"#,
        files,
    );
    let answer = reply(&chain, "GET a /robots.txt");
    assert_eq!((answer.status, &*answer.body), (200, &b"Disallow: /\n"[..]));
    assert_eq!(answer.fields, [("Content-Type".into(), b"text/plain; charset=utf-8".to_vec())]);
    let answer = reply(&chain, "GET a /gone");
    assert_eq!((answer.status, answer.fields), (204, vec![("X-A".into(), b"1".to_vec())]));
    let answer = reply(&chain, "GET a /x");
    assert_eq!(
        (answer.status, &*answer.body, answer.fields.len()),
        (503, &b"<p>back soon</p>"[..], 2)
    );
}

#[test]
fn credentials_are_asked_for_and_remembered() {
    let bcrypt = bcrypt::hash("s3cret", 4).expect("a hash");
    let file = format!("# users\njoe:{bcrypt}\n");
    let argon = {
        use argon2::{Argon2, CustomizedPasswordHasher as _, Params};
        let params = Params::new(8, 1, 1, None).expect("small");
        let hash = Argon2::default().hash_password_customized(
            b"pa:ss",
            b"saltsaltsalt",
            None,
            None,
            params,
        );
        hash.expect("a hash").to_string()
    };
    let json = format!(
        r#"[{{"basic_auth": {{"realm": "shop", "users": {{"ann": "{argon}"}}, "file": "htpasswd",
            "forward": false, "user_header": "X-User"}}}}, {{"deny": {{"path": "/no"}}}}]"#
    );
    let chain = chain_with(&json, &[("htpasswd", &file)]);
    let basic = |text: &str| {
        use base64::Engine as _;
        format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(text))
    };
    let at = |secs| Instant::START + std::time::Duration::from_secs(secs);
    // What has been checked is no check any more, for a while.
    let attempt = |value: &str, path: &str, now: Instant| {
        let fields: Table<'_> = &[("authorization", value)];
        let line = format!("GET a {path}");
        let asked = asked(&line, &fields);
        let (mut edits, mut passage, mut checks) = (Edits::default(), Passage::default(), 0);
        loop {
            match chain.on_request(&asked, now, &mut passage, &mut edits) {
                Outcome::Pass => return (200, checks, applied(&edits, fields)),
                Outcome::Answer(reply, _) => return (reply.status, checks, Vec::new()),
                Outcome::Check(check) => {
                    checks += 1;
                    chain.learn(&passage, &check, check.run(), now);
                }
            }
        }
    };
    let passed = |name: &str| vec![format!("X-User: {name}")];
    assert_eq!(attempt(&basic("joe:s3cret"), "/", at(0)), (200, 1, passed("joe")));
    assert_eq!(attempt(&basic("joe:s3cret"), "/", at(299)), (200, 0, passed("joe")));
    assert_eq!(attempt(&basic("joe:s3cret"), "/no", at(299)), (403, 0, vec![]));
    assert_eq!(attempt(&basic("joe:s3cret"), "/", at(301)), (200, 1, passed("joe")));
    assert_eq!(attempt(&basic("ann:pa:ss"), "/", at(0)), (200, 1, passed("ann")));
    for (bad, checks) in [
        (basic("joe:secret"), 1),
        (basic("joe:secret"), 0),
        (basic("ann:s3cret"), 1),
        // Nobody's name takes as long.
        (basic("eve:s3cret"), 1),
        (basic("eve:pa:ss"), 1),
        (basic("joe"), 0),
        ("Basic ???".to_owned(), 0),
        ("Bearer abc".to_owned(), 0),
        ("Basic".to_owned(), 0),
        (basic(&format!("joe:{}", "x".repeat(2000))), 0),
    ] {
        assert_eq!(attempt(&bad, "/", at(0)), (401, checks, vec![]), "{bad}");
    }
    let Outcome::Answer(refusal, number) = run(&chain, "GET a /", &[]).0 else { panic!("refused") };
    assert_eq!((refusal.status, FILTERS[number].name), (401, "basic_auth"));
    let challenge = &refusal.fields[1];
    assert_eq!(challenge.0, "WWW-Authenticate");
    assert_eq!(challenge.1, b"Basic realm=\"shop\", charset=\"UTF-8\"");
    let elsewhere = chain_with(
        r#"[{"basic_auth": {"when": {"prefix": "/in/"}, "file": "htpasswd", "user_header": "X-User"}}]"#,
        &[("htpasswd", &file)],
    );
    let claims: Table<'_> = &[("x-user", "admin"), ("a", "b")];
    let (outcome, edits, _) = run(&elsewhere, "GET a /", claims);
    assert_eq!((outcome, applied(&edits, claims)), (Outcome::Pass, vec!["a: b".to_owned()]));
    let two: Table<'_> = &[("authorization", &basic("joe:s3cret")), ("Authorization", "Basic x")];
    assert_eq!(status(&chain, "GET a /", two), 401);
}

/// Whether the codec would take this for a target, and a client for one path of the same host.
fn is_target(target: &[u8]) -> bool {
    target.starts_with(b"/")
        && !target.starts_with(b"//")
        && !target.starts_with(b"/\\")
        && target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#')
}

/// What clients can send as a path: anything printable but `#`.
fn paths() -> impl Strategy<Value = String> {
    "(/(old|api|%6fld|[!-\"$-~]{0,6}|\\.|\\.\\.|%0[dDaA]|%2[0fF]|%5[cC]|%23|%c3%bc)){1,4}(\\?[!-\"$-~]{0,6})?"
}

proptest! {
    #[test]
    fn what_is_made_is_always_a_target(
        path in paths(),
        config in prop::sample::select(&[
            r#"{"prefix": "/old", "to": "/"}"#,
            r#"{"prefix": "/", "to": "/x/"}"#,
            r#"{"prefix": "/api/", "to": "/"}"#,
            r#"{"regex": "^/old(.*)$", "to": "$1"}"#,
            r#"{"regex": "^/(.*)$", "to": "/$1"}"#,
            r#"{"regex": "(.)", "to": "/${1}${1}?q=$1"}"#,
            r#"{"regex": "/", "to": ""}"#,
            r#"{"to": "/fixed?x=1"}"#,
        ][..]),
    ) {
        let line = format!("GET a {path}");
        let rewrite = chain(&format!(r#"[{{"rewrite": {config}}}]"#));
        if let Some(target) = run(&rewrite, &line, &[]).1.target {
            prop_assert!(is_target(&target), "{}", String::from_utf8_lossy(&target));
        }
        let redirect = chain(&format!(r#"[{{"redirect": {config}}}]"#));
        if let Outcome::Answer(reply, _) = run(&redirect, &line, &[]).0 {
            let location = &reply.fields[0].1;
            prop_assert!(is_target(location), "{}", String::from_utf8_lossy(location));
        }
    }

    /// What was denied by its plain name is denied however it is written.
    #[test]
    fn nobody_gets_around_a_denied_path(
        noise in prop::collection::vec(prop::sample::select(&["/", "/.", "/x/..", "/%2e", "/%2E%2e", "\\", "/x/%2e./", "%2f"][..]), 0..5),
        encoded in prop::collection::vec(any::<bool>(), 5),
        after in prop::sample::select(&["", "/", "/x", "?q", ";a", "%2fx"][..]),
    ) {
        let name: String = "admin".chars().zip(encoded).map(|(letter, encoded)| {
            if encoded { format!("%{:02x}", letter as u32) } else { letter.to_string() }
        }).collect();
        let line = format!("GET a /{}/{name}{after}", noise.concat());
        let chain = chain(r#"[{"deny": {"prefix": "/admin"}}]"#);
        prop_assert_eq!(status(&chain, &line, &[]), 403, "{}", line);
    }

    /// Whatever clients and endpoints send in fields that are rewritten, nothing in the new value ends a line.
    #[test]
    fn what_becomes_of_values_is_a_value(value in "[\t -~]{0,20}") {
        let fields: Table<'_> = &[("X-A", &value)];
        let chain = chain(
            r#"[{"request_header": {"rewrite": {"X-A": {"regex": "(.)(.*)", "with": "$2 $$ $1"}}}}]"#,
        );
        for (_, made) in run(&chain, "GET a /", fields).1.added() {
            prop_assert!(made.iter().all(|byte| *byte == b'\t' || (b' '..=b'~').contains(byte)));
        }
    }
}
