//! Request heads by table: what is understood, and each ambiguity by its name.

use http1::{ErrorKind as E, Framing, Limits, Method, Name, RequestHead, Version};

fn parse(text: &[u8]) -> Result<RequestHead, E> {
    let mut head = RequestHead::new();
    match head.parse(text, &Limits::default()) {
        Ok(Some(length)) => {
            assert_eq!(length, text.len(), "{}", text.escape_ascii());
            Ok(head)
        }
        Ok(None) => panic!("incomplete: {}", text.escape_ascii()),
        Err(error) => {
            assert_eq!(head.field_count(), 0, "a refused head is empty");
            Err(error.kind())
        }
    }
}

fn get(fields: &str) -> Result<RequestHead, E> {
    parse(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes())
}

fn get10(fields: &str) -> Result<RequestHead, E> {
    parse(format!("GET / HTTP/1.0\r\n{fields}\r\n").as_bytes())
}

fn accepted(fields: &str) -> RequestHead {
    get(fields).unwrap_or_else(|kind| panic!("{fields:?} was refused: {kind:?}"))
}

fn names(head: &RequestHead) -> Vec<String> {
    head.end_to_end().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect()
}

#[test]
fn a_common_request_is_understood() {
    let head = parse(
        b"POST /a/b?c=d&e HTTP/1.1\r\nHost: shop.example:8080\r\nContent-Length: 12\r\nX-A:  1 \t\r\n\
          X-Empty:\r\nx-a: 2\r\n\r\n",
    )
    .expect("correct");
    assert_eq!(head.method(), Method::Post);
    assert_eq!(head.method_bytes(), b"POST");
    assert_eq!(head.target(), b"/a/b?c=d&e");
    assert_eq!(head.path(), b"/a/b");
    assert_eq!(head.host(), b"shop.example:8080");
    assert_eq!(head.version(), Version::Http11);
    assert_eq!(head.framing(), Framing::Length(12));
    assert!(head.keep_alive());
    let fields: Vec<_> = head.fields().map(|f| (f.name, f.value, f.known)).collect();
    assert_eq!(
        fields,
        [
            (&b"Host"[..], &b"shop.example:8080"[..], Some(Name::Host)),
            (b"Content-Length", b"12", Some(Name::ContentLength)),
            (b"X-A", b"1", None),
            (b"X-Empty", b"", None),
            (b"x-a", b"2", None),
        ]
    );
    assert_eq!(head.get(Name::ContentLength), Some(&b"12"[..]));
    assert_eq!(head.get(Name::Cookie), None);
    assert_eq!(head.find(b"X-a"), Some(&b"1"[..]));
    assert_eq!(head.find(b"x-b"), None);
    assert_eq!(head.field_count(), 5);
}

#[test]
fn what_follows_the_head_is_left_alone() {
    let text = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n";
    let mut head = RequestHead::new();
    let limits = Limits::default();
    let first = head.parse(text, &limits).expect("correct").expect("whole");
    assert_eq!((head.target(), head.host()), (&b"/1"[..], &b"a"[..]));
    let second = head.parse(&text[first..], &limits).expect("correct").expect("whole");
    assert_eq!((head.target(), head.host()), (&b"/2"[..], &b"b"[..]));
    assert_eq!(first + second, text.len());
}

