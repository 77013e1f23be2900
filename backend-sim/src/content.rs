//! What an endpoint has: things that are the same for everybody who asks for them, so that they can be kept, validated and compressed.
//!
//! Without this table each answer's body is a function of its request's number: nothing that a cache could keep. With it the body and its size
//! are functions of the target (path and query), the same at every endpoint of the group and in every run with that seed. An
//! answer names the number of its target in `windtunnel-id`, so that whoever gets it from a cache can check every byte of it,
//! and that it is an answer for what was asked. Only answers 200 to GET and HEAD are so; the others stay the request's.
//!
//! Content never changes, so a validator is the target's number (RFC 9110, 8.8.3: strong), and a request with `If-None-Match` that
//! names it is answered 304.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use policy::work::{ID_HEADER, is_text, number_of_target};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an endpoint's answers say of themselves to caches and compression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContentConfig {
    /// `Cache-Control`, such as `max-age=60`; empty for none.
    pub cache_control: String,
    /// Whether there is an `ETag`; then `If-None-Match` is answered 304 where it names it.
    pub etag: bool,
    /// `Vary`; empty for none. The bodies are the same all the same.
    pub vary: String,
    /// `Content-Type`; empty for none. Bodies of text and JSON are words, which compress to a third; others do not compress.
    #[serde(rename = "type")]
    pub media_type: String,
    /// `Surrogate-Key`: tags that the answer can be purged by, with blanks between them; empty for none.
    pub tags: String,
    /// The part of its service demand that a request needs which is answered 304, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub unchanged: f64,
}

impl Default for ContentConfig {
    fn default() -> Self {
        Self {
            cache_control: String::new(),
            etag: false,
            vary: String::new(),
            media_type: String::new(),
            tags: String::new(),
            unchanged: 0.1,
        }
    }
}

impl ContentConfig {
    /// The fields of every answer, but for the `ETag`.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("cache-control", self.cache_control.as_str()),
            ("vary", &self.vary),
            ("content-type", &self.media_type),
            ("surrogate-key", &self.tags),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty())
    }

    /// The `ETag` of what stands at the target with this number, if there are any.
    pub fn etag_of(&self, number: u64) -> Option<String> {
        self.etag.then(|| format!("\"{number:016x}\""))
    }

    pub(crate) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let keys = [
            ("cache_control", &self.cache_control),
            ("vary", &self.vary),
            ("type", &self.media_type),
            ("tags", &self.tags),
        ];
        let is_bad = |value: &&String| HeaderValue::from_str(value).is_err();
        if let Some((key, _)) = keys.into_iter().find(|(_, value)| is_bad(value)) {
            return Some((key, "must be visible ASCII text, as the value of a field is"));
        }
        (!(0.0..=1.0).contains(&self.unchanged)).then_some(("unchanged", "must be 0 to 1"))
    }
}

/// The same, ready to be sent.
pub(crate) struct Content {
    config: ContentConfig,
    fields: Vec<(HeaderName, HeaderValue)>,
    pub(crate) is_text: bool,
}

/// What a request asks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The number of the target.
    pub(crate) number: u64,
    /// The client has it: 304.
    pub(crate) unchanged: bool,
}

impl Content {
    pub(crate) fn new(config: &ContentConfig) -> Self {
        let field = |(name, value): (&'static str, &str)| {
            // Its values were checked with the configuration.
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        };
        Self {
            fields: config.fields().filter_map(field).collect(),
            is_text: is_text(config.media_type.as_bytes()),
            config: config.clone(),
        }
    }

    /// What this request asks of it; nothing if it asks for something to be done.
    pub(crate) fn shown(
        &self,
        method: &Method,
        target: &[u8],
        headers: &HeaderMap,
    ) -> Option<Shown> {
        if method != Method::GET && method != Method::HEAD {
            return None;
        }
        let number = number_of_target(target);
        let known = headers.get_all(header::IF_NONE_MATCH);
        let unchanged = self.config.etag
            && known.iter().any(|value| names(value.as_bytes(), &self.config, number));
        Some(Shown { number, unchanged })
    }

    /// The part of its demand that a request needs.
    pub(crate) fn part(&self, shown: Shown) -> f64 {
        if shown.unchanged { self.config.unchanged } else { 1.0 }
    }

    /// Writes the fields of an answer.
    pub(crate) fn describe(&self, shown: Shown, headers: &mut HeaderMap) {
        for (name, value) in &self.fields {
            // Of a body that is not there nothing is said but what changes its place in a cache (RFC 9110, 15.4.5).
            if !shown.unchanged || name != header::CONTENT_TYPE {
                headers.insert(name, value.clone());
            }
        }
        let etag = self.config.etag_of(shown.number).and_then(|etag| etag.try_into().ok());
        if let Some(etag) = etag {
            headers.insert(header::ETAG, etag);
        }
        headers.insert(HeaderName::from_static(ID_HEADER), HeaderValue::from(shown.number));
    }
}

/// Whether a value of `If-None-Match` names the validator, by the weak comparison that is this field's.
fn names(value: &[u8], config: &ContentConfig, number: u64) -> bool {
    let Some(etag) = config.etag_of(number) else { return false };
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes())
}
