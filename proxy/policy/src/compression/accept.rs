//! What a client takes: `Accept-Encoding` (RFC 9110, section 12.5.3).
//!
//! A list of codings with weights. `*` stands for every coding that is not named, `identity` is the plain answer, and a weight
//! of 0 is a no. Who sends no such field takes everything, says the RFC; in practice that is who has never heard of codings, so it gets the
//! plain answer, and so does everyone whose list has nothing of ours. Where a coding is named twice the lower weight counts: who
//! contradicts itself gets what cannot be wrong. A weight that cannot be read is 0 for the same reason.

use super::Coding;
use crate::message::Fields;

/// A thousand is 1.
const WHOLE: u16 = 1000;

/// The weights of the codings that we know, in thousandths; none where the client did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    codings: [Option<u16>; Coding::ALL.len()],
    identity: Option<u16>,
    others: Option<u16>,
}

impl Weights {
    /// What the request says, over all its fields of that name.
    pub fn of(fields: &dyn Fields) -> Self {
        let mut weights = Self::default();
        fields.each(&mut |name, value| {
            if name.eq_ignore_ascii_case(b"Accept-Encoding") {
                value.split(|byte| *byte == b',').for_each(|entry| weights.note(entry));
            }
            true
        });
        weights
    }

    fn note(&mut self, entry: &[u8]) {
        let mut parts = entry.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let slot = match name {
            b"*" => &mut self.others,
            _ if name.eq_ignore_ascii_case(b"identity") => &mut self.identity,
            _ if name.eq_ignore_ascii_case(b"zstd") => &mut self.codings[Coding::Zstd as usize],
            _ if name.eq_ignore_ascii_case(b"br") => &mut self.codings[Coding::Br as usize],
            _ if [&b"gzip"[..], b"x-gzip"].iter().any(|known| name.eq_ignore_ascii_case(known)) => {
                &mut self.codings[Coding::Gzip as usize]
            }
            _ => return,
        };
        let weight = parts.map(weight).min().unwrap_or(WHOLE);
        *slot = Some(slot.map_or(weight, |known| known.min(weight)));
    }

    /// How much this coding is liked; 0 where it is not taken.
    pub fn weight(&self, coding: Coding) -> u16 {
        self.codings[coding as usize].or(self.others).unwrap_or(0)
    }

    /// The coding of `ours` that the client likes best, the earlier one where it likes two equally; nothing where it takes
    /// none or would rather have it plain.
    pub fn prefer(&self, ours: &[Coding]) -> Option<Coding> {
        let mut best = None;
        let mut least = 1.max(self.identity.unwrap_or(0));
        for coding in ours {
            let weight = self.weight(*coding);
            if weight >= least {
                best = Some(*coding);
                least = weight + 1;
            }
        }
        best
    }
}

/// `q=0.5` in thousandths.
fn weight(parameter: &[u8]) -> u16 {
    let Some((b"q" | b"Q", value)) =
        parameter.split_first_chunk::<1>().map(|(q, rest)| (&q[..], rest))
    else {
        return 0;
    };
    let Some(value) = value.trim_ascii_start().strip_prefix(b"=") else { return 0 };
    let value = value.trim_ascii_start();
    let (whole, digits) = match value {
        [whole] | [whole, b'.'] => (whole, &[][..]),
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return 0,
    };
    let mut thousandths = 0;
    for place in 0..3 {
        let digit = match digits.get(place) {
            None => 0,
            Some(digit @ b'0'..=b'9') => u16::from(digit - b'0'),
            Some(_) => return 0,
        };
        thousandths = thousandths * 10 + digit;
    }
    match whole {
        b'0' => thousandths,
        b'1' if thousandths == 0 => WHOLE,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_as_the_grammar_has_them() {
        for (text, thousandths) in [
            ("q=1", 1000),
            ("q=1.", 1000),
            ("q=1.000", 1000),
            ("q=0", 0),
            ("q=0.", 0),
            ("q=0.5", 500),
            ("q=0.001", 1),
            ("Q = 0.25", 250),
            ("q=1.001", 0),
            ("q=2", 0),
            ("q=0.5555", 0),
            ("q=0.x", 0),
            ("q=-1", 0),
            ("q=.5", 0),
            ("q=", 0),
            ("q", 0),
            ("", 0),
            ("quality=1", 0),
        ] {
            assert_eq!(weight(text.as_bytes()), thousandths, "{text}");
        }
    }
}
