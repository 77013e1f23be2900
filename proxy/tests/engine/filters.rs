//! Filters over real sockets: who is refused and with what, what the endpoint and the client get to see, and that passwords hold
//! nobody up.

use std::{fmt::Write as _, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::support::{Message, Origin, Rig, configured, eventually, with_admin};

/// An origin that answers with the head that it was sent.
fn echo() -> Origin {
    Origin::serving(|mut wire| {
        while wire.is_asked() {
            let asked = wire.request();
            let mut response = String::new();
            let head = format!("{}{}", asked.head, asked.trailers);
            let _ = write!(
                response,
                "HTTP/1.1 200 OK\r\nServer: origin/1\r\nX-Internal-Node: 7\r\nContent-Length: {}\r\n\r\n{head}",
                head.len()
            );
            wire.send(response);
        }
    })
}

/// A proxy with these lines in its configuration, before one origin.
fn rig(lines: &str) -> (Origin, Rig) {
    let origin = echo();
    let mut config = configured(&format!("endpoints = [\"{}\"]\n{lines}", origin.address()));
    config.forwarding.trusted = vec!["127.0.0.0/8".parse().expect("a range")];
    (origin, Rig::start(with_admin(config)))
}

/// The answer to a request with these further fields.
fn ask(rig: &Rig, line: &str, fields: &str) -> Message {
    let mut client = rig.client();
    client.send(format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n"));
    client.response()
}

/// So many requests were answered by the filter of this name.
fn has_filtered(rig: &Rig, name: &str, count: u64) {
    eventually(name, || rig.admin_json()["requests"]["by_filter"][name].as_u64() == Some(count));
    let metrics = rig.admin("/metrics");
    let line = format!("proxy_filtered_total{{filter=\"{name}\"}} {count}\n");
    assert!(metrics.text().contains(&line), "{line}");
}

#[test]
fn who_is_denied_does_not_reach_the_origin() {
    let (_origin, rig) =
        rig("filter = [{ deny = { prefix = \"/admin\", address = \"10.0.0.0/8\" } }]");
    let from = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    for path in ["/admin", "/%61dmin/x", "//admin", "/x/..%2fadmin", "http://a/admin"] {
        let refused = ask(&rig, &format!("GET {path}"), &from("10.1.2.3"));
        assert_eq!(refused.status(), 403, "{path}");
        let why = refused.field("Proxy-Status").expect("it says why");
        assert!(why.contains("http_request_denied") && why.contains("denied"), "{why}");
    }
    for (path, address) in [("/admin", "192.0.2.1"), ("/x", "10.1.2.3")] {
        assert_eq!(ask(&rig, &format!("GET {path}"), &from(address)).status(), 200, "{path}");
    }
    has_filtered(&rig, "deny", 5);
    has_filtered(&rig, "allow", 0);
}

#[test]
fn a_refused_connection_goes_on() {
    let (_origin, rig) = rig("filter = [{ deny = { method = \"PUT\" } }]");
    let mut client = rig.client();
    for _ in 0..3 {
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response().status(), 403);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 200);
    }
}

