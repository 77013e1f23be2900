//! Where a body ends (RFC 9112, 6.3), and the two fields that say so.

use crate::error::ErrorKind;
use crate::fields::list;

/// How the end of a message's body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// So many bytes; may be 0, where the sender said so.
    Length(u64),
    /// Chunks, and trailers after them.
    Chunked,
    /// All bytes until the peer closes: responses only. The connection cannot be used again.
    UntilClose,
}

impl Framing {
    /// No byte of body comes: there is none, or its length is 0.
    pub fn is_empty(self) -> bool {
        matches!(self, Framing::Empty | Framing::Length(0))
    }
}

/// Reads a Content-Length: decimal digits and nothing else.
///
/// A list of equal values ("5, 5") may be taken for one by RFC 9112, 6.3; we refuse it, since who sent
/// it has merged two fields. Leading zeros are refused as well: some parsers read `010` as eight.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, ErrorKind> {
    if value.contains(&b',') {
        return Err(ErrorKind::ContentLengthRepeated);
    }
    if value.is_empty() || (value.len() > 1 && value[0] == b'0') {
        return Err(ErrorKind::ContentLengthMalformed);
    }
    let mut length: u64 = 0;
    for b in value {
        if !b.is_ascii_digit() {
            return Err(ErrorKind::ContentLengthMalformed);
        }
        length = length
            .checked_mul(10)
            .and_then(|length| length.checked_add(u64::from(b - b'0')))
            .ok_or(ErrorKind::ContentLengthOverflow)?;
    }
    Ok(length)
}

/// Checks a Transfer-Encoding: `chunked`, once, and nothing else.
pub(crate) fn transfer_encoding(value: &[u8]) -> Result<(), ErrorKind> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut count = 0;
    let mut chunked = 0;
    let mut unknown = false;
    let mut chunked_last = false;
    for coding in list(value) {
        count += 1;
        chunked_last = coding.eq_ignore_ascii_case(b"chunked");
        if chunked_last {
            chunked += 1;
        } else if !is_registered(coding) {
            unknown = true;
        }
    }
    Err(match () {
        () if count == 0 => ErrorKind::TransferEncodingMalformed,
        () if unknown => ErrorKind::TransferCodingUnknown,
        () if chunked > 1 => ErrorKind::TransferCodingRepeated,
        () if !chunked_last => ErrorKind::TransferCodingNotLast,
        // `gzip, chunked`: correct, but we have no transfer coding besides chunked.
        () if count > 1 => ErrorKind::TransferCodingUnknown,
        // One `chunked` with commas about it (`,chunked`): an empty member that others read as a coding.
        () => ErrorKind::TransferEncodingMalformed,
    })
}

/// The transfer codings of RFC 9112, 7.2.
fn is_registered(coding: &[u8]) -> bool {
    [&b"gzip"[..], b"x-gzip", b"deflate", b"compress", b"x-compress"]
        .iter()
        .any(|name| coding.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorKind as E;

    #[test]
    fn content_lengths() {
        for (value, expected) in [
            ("0", Ok(0)),
            ("5", Ok(5)),
            ("18446744073709551615", Ok(u64::MAX)),
            ("18446744073709551616", Err(E::ContentLengthOverflow)),
            ("99999999999999999999999", Err(E::ContentLengthOverflow)),
            ("", Err(E::ContentLengthMalformed)),
            ("00", Err(E::ContentLengthMalformed)),
            ("010", Err(E::ContentLengthMalformed)),
            ("+5", Err(E::ContentLengthMalformed)),
            ("-5", Err(E::ContentLengthMalformed)),
            ("0x5", Err(E::ContentLengthMalformed)),
            ("5 5", Err(E::ContentLengthMalformed)),
            ("5;", Err(E::ContentLengthMalformed)),
            ("5, 5", Err(E::ContentLengthRepeated)),
            ("5,", Err(E::ContentLengthRepeated)),
        ] {
            assert_eq!(content_length(value.as_bytes()), expected, "{value:?}");
        }
    }

    #[test]
    fn transfer_encodings() {
        for (value, expected) in [
            ("chunked", Ok(())),
            ("Chunked", Ok(())),
            ("", Err(E::TransferEncodingMalformed)),
            (",chunked", Err(E::TransferEncodingMalformed)),
            ("chunked,", Err(E::TransferEncodingMalformed)),
            ("chunked, chunked", Err(E::TransferCodingRepeated)),
            ("chunked, gzip", Err(E::TransferCodingNotLast)),
            ("gzip", Err(E::TransferCodingNotLast)),
            ("gzip, chunked", Err(E::TransferCodingUnknown)),
            ("identity", Err(E::TransferCodingUnknown)),
            ("xchunked", Err(E::TransferCodingUnknown)),
            ("chunked;q=1", Err(E::TransferCodingUnknown)),
            ("\"chunked\"", Err(E::TransferCodingUnknown)),
            ("chunked\u{b}", Err(E::TransferCodingUnknown)),
        ] {
            assert_eq!(transfer_encoding(value.as_bytes()), expected, "{value:?}");
        }
    }
}
