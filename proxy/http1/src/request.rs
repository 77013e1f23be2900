//! Request heads (RFC 9112, 3).

use crate::diagnose;
use crate::error::{Error, ErrorKind};
use crate::fields::{FieldRef, Span, field_access};
use crate::framing::Framing;
use crate::head::{Head, Version, parse_table};
use crate::limits::Limits;
use crate::method::Method;
use crate::name::Name;
use crate::scan::FirstLine;
use crate::target::{Authority, Target};

/// A request head: parsed, checked, and kept with a copy of its bytes. Made to be used again for the
/// next request of the connection.
#[derive(Clone, Debug)]
pub struct RequestHead {
    head: Head,
    method: Method,
    method_span: Span,
    target: Span,
    authority: Span,
}

impl Default for RequestHead {
    fn default() -> Self {
        RequestHead::new()
    }
}

field_access!(RequestHead);

impl RequestHead {
    /// An empty head; allocates nothing until the first parse.
    pub const fn new() -> Self {
        RequestHead {
            head: Head::new(),
            method: Method::Other,
            method_span: Span::EMPTY,
            target: Span::EMPTY,
            authority: Span::EMPTY,
        }
    }

    /// Parses a head from the start of `input`: `Some(n)` when it is whole and took `n` bytes, `None`
    /// when more are needed.
    ///
    /// After `None`, call again with the same bytes *and more*; what was scanned is not scanned again.
    /// To begin another message instead, [`RequestHead::clear`]. One empty line before the request is
    /// tolerated (RFC 9112, 2.2).
    ///
    /// # Errors
    /// The head must not be forwarded, for the reason given. The head is empty then.
    pub fn parse(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, Error> {
        let result = self.try_parse(input, limits);
        if result.is_err() {
            self.clear();
            self.method = Method::Other;
        }
        result.map_err(Error::from)
    }

    fn try_parse(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, ErrorKind> {
        let skipped = match input {
            [] | b"\r" | b"\r\n" => return Ok(None),
            [b'\r', b'\n', b'\r' | b'\n', ..] => return Err(ErrorKind::EmptyLines),
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => return Err(ErrorKind::BareLf),
            [b'\r', ..] => return Err(ErrorKind::BareCr),
            _ => 0,
        };
        let input = &input[skipped..];
        let input = &input[..input.len().min(limits.max_head)];
        if !self.head.is_due(input, FirstLine::Request, limits)? {
            return Ok(None);
        }
        let mut table = parse_table();
        let table = &mut table[..limits.max_fields.min(Limits::FIELDS_CEILING)];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(input, table) {
            Ok(httparse::Status::Complete(length)) => {
                self.take(&input[..length], &parsed, limits)?;
                Ok(Some(skipped + length))
            }
            Ok(httparse::Status::Partial) => {
                self.head.note_incomplete(input, FirstLine::Request, limits)?;
                Ok(None)
            }
            Err(refusal) => Err(diagnose::fault(input, FirstLine::Request, refusal)),
        }
    }

    fn take(
        &mut self,
        whole: &[u8],
        parsed: &httparse::Request<'_, '_>,
        limits: &Limits,
    ) -> Result<(), ErrorKind> {
        let (Some(method), Some(target), Some(minor)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Err(ErrorKind::RequestLine);
        };
        let (method, target) = (method.as_bytes(), target.as_bytes());
        if method.len() > limits.max_method {
            return Err(ErrorKind::MethodTooLong);
        }
        if target.len() > limits.max_target {
            return Err(ErrorKind::TargetTooLong);
        }
        self.method = Method::from_bytes(method);
        let form = Target::read(self.method, target)?;
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        self.head.fill(whole, parsed.headers, version)?;
        self.method_span = Span::locate(whole, method);
        self.target = Span::locate(whole, target);
        self.take_authority(whole, target, form)
    }

    /// Finds the authority, and makes the target the one to forward.
    fn take_authority(
        &mut self,
        whole: &[u8],
        target: &[u8],
        form: Target<'_>,
    ) -> Result<(), ErrorKind> {
        let host_span = self.head.facts.host.map(|index| self.head.fields.value_span(index));
        let host = match host_span {
            Some(span) => Some(Authority::read(span.of(whole))?),
            None if self.head.version == Version::Http11 => return Err(ErrorKind::HostMissing),
            None => None,
        };
        match form {
            Target::Origin | Target::Asterisk => {
                self.authority = host_span.unwrap_or(Span::EMPTY);
            }
            Target::Authority => {
                let ours = Authority::read(target).map_err(|_| ErrorKind::ConnectTarget)?;
                // Clients differ on whether Host repeats CONNECT's port: it may be left out.
                if host.is_some_and(|host| !host.agrees(&ours, ours.port)) {
                    return Err(ErrorKind::HostDisagrees);
                }
                self.authority = self.target;
            }
            Target::Absolute { authority, rest, default_port } => {
                let ours = Authority::read(authority).map_err(|_| ErrorKind::TargetMalformed)?;
                if host.is_some_and(|host| !host.agrees(&ours, Some(default_port))) {
                    return Err(ErrorKind::HostDisagrees);
                }
                self.authority = Span::locate(whole, authority);
                self.target = match rest {
                    [b'/', ..] => Span::locate(whole, rest),
                    // RFC 9112, 3.2.4: no path and no query, the whole server is meant.
                    [] if self.method == Method::Options => self.head.fields.append(b"*"),
                    query => {
                        let slash = self.head.fields.append(b"/");
                        let query = self.head.fields.append(query);
                        slash.join(query)
                    }
                };
            }
        }
        Ok(())
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as it was sent.
    pub fn method_bytes(&self) -> &[u8] {
        self.method_span.of(self.head.fields.bytes())
    }

    /// The target to forward: `/path?query`, `*` for OPTIONS, or `host:port` for CONNECT. Of an
    /// absolute target, its path and query.
    pub fn target(&self) -> &[u8] {
        self.target.of(self.head.fields.bytes())
    }

    /// The target without its query.
    pub fn path(&self) -> &[u8] {
        let target = self.target();
        let end = target.iter().position(|b| *b == b'?').unwrap_or(target.len());
        &target[..end]
    }

    /// The authority that is asked, `host[:port]`: an absolute target's, else Host's. Empty in an
    /// HTTP/1.0 request without either. ASCII.
    ///
    /// It may be known although there is no Host field (HTTP/1.0 with an absolute target): what is
    /// forwarded needs one of its own where [`RequestHead::get`] has no [`Name::Host`].
    pub fn host(&self) -> &[u8] {
        self.authority.of(self.head.fields.bytes())
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// Where the body ends. Never [`Framing::UntilClose`].
    pub fn framing(&self) -> Framing {
        match self.head.facts.content_length {
            _ if self.head.facts.chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::Empty,
        }
    }

    /// The client wants to use the connection again after this request.
    pub fn keep_alive(&self) -> bool {
        self.head.keep_alive()
    }

    /// The client waits for `100 Continue` before it sends the body. Never in HTTP/1.0, which does not
    /// know it, and never without a body (RFC 9110, 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.head.facts.expect_continue
            && self.head.version == Version::Http11
            && !self.framing().is_empty()
    }

    /// The protocols that the client would change to. `None` in HTTP/1.0, and unless exactly one
    /// Upgrade field is there and Connection names it (RFC 9110, 7.8): an Upgrade may always be ignored.
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.head.upgrade()
    }

    /// The client accepts trailer fields (`TE: trailers`).
    pub fn has_te_trailers(&self) -> bool {
        self.head.facts.te_trailers
    }
}
