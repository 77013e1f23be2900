//! The state of the whole network, and how its segments travel.
//!
//! One queue of events for all hosts, ordered by microsecond and then by when they were made, and one timer of tokio's
//! under it: two events of one moment happen in the order of their causes, in every run. What arrives
//! at once (no latency, nothing before it) skips the queue. Nothing here wakes anybody: wakers are collected, and woken
//! when the state is free again.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Waker},
};

use policy::{Instant, Seed, rng::mix};

use super::{
    connection::{Connection, Key, Life, Segment, Table},
    dial::{Bound, Listening},
    link::{Link, Opener, next_retry},
};
use crate::{
    Clock,
    fault::{Crash, Hits, Kind, LinkSettings, Touched},
};

/// Segments are at most so long: what a network card takes from its kernel at once.
const LONGEST_SEGMENT: usize = 16 * 1024;

/// Something that happens at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// The first segment that flies in the pipe of this end arrives.
    Arrive(Key, usize),
    /// A dial reaches its host.
    Syn(Key),
    /// A dial is tried for the so many-th time.
    Dial(Key, u32),
    /// What the pipe of this end holds is sent again.
    Release(Key, usize),
}

/// A host as the network knows it.
pub(super) struct HostState {
    pub(super) name: String,
    pub(super) ip: IpAddr,
    /// What has died, if it has.
    pub(super) down: Option<Crash>,
    pub(super) touched: Touched,
    pub(super) next_port: u16,
    /// Ports of its dials, by their destination.
    pub(super) ports: BTreeSet<(SocketAddr, u16)>,
}

pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) seed: Seed,
    pub(super) window: usize,
    pub(super) link: LinkSettings,
    pub(super) hosts: Vec<HostState>,
    pub(super) addresses: BTreeMap<IpAddr, usize>,
    pub(super) names: BTreeMap<String, usize>,
    pub(super) links: Vec<Link>,
    pub(super) link_of: BTreeMap<(usize, usize), usize>,
    pub(super) table: Table,
    pub(super) listeners: BTreeMap<u64, Listening>,
    pub(super) next_listener: u64,
    pub(super) bound: BTreeMap<(usize, u16, IpAddr), Bound>,
    pub(super) hits: Hits,
    pub(super) segments: u64,
    pub(super) trace: u64,
    pub(super) wakes: Vec<Waker>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    sleep: Pin<Box<tokio::time::Sleep>>,
    armed: Option<u64>,
}

impl State {
    pub(super) fn new(clock: Clock, seed: Seed, window: usize, link: LinkSettings) -> Self {
        Self {
            clock,
            seed,
            window,
            link,
            hosts: Vec::new(),
            addresses: BTreeMap::new(),
            names: BTreeMap::new(),
            links: Vec::new(),
            link_of: BTreeMap::new(),
            table: Table::default(),
            listeners: BTreeMap::new(),
            next_listener: 0,
            bound: BTreeMap::new(),
            hits: Hits::default(),
            segments: 0,
            trace: 0,
            wakes: Vec::new(),
            events: BinaryHeap::new(),
            sequence: 0,
            sleep: Box::pin(tokio::time::sleep_until(clock.tokio(clock.now()))),
            armed: None,
        }
    }

    /// Nanoseconds since the start.
    pub(super) fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    pub(super) fn wake(&mut self, waker: Option<Waker>) {
        self.wakes.extend(waker);
    }

    /// Makes `event` happen at `micros`.
    pub(super) fn schedule(&mut self, micros: u64, event: Event) {
        self.events.push(Reverse((micros, self.sequence, event)));
        self.sequence += 1;
        if self.armed.is_none_or(|armed| micros < armed) {
            // The network's task has polled this timer, so its waker is in it: moving it is all there is to do.
            self.arm(micros);
        }
    }

    fn arm(&mut self, micros: u64) {
        self.armed = Some(micros);
        let at = Instant::from_nanos(micros.saturating_mul(1000));
        let at = self.clock.tokio(at);
        self.sleep.as_mut().reset(at);
    }

