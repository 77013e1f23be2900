//! The connections of an open loop.
//!
//! Last in, first out: the busiest stay busy and the others are let go by the server when it tires of them. Nobody waits for
//! a connection: a request that finds none free opens one, up to the bound; beyond it the request is dropped.
//! Waiting would turn the open loop into a closed one and hide the delay that it is there to measure.

use std::{cell::Cell, rc::Rc};

use net::{Clock, Timer};

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
    /// Its place among the connections that may be open.
    _place: Place,
}

/// The seats that are free.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Vec<Seat>,
    taken: Rc<Cell<u32>>,
    most: u32,
    clock: Clock,
}

impl Pool {
    pub(crate) fn new(clock: Clock, most: u32) -> Self {
        Self { idle: Vec::new(), taken: Rc::default(), most, clock }
    }

    /// The seat that was used last, or a new one; none when as many as may be are taken.
    pub(crate) fn take(&mut self) -> Option<Seat> {
        while let Some(seat) = self.idle.pop() {
            if seat.connection.as_ref().is_some_and(|connection| !connection.is_closed()) {
                return Some(seat);
            }
        }
        (self.taken.get() < self.most).then(|| Seat {
            connection: None,
            timer: Timer::new(self.clock),
            _place: Place::take(&self.taken),
        })
    }

    /// Gives a seat back; without a connection it is not kept.
    pub(crate) fn put(&mut self, seat: Seat) {
        if seat.connection.is_some() {
            self.idle.push(seat);
        }
    }
}
