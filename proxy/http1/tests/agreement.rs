//! The judge: hyper, an independent implementation, reads the same bytes over an in-memory connection.
//!
//! What both accept, both must understand alike: method, target, fields, where the body ends, whether the
//! connection lives on. What hyper accepts and we refuse must be one of the cases in which we mean to be
//! stricter, listed here. (hyper may refuse what we accept; it is not our caller.)

mod messages;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http1::{ErrorKind as E, Framing, Limits, Method, Name, RequestHead, ResponseHead, Version};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use messages::{config, request_heads, response_heads};
use proptest::prelude::*;

/// A connection whose far side says one thing and then keeps it open, silent.
#[derive(Clone)]
struct Script(Rc<RefCell<ScriptState>>);

struct ScriptState {
    input: VecDeque<u8>,
    output: Vec<u8>,
    order: Order,
}

#[derive(PartialEq)]
enum Order {
    SpeaksFirst,
    Answers,
}

impl Script {
    fn new(input: &[u8], order: Order) -> Script {
        let input = input.iter().copied().collect();
        Script(Rc::new(RefCell::new(ScriptState { input, output: Vec::new(), order })))
    }
}

impl hyper::rt::Read for Script {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut state = self.0.borrow_mut();
        let too_early = state.order == Order::Answers && state.output.is_empty();
        if too_early || state.input.is_empty() {
            return Poll::Pending;
        }
        let count = buffer.remaining().min(state.input.len());
        let bytes: Vec<u8> = state.input.drain(..count).collect();
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.borrow_mut().output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a reader understood.
#[derive(Debug, PartialEq)]
struct Understood {
    first_line: Vec<String>,
    /// Sorted by name; the values of one name in their order.
    fields: Vec<(String, Vec<u8>)>,
    length: Option<u64>,
    keep_alive: Option<bool>,
}

fn sorted(fields: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> = fields.collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}

fn of_hyper(fields: &http::HeaderMap) -> Vec<(String, Vec<u8>)> {
    sorted(fields.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())))
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

fn length(framing: Framing) -> Option<u64> {
    match framing {
        Framing::Empty => Some(0),
        Framing::Length(length) => Some(length),
        Framing::Chunked | Framing::UntilClose => None,
    }
}

/// A target as path and query, however it was written.
fn path_and_query(target: &str) -> String {
    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
    format!("{path} {query:?}")
}

