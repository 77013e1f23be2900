//! What a worker does, told to whoever watches it at the moment when it does it.
//!
//! A simulated world checks while it runs that the engine keeps its promises: nothing goes to an endpoint that is out of use,
//! nothing that must not be repeated is repeated, no limit is exceeded. It cannot see that from outside, and must not
//! believe the decisions, because they are what is on trial. So each fact is taken where the effect is: a *turn* where a
//! connection is taken or dialled, a *sending* where bytes go out, with what is read from the shared figures at that moment.
//!
//! On real sockets there is no witness, and all of it is one look at a pointer that is null.

use std::{fmt, rc::Rc, sync::Arc};

use http1::RequestHead;
use policy::{Instant, endpoint::Endpoint};

use super::upstream::UpstreamShared;
use crate::config::ProxyConfig;

/// Watches a worker. It is told what happens when it happens; the time is its own clock's.
pub trait Witness: fmt::Debug {
    /// A configuration comes into force for the upstream of this name (empty for the proxy's own endpoints), as that sees it: the first one, or
    /// after a reload. By the number that this returns the worker calls it from now on. Requests that have begun end with the
    /// configuration that they began with.
    fn configured(&self, upstream: &str, config: &Arc<ProxyConfig>) -> u32;

    /// Something happens under this configuration.
    fn saw(&self, configuration: u32, fact: Fact<'_>);
}

/// What a worker does. An endpoint is its place in the configuration's list.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// A client's connection was accepted and is open.
    ClientCame,
    /// One fewer is open.
    ClientLeft,
    /// A request will be passed on, if there is somebody to pass it to.
    Asked,
    /// A request waits for an endpoint with room.
    Waits,
    /// One fewer waits.
    WaitsNoMore,
    /// A request holds a place at this endpoint: it is in flight there.
    Taken(u32),
    /// One fewer does.
    GivenBack(u32),
    /// A connection to this endpoint is dialled.
    Dialled(u32),
    /// One fewer is there.
    Closed(u32),
    /// This endpoint is ejected for its wrong answers until then.
    Ejected(u32, Instant),
    /// A request turns to an endpoint.
    Turned(Turn<'a>),
    /// A request's bytes begin to go out.
    Sent(Sending<'a>),
}

/// A request turns to an endpoint: it takes a connection that is there, or dials.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// The request.
    pub request: Asking<'a>,
    /// When it began, under the configuration that was in force then.
    pub begun: Instant,
    /// The endpoint's place in that configuration.
    pub endpoint: u32,
    /// How the endpoint stands now.
    pub standing: Standing,
    /// Turns before this one that have failed.
    pub failed: u32,
}

/// A request's bytes begin to go out.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    /// The request.
    pub request: Asking<'a>,
    /// The place of the endpoint that they go to.
    pub endpoint: u32,
    /// How often this request's bytes have gone out before, to whatever endpoint.
    pub before: u32,
}

/// A request, as its client wrote it.
#[derive(Clone, Copy)]
pub struct Asking<'a>(pub(crate) &'a RequestHead);

impl Asking<'_> {
    /// Its method.
    pub fn method(&self) -> &[u8] {
        self.0.method_bytes()
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.0.find(name.as_bytes())
    }
}

impl fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        write!(f, "{} {}", text(self.0.method_bytes()), text(self.0.target()))
    }
}

/// How an endpoint stands, by the shared figures and not by anybody's list of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is up, not ejected, and not draining.
    Ready,
    /// It is out of use.
    Out {
        /// Why.
        why: Out,
        /// How many endpoints of its priority are ready now.
        ready: u32,
        /// How many of its priority do not drain.
        serving: u32,
    },
}

/// Why an endpoint is out of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// Its health checks find it down.
    Down,
    /// It is ejected for its wrong answers until then.
    Ejected(Instant),
    /// It finishes what it has.
    Draining,
}

impl UpstreamShared {
    /// How the endpoint at this place stands. One load when it is ready; otherwise all are counted.
    ///
    /// # Panics
    /// When there is no endpoint at this place.
    #[inline]
    pub fn standing(&self, place: u32) -> Standing {
        let endpoint = &self.endpoints.list()[place as usize];
        if endpoint.is_ready() { Standing::Ready } else { self.standing_out(endpoint) }
    }

    #[cold]
    fn standing_out(&self, endpoint: &Endpoint) -> Standing {
        let list = self.endpoints.list();
        let why = match endpoint.ejected_until() {
            _ if endpoint.is_draining() => Out::Draining,
            _ if !endpoint.is_up() => Out::Down,
            Some(until) => Out::Ejected(until),
            // It has come back between two looks; other workers may do that, a simulation has none.
            None => return Standing::Ready,
        };
        let tier = || list.iter().filter(|other| other.priority == endpoint.priority);
        let ready = tier().filter(|endpoint| endpoint.is_ready()).count() as u32;
        let serving = tier().filter(|endpoint| !endpoint.is_draining()).count() as u32;
        Standing::Out { why, ready, serving }
    }
}

/// A witness, and what it calls the configuration that it is told of.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    witness: Rc<dyn Witness>,
    configuration: u32,
}

impl Watched {
    /// Tells the witness that `config` comes into force for this upstream.
    pub(crate) fn new(
        witness: &Rc<dyn Witness>,
        upstream: &str,
        config: &Arc<ProxyConfig>,
    ) -> Self {
        Self { witness: Rc::clone(witness), configuration: witness.configured(upstream, config) }
    }

    pub(crate) fn see(&self, fact: Fact<'_>) {
        self.witness.saw(self.configuration, fact);
    }
}
