//! The cookie that each client keeps.
//!
//! A session that a proxy binds to an endpoint by a cookie is one only if the client sends it back. So each client that a load tells apart
//! (a user, or one of its `clients`) has a slot for one: the last that an answer has set, until its `Max-Age` is over. It is sent
//! with the client's requests from the moment in which that answer is complete. Requests of nobody in particular keep nothing.
//!
//! One slot, and neither `Domain`, `Path` nor `Expires`: enough for what stands between, and bounded. It is no browser.

use std::{cell::RefCell, time::Duration};

use http::{HeaderMap, HeaderValue, header};
use policy::Instant;

/// A longer one is not kept.
const MOST: usize = 4096;

/// The cookies of a load's clients.
#[derive(Debug)]
pub(crate) struct Cookies {
    keeping: Keeping,
    /// By client; grows with those that have one.
    slots: RefCell<Vec<Option<Box<Cookie>>>>,
}

/// Whether the clients of a load are told apart, and keep cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// They are.
    Each,
    /// A request is nobody's.
    Nothing,
}

#[derive(Debug)]
struct Cookie {
    /// `name=value`.
    pair: HeaderValue,
    until: Instant,
}

impl Cookies {
    pub(crate) fn new(keeping: Keeping) -> Self {
        Self { keeping, slots: RefCell::default() }
    }

    /// Adds the client's cookie to the fields of its request.
    pub(super) fn attach(&self, client: u32, now: Instant, fields: &mut HeaderMap) {
        let slots = self.slots.borrow();
        let Some(Some(cookie)) = slots.get(client as usize) else { return };
        if now >= cookie.until {
            return;
        }
        let both = fields.get(header::COOKIE).map(|own| {
            HeaderValue::from_bytes(&[own.as_bytes(), b"; ", cookie.pair.as_bytes()].concat())
        });
        // Two values without control characters make a third.
        let value = both.and_then(Result::ok).unwrap_or_else(|| cookie.pair.clone());
        fields.insert(header::COOKIE, value);
    }

    /// Keeps the cookie that an answer to the client has set.
    pub(super) fn keep(&self, client: u32, now: Instant, set: &HeaderValue) {
        if self.keeping == Keeping::Nothing || set.len() > MOST {
            return;
        }
        let mut parts = set.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let Some(pair) = parts.next().filter(|pair| pair.contains(&b'=')) else { return };
        let Ok(pair) = HeaderValue::from_bytes(pair) else { return };
        let until = parts.find_map(max_age).map_or(Instant::NEVER, |age| now + age);
        let mut slots = self.slots.borrow_mut();
        let place = client as usize;
        if place >= slots.len() {
            slots.resize_with(place + 1, || None);
        }
        slots[place] = Some(Box::new(Cookie { pair, until }));
    }
}

/// What the attribute `Max-Age` says (RFC 6265, section 5.2.2); nothing of any other. What is not above 0 is over at once.
fn max_age(attribute: &[u8]) -> Option<Duration> {
    let (name, value) = std::str::from_utf8(attribute).ok()?.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("max-age") {
        return None;
    }
    let seconds: i64 = value.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.max(0).cast_unsigned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cookies: &Cookies, client: u32, seconds: u64, own: Option<&'static str>) -> String {
        let mut fields = HeaderMap::new();
        if let Some(own) = own {
            fields.insert(header::COOKIE, HeaderValue::from_static(own));
        }
        cookies.attach(client, Instant::START + Duration::from_secs(seconds), &mut fields);
        fields.get(header::COOKIE).map_or("", |value| value.to_str().expect("ASCII")).to_owned()
    }

    #[test]
    fn each_client_keeps_its_own_until_it_is_too_old() {
        let cookies = Cookies::new(Keeping::Each);
        let set = |client, text| {
            cookies.keep(client, Instant::START, &HeaderValue::from_static(text));
        };
        set(3, "route=a1; Path=/; Max-Age=10; HttpOnly");
        set(1, "route=b2");
        assert_eq!(sent(&cookies, 3, 9, None), "route=a1");
        assert_eq!(sent(&cookies, 3, 9, Some("k=1")), "k=1; route=a1");
        assert_eq!(sent(&cookies, 3, 10, Some("k=1")), "k=1");
        assert_eq!(sent(&cookies, 1, 1_000_000, None), "route=b2");
        assert_eq!(sent(&cookies, 2, 0, None) + &sent(&cookies, 9, 0, None), "");
        set(1, "route=c3; max-age=-1");
        assert_eq!(sent(&cookies, 1, 0, None), "");
        set(3, "no pair");
        assert_eq!(sent(&cookies, 3, 9, None), "route=a1");
    }

    #[test]
    fn nobody_in_particular_keeps_nothing() {
        let cookies = Cookies::new(Keeping::Nothing);
        cookies.keep(0, Instant::START, &HeaderValue::from_static("route=a1"));
        assert_eq!(sent(&cookies, 0, 0, None), "");
    }
}
