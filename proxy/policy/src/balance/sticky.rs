//! Sticky sessions by cookie, over any strategy: who has been somewhere goes there again.
//!
//! A client that brings no cookie gets an endpoint by the strategy, and with the answer a cookie that names it. A client that brings one
//! goes where it says, as long as that endpoint is a candidate (ready, in a tier that is in use, in this proxy's subset), was not tried in vain
//! for this very request, and is below its limit. Else the strategy picks again, and the answer sets the cookie anew: the
//! session moves once, and stays where it went. nginx Plus (`sticky cookie`), HAProxy (`cookie … insert`) and Envoy (stateful sessions) do the same; so
//! there is no table of sessions, and every proxy that knows the endpoints understands every other's cookies.
//!
//! The cookie holds 16 hexadecimal digits made of the endpoint's name: opaque, no address in it, the same after a reload or a restart, and
//! independent of the order of the endpoints. It is a name and not a proof: who forges one chooses an endpoint, no more than by trying often.
//! It goes on to the endpoint with the other cookies of the request.
//!
//! Slow start holds nobody back who comes home, since the session's state is there; what comes so counts towards the endpoint's share.
//!
//! Cost: nothing where it is off; else a search in the request's cookies and a binary search among the candidates.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::{self, Key};
use crate::{endpoint::Endpoint, quantity::TimeSpan, rng::mix};

/// The cookie that binds a client to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StickyConfig {
    /// The cookie's name.
    pub cookie: String,
    /// The `Path` for which the client is to send it.
    pub path: String,
    /// How long the client is to keep it, in whole seconds, from when it is set; until it is closed by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<TimeSpan>,
    /// Whether scripts in a page are kept from it.
    pub http_only: bool,
    /// Whether the client is to send it over TLS only.
    pub secure: bool,
    /// Whether the client is to send it with requests that other sites cause.
    pub same_site: SameSite,
}

impl Default for StickyConfig {
    fn default() -> Self {
        Self {
            cookie: "windtunnel-endpoint".to_owned(),
            path: "/".to_owned(),
            max_age: None,
            http_only: true,
            secure: false,
            same_site: SameSite::Lax,
        }
    }
}

/// With which requests that other sites cause a cookie is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// With none.
    Strict,
    /// Where the user goes to the page.
    Lax,
    /// With all; browsers want `secure` then.
    None,
}

impl StickyConfig {
    /// What is impossible about the values: the field, and what it must be. `chosen_by` is what the strategy goes by.
    pub(super) fn problem(&self, chosen_by: Option<&Key>) -> Option<(&'static str, String)> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if self.cookie.is_empty() || self.cookie.len() > 256 || !self.cookie.bytes().all(token) {
            let message = "must be a token: letters, digits and any of !#$%&'*+-.^_`|~";
            return Some(("sticky.cookie", message.to_owned()));
        }
        if chosen_by == Some(&Key::Cookie(self.cookie.clone())) {
            let message = "is also the strategy's key; give it a name of its own";
            return Some(("sticky.cookie", message.to_owned()));
        }
        let visible = |byte: u8| (0x21..0x7f).contains(&byte) && byte != b';';
        if !self.path.starts_with('/') || !self.path.bytes().all(visible) {
            let message = "must be a path: `/` and visible ASCII characters without `;`";
            return Some(("sticky.path", message.to_owned()));
        }
        if self.max_age.is_some_and(|age| age.0.as_secs() == 0) {
            return Some((
                "sticky.max_age",
                "must be at least 1s; leave it out for none".to_owned(),
            ));
        }
        None
    }
}

/// Cookies that name endpoints.
#[derive(Clone, Debug)]
pub struct Sticky {
    key: Key,
    max_age: Option<TimeSpan>,
    /// What stands before and after the name of an endpoint in `Set-Cookie`.
    before: String,
    after: String,
}

/// What the cookie says of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The cookie's value is this in hexadecimal digits.
    value: u64,
    /// The [key](Key::of) of a request that brings it.
    pub key: u64,
}

impl Token {
    /// The endpoint's of this name.
    pub fn of(endpoint: &str) -> Self {
        let value = mix(key::hash(endpoint.as_bytes()) ^ SALT);
        let mut digits = [0; 16];
        for (place, digit) in digits.iter_mut().enumerate() {
            let nibble = (value >> (60 - 4 * place)) as u8 & 15;
            *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        }
        Self { value, key: key::hash(&digits) }
    }
}

/// So that the cookie's value is not the hash that other places show.
const SALT: u64 = 0x636f_6f6b_6965_2121;

