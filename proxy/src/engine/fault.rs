//! What can go wrong with a request, and whose it is.
//!
//! A fault knows its side: the client's, the endpoint's, or ours. From that follow the status that the client
//! sees, the `Proxy-Status` error type that says why (RFC 9209, section 2.3), and whether the endpoint is blamed for it.
//! Whether the request may be sent again is not decided here but in [`policy::retry`].

use std::{fmt, io};

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Downstream,
    /// The endpoint's.
    Upstream,
    /// The proxy's own, or its configuration's.
    Ours,
}

/// Why a request could not be served as it was meant.
#[derive(Debug)]
pub enum Fault {
    /// The request is malformed or ambiguous, for this reason.
    BadRequest(http1::Error),
    /// The method cannot be proxied here.
    MethodRefused,
    /// The request's body is larger than may be.
    BodyTooLarge,
    /// No route is for the request, and the proxy has no endpoints of its own.
    NoRoute,
    /// The request's head did not arrive in time.
    HeadTimeout,
    /// The request's body paused for too long.
    BodyTimeout,
    /// The client went away, or its connection broke.
    ClientGone,
    /// The client did not take the response for too long.
    ClientStalled,
    /// No endpoint is there, or none that is ready and was not tried yet.
    NoEndpoint,
    /// Every endpoint is at its limit, and the queue is full.
    QueueFull,
    /// Every endpoint was at its limit for as long as a request may wait.
    QueueTimeout,
    /// The endpoint refused the connection.
    ConnectRefused,
    /// The connection could not be opened.
    ConnectFailed(io::Error),
    /// The connection could not be opened in time.
    ConnectTimeout,
    /// A connection that had been used before was closed before the response began.
    ReusedClosed,
    /// The connection was closed before the response began.
    ClosedBeforeResponse,
    /// The response did not begin in time.
    ResponseTimeout,
    /// The response is malformed or ambiguous, for this reason.
    BadResponse(http1::Error),
    /// The endpoint changed to another protocol, and nobody had asked it to.
    UnaskedUpgrade,
    /// The response broke off.
    ClosedMidResponse,
    /// The response paused for too long.
    ResponseStalled,
    /// As many redirected clients have sessions as may.
    SessionsFull,
    /// As much is under way as the endpoints can do; the client may come back in so many seconds.
    Overloaded(u64),
}

impl Fault {
    /// Whose fault it is.
    pub fn side(&self) -> Side {
        match self {
            Self::BadRequest(_)
            | Self::MethodRefused
            | Self::BodyTooLarge
            | Self::NoRoute
            | Self::HeadTimeout
            | Self::BodyTimeout
            | Self::ClientGone
            | Self::ClientStalled => Side::Downstream,
            Self::NoEndpoint
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::SessionsFull
            | Self::Overloaded(_) => Side::Ours,
            Self::ConnectRefused
            | Self::ConnectFailed(_)
            | Self::ConnectTimeout
            | Self::ReusedClosed
            | Self::ClosedBeforeResponse
            | Self::ResponseTimeout
            | Self::BadResponse(_)
            | Self::UnaskedUpgrade
            | Self::ClosedMidResponse
            | Self::ResponseStalled => Side::Upstream,
        }
    }