#[test]
fn methods() {
    for (text, method, safe, idempotent) in [
        ("GET", Method::Get, true, true),
        ("HEAD", Method::Head, true, true),
        ("OPTIONS", Method::Options, true, true),
        ("TRACE", Method::Trace, true, true),
        ("PUT", Method::Put, false, true),
        ("DELETE", Method::Delete, false, true),
        ("POST", Method::Post, false, false),
        ("PATCH", Method::Patch, false, false),
        ("get", Method::Other, false, false),
        ("PROPFIND", Method::Other, false, false),
        ("X", Method::Other, false, false),
    ] {
        let head = parse(format!("{text} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).expect(text);
        assert_eq!(head.method(), method);
        assert_eq!(head.method_bytes(), text.as_bytes());
        assert_eq!((method.is_safe(), method.is_idempotent()), (safe, idempotent), "{text}");
    }
}

#[test]
fn targets_and_authorities() {
    for (line, host_field, target, host) in [
        ("GET /", "a", "/", "a"),
        ("GET /?q", "a", "/?q", "a"),
        ("GET //x//?a/b?c", "a", "//x//?a/b?c", "a"),
        ("GET /%00|<>\"{}\\^`", "a", "/%00|<>\"{}\\^`", "a"),
        ("GET http://a/x?y", "a", "/x?y", "a"),
        ("GET HTTP://A:80/", "a", "/", "A:80"),
        ("GET https://a:443/", "a", "/", "a:443"),
        ("GET http://a", "a:", "/", "a"),
        ("GET http://a?x=/", "a", "/?x=/", "a"),
        ("OPTIONS http://a", "a", "*", "a"),
        ("OPTIONS http://a/", "a", "/", "a"),
        ("OPTIONS *", "a:81", "*", "a:81"),
        ("OPTIONS /x", "a", "/x", "a"),
        ("CONNECT a:443", "a:443", "a:443", "a:443"),
        ("CONNECT a:443", "a", "a:443", "a:443"),
        ("CONNECT [::1]:443", "[::1]:443", "[::1]:443", "[::1]:443"),
        ("GET /", "[::1]:8080", "/", "[::1]:8080"),
    ] {
        let text = format!("{line} HTTP/1.1\r\nHost: {host_field}\r\n\r\n");
        let head = parse(text.as_bytes()).unwrap_or_else(|kind| panic!("{line}: {kind:?}"));
        assert_eq!(String::from_utf8_lossy(head.target()), target, "{line}");
        assert_eq!(String::from_utf8_lossy(head.host()), host, "{line}");
        assert!(target.starts_with(str::from_utf8(head.path()).expect("ASCII")));
    }
}

#[test]
fn refused_first_lines() {
    for (line, kind) in [
        ("GET  / HTTP/1.1", E::RequestLine),
        ("GET /  HTTP/1.1", E::RequestLine),
        ("GET / HTTP/1.1 ", E::RequestLine),
        (" GET / HTTP/1.1", E::RequestLine),
        ("GET\t/ HTTP/1.1", E::RequestLine),
        ("GET /", E::RequestLine),
        ("GET", E::RequestLine),
        ("G@T / HTTP/1.1", E::RequestLine),
        ("GET / http/1.1", E::RequestLine),
        ("GET / HTTP/1", E::RequestLine),
        ("GET / HTTP/1.11", E::RequestLine),
        ("GET / HTTP/0.9", E::Version),
        ("GET / HTTP/1.2", E::Version),
        ("GET / HTTP/2.0", E::Version),
        ("PRI * HTTP/2.0", E::Version),
        ("GET /a b HTTP/1.1", E::RequestLine),
        ("GET /\u{e9} HTTP/1.1", E::TargetMalformed),
        ("GET /\u{1} HTTP/1.1", E::TargetMalformed),
        ("GET /\u{7f} HTTP/1.1", E::TargetMalformed),
        ("GET a HTTP/1.1", E::TargetMalformed),
        ("GET ?x HTTP/1.1", E::TargetMalformed),
        ("GET ftp://a/ HTTP/1.1", E::TargetMalformed),
        ("GET http:///x HTTP/1.1", E::TargetMalformed),
        ("GET http:/a HTTP/1.1", E::TargetMalformed),
        ("GET http://a:x/ HTTP/1.1", E::TargetMalformed),
        ("GET http://a\\b/ HTTP/1.1", E::TargetMalformed),
        ("GET http://u@a/ HTTP/1.1", E::TargetUserinfo),
        ("GET http://u:p@a/ HTTP/1.1", E::TargetUserinfo),
        ("GET /a#b HTTP/1.1", E::TargetFragment),
        ("GET http://a#b HTTP/1.1", E::TargetFragment),
        ("GET * HTTP/1.1", E::AsteriskForm),
        ("OPTIONS ** HTTP/1.1", E::TargetMalformed),
        ("GET a:80 HTTP/1.1", E::ConnectTarget),
        ("CONNECT a HTTP/1.1", E::ConnectTarget),
        ("CONNECT a: HTTP/1.1", E::ConnectTarget),
        ("CONNECT / HTTP/1.1", E::ConnectTarget),
        ("CONNECT * HTTP/1.1", E::ConnectTarget),
        ("CONNECT http://a:80/ HTTP/1.1", E::ConnectTarget),
        ("CONNECT u@a:80 HTTP/1.1", E::ConnectTarget),
        ("GET http://b/ HTTP/1.1", E::HostDisagrees),
        ("GET http://a:81/ HTTP/1.1", E::HostDisagrees),
        ("GET https://a:80/ HTTP/1.1", E::HostDisagrees),
        ("CONNECT b:443 HTTP/1.1", E::HostDisagrees),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1", E::MethodTooLong),
    ] {
        let text = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(parse(text.as_bytes()).err(), Some(kind), "{line}");
    }
}

#[test]
fn line_ends_are_cr_lf_and_nothing_else() {
    for (text, kind) in [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", E::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", E::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\nY: 2\r\n\r\n", E::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\nX:\nY: 2\r\n\r\n", E::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", E::BareLf),
        ("GET / HTTP/1.0\n\r\n", E::BareLf),
        ("GET / HTTP/1.0\r\n\n", E::BareLf),
        ("GET / HTTP/1.0\n\n", E::BareLf),
        ("\nGET / HTTP/1.0\r\n\r\n", E::BareLf),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", E::BareCr),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", E::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n", E::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \r1\r\n\r\n", E::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", E::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n\r\n", E::BareCr),
        ("\rGET / HTTP/1.0\r\n\r\n", E::BareCr),
        ("\r\n\r\nGET / HTTP/1.0\r\n\r\n", E::EmptyLines),
        ("\r\n\nGET / HTTP/1.0\r\n\r\n", E::EmptyLines),
    ] {
        assert_eq!(parse(text.as_bytes()).err(), Some(kind), "{text:?}");
    }
    assert!(parse(b"\r\nGET / HTTP/1.0\r\n\r\n").is_ok(), "one empty line is tolerated");
}

#[test]
fn refused_field_lines() {
    for (field, kind) in [
        ("X : 1\r\n", E::SpaceBeforeColon),
        ("X\t: 1\r\n", E::SpaceBeforeColon),
        ("Transfer-Encoding : chunked\r\n", E::SpaceBeforeColon),
        (" X: 1\r\n", E::ObsFold),
        ("X: 1\r\n 2\r\n", E::ObsFold),
        ("X: 1\r\n\t2\r\n", E::ObsFold),
        ("X: 1\r\n \r\n", E::ObsFold),
        ("X\r\n", E::MissingColon),
        ("X 1\r\n", E::MissingColon),
        (": 1\r\n", E::FieldName),
        ("X Y: 1\r\n", E::FieldName),
        ("X(: 1\r\n", E::FieldName),
        ("X\0: 1\r\n", E::FieldName),
        ("X\u{e9}: 1\r\n", E::FieldName),
        ("X: a\0b\r\n", E::FieldValue),
        ("X: a\u{b}b\r\n", E::FieldValue),
        ("X: \u{1b}[0m\r\n", E::FieldValue),
        ("X: a\u{7f}\r\n", E::FieldValue),
        ("X: \u{c}\r\n", E::FieldValue),
        ("Content_Length: 5\r\n", E::UnderscoreAlias),
        ("transfer_encoding: chunked\r\n", E::UnderscoreAlias),
        ("X_Forwarded-For: 1.2.3.4\r\n", E::UnderscoreAlias),
    ] {
        assert_eq!(get(field).err(), Some(kind), "{field:?}");
    }
    // What looks odd and is allowed.
    for field in [
        "X: caf\u{e9}\r\n",
        "X: a\tb\r\n",
        "X:\r\n",
        "x_request_id: 1\r\n",
        "!#$%&'*+-.^_`|~: 1\r\n",
    ] {
        assert!(get(field).is_ok(), "{field:?}");
    }
}

#[test]
fn exactly_one_correct_host() {
    for (fields, kind) in [
        ("", E::HostMissing),
        ("Host:\r\n", E::HostMalformed),
        ("Host: a b\r\n", E::HostMalformed),
        ("Host: a/b\r\n", E::HostMalformed),
        ("Host: a@b\r\n", E::HostMalformed),
        ("Host: a, a\r\n", E::HostMalformed),
        ("Host: a:65536\r\n", E::HostMalformed),
        ("Host: http://a\r\n", E::HostMalformed),
        ("Host: ::1\r\n", E::HostMalformed),
        ("Host: \u{e9}\r\n", E::HostMalformed),
        ("Host: a\r\nHost: b\r\n", E::HostRepeated),
        ("Host: a\r\nhost: a\r\n", E::HostRepeated),
    ] {
        let text = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(parse(text.as_bytes()).err(), Some(kind), "{fields:?}");
    }
    assert_eq!(get10("").expect("HTTP/1.0 needs no Host").host(), b"");
    assert_eq!(get10("Host: a\r\n").expect("but may have it").host(), b"a");
    assert_eq!(get10("Host: a\r\nHost: a\r\n").err(), Some(E::HostRepeated));
    assert_eq!(get10("Host: \r\n").err(), Some(E::HostMalformed));
}

#[test]
fn one_framing_and_no_other() {
    for (fields, kind) in [
        ("Content-Length: 5\r\nContent-Length: 5\r\n", E::ContentLengthRepeated),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", E::ContentLengthRepeated),
        ("Content-Length: 5, 5\r\n", E::ContentLengthRepeated),
        ("Content-Length: +5\r\n", E::ContentLengthMalformed),
        ("Content-Length:\r\n", E::ContentLengthMalformed),
        ("Content-Length: 18446744073709551616\r\n", E::ContentLengthOverflow),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            E::ContentLengthWithTransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            E::ContentLengthWithTransferEncoding,
        ),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", E::TransferCodingRepeated),
        ("Transfer-Encoding: chunked, chunked\r\n", E::TransferCodingRepeated),
        ("Transfer-Encoding: gzip, chunked\r\n", E::TransferCodingUnknown),
        ("Transfer-Encoding: identity\r\n", E::TransferCodingUnknown),
        ("Transfer-Encoding: xchunked\r\n", E::TransferCodingUnknown),
        ("Transfer-Encoding: gzip\r\n", E::TransferCodingNotLast),
        ("Transfer-Encoding: chunked, gzip\r\n", E::TransferCodingNotLast),
        ("Transfer-Encoding:\r\n", E::TransferEncodingMalformed),
    ] {
        assert_eq!(get(fields).err(), Some(kind), "{fields:?}");
    }
    assert_eq!(get10("Transfer-Encoding: chunked\r\n").err(), Some(E::TransferEncodingInHttp10));
    assert_eq!(accepted("").framing(), Framing::Empty);
    assert_eq!(accepted("Content-Length: 0\r\n").framing(), Framing::Length(0));
    assert_eq!(accepted("transfer-encoding: CHUNKED\r\n").framing(), Framing::Chunked);
}

