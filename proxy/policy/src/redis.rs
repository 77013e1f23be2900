//! What is written of a Redis: where it is, and how far it is trusted.
//!
//! The same section serves the cache's second tier (`cache.redis`) and shared rate limits (`limit.redis`). Whatever it is used for, it is an
//! addition: a call that is not answered within `deadline` has not been made, and after a few of those nobody calls for a
//! while ([`breaker`](crate::breaker)).

use std::{fmt, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    breaker::BreakerConfig,
    quantity::{ByteSize, TimeSpan},
};

/// A Redis, by itself, behind Sentinels, or a Cluster. Nothing depends on it: when it is slow, down or full, the proxy goes on without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// Where it is: `"host:port"`; `"127.0.0.1:6379"` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The same where there are several: the Sentinels, or some nodes of a Cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// What is at these addresses.
    pub mode: RedisMode,
    /// The name by which the Sentinels know the master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// The number of the database. A Cluster has only 0.
    #[schemars(range(max = 65535))]
    pub db: u32,
    /// Who logs in, where it is not the default user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// A file whose first line is the password; it is read again for each new connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The name of an environment variable that holds the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_variable: Option<String>,
    /// What all keys begin with; proxies that are to share what is there have the same.
    pub prefix: String,
    /// How long a call may take before the proxy goes on without it.
    pub deadline: TimeSpan,
    /// How long opening a connection may take. No request waits for that.
    pub connect: TimeSpan,
    /// Connections, over all workers: calls of many requests are sent over each without waiting for one another.
    #[schemars(range(min = 1, max = 256))]
    pub connections: u32,
    /// Calls at a time; further ones are not made.
    #[schemars(range(min = 1))]
    pub in_flight: u32,
    /// The largest object that is kept there.
    pub largest: ByteSize,
    /// When it is left alone for a while.
    pub breaker: BreakerConfig,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            address: None,
            addresses: Vec::new(),
            mode: RedisMode::Single,
            master: None,
            db: 0,
            username: None,
            password: None,
            password_file: None,
            password_variable: None,
            prefix: "windtunnel:".to_owned(),
            deadline: TimeSpan::millis(20),
            connect: TimeSpan::secs(1),
            connections: 1,
            in_flight: 1024,
            largest: ByteSize(1 << 20),
            breaker: BreakerConfig::default(),
        }
    }
}

/// What is at the addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedisMode {
    /// One Redis.
    #[default]
    Single,
    /// Sentinels, which know where the master is.
    Sentinel,
    /// Nodes of a Redis Cluster.
    Cluster,
}

