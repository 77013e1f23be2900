//! Request heads: no panic; the same in one piece and in parts; what is accepted is forwarded as what it
//! was read as. The input's first byte says where to cut.
#![no_main]

use http1::{Limits, Name, RequestHead, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((cut, text)) = input.split_first() else { return };
    let limits = Limits::default();
    let mut whole = RequestHead::new();
    let result = whole.parse(text, &limits);

    let mut parts = RequestHead::new();
    let first = parts.parse(&text[..text.len().min(usize::from(*cut))], &limits);
    let in_parts = if first == Ok(None) { parts.parse(text, &limits) } else { first };
    match (result, in_parts) {
        (Ok(a), Ok(b)) => assert_eq!(a, b),
        (Err(_), Ok(Some(_))) | (Ok(_), Err(_)) => {
            panic!("{result:?} whole, {in_parts:?} in parts")
        }
        (Err(_), _) => {}
    }

    let Ok(Some(length)) = result else { return };
    assert!(length <= text.len());
    let head = &text[..length];
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    for line in head.strip_suffix(b"\r\n").expect("an empty line").split_inclusive(|b| *b == b'\n')
    {
        let line = line.strip_suffix(b"\r\n").expect("CR LF");
        assert!(!line.iter().any(|b| b"\r\n\0".contains(b)));
    }
    let mut out = Vec::new();
    encode::request_line(&mut out, whole.method_bytes(), whole.target());
    whole.write_end_to_end(&mut out, |_| false);
    if whole.get(Name::Host).is_none() {
        let host = if whole.host().is_empty() { b"a" } else { whole.host() };
        encode::field(&mut out, b"Host", host);
    }
    encode::end(&mut out);
    // The version and a cut-off absolute form may change the length; nothing else may fail.
    if out.len() <= limits.max_head && whole.field_count() < limits.max_fields {
        let mut again = RequestHead::new();
        assert_eq!(again.parse(&out, &limits), Ok(Some(out.len())));
        assert_eq!(again.target(), whole.target());
    }
});