#[test]
fn connection_options() {
    assert!(accepted("").keep_alive());
    assert!(!accepted("Connection: close\r\n").keep_alive());
    assert!(!accepted("Connection: keep-alive, Close\r\n").keep_alive());
    assert!(!accepted("Connection: x\r\nConnection: close\r\n").keep_alive());
    assert!(!get10("").expect("correct").keep_alive());
    assert!(get10("Connection: Keep-Alive\r\n").expect("correct").keep_alive());
    assert!(!get10("Proxy-Connection: keep-alive\r\n").expect("correct").keep_alive());

    let upgrade = "Upgrade: websocket\r\n";
    assert_eq!(
        accepted(&format!("Connection: Upgrade\r\n{upgrade}")).upgrade(),
        Some(&b"websocket"[..])
    );
    assert_eq!(accepted(upgrade).upgrade(), None, "Connection does not name it");
    assert_eq!(accepted("Connection: upgrade\r\n").upgrade(), None, "there is none");
    assert_eq!(accepted(&format!("Connection: upgrade\r\n{upgrade}{upgrade}")).upgrade(), None);
    assert_eq!(
        get10(&format!("Connection: upgrade\r\n{upgrade}")).expect("correct").upgrade(),
        None
    );

    let expect = "Content-Length: 1\r\nExpect: 100-Continue\r\n";
    assert!(accepted(expect).expects_continue());
    assert!(!accepted("Expect: 100-continue\r\n").expects_continue(), "without a body");
    assert!(!get10(expect).expect("correct").expects_continue(), "HTTP/1.0 does not know it");
    assert!(accepted("TE: trailers\r\n").has_te_trailers());
    assert!(accepted("TE: gzip;q=0.5, Trailers\r\n").has_te_trailers());
    assert!(!accepted("TE: gzip\r\n").has_te_trailers());
}

