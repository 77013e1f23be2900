//! What the checker knows of proxies, configurations and endpoints: its own counts.
//!
//! A *process* is one proxy from its start to its end. It has one configuration after another, and what an earlier one has begun
//! it ends; so a fact names its configuration, and an endpoint is its place there. An endpoint that two configurations have in
//! common (same name, address, weight and limit) is one *slot*: its places are counted together, as the proxy must.

use std::{collections::BTreeMap, net::SocketAddr};

use policy::Instant;
use proxy::config::ProxyConfig;

use super::{Invariants, budget::Budget};

/// One proxy, from its start to its end.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// Which of the scenario's.
    proxy: u32,
    pub(super) clients: u32,
    pub(super) waiting: u32,
    /// Its newest configuration.
    pub(super) newest: Option<u32>,
}

/// One configuration of one proxy: the bounds in it, and what is counted under it.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) process: u32,
    /// Which of the scenario's proxies that is.
    pub(super) proxy: u32,
    /// When another one took its place.
    pub(super) replaced: Instant,
    pub(super) panic_threshold: f64,
    pub(super) most_clients: u32,
    pub(super) most_connections: u32,
    pub(super) most_waiting: u32,
    pub(super) most_sendings: u32,
    pub(super) longest_ejection: std::time::Duration,
    /// By place.
    pub(super) slots: Vec<u32>,
    /// By place: connections that were dialled under it.
    pub(super) connections: Vec<u32>,
    pub(super) budget: Budget,
}

/// An endpoint, as far as its places are counted together. Nothing else is in here: two facts of every request look it up, and of
/// ten thousand endpoints these should still be in a near cache.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) in_flight: u32,
    pub(super) most_in_flight: u32,
}

/// What an endpoint is known by.
#[derive(Debug)]
struct Identity {
    name: String,
    address: SocketAddr,
    weight: u32,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) processes: Vec<Process>,
    pub(super) setups: Vec<Setup>,
    slots: Vec<Slot>,
    /// By slot.
    identities: Vec<Identity>,
    /// By proxy of the scenario: when a request of it last turned to an endpoint.
    last_turns: Vec<Instant>,
}

impl Invariants {
    /// Another process starts, which is the scenario's proxy of this number or takes its place; the number to call it by.
    pub fn process(&mut self, proxy: u32) -> u32 {
        let book = &mut self.book;
        book.processes.push(Process { proxy, ..Process::default() });
        let proxies = book.last_turns.len().max(proxy as usize + 1);
        book.last_turns.resize(proxies, Instant::START);
        (book.processes.len() - 1) as u32
    }

    /// A configuration comes into force in that proxy: the first one, or after a reload. The number to call it by.
    pub fn configured(&mut self, now: Instant, process: u32, config: &ProxyConfig) -> u32 {
        self.book.configured(now, process, config)
    }
}

impl Book {
    fn configured(&mut self, now: Instant, process: u32, config: &ProxyConfig) -> u32 {
        let number = self.setups.len() as u32;
        let before = self.processes[process as usize].newest.replace(number);
        let mut kept = BTreeMap::new();
        if let Some(before) = before {
            let before = &mut self.setups[before as usize];
            before.replaced = now;
            for &slot in &before.slots {
                let Identity { name, address, .. } = &self.identities[slot as usize];
                kept.entry((name.clone(), *address)).or_insert(slot);
            }
        }
        let mut slots = Vec::with_capacity(config.endpoints.len());
        for endpoint in &config.endpoints {
            let identity = Identity {
                name: endpoint.name().into_owned(),
                address: endpoint.address,
                weight: endpoint.weight,
            };
            let new = Slot {
                in_flight: 0,
                most_in_flight: endpoint
                    .max_in_flight
                    .or(config.limits.endpoint_in_flight)
                    .unwrap_or(u32::MAX)
                    .max(1),
            };
            let known = kept.get(&(identity.name.clone(), identity.address)).copied();
            let known = known.filter(|&slot| {
                self.identities[slot as usize].weight == identity.weight
                    && self.slots[slot as usize].most_in_flight == new.most_in_flight
            });
            slots.push(known.unwrap_or_else(|| {
                self.slots.push(new);
                self.identities.push(identity);
                (self.slots.len() - 1) as u32
            }));
        }
        self.setups.push(Setup {
            process,
            proxy: self.processes[process as usize].proxy,
            replaced: Instant::NEVER,
            panic_threshold: config.balance.panic_threshold,
            most_clients: config.limits.connections,
            most_connections: config.limits.endpoint_connections.unwrap_or(u32::MAX),
            most_waiting: config.queue.max_waiting,
            // Each try may be replayed once on a fresh connection.
            most_sendings: 2 * (config.retry.attempts + 1),
            longest_ejection: config.outlier.max_ejection.0,
            connections: vec![0; slots.len()],
            slots,
            budget: Budget::new(config, now),
        });
        number
    }

    #[inline]
    pub(super) fn setup(&mut self, configuration: u32) -> &mut Setup {
        &mut self.setups[configuration as usize]
    }

    #[inline]
    pub(super) fn slot(&mut self, configuration: u32, place: u32) -> &mut Slot {
        let slot = self.setups[configuration as usize].slots[place as usize];
        &mut self.slots[slot as usize]
    }

    /// The proxy that has this configuration.
    pub(super) fn process_of(&mut self, configuration: u32) -> &mut Process {
        let process = self.setups[configuration as usize].process;
        &mut self.processes[process as usize]
    }

    pub(super) fn name(&self, configuration: u32, place: u32) -> &str {
        let slot = self.setups[configuration as usize].slots[place as usize];
        &self.identities[slot as usize].name
    }

    /// The slots with the names of their endpoints.
    pub(super) fn named(&self) -> impl Iterator<Item = (&Slot, &str)> {
        self.slots.iter().zip(self.identities.iter().map(|identity| identity.name.as_str()))
    }

    /// Whether the endpoint is in the proxy's newest configuration too, by name and address.
    pub(super) fn is_still_there(&self, configuration: u32, place: u32) -> bool {
        let setup = &self.setups[configuration as usize];
        let wanted = &self.identities[setup.slots[place as usize] as usize];
        let newest = self.processes[setup.process as usize].newest.unwrap_or(configuration);
        self.setups[newest as usize].slots.iter().any(|&other| {
            let other = &self.identities[other as usize];
            (&other.name, other.address) == (&wanted.name, wanted.address)
        })
    }

    #[inline]
    pub(super) fn note_turn(&mut self, now: Instant, configuration: u32) {
        let proxy = self.setups[configuration as usize].proxy;
        self.last_turns[proxy as usize] = now;
    }

    /// When a request of the scenario's proxy of this number last turned to an endpoint.
    pub(super) fn last_turn(&self, proxy: u32) -> Instant {
        self.last_turns.get(proxy as usize).copied().unwrap_or_default()
    }
}
