//! What travels: when turmoil may deliver each message.
//!
//! turmoil is told to *hold* every message on every link, which it does in the order of their sending, and to deliver
//! each when its time has come (`Sim::links`). So it does all that a network does to streams (handshakes, order, ends,
//! resets, sockets) but not the timing, and what it has no notion of can be had all the same: cuts of one direction, latencies
//! from any distribution, bandwidth, losses that are sent again. The first packet of a dial is sent again after 1 s, 2 s, 4 s, …
//! (RFC 6298). turmoil answers dials at once and past all links, so answers travel here, as *signals*.
//!
//! A moment of this network is a tick: everything that hosts do in a step has the time of its beginning.

use std::{io, net::SocketAddr, rc::Rc};

use policy::rng::mix;
use turmoil::{Protocol, Segment, Sim};

use super::{
    flow::Dial,
    link::Freed,
    state::{Connection, Key, State},
};
use crate::{Crash, fault::Kind};

/// So often the first packet of a dial is sent again (`tcp_syn_retries`).
const DIAL_RETRIES: u32 = 6;
const SECOND: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The first packet of a dial, for the so many-th time.
    Syn(u32),
    /// The answer to it.
    SynAck,
    /// The other answer to it: nothing listens.
    Refusal,
    Data,
    Fin,
    Rst,
    /// A reset that turmoil does not send: its host does not run.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Travel {
    /// On its way, until then.
    Flying(u64),
    /// Behind a cut or a dead machine.
    Held,
    /// Will be sent again then.
    Again(u64),
    /// Nobody wants it any more: turmoil may have it then.
    Useless(u64),
    /// Does not arrive.
    Never,
}

/// A message that turmoil holds, or a signal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub(super) key: Key,
    /// Which end has sent it.
    pub(super) side: usize,
    what: What,
    bytes: u64,
    pub(super) link: usize,
    /// When it was first sent.
    pub(super) first: u64,
    pub(super) travel: Travel,
}

impl Message {
    /// What it counts for when it is held: its bytes, or one.
    fn weight(&self) -> u64 {
        self.bytes.max(1)
    }
}

impl State {
    /// Takes note of what the hosts have sent in this step. Who has just died says nothing.
    pub(super) fn collect(&mut self, sim: &Sim<'_>, dead: Option<usize>) {
        sim.links(|links| {
            for (lane, link) in links.enumerate() {
                if lane == self.lanes.len() {
                    self.lanes.push(Vec::new());
                }
                for sent in link.skip(self.lanes[lane].len()) {
                    let (from, to) = sent.pair();
                    let message = self.admit(from, to, sent.protocol(), dead);
                    self.lanes[lane].push(message);
                }
            }
        });
        self.dials.clear();
    }

    fn admit(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        protocol: &Protocol,
        dead: Option<usize>,
    ) -> Message {
        let (what, bytes) = match protocol {
            Protocol::Tcp(Segment::Syn(_)) => (What::Syn(0), 0),
            Protocol::Tcp(Segment::Data(_, bytes)) => (What::Data, bytes.len() as u64),
            Protocol::Tcp(Segment::Fin(_)) => (What::Fin, 0),
            Protocol::Tcp(Segment::Rst) | Protocol::Udp(_) => (What::Rst, 0),
        };
        let now = self.now;
        if what == What::Syn(0) {
            self.establish(from, to);
        }
        let (key, side) = if self.connections.contains_key(&(from, to)) {
            ((from, to), 0)
        } else {
            ((to, from), 1)
        };
        let mut message = Message {
            key,
            side,
            what,
            bytes,
            link: usize::MAX,
            first: now,
            travel: Travel::Useless(now),
        };
        if let Some(connection) = self.connections.get(&key) {
            let [sender, receiver] = [connection.hosts[side], connection.hosts[1 - side]];
            message.link = self.link(sender, receiver);
            if dead == Some(sender) {
                message.travel = Travel::Never;
            } else {
                self.send(&mut message);
            }
        }
        self.note(message.travel);
        message
    }

    /// A dial has sent its first packet, from a port that only turmoil knew so far.
    fn establish(&mut self, from: SocketAddr, to: SocketAddr) {
        let found = self.dials.iter().position(|dial| (dial.from, dial.to) == (from.ip(), to));
        let Some(index) = found else { return };
        let new = self.dials.remove(index);
        let connection = Connection {
            hosts: [new.client, new.server],
            flow: Rc::clone(&new.dial.flow),
            dial: new.dial,
            last: [0; 2],
            held: [0; 2],
            release: [u64::MAX; 2],
            hung: false,
        };
        self.connections.insert((from, to), connection);
    }

    fn note(&mut self, travel: Travel) {
        if let Travel::Flying(at) | Travel::Again(at) | Travel::Useless(at) = travel {
            self.next = self.next.min(at);
        }
    }

