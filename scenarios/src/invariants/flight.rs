//! `in_flight`: what an endpoint counts as in flight is there, and there is nothing at the end.
//!
//! A place that is never given back makes an endpoint look busy for ever, and at a limit it is closed for ever. So every taking
//! and giving back of a place is counted here as well, and compared with the endpoint's own figure. In redirect mode a place is held from
//! the redirect until its session is reported or expires, and what is open when a proxy ends is given back then.

use std::{collections::BTreeMap, sync::Arc};

use policy::{Instant, endpoint::Endpoint};

use super::Invariants;

impl Invariants {
    /// A request has taken a place at an endpoint.
    #[inline]
    pub fn taken(&mut self, now: Instant, configuration: u32, place: u32) {
        self.limits.check();
        let slot = self.book.slot(configuration, place);
        slot.in_flight += 1;
        if slot.in_flight > slot.most_in_flight {
            self.overfull(now, configuration, place);
        }
    }

    #[cold]
    fn overfull(&mut self, now: Instant, configuration: u32, place: u32) {
        let at = self.at(now);
        let slot = self.book.slot(configuration, place);
        let (there, most) = (slot.in_flight, slot.most_in_flight);
        let name = self.book.name(configuration, place);
        self.limits
            .fail(|| format!("{at} {there} requests were in flight at {name}, and {most} may be"));
    }

    /// A request has given its place back.
    #[inline]
    pub fn given_back(&mut self, now: Instant, configuration: u32, place: u32) {
        self.flight.check();
        let slot = self.book.slot(configuration, place);
        if slot.in_flight == 0 {
            self.given_back_twice(now, configuration, place);
        } else {
            slot.in_flight -= 1;
        }
    }

    #[cold]
    fn given_back_twice(&mut self, now: Instant, configuration: u32, place: u32) {
        let at = self.at(now);
        let name = self.book.name(configuration, place);
        self.flight.fail(|| format!("{at} a place at {name} was given back that nobody had"));
    }

    /// Compares with what the endpoints count themselves: all that any configuration had; one may come several times.
    pub fn compare_in_flight<'a>(
        &mut self,
        now: Instant,
        endpoints: impl Iterator<Item = &'a Arc<Endpoint>>,
    ) {
        let mut counted: BTreeMap<&str, BTreeMap<*const Endpoint, u32>> = BTreeMap::new();
        for endpoint in endpoints {
            let same_name = counted.entry(&endpoint.name).or_default();
            same_name.insert(Arc::as_ptr(endpoint), endpoint.in_flight());
        }
        let mut own: BTreeMap<&str, u64> = BTreeMap::new();
        for (slot, name) in self.book.named() {
            *own.entry(name).or_default() += u64::from(slot.in_flight);
        }
        let at = self.at(now);
        for (name, endpoints) in counted {
            let counted: u64 = endpoints.into_values().map(u64::from).sum();
            let there = own.get(name).copied().unwrap_or(0);
            self.flight.check();
            if counted != there {
                self.flight.fail(|| {
                    format!(
                        "{at} {name} counted {counted} requests in flight, and {there} were there"
                    )
                });
            }
        }
    }

    /// Nothing is under way any more: every proxy has drained. Nothing may be left in flight, waiting or connected.
    pub fn at_rest(&mut self, now: Instant) {
        let at = self.at(now);
        let slots = self.book.named().map(|(slot, name)| (slot.in_flight, "in flight at", name));
        let pools = self.book.pools.iter();
        let waiting = pools.map(|pool| (pool.waiting, "waiting in", "the proxy"));
        for (left, what, whom) in slots.chain(waiting) {
            self.flight.check();
            if left > 0 {
                self.flight.fail(|| {
                    format!("{at} {left} requests were still {what} {whom}, when all was over")
                });
            }
        }
    }
}
