//! How a request ends, and what went wrong with it.
//!
//! The classes are the recorder's. What the generator itself could not do (no free port, no file descriptor) is
//! *dropped* and never the server's failure.

use std::{error::Error as _, io};

use http::Request;
use hyper::client::conn::TrySendError;
use reports::{FailClass, Outcome};

use super::{body::RequestBody, check::Answer};

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// An answer came, as it should be or not.
    Answered(Answer),
    /// None came.
    Broken {
        /// How it counts.
        outcome: Outcome,
        /// What happened, for a person.
        message: String,
    },
}

impl Ending {
    /// No connection.
    pub(crate) fn unconnected(error: &io::Error) -> Self {
        // ENFILE and EMFILE, which std has no names for; the same on Linux and macOS.
        let (outcome, advice) = match (error.kind(), error.raw_os_error()) {
            (_, Some(23 | 24)) => (Outcome::Dropped, ": raise the limit with `ulimit -n`"),
            (io::ErrorKind::AddrNotAvailable, _) => {
                (Outcome::Dropped, ": this machine has no free port left for another connection")
            }
            (io::ErrorKind::ConnectionRefused, _) => (Outcome::Refused, ""),
            _ => (Outcome::Failed(FailClass::Connect), ""),
        };
        Self::Broken { outcome, message: format!("no connection: {error}{advice}") }
    }

    /// The connection ended, or what came was not HTTP.
    pub(crate) fn broken(error: &hyper::Error) -> Self {
        let message = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self::Broken { outcome: Outcome::Failed(class(error)), message }
    }

    /// The same, for a request that has no answer yet.
    pub(crate) fn unanswered(error: &TrySendError<Request<RequestBody>>) -> Self {
        Self::broken(error.error())
    }
}

fn class(error: &hyper::Error) -> FailClass {
    if error.is_parse() {
        return FailClass::Protocol;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => FailClass::Protocol,
                _ => FailClass::Reset,
            };
        }
        source = cause.source();
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return FailClass::Reset;
    }
    FailClass::Other
}
