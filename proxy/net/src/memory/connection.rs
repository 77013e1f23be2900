//! A connection: two ends and the two pipes between them.
//!
//! A pipe keeps its bytes in one queue from the write to the read; what travels are *segments*, which say how many of
//! them have arrived. Everything that TCP says in order is a segment (the handshake's second and third packet, data, the
//! orderly end, the reset), so that none overtakes another. The window bounds what is written and not yet read; its
//! updates take no time, but do not pass a cut.

use std::{collections::VecDeque, io, mem, net::SocketAddr, task::Waker};

use tokio::io::ReadBuf;

/// What travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// The answer to a dial.
    SynAck,
    /// The answer to that; the server's connection can be accepted from here on.
    Ack,
    /// So many bytes of the pipe's queue.
    Data(usize),
    /// The orderly end.
    Fin,
    /// The other end is gone.
    Rst,
}

impl Segment {
    pub(super) fn bytes(self) -> usize {
        if let Self::Data(count) = self { count } else { 0 }
    }
}

/// Where an end is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// The server's, before the dial has reached it.
    Absent,
    /// The client's, until it is answered.
    Dialing,
    /// The server's, until the handshake is complete: in the backlog of this listener.
    HalfOpen(u64),
    /// Waits to be accepted.
    Queued,
    /// Somebody holds the stream.
    Open,
    /// Nobody does any more.
    Gone,
}

pub(super) struct End {
    pub(super) host: usize,
    pub(super) address: SocketAddr,
    pub(super) life: Life,
    /// What its reads and writes fail with.
    pub(super) broken: Option<io::ErrorKind>,
    /// Whether a write has failed with it.
    pub(super) told: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl End {
    pub(super) fn new(host: usize, address: SocketAddr, life: Life) -> Self {
        Self { host, address, life, broken: None, told: false, reader: None, writer: None }
    }

    /// Whether nobody will use it again.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.life, Life::Gone | Life::Absent)
    }
}

/// One direction.
pub(super) struct Pipe {
    pub(super) link: usize,
    /// Written and not yet read: first what has arrived, then what flies, then what is held.
    pub(super) bytes: VecDeque<u8>,
    pub(super) arrived: usize,
    /// On the way, with the microsecond of the arrival.
    pub(super) flying: VecDeque<(u64, Segment)>,
    /// Behind a cut.
    pub(super) held: VecDeque<Segment>,
    /// When the first of it was sent, in nanoseconds.
    pub(super) held_since: u64,
    pub(super) last_arrival: u64,
    /// Read, but the news of it are behind a cut.
    pub(super) uncredited: usize,
    pub(super) fin_sent: bool,
    pub(super) fin_arrived: bool,
    pub(super) reset_sent: bool,
}

/// A pipe that has been emptied keeps no more room than this: an idle connection shall cost little.
const IDLE_ROOM: usize = 4096;

impl Pipe {
    pub(super) fn new(link: usize) -> Self {
        Self {
            link,
            bytes: VecDeque::new(),
            arrived: 0,
            flying: VecDeque::new(),
            held: VecDeque::new(),
            held_since: 0,
            last_arrival: 0,
            uncredited: 0,
            fin_sent: false,
            fin_arrived: false,
            reset_sent: false,
        }
    }

    /// How many bytes may be written.
    pub(super) fn room(&self, window: usize) -> usize {
        window.saturating_sub(self.bytes.len() + self.uncredited)
    }

    /// Takes what has arrived into `out`, which is not filled with zeros before: its owners keep large ones. Returns
    /// how much it was.
    pub(super) fn take(&mut self, out: &mut ReadBuf<'_>) -> usize {
        let count = self.arrived.min(out.remaining());
        let (front, back) = self.bytes.as_slices();
        let first = count.min(front.len());
        out.put_slice(&front[..first]);
        out.put_slice(&back[..count - first]);
        self.consume(count);
        count
    }

    /// Drops the first `count` bytes, which have arrived.
    fn consume(&mut self, count: usize) {
        self.arrived -= count;
        if count < self.bytes.len() {
            self.bytes.drain(..count);
        } else if self.bytes.capacity() > IDLE_ROOM {
            self.bytes = VecDeque::new();
        } else {
            self.bytes.clear();
        }
    }

    /// Nobody will read what has arrived.
    pub(super) fn discard_arrived(&mut self) {
        self.consume(self.arrived);
    }

    /// Keeps `segment` until the link is repaired.
    pub(super) fn hold(&mut self, segment: Segment, now: u64) {
        if self.held.is_empty() {
            self.held_since = now;
        }
        match (self.held.back_mut(), segment) {
            (Some(Segment::Data(sum)), Segment::Data(count)) => *sum += count,
            _ => self.held.push_back(segment),
        }
    }

    /// Its sender will not send again what is held.
    pub(super) fn forget_held(&mut self) {
        let bytes: usize = mem::take(&mut self.held).into_iter().map(Segment::bytes).sum();
        self.bytes.truncate(self.bytes.len() - bytes);
    }

    /// What flies does not arrive: its sender will have to send it again.
    pub(super) fn strand(&mut self, now: u64) -> u64 {
        let mut bytes = 0;
        let behind = mem::take(&mut self.held);
        for (_, segment) in mem::take(&mut self.flying) {
            // A reset is not sent again.
            if segment != Segment::Rst {
                bytes += segment.bytes() as u64;
                self.hold(segment, now);
            }
        }
        for segment in behind {
            self.hold(segment, now);
        }
        bytes
    }

    fn is_quiet(&self) -> bool {
        self.flying.is_empty() && self.held.is_empty()
    }
}

/// A connection: end 0 has dialed; pipe `i` leads from end `i` to the other.
pub(super) struct Connection {
    pub(super) ends: [End; 2],
    pub(super) pipes: [Pipe; 2],
    /// Whether the first packet of its dial met a cut or a dead machine, the last time that it was sent.
    pub(super) hung: bool,
}

impl Connection {
    /// Whether nothing more can happen to it.
    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(End::is_over) && self.pipes.iter().all(Pipe::is_quiet)
    }
}

/// Names a connection. Places are used again, numbers are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) place: usize,
    pub(super) number: u64,
}

/// The connections, in places.
#[derive(Default)]
pub(super) struct Table {
    places: Vec<Option<(u64, Connection)>>,
    free: Vec<usize>,
    next: u64,
}

impl Table {
    pub(super) fn insert(&mut self, connection: Connection) -> Key {
        let number = self.next;
        self.next += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some((number, connection));
        Key { place, number }
    }

    pub(super) fn get(&mut self, key: Key) -> Option<&mut Connection> {
        match self.places.get_mut(key.place) {
            Some(Some((number, connection))) if *number == key.number => Some(connection),
            _ => None,
        }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Connection> {
        self.get(key)?;
        self.free.push(key.place);
        self.places[key.place].take().map(|(_, connection)| connection)
    }

    /// All, in the order of their places.
    pub(super) fn keys(&self) -> Vec<Key> {
        let entries = self.places.iter().enumerate();
        entries
            .filter_map(|(place, entry)| {
                entry.as_ref().map(|(number, _)| Key { place, number: *number })
            })
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}
