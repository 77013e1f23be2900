//! The request target and the authority (RFC 9112, 3.2; RFC 3986).
//!
//! Four forms: `/path?query`, `http://host/path?query`, `host:port` (CONNECT) and `*` (OPTIONS). What is
//! forwarded is the origin form; the absolute form's authority must say the same as Host, since of two
//! that differ some parsers take the one and some the other (RFC 9112 would have us overwrite Host; we
//! refuse instead, as the disagreement is itself the attack).
//!
//! Bytes that RFC 3986 does not allow in a path but that browsers send (`| " < > \ ^ ` { }`) pass as
//! they are: no HTTP parser gives them a meaning. Blank, control characters, non-ASCII bytes and `#` do not.

use crate::error::ErrorKind;
use crate::method::Method;

/// A request target, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// To be forwarded as it is.
    Origin,
    /// `*`.
    Asterisk,
    /// CONNECT's `host:port`.
    Authority,
    /// `scheme://authority` and then `rest`: a path with query, a query alone, or nothing.
    Absolute { authority: &'a [u8], rest: &'a [u8], default_port: u16 },
}

impl<'a> Target<'a> {
    /// Takes `target` apart; it has neither blanks nor control characters (the parser saw to that).
    pub(crate) fn read(method: Method, target: &'a [u8]) -> Result<Target<'a>, ErrorKind> {
        let (mut fragment, mut high) = (false, false);
        for b in target {
            fragment |= *b == b'#';
            high |= *b >= 127;
        }
        if high {
            return Err(ErrorKind::TargetMalformed);
        }
        if fragment {
            return Err(ErrorKind::TargetFragment);
        }
        if method == Method::Connect {
            let authority = Authority::read(target).map_err(|_| ErrorKind::ConnectTarget)?;
            authority.port.ok_or(ErrorKind::ConnectTarget)?;
            return Ok(Target::Authority);
        }
        match target {
            [b'/', ..] => Ok(Target::Origin),
            b"*" if method == Method::Options => Ok(Target::Asterisk),
            b"*" => Err(ErrorKind::AsteriskForm),
            _ => Target::read_absolute(target),
        }
    }

    fn read_absolute(target: &'a [u8]) -> Result<Target<'a>, ErrorKind> {
        let (rest, default_port) = if let Some(rest) = strip_prefix(target, b"http://") {
            (rest, 80)
        } else if let Some(rest) = strip_prefix(target, b"https://") {
            (rest, 443)
        } else if Authority::read(target).is_ok_and(|authority| authority.port.is_some()) {
            return Err(ErrorKind::ConnectTarget);
        } else {
            return Err(ErrorKind::TargetMalformed);
        };
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.contains(&b'@') {
            return Err(ErrorKind::TargetUserinfo);
        }
        Authority::read(authority).map_err(|_| ErrorKind::TargetMalformed)?;
        Ok(Target::Absolute { authority, rest, default_port })
    }
}

fn strip_prefix<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// `host[:port]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    pub(crate) host: &'a [u8],
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host[:port]`; the host must not be empty, the port may (RFC 3986, 3.2.3).
    ///
    /// A host is an IPv6 address in brackets or a name of RFC 3986's characters. A comma, which that
    /// grammar has, is refused: it is what two Host fields look like after somebody merged them.
    pub(crate) fn read(text: &'a [u8]) -> Result<Authority<'a>, ErrorKind> {
        let (host, port) = if let [b'[', inside @ ..] = text {
            let end = inside.iter().position(|b| *b == b']').ok_or(ErrorKind::HostMalformed)?;
            let (address, after) = inside.split_at(end);
            let is_address = str::from_utf8(address)
                .is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
            if !is_address {
                return Err(ErrorKind::HostMalformed);
            }
            let port = match after {
                b"]" => None,
                [b']', b':', port @ ..] => Some(port),
                _ => return Err(ErrorKind::HostMalformed),
            };
            (&text[..address.len() + 2], port)
        } else {
            let end = name_length(text)?;
            match text.split_at(end) {
                (host, []) => (host, None),
                (host, after) => (host, Some(&after[1..])),
            }
        };
        if host.is_empty() {
            return Err(ErrorKind::HostMalformed);
        }
        let port = match port {
            None | Some([]) => None,
            Some(digits) => Some(read_port(digits)?),
        };
        Ok(Authority { host, port })
    }

    /// Both mean the same server; the default port may be left out, and letters may be of any case.
    pub(crate) fn agrees(&self, other: &Authority<'_>, default_port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.or(default_port) == other.port.or(default_port)
    }
}

/// What each byte is in a host name: 0 nothing, 1 a character of it, 2 `%`, 3 `:`.
static NAME_BYTE: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            b if b.is_ascii_alphanumeric() => 1,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b';' | b'=' => 1,
            b'%' => 2,
            b':' => 3,
            _ => 0,
        };
        b += 1;
    }
    table
};

/// How many bytes of `text` are a host name: all, or those before the colon.
fn name_length(text: &[u8]) -> Result<usize, ErrorKind> {
    for (at, b) in text.iter().enumerate() {
        match NAME_BYTE[usize::from(*b)] {
            1 => {}
            2 if matches!(text[at + 1..], [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()) =>
                {}
            3 => return Ok(at),
            _ => return Err(ErrorKind::HostMalformed),
        }
    }
    Ok(text.len())
}

fn read_port(digits: &[u8]) -> Result<u16, ErrorKind> {
    let mut port: u16 = 0;
    for b in digits {
        if !b.is_ascii_digit() {
            return Err(ErrorKind::HostMalformed);
        }
        port = port
            .checked_mul(10)
            .and_then(|port| port.checked_add(u16::from(b - b'0')))
            .ok_or(ErrorKind::HostMalformed)?;
    }
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        for (text, host, port) in [
            ("a", "a", None),
            ("a.example:8080", "a.example", Some(8080)),
            ("a.example:", "a.example", None),
            ("127.0.0.1:65535", "127.0.0.1", Some(65535)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::1]:443", "[2001:db8::1]", Some(443)),
            ("a_b%20c", "a_b%20c", None),
        ] {
            let expected = Authority { host: host.as_bytes(), port };
            assert_eq!(Authority::read(text.as_bytes()), Ok(expected), "{text}");
        }
        for text in [
            "",
            ":80",
            "a:65536",
            "a:8o",
            "a:-1",
            "a:80:80",
            "a b",
            "a,b",
            "a/b",
            "a@b",
            "a%2",
            "a%zz",
            "[::1",
            "::1",
            "[::1]x",
            "[a]",
            "[]",
            "[::1]:x",
            "a\"b",
            "a\u{e9}",
            "a?b",
            "a\\b",
            "[fe80::1%25a]",
        ] {
            assert_eq!(Authority::read(text.as_bytes()), Err(ErrorKind::HostMalformed), "{text}");
        }
    }

    #[test]
    fn authorities_agree_up_to_case_and_default_port() {
        let read = |text| Authority::read(text).expect("a correct authority");
        assert!(read(b"A.b:80").agrees(&read(b"a.B"), Some(80)));
        assert!(!read(b"a:81").agrees(&read(b"a"), Some(80)));
        assert!(!read(b"a:80").agrees(&read(b"a"), None));
        assert!(!read(b"a").agrees(&read(b"b"), Some(80)));
    }
}