    /// The status that the client sees; 499 is for the log only, when nobody is there to see one.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(error) => error.status(),
            Self::MethodRefused => 405,
            Self::BodyTooLarge => 413,
            Self::NoRoute => 404,
            Self::HeadTimeout | Self::BodyTimeout => 408,
            Self::ClientGone | Self::ClientStalled => 499,
            Self::NoEndpoint
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::SessionsFull
            | Self::Overloaded(_) => 503,
            Self::ConnectRefused
            | Self::ConnectFailed(_)
            | Self::ReusedClosed
            | Self::ClosedBeforeResponse
            | Self::BadResponse(_)
            | Self::UnaskedUpgrade
            | Self::ClosedMidResponse => 502,
            Self::ConnectTimeout | Self::ResponseTimeout | Self::ResponseStalled => 504,
        }
    }

    /// The error type of RFC 9209.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::BadRequest(_) | Self::MethodRefused | Self::BodyTooLarge => "http_request_denied",
            Self::NoRoute => "destination_not_found",
            Self::HeadTimeout | Self::BodyTimeout => "http_request_error",
            Self::NoEndpoint => "destination_unavailable",
            Self::QueueFull | Self::QueueTimeout | Self::SessionsFull | Self::Overloaded(_) => {
                "connection_limit_reached"
            }
            Self::ConnectRefused => "connection_refused",
            Self::ConnectFailed(_) => "destination_ip_unroutable",
            Self::ConnectTimeout => "connection_timeout",
            Self::ClientGone
            | Self::ClientStalled
            | Self::ReusedClosed
            | Self::ClosedBeforeResponse => "connection_terminated",
            Self::ResponseTimeout => "connection_read_timeout",
            Self::BadResponse(_) | Self::UnaskedUpgrade => "http_protocol_error",
            Self::ClosedMidResponse => "http_response_incomplete",
            Self::ResponseStalled => "http_response_timeout",
        }
    }

    /// A word for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::MethodRefused => "method_refused",
            Self::BodyTooLarge => "body_too_large",
            Self::NoRoute => "no_route",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::ClientGone => "client_gone",
            Self::ClientStalled => "client_stalled",
            Self::NoEndpoint => "no_endpoint",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectFailed(_) => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::ReusedClosed => "reused_connection_closed",
            Self::ClosedBeforeResponse => "closed_before_response",
            Self::ResponseTimeout => "response_timeout",
            Self::BadResponse(_) => "bad_response",
            Self::UnaskedUpgrade => "unasked_upgrade",
            Self::ClosedMidResponse => "closed_mid_response",
            Self::ResponseStalled => "response_stalled",
            Self::SessionsFull => "sessions_full",
            Self::Overloaded(_) => "overloaded",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(error) => write!(f, "the request was refused: {error}"),
            Self::MethodRefused => f.write_str("this method is not proxied here"),
            Self::BodyTooLarge => f.write_str("the request's body is too large"),
            Self::NoRoute => f.write_str("nothing is served under this address"),
            Self::HeadTimeout => f.write_str("the request's head did not arrive in time"),
            Self::BodyTimeout => f.write_str("the request's body paused for too long"),
            Self::ClientGone => f.write_str("the client closed the connection"),
            Self::ClientStalled => f.write_str("the client did not take the response"),
            Self::NoEndpoint => f.write_str("no endpoint is ready"),
            Self::QueueFull => f.write_str("every endpoint is at its limit and the queue is full"),
            Self::QueueTimeout => f.write_str("every endpoint stayed at its limit for too long"),
            Self::ConnectRefused => f.write_str("the endpoint refused the connection"),
            Self::ConnectFailed(error) => write!(f, "the endpoint cannot be reached: {error}"),
            Self::ConnectTimeout => {
                f.write_str("the endpoint did not accept the connection in time")
            }
            Self::ReusedClosed | Self::ClosedBeforeResponse => {
                f.write_str("the endpoint closed the connection before it answered")
            }
            Self::ResponseTimeout => f.write_str("the endpoint did not answer in time"),
            Self::BadResponse(error) => write!(f, "the endpoint's answer was refused: {error}"),
            Self::UnaskedUpgrade => {
                f.write_str("the endpoint changed to another protocol without being asked")
            }
            Self::ClosedMidResponse => f.write_str("the endpoint's answer broke off"),
            Self::ResponseStalled => f.write_str("the endpoint's answer paused for too long"),
            Self::SessionsFull => {
                f.write_str("as many redirected clients have sessions as the configuration allows")
            }
            Self::Overloaded(seconds) => {
                write!(f, "as much is under way as the endpoints can do; try again in {seconds} s")
            }
        }
    }
}

impl std::error::Error for Fault {}
