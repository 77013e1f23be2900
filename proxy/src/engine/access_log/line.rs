//! A line of the access log.
//!
//! Three ways to write the same facts: `name=value` for people, JSON for programs, and a template. A value comes from strangers: in
//! JSON it is a string with everything escaped that could end it or a line; in the others whatever is not printable ASCII, quotes and
//! backslashes are written `\xHH`, as Apache and nginx do. What a request does not have is left out, or is `-` in a template.

use std::{
    io::Write as _,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use http1::{Name, Version, encode::number};

use super::{
    super::fault::Fault,
    Entry,
    moment::{self, Moment, padded},
};
use crate::config::{Part, Phase, Template, Variable};

/// What a line is made of.
pub(super) struct Facts<'a> {
    pub(super) entry: &'a Entry<'a>,
    pub(super) now: SystemTime,
    pub(super) slow: bool,
}

/// A value, by the way it is written.
enum Value<'a> {
    Number(u64),
    Millis(Duration),
    Address(IpAddr),
    /// Comes from a stranger.
    Bytes(&'a [u8]),
    /// Is ours.
    Word(&'static str),
}

/// The names of what JSON and text hold, in their order.
const LIST: [(&str, Variable); 21] = [
    ("client", Variable::Client),
    ("method", Variable::Method),
    ("host", Variable::Host),
    ("target", Variable::Target),
    ("protocol", Variable::Protocol),
    ("status", Variable::Status),
    ("fault", Variable::Fault),
    ("route", Variable::Route),
    ("bytes_received", Variable::BytesReceived),
    ("bytes_sent", Variable::BytesSent),
    ("duration_ms", Variable::Duration),
    ("waiting_ms", Variable::Phase(Phase::Waiting)),
    ("connecting_ms", Variable::Phase(Phase::Connecting)),
    ("first_byte_ms", Variable::Phase(Phase::FirstByte)),
    ("body_ms", Variable::Phase(Phase::Body)),
    ("endpoint", Variable::Endpoint),
    ("retries", Variable::Retries),
    ("user_agent", Variable::UserAgent),
    ("referer", Variable::Referer),
    ("request_id", Variable::RequestId),
    ("trace_id", Variable::TraceId),
];

/// One JSON object.
pub(super) fn json(out: &mut Vec<u8>, facts: &Facts<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    Moment::of(facts.now).write(out);
    out.push(b'"');
    for (name, variable) in LIST {
        let Some(value) = facts.value(variable) else { continue };
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match value {
            Value::Number(_) | Value::Millis(_) => value.write(out),
            Value::Bytes(bytes) => json_string(out, bytes),
            Value::Address(_) | Value::Word(_) => {
                out.push(b'"');
                value.write(out);
                out.push(b'"');
            }
        }
    }
    if facts.slow {
        out.extend_from_slice(b",\"slow\":true");
    }
    out.push(b'}');
}

/// `name=value`, separated by spaces; in quotes where a value holds what could be taken for more.
pub(super) fn text(out: &mut Vec<u8>, facts: &Facts<'_>) {
    Moment::of(facts.now).write(out);
    for (name, variable) in LIST {
        let Some(value) = facts.value(variable) else { continue };
        out.push(b' ');
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\=".contains(byte);
        match value {
            Value::Bytes(bytes) if bytes.is_empty() || !bytes.iter().all(plain) => {
                out.push(b'"');
                escaped(out, bytes);
                out.push(b'"');
            }
            value => value.write(out),
        }
    }
    if facts.slow {
        out.extend_from_slice(b" slow=true");
    }
}

/// A template, filled in.
pub(super) fn template(out: &mut Vec<u8>, template: &Template, facts: &Facts<'_>) {
    for part in &template.0 {
        match part {
            Part::Text(text) => out.extend_from_slice(text.as_bytes()),
            Part::Header(name) => match facts.entry.head.find(name.as_bytes()) {
                Some(value) if !value.is_empty() => escaped(out, value),
                _ => out.push(b'-'),
            },
            Part::Variable(variable) => facts.write(*variable, out),
        }
    }
}

impl<'a> Facts<'a> {
    fn write(&self, variable: Variable, out: &mut Vec<u8>) {
        let head = self.entry.head;
        match variable {
            Variable::Time => Moment::of(self.now).write(out),
            Variable::TimeLocal => Moment::of(self.now).write_local(out),
            Variable::TimeUnix => moment::unix(out, self.now),
            // A head that could not be read has no method.
            Variable::Request if !head.method_bytes().is_empty() => {
                escaped(out, head.method_bytes());
                out.push(b' ');
                escaped(out, head.target());
                out.push(b' ');
                out.extend_from_slice(protocol(head.version()).as_bytes());
            }
            Variable::Slow if self.slow => out.extend_from_slice(b"slow"),
            _ => match self.value(variable) {
                None | Some(Value::Bytes(b"")) => out.push(b'-'),
                Some(value) => value.write(out),
            },
        }
    }

    /// What there is to say; nothing where there is nothing, or where it is no single value.
    fn value(&self, variable: Variable) -> Option<Value<'a>> {
        let Entry { head, names, .. } = *self.entry;
        let bytes = |bytes: &'a [u8]| (!bytes.is_empty()).then_some(Value::Bytes(bytes));
        let entry = self.entry;
        match variable {
            Variable::BytesReceived => Some(Value::Number(entry.received)),
            Variable::BytesSent => Some(Value::Number(entry.sent)),
            Variable::Client => Some(Value::Address(entry.client)),
            Variable::Duration => Some(Value::Millis(entry.spent())),
            Variable::Endpoint => entry.endpoint.map(|name| Value::Bytes(name.as_bytes())),
            Variable::Fault => entry.fault.map(Fault::name).or(entry.reason).map(Value::Word),
            Variable::Host => bytes(head.host()),
            Variable::Method => bytes(head.method_bytes()),
            Variable::Peer => Some(Value::Address(entry.peer.ip())),
            Variable::Phase(phase) => entry.phase(phase).map(Value::Millis),
            Variable::Protocol => {
                (!head.method_bytes().is_empty()).then(|| Value::Word(protocol(head.version())))
            }
            Variable::Referer => head.find(b"Referer").map(Value::Bytes),
            Variable::RequestId => bytes(&names.request_id),
            Variable::Retries => Some(Value::Number(entry.retries.into())),
            Variable::Route => bytes(entry.route.as_bytes()),
            Variable::Status => Some(Value::Number(entry.status.into())),
            Variable::Target => bytes(head.target()),
            Variable::TraceId => names.trace_id().map(Value::Bytes),
            Variable::UserAgent => head.get(Name::UserAgent).map(Value::Bytes),
            Variable::Request
            | Variable::Slow
            | Variable::Time
            | Variable::TimeLocal
            | Variable::TimeUnix => None,
        }
    }
}

impl Value<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(value) => number(out, *value),
            Self::Millis(span) => {
                number(out, span.as_millis() as u64);
                out.push(b'.');
                padded(out, u64::from(span.subsec_micros() % 1000), 3);
            }
            // Writing to a vector cannot fail.
            Self::Address(address) => drop(write!(out, "{address}")),
            Self::Bytes(bytes) => escaped(out, bytes),
            Self::Word(word) => out.extend_from_slice(word.as_bytes()),
        }
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http11 => "HTTP/1.1",
        Version::Http10 => "HTTP/1.0",
    }
}

fn hex_digit(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble & 15)]
}

/// Printable ASCII as it is, everything else as `\xHH`.
fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f.. => {
                out.extend_from_slice(&[b'\\', b'x', hex_digit(byte >> 4), hex_digit(*byte)]);
            }
            _ => out.push(*byte),
        }
    }
}

/// A JSON string (RFC 8259, section 7): what is no UTF-8 becomes U+FFFD, and every character that somebody takes for a line end is escaped.
fn json_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                // Beside the control characters: next line, line and paragraph separator.
                '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                    // Writing to a vector cannot fail.
                    let _ = write!(out, "\\u{:04x}", u32::from(letter));
                }
                _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}
