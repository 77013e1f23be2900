//! Reading an answer, and checking every byte of it.
//!
//! A simulated backend says its name in its answers, and the body is then the pattern of the request's number: a proxy
//! that mixes up two answers, cuts one short or repeats a buffer is caught by the first wrong byte. An answer that
//! names another number itself (one from a cache) is checked against that.

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use policy::work::{ENDPOINT_HEADER, ID_HEADER, Pattern};

use super::fault::Ending;

const ENDPOINT: HeaderName = HeaderName::from_static(ENDPOINT_HEADER);
const ID: HeaderName = HeaderName::from_static(ID_HEADER);
/// A simulated backend's word that the request's body was wrong when it arrived.
const MISMATCH: HeaderName = HeaderName::from_static("windtunnel-mismatch");

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The endpoint that answered, among those the run knows.
    pub(crate) endpoint: Option<usize>,
    /// Bytes of its body.
    pub(crate) bytes: u64,
    /// What is wrong with the body.
    pub(crate) mismatch: Option<String>,
    /// Whether the connection may serve another request, as far as the answer says.
    pub(crate) keeps: bool,
    /// Where a redirect that keeps the method leads.
    pub(crate) location: Option<HeaderValue>,
    /// The cookie that the client is to keep.
    pub(crate) cookie: Option<HeaderValue>,
}

/// What an answer must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// The request's number, where it told it.
    pub(crate) id: Option<u64>,
    /// The length of the body, where the request asked for it.
    pub(crate) size: Option<u64>,
}

/// Reads the whole of it.
pub(super) async fn receive(
    response: Response<Incoming>,
    expected: Expected,
    endpoint: impl FnOnce(&[u8]) -> Option<usize>,
) -> Result<Answer, Ending> {
    let (head, mut body) = response.into_parts();
    let status = head.status.as_u16();
    let name = if expected.id.is_some() { head.headers.get(&ENDPOINT) } else { None };
    let pattern = match (name, expected.id) {
        (Some(_), Some(id)) if status == 200 && is_plain(&head.headers) => {
            Some(Pattern::new(cached_id(&head.headers).unwrap_or(id)))
        }
        _ => None,
    };
    let mut bytes = 0;
    let mut mismatch = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Ending::broken(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        if let (Some(pattern), None) = (pattern, &mismatch)
            && let Some(at) = pattern.mismatch(bytes, data)
        {
            mismatch = Some(format!("the answer's body is wrong from byte {at} on"));
        }
        bytes += data.len() as u64;
    }
    if let (Some(_), None, Some(size)) = (pattern, &mismatch, expected.size)
        && size != bytes
    {
        mismatch = Some(format!("the answer's body has {bytes} bytes and not {size}"));
    }
    if let Some(at) = head.headers.get(&MISMATCH).filter(|_| expected.id.is_some()) {
        let at = String::from_utf8_lossy(at.as_bytes());
        mismatch = Some(format!("the request's body arrived wrong from byte {at} on"));
    }
    Ok(Answer {
        status,
        endpoint: name.and_then(|name| endpoint(name.as_bytes())),
        bytes,
        mismatch,
        keeps: !says_close(&head.headers),
        location: head.headers.get(header::LOCATION).filter(|_| status == 307).cloned(),
        cookie: head.headers.get_all(header::SET_COOKIE).iter().next_back().cloned(),
    })
}

/// Whether the body is what the backend sent, and not a form of it or a stream of events.
fn is_plain(headers: &HeaderMap) -> bool {
    let events = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    !events && !headers.contains_key(header::CONTENT_ENCODING)
}

/// The number that an answer from a cache names.
fn cached_id(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::AGE)?;
    headers.get(&ID)?.to_str().ok()?.parse().ok()
}

fn says_close(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        let options = value.as_bytes().split(|byte| *byte == b',');
        options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(b"close"))
    })
}
