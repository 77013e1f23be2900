//! Response heads (RFC 9112, 4).
//!
//! As strict as with requests: an upstream that is ambiguous would have us send the next client's answer
//! to this one.

use crate::diagnose;
use crate::error::{Error, ErrorKind};
use crate::fields::{FieldRef, Span, field_access};
use crate::framing::Framing;
use crate::head::{Head, Version, parse_table};
use crate::limits::Limits;
use crate::method::Method;
use crate::name::Name;
use crate::scan::FirstLine;

/// A response head: parsed, checked, and kept with a copy of its bytes. Made to be used again.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    head: Head,
    status: u16,
    reason: Span,
}

impl Default for ResponseHead {
    fn default() -> Self {
        ResponseHead::new()
    }
}

field_access!(ResponseHead);

impl ResponseHead {
    /// An empty head; allocates nothing until the first parse.
    pub const fn new() -> Self {
        ResponseHead { head: Head::new(), status: 0, reason: Span::EMPTY }
    }

    /// Parses a head from the start of `input`, as [`crate::RequestHead::parse`] does. No empty line is
    /// tolerated before a response: it would be a body longer than the last response said.
    ///
    /// # Errors
    /// The response must not be forwarded, for the reason given. The head is empty then.
    pub fn parse(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, Error> {
        let result = self.try_parse(input, limits);
        if result.is_err() {
            self.clear();
            self.status = 0;
        }
        result.map_err(Error::from)
    }

    fn try_parse(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, ErrorKind> {
        match input {
            [] => return Ok(None),
            [b'\r' | b'\n', ..] => return Err(ErrorKind::EmptyLines),
            _ => {}
        }
        let input = &input[..input.len().min(limits.max_head)];
        if !self.head.is_due(input, FirstLine::Status, limits)? {
            return Ok(None);
        }
        let mut table = parse_table();
        let table = &mut table[..limits.max_fields.min(Limits::FIELDS_CEILING)];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut parsed, input, table) {
            Ok(httparse::Status::Complete(length)) => {
                self.take(&input[..length], &parsed)?;
                Ok(Some(length))
            }
            Ok(httparse::Status::Partial) => {
                self.head.note_incomplete(input, FirstLine::Status, limits)?;
                Ok(None)
            }
            Err(refusal) => Err(diagnose::fault(input, FirstLine::Status, refusal)),
        }
    }

    fn take(&mut self, whole: &[u8], parsed: &httparse::Response<'_, '_>) -> Result<(), ErrorKind> {
        let (Some(status @ 100..), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(ErrorKind::StatusLine);
        };
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        self.head.fill(whole, parsed.headers, version)?;
        self.status = status;
        self.reason = Span::new("HTTP/1.1 200 ".len(), Head::first_line_end(whole, parsed.headers));
        if matches!(status, 100..=199 | 204) {
            self.check_no_content()?;
        }
        Ok(())
    }

    /// RFC 9110, 8.6 and RFC 9112, 6.1: no Content-Length and no Transfer-Encoding in a 1xx or 204.
    /// `Content-Length: 0` is common and harmless; it is tolerated, and not forwarded.
    fn check_no_content(&mut self) -> Result<(), ErrorKind> {
        if self.head.facts.chunked || self.head.facts.content_length.is_some_and(|n| n > 0) {
            return Err(ErrorKind::ContentNotAllowed);
        }
        self.head.fields.mark_known_hop_by_hop(Name::ContentLength);
        Ok(())
    }

    /// The status, 100 to 999. Those above 599 have no meaning and are forwarded as they are.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase; may be empty.
    pub fn reason(&self) -> &[u8] {
        self.reason.of(self.head.fields.bytes())
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// Where the body ends, which depends on the method that was asked with (RFC 9112, 6.3).
    ///
    /// A 2xx to CONNECT and a 101 have no body: what follows them is another protocol.
    pub fn framing(&self, request_method: Method) -> Framing {
        let never = matches!(self.status, 100..=199 | 204 | 304)
            || request_method == Method::Head
            || (request_method == Method::Connect && matches!(self.status, 200..=299));
        match self.head.facts.content_length {
            _ if never => Framing::Empty,
            _ if self.head.facts.chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        }
    }

    /// What Content-Length says, whether or not that many bytes come (HEAD, 304).
    pub fn content_length(&self) -> Option<u64> {
        self.head.facts.content_length
    }

    /// The upstream keeps the connection open after this response; a body framed
    /// [`Framing::UntilClose`] nevertheless ends only with the connection.
    pub fn keep_alive(&self) -> bool {
        self.head.keep_alive()
    }

    /// A 1xx after which another response head follows: all but 101.
    pub fn is_informational(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// The protocol that the upstream changes to, with a 101.
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.head.upgrade()
    }
}
