//! Heads on their way: what is dropped, what is added, and what is rewritten.
//!
//! RFC 9110, section 7.6: fields for one hop only end here, `Via` is added on both ways. Who the client is goes into
//! `X-Forwarded-*` and `Forwarded` (RFC 7239): appended to what a trusted peer says, instead of what anybody else says.
//! The framing fields are written anew, because each side has a framing of its own.

use std::net::{IpAddr, SocketAddr};

use http1::{FieldRef, Framing, Name, RequestHead, ResponseHead, Version, encode};

use policy::{
    balance::{
        Sticky,
        key::{Asked, Key},
        sticky::Token,
    },
    message::Edits,
    report::REPORT_HEADER,
    trace::Trust,
};

use super::relay::Encoding;
use crate::config::{ForwardingConfig, HostHeader};

/// What our own fields say, made once for a configuration.
#[derive(Debug)]
pub(crate) struct Signature {
    config: ForwardingConfig,
    /// `Via: 1.1 name CR LF`, for what came as HTTP/1.1, and the same for what came as HTTP/1.0.
    via: [Vec<u8>; 2],
}

/// Who the client is, made once for a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    address: IpAddr,
    text: Box<str>,
    bracketed: bool,
    /// Whether its own word on who the client is counts.
    trusted: bool,
}

impl Peer {
    /// Whether its own word counts.
    pub(crate) fn trust(&self) -> Trust {
        if self.trusted { Trust::Trusted } else { Trust::Stranger }
    }
}

impl Signature {
    pub(crate) fn new(config: &ForwardingConfig) -> Self {
        let via = ["1.1", "1.0"]
            .map(|version| format!("Via: {version} {}\r\n", config.pseudonym).into_bytes());
        Self { config: config.clone(), via }
    }

    /// Says that a message of this version came through us (RFC 9110, section 7.6.3).
    pub(crate) fn via(&self, received: Version) -> &[u8] {
        match received {
            Version::Http11 => &self.via[0],
            Version::Http10 => &self.via[1],
        }
    }

    /// Our name.
    pub(crate) fn pseudonym(&self) -> &str {
        &self.config.pseudonym
    }

    /// What is known of the client at `address`.
    pub(crate) fn peer(&self, address: SocketAddr) -> Peer {
        let ip = address.ip().to_canonical();
        Peer {
            address: ip,
            text: ip.to_string().into_boxed_str(),
            bracketed: matches!(ip, IpAddr::V6(_)),
            trusted: self.config.trusts(ip),
        }
    }

    /// Who the client is, as far as those say so who are believed.
    pub(crate) fn client(&self, head: &RequestHead, peer: &Peer) -> IpAddr {
        self.config.client(peer.address, head.get_all(Name::XForwardedFor))
    }

    /// What is chosen by when an endpoint is chosen by `key`; nothing if the request has no such part.
    pub(crate) fn key(&self, key: &Key, head: &RequestHead, peer: &Peer) -> Option<u64> {
        let address = match key {
            Key::Address => self.client(head, peer),
            _ => peer.address,
        };
        let fields = head.fields().map(|field| (field.name, field.value));
        key.of(Asked { address, target: head.target(), fields })
    }

