//! What a cache can be told.
//!
//! The defaults are those of RFC 9111 and no more: what the answers themselves allow is stored, and nothing else. Where a key
//! here says otherwise than an answer's own fields, its doc says so. A route may have a section of its own; `size`, `variants` and the times of
//! `collapse` are the proxy's all the same, since there is one store.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    quantity::{ByteSize, TimeSpan},
    redis::RedisConfig,
    status::StatusRange,
};

/// The cache: answers are kept in memory and given to others who ask for the same (RFC 9111).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Whether answers are kept.
    pub enabled: bool,
    /// Memory for all that is kept, over all workers and routes. The proxy's own section says it for all.
    pub size: ByteSize,
    /// The largest body that is kept; larger ones pass.
    pub object: ByteSize,
    /// Answers to one URL that differ by `Vary`, at most; the oldest makes room.
    #[schemars(range(min = 1, max = 256))]
    pub variants: usize,
    /// How long an answer is fresh that does not say it itself, and for which there is no heuristic. Nothing by default: then it is not kept.
    pub default_ttl: Option<TimeSpan>,
    /// How long every answer is fresh, whatever it says itself. It still must not be `no-store` or `private`.
    pub ttl: Option<TimeSpan>,
    /// How long answers with some statuses are fresh, whatever they say themselves: `[{ status = 404, ttl = "10s" }]`; the first that matches.
    pub ttl_by_status: Vec<StatusTtl>,
    /// Freshness by guess, where an answer has no more than `Last-Modified`.
    pub heuristic: HeuristicConfig,
    /// How long a stale answer is still given while a new one is fetched, where the answer does not say it itself (RFC 5861).
    pub stale_while_revalidate: Option<TimeSpan>,
    /// How long a stale answer is given where the endpoint fails, where the answer does not say it itself (RFC 5861).
    pub stale_if_error: Option<TimeSpan>,
    /// What makes two requests ask for the same.
    pub key: KeyConfig,
    /// Which requests pass by the cache.
    pub bypass: BypassConfig,
    /// Answers that set cookies.
    pub set_cookie: SetCookie,
    /// Whether clients may demand by `Cache-Control` and `Pragma` that answers are fetched anew, or be content with stale ones.
    /// Without it `no-store` and `only-if-cached` are still heard.
    pub client_directives: bool,
    /// Whether parts (`Range`) are cut out of what is kept, and parts are kept.
    pub ranges: bool,
    /// Requests for the same that come while it is being fetched wait for it.
    pub collapse: CollapseConfig,
    /// Fields that name an answer's tags, for purging by tag.
    pub tags: Vec<String>,
    /// Fields that are read in place of `Cache-Control`, the first that is there and valid (RFC 9213).
    pub targeted: Vec<String>,
    /// A Redis as a second tier, which several proxies share. The proxy's own section has it for all routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisConfig>,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            size: ByteSize(256 << 20),
            object: ByteSize(8 << 20),
            variants: 32,
            default_ttl: None,
            ttl: None,
            ttl_by_status: Vec::new(),
            heuristic: HeuristicConfig::default(),
            stale_while_revalidate: None,
            stale_if_error: None,
            key: KeyConfig::default(),
            bypass: BypassConfig::default(),
            set_cookie: SetCookie::default(),
            client_directives: true,
            ranges: true,
            collapse: CollapseConfig::default(),
            tags: vec!["Surrogate-Key".to_owned(), "Cache-Tag".to_owned()],
            targeted: vec!["CDN-Cache-Control".to_owned()],
            redis: None,
        }
    }
}

/// How long answers of a status are fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusTtl {
    /// The status, or a range of them: `404`, `"500-599"`.
    pub status: StatusRange,
    /// How long.
    pub ttl: TimeSpan,
}

/// Freshness by guess (RFC 9111, section 4.2.2): what has not changed for long will not change at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeuristicConfig {
    /// Whether it is done.
    pub enabled: bool,
    /// The share of the time since `Last-Modified` for which an answer is fresh.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fraction: f64,
    /// The longest that is guessed.
    pub max: TimeSpan,
}

impl Default for HeuristicConfig {
    fn default() -> Self {
        Self { enabled: true, fraction: 0.1, max: TimeSpan::secs(24 * 3600) }
    }
}

/// What makes two requests ask for the same: host, path, and this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeyConfig {
    /// The parameters of the query that count: `"all"`, `"none"`, `{ only = ["page"] }`, `{ without = ["utm_source"] }`.
    pub query: QueryKey,
    /// Whether the parameters are put in order first, so that `a=1&b=2` is the same as `b=2&a=1`.
    pub sort_query: bool,
    /// Fields of the request that count.
    pub headers: Vec<String>,
    /// Cookies of the request that count.
    pub cookies: Vec<String>,
}

/// The parameters of a query that count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryKey {
    /// All of them, in their order, as they were written.
    #[default]
    All,
    /// None: the query does not count.
    None,
    /// Those of these names.
    Only(Vec<String>),
    /// All but those of these names.
    Without(Vec<String>),
}

/// Which requests pass by the cache: they are neither answered from it nor are their answers kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BypassConfig {
    /// Those for these paths: `*` stands for any text but `/`, `**` for any text.
    pub paths: Vec<String>,
    /// Those with one of these cookies.
    pub cookies: Vec<String>,
    /// Those with one of these fields.
    pub headers: Vec<String>,
}

/// Answers that set cookies. RFC 9111 (section 7.3) leaves it open; an answer that makes a session for one client must not make it for all. One that
/// says `no-cache="Set-Cookie"` is kept without its cookies in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SetCookie {
    /// They are not kept.
    #[default]
    Refuse,
    /// They are kept without the cookies.
    Strip,
    /// They are kept with the cookies, as RFC 9111 allows.
    Store,
}

