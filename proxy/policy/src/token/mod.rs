//! Tokens: what lets a client that a proxy has redirected into the endpoint that was chosen for it, once.
//!
//! In redirect mode the proxy does not carry a request: it answers with the address of an endpoint, and the client goes there by
//! itself. So that the proxy stays in control of who is busy, an endpoint takes only what the proxy has sent it. The proof is a
//! message authentication code (HMAC-SHA256: RFC 2104, FIPS 198-1) over all that the grant is about: endpoint, method, target,
//! client, when it ends, and a number that is used once. Whoever has the secret can make one, and nobody else; it is compared in
//! constant time, by the crate `hmac`. Fields are preceded by their lengths, so that no two grants are the same bytes.
//!
//! A token travels as the last parameter of the query ([`PARAMETER`]), because that is what every client that follows a redirect
//! carries along. It is in hexadecimal: flags, end, number, where its session's end is to be reported, code. Those are not secret;
//! changing any of them makes it another token. The time is the date, since two machines share nothing else: keep their clocks
//! together to within a fraction of a token's lifetime.
//!
//! Here are making ([`Key::sign`]) and reading ([`Key::read`]); [`Gatekeeper`] remembers which were used; [`report`] is how
//! an endpoint tells the proxy that a session is over.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, SystemTime},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

mod gatekeeper;
pub mod report;

pub use gatekeeper::Gatekeeper;

/// The parameter of the query that a token travels in: the last one.
pub const PARAMETER: &str = "windtunnel-token";
/// A secret has at least so many bytes.
pub const MIN_SECRET: usize = 16;

/// The client's address is part of the grant.
const BOUND: u8 = 1;
/// The address for reports is one of IPv6.
const SIX: u8 = 2;
/// Bytes of a code.
const CODE: usize = 32;
/// What the code of a token begins with, so that it is never that of anything else.
const PURPOSE: &[u8] = b"windtunnel token 1";

/// A secret that proxy and endpoints share. It shows itself nowhere.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The secret has fewer than [`MIN_SECRET`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooShort;

impl fmt::Display for TooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "must have at least {MIN_SECRET} bytes; write for example what `openssl rand -hex 32` prints"
        )
    }
}

impl std::error::Error for TooShort {}

/// What is asked for, with the target as it is without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Where the endpoint listens.
    pub endpoint: SocketAddr,
    /// The method, as the client writes it.
    pub method: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    /// Who asks.
    pub client: IpAddr,
}

/// Whether a grant is for one client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// Only for the client who asked the proxy, by its address.
    Client,
    /// For whoever has the token: where clients come from other addresses to the endpoints than to the proxy.
    Anybody,
}

/// A leave to ask an endpoint for something, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// A number that no other grant has that has not ended.
    pub nonce: u64,
    /// From when on it does not count; in whole microseconds.
    pub ends: SystemTime,
    /// Where the proxy is told of the end of the session.
    pub reports: SocketAddr,
    /// Whom it is for.
    pub bearer: Bearer,
}

/// Why a token is not good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is none.
    Missing,
    /// It is none.
    Malformed,
    /// Its code is not that of what is asked for: it was made by somebody else, changed, or is for another endpoint, method,
    /// target or client. Nobody can tell these apart.
    Forged,
    /// Its time is over.
    Expired,
    /// It was used before.
    Replayed,
    /// It may be good, but so many are remembered that one more would have to be forgotten before its time.
    TooMany,
}

impl Refusal {
    /// Every reason that there is.
    pub const ALL: [Self; 6] = [
        Self::Missing,
        Self::Malformed,
        Self::Forged,
        Self::Expired,
        Self::Replayed,
        Self::TooMany,
    ];
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no token: ask the proxy, which redirects with one",
            Self::Malformed => "the token is malformed",
            Self::Forged => "the token is forged, or for another endpoint, method, path or client",
            Self::Expired => "the token has expired",
            Self::Replayed => "the token was used before",
            Self::TooMany => "too many tokens have been used lately to remember one more",
        })
    }
}

impl std::error::Error for Refusal {}

impl Key {
    /// The key that a secret makes.
    ///
    /// # Errors
    /// When the secret is too short.
    pub fn new(secret: &[u8]) -> Result<Self, TooShort> {
        if secret.len() < MIN_SECRET {
            return Err(TooShort);
        }
        Hmac::new_from_slice(secret).map(Self).map_err(|_| TooShort)
    }

