//! `never_twice`: no non-idempotent request is sent again once its bytes may have reached an endpoint (RFC 9110, section 9.2.2).
//!
//! Sendings are counted where bytes go out. A try for which no connection came about sends none, so a POST may
//! go elsewhere after it. In redirect mode the proxy sends nothing at all, so that only what endpoints see is checked.
//!
//! That is the proxy's own word. The endpoints have theirs: each notes which of these requests has come to it, and whatever came to two of
//! them, or twice to one, was sent twice, whoever says otherwise.

use std::collections::BTreeMap;

use policy::{Instant, retry::Idempotence};

use super::{Invariants, at, request};

/// A request's bytes begin to go out.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// The configuration that the request began with.
    pub configuration: u32,
    /// The endpoint's place there.
    pub place: u32,
    /// Whether twice is as good as once, by the request's method.
    pub idempotence: Idempotence,
    /// How often its bytes have gone out before, to whatever endpoint.
    pub before: u32,
}

impl Invariants {
    /// A request's bytes begin to go out.
    #[inline]
    pub fn sending(
        &mut self,
        now: Instant,
        sending: &Sending,
        number: impl FnOnce() -> Option<u64>,
    ) {
        if sending.idempotence == Idempotence::NonIdempotent {
            self.twice.check();
        }
        if sending.before > 0 {
            self.sent_again(now, sending, number());
        }
    }

    /// What has come to the endpoints of requests that are not idempotent: each endpoint's name and their numbers. At the end.
    pub fn arrivals<'a>(&mut self, endpoints: impl Iterator<Item = (&'a str, Vec<u64>)>) {
        let mut first = BTreeMap::new();
        for (name, numbers) in endpoints {
            for number in numbers {
                self.twice.check();
                if let Some(before) = first.insert(number, name) {
                    let what = request(Some(number));
                    self.twice.fail(|| {
                        format!("{what}, which is not idempotent, came to {before} and to {name}")
                    });
                }
            }
        }
    }

    /// A request came to an endpoint, and had come to one before.
    #[cold]
    pub fn came_again(&mut self, now: Instant, number: u64, name: &str) {
        let at = at(now, self.start);
        let what = request(Some(number));
        self.twice.check();
        self.twice.fail(|| {
            format!("{at} {what}, which is not idempotent, came to {name} and had come before")
        });
    }

    #[cold]
    fn sent_again(&mut self, now: Instant, sending: &Sending, number: Option<u64>) {
        let Sending { configuration, place, idempotence, before } = *sending;
        // Written out only where one is broken: a retry is no event to allocate for.
        let start = self.start;
        if idempotence == Idempotence::NonIdempotent {
            let name = self.book.name(configuration, place);
            self.twice.fail(|| {
                let what = request(number);
                let at = at(now, start);
                format!(
                    "{at} {what}, which is not idempotent, went to {name} after {before} sendings"
                )
            });
        }
        let most = self.book.setup(configuration).most_sendings;
        self.limits.check();
        if before >= most {
            let count = before + 1;
            self.limits.fail(|| {
                let at = at(now, start);
                format!("{at} {} was sent {count} times, and {most} may be", request(number))
            });
        }
    }
}

/// Whether a method is idempotent, by its name (RFC 9110, section 9.2.2). Case matters.
pub(super) fn idempotence(method: &[u8]) -> Idempotence {
    match method {
        b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE" => Idempotence::Idempotent,
        _ => Idempotence::NonIdempotent,
    }
}
