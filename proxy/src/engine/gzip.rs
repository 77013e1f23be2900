//! A gzip stream (RFC 1952) whose flush lets go of everything, always.
//!
//! `flate2::write::GzEncoder` asks its compressor for a flush once and then only for what is left over. A compressor that runs out of room in
//! the middle of that forgets that it was to flush, and the end of what a client waits for stays behind until more comes. So this holds
//! the compressor itself, and asks for the same again until there was room to spare, as zlib's manual demands of whoever calls
//! `deflate`. The frame around it is ten bytes before and eight behind.

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// No name, no time, an unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// So much room at least there is for what a call makes.
const ROOM: usize = 4 << 10;

/// An encoder and what it has made.
pub(super) struct Gzip {
    deflate: Compress,
    crc: Crc,
    begun: bool,
    made: Vec<u8>,
}

impl Gzip {
    pub(super) fn new(level: u32) -> Self {
        Self {
            deflate: Compress::new(Compression::new(level), false),
            crc: Crc::new(),
            begun: false,
            made: Vec::new(),
        }
    }

    /// What it has made: to be taken away, or put back.
    pub(super) fn made(&mut self) -> &mut Vec<u8> {
        &mut self.made
    }

    /// All of it, to the end.
    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.run(&[], FlushCompress::Finish)?;
        self.made.extend_from_slice(&self.crc.sum().to_le_bytes());
        self.made.extend_from_slice(&self.crc.amount().to_le_bytes());
        Ok(self.made)
    }

    fn run(&mut self, mut input: &[u8], flush: FlushCompress) -> io::Result<()> {
        if !self.begun {
            self.begun = true;
            self.made.extend_from_slice(&HEAD);
        }
        loop {
            self.made.reserve(ROOM.max(input.len() / 2));
            let before = self.deflate.total_in();
            let status = self.deflate.compress_vec(input, &mut self.made, flush);
            let status = status.map_err(io::Error::other)?;
            input = &input[(self.deflate.total_in() - before) as usize..];
            let has_room = self.made.len() < self.made.capacity();
            match status {
                Status::StreamEnd => return Ok(()),
                _ if !has_room => {}
                // The end is told by its own word.
                _ if flush == FlushCompress::Finish => return Err(io::ErrorKind::WriteZero.into()),
                _ if input.is_empty() => return Ok(()),
                Status::BufError => return Err(io::ErrorKind::WriteZero.into()),
                Status::Ok => {}
            }
        }
    }
}

impl Write for Gzip {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.crc.update(content);
        self.run(content, FlushCompress::None)?;
        Ok(content.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.run(&[], FlushCompress::Sync)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Noise is what fills a compressor's room: it comes out as long as it went in.
    #[test]
    fn a_flush_lets_go_of_everything() {
        let mut rng = policy::Seed(1).rng();
        let noise: Vec<u8> = (0..1 << 18).map(|_| rng.bits() as u8 & 0x3f).collect();
        for level in 1..=9 {
            for piece in [1, 11_070, 35_526, 90_114, 1 << 18] {
                let mut gzip = Gzip::new(level);
                for part in noise.chunks(piece).take(6) {
                    gzip.write_all(part).expect("it takes everything");
                    gzip.flush().expect("it takes everything");
                }
                let sent = &noise[..noise.len().min(6 * piece)];
                let mut got = Vec::new();
                let cut =
                    flate2::read::GzDecoder::new(gzip.made().as_slice()).read_to_end(&mut got);
                assert!(
                    cut.is_err() && got == sent,
                    "{level} {piece}: {} of {}",
                    got.len(),
                    sent.len()
                );
                let all = gzip.finish().expect("it takes everything");
                got.clear();
                flate2::read::GzDecoder::new(&*all).read_to_end(&mut got).expect("it is whole");
                assert!(got == sent);
            }
        }
    }
}
