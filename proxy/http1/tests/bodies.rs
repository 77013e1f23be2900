//! Bodies by table, and the decoder's manners.

use http1::{BodyDecoder, ErrorKind as E, Framing, Limits};

/// Everything a decoder gives for `input` in one piece.
fn decode(framing: Framing, input: &[u8], limits: &Limits) -> Result<(Vec<u8>, usize, bool), E> {
    let mut decoder = BodyDecoder::new(framing, limits);
    let (mut content, mut at) = (Vec::new(), 0);
    loop {
        let part = decoder.decode(&input[at..]).map_err(|error| error.kind())?;
        content.extend_from_slice(part.data);
        at += part.consumed;
        if part.done || part.consumed == 0 {
            return Ok((content, at, part.done));
        }
    }
}

fn chunked(input: &str) -> Result<(String, usize, bool), E> {
    let (content, consumed, done) = decode(Framing::Chunked, input.as_bytes(), &Limits::default())?;
    Ok((String::from_utf8_lossy(&content).into_owned(), consumed, done))
}

#[test]
fn chunked_bodies() {
    for (input, content, left) in [
        ("0\r\n\r\n", "", 0),
        ("0\r\n\r\nGET /", "", 5),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", 0),
        ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nX", "hello world", 1),
        ("A;x=\"1\"\r\n0123456789\r\n000\r\n\r\n", "0123456789", 0),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 0),
        ("1\r\na\r\n0\r\nX: 1\r\n\r\nrest", "a", 4),
    ] {
        let expected = (content.to_owned(), input.len() - left, true);
        assert_eq!(chunked(input), Ok(expected), "{input:?}");
    }
}

#[test]
fn broken_chunks() {
    for (input, kind) in [
        ("x\r\n", E::ChunkSize),
        ("-1\r\n", E::ChunkSize),
        ("+1\r\n", E::ChunkSize),
        ("0x1\r\n", E::ChunkSize),
        ("1 \r\na", E::ChunkSize),
        ("\r\n", E::ChunkSize),
        ("1\na", E::BareLf),
        ("1;x\na", E::BareLf),
        ("1\ra", E::BareCr),
        ("10000000000000000\r\n", E::ChunkSizeOverflow),
        ("1\r\nab", E::ChunkEnd),
        ("1\r\na\n", E::ChunkEnd),
        ("1\r\na\rx", E::ChunkEnd),
        ("1\r\n\r\n0\r\n\r\n", E::ChunkEnd),
        ("0\r\nX: 1\n\r\n", E::BareLf),
        ("0\r\n\n", E::BareLf),
        ("0\r\n\rX", E::BareCr),
        ("0\r\nX : 1\r\n\r\n", E::SpaceBeforeColon),
        ("0\r\nX: 1\r\n 2\r\n\r\n", E::ObsFold),
        ("0\r\nX\r\n\r\n", E::MissingColon),
        ("0\r\nX: \0\r\n\r\n", E::FieldValue),
    ] {
        assert_eq!(chunked(input), Err(kind), "{input:?}");
    }
}

#[test]
fn a_fault_is_remembered_and_content_before_it_is_given() {
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::default());
    let part = decoder.decode(b"1\r\naXX").expect("content first");
    assert_eq!((part.data, part.done), (&b"a"[..], false));
    for input in [&b"\r\n0\r\n\r\n"[..], b""] {
        assert_eq!(decoder.decode(input).expect_err("broken").kind(), E::ChunkEnd);
    }
    assert_eq!(decoder.eof().expect_err("broken").kind(), E::ChunkEnd);
    decoder.reset(Framing::Length(1));
    assert!(decoder.decode(b"x").expect("a new body").done);
}

