//! `Cache-Status` (RFC 9211): what this cache did with a request, for who looks at the answer.
//!
//! One member of a list: `windtunnel; hit; ttl=30`, or `windtunnel; fwd=stale; fwd-status=304; stored`. Each cache on the way
//! adds its own behind those of the caches nearer to the origin.

/// Why a request was forwarded (RFC 9211, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forwarded {
    /// The configuration says so.
    Bypass,
    /// Its method demands it.
    Method,
    /// Nothing is kept for this URL.
    UriMiss,
    /// What is kept is for requests with other fields.
    VaryMiss,
    /// Nothing is kept that can be given, for another reason.
    Miss,
    /// The request says so.
    Request,
    /// What is kept is stale.
    Stale,
    /// Only parts are kept.
    Partial,
}

impl Forwarded {
    /// As the field writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// What a cache did with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// The cache's name.
    pub cache: &'a str,
    /// Why it was forwarded; nothing if it was answered from the store.
    pub forwarded: Option<Forwarded>,
    /// What the endpoint answered, if that is not what the client sees.
    pub status: Option<u16>,
    /// For how many more seconds the answer is fresh.
    pub ttl: Option<i64>,
    /// Whether the answer has been kept.
    pub stored: bool,
    /// Whether it waited for another's answer.
    pub collapsed: bool,
    /// More, in a word.
    pub detail: Option<&'static str>,
}

impl CacheStatus<'_> {
    /// Writes the member of the list.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_name(self.cache, out);
        match self.forwarded {
            None => out.extend_from_slice(b"; hit"),
            Some(why) => {
                out.extend_from_slice(b"; fwd=");
                out.extend_from_slice(why.word().as_bytes());
            }
        }
        if let Some(status) = self.status {
            out.extend_from_slice(b"; fwd-status=");
            write_number(i64::from(status), out);
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(b"; ttl=");
            write_number(ttl, out);
        }
        if self.stored {
            out.extend_from_slice(b"; stored");
        }
        if self.collapsed {
            out.extend_from_slice(b"; collapsed");
        }
        if let Some(detail) = self.detail {
            out.extend_from_slice(b"; detail=");
            out.extend_from_slice(detail.as_bytes());
        }
    }
}

/// A name as a token where it is one of a structured field, and else in quotes.
fn write_name(name: &str, out: &mut Vec<u8>) {
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*');
    if starts && super::config::is_token(name.as_bytes()) {
        out.extend_from_slice(name.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in name.bytes().filter(|byte| matches!(byte, 0x20..=0x7e)) {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// A number without an allocation: this is on the path of every hit.
fn write_number(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
