//! What a request asks of an endpoint.
//!
//! A request from our load generator brings its number, its service demand and the size of its answer in headers
//! (`policy::work`). What it does not bring is drawn, from the endpoint's own seed and the request's number:
//! the same request gets the same draw at the same endpoint, in every run and on every retry. Requests without a number
//! are counted instead. The size of content is drawn from the target, so that all endpoints have the same.

use std::time::Duration;

use http::{HeaderMap, Request, StatusCode, uri::PathAndQuery};
use policy::{
    Seed,
    distribution::{Distribution, whole},
    work::{ID_HEADER, SIZE_HEADER, WORK_HEADER},
};

use crate::{
    config::{FaultConfig, Framing},
    content::Shown,
    core::{Core, add},
};

/// In a request: `1` has its body sent back.
pub const ECHO_HEADER: &str = "windtunnel-echo";
/// In a request: `chunked` or `length`, how its answer's length shall be told. The query `?chunked` does the same.
pub const FRAMING_HEADER: &str = "windtunnel-framing";
/// In an answer 400: the offset of the first byte of the request's body that was not what it must be.
pub const MISMATCH_HEADER: &str = "windtunnel-mismatch";

/// What a request asks of an endpoint.
#[derive(Debug)]
pub(crate) struct Demand {
    /// The request's number, if it has one.
    pub(crate) id: Option<u64>,
    /// The content that it asks for, where the endpoint has content.
    pub(crate) shown: Option<Shown>,
    /// Service demand at speed 1.
    pub(crate) service: Duration,
    /// Bytes of the answer's body.
    pub(crate) size: u64,
    /// How the length of the answer's body is told.
    pub(crate) framing: Framing,
    /// Whether the request's body shall be sent back.
    pub(crate) echo: bool,
    /// The random stream of the request's own misfortunes.
    draws: Seed,
}

/// What goes wrong with a request by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfortune {
    /// The connection is reset.
    Reset,
    /// This status is answered.
    Status(StatusCode),
    /// Service takes longer by this.
    Delay(Duration),
    /// Nothing.
    Nothing,
}

impl Demand {
    /// Reads the headers and draws the rest; an error says which header is wrong.
    pub(crate) fn of<B>(core: &Core, request: &Request<B>) -> Result<Self, String> {
        let headers = request.headers();
        let id = number(headers, ID_HEADER)?;
        let draws = match id {
            Some(id) => core.seed.nth(id),
            None => core.seed.child("unnumbered").nth(add(&core.counts.unnumbered)),
        };
        let content = core.content.as_ref().and_then(|content| {
            let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
            Some((content, content.shown(request.method(), target.as_bytes(), headers)?))
        });
        let service = match (number(headers, WORK_HEADER)?, &core.config.service) {
            (Some(nanos), _) => Duration::from_nanos(nanos),
            (None, Distribution::Constant(span)) => span.0,
            (None, drawn) => Duration::from_nanos(whole(drawn.draw(&mut draws.stream("service")))),
        };
        let service = match content {
            Some((content, shown)) if shown.unchanged => service.mul_f64(content.part(shown)),
            _ => service,
        };
        let shown = content.map(|(_, shown)| shown);
        let size = match (number(headers, SIZE_HEADER)?, &core.config.response) {
            (Some(bytes), _) => bytes,
            (None, Distribution::Constant(size)) => size.0,
            (None, drawn) => {
                let draws = shown.map_or(draws, |shown| size_of_target(shown.number));
                whole(drawn.draw(&mut draws.stream("size")))
            }
        };
        let framing = match headers.get(FRAMING_HEADER).map(http::HeaderValue::as_bytes) {
            Some(b"chunked") => Framing::Chunked,
            Some(b"length") => Framing::Length,
            Some(_) => return Err(format!("{FRAMING_HEADER} must be chunked or length")),
            None if asks_for_chunks(request.uri().query()) => Framing::Chunked,
            None => core.config.framing,
        };
        let echo = headers.get(ECHO_HEADER).is_some_and(|value| value.as_bytes() == b"1");
        Ok(Self { id, shown, service, size, framing, echo, draws })
    }

    /// What goes wrong by the configuration.
    pub(crate) fn misfortune(&self, faults: &FaultConfig) -> Misfortune {
        if faults.is_none() {
            return Misfortune::Nothing;
        }
        let mut rng = self.draws.stream("faults");
        // All three are drawn always, so that one fault shifts no other.
        let (reset, mut status, mut delay) = (rng.unit(), rng.unit(), rng.unit());
        if reset < faults.reset {
            return Misfortune::Reset;
        }
        for share in &faults.status {
            if status < share.probability {
                let status = StatusCode::from_u16(share.status);
                return Misfortune::Status(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
            }
            status -= share.probability;
        }
        for share in &faults.delay {
            if delay < share.probability {
                return Misfortune::Delay(share.time.0);
            }
            delay -= share.probability;
        }
        Misfortune::Nothing
    }

    /// Whether an injected failure of this probability hits the request.
    pub(crate) fn fails(&self, probability: f64) -> bool {
        self.draws.stream("fail").chance(probability)
    }
}

/// The random stream of the size of what stands at the target with this number.
pub fn size_of_target(number: u64) -> Seed {
    Seed(number)
}

fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, String> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| format!("{name} must be a decimal number below 2^64"))
}

fn asks_for_chunks(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|part| part == "chunked"))
}
