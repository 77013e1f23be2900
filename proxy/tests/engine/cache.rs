//! The cache, on the wire: what clients get from it, and what it asks of the origin.

use std::sync::{Arc, Mutex, PoisonError};

use proxy::config::ProxyConfig;

use crate::support::{Message, Origin, Rig, Wire, config, configured, eventually, pattern};

/// The configuration with a cache before this origin.
pub(crate) fn caching(origin: &Origin) -> ProxyConfig {
    let mut config = config(&[origin.address()]);
    config.cache.enabled = true;
    config
}

/// What an origin was asked, in the order in which it was.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<Vec<Message>>>);

impl Asked {
    fn note(&self, request: Message) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(request);
        all.len()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn nth(&self, index: usize) -> Message {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[index].clone()
    }
}

/// An origin that answers its nth request (from 1) with what `answer` says; it closes where that is nothing.
pub(crate) fn origin(
    answer: impl Fn(usize, &Message) -> Vec<u8> + Send + Sync + 'static,
) -> (Origin, Asked) {
    let asked = Asked::default();
    let notes = asked.clone();
    let origin = Origin::serving(move |mut wire| {
        while wire.is_asked() {
            let Ok(request) = wire.try_request() else { return };
            let number = notes.note(request.clone());
            let answer = answer(number, &request);
            if answer.is_empty() || wire.try_send(answer).is_err() {
                return;
            }
        }
    });
    (origin, asked)
}

/// An answer with these fields and this body.
pub(crate) fn with(fields: &str, body: &str) -> Vec<u8> {
    status(200, fields, body)
}

/// The same with a status.
pub(crate) fn status(status: u16, fields: &str, body: &str) -> Vec<u8> {
    let lines = lines(fields);
    let length =
        if status == 304 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("HTTP/1.1 {status} X\r\n{lines}{length}\r\n{body}").into_bytes()
}

/// One that is always the same.
pub(crate) fn always(fields: &'static str, body: &'static str) -> (Origin, Asked) {
    origin(move |_, _| with(fields, body))
}

/// The response to one GET with these fields.
pub(crate) fn get(rig: &Rig, path: &str, fields: &str) -> Message {
    let mut client = rig.client();
    client.send(request("GET", path, fields));
    client.response()
}

/// A request, whose connection ends with it.
pub(crate) fn request(method: &str, path: &str, fields: &str) -> String {
    let lines = lines(fields);
    format!("{method} {path} HTTP/1.1\r\nHost: shop\r\n{lines}Connection: close\r\n\r\n")
}

/// Fields as they are on the wire.
fn lines(fields: &str) -> String {
    fields.lines().flat_map(|line| [line.trim(), "\r\n"]).collect()
}

/// What the response says of the cache.
pub(crate) fn told(response: &Message) -> String {
    response.field("Cache-Status").unwrap_or_default()
}

#[test]
fn a_hit_asks_nobody() {
    let (origin, asked) = always("Cache-Control: max-age=60\nETag: \"1\"\nX-Own: yes", "hello");
    let rig = Rig::start(caching(&origin));
    let first = get(&rig, "/a", "");
    assert_eq!((first.text(), first.field("Age")), ("hello", None));
    assert!(told(&first).contains("fwd=uri-miss"), "{}", first.head);
    eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 1);
    // More than one over a connection.
    let mut client = rig.client();
    for _ in 0..3 {
        client.send("GET /a HTTP/1.1\r\nHost: shop\r\n\r\n");
        let second = client.response();
        assert_eq!((second.status(), second.text()), (200, "hello"));
        assert!(
            told(&second).contains("; hit") || told(&second).contains(";hit"),
            "{}",
            second.head
        );
        assert_eq!(second.field("Age").as_deref(), Some("0"));
        assert_eq!(second.field("X-Own").as_deref(), Some("yes"));
        assert_eq!(second.field("Via"), first.field("Via"));
        assert_eq!(second.field("Date"), first.field("Date"));
    }
    assert_eq!(asked.count(), 1);
    // Another URL is another thing.
    assert!(told(&get(&rig, "/b", "")).contains("fwd=uri-miss"));
    assert_eq!(asked.count(), 2);
    eventually("all is counted", || rig.sum(|stats| &stats.requests) == 5);
    assert_eq!(rig.sum(|stats| &stats.cache.hits), 3);
    assert_eq!(rig.sum(|stats| &stats.cache.misses), 2);
    assert_eq!(rig.sum(|stats| &stats.cache.bytes), 15);
    assert_eq!(rig.sum(|stats| &stats.bytes_sent), 25);
    drop(client);
    rig.is_quiet_again();
}

