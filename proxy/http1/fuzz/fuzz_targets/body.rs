//! Chunked bodies: no panic, no hang, and the same content wherever the input is cut. The input's first
//! byte says how long each part is.
#![no_main]

use http1::{BodyDecoder, Framing, Limits};
use libfuzzer_sys::fuzz_target;

type Outcome = (Vec<u8>, usize, Option<&'static str>, usize);

fn decode(input: &[u8], part: usize) -> Outcome {
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::default());
    let (mut content, mut at) = (Vec::new(), 0);
    while at < input.len() {
        let end = input.len().min(at + part);
        match decoder.decode(&input[at..end]) {
            Ok(decoded) => {
                assert!(decoded.consumed <= end - at);
                assert!(decoded.consumed > 0 || decoded.done || !decoded.data.is_empty());
                content.extend_from_slice(decoded.data);
                at += decoded.consumed;
                if decoded.done {
                    break;
                }
            }
            Err(error) => return (content, 0, Some(error.name()), 0),
        }
    }
    (content, at, None, decoder.trailers().count())
}

fuzz_target!(|input: &[u8]| {
    let Some((part, text)) = input.split_first() else { return };
    assert_eq!(decode(text, usize::MAX >> 1), decode(text, usize::from(*part).max(1)));
});
