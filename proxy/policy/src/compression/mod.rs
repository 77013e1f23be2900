//! Whether an answer is compressed on its way to the client, and how its head changes with it.
//!
//! Content negotiation, done by a proxy: the client says which codings it takes (`Accept-Encoding`, RFC 9110, section 12.5.3), the
//! configuration says which of them we like, and the answer's head says whether it is worth it and whether it is allowed. A coding makes
//! another representation of the same thing (section 8.4), and whoever stands between us and the client must see that:
//!
//! - `Vary: Accept-Encoding` goes onto every answer that could have been compressed, also where this client did not ask for it: a cache
//!   that keeps the plain one must not give it to all, and one that keeps the compressed one must not give it to those who cannot read it.
//! - A strong `ETag` becomes a weak one (section 8.8.1): it promised the same bytes. The client brings it back in `If-None-Match`, which the origin
//!   compares weakly (section 13.1.2), so `W/"x"` matches the origin's `"x"` and passes as it is; a 304 that answers it is weakened as well, for
//!   else a cache behind us would look for a stored `"x"` that it never saw (RFC 9111, section 4.3.4). `If-Match` compares strongly and
//!   never matches a weak one: who compresses what is edited by `If-Match` must live with its 412.
//! - The length and the digests were those of other bytes, and go. So does `Accept-Ranges`: a range that is asked for later would be one of the plain
//!   bytes, and a client that pastes it behind compressed ones has a broken file.
//!
//! What the origin has encoded itself, a part of something (206), and what says `no-transform` (section 7.7) is left alone. So are the digests
//! that only come with the trailers: an answer that announces one is not compressed.
//!
//! Beside TLS there is one thing to know: where a page repeats what an attacker made the client ask for and holds a secret besides, its
//! compressed length gives that secret away (BREACH, Gluck, Harris and Prado 2013). Such pages belong on a route without compression.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod accept;
mod types;

pub use accept::Weights;
use types::COMPRESSIBLE;

use crate::{
    message::{Answered, Asked, Edits, Fields},
    quantity::ByteSize,
};

/// Compression of answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionConfig {
    /// Whether answers are compressed for clients that ask for it.
    pub enabled: bool,
    /// The encodings, the one we like best first: it decides where a client likes several equally.
    pub encodings: Vec<Coding>,
    /// How hard each tries.
    pub levels: Levels,
    /// The media types that are compressed, like `application/json`, `text/*` or `application/*+json`; a list of our own by default.
    pub types: Vec<String>,
    /// An answer that states a length below this is left as it is.
    pub min_size: ByteSize,
    /// Answers that one worker compresses at once, each with an encoder's memory (up to 2 MiB or so at the default levels); further ones go out as they are.
    #[schemars(range(min = 1, max = 65536))]
    pub encoders: usize,
}

impl Default for CompressionConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            encodings: vec![Coding::Zstd, Coding::Br, Coding::Gzip],
            levels: Levels::default(),
            types: COMPRESSIBLE.iter().map(|name| (*name).to_owned()).collect(),
            min_size: ByteSize(1 << 10),
            encoders: 256,
        }
    }
}

/// How hard each encoding tries: more takes more time and makes less. The defaults are those for content that is made on the fly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Levels {
    /// Of gzip, 1 to 9.
    #[schemars(range(min = 1, max = 9))]
    pub gzip: u8,
    /// Of Brotli, 0 to 11; from 10 on a hundred times slower.
    #[schemars(range(max = 11))]
    pub br: u8,
    /// Of Zstandard, 1 to 19.
    #[schemars(range(min = 1, max = 19))]
    pub zstd: u8,
}

impl Default for Levels {
    fn default() -> Self {
        Self { gzip: 5, br: 4, zstd: 3 }
    }
}

/// A content coding that we can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// Zstandard (RFC 8878), with the window that RFC 9659 asks for.
    Zstd,
    /// Brotli (RFC 7932).
    Br,
    /// gzip (RFC 1952); who asks for `x-gzip` means the same.
    Gzip,
}

impl Coding {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Br, Self::Gzip];

    /// What `Content-Encoding` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// When what an encoder has swallowed must come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// With each piece that the endpoint sends: somebody waits for it.
    EachPiece,
    /// When the endpoint pauses: then nobody knows for how long.
    AtPause,
}

/// How an answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// With what.
    pub coding: Coding,
    /// How hard.
    pub level: u8,
    /// When its bytes must come out.
    pub flush: Flush,
}

impl CompressionConfig {
    /// Whether it says nothing else than the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is impossible about the values: the field, and what it must be.
    pub fn problem(&self) -> Option<(String, String)> {
        let bad = |name: &str, what: &str| Some((name.to_owned(), what.to_owned()));
        if self.encodings.is_empty() {
            return bad("encodings", "must name at least one of zstd, br and gzip");
        }
        for (index, coding) in self.encodings.iter().enumerate() {
            if self.encodings[..index].contains(coding) {
                let what = format!("`{}` is named twice; once is enough", coding.name());
                return Some((format!("encodings[{index}]"), what));
            }
        }
        let Levels { gzip, br, zstd } = self.levels;
        if !(1..=9).contains(&gzip) {
            return bad("levels.gzip", "must be 1 to 9");
        }
        if br > 11 {
            return bad("levels.br", "must be 0 to 11");
        }
        if !(1..=19).contains(&zstd) {
            return bad("levels.zstd", "must be 1 to 19");
        }
        if self.types.is_empty() {
            return bad("types", "must name at least one media type, like \"text/*\"");
        }
        for (index, name) in self.types.iter().enumerate() {
            if !types::is_pattern(name) {
                let what = format!(
                    "`{name}` is not a media type; write one like \"application/json\", or with one star, \
                     like \"text/*\" or \"application/*+json\""
                );
                return Some((format!("types[{index}]"), what));
            }
        }
        if !(1..=65536).contains(&self.encoders) {
            return bad("encoders", "must be 1 to 65536");
        }
        None
    }