#[test]
fn without_a_cache_nothing_is_kept_and_nothing_is_said() {
    let (origin, asked) = always("Cache-Control: max-age=60", "hello");
    let rig = Rig::start(config(&[origin.address()]));
    for _ in 0..2 {
        assert_eq!(get(&rig, "/a", "").field("Cache-Status"), None);
    }
    assert_eq!(asked.count(), 2);
}

#[test]
fn a_client_that_has_it_already_and_one_that_wants_a_part() {
    let (origin, asked) = always(
        "Cache-Control: max-age=60\nETag: \"1\"\nContent-Type: text/plain\nLast-Modified: Thu, 01 Jan 1970 00:00:01 GMT",
        "0123456789",
    );
    let rig = Rig::start(caching(&origin));
    get(&rig, "/a", "");
    eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 1);

    let same = get(&rig, "/a", "If-None-Match: \"0\", W/\"1\"");
    assert_eq!((same.status(), same.field("ETag").as_deref()), (304, Some("\"1\"")));
    assert_eq!((same.field("Content-Type"), same.field("Content-Length")), (None, None));
    assert!(same.field("Age").is_some() && same.field("Cache-Control").is_some(), "{}", same.head);
    assert_eq!(get(&rig, "/a", "If-None-Match: \"0\"").text(), "0123456789");

    let part = get(&rig, "/a", "Range: bytes=2-4");
    assert_eq!((part.status(), part.text()), (206, "234"));
    assert_eq!(part.field("Content-Range").as_deref(), Some("bytes 2-4/10"));
    assert_eq!(part.field("Content-Type").as_deref(), Some("text/plain"));
    assert_eq!(get(&rig, "/a", "Range: bytes=-3").text(), "789");
    assert_eq!(get(&rig, "/a", "Range: bytes=2-4\nIf-Range: \"0\"").text(), "0123456789");
    let beyond = get(&rig, "/a", "Range: bytes=10-");
    assert_eq!((beyond.status(), beyond.text()), (416, ""));
    assert_eq!(beyond.field("Content-Range").as_deref(), Some("bytes */10"));

    let mut client = rig.client();
    client.send(request("HEAD", "/a", ""));
    let head = client.response_to_head();
    assert_eq!((head.status(), head.field("Content-Length").as_deref()), (200, Some("10")));
    client.ends();
    assert_eq!(asked.count(), 1);
}

#[test]
fn a_client_of_http_1_0() {
    let (origin, asked) = always("Cache-Control: max-age=60", "hello");
    let rig = Rig::start(caching(&origin));
    get(&rig, "/a", "");
    eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 1);
    let mut client = rig.client();
    client.send("GET /a HTTP/1.0\r\nHost: shop\r\nConnection: keep-alive\r\n\r\n");
    let kept = client.response();
    assert_eq!((kept.text(), kept.field("Connection").as_deref()), ("hello", Some("keep-alive")));
    client.send("GET /a HTTP/1.0\r\nHost: shop\r\n\r\n");
    assert_eq!(client.response().text(), "hello");
    client.ends();
    assert_eq!(asked.count(), 1);
}

#[test]
fn pipelined_hits_are_answered_in_order() {
    let (origin, asked) = origin(|_, request| {
        with("Cache-Control: max-age=60", request.start().split(' ').nth(1).unwrap_or_default())
    });
    let rig = Rig::start(caching(&origin));
    for path in ["/a", "/b"] {
        get(&rig, path, "");
    }
    eventually("both are stored", || rig.sum(|stats| &stats.cache.stored) == 2);
    let mut client = rig.client();
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n");
    client.send(format!("{}{}{}", ask("/a"), ask("/b"), ask("/a")));
    for path in ["/a", "/b", "/a"] {
        assert_eq!(client.response().text(), path);
    }
    assert_eq!(asked.count(), 2);
}