fn hyper_server(input: &[u8]) -> Option<Understood> {
    let script = Script::new(input, Order::SpeaksFirst);
    let seen: Rc<RefCell<Option<Understood>>> = Rc::default();
    let seen_inside = Rc::clone(&seen);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let uri = request.uri();
        // CONNECT's target has an authority only.
        let target = if uri.path().is_empty() { uri.to_string() } else { uri.path().to_owned() };
        let query = uri.query();
        let understood = Understood {
            first_line: vec![
                request.method().to_string(),
                format!("{target} {query:?}"),
                format!("{:?}", request.version()),
            ],
            fields: of_hyper(request.headers()),
            length: request.body().size_hint().exact(),
            keep_alive: None,
        };
        seen_inside.borrow_mut().get_or_insert(understood);
        async { Ok::<_, Infallible>(http::Response::new(String::from("x"))) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(script.clone(), service);
    let mut connection = pin!(connection);
    let mut context = Context::from_waker(Waker::noop());
    let over = (0..8).any(|_| connection.as_mut().poll(&mut context).is_ready());
    let mut understood = seen.borrow_mut().take()?;
    understood.keep_alive = Some(!over);
    Some(understood)
}

fn our_request(head: &RequestHead, text: &[u8]) -> Understood {
    // Of `OPTIONS http://a` we make `*` (RFC 9112, 3.2.4); http::Uri cannot tell it from `http://a/`.
    let absolute = text.windows(3).any(|window| window == b"://");
    let target = if absolute && head.target() == b"*" { b"/" } else { head.target() };
    let version = if head.version() == Version::Http11 { "HTTP/1.1" } else { "HTTP/1.0" };
    Understood {
        first_line: vec![
            String::from_utf8_lossy(head.method_bytes()).into_owned(),
            path_and_query(&String::from_utf8_lossy(target)),
            version.to_owned(),
        ],
        fields: sorted(head.fields().map(|field| (lower(field.name), field.value.to_vec()))),
        length: length(head.framing()),
        keep_alive: Some(head.keep_alive()),
    }
}

fn hyper_client(input: &[u8]) -> Option<Understood> {
    let script = Script::new(input, Order::Answers);
    let mut context = Context::from_waker(Waker::noop());
    let mut handshake = pin!(hyper::client::conn::http1::handshake::<_, String>(script.clone()));
    let Poll::Ready(Ok((mut sender, connection))) = handshake.as_mut().poll(&mut context) else {
        panic!("a handshake does not wait");
    };
    let mut connection = pin!(connection);
    let request = http::Request::get("/").header("host", "a").body(String::new()).expect("correct");
    let mut response = pin!(sender.send_request(request));
    for _ in 0..8 {
        let over = connection.as_mut().poll(&mut context).is_ready();
        match response.as_mut().poll(&mut context) {
            Poll::Ready(Ok(response)) => {
                let length = response.body().size_hint().exact();
                return Some(Understood {
                    first_line: vec![
                        response.status().as_str().to_owned(),
                        format!("{:?}", response.version()),
                    ],
                    fields: of_hyper(response.headers()),
                    length,
                    keep_alive: None,
                });
            }
            Poll::Ready(Err(_)) => return None,
            Poll::Pending if over => return None,
            Poll::Pending => {}
        }
    }
    None
}

fn our_response(head: &ResponseHead) -> Understood {
    let version = if head.version() == Version::Http11 { "HTTP/1.1" } else { "HTTP/1.0" };
    Understood {
        first_line: vec![head.status().to_string(), version.to_owned()],
        fields: sorted(head.fields().map(|field| (lower(field.name), field.value.to_vec()))),
        length: length(head.framing(Method::Get)),
        keep_alive: None,
    }
}

/// Where we refuse and hyper does not, and mean it.
const STRICTER: &[E] = &[
    // httparse takes a bare LF for a line end, and any number of empty lines before a message.
    E::BareLf,
    E::EmptyLines,
    // hyper leaves Host to the application.
    E::HostMissing,
    E::HostRepeated,
    E::HostMalformed,
    E::HostDisagrees,
    // and what the target's form means for the method, to the application too.
    E::AsteriskForm,
    E::ConnectTarget,
    E::TargetMalformed,
    // http::Uri cuts fragments off silently.
    E::TargetFragment,
    E::TargetUserinfo,
    // Equal lengths are folded into one; leading zeros are digits.
    E::ContentLengthRepeated,
    E::ContentLengthMalformed,
    // Transfer-Encoding wins, and Content-Length is dropped.
    E::ContentLengthWithTransferEncoding,
    // Any list that ends in chunked is chunked; the codings before it are the application's.
    E::TransferCodingUnknown,
    E::TransferCodingRepeated,
    E::TransferEncodingMalformed,
    // A response that is not chunked lasts until the connection closes.
    E::TransferCodingNotLast,
    E::TransferEncodingInHttp10,
    // A 204 has no body, whatever it says.
    E::ContentNotAllowed,
    // These are a proxy's concern.
    E::ConnectionNamesFraming,
    E::UnderscoreAlias,
];

fn stricter(error: http1::Error) -> bool {
    STRICTER.contains(&error.kind())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn requests_are_read_as_hyper_reads_them(text in request_heads()) {
        let mut head = RequestHead::new();
        let ours = head.parse(&text, &Limits::default());
        match (hyper_server(&text), ours) {
            (Some(mut theirs), Ok(Some(consumed))) => {
                let mut ours = our_request(&head, &text);
                // A connection ends for other reasons, too: a body that nobody reads, garbage after the
                // head, a tunnel.
                let only_keep_alive_decides = consumed == text.len()
                    && ours.length == Some(0)
                    && head.method() != Method::Connect
                    // hyper ignores the whole of a Connection with one odd byte; we, the odd option.
                    && head.get_all(Name::Connection).all(<[u8]>::is_ascii);
                if !only_keep_alive_decides {
                    (ours.keep_alive, theirs.keep_alive) = (None, None);
                }
                prop_assert_eq!(ours, theirs);
            }
            (Some(theirs), Ok(None)) => prop_assert!(false, "hyper saw a whole request: {:?}", theirs),
            (Some(theirs), Err(error)) => prop_assert!(stricter(error), "{:?}: hyper read {:?}", error, theirs),
            (None, _) => {}
        }
    }

    #[test]
    fn responses_are_read_as_hyper_reads_them(text in response_heads()) {
        let mut head = ResponseHead::new();
        let ours = head.parse(&text, &Limits::default());
        match (hyper_client(&text), ours) {
            // hyper waits for the response that follows.
            (_, Ok(Some(_))) if head.is_informational() => {}
            (Some(theirs), Ok(Some(_))) => prop_assert_eq!(our_response(&head), theirs),
            (Some(theirs), Ok(None)) => prop_assert!(false, "hyper saw a whole response: {:?}", theirs),
            (Some(theirs), Err(error)) => prop_assert!(stricter(error), "{:?}: hyper read {:?}", error, theirs),
            (None, _) => {}
        }
    }
}

/// That the judge judges: on plain messages both sides have an opinion.
#[test]
fn plain_messages_are_understood_by_both() {
    let text = b"POST /a?b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: 1\r\n\r\n";
    let mut head = RequestHead::new();
    assert_eq!(head.parse(text, &Limits::default()), Ok(Some(text.len())));
    let theirs = hyper_server(text).expect("hyper reads it");
    assert_eq!(theirs, our_request(&head, text));
    assert_eq!((theirs.length, theirs.keep_alive), (Some(0), Some(false)));

    let text = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nX: 1\r\n\r\n";
    let mut head = ResponseHead::new();
    assert_eq!(head.parse(text, &Limits::default()), Ok(Some(text.len())));
    assert_eq!(hyper_client(text).expect("hyper reads it"), our_response(&head));
}