#[test]
fn hop_by_hop_fields_are_not_forwarded() {
    let head = accepted(
        "Connection: close, X-Hop, te\r\nx-hop: 1\r\nX-Hop-2: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n\
         TE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nProxy-Authorization: x\r\nTrailer: X-T\r\n\
         X-HOP: 2\r\nContent-Length: 3\r\n",
    );
    assert_eq!(names(&head), ["Host", "X-Hop-2", "Trailer", "Content-Length"]);
    let mut out = Vec::new();
    head.write_end_to_end(&mut out, |field| field.known == Some(Name::ContentLength));
    assert_eq!(String::from_utf8_lossy(&out), "Host: a\r\nX-Hop-2: 1\r\nTrailer: X-T\r\n");
}

#[test]
fn connection_strips_nothing_that_is_relied_on() {
    let head = accepted(
        "Connection: X-Forwarded-For, Authorization, Cache-Control, Via, Forwarded, Cookie\r\n\
         X-Forwarded-For: 1\r\nAuthorization: x\r\nCache-Control: x\r\nVia: x\r\nForwarded: x\r\nCookie: x\r\n",
    );
    assert_eq!(
        names(&head),
        ["Host", "X-Forwarded-For", "Authorization", "Cache-Control", "Via", "Forwarded", "Cookie"]
    );
    for option in ["Host", "content-length"] {
        let field = format!("Connection: close, {option}\r\n");
        assert_eq!(get(&field).err(), Some(E::ConnectionNamesFraming));
    }
    let many = |n| format!("Connection: {}\r\n", vec!["x"; n].join(","));
    assert!(get(&many(32)).is_ok());
    assert_eq!(get(&many(33)).err(), Some(E::ConnectionTooLong));
}

