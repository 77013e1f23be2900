//! The proxies: of each the configuration in force, and who waits there for room.
//!
//! They share the endpoints and nothing else. What one of them knows and decides by is in its [`Setup`](super::setup::Setup)s.

use policy::{Seed, limit::WaitingRoom};

use super::{cache::Cache, stages::Limits, world::World};
use crate::fleet::Member;

/// One proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) member: Member,
    /// What its only worker draws from.
    pub(super) seed: Seed,
    /// Which of the setups is in force.
    pub(super) current: u32,
    /// All that it has had, in order.
    pub(super) setups: Vec<u32>,
    /// Who waits for room, whichever setup it began with.
    pub(super) waiting: WaitingRoom,
    /// There may be room at an endpoint.
    pub(super) rung: bool,
    /// What it keeps of answers, if it does.
    pub(super) cache: Option<Cache>,
    /// How much its clients may ask for, if that is limited.
    pub(super) limits: Option<Limits>,
}

impl Proxy {
    /// The first process of a member of a run with this seed.
    pub(super) fn new(member: Member, run: Seed) -> Self {
        Self {
            member,
            // By the engine's names.
            seed: member.seed(run).nth(0).child("worker").nth(0),
            current: 0,
            setups: Vec::new(),
            waiting: WaitingRoom::new(),
            rung: false,
            cache: None,
            limits: None,
        }
    }
}

impl World<'_> {
    /// There may be room at an endpoint, for those who wait at this proxy.
    pub(super) fn ring(&mut self, proxy: u32) {
        self.proxies[proxy as usize].rung = true;
        self.rung = true;
    }

    /// Which proxy a setup is of.
    pub(super) fn proxy_of(&self, setup: u32) -> u32 {
        self.setups[setup as usize].proxy
    }

    /// Whether a setup is in force.
    pub(super) fn is_current(&self, setup: u32) -> bool {
        self.proxies[self.proxy_of(setup) as usize].current == setup
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
