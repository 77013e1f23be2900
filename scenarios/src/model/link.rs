//! The links of the model's network: how long a message is under way, and what becomes of it while a link is cut.
//!
//! There is a link between the proxy and each endpoint, and one between the proxy and the clients of each load. Each draws the
//! latency of each direction from a stream of its own. A link that is cut loses nothing: TCP sends again what was not
//! acknowledged, so what was under way arrives after the repair, one latency later; who dials waits until then, or
//! gives up. A message takes no time to be put on the wire: the model has no bandwidth.

use std::time::Duration;

use policy::{Rng, Seed, distribution::Distribution, quantity::TimeSpan};

/// Towards the endpoints or towards the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the client to the proxy, from the proxy to the endpoint.
    Up,
    /// And back.
    Down,
}

/// One link; `M` is what goes over it.
#[derive(Debug)]
pub(super) struct Link<M> {
    latency: Option<Distribution<TimeSpan>>,
    takes_no_time: bool,
    streams: [Rng; 2],
    cut: bool,
    held: Vec<M>,
    /// Messages that a cut has held up.
    pub(super) hits: u64,
}

/// What becomes of a message that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It is there.
    Now,
    /// It is there after so long.
    After(Duration),
}

impl<M: Copy> Link<M> {
    /// A link with this latency, which draws from the streams of `seed`.
    pub(super) fn new(latency: Option<&Distribution<TimeSpan>>, seed: Seed) -> Self {
        Self {
            latency: latency.cloned(),
            takes_no_time: takes_no_time(latency),
            streams: [seed.stream("up"), seed.stream("down")],
            cut: false,
            held: Vec::new(),
            hits: 0,
        }
    }

    /// Whether what is sent now is there at once, which is then a call and no message.
    pub(super) fn is_instant(&self) -> bool {
        self.takes_no_time && !self.cut
    }

    /// How long a message takes that is sent now.
    pub(super) fn way(&mut self, direction: Direction) -> Way {
        if self.takes_no_time {
            return Way::Now;
        }
        match &self.latency {
            None => Way::Now,
            Some(Distribution::Constant(latency)) => Way::After(latency.0),
            Some(drawn) => {
                let nanos = drawn.draw(&mut self.streams[direction as usize]).round();
                Way::After(Duration::from_nanos(nanos as u64))
            }
        }
    }

    /// Keeps a message that arrives while the link is cut; false when it is not.
    pub(super) fn hold(&mut self, message: M) -> bool {
        if self.cut {
            self.hits += 1;
            self.held.push(message);
        }
        self.cut
    }

    /// From now on messages take so long.
    pub(super) fn set_latency(&mut self, latency: Option<&Distribution<TimeSpan>>) {
        self.latency = latency.cloned();
        self.takes_no_time = takes_no_time(latency);
    }

    /// Cuts it.
    pub(super) fn cut(&mut self) {
        self.cut = true;
    }

    /// Whether it is cut.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Repairs it; what was held is to be sent once more.
    pub(super) fn repair(&mut self) -> Vec<M> {
        self.cut = false;
        std::mem::take(&mut self.held)
    }
}

fn takes_no_time(latency: Option<&Distribution<TimeSpan>>) -> bool {
    match latency {
        None => true,
        Some(Distribution::Constant(latency)) => latency.0.is_zero(),
        Some(_) => false,
    }
}
