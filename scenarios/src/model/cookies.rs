//! The cookie that each client keeps, as the load generator's clients keep theirs: the last that binds it to an endpoint.
//!
//! Without a byte of it: of the cookie there is its name, what it says of the endpoint, and how long it lasts. A request takes along what
//! its client has when it is sent; a client keeps what an answer has set when that answer is complete.

use std::{num::NonZeroU64, time::Duration};

use policy::{
    Instant,
    balance::{Sticky, StickyConfig, key, sticky::Token},
    endpoint::Endpoints,
};

use super::world::World;

/// What a client's cookie says: the hashes of its name and of its value in one word, since each request under way has one. Under another
/// name it says nothing that anybody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cookie(NonZeroU64);

/// The cookies of a load's clients.
#[derive(Debug, Default)]
pub(super) struct Cookies(Vec<Option<(Cookie, Instant)>>);

impl Cookies {
    /// What the client has.
    pub(super) fn of(&self, client: u32, now: Instant) -> Option<Cookie> {
        let (cookie, until) = (*self.0.get(client as usize)?)?;
        (now < until).then_some(cookie)
    }

    fn keep(&mut self, client: u32, cookie: Cookie, until: Instant) {
        let place = client as usize;
        if place >= self.0.len() {
            self.0.resize(place + 1, None);
        }
        self.0[place] = Some((cookie, until));
    }
}

/// What a proxy's cookie says of each of its endpoints.
#[derive(Debug)]
pub(super) struct Bindings {
    name: u64,
    sticky: Sticky,
    tokens: Vec<Token>,
}

impl Bindings {
    pub(super) fn new(config: &StickyConfig, endpoints: &Endpoints) -> Self {
        Self {
            name: key::hash(config.cookie.as_bytes()),
            sticky: Sticky::new(config),
            tokens: endpoints.list().iter().map(|endpoint| Token::of(&endpoint.name)).collect(),
        }
    }

    /// The value of a cookie that is this proxy's.
    pub(super) fn read(&self, cookie: Cookie) -> u64 {
        cookie.0.get() ^ self.name
    }

    /// The cookie of the endpoint at this place.
    fn cookie(&self, place: u32) -> Option<Cookie> {
        let token = self.tokens.get(place as usize)?;
        NonZeroU64::new(token.key ^ self.name).map(Cookie)
    }
}

impl World<'_> {
    /// A request is sent: it takes its client's cookie along.
    #[inline]
    pub(super) fn take_cookie(&mut self, slot: u32) {
        if self.binds {
            self.take_bound(slot);
        }
    }

    fn take_bound(&mut self, slot: u32) {
        let request = &mut self.requests[slot];
        let clients = &self.clients[usize::from(request.planned.load)];
        request.cookie = clients.cookies.of(request.planned.client, self.now);
    }

    /// A client has the whole of an answer by the endpoint of its request, or was sent there: it keeps the cookie that was set, if one was.
    #[inline]
    pub(super) fn keep_cookie(&mut self, slot: u32) {
        if self.binds {
            self.keep_bound(slot);
        }
    }

    fn keep_bound(&mut self, slot: u32) {
        let request = &self.requests[slot];
        let clients = &mut self.clients[usize::from(request.planned.load)];
        let setup = &self.setups[request.setup as usize];
        let Some(bindings) = &setup.bindings else { return };
        let Some(cookie) = bindings.cookie(request.index) else { return };
        if request.cookie != Some(cookie) && clients.are_named {
            let age = bindings.sticky.max_age();
            let until =
                age.map_or(Instant::NEVER, |age| self.now + Duration::from_secs(age.0.as_secs()));
            clients.cookies.keep(request.planned.client, cookie, until);
        }
    }
}
