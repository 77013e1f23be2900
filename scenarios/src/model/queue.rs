//! Waiting for room: requests that find every endpoint at its limit, in the order in which they came.
//!
//! The room is `policy`'s, bounded in number and in time; the line is the engine's: only the first looks for a place, whenever
//! one may have come free, and after it the next. Who tries again does not stand in line, because it waits for others
//! than the rest. All lines of an upstream share one room: a place that a request of one configuration gives back may be what one of
//! another waits for. Other upstreams and other proxies have rooms of their own, and know nothing of each other's places.

use policy::Instant;
use proxy::engine::Fault;

use super::{
    lane::Due,
    request::{Ref, Stage},
    setup::{Pick, Setup},
    world::{Event, World},
};

/// A line that is so short is not cleared of those who have left.
const SHORT: usize = 1024;

impl World<'_> {
    /// A request waits for room, if there is room to wait in.
    pub(super) fn wait_in_line(&mut self, slot: u32) {
        let request = &mut self.requests[slot];
        let number = request.setup;
        let setup = &mut self.setups[number as usize];
        let waiting = &self.rooms[setup.room as usize].waiting;
        if !waiting.try_enter(&setup.config.queue) {
            return self.conclude(slot, Some(Fault::QueueFull));
        }
        self.tally.queued += 1;
        self.invariants.waits(self.now, number);
        request.stage = Stage::Queued;
        request.attempt = request.attempt.wrapping_add(1);
        let at = self.now + setup.config.queue.timeout.0;
        let due = Due { at, slot, stamp: request.attempt };
        let (is_retry, gone) = (!request.tried.is_empty(), request.gone);
        let whose = self.requests.name(slot);
        let requests = &self.requests;
        let waits = |whose: &Ref| {
            requests.find(*whose).is_some_and(|slot| requests[slot].stage == Stage::Queued)
        };
        setup.queue.push(due, requests.live(), |due| {
            let request = &requests[due.slot];
            request.attempt == due.stamp && request.stage == Stage::Queued
        });
        if !self.agenda.is_set(setup.queue.source) {
            self.agenda.set_last(setup.queue.source, at);
        }
        if is_retry {
            setup.retriers.push(whose);
        } else {
            if setup.line.len() > 2 * waiting.waiting() as usize + SHORT {
                setup.line.retain(waits);
            }
            setup.line.push_back(whose);
        }
        if gone {
            self.leave_line(slot);
            return self.conclude(slot, Some(Fault::ClientGone));
        }
        self.look_when_ejections_end(number);
    }

    /// An ejection that ends rings nothing.
    fn look_when_ejections_end(&mut self, number: u32) {
        let Setup { shared, look, .. } = &mut self.setups[number as usize];
        let returns = shared.endpoints.next_return();
        if returns < *look {
            *look = returns;
            self.agenda.plan(returns.max(self.now), Event::Look { setup: number });
        }
    }

    /// A request waits no longer. Its place in line is found empty later.
    pub(super) fn leave_line(&mut self, slot: u32) {
        let request = &mut self.requests[slot];
        request.stage = Stage::Coming;
        let room = self.setups[request.setup as usize].room;
        self.rooms[room as usize].waiting.leave();
        self.invariants.waits_no_more(request.setup);
    }

    /// There may be room at an endpoint: whoever waits where that was rung looks.
    pub(super) fn look_for_room(&mut self) {
        while std::mem::take(&mut self.rung) {
            for room in 0..self.rooms.len() {
                let rung = std::mem::take(&mut self.rooms[room].rung);
                if rung && self.rooms[room].waiting.waiting() > 0 {
                    self.look_for_room_in(room);
                }
            }
        }
    }

    fn look_for_room_in(&mut self, room: usize) {
        for place in 0..self.rooms[room].setups.len() {
            let number = self.rooms[room].setups[place] as usize;
            let first = self.first_in_line(number).is_some_and(|slot| self.look(slot));
            if first {
                self.setups[number].line.pop_front();
            }
            let mut kept = 0;
            for at in 0..self.setups[number].retriers.len() {
                let whose = self.setups[number].retriers[at];
                if self.waits(whose).is_some_and(|slot| !self.look(slot)) {
                    self.setups[number].retriers[kept] = whose;
                    kept += 1;
                }
            }
            // Those who came meanwhile stand behind those who were looked at.
            self.setups[number].retriers.truncate(kept);
            while first && let Some(slot) = self.first_in_line(number) {
                if !self.look(slot) {
                    break;
                }
                self.setups[number].line.pop_front();
            }
        }
    }

    fn waits(&self, whose: Ref) -> Option<u32> {
        self.requests.find(whose).filter(|slot| self.requests[*slot].stage == Stage::Queued)
    }

    fn first_in_line(&mut self, number: usize) -> Option<u32> {
        while let Some(whose) = self.setups[number].line.front() {
            let whose = *whose;
            if let Some(slot) = self.waits(whose) {
                return Some(slot);
            }
            self.setups[number].line.pop_front();
        }
        None
    }

    /// Looks for room for a request that waits; whether it waits no longer.
    fn look(&mut self, slot: u32) -> bool {
        let request = &self.requests[slot];
        let number = request.setup;
        match self.setups[number as usize].pick(
            &request.tried,
            self.now,
            (request.key, request.cookie),
        ) {
            Pick::AllFull => {
                self.look_when_ejections_end(number);
                return false;
            }
            Pick::Taken(index) => {
                self.leave_line(slot);
                let leased = self.leased(slot, index);
                self.inquire(number);
                if !leased {
                    self.reach(slot);
                }
            }
            Pick::None => {
                self.leave_line(slot);
                self.nobody(slot);
            }
        }
        true
    }

    /// Requests may have waited for too long.
    pub(super) fn queue_late(&mut self, setup: u32) {
        loop {
            let (requests, lane) = (&self.requests, &mut self.setups[setup as usize].queue);
            let source = lane.source;
            let first = lane.first(|due| {
                let request = &requests[due.slot];
                request.attempt == due.stamp && request.stage == Stage::Queued
            });
            match first {
                Some(due) if due.at <= self.now => {
                    self.leave_line(due.slot);
                    self.conclude(due.slot, Some(Fault::QueueTimeout));
                    // Somebody else is the first in line now.
                    self.ring(setup);
                }
                Some(due) => return self.agenda.set_last(source, due.at),
                None => return self.agenda.set(source, Instant::NEVER),
            }
        }
    }
}
