//! A body is compressed while it passes.
//!
//! Whether and how is decided in [`policy::compression`]; here are the encoders, in push style: content goes in by
//! [`Encoder::content`], what has become of it comes out of the same call, and what an encoder still holds back comes out when it is asked
//! to ([`Encoder::pause`]) or at the end. No thread, no task and no channel: an encoder is a part of its request's task.
//!
//! All three are used through `std::io::Write` onto a vector that is lent to them for the length of a call, so nothing is copied twice, and
//! one interface that everybody knows takes the place of three. That is why they are taken from `flate2`, `brotli` and `zstd` themselves, not
//! by way of `async-compression`, which wraps the same three for asynchronous streams that this engine does not have.
//!
//! What an encoder holds is bounded by its window: 32 KiB for gzip, 256 KiB for Brotli, 512 KiB for Zstandard, and tables of about a MiB
//! at the levels that are the default. A body that states a shorter length gets as much as it needs. It is all given back when the
//! response has ended, and [`CompressionConfig::encoders`](policy::compression::CompressionConfig::encoders) bounds how many there are.

use std::{fmt, io, mem, sync::Arc};

use brotli::{CompressorWriter, enc::BrotliEncoderParams};
use http1::Framing;
use net::Net;
use policy::compression::{self, Coding, CompressionConfig, Flush, Plan};
use zstd::{stream::write::Encoder as ZstdEncoder, zstd_safe::CParameter};

use super::{
    exchange::Exchange,
    gzip::Gzip,
    heads::{RequestFields, ResponseFields},
    stats::WorkerStats,
    worker::Pad,
};

/// Powers of two: the largest windows of Brotli and Zstandard. RFC 9659 allows Zstandard 23, which is for archives and not for responses.
const BR_WINDOW: u32 = 18;
const ZSTD_WINDOW: u32 = 19;
/// What Brotli writes at once.
const BR_BUFFER: usize = 4 << 10;

/// Compresses one body.
pub(crate) struct Encoder {
    writer: Writer,
    flush: Flush,
    /// Something went in since it was last asked to let go of everything.
    holds: bool,
    place: Place,
}

/// Its place among those that its worker may have.
struct Place(Arc<WorkerStats>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.encoders.sub(1);
    }
}

/// The one that is used.
enum Writer {
    Gzip(Box<Gzip>),
    // Nearly 6 KiB of state lie in the writer itself.
    Br(Box<CompressorWriter<Vec<u8>>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl Encoder {
    /// For a body of this length, if that is known; it must be this length then. Fails where there is no memory for it.
    pub(crate) fn new(
        plan: Plan,
        length: Option<u64>,
        stats: Arc<WorkerStats>,
    ) -> io::Result<Self> {
        let level = u32::from(plan.level);
        let writer = match plan.coding {
            Coding::Gzip => Writer::Gzip(Box::new(Gzip::new(level))),
            Coding::Br => {
                let window = length.map_or(BR_WINDOW, |length| window(length).clamp(10, BR_WINDOW));
                let params = BrotliEncoderParams {
                    quality: plan.level.into(),
                    lgwin: window as i32,
                    size_hint: length.unwrap_or(0) as usize,
                    ..BrotliEncoderParams::default()
                };
                Writer::Br(Box::new(CompressorWriter::with_params(Vec::new(), BR_BUFFER, &params)))
            }
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), plan.level.into())?;
                encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW))?;
                // From a length it makes its tables as small as they may be.
                encoder.set_pledged_src_size(length)?;
                Writer::Zstd(encoder)
            }
        };
        stats.encoders.add(1);
        stats.compressed[plan.coding as usize].add(1);
        Ok(Self { writer, flush: plan.flush, holds: false, place: Place(stats) })
    }

    /// Takes a piece of content; what is ready goes behind `out`.
    pub(crate) fn content(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        self.holds = true;
        self.place.0.compression_in.add(piece.len() as u64);
        let flush = self.flush;
        self.lend(out, |writer| {
            writer.write_all(piece)?;
            if flush == Flush::EachPiece { writer.flush() } else { Ok(()) }
        })?;
        if flush == Flush::EachPiece {
            self.holds = false;
        }
        Ok(())
    }

    /// Nothing more comes for now: all that it holds back goes behind `out`.
    pub(crate) fn pause(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !mem::take(&mut self.holds) {
            return Ok(());
        }
        self.lend(out, |writer| writer.flush())
    }

    /// The body is complete: the rest goes behind `out`.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        let before = out.len();
        let Self { mut writer, place, .. } = self;
        *writer.sink() = mem::take(out);
        *out = match writer {
            Writer::Gzip(encoder) => encoder.finish()?,
            Writer::Br(encoder) => encoder.into_inner(),
            Writer::Zstd(encoder) => encoder.finish()?,
        };
        place.0.compression_out.add((out.len() - before) as u64);
        Ok(())
    }

    /// Lets the encoder write behind `out`.
    fn lend(
        &mut self,
        out: &mut Vec<u8>,
        work: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let before = out.len();
        mem::swap(self.writer.sink(), out);
        let done = work(self.writer.writer());
        mem::swap(self.writer.sink(), out);
        self.place.0.compression_out.add((out.len() - before) as u64);
        done
    }
}

