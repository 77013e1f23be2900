//! What a request is called, so that it can be found again: its request id, and its place in a trace.
//!
//! `X-Request-Id` is a custom: whoever comes first gives the request a name, and everybody behind writes it into its log. A name counts where
//! a trusted peer gives it; anybody else could give all requests the same one, or somebody else's. Ours has 128 random bits.
//!
//! `traceparent` is W3C Trace Context: `version-trace-parent-flags`. It is passed as it is from whoever sends a valid one, `tracestate` with it:
//! we have no span of our own to put into it, and the recommendation lets those who do not take part pass it on (section 2.1 and 3.3).
//! Where there is none, or none that is valid, the trace begins here, and a `tracestate` that came alone is dropped, as section 3.3 wants it.
//! Whether a trace that begins here is to be recorded is drawn: everybody behind us goes by that flag.
//!
//! All that is drawn comes from the stream that is handed in, so that the same seed gives the same ids.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Rng,
    message::{Edits, Fields},
};

/// Names for requests. Off by default: an origin that wants them must know what they are, and each costs a field both ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TracingConfig {
    /// Whether each request has an `X-Request-Id`: that of a trusted peer (`forwarding.trusted`), or one of our own. Endpoint, client and log see it.
    pub request_id: bool,
    /// Whether each request has a `traceparent` (W3C Trace Context): the one that it came with, or a new one. Endpoint and log see it.
    pub traceparent: bool,
    /// The share of traces that begin here and are to be recorded, 0 to 1: the `sampled` flag.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sampled: f64,
}

impl Default for TracingConfig {
    fn default() -> Self {
        Self { request_id: false, traceparent: false, sampled: 1.0 }
    }
}

/// The field of the request id.
pub const REQUEST_ID: &str = "X-Request-Id";
/// The fields of Trace Context.
pub const TRACEPARENT: &str = "traceparent";
/// What others add to it.
pub const TRACESTATE: &str = "tracestate";

/// The longest request id that is taken over.
const LONGEST: usize = 128;

/// Whether a peer's word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It does.
    Trusted,
    /// It does not.
    Stranger,
}

/// What one request is called. Made to be used again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Its id; empty if it has none.
    pub request_id: Vec<u8>,
    /// Its `traceparent`; empty if it has none.
    pub traceparent: Vec<u8>,
}

impl Names {
    /// Forgets them, and keeps the memory.
    pub fn clear(&mut self) {
        self.request_id.clear();
        self.traceparent.clear();
    }

    /// The trace that the request belongs to, in 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&[u8]> {
        self.traceparent.get(3..35)
    }
}

impl TracingConfig {
    /// Whether it says nothing else than the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether requests get any name at all.
    pub fn is_on(&self) -> bool {
        self.request_id || self.traceparent
    }

    /// What is impossible about the values: the field's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let fits = (0.0..=1.0).contains(&self.sampled);
        (!fits).then(|| ("sampled", "must be 0 to 1".to_owned()))
    }

    /// Names the request that has these fields. What must be different in it goes into `onward`, what the client is told into `back`.
    pub fn name(
        &self,
        fields: &dyn Fields,
        peer: Trust,
        rng: &mut Rng,
        names: &mut Names,
        (onward, back): (&mut Edits, &mut Edits),
    ) {
        names.clear();
        if self.request_id {
            let known = single(fields, REQUEST_ID).filter(|id| is_request_id(id));
            if let Some(id) = known.filter(|_| peer == Trust::Trusted) {
                names.request_id.extend_from_slice(id);
            } else {
                hex(rng.bits(), &mut names.request_id);
                hex(rng.bits(), &mut names.request_id);
                onward.set(REQUEST_ID, &names.request_id[..]);
            }
            back.set(REQUEST_ID, &names.request_id[..]);
        }
        if self.traceparent {
            let known = single(fields, TRACEPARENT).filter(|value| is_traceparent(value));
            if let Some(value) = known {
                names.traceparent.extend_from_slice(value);
            } else {
                self.begin_trace(rng, &mut names.traceparent);
                onward.set(TRACEPARENT, &names.traceparent[..]);
                onward.remove(TRACESTATE);
            }
        }
    }

    fn begin_trace(&self, rng: &mut Rng, out: &mut Vec<u8>) {
        out.extend_from_slice(b"00-");
        hex(rng.bits(), out);
        // Neither id may be nothing but zeroes, and that is all that is wrong with a zero.
        hex(rng.bits().max(1), out);
        out.push(b'-');
        hex(rng.bits().max(1), out);
        let recorded = rng.chance(self.sampled);
        out.extend_from_slice(if recorded { b"-01" } else { b"-00" });
    }
}

/// 16 digits.
fn hex(value: u64, out: &mut Vec<u8>) {
    for place in (0..16).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * place)) as usize & 15]);
    }
}

/// The value of a field that there is one of.
fn single<'a>(fields: &'a dyn Fields, name: &str) -> Option<&'a [u8]> {
    let mut count = 0;
    fields.each(&mut |found, _| {
        count += usize::from(found.eq_ignore_ascii_case(name.as_bytes()));
        count < 2
    });
    fields.find(name).filter(|_| count == 1)
}

/// Visible ASCII without what logs and shells quote, and not without end.
fn is_request_id(value: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:=+/@,~".contains(byte);
    (1..=LONGEST).contains(&value.len()) && value.iter().all(plain)
}

