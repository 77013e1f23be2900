//! Reports: how an endpoint tells the proxy that sessions are over.
//!
//! One HTTP request carries a batch, a line for each session: its number, what it came to, how many nanoseconds it took. The last line may say
//! how loaded the endpoint is ([`LoadReport`]): of what a forwarded request's answer would have said, the proxy sees nothing here.
//! The body is authenticated with the same secret as the tokens, in a field of the head, for another purpose, so that neither can
//! stand for the other. A report that is heard twice does no harm: the session that it is about is over.

use std::{fmt::Write as _, time::Duration};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{Key, read_hex, write_hex};
use crate::LoadReport;

/// The path at the proxy that takes reports.
pub const PATH: &str = "/.windtunnel/sessions";
/// The field with the code of the body.
pub const CODE_HEADER: &str = "windtunnel-code";
/// At most so many sessions in a batch.
pub const BATCH: usize = 256;
/// No body is longer than this.
pub const MAX_BODY: usize = BATCH * 64 + 512;

const PURPOSE: &[u8] = b"windtunnel report 1";

/// What a session came to, as the endpoint saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was answered with this status.
    Answered(u16),
    /// The endpoint broke the connection off.
    Broken,
    /// The client left before there was an answer.
    Cancelled,
}

/// A session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The number of its grant.
    pub nonce: u64,
    /// What it came to.
    pub end: End,
    /// How long it lasted at the endpoint.
    pub took: Duration,
}

/// What one request says.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The sessions that are over.
    pub reports: Vec<Report>,
    /// How loaded their endpoint is.
    pub load: Option<LoadReport>,
}

/// The line on the endpoint's load begins so.
const LOAD: &str = "load ";

/// The body of a batch; of more than [`BATCH`] reports the first.
pub fn write(reports: &[Report], load: Option<&LoadReport>) -> String {
    let mut text = String::with_capacity(40 * reports.len().min(BATCH));
    for Report { nonce, end, took } in reports.iter().take(BATCH) {
        let nanos = crate::time::nanos(*took);
        // Writing to a string cannot fail.
        let _ = match end {
            End::Answered(status) => writeln!(text, "{nonce:016x} {status} {nanos}"),
            End::Broken => writeln!(text, "{nonce:016x} broken {nanos}"),
            End::Cancelled => writeln!(text, "{nonce:016x} cancelled {nanos}"),
        };
    }
    if let Some(load) = load {
        let _ = writeln!(text, "{LOAD}{load}");
    }
    text
}

/// What a body says; nothing when it is not as [`write()`] writes it.
pub fn read(body: &[u8]) -> Option<Batch> {
    let text = str::from_utf8(body).ok().filter(|_| body.len() <= MAX_BODY)?;
    let mut batch = Batch { reports: Vec::new(), load: None };
    for line in text.lines() {
        if batch.load.is_some() {
            return None;
        }
        match line.strip_prefix(LOAD) {
            Some(said) => batch.load = Some(LoadReport::parse(said.as_bytes())?),
            None => batch.reports.push(read_line(line)?),
        }
    }
    Some(batch)
}

fn read_line(line: &str) -> Option<Report> {
    let mut words = line.split(' ');
    let (nonce, end, nanos) = (words.next()?, words.next()?, words.next()?);
    let end = match end {
        "broken" => End::Broken,
        "cancelled" => End::Cancelled,
        status => End::Answered(status.parse().ok().filter(|code| (100..600).contains(code))?),
    };
    let took = Duration::from_nanos(nanos.parse().ok()?);
    let nonce = u64::from_str_radix(nonce, 16).ok()?;
    words.next().is_none().then_some(Report { nonce, end, took })
}

impl Key {
    fn report(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(&(PURPOSE.len() as u64).to_be_bytes());
        mac.update(PURPOSE);
        mac.update(body);
        mac
    }

    /// The code of a batch's body, in hexadecimal.
    pub fn sign_report(&self, body: &[u8]) -> String {
        let mut text = Vec::with_capacity(2 * super::CODE);
        write_hex(&self.report(body).finalize().into_bytes(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Whether this is the code of that body.
    pub fn is_report(&self, body: &[u8], code: &[u8]) -> bool {
        read_hex(code).is_some_and(|code| self.report(body).verify_slice(&code).is_ok())
    }
}
