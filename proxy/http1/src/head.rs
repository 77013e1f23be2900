//! What request and response heads have in common: fields, and the facts that a few of them state.
//!
//! `httparse` finds the lines (with SIMD where the machine has it) and refuses what is no token, no
//! field value, folded, or has a blank before the colon. It is lenient in one thing, a bare LF as line
//! end; that is checked here for the price of two bytes a field, because a line must end where the
//! next name begins. Each name is then looked up once, and the few fields that decide framing, routing
//! and the connection's life are read on the spot, so that nothing searches for them later.

use std::mem::MaybeUninit;

use crate::error::ErrorKind;
use crate::fields::{Fields, Span, list};
use crate::framing::{content_length, transfer_encoding};
use crate::limits::Limits;
use crate::name::{Name, is_underscore_alias};
use crate::scan::{FirstLine, Progress, Scan};

/// The protocol version of a message. Others are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0: closes after each message unless told otherwise, knows no chunks and no 1xx.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// The parser's table of fields, on the stack and not initialised: it costs nothing.
pub(crate) type ParseTable<'a> = [MaybeUninit<httparse::Header<'a>>; Limits::FIELDS_CEILING];

pub(crate) const fn parse_table<'a>() -> ParseTable<'a> {
    [const { MaybeUninit::uninit() }; Limits::FIELDS_CEILING]
}

/// Most fields that Connection may name besides those that we know. Each is looked for among all fields,
/// so without a bound 16,000 one-letter options in a head of 32 KiB would cost milliseconds.
const MAX_CONNECTION_NAMES: usize = 32;

/// A head's fields and what they say.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) fields: Fields,
    pub(crate) version: Version,
    pub(crate) facts: Facts,
    pub(crate) scan: Scan,
}

/// What the fields that this crate obeys say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) content_length: Option<u64>,
    pub(crate) chunked: bool,
    /// Index of the Host field.
    pub(crate) host: Option<usize>,
    /// Connection's options.
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    pub(crate) upgrade_fields: usize,
    pub(crate) expect_continue: bool,
    pub(crate) te_trailers: bool,
}

