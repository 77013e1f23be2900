//! Requests carry their work.
//!
//! The load schedule draws for every request how much service it demands and how large its answer is, before
//! anything runs. On the wire these travel in request headers that a simulated backend obeys, so that every
//! strategy, in every world, faces the very same requests (common random numbers). The body of the answer
//! is a function of the request's number alone, so that the far end can check each byte of it
//! without having been told what was sent.
//!
//! Where a backend has *content*, things that are the same for everybody who asks for them (so that they can be kept, validated and
//! compressed), the body is a function of the target's number instead ([`number_of_target`]), which the answer names.

use std::time::Duration;

use crate::{balance::key, rng::mix};

/// Service demand in nanoseconds, decimal.
pub const WORK_HEADER: &str = "windtunnel-work";
/// The request's number, decimal: seeds the pattern of both bodies. In an answer: the number of the target that it shows.
pub const ID_HEADER: &str = "windtunnel-id";
/// How many bytes the answer's body shall have, decimal.
pub const SIZE_HEADER: &str = "windtunnel-size";
/// In a backend's answers: the name of the endpoint that served it.
pub const ENDPOINT_HEADER: &str = "windtunnel-endpoint";

/// What a request asks of a simulated backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// The request's number.
    pub id: u64,
    /// Service demand at an endpoint of speed 1; `None` lets the endpoint draw from its own distribution.
    pub service: Option<Duration>,
    /// Bytes of the answer's body; `None` lets the endpoint choose.
    pub size: Option<u64>,
}

/// The number of what stands at a target (path and query), for everybody who asks for it.
pub fn number_of_target(target: &[u8]) -> u64 {
    key::hash(target)
}

/// Whether bodies of this media type are made of words, and compress as text does.
pub fn is_text(media_type: &[u8]) -> bool {
    let is =
        |text: &[u8]| media_type.get(..text.len()).is_some_and(|m| m.eq_ignore_ascii_case(text));
    is(b"text/") || is(b"application/json")
}

/// The bytes of a body: an endless stream that depends on a number alone.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    seed: u64,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// Any bytes; they do not compress.
    Bytes,
    /// Words.
    Text,
}

/// Eight bytes each, so that any eight bytes of a text are found without those before them.
const WORDS: [&[u8; 8]; 64] = [
    b"account ",
    b"address ",
    b"another ",
    b"balance ",
    b"because ",
    b"between ",
    b"brother ",
    b"capital ",
    b"captain ",
    b"century ",
    b"certain ",
    b"chapter ",
    b"climate ",
    b"comfort ",
    b"company ",
    b"control ",
    b"country ",
    b"culture ",
    b"current ",
    b"deliver ",
    b"despite ",
    b"discuss ",
    b"economy ",
    b"element ",
    b"evening ",
    b"example ",
    b"factory ",
    b"feeling ",
    b"finance ",
    b"foreign ",
    b"forward ",
    b"freedom ",
    b"general ",
    b"history ",
    b"husband ",
    b"imagine ",
    b"include ",
    b"instead ",
    b"journey ",
    b"justice ",
    b"kitchen ",
    b"library ",
    b"machine ",
    b"manager ",
    b"meeting ",
    b"message ",
    b"million ",
    b"morning ",
    b"natural ",
    b"network ",
    b"nothing ",
    b"officer ",
    b"opinion ",
    b"patient ",
    b"perhaps ",
    b"picture ",
    b"problem ",
    b"product ",
    b"quality ",
    b"science ",
    b"station ",
    b"support ",
    b"teacher ",
    b"thought\n",
];

impl Pattern {
    /// The pattern of request `id`'s body.
    pub fn new(id: u64) -> Self {
        Self { seed: mix(id), form: Form::Bytes }
    }

    /// The same as words, which compress to about a third.
    pub fn text(id: u64) -> Self {
        Self { seed: mix(id), form: Form::Text }
    }

    /// The pattern of a body of this media type.
    pub fn of_type(id: u64, media_type: &[u8]) -> Self {
        if is_text(media_type) { Self::text(id) } else { Self::new(id) }
    }

    /// Fills `out` with the bytes from `offset` on.
    pub fn fill(self, offset: u64, out: &mut [u8]) {
        let mut at = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let word = self.word(at / 8);
            let from = (at % 8) as usize;
            let count = rest.len().min(8 - from);
            rest[..count].copy_from_slice(&word[from..from + count]);
            at += count as u64;
            rest = &mut rest[count..];
        }
    }

    /// Where `bytes`, which start at `offset`, first differ from the pattern.
    pub fn mismatch(self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let word = self.word(at / 8);
            let from = (at % 8) as usize;
            let count = rest.len().min(8 - from);
            if rest[..count] != word[from..from + count] {
                let wrong = (0..count).find(|&i| rest[i] != word[from + i]).unwrap_or(0);
                return Some(at + wrong as u64);
            }
            at += count as u64;
            rest = &rest[count..];
        }
        None
    }

    /// One round of a multiplicative hash: a body of many megabytes must cost little to make.
    #[inline]
    fn word(self, index: u64) -> [u8; 8] {
        let z = (self.seed ^ index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match self.form {
            Form::Bytes => (z ^ (z >> 29)).to_le_bytes(),
            Form::Text => *WORDS[(z >> 58) as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_cut_of_a_body_gives_the_same_bytes(id: u64, len in 0_usize..200, cut in 0_usize..200) {
            let cut = cut.min(len);
            let pattern = Pattern::new(id);
            let mut whole = vec![0; len];
            pattern.fill(0, &mut whole);
            let mut parts = vec![0; len];
            pattern.fill(0, &mut parts[..cut]);
            pattern.fill(cut as u64, &mut parts[cut..]);
            prop_assert_eq!(&whole, &parts);
            prop_assert_eq!(pattern.mismatch(cut as u64, &whole[cut..]), None);
        }

        #[test]
        fn one_wrong_byte_is_found_where_it_is(id: u64, len in 1_usize..200, at in 0_usize..200, flip in 1_u8..) {
            let at = at % len;
            let pattern = Pattern::new(id);
            let mut body = vec![0; len];
            pattern.fill(0, &mut body);
            body[at] ^= flip;
            prop_assert_eq!(pattern.mismatch(0, &body), Some(at as u64));
        }
    }

    #[test]
    fn two_requests_have_two_bodies() {
        let (mut a, mut b) = ([0; 16], [0; 16]);
        Pattern::new(1).fill(0, &mut a);
        Pattern::new(2).fill(0, &mut b);
        assert_ne!(a, b);
    }

    #[test]
    fn a_text_is_words_of_eight_bytes() {
        let mut bytes = [0; 64];
        Pattern::of_type(7, b"Text/html; charset=utf-8").fill(0, &mut bytes);
        assert!(bytes.chunks(8).all(|word| WORDS.iter().any(|known| *known == word)));
        assert_eq!(Pattern::text(7).mismatch(3, &bytes[3..]), None);
        assert_eq!(Pattern::of_type(7, b"image/png").mismatch(0, &bytes), Some(0));
        assert!(is_text(b"application/json") && !is_text(b"tex") && !is_text(b""));
    }
}
