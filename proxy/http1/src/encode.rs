//! Messages to bytes: free functions that append to a buffer.
//!
//! Everything that is sent says HTTP/1.1, whatever came in (RFC 9110, 2.5: a sender states its own
//! version). What a parsed head gave may be written as it is. What comes from elsewhere (configuration,
//! HTTP/2) must be checked first with [`is_name`] and [`is_value`]: a CR LF in a value is another field.

use crate::fields::FieldRef;
use crate::scan::is_token_byte;

/// `method SP target SP HTTP/1.1 CR LF`.
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8]) {
    out.reserve(method.len() + target.len() + 12);
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// `HTTP/1.1 SP status SP reason CR LF`, with the reason phrase of the registry or none. A status is 100
/// to 999.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        status_line_with_reason(out, status, reason_phrase(status).as_bytes());
    }
}

/// The same with a reason phrase of one's own, for example the upstream's.
pub fn status_line_with_reason(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    debug_assert!((100..=999).contains(&status), "status {status}");
    let digits = [status / 100 % 10, status / 10 % 10, status % 10].map(|d| b'0' + d as u8);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&digits);
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// `name: value CR LF`. Both must be correct ([`is_name`], [`is_value`]).
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(is_name(name), "{:?}", name.escape_ascii().to_string());
    debug_assert!(is_value(value), "{:?}", value.escape_ascii().to_string());
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// `Content-Length: length CR LF`.
pub fn content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// `Transfer-Encoding: chunked CR LF`.
pub fn chunked(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
}

/// The empty line that ends a head.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// The end of a chunked body with these trailer fields: last chunk, fields, empty line.
pub fn trailers<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = FieldRef<'a>>) {
    out.extend_from_slice(b"0\r\n");
    for trailer in fields {
        field(out, trailer.name, trailer.value);
    }
    end(out);
}

/// A decimal number.
pub fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// `name` is a token (RFC 9110, 5.6.2).
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().copied().all(is_token_byte)
}

/// `value` has no control character but HTAB, and no blank at its ends.
pub fn is_value(value: &[u8]) -> bool {
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    !blank(value.first())
        && !blank(value.last())
        && value.iter().all(|b| *b == b'\t' || (*b >= b' ' && *b != 127))
}

/// The reason phrase of the registry; empty for a status that has none.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_head() {
        let mut out = Vec::new();
        status_line(&mut out, 503);
        field(&mut out, b"Retry-After", b"1");
        content_length(&mut out, 0);
        end(&mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn numbers() {
        for value in [0, 7, 10, 99, 100, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(out, value.to_string().into_bytes());
        }
    }

    #[test]
    fn what_would_split_a_message_is_no_value() {
        for value in ["a\r\nb: c", "a\0", "\u{7f}", " a", "a\t"] {
            assert!(!is_value(value.as_bytes()), "{value:?}");
        }
        assert!(is_value(b"") && is_value("a b\tc \u{e9}".as_bytes()));
        assert!(!is_name(b"") && !is_name(b"a b") && !is_name(b"a:") && is_name(b"X_y-1"));
    }
}
