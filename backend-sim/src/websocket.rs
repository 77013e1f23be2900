//! A session over WebSocket (RFC 6455).
//!
//! hyper's own upgrade wants streams that may move between threads, and ours may not. So the connection is taken out of
//! hyper after its 101 and goes on here: messages for as long as the session lasts, whatever comes in goes back
//! out, and at the end a close with 1000 in both directions.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use net::Stream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    answer::Ticket,
    body::{Beat, Session},
    connection::Membership,
};

/// The largest message that is taken, and about what may wait to be written.
const MAX_MESSAGE: usize = 1 << 20;

/// How long the client may take to answer our close.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A session that goes on over the bare connection.
pub(crate) struct Tunnel {
    pub(crate) session: Session,
    pub(crate) ticket: Ticket,
}

/// The `Sec-WebSocket-Accept` of a handshake, or what is wrong with it (RFC 6455, section 4.2.1).
pub(crate) fn accept(head: &Parts) -> Result<HeaderValue, &'static str> {
    let headers = &head.headers;
    if head.method != Method::GET
        || !has_token(headers, &header::UPGRADE, "websocket")
        || !has_token(headers, &header::CONNECTION, "upgrade")
    {
        return Err("this endpoint speaks WebSocket: send an upgrade request\n");
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        return Err("Sec-WebSocket-Version must be 13\n");
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or("Sec-WebSocket-Key is missing\n")?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| "no accept key\n")
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
}

/// What happens next.
enum Event {
    Crash,
    Beat(Beat),
    Received(Option<Result<Message, Error>>),
    Sent(Result<(), Error>),
}

/// Carries the session to its end.
pub(crate) async fn run<S: Stream>(
    membership: &Membership,
    stream: S,
    read: Bytes,
    tunnel: Tunnel,
) {
    let Tunnel { mut session, mut ticket } = tunnel;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .max_write_buffer_size(2 * MAX_MESSAGE);
    let mut socket =
        WebSocketStream::from_partially_read(stream, read.into(), Role::Server, Some(config)).await;
    let mut beats_missed = 0_u64;
    let crashed = loop {
        let event = poll_fn(|cx| {
            if membership.poll_stale(cx).is_ready() {
                return Poll::Ready(Event::Crash);
            }
            if let Poll::Ready(beat) = session.poll_beat(cx) {
                return Poll::Ready(Event::Beat(beat));
            }
            socket.poll_next_unpin(cx).map(Event::Received)
        })
        .await;
        let message = match event {
            Event::Crash => break true,
            Event::Beat(Beat::End) => {
                ticket.completed();
                break say_goodbye(membership, &mut socket).await;
            }
            Event::Beat(Beat::Send) => Message::Binary(session.piece()),
            Event::Received(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => message,
            // Pings are answered by the library; a close too, and the stream ends after it.
            Event::Received(Some(Ok(_))) => continue,
            Event::Received(Some(Err(_)) | None) | Event::Sent(_) => break false,
        };
        // A client that does not read must neither outlive a crash nor the session.
        let event = {
            let mut sending = pin!(socket.send(message));
            poll_fn(|cx| {
                if membership.poll_stale(cx).is_ready() {
                    return Poll::Ready(Event::Crash);
                }
                if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
                    return Poll::Ready(Event::Sent(sent));
                }
                while let Poll::Ready(beat) = session.poll_beat(cx) {
                    match beat {
                        Beat::End => return Poll::Ready(Event::Beat(Beat::End)),
                        Beat::Send => beats_missed += 1,
                    }
                }
                Poll::Pending
            })
            .await
        };
        match event {
            Event::Sent(Ok(())) => {}
            Event::Crash => break true,
            Event::Beat(_) => {
                ticket.completed();
                break say_goodbye(membership, &mut socket).await;
            }
            Event::Sent(Err(_)) | Event::Received(_) => break false,
        }
    };
    if crashed {
        membership.reset(socket.into_inner());
    }
}

/// Closes with 1000 and reads until the client has closed too. Tells whether the connection must be reset instead.
async fn say_goodbye<S: Stream>(membership: &Membership, socket: &mut WebSocketStream<S>) -> bool {
    let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let goodbye = async {
        if socket.close(Some(normal)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let mut goodbye = pin!(membership.clock().timeout(CLOSE_LIMIT, goodbye));
    poll_fn(|cx| {
        if membership.poll_stale(cx).is_ready() {
            return Poll::Ready(true);
        }
        goodbye.as_mut().poll(cx).map(|ended| ended.is_err())
    })
    .await
}
