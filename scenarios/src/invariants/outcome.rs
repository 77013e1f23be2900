//! `one_outcome`: every request that was sent ends in exactly one outcome.
//!
//! A request sits on a *seat* from when it is sent until it ends: any small number that no other request under way has. A
//! world that has none to offer names requests by their numbers instead.

use std::collections::BTreeMap;

use policy::Instant;
use reports::InvariantResult;

use super::{End, Invariants, at, count::Count, request};

/// Nobody sits there. No request has this number.
const FREE: u64 = u64::MAX;

/// Who was sent and has not ended.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    count: Count,
    /// By seat: the request's number.
    seats: Vec<u64>,
    /// By number: how many of that number are under way.
    numbers: BTreeMap<u64, u32>,
}

impl Invariants {
    /// The request with this number was sent, and sits on a seat until it ends. Whether that is once is checked then.
    #[inline]
    pub fn sent(&mut self, now: Instant, seat: u32, number: u64) {
        let seats = &mut self.outcomes.seats;
        let seat = seat as usize;
        if seat >= seats.len() {
            seats.resize(seat + 1, FREE);
        }
        self.outcomes.count.check();
        let before = std::mem::replace(&mut seats[seat], number);
        if before != FREE {
            let at = at(now, self.start);
            self.outcomes.count.fail(|| {
                let (before, next) = (request(Some(before)), request(Some(number)));
                format!("{at} {before} had not ended when {next} took its place")
            });
        }
    }

    /// The request on this seat has ended.
    #[inline]
    pub fn ended(&mut self, now: Instant, seat: u32, number: u64) {
        let before = self.outcomes.seats.get_mut(seat as usize).map(|s| std::mem::replace(s, FREE));
        if before != Some(number) {
            self.ended_wrongly(now, number);
        }
    }

    #[cold]
    fn ended_wrongly(&mut self, now: Instant, number: u64) {
        let at = self.at(now);
        self.outcomes.count.check();
        self.outcomes.count.fail(|| format!("{at} {} ended once more", request(Some(number))));
    }

    /// The request with this number was sent, in a world without seats.
    pub fn sent_by_number(&mut self, number: u64) {
        self.outcomes.count.check();
        *self.outcomes.numbers.entry(number).or_insert(0) += 1;
    }

    /// The request with this number has ended, in a world without seats.
    pub fn ended_by_number(&mut self, now: Instant, number: u64) {
        match self.outcomes.numbers.get_mut(&number) {
            None => self.ended_wrongly(now, number),
            Some(1) => drop(self.outcomes.numbers.remove(&number)),
            Some(more) => *more -= 1,
        }
    }

    /// So many were sent and so many have ended, in a world that knows only the totals.
    pub fn sent_and_ended(&mut self, now: Instant, sent: u64, ended: u64) {
        let count = &mut self.outcomes.count;
        count.check_many(sent);
        let apart = sent.abs_diff(ended);
        if apart > 0 {
            let at = at(now, self.start);
            count.check_many(apart.saturating_sub(sent));
            count.fail_many(apart, || {
                format!("{at} {sent} requests were sent, and {ended} have ended")
            });
        }
    }
}

impl Outcomes {
    /// Nobody will end any more.
    pub(super) fn finish(&mut self, now: Instant, start: Instant, end: End) {
        let Self { count, seats, numbers } = self;
        let open = seats.drain(..).filter(|number| *number != FREE);
        let numbered = std::mem::take(numbers).into_iter();
        let numbered = numbered.flat_map(|(number, times)| (0..times).map(move |_| number));
        for number in open.chain(numbered) {
            if end == End::Complete {
                count.fail(|| {
                    format!("{} {} had no outcome", at(now, start), request(Some(number)))
                });
            }
        }
    }

    pub(super) fn result(&self) -> InvariantResult {
        let promise = "Every request that was sent ends in exactly one outcome.";
        self.count.result("one_outcome", promise, "no request was sent")
    }
}