impl<N: Net> Exchange<'_, N> {
    /// The head of the response is in the pad: compresses its body, if that is wanted, allowed and worth it.
    pub(super) fn compress(&mut self, config: &CompressionConfig) {
        let worker = self.worker;
        let Pad { request, response, back, shape, .. } = &mut *self.pad;
        let fields = RequestFields(request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        let busy = worker.stats.encoders.get() as usize;
        let answered = ResponseFields(response);
        let plan = compression::choose(&asked, &answered.answered(), config, busy, back);
        let length = match response.framing(request.method()) {
            // The answer to HEAD says what the one to GET would.
            Framing::Empty => return,
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        if let Some(plan) = plan {
            let shape = shape.get_or_insert_default();
            match Encoder::new(plan, length, Arc::clone(&worker.stats)) {
                Ok(encoder) => shape.encoder = Some(encoder),
                Err(error) => {
                    tracing::error!(%error, "an answer cannot be compressed");
                    shape.broken = true;
                }
            }
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.writer {
            Writer::Gzip(_) => "gzip",
            Writer::Br(_) => "br",
            Writer::Zstd(_) => "zstd",
        };
        f.debug_tuple("Encoder").field(&name).finish()
    }
}

impl Writer {
    /// Where its bytes go.
    fn sink(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.made(),
            Self::Br(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    fn writer(&mut self) -> &mut dyn io::Write {
        match self {
            Self::Gzip(encoder) => encoder.as_mut(),
            Self::Br(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
        }
    }
}

/// The smallest window that holds so many bytes, as a power of two.
fn window(length: u64) -> u32 {
    u64::BITS - length.saturating_sub(1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    /// What these bytes say, and whether they are the whole.
    fn decoded(coding: Coding, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut content = Vec::new();
        let end = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut content),
            Coding::Br => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut content),
            Coding::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(bytes);
                decoder.expect("there is memory").read_to_end(&mut content)
            }
        };
        // Brotli's decoder says the same of what is wrong and of what is missing.
        let cut = [io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData];
        let error = end.err();
        assert!(error.iter().all(|error| cut.contains(&error.kind())), "{error:?}");
        (content, error.is_none())
    }

    fn plan(coding: Coding, level: u8) -> Plan {
        Plan { coding, level, flush: Flush::AtPause }
    }

    /// Text that repeats itself, with noise in it.
    fn content(noise: u64, length: usize) -> Vec<u8> {
        let mut rng = policy::Seed(noise).rng();
        let words = [&b"wind "[..], b"tunnel ", b"proxy ", b"\n", b"<li>"];
        let mut content = Vec::with_capacity(length + 8);
        while content.len() < length {
            match rng.below(4) {
                0 => content.extend_from_slice(&rng.bits().to_le_bytes()),
                _ => content.extend_from_slice(words[rng.index(words.len())]),
            }
        }
        content.truncate(length);
        content
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// However the content is cut and wherever it pauses: what comes out is what went in, and after a pause it is all there.
        #[test]
        fn what_comes_out_decodes_to_what_went_in(
            coding in prop::sample::select(&Coding::ALL[..]),
            level in 1_u8..10,
            noise: u64,
            pieces in prop::collection::vec((0_usize..70_000, any::<bool>()), 0..8),
            knows_length: bool,
        ) {
            let whole = content(noise, pieces.iter().map(|piece| piece.0).sum());
            let stats = Arc::<WorkerStats>::default();
            let length = knows_length.then_some(whole.len() as u64);
            let encoder = Encoder::new(plan(coding, level), length, Arc::clone(&stats));
            let mut encoder = encoder.expect("there is memory");
            prop_assert_eq!(stats.encoders.get(), 1);
            let (mut out, mut at) = (Vec::new(), 0);
            for (length, pauses) in pieces {
                encoder.content(&whole[at..at + length], &mut out).expect("it takes everything");
                at += length;
                if pauses {
                    encoder.pause(&mut out).expect("it takes everything");
                    let before = out.len();
                    encoder.pause(&mut out).expect("it takes everything");
                    prop_assert_eq!(out.len(), before, "there was nothing to let go");
                    prop_assert!(decoded(coding, &out).0 == whole[..at]);
                }
            }
            encoder.finish(&mut out).expect("it takes everything");
            prop_assert!(decoded(coding, &out) == (whole.clone(), true));
            prop_assert_eq!(stats.encoders.get(), 0);
            prop_assert_eq!(stats.compression_in.get(), whole.len() as u64);
            prop_assert_eq!(stats.compression_out.get(), out.len() as u64);
        }
    }

    #[test]
    fn events_are_not_held_back() {
        for coding in Coding::ALL {
            let plan = Plan { flush: Flush::EachPiece, ..plan(coding, 3) };
            let mut encoder = Encoder::new(plan, None, Arc::default()).expect("there is memory");
            let (mut out, mut sent) = (Vec::new(), Vec::new());
            for number in 0..100 {
                let event = format!("id: {number}\ndata: something has happened\n\n");
                encoder.content(event.as_bytes(), &mut out).expect("it takes everything");
                sent.extend_from_slice(event.as_bytes());
                assert_eq!(decoded(coding, &out), (sent.clone(), false));
            }
            assert!(out.len() < sent.len() / 2, "{coding:?}: {} of {}", out.len(), sent.len());
        }
    }

    #[test]
    fn one_that_is_dropped_gives_its_place_back() {
        for coding in Coding::ALL {
            let stats = Arc::<WorkerStats>::default();
            let encoder = Encoder::new(plan(coding, 3), None, Arc::clone(&stats));
            let mut encoder = encoder.expect("there is memory");
            encoder.content(b"half of it", &mut Vec::new()).expect("it takes everything");
            drop(encoder);
            assert_eq!(stats.encoders.get(), 0);
            assert_eq!(stats.compressed[coding as usize].get(), 1);
        }
    }

    #[test]
    fn a_length_that_was_no_length_is_noticed() {
        let plan = plan(Coding::Zstd, 3);
        let mut encoder = Encoder::new(plan, Some(5), Arc::default()).expect("there is memory");
        let mut out = Vec::new();
        encoder.content(b"four", &mut out).expect("so far it is right");
        assert!(encoder.finish(&mut out).is_err());
    }

    #[test]
    fn windows_hold_what_they_must() {
        for (length, log) in [(0, 0), (1, 0), (2, 1), (1024, 10), (1025, 11), (u64::MAX, 64)] {
            assert_eq!(window(length), log, "{length}");
        }
    }
}
