//! The hosts of a simulated run and the links between them.
//!
//! Each proxy is a host, every endpoint is one, and so are the clients of each load, because each of these links can be cut
//! and slowed down by itself. Links carry in each direction what the scenario's `network` says. Addresses are made up
//! from the places of the endpoints and loads in the file, so that they are the same in every run.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime},
};

use net::{LinkSettings, SimulatedHost, SimulatedNet};

use crate::{
    fleet::Member,
    language::{Network, Scenario},
};

/// Midnight of the first of January 2026 in UTC, since 1970: the date at which every run begins.
const SINCE_1970: Duration = Duration::from_hours(20_454 * 24);
/// Where endpoints listen.
const PORT: u16 = 8080;

/// All hosts.
pub(super) struct Stage<N: SimulatedNet> {
    pub(super) network: N,
    /// In their order. They are called as [`Member::name`] says: no endpoint can be called so.
    pub(super) proxies: Vec<N::Host>,
    /// By the place of the load.
    pub(super) loads: Vec<N::Host>,
    /// Every endpoint that there ever is, by its place.
    pub(super) endpoints: Vec<N::Host>,
}

impl<N: SimulatedNet> Stage<N> {
    /// The hosts of a scenario.
    pub(super) fn new(scenario: &Scenario, network: N) -> io::Result<Self> {
        let proxies = Member::all(scenario);
        let proxies = proxies.map(|one| network.add_host(&one.name(), ip(0, one.index)));
        let proxies = proxies.collect::<io::Result<_>>()?;
        let loads = scenario.load.keys().zip(0..);
        let loads = loads.map(|(name, place)| network.add_host(&load_host(name), ip(1, place)));
        let loads = loads.collect::<io::Result<_>>()?;
        let endpoints = scenario.all_endpoints().into_iter().zip(0..);
        let endpoints = endpoints.map(|(name, place)| network.add_host(&name, ip(2, place)));
        Ok(Self { proxies, loads, endpoints: endpoints.collect::<io::Result<_>>()?, network })
    }

    /// Where an endpoint listens.
    pub(super) fn address(&self, endpoint: &str) -> Option<SocketAddr> {
        let found = self.endpoints.iter().find(|host| host.name() == endpoint);
        found.map(address_of)
    }
}

/// The date at which a run begins.
pub(super) fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH + SINCE_1970
}

/// What a link carries when nothing is wrong with it.
pub(super) fn link(network: &Network) -> LinkSettings {
    let Network { latency, bandwidth } = network;
    let plain = LinkSettings::default();
    LinkSettings {
        latency: latency.clone().unwrap_or(plain.latency),
        bandwidth: *bandwidth,
        loss: plain.loss,
    }
}

/// The host's name of a load's clients.
pub(super) fn load_host(load: &str) -> String {
    format!("clients of {load}")
}

/// Where an endpoint listens.
pub(super) fn address_of(host: &impl SimulatedHost) -> SocketAddr {
    SocketAddr::new(host.ip(), PORT)
}

/// The address of the `place`th host of a kind.
fn ip(kind: u8, place: u32) -> IpAddr {
    // 60,000 of a kind would be 16 of these networks: there is no scenario with as many.
    let [_, high, middle, low] = (place + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, kind * 16 + high, middle, low))
}
