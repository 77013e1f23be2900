//! The connections of an open loop.
//!
//! Last in, first out: the busiest stay busy and the others are let go by the server when it tires of them. Nobody waits for
//! a connection: a request that finds none free opens one, up to the bound; beyond it the request is dropped.
//! Waiting would turn the open loop into a closed one and hide the delay that it is there to measure. Where there are several
//! proxies a connection serves the requests that go to its proxy; when as many are open as may be, one that idles at another is
//! closed for a request that finds none: the one that has idled longest.

use std::{cell::Cell, rc::Rc};

use net::{Clock, Timer};
use policy::Instant;

use super::connection::Connection;

/// A place among the connections that may be open; given back when it goes.
#[derive(Debug)]
pub(crate) struct Place(Rc<Cell<u32>>);

impl Place {
    fn take(taken: &Rc<Cell<u32>>) -> Self {
        taken.set(taken.get() + 1);
        Self(Rc::clone(taken))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// What one request at a time sits on: a connection, perhaps, and a timer.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Kept from the last request, or not there yet.
    pub(crate) connection: Option<Connection>,
    /// For the deadline of the request under way.
    pub(crate) timer: Timer,
    /// The proxy that the connection goes to.
    pub(crate) proxy: u32,
    /// When it became free.
    free_since: Instant,
    /// Its place among the connections that may be open.
    _place: Place,
}

/// The seats that are free.
#[derive(Debug)]
pub(crate) struct Pool {
    /// By proxy.
    idle: Vec<Vec<Seat>>,
    taken: Rc<Cell<u32>>,
    most: u32,
    clock: Clock,
}

impl Pool {
    /// For at most so many connections to so many proxies.
    pub(crate) fn new(clock: Clock, most: u32, proxies: usize) -> Self {
        let idle = (0..proxies).map(|_| Vec::new()).collect();
        Self { idle, taken: Rc::default(), most, clock }
    }

    /// The seat that was used last for this proxy, or a new one; none when as many as may be are taken.
    pub(crate) fn take(&mut self, proxy: u32) -> Option<Seat> {
        while let Some(seat) = self.idle[proxy as usize].pop() {
            if seat.connection.as_ref().is_some_and(|connection| !connection.is_closed()) {
                return Some(seat);
            }
        }
        if self.taken.get() >= self.most {
            self.let_one_go();
        }
        (self.taken.get() < self.most).then(|| Seat {
            connection: None,
            timer: Timer::new(self.clock),
            proxy,
            free_since: self.clock.now(),
            _place: Place::take(&self.taken),
        })
    }

    /// Gives up the seat that has been free for longest.
    fn let_one_go(&mut self) {
        let since =
            |seats: &Vec<Seat>| seats.first().map_or(Instant::NEVER, |seat| seat.free_since);
        if let Some(seats) = self.idle.iter_mut().min_by_key(|seats| since(seats))
            && !seats.is_empty()
        {
            drop(seats.remove(0));
        }
    }

    /// Gives a seat back; without a connection it is not kept.
    pub(crate) fn put(&mut self, mut seat: Seat) {
        if seat.connection.is_some() {
            seat.free_since = self.clock.now();
            self.idle[seat.proxy as usize].push(seat);
        }
    }
}
