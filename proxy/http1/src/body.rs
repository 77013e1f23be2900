//! Bodies: bytes off the wire in, bytes of content out (RFC 9112, 6 and 7).
//!
//! The decoder borrows, it never copies content: each call gives back a slice of its input. It may be fed
//! input cut at any byte. With a chunked body one call gives the data of one chunk and has by then
//! also eaten what follows it in the input (line end, next size, even the end of the body), so that a
//! small body is one call.

use crate::chunk::SizeLine;
use crate::diagnose;
use crate::error::{Error, ErrorKind};
use crate::fields::{FieldRef, Fields, Span};
use crate::framing::Framing;
use crate::limits::Limits;
use crate::name::{Name, is_underscore_alias};
use crate::scan::{FirstLine, Progress, Scan};

/// Decodes one body.
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    state: State,
    limits: Limits,
    /// Bytes of chunk extensions so far.
    extensions: usize,
    section: Vec<u8>,
    section_scan: Scan,
    trailers: Fields,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    ChunkSize(SizeLine),
    ChunkData(u64),
    /// The CR, then the LF, after a chunk's data.
    ChunkEnd(EndByte),
    Trailers,
    Done,
    Failed(ErrorKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndByte {
    Cr,
    Lf,
}

/// What one call of [`BodyDecoder::decode`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Content; a part of the input. May be empty.
    pub data: &'a [u8],
    /// How many bytes of the input are dealt with. Feed the rest again: where this is less than all and
    /// the body is not done, there is more to be had from it.
    pub consumed: usize,
    /// The body has ended. What is left of the input belongs to the next message.
    pub done: bool,
}

impl BodyDecoder {
    /// A decoder for a body that is framed so. Allocates only if trailers come.
    pub fn new(framing: Framing, limits: &Limits) -> Self {
        BodyDecoder {
            state: State::at_start(framing),
            limits: *limits,
            extensions: 0,
            section: Vec::new(),
            section_scan: Scan::new(),
            trailers: Fields::new(),
        }
    }

    /// Begins another body, keeping memory and limits.
    pub fn reset(&mut self, framing: Framing) {
        self.state = State::at_start(framing);
        self.extensions = 0;
        self.section.clear();
        self.trailers.clear();
    }

