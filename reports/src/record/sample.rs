//! One request, as whoever sent it saw it end.

use super::buckets::Bucket;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailClass {
    /// A status from 400 to 499 that was not expected, without 429 (that is [`Outcome::Refused`]).
    Status4xx,
    /// A status from 500 to 599, without 503 (that is [`Outcome::Refused`]).
    Status5xx,
    /// Any other status that was not expected.
    StatusOther,
    /// No connection, other than refused: unreachable, reset while connecting, name not found.
    Connect,
    /// The connection broke before the response was complete.
    Reset,
    /// What came was not HTTP.
    Protocol,
    /// The body was not what the backend must have sent.
    BodyMismatch,
    /// Anything else.
    Other,
}

impl FailClass {
    /// Every class, in the order of the enum.
    pub const ALL: [FailClass; 8] = [
        FailClass::Status4xx,
        FailClass::Status5xx,
        FailClass::StatusOther,
        FailClass::Connect,
        FailClass::Reset,
        FailClass::Protocol,
        FailClass::BodyMismatch,
        FailClass::Other,
    ];

    /// The name in metrics: `failed.<name>`.
    pub fn as_str(self) -> &'static str {
        match self {
            FailClass::Status4xx => "status_4xx",
            FailClass::Status5xx => "status_5xx",
            FailClass::StatusOther => "status_other",
            FailClass::Connect => "connect",
            FailClass::Reset => "reset",
            FailClass::Protocol => "protocol",
            FailClass::BodyMismatch => "body_mismatch",
            FailClass::Other => "other",
        }
    }

    /// The class of a status that was not expected.
    pub fn of_status(status: u16) -> FailClass {
        match status {
            400..=499 => FailClass::Status4xx,
            500..=599 => FailClass::Status5xx,
            _ => FailClass::StatusOther,
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered as it should be.
    Ok,
    /// Answered otherwise, or the connection failed.
    Failed(FailClass),
    /// The client lost patience.
    TimedOut,
    /// Turned away: the connection was refused, or the status was 429 or 503.
    Refused,
    /// Never sent: the generator had no connection or no room for it.
    Dropped,
}

impl Outcome {
    /// The name of its count in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Failed(_) => "failed",
            Outcome::TimedOut => "timed_out",
            Outcome::Refused => "refused",
            Outcome::Dropped => "dropped",
        }
    }
}

/// One request. Times in nanoseconds since the start of the run, `intended <= sent <= finished`;
/// for a dropped one all three are the intended time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Which load it belongs to: an index into [`crate::RecorderConfig::loads`].
    pub load: usize,
    /// When it was due. In a closed loop: when it was sent.
    pub intended: u64,
    /// When it was sent.
    pub sent: u64,
    /// When its response was complete, or it was given up.
    pub finished: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of its response; 0 without one.
    pub status: u16,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Body bytes sent.
    pub bytes_out: u64,
    /// Which endpoint answered (or was tried) last, if that is known: an index into
    /// [`crate::RecorderConfig::endpoints`].
    pub endpoint: Option<usize>,
    /// Extra tries that were made for it, where that is known.
    pub retries: u32,
}

impl Sample {
    /// Response time: from when it was due.
    pub fn response_time(&self) -> u64 {
        self.finished.saturating_sub(self.intended)
    }

    /// Service time: from when it was sent.
    pub fn service_time(&self) -> u64 {
        self.finished.saturating_sub(self.sent)
    }
}

/// A time and its bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    pub(crate) nanos: u64,
    pub(crate) bucket: Bucket,
}

impl Time {
    #[inline]
    fn of(nanos: u64) -> Self {
        Self { nanos, bucket: Bucket::of(nanos) }
    }
}

/// The times of a request that has any, each with its bucket: they are wanted in several histograms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed {
    pub(crate) response: Time,
    /// `None` for one that was sent when it was due: then it is the response time.
    pub(crate) service: Option<Time>,
}

impl Timed {
    /// `None` where nobody waited for an answer until it came or patience ended.
    #[inline]
    pub(crate) fn of(sample: &Sample) -> Option<Self> {
        if !matches!(sample.outcome, Outcome::Ok | Outcome::TimedOut) {
            return None;
        }
        let late = sample.sent != sample.intended;
        let service = late.then(|| Time::of(sample.service_time()));
        Some(Self { response: Time::of(sample.response_time()), service })
    }
}