impl Sticky {
    /// By these settings.
    pub fn new(config: &StickyConfig) -> Self {
        let mut after = format!("; Path={}", config.path);
        if let Some(age) = config.max_age {
            // Writing to a string cannot fail.
            let _ = write!(after, "; Max-Age={}", age.0.as_secs());
        }
        for (wanted, attribute) in [(config.http_only, "; HttpOnly"), (config.secure, "; Secure")] {
            after.push_str(if wanted { attribute } else { "" });
        }
        after.push_str(match config.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        Self {
            key: Key::Cookie(config.cookie.clone()),
            max_age: config.max_age,
            before: format!("{}=", config.cookie),
            after,
        }
    }

    /// Where a request says which endpoint it is bound to: its key by this is a [`Token::key`].
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// How long a client keeps the cookie, in whole seconds.
    pub fn max_age(&self) -> Option<TimeSpan> {
        self.max_age
    }

    /// Appends the value of a `Set-Cookie` that binds the client to an endpoint.
    pub fn write(&self, token: Token, out: &mut Vec<u8>) {
        out.extend_from_slice(self.before.as_bytes());
        out.extend_from_slice(format!("{:016x}", token.value).as_bytes());
        out.extend_from_slice(self.after.as_bytes());
    }
}

/// The candidates by what a cookie says of them; one worker's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bound(Vec<(u64, u32)>);

impl Bound {
    /// Others are candidates.
    pub(crate) fn rebuild<E: AsRef<Endpoint>>(&mut self, endpoints: &[E], candidates: &[u32]) {
        self.0.clear();
        self.0.extend(candidates.iter().filter_map(|&index| {
            let endpoint = endpoints.get(index as usize)?;
            Some((Token::of(&endpoint.as_ref().name).key, index))
        }));
        self.0.sort_unstable();
    }

    /// The candidate that a request with this key is bound to.
    pub(crate) fn find(&self, key: u64) -> Option<u32> {
        let place = self.0.partition_point(|(each, _)| *each < key);
        self.0.get(place).filter(|(each, _)| *each == key).map(|(_, index)| *index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::key::Asked;

    #[test]
    fn what_is_written_is_what_is_found_again() {
        let config = StickyConfig { cookie: "route".to_owned(), ..StickyConfig::default() };
        let sticky = Sticky::new(&config);
        let token = Token::of("web-3");
        let mut out = Vec::new();
        sticky.write(token, &mut out);
        let text = String::from_utf8(out).expect("ASCII");
        assert_eq!(text, "route=e3591415c07375db; Path=/; HttpOnly; SameSite=Lax");
        let pair = text.split(';').next().expect("a pair").to_owned();
        let cookies = format!("a=b; {pair}; c=d");
        let fields = [(&b"Cookie"[..], cookies.as_bytes())];
        let asked = Asked { address: [127, 0, 0, 1].into(), target: b"/", fields };
        assert_eq!(sticky.key().of(asked), Some(token.key));
    }

    #[test]
    fn every_attribute_can_be_set() {
        let config = StickyConfig {
            path: "/shop".to_owned(),
            max_age: Some(TimeSpan::millis(90_500)),
            http_only: false,
            secure: true,
            same_site: SameSite::None,
            ..StickyConfig::default()
        };
        assert_eq!(config.problem(None), None);
        let mut out = Vec::new();
        Sticky::new(&config).write(Token { value: 0xab, key: 0 }, &mut out);
        let expected =
            "windtunnel-endpoint=00000000000000ab; Path=/shop; Max-Age=90; Secure; SameSite=None";
        assert_eq!(String::from_utf8(out).expect("ASCII"), expected);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let default = StickyConfig::default;
        for (config, field) in [
            (StickyConfig { cookie: String::new(), ..default() }, "sticky.cookie"),
            (StickyConfig { cookie: "a b".to_owned(), ..default() }, "sticky.cookie"),
            (StickyConfig { path: "x".to_owned(), ..default() }, "sticky.path"),
            (StickyConfig { path: "/;x".to_owned(), ..default() }, "sticky.path"),
            (StickyConfig { max_age: Some(TimeSpan::millis(999)), ..default() }, "sticky.max_age"),
        ] {
            assert_eq!(config.problem(None).map(|(field, _)| field), Some(field), "{config:?}");
        }
        let same = Key::Cookie(default().cookie);
        assert_eq!(default().problem(Some(&same)).map(|problem| problem.0), Some("sticky.cookie"));
        assert_eq!(default().problem(Some(&Key::Path)), None);
    }
}