#[test]
fn what_must_be_validated_is_asked_for_and_answered_from_the_store() {
    let (origin, asked) = origin(|number, request| match number {
        1 => with("Cache-Control: no-cache\nETag: \"1\"\nX-Which: first", "hello"),
        2 => {
            assert_eq!(request.field("If-None-Match").as_deref(), Some("\"1\""));
            status(304, "Cache-Control: no-cache\nETag: \"1\"\nX-Which: second", "")
        }
        _ => with("Cache-Control: no-cache\nETag: \"2\"", "other"),
    });
    let rig = Rig::start(caching(&origin));
    assert_eq!(get(&rig, "/a", "").text(), "hello");
    let second = get(&rig, "/a", "");
    assert_eq!((second.status(), second.text()), (200, "hello"));
    assert_eq!(second.field("X-Which").as_deref(), Some("second"), "the stored head is freshened");
    assert!(told(&second).contains("fwd-status=304"), "{}", second.head);
    // What has changed takes its place, and the client gets it.
    assert_eq!(get(&rig, "/a", "").text(), "other");
    assert_eq!(asked.nth(2).field("If-None-Match").as_deref(), Some("\"1\""));
    get(&rig, "/a", "");
    assert_eq!(asked.nth(3).field("If-None-Match").as_deref(), Some("\"2\""));
    eventually("it is counted", || rig.sum(|stats| &stats.cache.revalidated) == 1);
    // The connection to the origin was kept through all of it.
    assert_eq!(rig.sum(|stats| &stats.upstream_connects), 1);
}

#[test]
fn a_client_with_its_own_validator_is_told_that_it_has_what_is_stored() {
    let (origin, asked) = origin(|number, _| match number {
        1 => with("Cache-Control: no-cache\nETag: \"1\"", "hello"),
        _ => status(304, "ETag: \"1\"", ""),
    });
    let rig = Rig::start(caching(&origin));
    get(&rig, "/a", "");
    let told = get(&rig, "/a", "If-None-Match: \"1\"");
    assert_eq!((told.status(), asked.count()), (304, 2));
    assert_eq!(get(&rig, "/a", "If-None-Match: \"0\"").text(), "hello");
}

#[test]
fn stale_is_better_than_an_error_where_that_is_allowed() {
    let (origin, asked) = origin(|number, request| {
        let strict = request.start().contains("strict");
        match number {
            1 | 2 if strict => {
                with("Cache-Control: max-age=0, must-revalidate\nETag: \"1\"", "hello")
            }
            1 | 2 => with("Cache-Control: max-age=0, stale-if-error=60\nETag: \"1\"", "hello"),
            3 | 4 => status(503, "", "down"),
            // It closes, and says nothing.
            _ => Vec::new(),
        }
    });
    let rig = Rig::start(caching(&origin));
    for path in ["/lenient", "/strict"] {
        assert_eq!(get(&rig, path, "").text(), "hello");
    }
    let stale = get(&rig, "/lenient", "");
    assert_eq!((stale.status(), stale.text()), (200, "hello"));
    assert_eq!(get(&rig, "/strict", "").status(), 503);
    assert_eq!(get(&rig, "/lenient", "").text(), "hello", "nobody answers at all");
    assert_eq!(get(&rig, "/strict", "").status(), 502);
    assert!(asked.count() >= 6);
    eventually("it is counted", || rig.sum(|stats| &stats.cache.stale) == 2);
    rig.is_quiet_again();
}

#[test]
fn stale_is_given_while_it_is_fetched_anew() {
    let (origin, asked) = origin(|number, _| {
        let body = format!("answer {number}");
        let fields = "Cache-Control: max-age=0, stale-while-revalidate=60\nETag: \"1\"";
        with(fields, &body)
    });
    let rig = Rig::start(caching(&origin));
    assert_eq!(get(&rig, "/a", "").text(), "answer 1");
    assert_eq!(get(&rig, "/a", "").text(), "answer 1", "it is stale, and there at once");
    eventually("it is fetched", || asked.count() == 2);
    assert_eq!(asked.nth(1).field("If-None-Match").as_deref(), Some("\"1\""));
    eventually("the next one gets the new one", || get(&rig, "/a", "").text() != "answer 1");
    assert!(rig.sum(|stats| &stats.cache.refreshes) >= 1);
    rig.is_quiet_again();
}

