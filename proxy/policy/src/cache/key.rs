//! What two requests have in common that ask for the same: the primary key (RFC 9111, section 2).
//!
//! The text is `host/path?query`, as it is written to purge it, and below it, a line each, the fields and cookies that the configuration
//! names, and the upstream, if it is not the proxy's own. What is written differently and means the same is the same (RFC 3986, section 6.2.2): the host in small letters, `%7e` is `~`,
//! `%2f` is `%2F`. Nothing else is: `/a/../b` is not `/b`, for the endpoint may see it otherwise.
//!
//! The store finds by a hash of 128 bits and compares the text. The hash is SipHash-2-4 (Aumasson and Bernstein 2012) with a key from the
//! run's seed: who sends requests cannot find two that collide, and the same seed gives the same order.

use super::{Rules, config::QueryKey, rules, store::Purge};
use crate::{message::Asked, rng::Seed};

/// The hash of a key's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u128);

impl KeyHash {
    /// Which of so many shards it belongs into.
    pub fn shard(self, shards: usize) -> usize {
        (((self.0 >> 64) as u64 as u128 * shards as u128) >> 64) as usize
    }
}

impl Rules {
    /// The key of a request: its text goes into `out`, which is cleared first.
    pub fn key(&self, asked: &Asked<'_>, out: &mut Vec<u8>) -> KeyHash {
        out.clear();
        rules::host(asked, out);
        self.target(asked.path(), asked.query(), out);
        if !self.plain_key {
            self.extras(asked, out);
        }
        self.realm(out);
        self.hash.of(out)
    }

    /// What purges the answers to a URL, whatever else their key is made of.
    pub fn url(&self, host: &[u8], target: &[u8]) -> Purge {
        let mut text = host.to_ascii_lowercase();
        let mut parts = target.splitn(2, |byte| *byte == b'?');
        let path = parts.next().unwrap_or_default();
        self.target(path, parts.next(), &mut text);
        if self.key.headers.is_empty() && self.key.cookies.is_empty() {
            self.realm(&mut text);
            Purge::Url { hash: self.hash.of(&text), text }
        } else {
            Purge::UrlWithExtras { text }
        }
    }

    /// Whose answers they are, in a line of its own, where they are not the proxy's own endpoints'.
    fn realm(&self, out: &mut Vec<u8>) {
        if !self.upstream.is_empty() {
            out.extend_from_slice(b"\n@");
            out.extend_from_slice(self.upstream.as_bytes());
        }
    }

    fn target(&self, path: &[u8], query: Option<&[u8]>, out: &mut Vec<u8>) {
        if !path.starts_with(b"/") {
            out.push(b'/');
        }
        decoded(path, out);
        let Some(query) = query else { return };
        let counts = |pair: &&[u8]| {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            let is_in = |names: &[String]| names.iter().any(|known| known.as_bytes() == name);
            match &self.key.query {
                QueryKey::All => true,
                QueryKey::None => false,
                QueryKey::Only(names) => is_in(names),
                QueryKey::Without(names) => !is_in(names),
            }
        };
        if self.key.query == QueryKey::All && !self.key.sort_query {
            out.push(b'?');
            decoded(query, out);
            return;
        }
        let mut pairs: Vec<&[u8]> = query.split(|byte| *byte == b'&').filter(counts).collect();
        if self.key.sort_query {
            pairs.sort();
        }
        for (index, pair) in pairs.into_iter().enumerate() {
            out.push(if index == 0 { b'?' } else { b'&' });
            decoded(pair, out);
        }
    }

    /// The fields and cookies that count, a line each. A line's end is in no field, so nobody can write one into another.
    fn extras(&self, asked: &Asked<'_>, out: &mut Vec<u8>) {
        for name in &self.key.headers {
            out.push(b'\n');
            out.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
            asked.fields.each(&mut |each, value| {
                if each.eq_ignore_ascii_case(name.as_bytes()) {
                    out.push(b':');
                    out.extend_from_slice(value.trim_ascii());
                }
                true
            });
        }
        for name in &self.key.cookies {
            out.push(b'\n');
            out.extend_from_slice(name.as_bytes());
            asked.fields.each(&mut |each, line| {
                let found = || rules::cookie(line, name.as_bytes());
                if each.eq_ignore_ascii_case(b"cookie")
                    && let Some(value) = found()
                {
                    out.push(b'=');
                    out.extend_from_slice(value);
                    return false;
                }
                true
            });
        }
    }
}

/// Writes what has `%` in its one form.
fn decoded(text: &[u8], out: &mut Vec<u8>) {
    if !text.contains(&b'%') {
        out.extend_from_slice(text);
        return;
    }
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|pair| Some(hex(pair[0])? << 4 | hex(pair[1])?));
        match pair.filter(|_| first == b'%') {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            Some(_) => {
                out.push(b'%');
                out.extend(after[..2].iter().map(u8::to_ascii_uppercase));
                rest = &after[2..];
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

/// The key of the hashes.
#[derive(Clone, Copy)]
pub(super) struct HashKey(u64, u64);

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey")
    }
}

impl HashKey {
    pub(super) fn new(seed: Seed) -> Self {
        Self(seed.nth(0).0, seed.nth(1).0)
    }

    /// SipHash-2-4 with 128 bits.
    pub(super) fn of(self, text: &[u8]) -> KeyHash {
        let mut state = [
            self.0 ^ 0x736f_6d65_7073_6575,
            self.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            self.0 ^ 0x6c79_6765_6e65_7261,
            self.1 ^ 0x7465_6462_7974_6573,
        ];
        let mut words = text.chunks_exact(8);
        let mut absorb = |word: u64| {
            state[3] ^= word;
            round(&mut state);
            round(&mut state);
            state[0] ^= word;
        };
        for word in &mut words {
            absorb(word.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)));
        }
        let tail = words.remainder().iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        absorb((text.len() as u64) << 56 | tail);
        let mut squeeze = |byte: u64, place: usize| {
            state[place] ^= byte;
            for _ in 0..4 {
                round(&mut state);
            }
            state[0] ^ state[1] ^ state[2] ^ state[3]
        };
        let (low, high) = (squeeze(0xee, 2), squeeze(0xdd, 1));
        KeyHash(u128::from(high) << 64 | u128::from(low))
    }
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_its_authors() {
        // Of the reference's table for 128 bits: key 00 01 … 0f, texts of 0 and 1 byte.
        let key = HashKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let bytes = |hash: KeyHash| hash.0.to_le_bytes();
        assert_eq!(bytes(key.of(b""))[..4], [0xa3, 0x81, 0x7f, 0x04]);
        assert_eq!(bytes(key.of(b""))[12..], [0xc7, 0x55, 0x02, 0x93]);
        assert_eq!(bytes(key.of(&[0]))[..4], [0xda, 0x87, 0xc1, 0xd8]);
    }

    #[test]
    fn one_form_of_what_means_the_same() {
        let form = |text: &str| {
            let mut out = Vec::new();
            decoded(text.as_bytes(), &mut out);
            String::from_utf8(out).expect("made of ASCII")
        };
        assert_eq!(form("/%7euser/%2f%41%zz%4"), "/~user/%2FA%zz%4");
        // Once only: what comes out is not decoded again.
        assert_eq!(form("%2541"), "%2541");
    }
}