    const fn level(&self, coding: Coding) -> u8 {
        match coding {
            Coding::Zstd => self.levels.zstd,
            Coding::Br => self.levels.br,
            Coding::Gzip => self.levels.gzip,
        }
    }
}

/// Fields that tell of bytes which no longer are those of the body.
const OF_OTHER_BYTES: [&str; 6] =
    ["Content-Length", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest", "Accept-Ranges"];

/// Whether the answer is compressed, and how; nothing if it goes out as it is. What its head must say differently goes into `edits`, in
/// either case. `busy` is how many answers the worker is compressing now.
///
/// The answer to HEAD is treated as the one to GET would be, so that both say the same; it has no body to be compressed.
pub fn choose(
    asked: &Asked<'_>,
    answered: &Answered<'_>,
    config: &CompressionConfig,
    busy: usize,
    edits: &mut Edits,
) -> Option<Plan> {
    if !config.enabled {
        return None;
    }
    let fields = answered.fields;
    if answered.status == 304 {
        weaken_unchanged(asked, fields, edits);
        return None;
    }
    let media_type = compressible(asked, answered, config)?;
    vary(fields, edits);
    let coding = Weights::of(asked.fields).prefer(&config.encodings)?;
    if busy >= config.encoders {
        return None;
    }
    for name in OF_OTHER_BYTES {
        if fields.find(name).is_some() {
            edits.remove(name);
        }
    }
    edits.set("Content-Encoding", coding.name());
    match fields.find("ETag") {
        Some(tag) if is_strong(tag) => edits.set("ETag", weakened(tag)),
        // What is no entity tag must not look like one that is still true.
        Some(tag) if !tag.starts_with(b"W/") => edits.remove("ETag"),
        _ => {}
    }
    let is_stream = media_type.eq_ignore_ascii_case(b"text/event-stream");
    let flush = if is_stream { Flush::EachPiece } else { Flush::AtPause };
    Some(Plan { coding, level: config.level(coding), flush })
}

/// The answer's media type, if it could be compressed for a client that asks for it.
fn compressible<'a>(
    asked: &Asked<'_>,
    answered: &Answered<'a>,
    config: &CompressionConfig,
) -> Option<&'a [u8]> {
    let fields = answered.fields;
    if matches!(answered.status, 0..=199 | 204 | 205 | 206) || asked.method == b"CONNECT" {
        return None;
    }
    if let Some(length) = fields.find("Content-Length") {
        // What is no number here would not have come so far.
        let length: u64 = str::from_utf8(length).ok()?.trim().parse().ok()?;
        if length == 0 || length < config.min_size.0 {
            return None;
        }
    }
    let media_type = types::essence(fields.find("Content-Type")?);
    if !types::allows(&config.types, media_type) {
        return None;
    }
    if fields.find("Content-Encoding").is_some() || fields.find("Content-Range").is_some() {
        return None;
    }
    let untouchable = names(fields, "Cache-Control", "no-transform")
        || names(asked.fields, "Cache-Control", "no-transform");
    let sealed = ["Content-MD5", "Digest", "Content-Digest", "Repr-Digest"]
        .into_iter()
        .any(|digest| names(fields, "Trailer", digest));
    (!untouchable && !sealed).then_some(media_type)
}

/// Says that the answer depends on what the client takes, unless that is said.
fn vary(fields: &dyn Fields, edits: &mut Edits) {
    if !names(fields, "Vary", "Accept-Encoding") && !names(fields, "Vary", "*") {
        edits.add("Vary", "Accept-Encoding");
    }
}

/// A 304 to a client that has our compressed form speaks of that form: with its weak tag. The 304 says nothing of the media type, but the client
/// does say what it has.
fn weaken_unchanged(asked: &Asked<'_>, fields: &dyn Fields, edits: &mut Edits) {
    let Some(tag) = fields.find("ETag").filter(|tag| is_strong(tag)) else { return };
    let weak = weakened(tag);
    let mut has_ours = false;
    asked.fields.each(&mut |name, value| {
        // A tag may hold a comma, so the list is not taken apart; a quote ends it, so what is found is a whole one.
        has_ours |= name.eq_ignore_ascii_case(b"If-None-Match")
            && value.windows(weak.len()).any(|part| part == weak);
        !has_ours
    });
    if has_ours {
        edits.set("ETag", weak);
        vary(fields, edits);
    }
}

/// An entity tag in quotes, without `W/` before it.
fn is_strong(tag: &[u8]) -> bool {
    tag.len() >= 2 && tag.starts_with(b"\"") && tag.ends_with(b"\"")
}

fn weakened(tag: &[u8]) -> Vec<u8> {
    [b"W/", tag].concat()
}

/// Whether a field that is a list has this member; what follows a member's `;` or `=` is not looked at.
fn names(fields: &dyn Fields, field: &str, member: &str) -> bool {
    let mut found = false;
    fields.each(&mut |name, value| {
        if name.eq_ignore_ascii_case(field.as_bytes()) {
            found |= value.split(|byte| *byte == b',').any(|part| {
                let end = part.iter().position(|byte| matches!(byte, b'=' | b';'));
                let part = part[..end.unwrap_or(part.len())].trim_ascii();
                part.eq_ignore_ascii_case(member.as_bytes())
            });
        }
        !found
    });
    found
}
