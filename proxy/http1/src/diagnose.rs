//! Names the fault in a head that the parser refused.
//!
//! The parser (`httparse`) is fast and says little: "invalid header name" is a fold, a blank before the
//! colon or a missing colon. This walks the refused head line by line, slowly, and names the first
//! fault it finds. It only names: whether the head is refused was decided before, so that an oversight
//! here costs precision, never strictness.

use crate::error::ErrorKind;
use crate::scan::{FirstLine, is_token_byte};

/// The first fault in `head`, of which the parser said `refusal`.
pub(crate) fn fault(head: &[u8], first: FirstLine, refusal: httparse::Error) -> ErrorKind {
    if refusal == httparse::Error::TooManyHeaders {
        return ErrorKind::TooManyFields;
    }
    let mut lines = head.split_inclusive(|b| *b == b'\n').map(Line::read);
    if let Some(line) = lines.next()
        && let Some(kind) = line.ending().or_else(|| match first {
            FirstLine::Request => request_line(&line),
            FirstLine::Status => status_line(line.text),
        })
    {
        return kind;
    }
    if let Some(kind) = field_lines(lines) {
        return kind;
    }
    match (refusal, first) {
        (httparse::Error::HeaderName, _) => ErrorKind::FieldName,
        (httparse::Error::HeaderValue, _) => ErrorKind::FieldValue,
        (httparse::Error::NewLine, _) => ErrorKind::BareCr,
        (httparse::Error::Version, FirstLine::Request) => ErrorKind::Version,
        (_, FirstLine::Request) => ErrorKind::RequestLine,
        (_, FirstLine::Status) => ErrorKind::StatusLine,
    }
}

/// The first fault in a section of fields.
pub(crate) fn field_fault(section: &[u8]) -> ErrorKind {
    let lines = section.split_inclusive(|b| *b == b'\n').map(Line::read);
    field_lines(lines).unwrap_or(ErrorKind::FieldName)
}

fn field_lines<'a>(lines: impl Iterator<Item = Line<'a>>) -> Option<ErrorKind> {
    lines
        .take_while(|line| !line.is_whole || !line.text.is_empty())
        .find_map(|line| line.ending().or_else(|| field(&line)))
}

/// A line without its end.
struct Line<'a> {
    text: &'a [u8],
    is_whole: bool,
    has_cr: bool,
}

impl<'a> Line<'a> {
    fn read(line: &'a [u8]) -> Line<'a> {
        let (text, is_whole) = match line {
            [text @ .., b'\n'] => (text, true),
            text => (text, false),
        };
        match text {
            [text @ .., b'\r'] => Line { text, is_whole, has_cr: true },
            text => Line { text, is_whole, has_cr: false },
        }
    }

    fn ending(&self) -> Option<ErrorKind> {
        if self.text.contains(&b'\r') {
            Some(ErrorKind::BareCr)
        } else if self.is_whole && !self.has_cr {
            Some(ErrorKind::BareLf)
        } else {
            None
        }
    }
}

fn request_line(line: &Line<'_>) -> Option<ErrorKind> {
    let mut words = line.text.split(|b| *b == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if method.is_empty() || !method.iter().copied().all(is_token_byte) || words.next().is_some() {
        return Some(ErrorKind::RequestLine);
    }
    if target.is_empty() {
        return Some(ErrorKind::RequestLine);
    }
    if target.iter().any(|b| *b < b' ' || *b >= 127) {
        return Some(ErrorKind::TargetMalformed);
    }
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            (*major != b'1' || *minor > b'1').then_some(ErrorKind::Version)
        }
        _ if !line.is_whole && b"HTTP/1.1".starts_with(version) => None,
        _ => Some(ErrorKind::RequestLine),
    }
}

fn status_line(line: &[u8]) -> Option<ErrorKind> {
    match line {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b' ', ..]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            (*major != b'1' || *minor > b'1').then_some(ErrorKind::Version)
        }
        _ => None,
    }
}

fn field(line: &Line<'_>) -> Option<ErrorKind> {
    let text = line.text;
    if matches!(text, [b' ' | b'\t', ..]) {
        return Some(ErrorKind::ObsFold);
    }
    let Some(colon) = text.iter().position(|b| *b == b':') else {
        if text.iter().copied().all(is_token_byte) {
            return line.is_whole.then_some(ErrorKind::MissingColon);
        }
        let only_visible = text.iter().all(|b| (b' '..127).contains(b) || *b == b'\t');
        return Some(if only_visible { ErrorKind::MissingColon } else { ErrorKind::FieldName });
    };
    let (name, value) = (&text[..colon], &text[colon + 1..]);
    if matches!(name, [.., b' ' | b'\t']) {
        return Some(ErrorKind::SpaceBeforeColon);
    }
    if name.is_empty() || !name.iter().copied().all(is_token_byte) {
        return Some(ErrorKind::FieldName);
    }
    let is_control = |b: &u8| (*b < b' ' && *b != b'\t') || *b == 127;
    value.iter().any(is_control).then_some(ErrorKind::FieldValue)
}