    /// Sends a message for the first time.
    fn send(&mut self, message: &mut Message) {
        if let What::Syn(attempt) = message.what {
            return self.knock(message, attempt);
        }
        let Some(connection) = self.connections.get_mut(&message.key) else { return };
        let side = message.side;
        let waits = connection.held[side] > 0;
        if !waits && !self.is_blocked(message.link) {
            return self.transmit(message);
        }
        self.hold_back(message.link, message.weight());
        // Resets are sent once; if one is lost, the next message is answered by another.
        if matches!(message.what, What::Rst | What::Broken) {
            message.travel = Travel::Never;
            return;
        }
        self.hits.bytes_held += message.bytes;
        self.hits.dials_hung += u64::from(message.what == What::SynAck);
        self.hold(message);
    }

    /// Keeps a message until its link is free, or until those before it are sent again.
    fn hold(&mut self, message: &mut Message) {
        let Some(connection) = self.connections.get_mut(&message.key) else { return };
        let release = connection.release[message.side];
        connection.held[message.side] += 1;
        message.travel = if release == u64::MAX { Travel::Held } else { Travel::Again(release) };
    }

    fn transmit(&mut self, message: &mut Message) {
        let now = self.now;
        let (due, losses) = self.links[message.link].transmit(now, message.bytes);
        self.hits.segments_lost += losses;
        self.segments += 1;
        let Some(connection) = self.connections.get_mut(&message.key) else { return };
        let last = &mut connection.last[message.side];
        *last = due.max(*last);
        message.travel = Travel::Flying(*last);
    }

    /// Sends the first packet of a dial for the so many-th time.
    fn knock(&mut self, message: &mut Message, attempt: u32) {
        let Some(connection) = self.connections.get(&message.key) else { return };
        let (dial, hung) = (Rc::clone(&connection.dial), connection.hung);
        let now = self.now;
        if dial.given_up.get() || attempt > DIAL_RETRIES {
            let waker = dial.settle(Err(io::ErrorKind::TimedOut));
            self.wakes.extend(waker);
            // Not before its task has heard of it: turmoil shall find that nobody waits for an answer.
            message.travel = Travel::Useless(now + 2 * self.tick);
            return;
        }
        message.what = What::Syn(attempt);
        if self.is_blocked(message.link) {
            self.hits.dials_hung += u64::from(attempt == 0);
            self.hang(message);
            return;
        }
        if let Some(due) = self.links[message.link].transmit_dial(now) {
            message.travel = Travel::Flying(due);
        } else {
            self.hits.segments_lost += 1;
            self.later(message);
        }
        if hung {
            self.let_through(message.link, 1);
            if let Some(connection) = self.connections.get_mut(&message.key) {
                connection.hung = false;
            }
        }
    }

    /// A cut or a dead machine has swallowed the first packet of a dial.
    fn hang(&mut self, message: &mut Message) {
        if let Some(connection) = self.connections.get_mut(&message.key)
            && !std::mem::replace(&mut connection.hung, true)
        {
            self.hold_back(message.link, 1);
        }
        self.later(message);
    }

    fn later(&self, message: &mut Message) {
        if let What::Syn(attempt) = message.what {
            let pauses = (SECOND << (attempt + 1)) - SECOND;
            // One that travelled for long is sent again at once.
            message.travel = Travel::Again((message.first + pauses).max(self.now + self.tick));
        }
    }

    fn hold_back(&mut self, link: usize, count: u64) {
        let link = &mut self.links[link];
        if link.cut {
            link.touched.add(Kind::Cut, count);
        }
    }

    fn let_through(&mut self, link: usize, count: u64) {
        match self.links[link].freed {
            Freed::Repair => self.links[link].touched.add(Kind::Repair, count),
            Freed::Restart(host) => self.hosts[host].touched.add(Kind::Restart, count),
        }
    }

    /// Makes a signal out of nothing, from one end of a connection to the other.
    pub(super) fn signal(&mut self, key: Key, side: usize, what: What) {
        let Some(connection) = self.connections.get(&key) else { return };
        let hosts = connection.hosts;
        let link = self.link(hosts[side], hosts[1 - side]);
        let travel = Travel::Useless(u64::MAX);
        let mut message = Message { key, side, what, bytes: 0, link, first: self.now, travel };
        self.send(&mut message);
        self.note(message.travel);
        self.signals.push(message);
    }

    /// Lets everything arrive that is due.
    pub(super) fn deliver(&mut self, sim: &Sim<'_>) {
        if self.next > self.now {
            return;
        }
        self.next = u64::MAX;
        for mut message in std::mem::take(&mut self.signals) {
            if !self.is_done(&mut message) && message.travel != Travel::Never {
                self.note(message.travel);
                self.signals.push(message);
            }
        }
        sim.links(|links| {
            for (index, link) in links.enumerate() {
                let Some(lane) = self.lanes.get_mut(index).filter(|lane| !lane.is_empty()) else {
                    continue;
                };
                let mut stays = Vec::new();
                for (mut message, sent) in std::mem::take(lane).into_iter().zip(link) {
                    if self.is_done(&mut message) {
                        sent.deliver();
                    } else {
                        self.note(message.travel);
                        stays.push(message);
                    }
                }
                self.lanes[index] = stays;
            }
        });
    }

