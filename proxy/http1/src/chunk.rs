//! Chunk-size lines (RFC 9112, 7.1), read a byte at a time and written.
//!
//! A size is plain hexadecimal digits: no sign, no `0x`, no blank before the line end or the semicolon
//! (the grammar allows none without an extension; parsers that skip it, and parsers that stop at it,
//! both exist). Extensions are read over and dropped, as RFC 9112, 7.1.1 has it for what is not
//! understood, but not without looking: a bare CR or LF inside one is a known way to smuggle.

use crate::error::ErrorKind;

/// More digits than 64 bits need; leading zeros count.
const MAX_DIGITS: u8 = 16;

/// A chunk-size line that is being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SizeLine {
    size: u64,
    digits: u8,
    length: u32,
    extension: u32,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Digits,
    Extension,
    LineEnd,
}

impl SizeLine {
    /// Takes a byte; the size, when that was the line's last.
    pub(crate) fn push(&mut self, b: u8, max_line: usize) -> Result<Option<u64>, ErrorKind> {
        self.length += 1;
        if self.length as usize > max_line {
            return Err(ErrorKind::ChunkLineTooLong);
        }
        match (self.stage, b) {
            (Stage::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.digits += 1;
                if self.digits > MAX_DIGITS {
                    return Err(ErrorKind::ChunkSizeOverflow);
                }
                let digit = if b <= b'9' { b - b'0' } else { (b | 0x20) - b'a' + 10 };
                self.size = self.size << 4 | u64::from(digit);
            }
            (Stage::Digits, b'\r') if self.digits > 0 => self.stage = Stage::LineEnd,
            (Stage::Digits, b';') if self.digits > 0 => self.stage = Stage::Extension,
            (Stage::Digits, b'\n') if self.digits > 0 => return Err(ErrorKind::BareLf),
            (Stage::Digits, _) => return Err(ErrorKind::ChunkSize),
            (Stage::Extension, b'\r') => self.stage = Stage::LineEnd,
            (Stage::Extension, b'\n') => return Err(ErrorKind::BareLf),
            (Stage::Extension, b'\t' | b' '..=b'~' | 128..) => self.extension += 1,
            (Stage::Extension, _) => return Err(ErrorKind::ChunkExtension),
            (Stage::LineEnd, b'\n') => return Ok(Some(self.size)),
            (Stage::LineEnd, _) => return Err(ErrorKind::BareCr),
        }
        Ok(None)
    }

    /// How many bytes of extensions the line has.
    pub(crate) fn extension(&self) -> usize {
        self.extension as usize
    }
}

/// The line before a chunk's data, `size in hex CR LF`, on the stack: for vectored writes of head, data
/// and [`CHUNK_END`].
#[derive(Clone, Copy, Debug)]
pub struct ChunkHead {
    buffer: [u8; 18],
    start: u8,
}

impl ChunkHead {
    /// The line for a chunk of `size` bytes; `None` for 0, since an empty chunk ends the body.
    pub fn new(size: usize) -> Option<ChunkHead> {
        if size == 0 {
            return None;
        }
        let mut buffer = [0; 18];
        buffer[16..].copy_from_slice(b"\r\n");
        let mut start = 16;
        let mut rest = size as u64;
        while rest > 0 {
            start -= 1;
            buffer[start] = b"0123456789abcdef"[(rest & 15) as usize];
            rest >>= 4;
        }
        Some(ChunkHead { buffer, start: start as u8 })
    }

    /// The line.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer[usize::from(self.start)..]
    }
}

/// What follows a chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorKind as E;

    fn read(line: &str) -> Result<Option<u64>, ErrorKind> {
        let mut size_line = SizeLine::default();
        for b in line.bytes() {
            if let Some(size) = size_line.push(b, 64)? {
                return Ok(Some(size));
            }
        }
        Ok(None)
    }

    #[test]
    fn sizes() {
        for (line, expected) in [
            ("0\r\n", Ok(Some(0))),
            ("5\r\n", Ok(Some(5))),
            ("aF\r\n", Ok(Some(0xaf))),
            ("00000000000000ff\r\n", Ok(Some(255))),
            ("ffffffffffffffff\r\n", Ok(Some(u64::MAX))),
            ("5;name=value;\"q\"\r\n", Ok(Some(5))),
            ("5", Ok(None)),
            ("5\r", Ok(None)),
            ("10000000000000000\r\n", Err(E::ChunkSizeOverflow)),
            ("00000000000000005\r\n", Err(E::ChunkSizeOverflow)),
            ("\r\n", Err(E::ChunkSize)),
            (";x\r\n", Err(E::ChunkSize)),
            ("+5\r\n", Err(E::ChunkSize)),
            ("-5\r\n", Err(E::ChunkSize)),
            ("0x5\r\n", Err(E::ChunkSize)),
            (" 5\r\n", Err(E::ChunkSize)),
            ("5 \r\n", Err(E::ChunkSize)),
            ("5 ;x\r\n", Err(E::ChunkSize)),
            ("5_0\r\n", Err(E::ChunkSize)),
            ("g\r\n", Err(E::ChunkSize)),
            ("\n", Err(E::ChunkSize)),
            ("5\n", Err(E::BareLf)),
            ("5\rx", Err(E::BareCr)),
            ("5;x\n", Err(E::BareLf)),
            ("5;x\rx", Err(E::BareCr)),
            ("5;x\0\r\n", Err(E::ChunkExtension)),
        ] {
            assert_eq!(read(line), expected, "{line:?}");
        }
        assert_eq!(read(&format!("5;{}\r\n", "x".repeat(60))), Ok(Some(5)));
        assert_eq!(read(&format!("5;{}\r\n", "x".repeat(61))), Err(E::ChunkLineTooLong));
    }

    #[test]
    fn heads_are_read_back() {
        for size in [1, 9, 10, 15, 16, 255, 4096, 65_535, usize::MAX] {
            let head = ChunkHead::new(size).expect("not empty");
            let line = str::from_utf8(head.as_bytes()).expect("ASCII");
            assert_eq!(line, format!("{size:x}\r\n"));
            assert_eq!(read(line), Ok(Some(size as u64)));
        }
        assert!(ChunkHead::new(0).is_none());
    }
}
