//! Field names that the proxy, its cache and its metrics know, found without hashing a string.
//!
//! A name is looked up by four of its bytes (length, first, last and the one at three quarters,
//! letters in lower case) multiplied by a constant for which no two known names meet in the 512 slots
//! of the table; the compiler checks that. One comparison then decides. Names that are not in the
//! table are not worse off: they are forwarded as they came.
//!
//! The table says also what may happen to a field: which are hop-by-hop (RFC 9110, 7.6.1), and which
//! may come in a trailer section (RFC 9110, 6.5.1).

/// A known field name. Comparison with bytes ignores case, as everywhere in HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "the variants are the field names themselves")]
pub enum Name {
    Accept,
    AcceptEncoding,
    AcceptLanguage,
    AcceptRanges,
    Age,
    Allow,
    Authorization,
    CacheControl,
    CacheStatus,
    Connection,
    ContentDisposition,
    ContentEncoding,
    ContentLanguage,
    ContentLength,
    ContentLocation,
    ContentRange,
    ContentType,
    Cookie,
    Date,
    ETag,
    Expect,
    Expires,
    Forwarded,
    From,
    Host,
    Http2Settings,
    IfMatch,
    IfModifiedSince,
    IfNoneMatch,
    IfRange,
    IfUnmodifiedSince,
    KeepAlive,
    LastModified,
    Link,
    Location,
    MaxForwards,
    Origin,
    Pragma,
    Priority,
    ProxyAuthenticate,
    ProxyAuthenticationInfo,
    ProxyAuthorization,
    ProxyConnection,
    ProxyStatus,
    Range,
    Referer,
    RetryAfter,
    SecWebSocketAccept,
    SecWebSocketExtensions,
    SecWebSocketKey,
    SecWebSocketProtocol,
    SecWebSocketVersion,
    Server,
    SetCookie,
    StrictTransportSecurity,
    Te,
    Traceparent,
    Tracestate,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    Vary,
    Via,
    WwwAuthenticate,
    XForwardedFor,
    XForwardedHost,
    XForwardedPort,
    XForwardedProto,
    XRealIp,
    XRequestId,
}

/// Each name as the registry writes it, in the order of the enum.
const TABLE: [(Name, &str); 71] = [
    (Name::Accept, "Accept"),
    (Name::AcceptEncoding, "Accept-Encoding"),
    (Name::AcceptLanguage, "Accept-Language"),
    (Name::AcceptRanges, "Accept-Ranges"),
    (Name::Age, "Age"),
    (Name::Allow, "Allow"),
    (Name::Authorization, "Authorization"),
    (Name::CacheControl, "Cache-Control"),
    (Name::CacheStatus, "Cache-Status"),
    (Name::Connection, "Connection"),
    (Name::ContentDisposition, "Content-Disposition"),
    (Name::ContentEncoding, "Content-Encoding"),
    (Name::ContentLanguage, "Content-Language"),
    (Name::ContentLength, "Content-Length"),
    (Name::ContentLocation, "Content-Location"),
    (Name::ContentRange, "Content-Range"),
    (Name::ContentType, "Content-Type"),
    (Name::Cookie, "Cookie"),
    (Name::Date, "Date"),
    (Name::ETag, "ETag"),
    (Name::Expect, "Expect"),
    (Name::Expires, "Expires"),
    (Name::Forwarded, "Forwarded"),
    (Name::From, "From"),
    (Name::Host, "Host"),
    (Name::Http2Settings, "HTTP2-Settings"),
    (Name::IfMatch, "If-Match"),
    (Name::IfModifiedSince, "If-Modified-Since"),
    (Name::IfNoneMatch, "If-None-Match"),
    (Name::IfRange, "If-Range"),
    (Name::IfUnmodifiedSince, "If-Unmodified-Since"),
    (Name::KeepAlive, "Keep-Alive"),
    (Name::LastModified, "Last-Modified"),
    (Name::Link, "Link"),
    (Name::Location, "Location"),
    (Name::MaxForwards, "Max-Forwards"),
    (Name::Origin, "Origin"),
    (Name::Pragma, "Pragma"),
    (Name::Priority, "Priority"),
    (Name::ProxyAuthenticate, "Proxy-Authenticate"),
    (Name::ProxyAuthenticationInfo, "Proxy-Authentication-Info"),
    (Name::ProxyAuthorization, "Proxy-Authorization"),
    (Name::ProxyConnection, "Proxy-Connection"),
    (Name::ProxyStatus, "Proxy-Status"),
    (Name::Range, "Range"),
    (Name::Referer, "Referer"),
    (Name::RetryAfter, "Retry-After"),
    (Name::SecWebSocketAccept, "Sec-WebSocket-Accept"),
    (Name::SecWebSocketExtensions, "Sec-WebSocket-Extensions"),
    (Name::SecWebSocketKey, "Sec-WebSocket-Key"),
    (Name::SecWebSocketProtocol, "Sec-WebSocket-Protocol"),
    (Name::SecWebSocketVersion, "Sec-WebSocket-Version"),
    (Name::Server, "Server"),
    (Name::SetCookie, "Set-Cookie"),
    (Name::StrictTransportSecurity, "Strict-Transport-Security"),
    (Name::Te, "TE"),
    (Name::Traceparent, "Traceparent"),
    (Name::Tracestate, "Tracestate"),
    (Name::Trailer, "Trailer"),
    (Name::TransferEncoding, "Transfer-Encoding"),
    (Name::Upgrade, "Upgrade"),
    (Name::UserAgent, "User-Agent"),
    (Name::Vary, "Vary"),
    (Name::Via, "Via"),
    (Name::WwwAuthenticate, "WWW-Authenticate"),
    (Name::XForwardedFor, "X-Forwarded-For"),
    (Name::XForwardedHost, "X-Forwarded-Host"),
    (Name::XForwardedPort, "X-Forwarded-Port"),
    (Name::XForwardedProto, "X-Forwarded-Proto"),
    (Name::XRealIp, "X-Real-IP"),
    (Name::XRequestId, "X-Request-ID"),
];

