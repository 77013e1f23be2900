//! Reading an answer, and checking every byte of it.
//!
//! A simulated backend says its name in its answers, and the body is then the pattern of the request's number: a proxy
//! that mixes up two answers, cuts one short or repeats a buffer is caught by the first wrong byte. An answer that names a number
//! itself shows content, which is the same for everybody: then that number must be the target's, and the body that number's. So
//! a cache that gives out what belongs to another target is caught, too.

use http::{HeaderMap, HeaderName, HeaderValue, Response, Uri, header, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use policy::work::{ENDPOINT_HEADER, ID_HEADER, Pattern, number_of_target};

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
    /// The endpoint that answered, among those the run knows; none if the answer was kept and only shown again.
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
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// The request's number, where it told it.
    pub(crate) id: Option<u64>,
    /// What it asked for, if content must be of that.
    pub(crate) target: Option<Uri>,
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
    let shown = shown(&head.headers);
    let pattern = match (name, expected.id) {
        (Some(_), Some(id)) if status == 200 && is_plain(&head.headers) => Some(match shown {
            Some(number) => Pattern::of_type(number, media_type(&head.headers)),
            None => Pattern::new(id),
        }),
        _ => None,
    };
    let mut bytes = 0;
    let mut mismatch = None;
    if let (Some(_), Some(number), Some(target)) = (pattern, shown, &expected.target)
        && number != number_of_target(path_and_query(target))
    {
        mismatch = Some(format!("the answer is not for {target}, but for something else"));
    }
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
    // Content has the size that it has, whoever asked for which.
    if let (Some(_), None, None, Some(size)) = (pattern, shown, &mismatch, expected.size)
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
        endpoint: name
            .filter(|_| !head.headers.contains_key(header::AGE))
            .and_then(|name| endpoint(name.as_bytes())),
        bytes,
        mismatch,
        keeps: !says_close(&head.headers),
        location: head.headers.get(header::LOCATION).filter(|_| status == 307).cloned(),
        cookie: head.headers.get_all(header::SET_COOKIE).iter().next_back().cloned(),
    })
}

/// Whether the body is what the backend sent, and not a form of it or a stream of events.
fn is_plain(headers: &HeaderMap) -> bool {
    let events = media_type(headers).starts_with(b"text/event-stream");
    !events && !headers.contains_key(header::CONTENT_ENCODING)
}

fn media_type(headers: &HeaderMap) -> &[u8] {
    headers.get(header::CONTENT_TYPE).map_or(&[], HeaderValue::as_bytes)
}

/// The number of the target whose content an answer shows.
fn shown(headers: &HeaderMap) -> Option<u64> {
    headers.get(&ID)?.to_str().ok()?.parse().ok()
}

fn path_and_query(target: &Uri) -> &[u8] {
    target.path_and_query().map_or("/", PathAndQuery::as_str).as_bytes()
}

fn says_close(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        let options = value.as_bytes().split(|byte| *byte == b',');
        options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(b"close"))
    })
}
