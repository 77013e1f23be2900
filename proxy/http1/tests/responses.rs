//! Response heads by table.

use http1::{ErrorKind as E, Framing, Limits, Method, Name, ResponseHead, Version};

fn parse(text: &str) -> Result<ResponseHead, E> {
    let mut head = ResponseHead::new();
    match head.parse(text.as_bytes(), &Limits::default()) {
        Ok(Some(length)) => {
            assert_eq!(length, text.len(), "{text:?}");
            Ok(head)
        }
        Ok(None) => panic!("incomplete: {text:?}"),
        Err(error) => Err(error.kind()),
    }
}

fn with(status: u16, fields: &str) -> Result<ResponseHead, E> {
    parse(&format!("HTTP/1.1 {status} X\r\n{fields}\r\n"))
}

#[test]
fn status_lines() {
    for (line, status, reason, version) in [
        ("HTTP/1.1 200 OK", 200, "OK", Version::Http11),
        ("HTTP/1.0 404 Not Found", 404, "Not Found", Version::Http10),
        ("HTTP/1.1 204 ", 204, "", Version::Http11),
        ("HTTP/1.1 204", 204, "", Version::Http11),
        ("HTTP/1.1 999 caf\u{e9}", 999, "caf\u{e9}", Version::Http11),
        ("HTTP/1.1 200 two  blanks", 200, "two  blanks", Version::Http11),
    ] {
        for fields in ["", "X: 1\r\n"] {
            let head = parse(&format!("{line}\r\n{fields}\r\n")).expect(line);
            assert_eq!((head.status(), head.version()), (status, version));
            assert_eq!(String::from_utf8_lossy(head.reason()), reason);
        }
    }
    for (line, kind) in [
        ("HTTP/1.1 20 OK", E::StatusLine),
        ("HTTP/1.1 2000 OK", E::StatusLine),
        ("HTTP/1.1 099 X", E::StatusLine),
        ("HTTP/1.1  200 OK", E::StatusLine),
        ("HTTP/1.1 OK", E::StatusLine),
        ("HTTP/1.1 200 O\u{0}K", E::StatusLine),
        ("HTTP/1.1 200 O\rK", E::BareCr),
        ("HTTP/1.1 200 OK\nX: 1", E::BareLf),
        ("HTTP/1.1 200\nX: 1", E::BareLf),
        ("HTTP/2.0 200 OK", E::Version),
        ("http/1.1 200 OK", E::StatusLine),
        ("ICY 200 OK", E::StatusLine),
        ("\r\nHTTP/1.1 200 OK", E::EmptyLines),
    ] {
        assert_eq!(parse(&format!("{line}\r\n\r\n")).err(), Some(kind), "{line:?}");
    }
}

#[test]
fn framing_follows_status_method_and_fields() {
    use Framing::{Chunked, Empty, Length, UntilClose};
    let none = "";
    let length = "Content-Length: 7\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (method, status, fields, framing) in [
        (Method::Get, 200, none, UntilClose),
        (Method::Get, 200, length, Length(7)),
        (Method::Get, 200, "Content-Length: 0\r\n", Length(0)),
        (Method::Get, 200, chunked, Chunked),
        (Method::Get, 404, none, UntilClose),
        (Method::Get, 205, none, UntilClose),
        (Method::Head, 200, none, Empty),
        (Method::Head, 200, length, Empty),
        (Method::Head, 200, chunked, Empty),
        (Method::Get, 100, none, Empty),
        (Method::Get, 101, none, Empty),
        (Method::Get, 103, none, Empty),
        (Method::Get, 204, none, Empty),
        (Method::Get, 204, "Content-Length: 0\r\n", Empty),
        (Method::Get, 304, none, Empty),
        (Method::Get, 304, length, Empty),
        (Method::Get, 304, chunked, Empty),
        (Method::Connect, 200, none, Empty),
        (Method::Connect, 200, length, Empty),
        (Method::Connect, 403, length, Length(7)),
        (Method::Post, 500, chunked, Chunked),
    ] {
        let head =
            with(status, fields).unwrap_or_else(|kind| panic!("{status} {fields}: {kind:?}"));
        assert_eq!(head.framing(method), framing, "{method:?} {status} {fields:?}");
    }
    assert_eq!(with(304, length).expect("correct").content_length(), Some(7));
}

#[test]
fn an_ambiguous_upstream_is_refused() {
    for (status, fields, kind) in [
        (
            200,
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            E::ContentLengthWithTransferEncoding,
        ),
        (200, "Content-Length: 5\r\nContent-Length: 5\r\n", E::ContentLengthRepeated),
        (200, "Content-Length: 5,5\r\n", E::ContentLengthRepeated),
        (200, "Transfer-Encoding: gzip\r\n", E::TransferCodingNotLast),
        (200, "Transfer-Encoding: gzip, chunked\r\n", E::TransferCodingUnknown),
        (
            200,
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            E::TransferCodingRepeated,
        ),
        (204, "Transfer-Encoding: chunked\r\n", E::ContentNotAllowed),
        (204, "Content-Length: 1\r\n", E::ContentNotAllowed),
        (100, "Content-Length: 1\r\n", E::ContentNotAllowed),
        (101, "Transfer-Encoding: chunked\r\n", E::ContentNotAllowed),
        (200, "X : 1\r\n", E::SpaceBeforeColon),
        (200, "X: 1\r\n 2\r\n", E::ObsFold),
        (200, "X: 1\nY: 2\r\n", E::BareLf),
        (200, "X: \0\r\n", E::FieldValue),
        (200, "no colon\r\n", E::MissingColon),
    ] {
        assert_eq!(with(status, fields).err(), Some(kind), "{status} {fields:?}");
    }
    let text = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(parse(text).err(), Some(E::TransferEncodingInHttp10));
}

#[test]
fn what_an_empty_response_says_of_length_is_not_forwarded() {
    let head = with(204, "X: 1\r\nContent-Length: 0\r\n").expect("tolerated");
    assert_eq!(head.end_to_end().map(|field| field.name).collect::<Vec<_>>(), [b"X"]);
    let head = with(304, "X: 1\r\nContent-Length: 9\r\n").expect("correct");
    assert_eq!(head.end_to_end().count(), 2);
}

#[test]
fn informational_and_upgrade() {
    assert!(with(100, "").expect("correct").is_informational());
    assert!(with(103, "Link: x\r\n").expect("correct").is_informational());
    assert!(!with(200, "Content-Length: 0\r\n").expect("correct").is_informational());
    let head = with(101, "Connection: upgrade\r\nUpgrade: websocket\r\n").expect("correct");
    assert!(!head.is_informational());
    assert_eq!(head.upgrade(), Some(&b"websocket"[..]));
    assert_eq!(head.end_to_end().count(), 0);
}

#[test]
fn persistence_and_repeated_fields() {
    assert!(with(200, "").expect("correct").keep_alive());
    assert!(!with(200, "Connection: close\r\n").expect("correct").keep_alive());
    assert!(!parse("HTTP/1.0 200 OK\r\n\r\n").expect("correct").keep_alive());
    assert!(
        parse("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n").expect("correct").keep_alive()
    );
    let head = with(200, "Set-Cookie: a\r\nX: 1\r\nset-cookie: b\r\n").expect("correct");
    assert_eq!(head.get_all(Name::SetCookie).collect::<Vec<_>>(), [b"a", b"b"]);
}