const SLOTS: usize = 512;
const MULTIPLIER: u32 = 0xf1fd_42a3;

/// Slot to name; built, and proven free of collisions, at compile time.
static BY_SLOT: [Option<Name>; SLOTS] = {
    let mut slots = [None; SLOTS];
    let mut i = 0;
    while i < TABLE.len() {
        let (name, text) = TABLE[i];
        assert!(name as usize == i, "TABLE is not in the order of the enum");
        let at = slot(text.as_bytes());
        assert!(slots[at].is_none(), "two names share a slot: look for another MULTIPLIER");
        slots[at] = Some(name);
        i += 1;
    }
    slots
};

/// `text` must not be empty.
const fn slot(text: &[u8]) -> usize {
    let length = text.len();
    let key = u32::from_le_bytes([
        length as u8,
        text[0] | 0x20,
        text[length - 1] | 0x20,
        text[length * 3 / 4] | 0x20,
    ]);
    (key.wrapping_mul(MULTIPLIER) >> 23) as usize
}

impl Name {
    /// Finds a name, in any case.
    pub fn from_bytes(text: &[u8]) -> Option<Name> {
        if text.is_empty() {
            return None;
        }
        let name = BY_SLOT[slot(text)]?;
        text.eq_ignore_ascii_case(name.as_str().as_bytes()).then_some(name)
    }

    /// The name as the registry writes it.
    pub fn as_str(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// All known names.
    pub fn all() -> impl Iterator<Item = Name> {
        TABLE.iter().map(|(name, _)| *name)
    }

    /// Means something to the next hop only, and is not forwarded.
    ///
    /// `Connection`, `Keep-Alive`, `Proxy-Connection`, `TE`, `Transfer-Encoding` and `Upgrade` by RFC
    /// 9110, 7.6.1, and `HTTP2-Settings`, which exists for an upgrade only. The three `Proxy-Auth…`
    /// fields are between a client and its *forward* proxy (RFC 9110, 11.7); whatever a client sends of
    /// them to a reverse proxy is a password on its way to somebody else. `Trailer` is *not* here: it
    /// announces what comes at the end of the body, and trailers are forwarded.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Name::Connection
                | Name::Http2Settings
                | Name::KeepAlive
                | Name::ProxyAuthenticate
                | Name::ProxyAuthenticationInfo
                | Name::ProxyAuthorization
                | Name::ProxyConnection
                | Name::Te
                | Name::TransferEncoding
                | Name::Upgrade
        )
    }

    /// May be in a trailer section: its definition says so. All other known names (framing, routing,
    /// credentials, caching, what the content is) come too late there to be obeyed, and would be obeyed
    /// by a recipient that merges trailers into the head.
    pub fn may_trail(self) -> bool {
        matches!(self, Name::ETag | Name::AcceptRanges)
    }
}

/// Whether `text`, its `_` read as `-`, is a field that decides framing or whom the origin trusts.
///
/// Underscores are allowed in names and common (`x_request_id`), so they are accepted. But CGI and what
/// came after it (RFC 3875, 4.1.18) turns both `X-Forwarded-For` and `X_Forwarded_For` into
/// `HTTP_X_FORWARDED_FOR`: the second would pass our replacing the first.
pub(crate) fn is_underscore_alias(text: &[u8]) -> bool {
    let mut dashed = [0; 24];
    let Some(dashed) = dashed.get_mut(..text.len()) else {
        return false;
    };
    if !text.contains(&b'_') {
        return false;
    }
    for (to, from) in dashed.iter_mut().zip(text) {
        *to = if *from == b'_' { b'-' } else { *from };
    }
    matches!(
        Name::from_bytes(dashed),
        Some(
            Name::ContentLength
                | Name::TransferEncoding
                | Name::XForwardedFor
                | Name::XForwardedHost
                | Name::XForwardedPort
                | Name::XForwardedProto
                | Name::XRealIp
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for name in Name::all() {
            assert_eq!(Name::from_bytes(name.as_str().as_bytes()), Some(name));
            assert_eq!(Name::from_bytes(name.as_str().to_uppercase().as_bytes()), Some(name));
            assert_eq!(Name::from_bytes(name.as_str().to_lowercase().as_bytes()), Some(name));
        }
    }

    #[test]
    fn near_misses_are_not_found() {
        for text in
            ["", "x", "hos", "hostt", "h0st", "content_length", "content-lengtg", "-", "\u{e9}"]
        {
            assert_eq!(Name::from_bytes(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn aliases_are_those_that_matter() {
        for text in ["content_length", "Transfer_encoding", "X_Forwarded-For", "X_REAL_IP"] {
            assert!(is_underscore_alias(text.as_bytes()), "{text}");
        }
        for text in
            ["content-length", "x_request_id", "x_forwarded_by", "_", "__host", "accept_ranges"]
        {
            assert!(!is_underscore_alias(text.as_bytes()), "{text}");
        }
    }
}
