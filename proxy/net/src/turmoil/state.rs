//! What the network consists of, and what faults do to it: hosts and the machines they are on, links, connections.
//!
//! A *machine* is turmoil's host: a runtime of its own, an address, ports. A *host* is ours. Each has a machine of its own while there
//! are enough; those beyond share the last ones, told apart by their ports, because turmoil's cost grows with the cube
//! of its hosts.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    task::Waker,
};

use policy::Seed;

use super::{
    flow::{Dial, Flow},
    link::{Freed, Link, sent_again},
    wire::{Message, Travel, What},
};
use crate::{
    Crash,
    fault::{FaultError, Hits, Kind, LinkSettings, NetworkFault, Place, Touched},
};

/// Machines that are shared when there are more hosts than machines.
pub(super) const SHARED: usize = 6;
/// turmoil's host panics when its ports are used up: we refuse before.
pub(super) const PORTS: std::ops::RangeInclusive<u16> = 10_000..=65_535;

pub(super) struct HostState {
    pub(super) name: Rc<str>,
    pub(super) ip: IpAddr,
    pub(super) machine: usize,
    pub(super) down: Option<Crash>,
    pub(super) touched: Touched,
}

/// The addresses of the ends that turmoil knows: who has dialed, and whom.
pub(super) type Key = (SocketAddr, SocketAddr);

pub(super) struct Connection {
    pub(super) hosts: [usize; 2],
    pub(super) flow: Rc<Flow>,
    pub(super) dial: Rc<Dial>,
    /// When the last message of each end arrives: none overtakes another.
    pub(super) last: [u64; 2],
    /// Messages of each end that wait for the end of a cut, and until when.
    pub(super) held: [usize; 2],
    pub(super) release: [u64; 2],
    /// Whether its first packet met a cut or a dead machine.
    pub(super) hung: bool,
}

/// A dial of which turmoil has just sent the first packet.
pub(super) struct NewDial {
    pub(super) client: usize,
    pub(super) server: usize,
    pub(super) from: IpAddr,
    pub(super) to: SocketAddr,
    pub(super) dial: Rc<Dial>,
}

/// A listener, at the address that turmoil knows.
pub(super) struct Listening {
    pub(super) host: usize,
    pub(super) backlog: usize,
    /// Connections that have not been accepted yet.
    pub(super) waiting: Cell<usize>,
}

pub(super) struct State {
    pub(super) seed: Seed,
    pub(super) link: LinkSettings,
    /// Nanoseconds of the scenario.
    pub(super) now: u64,
    pub(super) tick: u64,
    machines: usize,
    pub(super) addresses_of_machines: Vec<IpAddr>,
    pub(super) hosts: Vec<HostState>,
    names: BTreeMap<Rc<str>, usize>,
    addresses: BTreeMap<IpAddr, usize>,
    pub(super) links: Vec<Link>,
    link_of: BTreeMap<(usize, usize), usize>,
    pub(super) connections: BTreeMap<Key, Connection>,
    pub(super) listeners: BTreeMap<SocketAddr, Rc<Listening>>,
    ports: BTreeMap<(usize, u16), u16>,
    pub(super) dials: Vec<NewDial>,
    dialed: Vec<usize>,
    /// What turmoil holds for each pair of machines, in its order.
    pub(super) lanes: Vec<Vec<Message>>,
    /// Messages that turmoil does not know of: answers to dials, and resets from nowhere.
    pub(super) signals: Vec<Message>,
    /// When the next message is due.
    pub(super) next: u64,
    pub(super) hits: Hits,
    pub(super) trace: u64,
    pub(super) segments: u64,
    pub(super) wakes: Vec<Waker>,
    /// Crashes and restarts that were asked for while a host ran.
    pub(super) pending: Vec<NetworkFault>,
}