#[test]
fn heads_are_changed_on_both_ways() {
    let (_origin, rig) = rig(r#"
        [[filter]]
        request_header = { set = { X-Env = "prod", Host = "inner" }, remove = ["Cookie", "X-Debug-*"] }
        [[filter]]
        rewrite = { prefix = "/api/", to = "/v2/" }
        [[filter]]
        response_header = { remove = ["Server", "X-Internal-*"], add = { Vary = "Accept" } }
        "#);
    let response = ask(
        &rig,
        "GET /api/x?y=1",
        "Cookie: a=1\r\nX-Debug-Level: 9\r\nx-env: test\r\nX-Other: 1\r\n",
    );
    let sent = response.text();
    assert!(sent.starts_with("GET /v2/x?y=1 HTTP/1.1\r\nHost: inner\r\n"), "{sent}");
    assert!(sent.contains("X-Env: prod\r\n") && sent.contains("X-Other: 1\r\n"), "{sent}");
    for absent in ["Cookie", "X-Debug", "x-env: test"] {
        assert!(!sent.contains(absent), "{sent}");
    }
    assert_eq!(response.field("Vary").as_deref(), Some("Accept"));
    assert!(!response.head.contains("Server") && !response.head.contains("X-Internal"));
}

#[test]
fn clients_are_redirected_and_answered() {
    let (_origin, rig) = rig(r#"
        [[filter]]
        response_header = { set = { X-Frame-Options = "DENY" } }
        [[filter]]
        redirect = { prefix = "/old/", to = "/new/", status = 308 }
        [[filter]]
        answer = { when = { path = "/robots.txt" }, body = "Disallow: /\n" }
        "#);
    let sent = ask(&rig, "GET /old/x?y", "");
    assert_eq!((sent.status(), sent.field("Location").as_deref()), (308, Some("/new/x?y")));
    assert_eq!(sent.field("X-Frame-Options").as_deref(), Some("DENY"));
    assert_eq!((sent.body.len(), sent.field("Proxy-Status")), (0, None));
    let robots = ask(&rig, "GET /robots.txt", "");
    assert_eq!((robots.status(), robots.text()), (200, "Disallow: /\n"));
    has_filtered(&rig, "redirect", 1);
    has_filtered(&rig, "answer", 1);
}

#[test]
fn bodies_are_limited_whether_they_say_their_length_or_not() {
    let (_origin, rig) = rig("filter = [{ size = { body = \"4B\", fields = 8 } }]");
    let mut declared = rig.client();
    declared.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(declared.response().status(), 413);
    let mut streamed = rig.client();
    streamed.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    assert_eq!(streamed.response().status(), 413);
    let mut fits = rig.client();
    fits.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n0\r\n\r\n",
    );
    assert_eq!(fits.response().status(), 200);
    assert_eq!(ask(&rig, "GET /", &"X-A: 1\r\n".repeat(9)).status(), 431);
    has_filtered(&rig, "size", 2);
    rig.has_faults("body_too_large", 1);
}

#[test]
fn a_route_has_filters_of_its_own_after_the_proxys() {
    let (_origin, rig) = rig(r#"
        [[filter]]
        deny = { method = "PUT" }
        [[routes]]
        match = { prefix = "/a/" }
        filter = [{ deny = { header = { X-Key = false } } }, { rewrite = { prefix = "/a/", to = "/" } }]
        "#);
    assert_eq!(ask(&rig, "GET /a/x", "").status(), 403);
    let passed = ask(&rig, "GET /a/x", "X-Key: 1\r\n");
    assert!(passed.text().starts_with("GET /x HTTP/1.1"), "{}", passed.text());
    assert_eq!(ask(&rig, "PUT /a/x", "X-Key: 1\r\nContent-Length: 0\r\n").status(), 403);
    assert_eq!(ask(&rig, "GET /x", "").status(), 200);
}

fn basic(credentials: &str) -> String {
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(credentials))
}

/// Filters that let in joe with `s3cret`; each new try costs a hash of this cost.
fn guarded(cost: u32) -> (Origin, Rig) {
    let hash = bcrypt::hash("s3cret", cost).expect("a hash");
    rig(&format!(
        "filter = [{{ basic_auth = {{ users = {{ joe = \"{hash}\" }}, user_header = \"X-User\", forward = false }} }}]"
    ))
}

#[test]
fn a_password_lets_in() {
    let (_origin, rig) = guarded(4);
    let asked = ask(&rig, "GET /", "");
    assert_eq!(asked.status(), 401);
    let challenge = asked.field("WWW-Authenticate");
    assert_eq!(challenge.as_deref(), Some("Basic realm=\"restricted\", charset=\"UTF-8\""));
    for _ in 0..2 {
        let passed = ask(&rig, "GET /", &format!("{}X-User: admin\r\n", basic("joe:s3cret")));
        assert_eq!(passed.status(), 200);
        let sent = passed.text();
        assert!(sent.contains("X-User: joe\r\n") && !sent.contains("admin"), "{sent}");
        assert!(!sent.contains("Authorization"), "{sent}");
        for wrong in ["joe:secret", "eve:s3cret", "joe"] {
            assert_eq!(ask(&rig, "GET /", &basic(wrong)).status(), 401, "{wrong}");
        }
    }
    // A body waits in the connection while the password is checked.
    let mut client = rig.client();
    let fields = basic("joe:other");
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 5\r\n\r\nhello"));
    assert_eq!(client.response().status(), 401);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\n{}Content-Length: 5\r\n\r\nhello",
        basic("joe:s3cret")
    ));
    assert_eq!(client.response().status(), 200);
    drop(client);
    has_filtered(&rig, "basic_auth", 8);
    rig.is_quiet_again();
}