    /// Lets everything happen that is due, and sets the timer for what comes next.
    pub(super) fn run_due(&mut self, cx: &mut Context<'_>) {
        loop {
            let now = self.now() / 1000;
            while let Some(Reverse((micros, _, event))) = self.events.peek().copied() {
                if micros > now {
                    break;
                }
                self.events.pop();
                self.happen(now, event);
            }
            match self.events.peek() {
                Some(Reverse((micros, ..))) => self.arm(*micros),
                None => self.armed = None,
            }
            // Polled even when nothing is to come: the next event shall find the waker in it.
            if self.sleep.as_mut().poll(cx).is_pending() || self.armed.is_none() {
                return;
            }
        }
    }

    fn happen(&mut self, now: u64, event: Event) {
        match event {
            Event::Arrive(key, side) => {
                // What was stranded meanwhile is not there any more.
                let Some(connection) = self.table.get(key) else { return };
                let flying = &mut connection.pipes[side].flying;
                if flying.front().is_some_and(|(arrival, _)| *arrival <= now)
                    && let Some((_, segment)) = flying.pop_front()
                {
                    self.arrive(key, side, segment, now);
                }
            }
            Event::Syn(key) => self.greet(key),
            Event::Dial(key, attempt) => self.knock(key, attempt),
            Event::Release(key, side) => self.release(key, side),
        }
    }

    /// The link from one host to another.
    pub(super) fn link(&mut self, from: usize, to: usize) -> usize {
        if let Some(&index) = self.link_of.get(&(from, to)) {
            return index;
        }
        // Nothing is between a host and itself.
        let settings = if from == to { LinkSettings::default() } else { self.link.clone() };
        let name = format!("{} to {}", self.hosts[from].name, self.hosts[to].name);
        self.links.push(Link::new(from, to, settings, self.seed.child(&name)));
        self.link_of.insert((from, to), self.links.len() - 1);
        self.links.len() - 1
    }

    pub(super) fn is_dead(&self, host: usize) -> bool {
        self.hosts[host].down == Some(Crash::Machine)
    }

    /// Whether nothing that is sent over this link arrives.
    pub(super) fn is_blocked(&self, link: usize) -> bool {
        let link = &self.links[link];
        link.cut || self.is_dead(link.from) || self.is_dead(link.to)
    }

