//! Whether the proxy carries requests itself or sends clients to the endpoints, and what it needs for that.

use std::{fmt, net::SocketAddr};

use policy::{
    quantity::TimeSpan,
    token::{Bearer, Key, TooShort},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Problem;

/// What the proxy does with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It carries it to an endpoint, and the answer back.
    #[default]
    Forward,
    /// It answers with a redirect (307) to an endpoint's own address, and the client goes there with a token; see `redirect`.
    Redirect,
}

impl Mode {
    /// Whether this is the usual one.
    pub fn is_forward(&self) -> bool {
        *self == Self::Forward
    }
}

/// Redirects, for `mode = "redirect"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedirectConfig {
    /// What tokens and reports are signed with, at least 16 bytes; the endpoints have the same. Required, but in a scenario, which
    /// draws one from its seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// How long a client may take to come to the endpoint: a token is good for so long, and once. At most 1 h.
    pub lifetime: TimeSpan,
    /// After how long without a report a session counts as over, from the redirect on; for longer sessions write more. A client
    /// that never follows counts as being at its endpoint for so long. At least `lifetime`.
    pub expire: TimeSpan,
    /// At most so many sessions at a time, over all workers; beyond it requests are refused with 503.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub sessions: u32,
    /// Whether a token is good only for the address from which its client asked the proxy. `false` where clients come to the
    /// endpoints from other addresses than to the proxy (address translation, IPv4 here and IPv6 there).
    pub bind_client: bool,
    /// Where endpoints report to: the proxy's own address, as they see it. Where it listens, by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_to: Option<SocketAddr>,
}

impl Default for RedirectConfig {
    fn default() -> Self {
        Self {
            secret: None,
            lifetime: TimeSpan::secs(10),
            expire: TimeSpan::secs(60),
            sessions: 100_000,
            bind_client: true,
            report_to: None,
        }
    }
}

impl RedirectConfig {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The key that the secret makes.
    ///
    /// # Errors
    /// When there is none, or when it is too short.
    pub fn key(&self) -> Result<Key, TooShort> {
        self.secret.as_ref().ok_or(TooShort).and_then(|secret| Key::new(secret.0.as_bytes()))
    }

    /// Whom a token is for.
    pub fn bearer(&self) -> Bearer {
        if self.bind_client { Bearer::Client } else { Bearer::Anybody }
    }

    pub(super) fn problems(&self, listen: SocketAddr, problems: &mut Vec<Problem>) {
        let mut wrong = |field: &str, message: String| {
            problems.push(Problem::new(format!("redirect.{field}"), message));
        };
        if let Err(error) = self.key() {
            let what = if self.secret.is_none() {
                "is missing: with `mode = \"redirect\"` it "
            } else {
                ""
            };
            wrong("secret", format!("{what}{error}"));
        }
        let lifetime = self.lifetime.0;
        if lifetime.is_zero() || lifetime > TimeSpan::secs(3600).0 {
            wrong("lifetime", "must be longer than 0 and at most 1h".to_owned());
        }
        if self.expire.0 < lifetime {
            wrong("expire", "must be at least `redirect.lifetime`".to_owned());
        }
        if !(1..=10_000_000).contains(&self.sessions) {
            wrong("sessions", "must be 1 to 10000000".to_owned());
        }
        match self.report_to {
            None if listen.ip().is_unspecified() => wrong(
                "report_to",
                format!(
                    "is missing: no endpoint can connect to {listen}; write the proxy's own address, as the endpoints see it"
                ),
            ),
            Some(address) if address.ip().is_unspecified() || address.port() == 0 => wrong(
                "report_to",
                "must be an address and a port that the endpoints can connect to".to_owned(),
            ),
            _ => {}
        }
    }
}

/// A secret, as it is written in a configuration. It is not shown where the configuration is printed for a person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProxyConfig;

    #[test]
    fn what_is_impossible_is_said_with_what_to_write() {
        type Change = fn(&mut ProxyConfig);
        let problems = |change: Change| {
            let mut config = ProxyConfig { mode: Mode::Redirect, ..ProxyConfig::default() };
            config.redirect.secret = Some(Secret("0123456789abcdef".to_owned()));
            change(&mut config);
            let said = config.problems().into_iter();
            said.map(|problem| format!("{} {}", problem.path, problem.message)).collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        assert_eq!(problems(|_| {}), none);
        let unused = |config: &mut ProxyConfig| {
            config.mode = Mode::Forward;
            config.redirect.secret = None;
        };
        assert_eq!(problems(unused), none);
        let cases: [(Change, &str); 6] = [
            (
                |config| config.redirect.secret = None,
                "redirect.secret is missing: with `mode = \"redirect\"` it must have at least 16 bytes; write for example \
                 what `openssl rand -hex 32` prints",
            ),
            (
                |config| config.redirect.secret = Some(Secret("short".to_owned())),
                "redirect.secret must have at least 16 bytes; write for example what `openssl rand -hex 32` prints",
            ),
            (
                |config| config.redirect.lifetime = TimeSpan::secs(0),
                "redirect.lifetime must be longer than 0 and at most 1h",
            ),
            (
                |config| config.redirect.expire = TimeSpan::secs(9),
                "redirect.expire must be at least `redirect.lifetime`",
            ),
            (|config| config.redirect.sessions = 0, "redirect.sessions must be 1 to 10000000"),
            (
                |config| config.listen = SocketAddr::from(([0, 0, 0, 0], 80)),
                "redirect.report_to is missing: no endpoint can connect to 0.0.0.0:80; write the proxy's own address, as \
                 the endpoints see it",
            ),
        ];
        for (change, said) in cases {
            assert_eq!(problems(change), [said]);
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let config = RedirectConfig {
            secret: Some(Secret("0123456789abcdef".to_owned())),
            ..RedirectConfig::default()
        };
        assert!(!format!("{config:?}").contains("0123"));
    }
}