#[test]
fn nobody_is_asked_where_the_client_wants_only_what_is_there() {
    let (origin, asked) = always("Cache-Control: max-age=60", "hello");
    let rig = Rig::start(caching(&origin));
    assert_eq!(get(&rig, "/a", "Cache-Control: only-if-cached").status(), 504);
    assert_eq!(asked.count(), 0);
    get(&rig, "/a", "");
    assert_eq!(get(&rig, "/a", "Cache-Control: only-if-cached").text(), "hello");
}

#[test]
fn what_differs_by_a_field_is_stored_apart() {
    let (origin, asked) = origin(|_, request| {
        let language = request.field("Accept-Language").unwrap_or_default();
        with("Cache-Control: max-age=60\nVary: Accept-Language", &language)
    });
    let rig = Rig::start(caching(&origin));
    for _ in 0..2 {
        for language in ["de", "fr"] {
            let fields = format!("Accept-Language: {language}");
            assert_eq!(get(&rig, "/a", &fields).text(), language);
        }
        eventually("both are stored", || rig.sum(|stats| &stats.cache.stored) == 2);
    }
    assert_eq!(asked.count(), 2);
}

#[test]
fn what_changes_something_makes_what_is_stored_invalid() {
    let (origin, asked) = origin(|number, request| {
        let body = format!("answer {number}");
        let extra = if request.start().starts_with("POST") { "\nLocation: /b" } else { "" };
        with(&format!("Cache-Control: max-age=60{extra}"), &body)
    });
    let rig = Rig::start(caching(&origin));
    for path in ["/a", "/b", "/c"] {
        get(&rig, path, "");
    }
    eventually("all are stored", || rig.sum(|stats| &stats.cache.stored) == 3);
    let mut client = rig.client();
    client
        .send("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    assert_eq!(client.response().text(), "answer 4");
    assert_eq!(get(&rig, "/a", "").text(), "answer 5");
    assert_eq!(get(&rig, "/b", "").text(), "answer 6", "it said that it is there now");
    assert_eq!(get(&rig, "/c", "").text(), "answer 3");
    assert_eq!(asked.count(), 6);
}

#[test]
fn a_body_in_chunks_is_stored_with_its_length() {
    let (origin, asked) = origin(|_, _| {
        let head =
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n").into_bytes()
    });
    let rig = Rig::start(caching(&origin));
    let first = get(&rig, "/a", "");
    assert_eq!((first.text(), first.field("Content-Length")), ("hello world", None));
    eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 1);
    let second = get(&rig, "/a", "");
    assert_eq!(
        (second.text(), second.field("Content-Length").as_deref()),
        ("hello world", Some("11"))
    );
    assert_eq!(asked.count(), 1);
}

#[test]
fn what_is_too_large_passes_and_is_not_stored() {
    let body = pattern(100_000);
    let sent = body.clone();
    let (origin, asked) = origin(move |_, request| {
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
        // One says so at once, of the other it turns out.
        let mut answer = if request.start().contains("/known") {
            format!("{head}Content-Length: {}\r\n\r\n", sent.len()).into_bytes()
        } else {
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", sent.len()).into_bytes()
        };
        answer.extend_from_slice(&sent);
        if !request.start().contains("/known") {
            answer.extend_from_slice(b"\r\n0\r\n\r\n");
        }
        answer
    });
    let mut config = caching(&origin);
    config.cache.object = policy::quantity::ByteSize(99_999);
    let rig = Rig::start(config);
    for path in ["/known", "/unknown", "/known", "/unknown"] {
        assert!(get(&rig, path, "").body == body, "{path}");
    }
    assert_eq!((asked.count(), rig.sum(|stats| &stats.cache.stored)), (4, 0));
}