#[test]
fn bounds_of_what_is_read_for_nothing() {
    let limits = Limits {
        max_chunk_line: 32,
        max_chunk_extensions: 40,
        max_trailers: 64,
        max_trailer_fields: 2,
        ..Limits::default()
    };
    let kind = |input: &str| decode(Framing::Chunked, input.as_bytes(), &limits).err();
    assert_eq!(kind(&format!("1;{}", "x".repeat(40))), Some(E::ChunkLineTooLong));
    let extended = "1;0123456789012345678\r\na\r\n";
    assert_eq!(kind(&extended.repeat(2)), None);
    assert_eq!(kind(&extended.repeat(3)), Some(E::ChunkExtensionsTooLarge));
    assert_eq!(kind("0\r\nX: 1\r\nX: 2\r\n\r\n"), None);
    assert_eq!(kind("0\r\nX: 1\r\nX: 2\r\nX: 3\r\n\r\n"), Some(E::TrailersTooLarge));
    let trailer = |n: usize| format!("0\r\nX: {}\r\n\r\n", "x".repeat(n - "X: \r\n\r\n".len()));
    assert_eq!(kind(&trailer(64)), None);
    assert_eq!(kind(&trailer(65)), Some(E::TrailersTooLarge));
}

#[test]
fn trailers_that_must_not_trail_are_dropped() {
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::default());
    let part = decoder
        .decode(
            b"0\r\nGrpc-Status: 0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: evil\r\n\
              Authorization: x\r\nConnection: close\r\nX_Forwarded_For: x\r\nETag: \"1\"\r\nx-empty:\r\n\r\n",
        )
        .expect("correct");
    assert!(part.done);
    let trailers: Vec<_> = decoder.trailers().map(|field| (field.name, field.value)).collect();
    assert_eq!(
        trailers,
        [(&b"Grpc-Status"[..], &b"0"[..]), (b"ETag", b"\"1\""), (b"x-empty", b"")]
    );
    decoder.reset(Framing::Chunked);
    assert_eq!(decoder.trailers().count(), 0);
}

#[test]
fn lengths_and_ends() {
    let limits = Limits::default();
    assert_eq!(decode(Framing::Length(3), b"abcdef", &limits), Ok((b"abc".to_vec(), 3, true)));
    assert_eq!(decode(Framing::Length(3), b"ab", &limits), Ok((b"ab".to_vec(), 2, false)));
    assert_eq!(decode(Framing::Empty, b"ab", &limits), Ok((vec![], 0, true)));
    assert_eq!(decode(Framing::Length(0), b"", &limits), Ok((vec![], 0, true)));
    assert_eq!(decode(Framing::UntilClose, b"ab", &limits), Ok((b"ab".to_vec(), 2, false)));
    assert!(BodyDecoder::new(Framing::Length(0), &limits).is_done());

    for (framing, input, fine) in [
        (Framing::Empty, "", true),
        (Framing::Length(2), "ab", true),
        (Framing::Length(2), "a", false),
        (Framing::UntilClose, "a", true),
        (Framing::UntilClose, "", true),
        (Framing::Chunked, "", false),
        (Framing::Chunked, "1\r\na\r\n", false),
        (Framing::Chunked, "1\r\na\r\n0\r\n", false),
        (Framing::Chunked, "1\r\na\r\n0\r\n\r\n", true),
    ] {
        let mut decoder = BodyDecoder::new(framing, &limits);
        let mut rest = input.as_bytes();
        while !rest.is_empty() {
            rest = &rest[decoder.decode(rest).expect("correct").consumed..];
        }
        assert_eq!(decoder.eof().is_ok(), fine, "{framing:?} {input:?}");
        assert_eq!(decoder.is_done(), fine);
        if !fine {
            assert_eq!(decoder.eof().expect_err("short").kind(), E::Truncated);
        }
    }
}

#[test]
fn a_small_chunked_body_is_one_call() {
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::default());
    let input = b"5\r\nhello\r\n0\r\n\r\n";
    let part = decoder.decode(input).expect("correct");
    assert_eq!((part.data, part.consumed, part.done), (&b"hello"[..], input.len(), true));
}

#[test]
fn what_is_expected_is_known() {
    let mut decoder = BodyDecoder::new(Framing::Length(10), &Limits::default());
    assert_eq!(decoder.expected(), 10);
    decoder.decode(b"abc").expect("correct");
    assert_eq!(decoder.expected(), 7);
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::default());
    assert_eq!(decoder.expected(), 0);
    decoder.decode(b"10\r\nabc").expect("correct");
    assert_eq!(decoder.expected(), 13);
}
