//! Listening and dialing: ports, backlogs and the handshake.
//!
//! A dial takes one round trip. Its first packet is not held by a cut but lost, and so it is when the backlog is full: it is
//! sent again after 1 s, 2 s, 4 s, … (RFC 6298), and the dial fails after the seventh has waited in vain, at 127 s,
//! as Linux does it (`tcp_syn_retries`). Where nothing listens it is refused after a round trip. A connection can be
//! accepted when the handshake's third packet has arrived, half a round trip after the client may write.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    task::{Context, Poll, Waker},
};

use super::{
    connection::{Connection, End, Key, Life, Pipe, Segment},
    state::{Event, HostState, Leaving, State},
};
use crate::{BindOptions, Sharing};

/// Ports for dials and for listeners that do not care, as Linux chooses them (`ip_local_port_range`).
pub(super) const EPHEMERAL: std::ops::RangeInclusive<u16> = 32_768..=60_999;
/// So often the first packet of a dial is sent again (`tcp_syn_retries`).
const DIAL_RETRIES: u32 = 6;

/// A listener.
pub(super) struct Listening {
    pub(super) host: usize,
    pub(super) address: SocketAddr,
    pub(super) backlog: usize,
    pub(super) half_open: usize,
    pub(super) queue: VecDeque<Key>,
    pub(super) wakers: Vec<Waker>,
}

/// Who listens at an address.
pub(super) struct Bound {
    sharing: Sharing,
    listeners: Vec<u64>,
    /// Whose turn it is.
    next: usize,
}

