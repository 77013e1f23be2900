//! The links of the model's network: how long a message is under way, and what becomes of it while a link is cut.
//!
//! There is a link between each proxy and each endpoint, and one between each proxy and the clients of each load. Each draws the
//! latency of each direction from a stream of its own. A link that is cut loses nothing: TCP sends again what was not
//! acknowledged, after pauses that double (RFC 6298), so what was held up goes out at the first of those times after the repair,
//! and takes its latency once more. A dial is first tried again after a whole second. A message takes no time to be put on the
//! wire: the model has no bandwidth.

use std::time::Duration;

use policy::{
    Instant, Rng, Seed,
    distribution::{Distribution, whole},
    quantity::TimeSpan,
};

/// The first pause before something is sent again, and the longest: as the network in memory has them.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_mins(2);
/// The first pause of a dial.
const FIRST_DIAL_RETRY: Duration = Duration::from_secs(1);

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
    /// Which endpoint, or which load, is at the end that is no proxy; and which proxy at the other.
    pub(super) peer: u32,
    pub(super) proxy: u32,
    latency: Option<Distribution<TimeSpan>>,
    takes_no_time: bool,
    streams: [Rng; 2],
    /// Since when it has been cut, if it is.
    cut: Option<Instant>,
    /// What it holds up, and since when.
    held: Vec<(Instant, M)>,
    /// Messages that a cut has held up.
    pub(super) hits: u64,
    /// Moves when it is cut or repaired.
    pub(super) freeze: u32,
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
    /// A link between this proxy and this endpoint or load, with this latency, which draws from the streams of `seed`.
    pub(super) fn new(
        (proxy, peer): (u32, u32),
        latency: Option<&Distribution<TimeSpan>>,
        seed: Seed,
    ) -> Self {
        Self {
            peer,
            proxy,
            latency: latency.cloned(),
            takes_no_time: takes_no_time(latency),
            streams: [seed.stream("up"), seed.stream("down")],
            cut: None,
            held: Vec::new(),
            hits: 0,
            freeze: 0,
        }
    }

    /// Whether what is sent now is there at once, which is then a call and no message.
    pub(super) fn is_instant(&self) -> bool {
        self.takes_no_time && self.cut.is_none()
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
                let nanos = drawn.draw(&mut self.streams[direction as usize]);
                Way::After(Duration::from_nanos(whole(nanos)))
            }
        }
    }

    /// Keeps a message that is sent at `now` while the link is cut; false when it is not.
    pub(super) fn hold(&mut self, message: M, now: Instant) -> bool {
        if self.cut.is_some() {
            self.hits += 1;
            self.held.push((now, message));
        }
        self.cut.is_some()
    }

    /// Keeps a message that was under way when the link was cut; false when it is not.
    pub(super) fn strand(&mut self, message: M) -> bool {
        self.cut.is_some_and(|since| self.hold(message, since))
    }

    /// From now on messages take so long.
    pub(super) fn set_latency(&mut self, latency: Option<&Distribution<TimeSpan>>) {
        self.latency = latency.cloned();
        self.takes_no_time = takes_no_time(latency);
    }

    /// Cuts it.
    pub(super) fn cut(&mut self, now: Instant) {
        self.cut.get_or_insert(now);
    }

    /// Whether it is cut.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Repairs it; what was held, and since when, is to be sent once more.
    pub(super) fn repair(&mut self) -> Vec<(Instant, M)> {
        self.cut = None;
        std::mem::take(&mut self.held)
    }
}

/// When what was first sent at `first` in vain is sent again, at `now` or after it.
pub(super) fn next_retry(first: Instant, now: Instant, is_dial: bool) -> Instant {
    let mut pause = if is_dial { FIRST_DIAL_RETRY } else { FIRST_RETRY };
    let mut at = first + pause;
    while at < now {
        pause = (pause * 2).min(LONGEST_RETRY);
        at += pause;
    }
    at
}

fn takes_no_time(latency: Option<&Distribution<TimeSpan>>) -> bool {
    match latency {
        None => true,
        Some(Distribution::Constant(latency)) => latency.0.is_zero(),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_held_up_is_sent_again_after_doubling_pauses() {
        let at = |millis| Instant::START + Duration::from_millis(millis);
        for (now, expected) in [(0, 200), (200, 200), (201, 600), (601, 1400), (1401, 3000)] {
            assert_eq!(next_retry(at(0), at(now), false), at(expected), "at {now} ms");
        }
        assert_eq!(next_retry(at(500), at(500), true), at(1500));
        assert_eq!(next_retry(at(500), at(1501), true), at(3500));
    }

    #[test]
    fn what_was_under_way_when_the_link_was_cut_is_held_since_then() {
        let at = |millis| Instant::START + Duration::from_millis(millis);
        let mut link = Link::new((0, 0), None, Seed(1));
        assert!(!link.hold('a', at(1)) && !link.strand('a'));
        link.cut(at(2));
        link.cut(at(3));
        assert!(!link.is_instant() && link.strand('b') && link.hold('c', at(4)));
        assert_eq!(link.repair(), [(at(2), 'b'), (at(4), 'c')]);
        assert!(link.is_instant() && link.repair().is_empty());
    }
}
