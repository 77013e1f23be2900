//! The engine's witness: what a worker does goes straight into the checker.
//!
//! A simulated world is one thread, so the checker is shared without a lock. Each proxy that is started gets a witness of
//! its own, because a new proxy starts to count at zero whatever the one before it has left behind.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use net::Clock;
use policy::{Instant, work::ID_HEADER};
use proxy::{
    config::ProxyConfig,
    engine::{Asking, Fact, Witness},
};

use super::{Invariants, Sending, Turn, twice::idempotence};

/// The invariants of a simulated run, shared among those who tell facts.
#[derive(Clone, Debug)]
pub struct Observer {
    invariants: Rc<RefCell<Invariants>>,
    clock: Clock,
}

/// What one proxy is watched by.
#[derive(Debug)]
struct Eye {
    observer: Observer,
    process: u32,
}

impl Observer {
    /// Watches in the time of this clock.
    pub fn new(invariants: Invariants, clock: Clock) -> Self {
        Self { invariants: Rc::new(RefCell::new(invariants)), clock }
    }

    /// The same invariants for facts that come in the time of another clock of the same world.
    pub fn in_time_of(&self, clock: Clock) -> Self {
        Self { invariants: Rc::clone(&self.invariants), clock }
    }

    /// The witness of the scenario's proxy of this number: make another each time that one is started.
    pub fn witness(&self, proxy: u32) -> Rc<dyn Witness> {
        let process = self.tell(|invariants, _| invariants.process(proxy));
        Rc::new(Eye { observer: self.clone(), process })
    }

    /// Tells the invariants something, or asks them; with the time.
    pub fn tell<T>(&self, what: impl FnOnce(&mut Invariants, Instant) -> T) -> T {
        what(&mut self.invariants.borrow_mut(), self.clock.now())
    }
}

/// The number that the load generator gave a request.
fn number(request: Asking<'_>) -> Option<u64> {
    std::str::from_utf8(request.field(ID_HEADER)?).ok()?.parse().ok()
}

impl Witness for Eye {
    fn configured(&self, upstream: &str, config: &Arc<ProxyConfig>) -> u32 {
        let whose = (self.process, upstream);
        self.observer.tell(|invariants, now| invariants.configured(now, whose, config))
    }

    fn saw(&self, configuration: u32, fact: Fact<'_>) {
        self.observer.tell(|invariants, now| match fact {
            Fact::ClientCame => invariants.client_came(now, configuration),
            Fact::ClientLeft => invariants.client_left(configuration),
            Fact::Asked => invariants.asked(now, configuration),
            Fact::Waits => invariants.waits(now, configuration),
            Fact::WaitsNoMore => invariants.waits_no_more(configuration),
            Fact::Taken(place) => invariants.taken(now, configuration, place),
            Fact::GivenBack(place) => invariants.given_back(now, configuration, place),
            Fact::Dialled(place) => invariants.dialled(now, configuration, place),
            Fact::Closed(place) => invariants.closed(configuration, place),
            Fact::Ejected(place, until) => invariants.ejected(now, configuration, place, until),
            Fact::Turned(turn) => {
                let seen = Turn {
                    begun: turn.begun,
                    configuration,
                    place: turn.endpoint,
                    standing: turn.standing,
                    failed: turn.failed,
                };
                invariants.turned(now, &seen, || number(turn.request));
            }
            Fact::Sent(sending) => {
                let seen = Sending {
                    configuration,
                    place: sending.endpoint,
                    idempotence: idempotence(sending.request.method()),
                    before: sending.before,
                };
                invariants.sending(now, &seen, || number(sending.request));
            }
        });
    }
}