/// A password, as it is written in a configuration. It is not shown where the configuration is printed for a person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A name for a text of any length that a client may have chosen: 32 characters, the same in every proxy, and nobody finds two texts with the same
/// (the first half of SHA-256).
pub fn name_of(text: &[u8]) -> String {
    let hash = Sha256::digest(text);
    hash.iter().take(16).fold(String::with_capacity(32), |mut name, byte| {
        for digit in [byte >> 4, byte & 15] {
            name.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        name
    })
}

/// The port of a Redis that names none, and of a Sentinel.
const PORTS: [u16; 2] = [6379, 26379];

impl RedisConfig {
    /// Hosts and ports, at least one. A port that is not written is that of a Redis, or of a Sentinel.
    ///
    /// # Errors
    /// The field and what it must be.
    pub fn hosts(&self) -> Result<Vec<(String, u16)>, (String, String)> {
        let port = PORTS[usize::from(self.mode == RedisMode::Sentinel)];
        let one = self.address.iter().map(|address| ("address".to_owned(), address));
        let several = self.addresses.iter().enumerate();
        let several = several.map(|(i, address)| (format!("addresses[{i}]"), address));
        let mut hosts = Vec::new();
        for (field, address) in one.chain(several) {
            match host_and_port(address, port) {
                Some(host) => hosts.push(host),
                None => {
                    return Err((
                        field,
                        format!("must be a host and a port like \"127.0.0.1:{port}\""),
                    ));
                }
            }
        }
        if hosts.is_empty() {
            hosts.push(("127.0.0.1".to_owned(), port));
        }
        Ok(hosts)
    }

    /// What is impossible about the values: the field's path and what it must be.
    pub fn problem(&self) -> Option<(String, String)> {
        let bad = |name: &str, what: &str| Some((name.to_owned(), what.to_owned()));
        if self.address.is_some() && !self.addresses.is_empty() {
            return bad("addresses", "stands beside `address`: write one of them");
        }
        let hosts = match self.hosts() {
            Ok(hosts) => hosts,
            Err(problem) => return Some(problem),
        };
        if self.mode == RedisMode::Single && hosts.len() > 1 {
            let what =
                "must be one address, or write `mode = \"sentinel\"` or `mode = \"cluster\"`";
            return bad("addresses", what);
        }
        match (self.mode, &self.master) {
            (RedisMode::Sentinel, None) => {
                return bad(
                    "master",
                    "is missing: write the name by which the Sentinels know the master",
                );
            }
            (RedisMode::Single | RedisMode::Cluster, Some(_)) => {
                return bad("master", "is for `mode = \"sentinel\"` only");
            }
            _ => {}
        }
        if self.mode == RedisMode::Cluster && self.db != 0 {
            return bad("db", "must be 0: a Cluster has no other");
        }
        if self.db > 65535 {
            return bad("db", "must be 0 to 65535");
        }
        let passwords = [
            ("password", self.password.is_some()),
            ("password_file", self.password_file.is_some()),
            ("password_variable", self.password_variable.is_some()),
        ];
        let mut written = passwords.iter().filter(|(_, is_written)| *is_written);
        if let (Some((first, _)), Some((second, _))) = (written.next(), written.next()) {
            return bad(second, &format!("stands beside `{first}`: write one of them"));
        }
        if self.username.is_some() && passwords.iter().all(|(_, is_written)| !is_written) {
            return bad(
                "username",
                "needs a `password`, a `password_file` or a `password_variable`",
            );
        }
        if self.prefix.len() > 256 || self.prefix.contains(['{', '}']) {
            return bad("prefix", "must be at most 256 bytes without braces");
        }
        if self.deadline.0 < Duration::from_millis(1) || self.deadline.0 > Duration::from_secs(10) {
            return bad("deadline", "must be 1ms to 10s");
        }
        if self.connect.0 < Duration::from_millis(1) || self.connect.0 > Duration::from_mins(1) {
            return bad("connect", "must be 1ms to 60s");
        }
        if !(1..=256).contains(&self.connections) {
            return bad("connections", "must be 1 to 256");
        }
        if self.in_flight == 0 {
            return bad("in_flight", "must be at least 1");
        }
        if self.largest.0 == 0 || self.largest.0 > 512 << 20 {
            return bad("largest", "must be 1B to 512MiB, which is the most that Redis takes");
        }
        self.breaker.problem().map(|(field, what)| (format!("breaker.{field}"), what))
    }
}

/// `host`, `host:port`, `[::1]:port`; without spaces, user or path.
fn host_and_port(address: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().ok().filter(|port| *port != 0)?)
        }
        _ => (address, default),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    (!host.is_empty() && host.bytes().all(possible)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_and_ports() {
        let good = [
            ("127.0.0.1:7000", ("127.0.0.1", 7000)),
            ("redis.example", ("redis.example", 6379)),
            ("[::1]:7000", ("::1", 7000)),
            ("::1", ("::1", 6379)),
            ("[::1]", ("::1", 6379)),
        ];
        for (address, (host, port)) in good {
            assert_eq!(host_and_port(address, 6379), Some((host.to_owned(), port)), "{address}");
        }
        for address in
            ["", ":6379", "redis://a:1", "a:0", "a:70000", "a b:1", "a:b", "user@a:1", "a/0"]
        {
            assert_eq!(host_and_port(address, 6379), None, "{address}");
        }
    }

    #[test]
    fn what_is_impossible_is_said_with_what_to_write() {
        type Change = fn(&mut RedisConfig);
        let problem = |change: Change| {
            let mut config = RedisConfig::default();
            change(&mut config);
            config.problem().map(|(field, what)| format!("{field} {what}"))
        };
        assert_eq!(problem(|_| {}), None);
        let cases: [(Change, &str); 8] = [
            (
                |config| config.address = Some("redis://localhost".to_owned()),
                "address must be a host and a port like \"127.0.0.1:6379\"",
            ),
            (
                |config| config.addresses = vec!["a:1".to_owned(), "b:1".to_owned()],
                "addresses must be one address, or write `mode = \"sentinel\"` or `mode = \"cluster\"`",
            ),
            (
                |config| config.mode = RedisMode::Sentinel,
                "master is missing: write the name by which the Sentinels know the master",
            ),
            (
                |config| (config.mode, config.db) = (RedisMode::Cluster, 1),
                "db must be 0: a Cluster has no other",
            ),
            (
                |config| {
                    config.password = Some(Password("a".to_owned()));
                    config.password_file = Some("b".into());
                },
                "password_file stands beside `password`: write one of them",
            ),
            (
                |config| config.username = Some("a".to_owned()),
                "username needs a `password`, a `password_file` or a `password_variable`",
            ),
            (|config| config.deadline = TimeSpan::secs(0), "deadline must be 1ms to 10s"),
            (|config| config.breaker.failures = 0, "breaker.failures must be at least 1"),
        ];
        for (change, said) in cases {
            assert_eq!(problem(change).as_deref(), Some(said));
        }
    }

    #[test]
    fn names_are_pinned_because_proxies_of_other_versions_share_them() {
        // `printf abc | sha256sum | cut -c -32`
        assert_eq!(name_of(b"abc"), "ba7816bf8f01cfea414140de5dae2223");
    }

    #[test]
    fn a_password_does_not_show_itself() {
        let config = RedisConfig {
            password: Some(Password("hunter2".to_owned())),
            ..RedisConfig::default()
        };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