    fn mac(&self, open: &[u8], asked: &Asked<'_>, bearer: Bearer) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        let mut field = |bytes: &[u8]| {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        };
        field(PURPOSE);
        field(open);
        address(asked.endpoint, &mut field);
        field(asked.method);
        field(asked.target);
        match (bearer, asked.client.to_canonical()) {
            (Bearer::Anybody, _) => field(b""),
            (Bearer::Client, IpAddr::V4(ip)) => field(&ip.octets()),
            (Bearer::Client, IpAddr::V6(ip)) => field(&ip.octets()),
        }
        mac
    }

    /// Appends the token of a grant to `out`, in hexadecimal.
    pub fn sign(&self, grant: &Grant, asked: &Asked<'_>, out: &mut Vec<u8>) {
        let mut open = Vec::with_capacity(40);
        let reports = SocketAddr::new(grant.reports.ip().to_canonical(), grant.reports.port());
        let bound = if grant.bearer == Bearer::Client { BOUND } else { 0 };
        open.push(bound | if reports.is_ipv6() { SIX } else { 0 });
        open.extend_from_slice(&micros(grant.ends).to_be_bytes());
        open.extend_from_slice(&grant.nonce.to_be_bytes());
        address(reports, &mut |bytes| open.extend_from_slice(bytes));
        let code = self.mac(&open, asked, grant.bearer).finalize().into_bytes();
        write_hex(&open, out);
        write_hex(&code, out);
    }

    /// The grant that a token is, for what is asked. Whether it was used before is not known here.
    ///
    /// # Errors
    /// Why it is not good.
    pub fn read(&self, token: &[u8], asked: &Asked<'_>, now: SystemTime) -> Result<Grant, Refusal> {
        let bytes = read_hex(token).ok_or(Refusal::Malformed)?;
        let split = bytes.len().checked_sub(CODE).ok_or(Refusal::Malformed)?;
        let (open, code) = bytes.split_at(split);
        let grant = parse(open).ok_or(Refusal::Malformed)?;
        self.mac(open, asked, grant.bearer).verify_slice(code).map_err(|_| Refusal::Forged)?;
        if now >= grant.ends { Err(Refusal::Expired) } else { Ok(grant) }
    }
}

/// The two fields that an address is.
fn address(address: SocketAddr, field: &mut impl FnMut(&[u8])) {
    field(&address.port().to_be_bytes());
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => field(&ip.octets()),
        IpAddr::V6(ip) => field(&ip.octets()),
    }
}

/// What stands before the code.
fn parse(open: &[u8]) -> Option<Grant> {
    let (&flags, rest) = open.split_first()?;
    let (ends, rest) = rest.split_first_chunk()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (port, ip) = rest.split_first_chunk()?;
    let ip = match flags & SIX {
        0 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?)),
    };
    let since = Duration::from_micros(u64::from_be_bytes(*ends));
    (flags & !(BOUND | SIX) == 0).then_some(Grant {
        nonce: u64::from_be_bytes(*nonce),
        ends: SystemTime::UNIX_EPOCH.checked_add(since)?,
        reports: SocketAddr::new(ip, u16::from_be_bytes(*port)),
        bearer: if flags & BOUND == 0 { Bearer::Anybody } else { Bearer::Client },
    })
}

/// Whole microseconds since 1970.
fn micros(date: SystemTime) -> u64 {
    let since = date.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A target with a token as the last parameter of its query.
pub fn join(target: &[u8], token: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(target);
    out.push(if target.contains(&b'?') { b'&' } else { b'?' });
    out.extend_from_slice(PARAMETER.as_bytes());
    out.push(b'=');
    out.extend_from_slice(token);
}

/// A target without its token, and the token, if it has one.
pub fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let last = target.iter().rposition(|byte| matches!(byte, b'?' | b'&'));
    let found = last.and_then(|at| {
        let token = target[at + 1..].strip_prefix(PARAMETER.as_bytes())?.strip_prefix(b"=")?;
        // An `&` before there is any `?` is a part of the path.
        target[..=at].contains(&b'?').then_some((&target[..at], token))
    });
    found.map_or((target, None), |(rest, token)| (rest, Some(token)))
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// The longest token has fewer digits than this.
const LONGEST: usize = 256;

/// Lower case only, as it is written: a token has one form.
fn read_hex(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > LONGEST {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    text.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}
