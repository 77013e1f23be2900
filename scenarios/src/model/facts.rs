//! What the model's proxy does, told to the always-on invariants where it does it.
//!
//! Each proxy is one process, of the same number; configurations are numbered as the setups are; a request's slot is its seat.

use std::time::Duration;

use policy::{Instant, retry::Idempotence};
use proxy::config::ProxyConfig;
use reports::InvariantResult;

use super::{
    request::{Kind, Request},
    setup::Setup,
    tally::Tally,
    world::{Event, World},
};
use crate::invariants::{End, Invariants, Sending, Turn};

/// What is under way when the last client has its answer gets so long to end.
const REST: Duration = Duration::from_mins(1);

impl Request {
    /// It takes a connection to its endpoint, or dials, under this configuration: only now a second try is one.
    #[inline]
    pub(super) fn tell_turn(
        &self,
        now: Instant,
        setup: &Setup,
        (invariants, tally): (&mut Invariants, &mut Tally),
    ) {
        tally.retries += u64::from(self.again);
        let turn = Turn {
            begun: self.begun,
            configuration: self.setup,
            place: self.index,
            standing: setup.shared.standing(self.index),
            failed: u32::from(self.again),
        };
        invariants.turned(now, &turn, || Some(self.planned.id));
    }

    /// It goes out to its endpoint.
    #[inline]
    pub(super) fn tell_sending(&mut self, now: Instant, invariants: &mut Invariants) {
        let idempotence = match self.kind {
            Kind::Idempotent | Kind::Head => Idempotence::Idempotent,
            Kind::NonIdempotent | Kind::Refused => Idempotence::NonIdempotent,
        };
        let sending = Sending {
            configuration: self.setup,
            place: self.index,
            idempotence,
            before: self.sendings,
        };
        self.sendings += 1;
        invariants.sending(now, &sending, || Some(self.planned.id));
    }
}

impl World<'_> {
    /// Before the first configuration is in force.
    pub(super) fn begin_invariants(&mut self) {
        for proxy in 0..self.proxies.len() as u32 {
            let process = self.invariants.process(proxy);
            debug_assert_eq!(process, proxy, "no proxy has more than one");
        }
        self.invariants.without_bodies("the model moves no bytes");
        let due = self.invariants.recovery_due();
        if due != Instant::NEVER {
            self.agenda.plan(due, Event::Recovered);
        }
    }

    /// A configuration of a proxy comes into force for its upstream of this name, as the next of the setups.
    pub(super) fn tell_configured(&mut self, proxy: u32, upstream: &str, config: &ProxyConfig) {
        let number = self.invariants.configured(self.now, (proxy, upstream), config);
        debug_assert_eq!(number as usize, self.setups.len(), "both count from 0");
    }

    /// A request takes a connection to its endpoint, or dials.
    pub(super) fn turn(&mut self, slot: u32) {
        let request = &self.requests[slot];
        let setup = &self.setups[request.setup as usize];
        request.tell_turn(self.now, setup, (&mut self.invariants, &mut self.tally));
    }

    /// By now every endpoint must be in use again.
    pub(super) fn look_at_recovery(&mut self) {
        for (number, proxy) in (0..).zip(&self.proxies) {
            for setup in proxy.in_force() {
                let setup = &self.setups[setup as usize];
                let present = setup.shared.endpoints.list();
                self.invariants.look(
                    self.now,
                    (number, &self.rooms[setup.room as usize].upstream),
                    present,
                );
            }
        }
    }

    /// What has become of the invariants. A run that was not interrupted goes on until nothing is under way and the proxy had
    /// its time to recover; nobody measures any more.
    pub(super) fn finish_invariants(&mut self, end: End) -> Vec<InvariantResult> {
        if end == End::Complete {
            self.go_on();
        }
        self.look_at_recovery();
        let all = self.setups.iter().flat_map(|setup| setup.shared.endpoints.list());
        self.invariants.compare_in_flight(self.now, all);
        self.forget_sessions();
        // What a cut link holds back for ever never ends.
        if self.requests.live() == 0 {
            self.invariants.at_rest(self.now);
        }
        self.invariants.finish(self.now, end)
    }

    fn go_on(&mut self) {
        let rest = self.now + REST;
        loop {
            let due = match self.invariants.recovery_due() {
                Instant::NEVER => Instant::START,
                due => due,
            };
            let moves = self.requests.live() > 0 || self.has_sessions();
            let limit = if moves { due.max(rest) } else { due };
            let Some((at, next)) = self.agenda.next().filter(|(at, _)| *at <= limit) else {
                return;
            };
            self.now = at;
            self.occur(next);
        }
    }
}