    /// Whether the message arrives now.
    fn is_done(&mut self, message: &mut Message) -> bool {
        loop {
            match message.travel {
                Travel::Never | Travel::Held => return false,
                Travel::Flying(at) | Travel::Again(at) | Travel::Useless(at) if at > self.now => {
                    return false;
                }
                Travel::Useless(_) => return true,
                Travel::Flying(_) => return self.arrive(message),
                Travel::Again(_) => self.send_again(message),
            }
        }
    }

    fn send_again(&mut self, message: &mut Message) {
        if let What::Syn(attempt) = message.what {
            return self.knock(message, attempt + 1);
        }
        let blocked = self.is_blocked(message.link);
        let Some(connection) = self.connections.get_mut(&message.key) else {
            message.travel = Travel::Useless(0);
            return;
        };
        if blocked {
            connection.release[message.side] = u64::MAX;
            message.travel = Travel::Held;
            return;
        }
        connection.held[message.side] -= 1;
        if connection.held[message.side] == 0 {
            connection.release[message.side] = u64::MAX;
        }
        self.let_through(message.link, message.weight());
        self.transmit(message);
    }

    /// A message reaches its host; whether turmoil is to deliver it.
    fn arrive(&mut self, message: &mut Message) -> bool {
        let (key, side) = (message.key, message.side);
        let Some(connection) = self.connections.get(&key) else { return true };
        let host = connection.hosts[1 - side];
        let (dial, flow) = (Rc::clone(&connection.dial), Rc::clone(&connection.flow));
        if self.is_dead(host) {
            return self.meet_death(message);
        }
        self.trace(message);
        match message.what {
            What::Syn(_) => return self.greet(message, &dial),
            What::SynAck => {
                let waker = dial.settle(Ok(()));
                self.wakes.extend(waker);
            }
            What::Refusal => {
                self.hits.dials_refused += u64::from(!dial.given_up.get());
                let waker = dial.settle(Err(io::ErrorKind::ConnectionRefused));
                self.wakes.extend(waker);
            }
            What::Rst | What::Broken => self.break_end(key, 1 - side),
            What::Fin => {
                if flow.0[side].reset.get() {
                    self.break_end(key, 1 - side);
                }
            }
            What::Data => {
                // turmoil's stopped hosts say nothing, where a kernel that lives answers by a reset.
                if self.hosts[host].down == Some(Crash::Process) && !flow.0[side].broken.get() {
                    self.signal(key, 1 - side, What::Broken);
                }
            }
        }
        true
    }

    /// A message reaches a dead machine: its sender will have to send it again.
    fn meet_death(&mut self, message: &mut Message) -> bool {
        match message.what {
            What::Syn(_) => {
                self.hits.dials_hung += 1;
                self.hang(message);
            }
            What::Data | What::Fin => {
                self.hits.bytes_held += message.bytes;
                self.hold(message);
            }
            _ => message.travel = Travel::Never,
        }
        false
    }

    /// A dial reaches its host.
    fn greet(&mut self, message: &mut Message, dial: &Dial) -> bool {
        if dial.given_up.get() {
            return true;
        }
        let Some(listening) = self.listeners.get(&message.key.1) else {
            dial.refused.set(true);
            self.signal(message.key, 1, What::Refusal);
            return true;
        };
        if listening.waiting.get() >= listening.backlog {
            self.hits.dials_dropped += 1;
            self.later(message);
            return false;
        }
        listening.waiting.set(listening.waiting.get() + 1);
        true
    }

    /// An end learns that the other is gone.
    fn break_end(&mut self, key: Key, side: usize) {
        let Some(connection) = self.connections.get(&key) else { return };
        let end = &connection.flow.0[side];
        if end.gone.get() || end.broken.replace(true) {
            return;
        }
        self.hits.connections_reset += 1;
        let wakers = [&end.reader, &end.writer].map(|waker| waker.borrow_mut().take());
        self.wakes.extend(wakers.into_iter().flatten());
    }

    fn trace(&mut self, message: &Message) {
        let kind = match message.what {
            What::Syn(_) => 0,
            What::SynAck => 1,
            What::Refusal => 2,
            What::Fin => 3,
            What::Rst => 4,
            What::Broken => 5,
            What::Data => 6 + message.bytes,
        };
        let ports = u64::from(message.key.0.port()) << 17 | u64::from(message.key.1.port()) << 1;
        let what = (ports | message.side as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ kind;
        let link = message.link as u64;
        self.trace = mix(self.trace ^ mix(self.now ^ what.rotate_left(32) ^ link.rotate_left(17)));
    }
}