#[test]
fn while_a_password_is_checked_others_are_served() {
    // A quarter of a second of computing for each, on the one worker that there is.
    let (_origin, rig) = guarded(12);
    let mut guessing: Vec<_> = (0..40).map(|_| rig.client()).collect();
    for (number, client) in guessing.iter_mut().enumerate() {
        let fields = basic(&format!("joe:{number}"));
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    }
    for _ in 0..20 {
        assert_eq!(ask(&rig, "GET /", "").status(), 401);
    }
    // These were answered while most who guess still waited.
    let answered = rig.admin_json()["requests"]["by_filter"]["basic_auth"].as_u64();
    assert!(answered.is_some_and(|answered| (20..60).contains(&answered)), "{answered:?}");
    // Who goes away waits no more, and who is left has its turn.
    guessing.truncate(1);
    assert_eq!(guessing[0].response().status(), 401);
    drop(guessing);
    rig.is_quiet_again();
}

#[test]
fn one_password_on_many_connections_is_checked_once() {
    let (_origin, rig) = guarded(4);
    let mut clients: Vec<_> = (0..60).map(|_| rig.client()).collect();
    for client in &mut clients {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", basic("joe:s3cret")));
    }
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
}

#[test]
fn files_are_read_with_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("bad.txt"), "# bots\ncurl\n").expect("it can be written");
    let lines = "filter = [{ deny = { user_agent_file = \"bad.txt\" } }]";
    let origin = echo();
    let text = format!("endpoints = [\"{}\"]\n{lines}", origin.address());
    let document = proxy::config::document::Document::parse("proxy.toml", &text).expect("TOML");
    let mut config: proxy::config::ProxyConfig = document.read().expect("a configuration");
    let unread = config.problems();
    assert_eq!(unread.len(), 1);
    assert_eq!(config.read_files(Path::new("/nowhere")).len(), 1);
    assert_eq!(config.read_files(folder.path()), []);
    assert_eq!(config.problems(), []);
    // A change of it need not read them again.
    let mut changed: proxy::config::ProxyConfig = document.read().expect("a configuration");
    changed.share_files(&config);
    assert_eq!(changed, config);
    config.listen = crate::support::ANY;
    config.workers = Some(1);
    let rig = Rig::start(config);
    assert_eq!(ask(&rig, "GET /", "User-Agent: CURL/8\r\n").status(), 403);
    assert_eq!(ask(&rig, "GET /", "User-Agent: wget\r\n").status(), 200);
}

#[test]
fn what_is_cached_is_given_to_those_only_who_may_pass() {
    let origin = Origin::serving(|mut wire| {
        while wire.is_asked() {
            wire.request();
            wire.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nServer: o\r\nContent-Length: 2\r\n\r\nhi");
        }
    });
    let rig = Rig::start(configured(&format!(
        r#"
        endpoints = ["{}"]
        filter = [
            {{ deny = {{ header = {{ X-Bad = true }} }} }},
            {{ rewrite = {{ prefix = "/old/", to = "/new/" }} }},
            {{ response_header = {{ remove = "Server", set = {{ X-Seen = "1" }} }} }},
        ]
        [cache]
        enabled = true
        "#,
        origin.address()
    )));
    for hit in [false, true, true] {
        let response = ask(&rig, "GET /new/x", "");
        let status = response.field("Cache-Status").expect("it says where it was");
        assert_eq!((response.text(), status.contains("hit")), ("hi", hit), "{status}");
        assert_eq!(
            (response.field("X-Seen").as_deref(), response.field("Server")),
            (Some("1"), None)
        );
        assert_eq!(ask(&rig, "GET /new/x", "X-Bad: 1\r\n").status(), 403);
    }
}
