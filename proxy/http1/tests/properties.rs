//! What holds for all inputs: cutting changes nothing, writing and reading are inverse, nothing panics,
//! and what is accepted has the one shape that all parsers agree on.

mod messages;

use http1::{
    BodyDecoder, CHUNK_END, ChunkHead, Framing, Limits, Method, Name, RequestHead, ResponseHead,
    encode,
};
use messages::{chunked_bodies, config, cuts, prefixes, request_heads, response_heads};
use proptest::collection::vec;
use proptest::prelude::*;

type Owned = Vec<(Vec<u8>, Vec<u8>)>;

fn request_fields(head: &RequestHead) -> Owned {
    head.fields().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

/// Bytes as characters, one each.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

/// Each field of an accepted head as `name`, `value`, from the text itself and by the simplest of means.
fn naive_fields(text: &[u8]) -> Vec<(String, String)> {
    let text = latin1(text);
    let text = text.strip_prefix("\r\n").unwrap_or(&text);
    let text = text.strip_suffix("\r\n\r\n").expect("an accepted head ends so");
    text.split("\r\n")
        .skip(1)
        .map(|line| {
            assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
            let (name, value) = line.split_once(':').expect("a colon");
            (name.into(), value.trim_matches([' ', '\t']).into())
        })
        .collect()
}

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9!#$%&'*+.^`|~-]{1,12}"
        .prop_filter("a name of its own", |name| Name::from_bytes(name.as_bytes()).is_none())
}

fn value() -> impl Strategy<Value = String> {
    "([!-~é]([ -~é\t]{0,20}[!-~é])?)?"
}