    /// The protocol that the client may upgrade to and asks for, if any. Not with a body: it would have to pass before
    /// the other protocol begins, and nobody can tell where it ends once the tunnel is open.
    pub(crate) fn upgrade<'a>(&self, head: &'a RequestHead) -> Option<&'a [u8]> {
        let asked = head.upgrade().filter(|_| head.framing().is_empty())?;
        let allowed =
            self.config.upgrades.iter().any(|name| asked.eq_ignore_ascii_case(name.as_bytes()));
        allowed.then_some(asked)
    }

    /// Writes the head that goes to the endpoint named `authority`, with `edits` applied. Framing, `Connection` and `Upgrade` are not theirs.
    pub(crate) fn request(
        &self,
        out: &mut Vec<u8>,
        head: &RequestHead,
        peer: &Peer,
        authority: &[u8],
        edits: &Edits,
    ) {
        encode::request_line(
            out,
            head.method_bytes(),
            edits.target.as_deref().unwrap_or(head.target()),
        );
        let host = match self.config.host {
            HostHeader::Client if !head.host().is_empty() => head.host(),
            HostHeader::Client | HostHeader::Endpoint => authority,
        };
        let edited = !edits.is_empty();
        let is_host = |name: &str| name.eq_ignore_ascii_case("host");
        let new_host = edited.then(|| edits.added().find(|(name, _)| is_host(name))).flatten();
        encode::field(out, b"Host", new_host.map_or(host, |(_, value)| value));
        head.write_end_to_end(out, |field| match field.known {
            Some(Name::Host) => true,
            _ if edited && edits.omits(field.name) => true,
            Some(
                Name::XForwardedFor
                | Name::XForwardedProto
                | Name::XForwardedHost
                | Name::XForwardedPort
                | Name::XRealIp
                | Name::Forwarded,
            ) => self.replaces(field, peer),
            Some(_) => false,
            // Origins believe others of the family too: X-Forwarded-Prefix, -Server, -Ssl.
            None => {
                let family = field.name.get(..12);
                !peer.trusted
                    && family.is_some_and(|name| name.eq_ignore_ascii_case(b"x-forwarded-"))
            }
        });
        if head.framing() == Framing::Chunked {
            encode::chunked(out);
        }
        if head.has_te_trailers() {
            encode::field(out, b"TE", b"trailers");
            encode::field(out, b"Connection", b"TE");
        }
        out.extend_from_slice(self.via(head.version()));
        if self.config.x_forwarded {
            Self::x_forwarded(out, head, peer);
        }
        if self.config.forwarded {
            forwarded(out, head, peer);
        }
        if edited {
            for (name, value) in edits.added().filter(|(name, _)| !is_host(name)) {
                encode::field(out, name.as_bytes(), value);
            }
        }
        if let Some(protocol) = self.upgrade(head) {
            encode::field(out, b"Connection", b"upgrade");
            encode::field(out, b"Upgrade", protocol);
        }
        encode::end(out);
    }

    /// Whether the client's own field is left out, because it is not believed or is written anew below.
    fn replaces(&self, field: &FieldRef<'_>, peer: &Peer) -> bool {
        !peer.trusted || (self.config.x_forwarded && field.known == Some(Name::XForwardedFor))
    }

    fn x_forwarded(out: &mut Vec<u8>, head: &RequestHead, peer: &Peer) {
        out.extend_from_slice(b"X-Forwarded-For: ");
        if peer.trusted {
            for earlier in head.get_all(Name::XForwardedFor) {
                out.extend_from_slice(earlier);
                out.extend_from_slice(b", ");
            }
        }
        out.extend_from_slice(peer.text.as_bytes());
        out.extend_from_slice(b"\r\n");
        if !(peer.trusted && head.get(Name::XForwardedProto).is_some()) {
            encode::field(out, b"X-Forwarded-Proto", b"http");
        }
        let told = peer.trusted && head.get(Name::XForwardedHost).is_some();
        if !told && !head.host().is_empty() {
            encode::field(out, b"X-Forwarded-Host", head.host());
        }
    }

    /// Writes the head that goes to the client.
    pub(crate) fn response(&self, out: &mut Vec<u8>, head: &ResponseHead, way: &ResponseWay<'_>) {
        encode::status_line_with_reason(out, head.status(), head.reason());
        let mut dated = false;
        let edited = !way.edits.is_empty();
        head.write_end_to_end(out, |field| match field.known {
            _ if edited && way.edits.omits(field.name) => true,
            // Chunks and a length exclude each other; HEAD and 304 may state a length without a body.
            Some(Name::ContentLength) => way.encoding == Encoding::Chunked,
            None => way.hides_load && field.name.eq_ignore_ascii_case(REPORT_HEADER.as_bytes()),
            known => {
                dated |= known == Some(Name::Date);
                false
            }
        });
        if way.encoding == Encoding::Chunked {
            encode::chunked(out);
        }
        if !dated && !head.is_informational() {
            encode::field(out, b"Date", way.date);
        }
        if edited {
            for (name, value) in way.edits.added() {
                encode::field(out, name.as_bytes(), value);
            }
        }
        if let Some((sticky, token)) = way.binds {
            out.extend_from_slice(b"Set-Cookie: ");
            sticky.write(token, out);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(self.via(head.version()));
        if let Some(protocol) = head.upgrade().filter(|_| head.status() == 101) {
            encode::field(out, b"Connection", b"upgrade");
            encode::field(out, b"Upgrade", protocol);
        } else if !head.is_informational() {
            way.persistence.write(out);
        }
        encode::end(out);
    }
}

/// How a response goes to the client.
#[derive(Debug)]
pub(crate) struct ResponseWay<'a> {
    pub(crate) encoding: Encoding,
    pub(crate) persistence: Persistence,
    /// The date, should the endpoint have sent none.
    pub(crate) date: &'a [u8],
    /// What the endpoint says of its load was for us, and is nobody else's business.
    pub(crate) hides_load: bool,
    /// What binds the client to the endpoint, if it is to be told.
    pub(crate) binds: Option<(&'a Sticky, Token)>,
    /// What is to be different in the head.
    pub(crate) edits: &'a Edits,
}

/// Whether the client's connection goes on, and whether that has to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It goes on, as is usual.
    Keep,
    /// It goes on, and an HTTP/1.0 client must be told.
    KeepAndSay,
    /// It ends after this response.
    Close,
}

impl Persistence {
    /// What holds for a client of this version that wants, or does not want, to go on.
    pub(crate) fn of(version: Version, wanted: bool) -> Self {
        match (wanted, version) {
            (false, _) => Self::Close,
            (true, Version::Http10) => Self::KeepAndSay,
            (true, Version::Http11) => Self::Keep,
        }
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Keep => {}
            Self::KeepAndSay => encode::field(out, b"Connection", b"keep-alive"),
            Self::Close => encode::field(out, b"Connection", b"close"),
        }
    }
}

fn forwarded(out: &mut Vec<u8>, head: &RequestHead, peer: &Peer) {
    out.extend_from_slice(b"Forwarded: for=");
    if peer.bracketed {
        out.extend_from_slice(b"\"[");
        out.extend_from_slice(peer.text.as_bytes());
        out.extend_from_slice(b"]\"");
    } else {
        out.extend_from_slice(peer.text.as_bytes());
    }
    // An authority has neither quotes nor backslashes: the codec has made sure of that.
    if !head.host().is_empty() {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(head.host());
        out.push(b'"');
    }
    out.extend_from_slice(b";proto=http\r\n");
}