const LOWEST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl State {
    pub(super) fn bind(
        &mut self,
        host: usize,
        mut address: SocketAddr,
        options: BindOptions,
    ) -> io::Result<(u64, SocketAddr)> {
        self.up(host)?;
        let ip = address.ip();
        if ip != self.hosts[host].ip && !ip.is_loopback() && !ip.is_unspecified() {
            let message = format!("{ip} is not an address of `{}`", self.hosts[host].name);
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message));
        }
        if address.port() == 0 {
            let free = EPHEMERAL.rev().find(|port| self.listening_on(host, *port).next().is_none());
            address.set_port(free.ok_or(io::ErrorKind::AddrInUse)?);
        }
        let taken = self.listening_on(host, address.port()).any(|(other, bound)| {
            let shared = bound.sharing == Sharing::Shared && options.sharing == Sharing::Shared;
            let meet = other == ip || other.is_unspecified() || ip.is_unspecified();
            meet && !(other == ip && shared)
        });
        if taken {
            let message = format!("something listens on {address} already");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
        }
        let id = self.next_listener;
        self.next_listener += 1;
        let bound = self.bound.entry((host, address.port(), ip)).or_insert_with(|| Bound {
            sharing: options.sharing,
            listeners: Vec::new(),
            next: 0,
        });
        bound.listeners.push(id);
        let listening = Listening {
            host,
            address,
            backlog: (options.backlog as usize).max(1),
            half_open: 0,
            queue: VecDeque::new(),
            wakers: Vec::new(),
        };
        self.listeners.insert(id, listening);
        Ok((id, address))
    }

    fn listening_on(&self, host: usize, port: u16) -> impl Iterator<Item = (IpAddr, &Bound)> {
        let from = self.bound.range((host, port, LOWEST)..);
        from.take_while(move |((at, on, _), _)| (*at, *on) == (host, port))
            .map(|((_, _, ip), bound)| (*ip, bound))
    }

    /// Ends a listener; what waits in its backlog is reset, or left in silence.
    pub(super) fn unbind(&mut self, id: u64, how: Leaving) {
        let Some(listening) = self.listeners.remove(&id) else { return };
        let place = (listening.host, listening.address.port(), listening.address.ip());
        if let Some(bound) = self.bound.get_mut(&place) {
            bound.listeners.retain(|other| *other != id);
            if bound.listeners.is_empty() {
                self.bound.remove(&place);
            }
        }
        for key in listening.queue {
            self.abandon(key, 1, how);
        }
        self.wakes.extend(listening.wakers);
    }

    pub(super) fn poll_accept(
        &mut self,
        id: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Key, SocketAddr)>> {
        let Some(listening) = self.listeners.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        };
        while let Some(key) = listening.queue.pop_front() {
            if let Some(connection) = self.table.get(key) {
                connection.ends[1].life = Life::Open;
                return Poll::Ready(Ok((key, connection.ends[0].address)));
            }
        }
        if !listening.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            listening.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn up(&self, host: usize) -> io::Result<()> {
        let HostState { name, down, .. } = &self.hosts[host];
        if down.is_none() {
            return Ok(());
        }
        let message = format!("`{name}` has crashed and was not restarted");
        Err(io::Error::new(io::ErrorKind::NotConnected, message))
    }

    /// Starts a dial.
    pub(super) fn dial(&mut self, host: usize, address: SocketAddr) -> io::Result<Key> {
        self.up(host)?;
        let (own, to) = if address.ip().is_loopback() {
            (address.ip(), host)
        } else {
            let Some(&to) = self.addresses.get(&address.ip()) else {
                let message = format!("no host of this network has the address {}", address.ip());
                return Err(io::Error::new(io::ErrorKind::HostUnreachable, message));
            };
            (self.hosts[host].ip, to)
        };
        let port = self.free_port(host, address)?;
        let pipes = [self.link(host, to), self.link(to, host)].map(Pipe::new);
        let client = End::new(host, SocketAddr::new(own, port), Life::Dialing);
        let server = End::new(to, address, Life::Absent);
        let key = self.table.insert(Connection { ends: [client, server], pipes, hung: false });
        self.knock(key, 0);
        Ok(key)
    }

    fn free_port(&mut self, host: usize, address: SocketAddr) -> io::Result<u16> {
        let host = &mut self.hosts[host];
        for _ in EPHEMERAL {
            let port = host.next_port;
            host.next_port = if port == *EPHEMERAL.end() { *EPHEMERAL.start() } else { port + 1 };
            if host.ports.insert((address, port)) {
                return Ok(port);
            }
        }
        let message = format!("`{}` has no free port for another dial to {address}", host.name);
        Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message))
    }

    /// Sends the first packet of a dial, and sees to it that it is sent again.
    pub(super) fn knock(&mut self, key: Key, attempt: u32) {
        let Some(connection) = self.table.get(key) else { return };
        let client = &mut connection.ends[0];
        if client.life != Life::Dialing || client.broken.is_some() {
            return;
        }
        if attempt > DIAL_RETRIES {
            client.broken = Some(io::ErrorKind::TimedOut);
            let dialer = client.reader.take();
            self.wake(dialer);
            return;
        }
        let link = connection.pipes[0].link;
        let hung = connection.hung;
        let now = self.now();
        if self.is_blocked(link) {
            self.hits.dials_hung += u64::from(attempt == 0);
            if !hung {
                self.hang(key);
            }
        } else if self.links[link].loses() {
            self.hits.segments_lost += 1;
        } else {
            if hung {
                self.let_through(link, 1);
            }
            let arrival = self.links[link].carry_dial(now);
            self.schedule(arrival.div_ceil(1000), Event::Syn(key));
        }
        self.schedule(
            (now + (1_000_000_000 << attempt)).div_ceil(1000),
            Event::Dial(key, attempt + 1),
        );
    }

    /// Notes that a cut or a dead machine has swallowed the first packet of a dial.
    fn hang(&mut self, key: Key) {
        let Some(connection) = self.table.get(key) else { return };
        connection.hung = true;
        let link = connection.pipes[0].link;
        self.hold_back(link, 1);
    }

    /// A dial has reached its host.
    pub(super) fn greet(&mut self, key: Key) {
        let Some(connection) = self.table.get(key) else { return };
        let server = &connection.ends[1];
        let (host, address) = (server.host, server.address);
        if server.life != Life::Absent || connection.ends[0].life != Life::Dialing {
            return;
        }
        if self.is_dead(host) {
            self.hits.dials_hung += 1;
            self.hang(key);
            return;
        }
        let exact = (host, address.port(), address.ip());
        let any = match address.ip() {
            IpAddr::V4(_) => LOWEST,
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let place =
            if self.bound.contains_key(&exact) { exact } else { (host, address.port(), any) };
        let Some(bound) = self.bound.get_mut(&place) else {
            self.send(key, 1, Segment::Rst);
            return;
        };
        let id = bound.listeners[bound.next % bound.listeners.len()];
        bound.next = (bound.next + 1) % bound.listeners.len();
        let Some(listening) = self.listeners.get_mut(&id) else { return };
        if listening.queue.len() + listening.half_open >= listening.backlog {
            self.hits.dials_dropped += 1;
            return;
        }
        listening.half_open += 1;
        if let Some(connection) = self.table.get(key) {
            connection.ends[1].life = Life::HalfOpen(id);
        }
        self.send(key, 1, Segment::SynAck);
    }

    /// The handshake is complete: the connection can be accepted.
    pub(super) fn shake(&mut self, key: Key, side: usize) {
        let Some(connection) = self.table.get(key) else { return };
        let server = &mut connection.ends[side];
        let Life::HalfOpen(id) = server.life else {
            if server.life == Life::Gone {
                self.refuse(key, side);
            }
            return;
        };
        match self.listeners.get_mut(&id) {
            Some(listening) => {
                server.life = Life::Queued;
                listening.half_open -= 1;
                listening.queue.push_back(key);
                let wakers = std::mem::take(&mut listening.wakers);
                self.wakes.extend(wakers);
            }
            None => self.abandon(key, side, Leaving::Abrupt),
        }
    }

    pub(super) fn poll_dial(&mut self, key: Key, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(connection) = self.table.get(key) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let client = &mut connection.ends[0];
        match (client.life, client.broken) {
            (Life::Dialing, None) => {
                client.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            (Life::Dialing, Some(kind)) => Poll::Ready(Err(kind.into())),
            // Reset since: its first read says so.
            (Life::Open, _) => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}