    /// Writes as much of `parts` as the window has room for, as one message.
    pub(super) fn write(&mut self, key: Key, side: usize, parts: &[io::IoSlice<'_>]) -> usize {
        let window = self.window;
        let Some(connection) = self.table.get(key) else { return 0 };
        let pipe = &mut connection.pipes[side];
        let room = pipe.room(window);
        let mut count = 0;
        for part in parts {
            let taken = part.len().min(room - count);
            pipe.bytes.extend(&part[..taken]);
            count += taken;
        }
        let mut left = count;
        while left > 0 {
            let bytes = left.min(LONGEST_SEGMENT);
            self.send(key, side, Segment::Data(bytes));
            left -= bytes;
        }
        count
    }

    /// Sends a segment from this end to the other.
    pub(super) fn send(&mut self, key: Key, side: usize, segment: Segment) {
        let now = self.now();
        let Some(connection) = self.table.get(key) else { return };
        let pipe = &mut connection.pipes[side];
        let link = pipe.link;
        if segment == Segment::Rst {
            pipe.forget_held();
        }
        let waits = !pipe.held.is_empty();
        if waits || self.is_blocked(link) {
            self.hold_back(link, (segment.bytes() as u64).max(1));
            // Resets are sent once; if one is lost, the peer's next segment is answered by another.
            if segment != Segment::Rst {
                self.hits.bytes_held += segment.bytes() as u64;
                self.hits.dials_hung += u64::from(segment == Segment::SynAck);
                if let Some(connection) = self.table.get(key) {
                    connection.pipes[side].hold(segment, now);
                }
            }
            return;
        }
        self.launch(key, side, segment, now);
    }

    /// Counts for a cut of the link what it keeps back.
    pub(super) fn hold_back(&mut self, link: usize, count: u64) {
        let link = &mut self.links[link];
        if link.cut {
            link.touched.add(Kind::Cut, count);
        }
    }

    /// Counts what the end of a cut, or of a machine's death, has let through.
    pub(super) fn let_through(&mut self, link: usize, count: u64) {
        match self.links[link].opener {
            Opener::Repair => self.links[link].touched.add(Kind::Repair, count),
            Opener::Restart(host) => self.hosts[host].touched.add(Kind::Restart, count),
        }
    }

    /// Puts a segment on its link.
    fn launch(&mut self, key: Key, side: usize, segment: Segment, now: u64) {
        let Some(connection) = self.table.get(key) else { return };
        let pipe = &mut connection.pipes[side];
        pipe.reset_sent |= segment == Segment::Rst;
        let (arrival, losses) = self.links[pipe.link].carry(now, segment.bytes());
        self.hits.segments_lost += losses;
        self.segments += 1;
        let arrival = arrival.div_ceil(1000).max(pipe.last_arrival);
        pipe.last_arrival = arrival;
        if arrival <= now / 1000 && pipe.flying.is_empty() {
            self.arrive(key, side, segment, arrival);
            return;
        }
        match (pipe.flying.back_mut(), segment) {
            (Some((last, Segment::Data(sum))), Segment::Data(count)) if *last == arrival => {
                *sum += count;
            }
            _ => {
                pipe.flying.push_back((arrival, segment));
                self.schedule(arrival, Event::Arrive(key, side));
            }
        }
    }

    /// Sends again what the pipe of this end holds, if its link lets it through.
    fn release(&mut self, key: Key, side: usize) {
        let Some(link) = self.table.get(key).map(|connection| connection.pipes[side].link) else {
            return;
        };
        if self.is_blocked(link) {
            return;
        }
        let now = self.now();
        let Some(connection) = self.table.get(key) else { return };
        for segment in std::mem::take(&mut connection.pipes[side].held) {
            self.let_through(link, (segment.bytes() as u64).max(1));
            let mut left = segment.bytes();
            while left > LONGEST_SEGMENT {
                self.launch(key, side, Segment::Data(LONGEST_SEGMENT), now);
                left -= LONGEST_SEGMENT;
            }
            let last = if left > 0 { Segment::Data(left) } else { segment };
            self.launch(key, side, last, now);
        }
    }

    /// A link lets something through again: what it held follows, and the news of what was read.
    pub(super) fn resume(&mut self, link: usize, opener: Opener) {
        if self.is_blocked(link) {
            return;
        }
        self.links[link].opener = opener;
        let now = self.now();
        for key in self.table.keys() {
            for side in [0, 1] {
                let Some(connection) = self.table.get(key) else { continue };
                if connection.pipes[side].link != link {
                    continue;
                }
                connection.pipes[1 - side].uncredited = 0;
                let writer = connection.ends[1 - side].writer.take();
                let pipe = &connection.pipes[side];
                let retry = (!pipe.held.is_empty()).then(|| next_retry(pipe.held_since, now));
                self.wake(writer);
                if let Some(retry) = retry {
                    self.schedule(retry.div_ceil(1000), Event::Release(key, side));
                }
            }
        }
    }

    /// A segment of end `side` has reached the other end.
    fn arrive(&mut self, key: Key, side: usize, segment: Segment, micros: u64) {
        let to = 1 - side;
        self.note(key, side, segment, micros);
        let Some(connection) = self.table.get(key) else { return };
        let life = connection.ends[to].life;
        match segment {
            Segment::SynAck if life == Life::Dialing => {
                connection.ends[to].life = Life::Open;
                let dialer = connection.ends[to].reader.take();
                self.wake(dialer);
                self.send(key, to, Segment::Ack);
            }
            Segment::Ack => self.shake(key, to),
            Segment::Rst => self.broken(key, to),
            _ if life == Life::Gone => {
                let pipe = &mut connection.pipes[side];
                pipe.arrived += segment.bytes();
                pipe.discard_arrived();
                if segment != Segment::Fin {
                    self.refuse(key, to);
                }
            }
            Segment::Data(count) => {
                connection.pipes[side].arrived += count;
                let reader = connection.ends[to].reader.take();
                self.wake(reader);
            }
            Segment::Fin => {
                connection.pipes[side].fin_arrived = true;
                let reader = connection.ends[to].reader.take();
                self.wake(reader);
            }
            Segment::SynAck => {}
        }
        self.tidy(key);
    }

    /// The other end has reset the connection.
    fn broken(&mut self, key: Key, to: usize) {
        let Some(Connection { ends, pipes, .. }) = self.table.get(key) else { return };
        let end = &mut ends[to];
        let wakers = [end.reader.take(), end.writer.take()];
        let life = end.life;
        match life {
            Life::Dialing => {
                end.broken = Some(io::ErrorKind::ConnectionRefused);
                self.hits.dials_refused += 1;
            }
            Life::HalfOpen(listener) => {
                end.life = Life::Gone;
                self.hits.connections_reset += 1;
                if let Some(listening) = self.listeners.get_mut(&listener) {
                    listening.half_open -= 1;
                }
            }
            Life::Open | Life::Queued if end.broken.is_none() => {
                end.broken = Some(io::ErrorKind::ConnectionReset);
                self.hits.connections_reset += 1;
            }
            _ => {}
        }
        pipes[to].forget_held();
        for waker in wakers {
            self.wake(waker);
        }
    }

    /// Answers by a reset, unless one is on its way or the other end is gone as well.
    pub(super) fn refuse(&mut self, key: Key, side: usize) {
        let Some(connection) = self.table.get(key) else { return };
        let other = &connection.ends[1 - side];
        let open = other.broken.is_none() && !other.is_over();
        if open && !connection.pipes[side].reset_sent {
            self.send(key, side, Segment::Rst);
        }
    }

    /// Nobody holds this end any more: an orderly end, or a reset where something was left unread.
    pub(super) fn abandon(&mut self, key: Key, side: usize, how: Leaving) {
        let Some(connection) = self.table.get(key) else { return };
        let end = &mut connection.ends[side];
        if end.life == Life::Gone {
            return;
        }
        // A dial that is given up says nothing.
        let how = if end.life == Life::Dialing { Leaving::Silent } else { how };
        end.life = Life::Gone;
        let (broken, wakers) = (end.broken.is_some(), [end.reader.take(), end.writer.take()]);
        let incoming = &mut connection.pipes[1 - side];
        let unread = incoming.arrived > 0;
        incoming.discard_arrived();
        let fin_sent = connection.pipes[side].fin_sent;
        connection.pipes[side].fin_sent = true;
        match how {
            Leaving::Silent => connection.pipes[side].forget_held(),
            _ if broken => {}
            Leaving::Orderly if !unread => {
                if !fin_sent {
                    self.send(key, side, Segment::Fin);
                }
            }
            Leaving::Orderly | Leaving::Abrupt => self.send(key, side, Segment::Rst),
        }
        for waker in wakers {
            self.wake(waker);
        }
        self.tidy(key);
    }

    /// Forgets a connection that is over.
    pub(super) fn tidy(&mut self, key: Key) {
        if self.table.get(key).is_some_and(|connection| connection.is_over())
            && let Some(connection) = self.table.remove(key)
        {
            let [client, server] = connection.ends;
            let ports = &mut self.hosts[client.host].ports;
            ports.remove(&(server.address, client.address.port()));
        }
    }

    /// Adds an arrival to the trace.
    fn note(&mut self, key: Key, side: usize, segment: Segment, micros: u64) {
        let kind = match segment {
            Segment::SynAck => 0,
            Segment::Ack => 1,
            Segment::Fin => 2,
            Segment::Rst => 3,
            Segment::Data(count) => 4 + count as u64,
        };
        let what = (key.number << 1 | side as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ kind;
        self.trace = mix(self.trace ^ mix(micros ^ what.rotate_left(32)));
    }
}

/// How an end is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// As a closed socket is.
    Orderly,
    /// By a reset.
    Abrupt,
    /// Its machine is dead: nobody is told.
    Silent,
}