/// Decodes `input`, whose parts arrive as the cuts say; `None` if it is broken.
fn decode_in_parts(input: &[u8], ends: &[usize]) -> Option<(Vec<u8>, usize, bool, Owned)> {
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::default());
    let (mut content, mut at) = (Vec::new(), 0);
    for end in ends {
        loop {
            let part = decoder.decode(&input[at..*end]).ok()?;
            assert!(part.consumed <= end - at && part.data.len() <= part.consumed);
            assert_eq!(part.done, decoder.is_done());
            content.extend_from_slice(part.data);
            at += part.consumed;
            if part.consumed == 0 {
                break;
            }
        }
        assert!(decoder.is_done() || at == *end, "all input is taken before the end");
    }
    let trailers = decoder.trailers().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
    Some((content, at, decoder.is_done(), trailers))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_request_cut_anywhere_parses_the_same(text in request_heads(), cuts in cuts()) {
        let limits = Limits::default();
        let mut whole = RequestHead::new();
        let expected = whole.parse(&text, &limits);
        let mut head = RequestHead::new();
        let mut result = Ok(None);
        for end in prefixes(&cuts, text.len()) {
            result = head.parse(&text[..end], &limits);
            if result != Ok(None) {
                break;
            }
        }
        match (expected, result) {
            (Ok(expected), Ok(result)) => {
                prop_assert_eq!(expected, result);
                if expected.is_some() {
                    prop_assert_eq!(request_fields(&whole), request_fields(&head));
                    prop_assert_eq!(
                        (whole.target(), whole.host(), whole.framing(), whole.keep_alive()),
                        (head.target(), head.host(), head.framing(), head.keep_alive())
                    );
                }
            }
            // A fault in the fields of a head without an end is named when the end comes.
            (Err(_), Err(_) | Ok(None)) => {}
            (expected, result) => prop_assert!(false, "{:?} whole, {:?} in parts", expected, result),
        }
    }

    #[test]
    fn a_response_cut_anywhere_parses_the_same(text in response_heads(), cuts in cuts()) {
        let limits = Limits::default();
        let mut whole = ResponseHead::new();
        let expected = whole.parse(&text, &limits);
        let mut head = ResponseHead::new();
        let mut result = Ok(None);
        for end in prefixes(&cuts, text.len()) {
            result = head.parse(&text[..end], &limits);
            if result != Ok(None) {
                break;
            }
        }
        match (expected, result) {
            (Ok(expected), Ok(result)) => {
                prop_assert_eq!(expected, result);
                if expected.is_some() {
                    prop_assert_eq!(whole.fields().count(), head.fields().count());
                    prop_assert_eq!(
                        (whole.status(), whole.reason(), whole.framing(Method::Get)),
                        (head.status(), head.reason(), head.framing(Method::Get))
                    );
                }
            }
            (Err(_), Err(_) | Ok(None)) => {}
            (expected, result) => prop_assert!(false, "{:?} whole, {:?} in parts", expected, result),
        }
    }

    #[test]
    fn a_body_cut_anywhere_decodes_the_same(text in chunked_bodies(), cuts in cuts()) {
        let whole = decode_in_parts(&text, &[text.len()]);
        let parts = decode_in_parts(&text, &prefixes(&cuts, text.len()));
        prop_assert_eq!(&whole, &parts);
        let bytes: Vec<usize> = (0..=text.len()).collect();
        prop_assert_eq!(whole, decode_in_parts(&text, &bytes));
    }

    #[test]
    fn an_accepted_request_has_no_second_reading(text in request_heads()) {
        let mut head = RequestHead::new();
        if let Ok(Some(length)) = head.parse(&text, &Limits::default()) {
            let fields: Vec<_> = head.fields().map(|f| (latin1(f.name), latin1(f.value))).collect();
            prop_assert_eq!(fields, naive_fields(&text[..length]));
            let count = |name| head.get_all(name).count();
            prop_assert!(count(Name::ContentLength) + count(Name::TransferEncoding) <= 1);
            prop_assert!(count(Name::Host) <= 1);
            prop_assert!(head.target().iter().all(|b| (b'!'..=b'~').contains(b) && *b != b'#'));
            prop_assert_eq!(head.framing() == Framing::Chunked, count(Name::TransferEncoding) == 1);
            // What is forwarded is the same message once more.
            let mut out = Vec::new();
            encode::request_line(&mut out, head.method_bytes(), head.target());
            head.write_end_to_end(&mut out, |_| false);
            if head.get(Name::Host).is_none() {
                let host = if head.host().is_empty() { b"a" } else { head.host() };
                encode::field(&mut out, b"Host", host);
            }
            encode::end(&mut out);
            let mut again = RequestHead::new();
            prop_assert_eq!(again.parse(&out, &Limits::default()), Ok(Some(out.len())));
            prop_assert_eq!(again.target(), head.target());
            let forwarded: Vec<_> = head.end_to_end().map(|f| (f.name, f.value)).collect();
            let arrived: Vec<_> = again.fields().map(|f| (f.name, f.value)).take(forwarded.len()).collect();
            prop_assert_eq!(forwarded, arrived);
        }
    }

    #[test]
    fn a_request_that_was_written_is_read(
        method in token(), path in "/[!-\"$-~]{0,30}", host in "[a-z][a-z0-9.-]{0,20}(:[1-9][0-9]{0,3})?",
        fields in vec((token(), value()), 0..20), length in any::<u64>(),
    ) {
        let mut text = Vec::new();
        encode::request_line(&mut text, method.as_bytes(), path.as_bytes());
        encode::field(&mut text, b"Host", host.as_bytes());
        for (name, value) in &fields {
            encode::field(&mut text, name.as_bytes(), value.as_bytes());
        }
        encode::content_length(&mut text, length);
        encode::end(&mut text);
        let mut head = RequestHead::new();
        prop_assert_eq!(head.parse(&text, &Limits::default()), Ok(Some(text.len())));
        prop_assert_eq!(head.method_bytes(), method.as_bytes());
        prop_assert_eq!(head.target(), path.as_bytes());
        prop_assert_eq!(head.host(), host.as_bytes());
        prop_assert_eq!(head.framing(), Framing::Length(length));
        let read: Owned = request_fields(&head).split_off(1);
        let written: Owned = fields.into_iter().map(|(n, v)| (n.into_bytes(), v.into_bytes())).collect();
        prop_assert_eq!(&read[..written.len()], &written[..]);
    }

    #[test]
    fn a_response_that_was_written_is_read(
        status in 200u16..=999, reason in "([!-~é][ -~é]{0,20})?", fields in vec((token(), value()), 0..20),
    ) {
        prop_assume!(status != 204);
        let mut text = Vec::new();
        encode::status_line_with_reason(&mut text, status, reason.as_bytes());
        for (name, value) in &fields {
            encode::field(&mut text, name.as_bytes(), value.as_bytes());
        }
        encode::chunked(&mut text);
        encode::end(&mut text);
        let mut head = ResponseHead::new();
        prop_assert_eq!(head.parse(&text, &Limits::default()), Ok(Some(text.len())));
        prop_assert_eq!((head.status(), head.reason()), (status, reason.as_bytes()));
        for (field, (name, value)) in head.fields().zip(&fields) {
            prop_assert_eq!((field.name, field.value), (name.as_bytes(), value.as_bytes()));
        }
        prop_assert_eq!(head.field_count(), fields.len() + 1);
    }

    #[test]
    fn a_chunked_body_that_was_written_is_read(
        parts in vec(vec(any::<u8>(), 1..300), 0..8), trailers in vec((token(), value()), 0..5), cuts in cuts(),
    ) {
        let mut text = Vec::new();
        for part in &parts {
            text.extend_from_slice(ChunkHead::new(part.len()).expect("not empty").as_bytes());
            text.extend_from_slice(part);
            text.extend_from_slice(CHUNK_END);
        }
        // By way of a parsed head, as a proxy has them.
        let mut carrier = b"GET / HTTP/1.0\r\n".to_vec();
        for (name, value) in &trailers {
            encode::field(&mut carrier, name.as_bytes(), value.as_bytes());
        }
        encode::end(&mut carrier);
        let mut head = RequestHead::new();
        prop_assert_eq!(head.parse(&carrier, &Limits::default()), Ok(Some(carrier.len())));
        encode::trailers(&mut text, head.fields());
        let end = text.len();
        text.extend_from_slice(b"NEXT");
        let ends = prefixes(&cuts, text.len());
        let trailers = trailers.into_iter().map(|(n, v)| (n.into_bytes(), v.into_bytes())).collect();
        prop_assert_eq!(decode_in_parts(&text, &ends), Some((parts.concat(), end, true, trailers)));
    }

    #[test]
    fn a_body_of_known_length_is_read(content in vec(any::<u8>(), 1..300), cuts in cuts()) {
        let mut decoder = BodyDecoder::new(Framing::Length(content.len() as u64), &Limits::default());
        let mut text = content.clone();
        text.extend_from_slice(b"NEXT");
        let (mut read, mut at) = (Vec::new(), 0);
        for end in prefixes(&cuts, text.len()) {
            let part = decoder.decode(&text[at..end]).expect("nothing can be wrong");
            read.extend_from_slice(part.data);
            at += part.consumed;
        }
        prop_assert_eq!(at, content.len());
        prop_assert_eq!(read, content);
        prop_assert!(decoder.is_done());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200), cut in 0usize..200) {
        let limits = Limits::default();
        let cut = cut.min(bytes.len());
        let mut request = RequestHead::new();
        let _ = request.parse(&bytes[..cut], &limits);
        let _ = request.parse(&bytes, &limits);
        let mut response = ResponseHead::new();
        let _ = response.parse(&bytes[..cut], &limits);
        let _ = response.parse(&bytes, &limits);
        decode_in_parts(&bytes, &[cut, bytes.len()]);
    }

    #[test]
    fn limits_of_nothing_never_panic(text in request_heads(), body in chunked_bodies(), n in 0usize..40) {
        let limits = Limits {
            max_fields: n % 3, max_head: n, max_target: n % 5, max_method: n % 4, max_chunk_line: n % 6,
            max_chunk_extensions: n % 3, max_trailers: n % 9, max_trailer_fields: n % 2,
        };
        let mut head = RequestHead::new();
        for end in 0..=text.len() {
            let _ = head.parse(&text[..end], &limits);
        }
        let mut decoder = BodyDecoder::new(Framing::Chunked, &limits);
        let mut at = 0;
        while let Ok(part) = decoder.decode(&body[at..]) {
            at += part.consumed;
            if part.consumed == 0 {
                break;
            }
        }
    }
}
