//! Response heads: no panic; the same in one piece and in parts; what is accepted is forwarded as what it
//! was read as. The input's first byte says where to cut.
#![no_main]

use http1::{Limits, Method, ResponseHead, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((cut, text)) = input.split_first() else { return };
    let limits = Limits::default();
    let mut whole = ResponseHead::new();
    let result = whole.parse(text, &limits);

    let mut parts = ResponseHead::new();
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
    assert!(length <= text.len() && (100..=999).contains(&whole.status()));
    let _ = whole.framing(Method::Get);
    let mut out = Vec::new();
    encode::status_line_with_reason(&mut out, whole.status(), whole.reason());
    whole.write_end_to_end(&mut out, |_| false);
    encode::end(&mut out);
    if out.len() <= limits.max_head {
        let mut again = ResponseHead::new();
        assert_eq!(again.parse(&out, &limits), Ok(Some(out.len())));
        assert_eq!((again.status(), again.reason()), (whole.status(), whole.reason()));
    }
});