#[test]
fn what_broke_off_is_not_stored() {
    let broken = Origin::serving(move |mut wire| {
        if wire.is_asked() {
            wire.request();
            wire.send(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nhello",
            );
        }
    });
    let rig = Rig::start(caching(&broken));
    for _ in 0..2 {
        let mut client = rig.client();
        client.send(request("GET", "/a", ""));
        let seen = client.breaks();
        assert!(seen.ends_with(b"hello"));
    }
    assert_eq!(rig.sum(|stats| &stats.cache.stored), 0);
    rig.is_quiet_again();
}

#[test]
fn a_slow_client_holds_up_nobody() {
    let body = pattern(4 << 20);
    let sent = body.clone();
    let (origin, asked) = origin(move |_, _| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {}\r\n\r\n",
            sent.len()
        );
        [head.as_bytes(), &sent].concat()
    });
    let rig = Rig::start(caching(&origin));
    assert!(get(&rig, "/a", "").body == body);
    eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 1);
    let mut slow = Wire::connect_narrow(rig.proxy.address());
    slow.send(request("GET", "/a", ""));
    // It takes nothing, and others take all of it meanwhile.
    for _ in 0..3 {
        assert!(get(&rig, "/a", "").body == body);
    }
    assert!(slow.response().body == body);
    // One that goes in the middle leaves nothing behind.
    let mut gone = Wire::connect_narrow(rig.proxy.address());
    gone.send(request("GET", "/a", ""));
    gone.head();
    gone.reset();
    assert_eq!(asked.count(), 1);
    rig.is_quiet_again();
}

#[test]
fn the_store_outlives_a_change_of_the_configuration() {
    let (origin, asked) = always("Cache-Control: max-age=60", "hello");
    let rig = Rig::start(caching(&origin));
    get(&rig, "/a", "");
    eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 1);
    let mut other = caching(&origin);
    other.timeouts.keep_alive = policy::quantity::TimeSpan::secs(1);
    other.cache.stale_if_error = Some(policy::quantity::TimeSpan::secs(1));
    rig.proxy.reload(other).expect("a possible configuration");
    assert_eq!(get(&rig, "/a", "").text(), "hello");
    assert_eq!(asked.count(), 1);
    // Another size is another store.
    let mut other = caching(&origin);
    other.cache.size = policy::quantity::ByteSize(64 << 20);
    rig.proxy.reload(other).expect("a possible configuration");
    eventually("it has forgotten", || {
        get(&rig, "/a", "");
        asked.count() == 2
    });
}

#[test]
fn parts_that_make_a_whole_are_put_together() {
    let (origin, asked) = origin(|_, request| {
        let range = request.field("Range").unwrap_or_default();
        let (first, last) = if range == "bytes=0-4" { (0, 4) } else { (5, 9) };
        let body = &"0123456789"[first..=last];
        let fields = format!(
            "Cache-Control: max-age=60\nETag: \"1\"\nContent-Range: bytes {first}-{last}/10"
        );
        status(206, &fields, body)
    });
    let rig = Rig::start(caching(&origin));
    for (index, (range, text)) in [("0-4", "01234"), ("5-9", "56789")].into_iter().enumerate() {
        let part = get(&rig, "/a", &format!("Range: bytes={range}"));
        assert_eq!((part.status(), part.text()), (206, text));
        eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == index as u64 + 1);
    }
    let across = get(&rig, "/a", "Range: bytes=3-6");
    assert_eq!((across.status(), across.text()), (206, "3456"));
    let whole = get(&rig, "/a", "");
    assert_eq!((whole.status(), whole.text()), (200, "0123456789"));
    assert_eq!(asked.count(), 2);
}

