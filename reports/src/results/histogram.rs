//! Histograms in a text: HdrHistogram's V2 format, deflated, in base64, as the lines of `latency.hlog` have them.
//!
//! Whatever is read has to be ours: the same lowest value and the same digits, so that histograms can be added up. That is
//! checked before a byte is set aside for counts, and what is deflated may not become larger than a bound: a file that was tampered with is
//! an error and no flood.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::ZlibDecoder;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use hdrhistogram::{Counter, Histogram as Hdr};
use serde::{Deserialize, Deserializer as Source, Serializer as Sink};
use std::io::Read;

use crate::record::{Buckets, empty_hdr};

/// No histogram of ours is larger, in bytes, before it is deflated: nine bytes for each of less than 60,000 buckets.
const MAX_BYTES: usize = 1 << 20;

/// The bytes of its head: cookie, length, normalising offset, digits, lowest and highest value, ratio.
const HEAD: usize = 40;

fn encode<T: Counter>(histogram: &Hdr<T>) -> Result<String, String> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .map_err(|error| format!("a histogram cannot be written: {error:?}"))?;
    Ok(STANDARD.encode(bytes))
}

fn decode<T: Counter>(text: &str) -> Result<Hdr<T>, String> {
    let no = |why: &str| format!("a histogram cannot be read: {why}");
    if text.len() > 2 * MAX_BYTES {
        return Err(no("it is too long"));
    }
    let bytes = STANDARD.decode(text).map_err(|error| no(&error.to_string()))?;
    // The head of the deflated format: its cookie and its length.
    let deflated = bytes.get(8..).ok_or_else(|| no("it is too short"))?;
    let mut plain = Vec::new();
    ZlibDecoder::new(deflated)
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|error| no(&error.to_string()))?;
    if plain.len() > MAX_BYTES {
        return Err(no("it is too large"));
    }
    let field = |from: usize, length: usize| {
        let bytes = plain.get(from..from + length)?;
        Some(bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)))
    };
    let payload = field(4, 4).ok_or_else(|| no("it is too short"))?;
    let ours = empty_hdr::<T>();
    let (digits, low) = (u64::from(ours.sigfig()), ours.low());
    if field(12, 4) != Some(digits) || field(16, 8) != Some(low) {
        return Err(no("its buckets are not those of windtunnel's"));
    }
    if payload as usize > plain.len().saturating_sub(HEAD) {
        return Err(no("it was cut off"));
    }
    let mut histogram: Hdr<T> = Deserializer::new()
        .deserialize(&mut plain.as_slice())
        .map_err(|error| no(&error.to_string()))?;
    histogram.auto(true);
    Ok(histogram)
}

/// For `#[serde(with = …)]`: the buckets of a distribution, or of an interval.
pub(crate) mod buckets {
    use super::{Buckets, Counter, Deserialize, Sink, Source, decode, encode};
    use serde::{de, ser};

    pub(crate) fn serialize<S: Sink, C: Counter>(
        buckets: &Buckets<C>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&encode(&buckets.to_hdr()).map_err(ser::Error::custom)?)
    }

    pub(crate) fn deserialize<'de, D: Source<'de>, C: Counter>(
        from: D,
    ) -> Result<Buckets<C>, D::Error> {
        let hdr = decode(&String::deserialize(from)?).map_err(de::Error::custom)?;
        Ok(Buckets::of_hdr(&hdr))
    }
}

/// For `#[serde(with = …)]`: sums that may be larger than what JSON's readers take for a number.
pub(crate) mod wide {
    use super::{Deserialize, Sink, Source};

    pub(crate) fn serialize<S: Sink>(value: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Source<'de>>(from: D) -> Result<u128, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| serde::de::Error::custom(format!("`{text}` is no whole number")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_ours_is_refused() {
        let other: Hdr<u64> = Hdr::new_with_bounds(1, 1_000, 5).expect("bounds");
        let error = decode::<u64>(&encode(&other).expect("text")).expect_err("other buckets");
        assert!(error.contains("its buckets"), "{error}");
        assert!(decode::<u64>("").is_err());
        assert!(decode::<u64>("%").is_err());
        let whole = encode(&empty_hdr::<u64>()).expect("text");
        assert!(decode::<u64>(&whole).is_ok());
        assert!(decode::<u64>(&whole[..whole.len() / 8 * 4]).is_err());
    }

    proptest! {
        #[test]
        fn histograms_are_read_back(values in proptest::collection::vec(0..1_u64 << 60, 0..50)) {
            let mut distribution = crate::record::Distribution::new();
            for value in values {
                distribution.record(value);
            }
            let text = encode(&distribution.buckets().to_hdr()).expect("text");
            let read: Hdr<u64> = decode(&text).expect("read");
            prop_assert!(Buckets::of_hdr(&read) == *distribution.buckets());
            prop_assert_eq!(encode(&read), Ok(text));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            use std::io::Write as _;
            let _ = decode::<u64>(&STANDARD.encode(&bytes));
            // As far as the inner format.
            let mut head = decode_head();
            head.extend(&bytes);
            let mut packed = vec![0x1c, 0x84, 0x93, 0x14, 0, 0, 0, 0];
            let mut zlib = flate2::write::ZlibEncoder::new(&mut packed, flate2::Compression::fast());
            zlib.write_all(&head).expect("in memory");
            zlib.finish().expect("in memory");
            let _ = decode::<u32>(&STANDARD.encode(&packed));
        }
    }

    /// A head that is ours.
    fn decode_head() -> Vec<u8> {
        let text = encode(&empty_hdr::<u64>()).expect("text");
        let bytes = STANDARD.decode(text).expect("base64");
        let mut plain = Vec::new();
        ZlibDecoder::new(&bytes[8..]).read_to_end(&mut plain).expect("deflated");
        plain.truncate(HEAD);
        plain
    }
}