#[test]
fn limits_hold_at_their_edge() {
    let limits = Limits { max_fields: 3, max_head: 200, max_target: 20, ..Limits::default() };
    let try_parse = |text: &str| {
        let mut head = RequestHead::new();
        head.parse(text.as_bytes(), &limits).map_err(|error| error.kind())
    };
    let with_fields = |n| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(n));
    assert!(matches!(try_parse(&with_fields(2)), Ok(Some(_))));
    assert_eq!(try_parse(&with_fields(3)), Err(E::TooManyFields));

    let with_target = |n| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(n));
    assert!(matches!(try_parse(&with_target(19)), Ok(Some(_))));
    assert_eq!(try_parse(&with_target(20)), Err(E::TargetTooLong));
    assert_eq!(try_parse(&with_target(2000)), Err(E::TargetTooLong));

    let with_size = |n: usize| {
        let rest = n - "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(rest))
    };
    assert_eq!(try_parse(&with_size(200)), Ok(Some(200)));
    assert_eq!(try_parse(&with_size(201)), Err(E::HeadTooLarge));
    assert_eq!(
        try_parse(&format!("{}POST", with_size(200))),
        Ok(Some(200)),
        "pipelined input is not head"
    );
}

#[test]
fn the_status_of_a_refusal() {
    for (text, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: br\r\n\r\n", 501),
    ] {
        let error = RequestHead::new().parse(text.as_bytes(), &Limits::default()).expect_err(text);
        assert_eq!(error.status(), status);
    }
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000));
    let error =
        RequestHead::new().parse(long.as_bytes(), &Limits::default()).expect_err("too long");
    assert_eq!((error.status(), error.name()), (414, "target_too_long"));
    let large = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(33_000));
    let error =
        RequestHead::new().parse(large.as_bytes(), &Limits::default()).expect_err("too large");
    assert_eq!((error.status(), error.name()), (431, "head_too_large"));
}