    /// Decodes from the start of `input`.
    ///
    /// # Errors
    /// The body breaks a rule; it stays broken, every later call says the same. Content that came before
    /// the fault is given out first.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<'a>, Error> {
        let mut data: &[u8] = &[];
        let mut at = 0;
        let result = match self.state {
            State::Length(left) => {
                let take = left.min(input.len() as u64);
                (data, at) = (&input[..take as usize], take as usize);
                self.state = if take == left { State::Done } else { State::Length(left - take) };
                Ok(())
            }
            State::UntilClose => {
                (data, at) = (input, input.len());
                Ok(())
            }
            State::Done => Ok(()),
            _ => self.decode_chunks(input, &mut at, &mut data),
        };
        if let Err(kind) = result {
            self.state = State::Failed(kind);
            if data.is_empty() {
                return Err(kind.into());
            }
        }
        Ok(Decoded { data, consumed: at, done: self.state == State::Done })
    }

    fn decode_chunks<'a>(
        &mut self,
        input: &'a [u8],
        at: &mut usize,
        data: &mut &'a [u8],
    ) -> Result<(), ErrorKind> {
        while *at < input.len() {
            match &mut self.state {
                State::ChunkSize(line) => {
                    let size = line.push(input[*at], self.limits.max_chunk_line)?;
                    *at += 1;
                    if let Some(size) = size {
                        self.extensions += line.extension();
                        if self.extensions > self.limits.max_chunk_extensions {
                            return Err(ErrorKind::ChunkExtensionsTooLarge);
                        }
                        self.state =
                            if size == 0 { State::Trailers } else { State::ChunkData(size) };
                    }
                }
                State::ChunkData(left) => {
                    if !data.is_empty() {
                        // One slice a call.
                        return Ok(());
                    }
                    let rest = &input[*at..];
                    let take = (*left).min(rest.len() as u64);
                    *data = &rest[..take as usize];
                    *at += take as usize;
                    *left -= take;
                    if *left == 0 {
                        self.state = State::ChunkEnd(EndByte::Cr);
                    }
                }
                State::ChunkEnd(expected) => {
                    self.state = match (*expected, input[*at]) {
                        (EndByte::Cr, b'\r') => State::ChunkEnd(EndByte::Lf),
                        (EndByte::Lf, b'\n') => State::ChunkSize(SizeLine::default()),
                        _ => return Err(ErrorKind::ChunkEnd),
                    };
                    *at += 1;
                }
                State::Trailers => *at += self.read_trailers(&input[*at..])?,
                State::Failed(kind) => return Err(*kind),
                State::Done | State::Length(_) | State::UntilClose => return Ok(()),
            }
        }
        if let State::Failed(kind) = self.state { Err(kind) } else { Ok(()) }
    }

    /// Takes bytes of the trailer section; gives back how many.
    fn read_trailers(&mut self, input: &[u8]) -> Result<usize, ErrorKind> {
        if self.section.is_empty() {
            if let [b'\r', b'\n', ..] = input {
                self.state = State::Done;
                return Ok(2);
            }
            self.section_scan = Scan::of_fields();
        }
        let before = self.section.len();
        let take = input.len().min(self.limits.max_trailers.saturating_sub(before));
        self.section.extend_from_slice(&input[..take]);
        // The scan's own bounds are those of heads; ours are checked here.
        let limits = Limits {
            max_head: usize::MAX,
            max_fields: self.limits.max_trailer_fields.min(Limits::FIELDS_CEILING),
            ..self.limits
        };
        let progress = self
            .section_scan
            .advance(&self.section, FirstLine::Status, &limits)
            .map_err(trailer_fault)?;
        if progress == Progress::Whole {
            let end = self.section_scan.end();
            self.section.truncate(end);
            self.parse_trailers()?;
            self.state = State::Done;
            return Ok(end - before);
        }
        if self.section.len() >= self.limits.max_trailers {
            return Err(ErrorKind::TrailersTooLarge);
        }
        Ok(take)
    }

    fn parse_trailers(&mut self) -> Result<(), ErrorKind> {
        let mut table = [httparse::EMPTY_HEADER; Limits::FIELDS_CEILING];
        let table = &mut table[..self.limits.max_trailer_fields.min(Limits::FIELDS_CEILING)];
        let headers = match httparse::parse_headers(&self.section, table) {
            Ok(httparse::Status::Complete((_, headers))) => headers,
            Ok(httparse::Status::Partial) => return Err(ErrorKind::FieldName),
            Err(httparse::Error::TooManyHeaders) => return Err(ErrorKind::TrailersTooLarge),
            Err(_) => return Err(diagnose::field_fault(&self.section)),
        };
        self.trailers.clear();
        self.trailers.append(&self.section);
        for header in headers {
            let name = header.name.as_bytes();
            let known = Name::from_bytes(name);
            if known.is_none_or(Name::may_trail) && !is_underscore_alias(name) {
                let name = Span::locate(&self.section, name);
                self.trailers.push(name, Span::locate(&self.section, header.value), known);
            }
        }
        Ok(())
    }

    /// The peer has closed its side: fine where the body is over or ends so.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if more should have come; or the fault that the body had.
    pub fn eof(&mut self) -> Result<(), Error> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Failed(kind) => Err(kind.into()),
            _ => Err(ErrorKind::Truncated.into()),
        }
    }

    /// The body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many bytes of content are still to come at least: all of them with a Content-Length, the
    /// rest of the present chunk with chunks, 0 where that is not known.
    pub fn expected(&self) -> u64 {
        match self.state {
            State::Length(left) | State::ChunkData(left) => left,
            _ => 0,
        }
    }

    /// The trailer fields, once the body is done. Fields that must not trail (RFC 9110, 6.5.1: framing,
    /// routing, credentials, caching, …: all that [`Name`] knows but [`Name::may_trail`]) are dropped: they
    /// came too late to count, and a recipient that merged them into its head would obey them.
    pub fn trailers(&self) -> impl Iterator<Item = FieldRef<'_>> + Clone {
        self.trailers.iter()
    }
}

impl State {
    fn at_start(framing: Framing) -> State {
        match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize(SizeLine::default()),
            Framing::UntilClose => State::UntilClose,
        }
    }
}

/// The scan speaks of heads.
fn trailer_fault(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::TooManyFields | ErrorKind::HeadTooLarge => ErrorKind::TrailersTooLarge,
        other => other,
    }
}