impl Head {
    pub(crate) const fn new() -> Self {
        Head {
            fields: Fields::new(),
            version: Version::Http11,
            facts: Facts {
                content_length: None,
                chunked: false,
                host: None,
                close: false,
                keep_alive: false,
                upgrade: false,
                upgrade_fields: 0,
                expect_continue: false,
                te_trailers: false,
            },
            scan: Scan::new(),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.fields.clear();
        self.facts = Facts::default();
        self.scan = Scan::new();
    }

    pub(crate) fn release(&mut self) {
        self.clear();
        self.fields.release();
    }

    /// Whether to run the parser over `input` now: always on the first sight of a head, later only when
    /// its first line or all of it has become whole.
    pub(crate) fn is_due(
        &mut self,
        input: &[u8],
        first: FirstLine,
        limits: &Limits,
    ) -> Result<bool, ErrorKind> {
        if self.scan.is_fresh() {
            return Ok(true);
        }
        Ok(self.scan.advance(input, first, limits)? != Progress::Incomplete)
    }

    /// The parser found no end in `input`: note how far it was looked for.
    pub(crate) fn note_incomplete(
        &mut self,
        input: &[u8],
        first: FirstLine,
        limits: &Limits,
    ) -> Result<(), ErrorKind> {
        if !self.scan.is_fresh() {
            return Ok(());
        }
        match self.scan.advance(input, first, limits)? {
            // The two would disagree on what a head is; no input is known that does it.
            Progress::Whole => Err(ErrorKind::BareLf),
            Progress::Incomplete | Progress::FirstLineWhole => Ok(()),
        }
    }

    /// Takes over a whole head that the parser has accepted.
    pub(crate) fn fill(
        &mut self,
        whole: &[u8],
        headers: &[httparse::Header<'_>],
        version: Version,
    ) -> Result<(), ErrorKind> {
        self.clear();
        self.version = version;
        self.fields.append(whole);
        self.fields.end_at(whole.len().saturating_sub(2));
        let mut names_fields = false;
        for (index, header) in headers.iter().enumerate() {
            let (name, value) = (header.name.as_bytes(), header.value);
            let at = Span::locate(whole, name);
            if at.start().checked_sub(2).and_then(|end| whole.get(end)) != Some(&b'\r') {
                return Err(ErrorKind::BareLf);
            }
            let known = Name::from_bytes(name);
            self.fields.push(at, Span::locate(whole, value), known);
            match known {
                Some(known) => names_fields |= self.facts.note(known, value, index)?,
                None if is_underscore_alias(name) => return Err(ErrorKind::UnderscoreAlias),
                None => {}
            }
        }
        if !whole.ends_with(b"\r\n\r\n") {
            return Err(ErrorKind::BareLf);
        }
        if names_fields {
            self.drop_named_by_connection()?;
        }
        self.check_framing()
    }

    /// Where the first line ends, its CR LF not included. For a head that was accepted.
    pub(crate) fn first_line_end(whole: &[u8], headers: &[httparse::Header<'_>]) -> usize {
        let next =
            headers.first().map(|header| Span::locate(whole, header.name.as_bytes()).start());
        next.unwrap_or(whole.len().saturating_sub(2)).saturating_sub(2)
    }

    /// Connection names fields that we do not know: they are for this hop only.
    #[cold]
    fn drop_named_by_connection(&mut self) -> Result<(), ErrorKind> {
        let mut names = [Span::EMPTY; MAX_CONNECTION_NAMES];
        let mut count = 0;
        let bytes = self.fields.bytes();
        for field in self.fields.iter().filter(|field| field.known == Some(Name::Connection)) {
            for option in list(field.value).filter(|option| Name::from_bytes(option).is_none()) {
                let slot = names.get_mut(count).ok_or(ErrorKind::ConnectionTooLong)?;
                *slot = Span::locate(bytes, option);
                count += 1;
            }
        }
        for name in &names[..count] {
            self.fields.mark_hop_by_hop(*name);
        }
        Ok(())
    }

    /// What holds for requests and responses alike.
    fn check_framing(&self) -> Result<(), ErrorKind> {
        if self.facts.chunked {
            if self.facts.content_length.is_some() {
                return Err(ErrorKind::ContentLengthWithTransferEncoding);
            }
            if self.version == Version::Http10 {
                return Err(ErrorKind::TransferEncodingInHttp10);
            }
        }
        Ok(())
    }

    /// Whether the sender keeps the connection open after this message (RFC 9112, 9.3).
    pub(crate) fn keep_alive(&self) -> bool {
        !self.facts.close && (self.version == Version::Http11 || self.facts.keep_alive)
    }

    /// The Upgrade field, if Connection confirms it and there is only one.
    pub(crate) fn upgrade(&self) -> Option<&[u8]> {
        let asks = self.version == Version::Http11 && self.facts.upgrade;
        if !asks || self.facts.upgrade_fields != 1 {
            return None;
        }
        self.fields.get(Name::Upgrade).filter(|value| !value.is_empty())
    }
}

impl Facts {
    /// Reads one field. True if it is a Connection that names fields.
    fn note(&mut self, name: Name, value: &[u8], index: usize) -> Result<bool, ErrorKind> {
        match name {
            Name::ContentLength => {
                let length = content_length(value)?;
                if self.content_length.replace(length).is_some() {
                    return Err(ErrorKind::ContentLengthRepeated);
                }
            }
            Name::TransferEncoding => {
                if self.chunked {
                    return Err(ErrorKind::TransferCodingRepeated);
                }
                transfer_encoding(value)?;
                self.chunked = true;
            }
            Name::Host => {
                let earlier = self.host.replace(index);
                if earlier.is_some() {
                    return Err(ErrorKind::HostRepeated);
                }
            }
            Name::Connection => return self.note_connection(value),
            Name::Upgrade => self.upgrade_fields += 1,
            Name::Expect => {
                self.expect_continue |=
                    list(value).any(|member| member.eq_ignore_ascii_case(b"100-continue"));
            }
            Name::Te => {
                self.te_trailers |=
                    list(value).any(|member| member.eq_ignore_ascii_case(b"trailers"));
            }
            _ => {}
        }
        Ok(false)
    }

    fn note_connection(&mut self, value: &[u8]) -> Result<bool, ErrorKind> {
        let mut names_fields = false;
        for option in list(value) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                match Name::from_bytes(option) {
                    Some(Name::Host | Name::ContentLength) => {
                        return Err(ErrorKind::ConnectionNamesFraming);
                    }
                    // Dropped by itself, or for all recipients: see `end_to_end`.
                    Some(_) => {}
                    None => names_fields = true,
                }
            }
        }
        Ok(names_fields)
    }
}
