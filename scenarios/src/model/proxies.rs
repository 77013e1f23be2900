//! The proxies: of each the configuration in force, and who waits there for room.
//!
//! They share the endpoints and nothing else. What one of them knows and decides by is in its [`Setup`](super::setup::Setup)s: one for each of its
//! upstreams, and another of each after a reload. For each upstream there is one [`Room`], whatever configuration those who wait there
//! began with.

use std::ops::Range;

use policy::{Seed, limit::WaitingRoom};

use super::{cache::Cache, services::Routing, world::World};
use crate::fleet::Member;

/// One proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) member: Member,
    /// What its only worker draws from.
    pub(super) seed: Seed,
    /// Which of the setups is in force for its own endpoints; those for its upstreams with names follow, up to `end`.
    pub(super) current: u32,
    end: u32,
    /// All that it has had, in order.
    pub(super) setups: Vec<u32>,
    /// What it keeps of answers, if it does.
    pub(super) cache: Option<Cache>,
    /// Which request takes which route, and what lies on its way.
    pub(super) routing: Routing,
}

impl Proxy {
    /// The first process of a member of a run with this seed.
    pub(super) fn new(member: Member, run: Seed) -> Self {
        Self {
            member,
            // By the engine's names.
            seed: member.seed(run).nth(0).child("worker").nth(0),
            current: 0,
            end: 0,
            setups: Vec::new(),
            cache: None,
            routing: Routing::default(),
        }
    }

    /// The setups in force, one of each upstream: that of its own endpoints first.
    pub(super) fn in_force(&self) -> Range<u32> {
        self.current..self.end
    }

    /// These are in force from now on.
    pub(super) fn put_in_force(&mut self, setups: Range<u32>) {
        (self.current, self.end) = (setups.start, setups.end);
        self.setups.extend(setups);
    }
}

/// Who waits at one upstream of a proxy.
#[derive(Debug)]
pub(super) struct Room {
    proxy: u32,
    /// The upstream's name; empty for the proxy's own endpoints.
    pub(super) upstream: String,
    /// How many wait, whichever setup they began with.
    pub(super) waiting: WaitingRoom,
    /// There may be room at an endpoint.
    pub(super) rung: bool,
    /// All setups that the upstream has had, in order.
    pub(super) setups: Vec<u32>,
}

impl World<'_> {
    /// There may be room at an endpoint, for those who wait where this setup's requests do.
    pub(super) fn ring(&mut self, setup: u32) {
        let room = self.setups[setup as usize].room;
        self.rooms[room as usize].rung = true;
        self.rung = true;
    }

    /// The room of a proxy's upstream of this name, a new one if there is none.
    pub(super) fn room_of(&mut self, proxy: u32, upstream: &str) -> u32 {
        let mut rooms = self.rooms.iter();
        let known = rooms.position(|room| (room.proxy, &*room.upstream) == (proxy, upstream));
        let place = known.unwrap_or_else(|| {
            self.rooms.push(Room {
                proxy,
                upstream: upstream.to_owned(),
                waiting: WaitingRoom::new(),
                rung: false,
                setups: Vec::new(),
            });
            self.rooms.len() - 1
        });
        place as u32
    }

    /// Which proxy a setup is of.
    pub(super) fn proxy_of(&self, setup: u32) -> u32 {
        self.setups[setup as usize].proxy
    }

    /// Whether a setup is in force.
    pub(super) fn is_current(&self, setup: u32) -> bool {
        self.proxies[self.proxy_of(setup) as usize].in_force().contains(&setup)
    }

    /// The link between a proxy and the clients of a load.
    pub(super) fn link_from(&self, proxy: u32, load: u32) -> u32 {
        proxy * self.stride + load
    }

    /// The link between a proxy and an endpoint.
    pub(super) fn link_to(&self, proxy: u32, endpoint: u32) -> u32 {
        proxy * self.stride + self.clients.len() as u32 + endpoint
    }
}
