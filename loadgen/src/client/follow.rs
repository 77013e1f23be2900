//! Following a redirect to an endpoint.
//!
//! A proxy in redirect mode answers with 307 and the address of the endpoint that it has chosen. A request that carries its work (its server is
//! one of ours) goes there: once, with its own method and its own body, sent anew (RFC 9110, section 15.4.8). Its response time goes on until
//! the last byte of the endpoint's answer. What the endpoint then says counts, and if it cannot be reached that counts; nobody asks the
//! proxy a second time. Connections to endpoints are kept and used again as those to the proxy are, the last used first.

use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr};

use http::{HeaderValue, Request, Uri, header};

use super::connection::Connection;

/// So many idle connections are kept to one endpoint.
const IDLE: usize = 4096;

/// Where a redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    authority: HeaderValue,
    target: Uri,
}

impl Place {
    /// Reads `http://ADDRESS:PORT/TARGET`; nothing when it is anything else.
    pub(super) fn read(location: &HeaderValue) -> Option<Self> {
        let rest = location.to_str().ok()?.strip_prefix("http://")?;
        let (authority, target) = rest.split_at(rest.find('/')?);
        Some(Self {
            address: authority.parse().ok()?,
            authority: HeaderValue::from_str(authority).ok()?,
            target: target.parse().ok()?,
        })
    }

    /// The same request for the endpoint.
    pub(super) fn turn<B>(&self, request: &mut Request<B>) {
        *request.uri_mut() = self.target.clone();
        request.headers_mut().insert(header::HOST, self.authority.clone());
    }
}

/// Idle connections to endpoints.
#[derive(Debug, Default)]
pub(super) struct Places(RefCell<BTreeMap<SocketAddr, Vec<Connection>>>);

impl Places {
    /// The one that was used last and is still open.
    pub(super) fn take(&self, address: SocketAddr) -> Option<Connection> {
        let mut all = self.0.borrow_mut();
        let idle = all.get_mut(&address)?;
        while let Some(connection) = idle.pop() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps one.
    pub(super) fn give(&self, address: SocketAddr, connection: Connection) {
        let mut all = self.0.borrow_mut();
        let idle = all.entry(address).or_default();
        if idle.len() < IDLE {
            idle.push(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let read = |text| Place::read(&HeaderValue::from_static(text));
        let place = read("http://[::1]:81/a?b&windtunnel-token=00").expect("it is one");
        assert_eq!(place.address, "[::1]:81".parse().expect("an address"));
        let mut request = Request::post("/a?b").body(()).expect("a request");
        place.turn(&mut request);
        assert_eq!(request.uri(), "/a?b&windtunnel-token=00");
        assert_eq!(request.headers()["host"], "[::1]:81");
        assert_eq!(request.method(), "POST");
        for text in ["/a", "https://127.0.0.1:1/a", "http://example.org/a", "http://127.0.0.1:1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