impl State {
    pub(super) fn new(seed: Seed, link: LinkSettings, tick: u64, machines: usize) -> Self {
        Self {
            seed,
            link,
            now: 0,
            tick,
            machines,
            addresses_of_machines: Vec::new(),
            hosts: Vec::new(),
            names: BTreeMap::new(),
            addresses: BTreeMap::new(),
            links: Vec::new(),
            link_of: BTreeMap::new(),
            connections: BTreeMap::new(),
            listeners: BTreeMap::new(),
            ports: BTreeMap::new(),
            dials: Vec::new(),
            dialed: Vec::new(),
            lanes: Vec::new(),
            signals: Vec::new(),
            next: u64::MAX,
            hits: Hits::default(),
            trace: 0,
            segments: 0,
            wakes: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Another host; returns its number, and its machine's if that is to be made.
    pub(super) fn add_host(
        &mut self,
        name: &str,
        ip: IpAddr,
    ) -> io::Result<(usize, Option<usize>)> {
        let bad = |text| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || !ip.is_ipv4() {
            return bad(format!("{ip} cannot be the address of a host: turmoil wants an IPv4 one"));
        }
        if self.names.contains_key(name) {
            return bad(format!("there is a host `{name}` already"));
        }
        if self.addresses.contains_key(&ip) {
            return bad(format!("there is a host at {ip} already"));
        }
        let index = self.hosts.len();
        let made = index < self.machines;
        let shared = SHARED.min(self.machines);
        let machine = if made { index } else { self.machines - shared + index % shared };
        if made {
            self.addresses_of_machines.push(ip);
            self.dialed.push(0);
        }
        let name: Rc<str> = name.into();
        self.names.insert(Rc::clone(&name), index);
        self.addresses.insert(ip, index);
        self.hosts.push(HostState { name, ip, machine, down: None, touched: Touched::default() });
        Ok((index, made.then_some(machine)))
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    fn known(&self, name: &str) -> Result<usize, FaultError> {
        self.find(name).ok_or_else(|| FaultError::UnknownHost(name.to_owned()))
    }

    pub(super) fn machine_ip(&self, host: usize) -> IpAddr {
        self.addresses_of_machines[self.hosts[host].machine]
    }

    /// The port of its machine that stands for this port of a host. A host that shares its machine may get another.
    pub(super) fn port(&mut self, host: usize, port: u16) -> u16 {
        if let Some(known) = self.ports.get(&(host, port)) {
            return *known;
        }
        let machine = self.hosts[host].machine;
        let taken: BTreeSet<u16> = self
            .ports
            .iter()
            .filter(|((other, _), _)| self.hosts[*other].machine == machine)
            .map(|(_, port)| *port)
            .collect();
        let free = std::iter::once(port).chain(1..=u16::MAX).find(|port| !taken.contains(port));
        let own = free.unwrap_or(port);
        self.ports.insert((host, port), own);
        own
    }

    /// Whether a listener is at this port of a host's machine.
    pub(super) fn listens(&self, host: usize, port: u16) -> bool {
        self.listeners.contains_key(&SocketAddr::new(self.machine_ip(host), port))
    }

    /// A listener begins at `place`, which its host calls by this port.
    pub(super) fn listen(&mut self, place: SocketAddr, listening: &Rc<Listening>, port: u16) {
        self.ports.insert((listening.host, port), place.port());
        self.listeners.insert(place, Rc::clone(listening));
    }

    /// A connection has been accepted: the client's address, and what its ends share.
    pub(super) fn accepted(&mut self, key: Key) -> Option<(IpAddr, Rc<Flow>)> {
        let connection = self.connections.get(&key)?;
        let flow = Rc::clone(&connection.flow);
        let ip = self.hosts[connection.hosts[0]].ip;
        flow.0[1].gone.set(false);
        self.signal(key, 1, What::SynAck);
        Some((ip, flow))
    }

    /// Where turmoil finds `address`: the host, and its machine's address and port.
    pub(super) fn target(
        &mut self,
        from: usize,
        address: SocketAddr,
    ) -> io::Result<(usize, SocketAddr)> {
        const MOST: usize = (*PORTS.end() - *PORTS.start()) as usize - 1000;
        let machine = self.hosts[from].machine;
        if self.hosts[from].down.is_some() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let (to, ip) = if address.ip().is_loopback() {
            (from, address.ip())
        } else {
            let Some(&to) = self.addresses.get(&address.ip()) else {
                let message = format!("no host of this network has the address {}", address.ip());
                return Err(io::Error::new(io::ErrorKind::HostUnreachable, message));
            };
            (to, self.machine_ip(to))
        };
        // turmoil never frees the port of a dial that failed.
        if self.dialed[machine] >= MOST {
            let name = &self.hosts[from].name;
            let message = format!("`{name}` has no free port for another dial to {address}");
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message));
        }
        Ok((to, SocketAddr::new(ip, self.port(to, address.port()))))
    }

    /// A dial occupies a port of its machine, or no longer does.
    pub(super) fn occupy(&mut self, host: usize) {
        self.dialed[self.hosts[host].machine] += 1;
    }

    pub(super) fn vacate(&mut self, host: usize) {
        let count = &mut self.dialed[self.hosts[host].machine];
        *count = count.saturating_sub(1);
    }

    pub(super) fn resolve(&self, name: &str) -> Option<IpAddr> {
        self.find(name).map(|index| self.hosts[index].ip)
    }

    pub(super) fn link(&mut self, from: usize, to: usize) -> usize {
        if let Some(&index) = self.link_of.get(&(from, to)) {
            return index;
        }
        let name = format!("{} to {}", self.hosts[from].name, self.hosts[to].name);
        self.links.push(Link::new(from, to, self.link.clone(), self.seed.child(&name)));
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

    /// Whether others are on this host's machine.
    fn is_shared(&self, host: usize) -> bool {
        let machine = self.hosts[host].machine;
        self.hosts.iter().filter(|other| other.machine == machine).count() > 1
    }

    /// Checks a crash or a restart, and begins to count it.
    pub(super) fn begin(&mut self, name: &str, kind: Kind) -> Result<usize, FaultError> {
        let host = self.known(name)?;
        if self.is_shared(host) {
            let message = format!(
                "`{name}` shares its machine in this network, so it cannot crash alone: let there be at most {} \
                 hosts, or add `{name}` before the {}th",
                self.machines,
                self.machines - SHARED.min(self.machines) + 1
            );
            return Err(FaultError::Unsupported(message));
        }
        self.hosts[host].touched.begin(kind);
        Ok(host)
    }

    /// Applies a fault of a link.
    pub(super) fn change(&mut self, fault: &NetworkFault) -> Result<(), FaultError> {
        let Place::Link(from, to) = fault.place() else { return Ok(()) };
        let (from, to) = (self.known(from)?, self.known(to)?);
        if self.hosts[from].machine == self.hosts[to].machine {
            let [from, to] = [from, to].map(|host| &self.hosts[host].name);
            let message =
                format!("`{from}` and `{to}` are on one machine: nothing lies between them");
            return Err(FaultError::Unsupported(message));
        }
        let possible = |settings: &LinkSettings| match settings.problem() {
            Some((name, what)) => Err(FaultError::Impossible(name, what)),
            None => Ok(()),
        };
        let index = self.link(from, to);
        let mut settings = self.links[index].settings.clone();
        match fault {
            NetworkFault::Latency { latency, .. } => settings.latency = latency.clone(),
            NetworkFault::Rate { bandwidth, .. } => settings.bandwidth = *bandwidth,
            NetworkFault::Loss { probability, .. } => settings.loss = *probability,
            _ => {}
        }
        possible(&settings)?;
        let link = &mut self.links[index];
        link.settings = settings;
        link.touched.begin(fault.kind());
        match fault {
            NetworkFault::Cut { .. } => link.cut = true,
            NetworkFault::Repair { .. } => {
                link.cut = false;
                self.resume(index, Freed::Repair);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn touched(&self, fault: &NetworkFault) -> Option<u64> {
        let touched = match fault.place() {
            Place::Link(from, to) => {
                let link = self.link_of.get(&(self.find(from)?, self.find(to)?))?;
                &self.links[*link].touched
            }
            Place::Host(host) => &self.hosts[self.find(host)?].touched,
        };
        Some(touched.get(fault.kind()))
    }

    /// A link lets something through again: what it holds is sent again at its sender's next turn.
    pub(super) fn resume(&mut self, link: usize, freed: Freed) {
        if self.is_blocked(link) {
            return;
        }
        self.links[link].freed = freed;
        let now = self.now;
        let held = self.lanes.iter_mut().flatten().chain(&mut self.signals);
        for message in held.filter(|message| message.travel == Travel::Held) {
            if message.link != link {
                continue;
            }
            let Some(connection) = self.connections.get_mut(&message.key) else { continue };
            let release = &mut connection.release[message.side];
            // The first of a stream says when; `now` has not come for those that were not released yet.
            if *release == u64::MAX {
                *release = sent_again(message.first, now);
            }
            message.travel = Travel::Again(*release);
            self.next = self.next.min(*release);
        }
    }

    /// The sockets of a host: ends of connections, and listeners.
    pub(super) fn sockets(&self, host: usize) -> u64 {
        let ends = self.connections.values().flat_map(|connection| {
            connection
                .hosts
                .iter()
                .zip(&connection.flow.0)
                .map(|(host, end)| (*host, end.gone.get()))
        });
        let ends = ends.filter(|(of, gone)| *of == host && !gone).count();
        let listeners = self.listeners.values().filter(|listening| listening.host == host).count();
        (ends + listeners) as u64
    }

    /// Forgets connections that are over.
    pub(super) fn forget(&mut self) {
        let travelling: BTreeSet<Key> = self
            .lanes
            .iter()
            .flatten()
            .chain(&self.signals)
            .filter(|message| message.travel != Travel::Never)
            .map(|message| message.key)
            .collect();
        self.connections
            .retain(|key, connection| !connection.flow.is_over() || travelling.contains(key));
    }
}