#[test]
fn what_two_upstreams_answer_for_one_url_is_kept_apart() {
    let (ours, asked) = always("Cache-Control: max-age=60", "ours");
    let (theirs, asked_there) = always("Cache-Control: max-age=60", "theirs");
    let text = format!(
        "endpoints = [\"{}\"]\ncache = {{ enabled = true }}\n[upstreams.other]\nendpoints = [\"{}\"]\n\
         [[routes]]\nmatch = {{ header = {{ X-Other = \"yes\" }} }}\nupstream = \"other\"",
        ours.address(),
        theirs.address(),
    );
    let rig = Rig::start(configured(&text));
    for _ in 0..2 {
        assert_eq!(get(&rig, "/a", "").text(), "ours");
        assert_eq!(get(&rig, "/a", "X-Other: yes").text(), "theirs");
        eventually("both are stored", || rig.sum(|stats| &stats.cache.stored) == 2);
    }
    assert_eq!((asked.count(), asked_there.count()), (1, 1));
    // What changes it through one is another for both.
    let mut client = rig.client();
    client.send("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().text(), "ours");
    assert_eq!(get(&rig, "/a", "X-Other: yes").text(), "theirs");
    assert_eq!((asked.count(), asked_there.count()), (2, 2));
}

#[test]
fn a_stored_response_is_compressed_for_who_takes_it_so() {
    let body: &'static str = Box::leak("hello hello hello ".repeat(500).into_boxed_str());
    let (origin, asked) =
        always("Cache-Control: max-age=60\nContent-Type: text/plain\nETag: \"1\"", body);
    let mut config = caching(&origin);
    config.compression.enabled = true;
    let rig = Rig::start(config);
    assert_eq!(get(&rig, "/a", "").text(), body);
    eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 1);
    let packed = get(&rig, "/a", "Accept-Encoding: gzip");
    assert_eq!(packed.field("Content-Encoding").as_deref(), Some("gzip"));
    assert_eq!(packed.field("Transfer-Encoding").as_deref(), Some("chunked"));
    assert!(packed.body.len() < body.len() / 10 && packed.body.starts_with(&[0x1f, 0x8b]));
    assert!(told(&packed).contains("hit"), "{}", packed.head);
    assert_eq!(get(&rig, "/a", "").text(), body, "what is stored is as it was");
    let same = get(&rig, "/a", "Accept-Encoding: gzip\nIf-None-Match: W/\"1\"");
    assert_eq!(same.status(), 304);
    assert_eq!(asked.count(), 1);
    rig.is_quiet_again();
}

#[test]
fn filters_see_stored_responses_too() {
    let (origin, asked) = always("Cache-Control: max-age=60\nX-Secret: 1", "hello");
    let text = format!(
        "endpoints = [\"{}\"]\ncache = {{ enabled = true }}\n\
         [[filter]]\nresponse_header = {{ remove = [\"X-Secret\"], set = {{ X-Seen = \"yes\" }} }}",
        origin.address(),
    );
    let rig = Rig::start(configured(&text));
    for _ in 0..2 {
        let response = get(&rig, "/a", "");
        assert_eq!((response.text(), response.field("X-Secret")), ("hello", None));
        assert_eq!(response.field("X-Seen").as_deref(), Some("yes"));
        eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 1);
    }
    assert_eq!(asked.count(), 1);
}

#[test]
fn what_is_being_stored_has_its_bound_too() {
    let body = pattern(400 << 10);
    let (sent, gate) = (body.clone(), Arc::new(Mutex::new(())));
    let held = gate.lock().unwrap_or_else(PoisonError::into_inner);
    let waits = Arc::clone(&gate);
    let origin = Origin::serving(move |mut wire| {
        while wire.is_asked() {
            let slow = wire.request().start().contains("/slow");
            let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
            wire.send(format!("{head}Content-Length: {}\r\n\r\n", sent.len()));
            let (most, rest) = sent.split_at(sent.len() - 1);
            wire.send(most);
            if slow {
                drop(waits.lock());
            }
            wire.send(rest);
        }
    });
    let mut config = caching(&origin);
    config.cache.size = policy::quantity::ByteSize(1 << 20);
    config.cache.object = policy::quantity::ByteSize(512 << 10);
    let rig = Rig::start(config);
    let mut slow = rig.client();
    slow.send(request("GET", "/slow", ""));
    slow.head();
    slow.exactly(body.len() - 1);
    // While most of that is held there is no room for another as large.
    assert!(get(&rig, "/quick", "").body == body);
    assert_eq!(rig.sum(|stats| &stats.cache.stored), 0);
    drop(held);
    assert_eq!(slow.exactly(1), &body[body.len() - 1..]);
    eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 1);
    // And there is again.
    assert!(get(&rig, "/other", "").body == body);
    eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 2);
    assert!(told(&get(&rig, "/other", "")).contains("hit"));
}
