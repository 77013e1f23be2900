//! From a drawn request to an HTTP request.
//!
//! What does not change is made once: method, fixed path, header values. What changes is written into a path with holes
//! and a few numbers.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use policy::work::{ID_HEADER, Pattern, SIZE_HEADER, WORK_HEADER};

use super::{body::RequestBody, check::Expected, text::Text};
use crate::{
    config::{self, Connections, Problem},
    schedule::{Planned, trace::TraceRequests},
};

/// In a request: which client sends it, decimal.
pub const CLIENT_HEADER: &str = "windtunnel-client";

const ID: HeaderName = HeaderName::from_static(ID_HEADER);
const WORK: HeaderName = HeaderName::from_static(WORK_HEADER);
const SIZE: HeaderName = HeaderName::from_static(SIZE_HEADER);
const CLIENT: HeaderName = HeaderName::from_static(CLIENT_HEADER);

/// What a request tells of itself in fields of our own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Its number, work and size: for simulated backends.
    pub(crate) work: bool,
    /// Its client.
    pub(crate) client: bool,
    /// Its target: content must be of that.
    pub(crate) target: bool,
}

/// A kind of request, ready to be filled in.
#[derive(Debug)]
pub(crate) struct Template {
    method: Method,
    path: Path,
    headers: HeaderMap,
    /// Those whose values have holes.
    filled: Vec<(HeaderName, Text)>,
    told: Told,
    payload: Option<Bytes>,
    expect: Vec<u16>,
}

#[derive(Debug)]
enum Path {
    Fixed(Uri),
    Holes(Text),
}

/// A request, and what must be known of it once hyper has it.
pub(crate) struct Filled {
    pub(crate) request: Request<RequestBody>,
    /// Bytes of its body.
    pub(crate) body: u64,
    /// How many of them have been taken.
    pub(crate) sent: Option<Rc<Cell<u64>>>,
    /// Whether sending it twice has the effect of sending it once (RFC 9110, 9.2.2).
    pub(crate) is_idempotent: bool,
    /// What its answer must be.
    pub(crate) expected: Expected,
}

impl Template {
    /// Prepares a request of a configuration.
    pub(crate) fn new(
        request: &config::Request,
        host: &HeaderValue,
        connections: Connections,
        told: Told,
        payload: Option<Bytes>,
    ) -> Result<Self, Problem> {
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|error| Problem::new("method", error.to_string()))?;
        let mut headers = HeaderMap::with_capacity(request.headers.len() + 8);
        headers.insert(header::HOST, host.clone());
        let mut filled = Vec::new();
        for (name, value) in &request.headers {
            let bad = |what: String| Problem::new(format!("headers.{name}"), what);
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|e| bad(e.to_string()))?;
            let text = Text::new(value);
            let value = HeaderValue::from_str(value).map_err(|e| bad(e.to_string()))?;
            if text.is_fixed() {
                headers.insert(parsed, value);
            } else {
                filled.push((parsed, text));
            }
        }
        if connections == Connections::PerRequest {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let path = Path::new(&request.path)?;
        let expect = request.expect.clone();
        Ok(Self { method, path, headers, filled, told, payload, expect })
    }

    /// The request of the schedule.
    pub(crate) fn fill(&self, planned: &Planned, trace: Option<&TraceRequests>) -> Filled {
        let traced = trace.zip(planned.traced).and_then(|(trace, index)| trace.target(index));
        let (body, size, sent) = match &self.payload {
            Some(payload) => (RequestBody::Whole(payload.clone()), payload.len() as u64, None),
            None if planned.body == 0 => (RequestBody::Empty, 0, None),
            None => {
                let sent = Rc::new(Cell::new(0));
                let (pattern, size) = (Pattern::new(planned.id), planned.body);
                (RequestBody::Pattern { pattern, size, sent: Rc::clone(&sent) }, size, Some(sent))
            }
        };
        let mut request = Request::new(body);
        let (method, uri) = match traced {
            // The trace was checked when it was read.
            Some((method, path)) => (
                Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET),
                path.parse().unwrap_or_default(),
            ),
            None => (self.method.clone(), self.path.fill(planned)),
        };
        let is_idempotent = method.is_idempotent();
        let size_told = planned.size.filter(|_| self.told.work && method != Method::HEAD);
        let expected = Expected {
            id: self.told.work.then_some(planned.id),
            target: self.told.target.then(|| uri.clone()),
            size: size_told,
        };
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.reserve(self.headers.len() + self.filled.len() + 4);
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        for (name, text) in &self.filled {
            let mut value = String::with_capacity(64);
            text.fill(planned, &mut value);
            // Checked with the configuration: numbers in the holes keep it a value.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name.clone(), value);
            }
        }
        if self.told.work {
            headers.insert(ID, HeaderValue::from(planned.id));
            if let Some(work) = planned.work {
                headers.insert(WORK, HeaderValue::from(work));
            }
            if let Some(size) = planned.size {
                headers.insert(SIZE, HeaderValue::from(size));
            }
        }
        if self.told.client {
            headers.insert(CLIENT, HeaderValue::from(planned.client));
        }
        Filled { request, body: size, sent, is_idempotent, expected }
    }

    /// Whether it goes where a redirect leads: a request to a system of ours does.
    pub(crate) fn follows(&self) -> bool {
        self.told.work
    }

    /// Whether an answer with this status is as it should be.
    pub(crate) fn expects(&self, status: u16) -> bool {
        if self.expect.is_empty() {
            (200..400).contains(&status)
        } else {
            self.expect.contains(&status)
        }
    }
}

impl Path {
    fn new(text: &str) -> Result<Self, Problem> {
        if !text.contains('{') {
            let uri = text
                .parse()
                .map_err(|error: http::uri::InvalidUri| Problem::new("path", error.to_string()))?;
            return Ok(Self::Fixed(uri));
        }
        let plain = text.replace("{key}", "").replace("{client}", "");
        if plain.contains('{') {
            return Err(Problem::new("path", "may have {key} and {client} in it, nothing else"));
        }
        Ok(Self::Holes(Text::new(text)))
    }

    fn fill(&self, planned: &Planned) -> Uri {
        let holes = match self {
            Self::Fixed(uri) => return uri.clone(),
            Self::Holes(holes) => holes,
        };
        let mut text = String::with_capacity(64);
        holes.fill(planned, &mut text);
        // Checked with the configuration: numbers in the holes keep it a path.
        Uri::from_maybe_shared(Bytes::from(text)).unwrap_or_default()
    }
}
