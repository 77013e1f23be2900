//! Heads that come in pieces: where the scan for their end has got to.
//!
//! Most heads come whole, and then this file does nothing: the parser runs once over the input. Where it
//! finds the end missing, the input is scanned line by line instead, and each later call scans only
//! what is new; the parser runs again when the empty line has come. So a head that is sent a byte at a
//! time costs linear time. What cannot become HTTP (a TLS ClientHello, text without a space, control
//! characters, a line that ends in a bare LF) is refused at the byte that shows it.

use crate::error::ErrorKind;
use crate::limits::Limits;

/// Which first line is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstLine {
    Request,
    Status,
}

/// What a scan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No empty line yet.
    Incomplete,
    /// No empty line yet, but the first line has just become whole: it can be judged.
    FirstLineWhole,
    /// The empty line is there.
    Whole,
}

/// How far an incomplete head was scanned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scan {
    scanned: usize,
    line_start: usize,
    lines: usize,
    method_ended: bool,
}

impl Scan {
    pub(crate) const fn new() -> Self {
        Scan { scanned: 0, line_start: 0, lines: 0, method_ended: false }
    }

    /// For a section of fields with no line before them.
    pub(crate) const fn of_fields() -> Self {
        Scan { lines: 1, ..Scan::new() }
    }

    /// How far was scanned; after [`Progress::Whole`], the end.
    pub(crate) fn end(&self) -> usize {
        self.scanned
    }

    /// Nothing was scanned: the input is new.
    pub(crate) fn is_fresh(&self) -> bool {
        self.scanned == 0
    }

    /// Scans what is new in `input`, which is the same head as last time and more of it.
    pub(crate) fn advance(
        &mut self,
        input: &[u8],
        first: FirstLine,
        limits: &Limits,
    ) -> Result<Progress, ErrorKind> {
        if input.len() < self.scanned {
            // Another input than last time: the caller forgot to clear. Begin anew.
            *self = Scan::new();
        }
        let lines_before = self.lines;
        for at in self.scanned..input.len() {
            let b = input[at];
            let after_cr = at > 0 && input[at - 1] == b'\r';
            if after_cr && b != b'\n' {
                return Err(ErrorKind::BareCr);
            }
            match b {
                b'\n' if !after_cr => return Err(ErrorKind::BareLf),
                b'\n' => {
                    self.scanned = at + 1;
                    if at - self.line_start == 1 {
                        return Ok(Progress::Whole);
                    }
                    self.line_start = at + 1;
                    self.lines += 1;
                    if self.lines > limits.max_fields + 1 {
                        return Err(ErrorKind::TooManyFields);
                    }
                }
                b'\r' => {}
                b'\t' if self.lines > 0 => {}
                0..=31 | 127 if self.lines > 0 => return Err(ErrorKind::FieldValue),
                _ if self.lines == 0 => self.first_line_byte(at, b, first, limits)?,
                _ => {}
            }
        }
        self.scanned = input.len();
        if input.len() >= limits.max_head {
            return Err(ErrorKind::HeadTooLarge);
        }
        Ok(if lines_before == 0 && self.lines > 0 {
            Progress::FirstLineWhole
        } else {
            Progress::Incomplete
        })
    }

    fn first_line_byte(
        &mut self,
        at: usize,
        b: u8,
        first: FirstLine,
        limits: &Limits,
    ) -> Result<(), ErrorKind> {
        match first {
            FirstLine::Status => {
                if b"HTTP/1.".get(at).is_some_and(|expected| *expected != b) {
                    return Err(ErrorKind::StatusLine);
                }
                if b < b' ' && b != b'\t' || b == 127 {
                    return Err(ErrorKind::StatusLine);
                }
            }
            FirstLine::Request if self.method_ended => {
                if !(b' '..127).contains(&b) {
                    return Err(ErrorKind::RequestLine);
                }
                // Method, target, two spaces, version, CR.
                if at > limits.max_method + limits.max_target + 2 + 8 + 1 {
                    return Err(ErrorKind::TargetTooLong);
                }
            }
            FirstLine::Request => {
                if b == b' ' && at > 0 {
                    self.method_ended = true;
                } else if !is_token_byte(b) {
                    return Err(ErrorKind::RequestLine);
                } else if at >= limits.max_method {
                    return Err(ErrorKind::MethodTooLong);
                }
            }
        }
        Ok(())
    }
}

/// `tchar` of RFC 9110, 5.6.2.
pub(crate) fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}