/// Collapsing of requests for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CollapseConfig {
    /// Whether they wait for each other.
    pub enabled: bool,
    /// How long one waits before it asks for itself.
    pub timeout: TimeSpan,
    /// For how long it is remembered that the answers to a URL cannot be kept, so that nobody waits for them.
    pub memory: TimeSpan,
}

impl Default for CollapseConfig {
    fn default() -> Self {
        Self { enabled: true, timeout: TimeSpan::secs(5), memory: TimeSpan::secs(10) }
    }
}

/// The longest list of names that makes sense anywhere here.
const NAMES: usize = 64;

impl CacheConfig {
    /// Whether it says nothing else than the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is impossible about the values: the field, and what it must be.
    pub fn problem(&self) -> Option<(String, String)> {
        let bad = |name: &str, what: &str| Some((name.to_owned(), what.to_owned()));
        if self.size.0 < 1 << 20 {
            return bad("size", "must be at least 1MiB");
        }
        if self.object.0 == 0 || self.object.0 > self.size.0 / 2 {
            return bad("object", "must be at least 1B and at most half of `size`");
        }
        if !(1..=256).contains(&self.variants) {
            return bad("variants", "must be 1 to 256");
        }
        if self.default_ttl.is_some_and(|ttl| ttl.0.is_zero()) {
            return bad(
                "default_ttl",
                "must be longer than 0; leave it out to keep only what says how long it is fresh",
            );
        }
        if self.ttl.is_some_and(|ttl| ttl.0.is_zero()) {
            return bad(
                "ttl",
                "must be longer than 0; leave it out to go by what answers say, or switch the cache off",
            );
        }
        if !(0.0..=1.0).contains(&self.heuristic.fraction) {
            return bad("heuristic.fraction", "must be 0 to 1");
        }
        if self.collapse.enabled && self.collapse.timeout.0.is_zero() {
            return bad(
                "collapse.timeout",
                "must be longer than 0; write `enabled = false` to switch it off",
            );
        }
        if let Some((field, what)) = self.redis.as_ref().and_then(RedisConfig::problem) {
            return Some((format!("redis.{field}"), what));
        }
        let lists = [
            ("key.headers", &self.key.headers),
            ("key.cookies", &self.key.cookies),
            ("bypass.cookies", &self.bypass.cookies),
            ("bypass.headers", &self.bypass.headers),
            ("tags", &self.tags),
            ("targeted", &self.targeted),
        ];
        for (name, list) in lists {
            if let Some(problem) = names_problem(name, list) {
                return Some(problem);
            }
        }
        if let Some(index) = self.bypass.paths.iter().position(|path| !path.starts_with(['/', '*']))
        {
            let what = format!(
                "`{}` cannot match: a path starts with `/`; write one like \"/admin/**\"",
                self.bypass.paths[index]
            );
            return Some((format!("bypass.paths[{index}]"), what));
        }
        match &self.key.query {
            QueryKey::Only(names) | QueryKey::Without(names) if names.is_empty() => {
                bad("key.query", "names no parameter; write \"none\" or \"all\" instead")
            }
            QueryKey::Only(names) | QueryKey::Without(names) if names.len() > NAMES => {
                bad("key.query", "must name at most 64 parameters")
            }
            _ => None,
        }
    }
}

/// What is wrong about a list of names of fields or cookies.
fn names_problem(field: &str, names: &[String]) -> Option<(String, String)> {
    if names.len() > NAMES {
        return Some((field.to_owned(), "must have at most 64 names".to_owned()));
    }
    let index = names.iter().position(|name| !is_token(name.as_bytes()))?;
    let what = format!(
        "`{}` is not a name: write letters, digits and any of !#$%&'*+-.^_`|~",
        names[index]
    );
    Some((format!("{field}[{index}]"), what))
}

/// Whether this is a token (RFC 9110, section 5.6.2).
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Whether a token may have this byte.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_said() {
        type Change = fn(&mut CacheConfig);
        let table: [(Change, &str, &str); 11] = [
            (|config| config.size = ByteSize(5), "size", "must be at least 1MiB"),
            (|config| config.object = config.size, "object", "at most half of `size`"),
            (|config| config.variants = 0, "variants", "must be 1 to 256"),
            (|config| config.ttl = Some(TimeSpan::secs(0)), "ttl", "leave it out"),
            (|config| config.default_ttl = Some(TimeSpan::secs(0)), "default_ttl", "leave it out"),
            (|config| config.heuristic.fraction = f64::NAN, "heuristic.fraction", "must be 0 to 1"),
            (
                |config| config.collapse.timeout = TimeSpan::secs(0),
                "collapse.timeout",
                "longer than 0",
            ),
            (|config| config.tags.push("a b".to_owned()), "tags[2]", "`a b` is not a name"),
            (|config| config.key.cookies = vec![String::new()], "key.cookies[0]", "is not a name"),
            (
                |config| config.bypass.paths = vec!["admin".to_owned()],
                "bypass.paths[0]",
                "starts with `/`",
            ),
            (
                |config| config.key.query = QueryKey::Only(Vec::new()),
                "key.query",
                "names no parameter",
            ),
        ];
        assert_eq!(CacheConfig::default().problem(), None);
        for (change, field, part) in table {
            let mut config = CacheConfig::default();
            change(&mut config);
            let (at, what) = config.problem().expect("is impossible");
            assert!(at == field && what.contains(part), "{at}: {what}");
        }
    }
}