/// Whether it is a `traceparent` as section 3.2 has it. Of versions that do not exist yet the same parts are looked at, and they may
/// have more behind them.
fn is_traceparent(value: &[u8]) -> bool {
    let digits = |part: &[u8]| part.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
    let not_zero = |part: &[u8]| digits(part) && part.iter().any(|byte| *byte != b'0');
    let Some((head, rest)) = value.split_at_checked(55) else { return false };
    let version = &head[..2];
    let ends =
        if version == b"00" { rest.is_empty() } else { rest.first().is_none_or(|b| *b == b'-') };
    ends && digits(version)
        && version != b"ff"
        && [head[2], head[35], head[52]] == [b'-'; 3]
        && not_zero(&head[3..35])
        && not_zero(&head[36..52])
        && digits(&head[53..55])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Seed;

    type Table<'a> = &'a [(&'a str, &'a str)];

    fn named(config: &TracingConfig, fields: Table<'_>, peer: Trust) -> (Names, Edits, Edits) {
        let (mut names, mut onward, mut back) = <(Names, Edits, Edits)>::default();
        let mut rng = Seed(7).stream("names");
        config.name(&fields, peer, &mut rng, &mut names, (&mut onward, &mut back));
        (names, onward, back)
    }

    fn both() -> TracingConfig {
        TracingConfig { request_id: true, traceparent: true, ..TracingConfig::default() }
    }

    #[test]
    fn a_trusted_peer_may_name_its_requests() {
        let fields: Table<'_> = &[("x-request-id", "abc-1")];
        let (names, onward, back) = named(&both(), fields, Trust::Trusted);
        assert_eq!(names.request_id, b"abc-1");
        assert!(!onward.omits(b"x-request-id"), "it passes as it is");
        assert!(back.added().any(|field| field == (REQUEST_ID, b"abc-1")));
        let (names, onward, _) = named(&both(), fields, Trust::Stranger);
        assert_eq!(names.request_id.len(), 32);
        assert!(onward.omits(b"x-request-id"), "it is replaced");
    }

    #[test]
    fn what_is_no_good_as_an_id_is_replaced() {
        for id in ["", "a b", "a\"b", "a\\b", "é", &"x".repeat(129)] {
            let (names, ..) = named(&both(), &[("X-Request-Id", id)], Trust::Trusted);
            assert_eq!(names.request_id.len(), 32, "{id}");
        }
        let two: Table<'_> = &[("X-Request-Id", "a"), ("X-Request-Id", "b")];
        assert_eq!(named(&both(), two, Trust::Trusted).0.request_id.len(), 32);
    }

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_traceparent_passes() {
        for value in [
            PARENT,
            &PARENT.replacen("00", "cc", 1),
            &format!("{}-more", PARENT.replacen("00", "01", 1)),
        ] {
            let fields: Table<'_> = &[("traceparent", value), ("tracestate", "a=1")];
            let (names, onward, _) = named(&both(), fields, Trust::Stranger);
            assert_eq!(names.traceparent, value.as_bytes());
            assert_eq!(names.trace_id(), Some(&b"4bf92f3577b34da6a3ce929d0e0e4736"[..]));
            assert!(!onward.omits(b"traceparent") && !onward.omits(b"tracestate"), "{value}");
        }
    }

    #[test]
    fn any_other_is_replaced_and_its_state_dropped() {
        let zero = "0".repeat(32);
        for value in [
            "",
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "ff", 1),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &zero),
            &PARENT.replace("00f067aa0ba902b7", "0000000000000000"),
            &PARENT.replace('-', "_"),
            &PARENT[..54],
            &format!("{PARENT}-more"),
            &format!("{PARENT}0"),
            "00-4bf92f3577b34da6a3ce929d0e0e47\u{e9}-00f067aa0ba902b7-01xxxxxx",
        ] {
            let fields: Table<'_> = &[("traceparent", value), ("tracestate", "a=1")];
            let (names, onward, _) = named(&both(), fields, Trust::Trusted);
            assert!(is_traceparent(&names.traceparent) && names.traceparent != value.as_bytes());
            assert!(onward.omits(b"traceparent") && onward.omits(b"tracestate"), "{value}");
        }
    }

    #[test]
    fn off_is_off() {
        let fields: Table<'_> = &[("X-Request-Id", "theirs"), ("traceparent", "theirs")];
        let (names, onward, back) = named(&TracingConfig::default(), fields, Trust::Stranger);
        assert_eq!((names, onward, back), <(Names, Edits, Edits)>::default());
    }

    #[test]
    fn the_same_seed_gives_the_same_names() {
        assert_eq!(named(&both(), &[], Trust::Stranger), named(&both(), &[], Trust::Stranger));
        let never = TracingConfig { sampled: 0.0, ..both() };
        assert!(named(&never, &[], Trust::Stranger).0.traceparent.ends_with(b"-00"));
        assert!(named(&both(), &[], Trust::Stranger).0.traceparent.ends_with(b"-01"));
        let wrong = TracingConfig { sampled: f64::NAN, ..both() };
        assert_eq!(wrong.problem(), Some(("sampled", "must be 0 to 1".to_owned())));
    }

    proptest! {
        #[test]
        fn whatever_comes_what_goes_is_valid(id in ".{0,40}", parent in "[0-9a-f-]{50,60}|.{0,60}") {
            let fields: &[(&str, &str)] = &[(REQUEST_ID, &id), (TRACEPARENT, &parent)];
            let (names, ..) = named(&both(), fields, Trust::Trusted);
            prop_assert!(is_request_id(&names.request_id) && is_traceparent(&names.traceparent));
        }
    }
}
