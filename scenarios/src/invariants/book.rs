//! What the checker knows of proxies, configurations and endpoints: its own counts.
//!
//! A *process* is one proxy from its start to its end. It has one configuration after another, and what an earlier one has begun
//! it ends; so a fact names its configuration, and an endpoint is its place there. An endpoint that two configurations have in
//! common (same name, address, weight and limit) is one *slot*: its places are counted together, as the proxy must. A proxy of several
//! upstreams has a configuration of each: a *pool* is one upstream of one process, with who waits there.

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
}

/// One upstream of one process.
#[derive(Debug)]
pub(super) struct Pool {
    process: u32,
    /// Its name; empty for that of the proxy's own endpoints.
    name: String,
    pub(super) waiting: u32,
    /// Its newest configuration.
    pub(super) newest: u32,
    /// When a request last turned to an endpoint of it.
    last_turn: Instant,
}

/// One configuration of one pool: the bounds in it, and what is counted under it.
#[derive(Debug)]
pub(super) struct Setup {
    pool: u32,
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

impl Pool {
    fn is(&self, process: u32, name: &str) -> bool {
        (self.process, &*self.name) == (process, name)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Book {
    processes: Vec<Process>,
    pub(super) pools: Vec<Pool>,
    pub(super) setups: Vec<Setup>,
    slots: Vec<Slot>,
    /// By slot.
    identities: Vec<Identity>,
}

impl Invariants {
    /// Another process starts, which is the scenario's proxy of this number or takes its place; the number to call it by.
    pub fn process(&mut self, proxy: u32) -> u32 {
        let book = &mut self.book;
        book.processes.push(Process { proxy, clients: 0 });
        (book.processes.len() - 1) as u32
    }

    /// A configuration comes into force in that proxy, for its upstream of this name (empty for its own endpoints): the first one, or
    /// after a reload. The number to call it by.
    pub fn configured(
        &mut self,
        now: Instant,
        (process, upstream): (u32, &str),
        config: &ProxyConfig,
    ) -> u32 {
        self.book.configured(now, (process, upstream), config)
    }
}

impl Book {
    fn configured(
        &mut self,
        now: Instant,
        (process, upstream): (u32, &str),
        config: &ProxyConfig,
    ) -> u32 {
        let number = self.setups.len() as u32;
        let known = self.pools.iter().position(|pool| pool.is(process, upstream));
        let before = known.map(|pool| std::mem::replace(&mut self.pools[pool].newest, number));
        let pool = known.unwrap_or_else(|| {
            self.pools.push(Pool {
                process,
                name: upstream.to_owned(),
                waiting: 0,
                newest: number,
                last_turn: Instant::START,
            });
            self.pools.len() - 1
        });
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
            pool: pool as u32,
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

    /// The pool that has this configuration.
    pub(super) fn pool_of(&mut self, configuration: u32) -> &mut Pool {
        let pool = self.setups[configuration as usize].pool;
        &mut self.pools[pool as usize]
    }

    /// The proxy that has it.
    pub(super) fn process_of(&mut self, configuration: u32) -> &mut Process {
        let process = self.pool_of(configuration).process;
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
        let newest = self.pools[setup.pool as usize].newest;
        self.setups[newest as usize].slots.iter().any(|&other| {
            let other = &self.identities[other as usize];
            (&other.name, other.address) == (&wanted.name, wanted.address)
        })
    }

    #[inline]
    pub(super) fn note_turn(&mut self, now: Instant, configuration: u32) {
        let pool = self.setups[configuration as usize].pool;
        self.pools[pool as usize].last_turn = now;
    }

    /// When a request of the scenario's proxy of this number last turned to an endpoint of its upstream of this name.
    pub(super) fn last_turn(&self, proxy: u32, upstream: &str) -> Instant {
        let of_proxy = |pool: &&Pool| self.processes[pool.process as usize].proxy == proxy;
        let pools = self.pools.iter().filter(of_proxy).filter(|pool| pool.name == upstream);
        pools.map(|pool| pool.last_turn).max().unwrap_or_default()
    }
}
