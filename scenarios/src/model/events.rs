//! The events of a scenario, performed on the model.
//!
//! What is done to an endpoint is what `backend_sim`'s control does to its station and its door; what is done to the proxy is a
//! reload; what is done to a link is done to the model's link.

use backend_sim::Fault;
use policy::{Instant, Seed};
use proxy::config::ProxyConfig;

use super::{
    backend::{Failing, Owner},
    link::{Direction, next_retry},
    setup::{Setup, endpoint_config},
    world::{Event, Message, Source, World},
};
use crate::{
    language::{Action, Moment, Target, pools},
    reload,
};

impl World<'_> {
    /// Does what is to happen now.
    pub(super) fn perform(&mut self, index: usize) {
        let moment = self.timeline[index].clone();
        let endpoints: Vec<u32> =
            moment.endpoints.iter().filter_map(|name| self.places.get(name).copied()).collect();
        match &moment.action {
            Action::Fault { fault, .. } => {
                for endpoint in endpoints {
                    self.apply(endpoint, *fault);
                }
            }
            Action::Partition(target) => {
                for link in self.links_of(target, &moment, &endpoints) {
                    self.links[link as usize].cut(self.now);
                    self.links_froze(link);
                }
            }
            Action::Repair(target) => {
                for link in self.links_of(target, &moment, &endpoints) {
                    let own = self.scenario.network.latency.clone();
                    let link_state = &mut self.links[link as usize];
                    link_state.set_latency(own.as_ref());
                    let held = link_state.repair();
                    self.links_froze(link);
                    for (since, message) in held {
                        let at = next_retry(since, self.now, is_dial(message));
                        self.agenda.plan(at, Event::Again(link, message));
                    }
                }
            }
            Action::Latency { target, one_way } => {
                for link in self.links_of(target, &moment, &endpoints) {
                    self.links[link as usize].set_latency(Some(one_way));
                }
            }
            Action::Add { .. } | Action::Remove { .. } | Action::Reload { .. } => {
                for proxy in moment.proxies.clone() {
                    self.reload(proxy, &moment);
                }
            }
            Action::Purge { what, soft } => self.purge(&moment, what, *soft),
            Action::Drop { .. } | Action::Redis(_) | Action::RestartProxy { .. } => {
                self.notes.push(format!(
                    "event at {:?}, {}: the model cannot do this",
                    moment.at, moment.label
                ));
            }
        }
    }

    fn links_of(&self, target: &Target, moment: &Moment, endpoints: &[u32]) -> Vec<u32> {
        let of_one = |proxy| match target {
            Target::Endpoint(_) => {
                endpoints.iter().map(|&each| self.link_to(proxy, each)).collect::<Vec<u32>>()
            }
            Target::Load(load) => {
                let place = self.clients.iter().position(|clients| clients.name == *load);
                place.map(|place| self.link_from(proxy, place as u32)).into_iter().collect()
            }
        };
        moment.proxies.clone().flat_map(of_one).collect()
    }

    /// A link was cut or repaired: if an endpoint is at its end, streams over it stand still, or go on.
    fn links_froze(&mut self, link: u32) {
        let end = &self.links[link as usize];
        let (proxy, endpoint) = (end.proxy, end.peer);
        if link < self.link_to(proxy, 0) {
            return;
        }
        let end = &mut self.links[link as usize];
        end.freeze = end.freeze.wrapping_add(1);
        if end.is_cut() || self.backends[endpoint as usize].hung {
            self.watch_streams(link);
        }
    }

    /// The endpoint as the proxy is told of it.
    pub(super) fn told(&self, endpoint: u32) -> proxy::config::EndpointConfig {
        let backend = &self.backends[endpoint as usize];
        endpoint_config(endpoint, &backend.name, &backend.config)
    }

    /// Puts a changed configuration in force.
    fn reload(&mut self, proxy: u32, moment: &Moment) {
        let current = self.proxies[proxy as usize].current;
        let mut config = (*self.setups[current as usize].config).clone();
        let told = |name: &str| Some(self.told(*self.places.get(name)?));
        reload::change(&mut config, moment, proxy, told);
        self.put_in_force(proxy, config);
        for setup in self.proxies[proxy as usize].in_force() {
            self.ring(setup);
        }
    }

    /// Puts a configuration of a proxy in force, the first or another: a setup for each of its upstreams.
    pub(super) fn put_in_force(&mut self, proxy: u32, config: ProxyConfig) {
        let config = self.proxies[proxy as usize].member.configure(config);
        let first = self.setups.len() as u32;
        self.open_services(proxy, &config, first);
        let seed = self.proxies[proxy as usize].seed;
        let pools = pools::all(&config).map(|(name, own)| (name.to_owned(), own.into_owned()));
        for (place, (name, config)) in (0..).zip(pools) {
            // By the engine's names.
            let seed = if place == 0 { seed } else { seed.child("upstream").nth(place) };
            self.set_up((proxy, &name), config, seed);
        }
        let setups = first..self.setups.len() as u32;
        self.proxies[proxy as usize].put_in_force(setups.clone());
        for number in setups {
            self.start_checks(number as usize);
        }
    }

    /// Puts a configuration of one upstream of a proxy in force.
    fn set_up(&mut self, (proxy, upstream): (u32, &str), config: ProxyConfig, seed: Seed) {
        self.tell_configured(proxy, upstream, &config);
        self.binds |= config.balance.sticky.is_some();
        let number = self.setups.len() as u32;
        let room = self.room_of(proxy, upstream);
        let kinds = [Source::Connect(number), Source::Response(number), Source::Queue(number)];
        let mut kinds = kinds.into_iter();
        let (agenda, sources) = (&mut self.agenda, &mut self.sources);
        let source = || {
            sources.extend(kinds.next());
            agenda.add_source()
        };
        let known = &mut self.rooms[room as usize].setups;
        let before = known.last().map(|last| &self.setups[*last as usize]);
        let setup = Setup::new((proxy, room), config, before, (seed, self.now), source);
        self.setups.push(setup.with_balancer(self.parts.balancer));
        known.push(number);
    }

    fn apply(&mut self, endpoint: u32, fault: Fault) {
        let now = self.now;
        let backend = &mut self.backends[endpoint as usize];
        match fault {
            Fault::Slow { factor } => {
                backend.hits.slow += backend.station.jobs() as u64;
                backend.set_pace(now, factor, backend.hung);
            }
            Fault::Fail { status, probability } => {
                backend.failing = Some(Failing { status, probability });
            }
            Fault::Hang => {
                if !backend.hung {
                    backend.hits.hang += backend.station.jobs() as u64;
                }
                backend.set_pace(now, backend.factor, true);
                for proxy in 0..self.proxies.len() as u32 {
                    self.watch_streams(self.link_to(proxy, endpoint));
                }
            }
            Fault::Crash => self.die(endpoint),
            Fault::Restart => {
                self.die(endpoint);
                self.backends[endpoint as usize].down = false;
                self.heal(endpoint);
            }
            Fault::Restore => {
                backend.down = false;
                self.heal(endpoint);
            }
        }
        self.rearm(endpoint);
    }

    fn heal(&mut self, endpoint: u32) {
        let backend = &mut self.backends[endpoint as usize];
        backend.failing = None;
        backend.set_pace(self.now, 1.0, false);
        // Those who waited for it to wake up go on in the order in which they came.
        for owner in std::mem::take(&mut backend.held) {
            match owner {
                Owner::Request(attempt) => self.endpoint_awakes_to(endpoint, attempt),
                Owner::Probe(probe) => self.endpoint_is_asked_for_health(endpoint, probe),
                Owner::Inquiry(inquiry) => self.endpoint_goes_on_with_load(endpoint, inquiry),
            }
        }
        if self.redirect.is_some() {
            for proxy in 0..self.proxies.len() as u32 {
                self.deliver_reports(proxy, endpoint);
            }
        }
    }

    /// The process dies: all its jobs are lost, and every connection of this life is reset.
    fn die(&mut self, endpoint: u32) {
        let backend = &mut self.backends[endpoint as usize];
        let life = backend.life;
        backend.life += 1;
        backend.down = true;
        backend.station.clear(self.now);
        if let Some(memory) = &mut backend.memory {
            memory.clear();
        }
        let held = std::mem::take(&mut backend.held);
        for proxy in 0..self.proxies.len() as u32 {
            let link = self.link_to(proxy, endpoint);
            self.send(link, Direction::Down, Message::Dead(life));
        }
        if self.redirect.is_some() {
            self.dies_away(endpoint, life);
        }
        for owner in held {
            if let Owner::Probe(probe) = owner {
                let link = self.link_to(self.proxy_of(probe.setup), endpoint);
                self.send(link, Direction::Down, Message::ProbeAnswer(probe, 0));
            }
        }
    }

    /// The proxy at the end of this link learns that all connections of the endpoint's lives up to this one are closed.
    pub(super) fn bury(&mut self, link: u32, life: u32) {
        let (proxy, endpoint) = (self.links[link as usize].proxy, self.links[link as usize].peer);
        let mut ended = 0;
        for &number in &self.proxies[proxy as usize].setups {
            let setup = &mut self.setups[number as usize];
            if let Some(index) = setup.endpoints.iter().position(|&each| each == endpoint) {
                ended += setup.pools[index].bury(life);
            }
        }
        for place in 0..self.proxies[proxy as usize].setups.len() {
            let number = self.proxies[proxy as usize].setups[place];
            let endpoints = &self.setups[number as usize].endpoints;
            if let Some(index) = endpoints.iter().position(|&each| each == endpoint) {
                self.bury_inquiries(number, index as u32, life);
            }
        }
        let requests = &self.requests;
        let under_way = requests.at_endpoints();
        let lost = under_way.filter(|(_, request)| {
            let at = self.setups[request.setup as usize].endpoints[request.index as usize];
            at == endpoint
                && u32::from(request.proxy) == proxy
                && request.stage != super::request::Stage::Connecting
                && request.life <= life
        });
        let lost: Vec<_> = lost.map(|(slot, _)| requests.attempt(slot)).collect();
        self.backends[endpoint as usize].hits.crash += ended + lost.len() as u64;
        for attempt in lost {
            self.closed(attempt);
        }
    }

    /// Plans every event of the scenario.
    pub(super) fn plan_events(&mut self) {
        for (index, moment) in (0_u32..).zip(&self.timeline) {
            self.agenda.plan(Instant::START + moment.at, Event::Moment(index));
        }
    }
}

/// Whether a message opens a connection.
pub(super) fn is_dial(message: Message) -> bool {
    matches!(
        message,
        Message::ClientDial(_) | Message::Dial(_) | Message::ProbeDial(_) | Message::LoadDial(_)
    )
}

/// Which way a message goes.
pub(super) fn direction_of(message: Message) -> Direction {
    match message {
        Message::ClientDial(_)
        | Message::Ask(_)
        | Message::Gone(_)
        | Message::Dial(_)
        | Message::Request(_)
        | Message::Cancel(_)
        | Message::ProbeDial(_)
        | Message::ProbeAsk(_)
        | Message::ReportsTaken(..)
        | Message::LoadDial(_)
        | Message::LoadAsk(_) => Direction::Up,
        Message::ClientAccepted(_)
        | Message::Answer(_)
        | Message::Broken(_)
        | Message::Accepted(..)
        | Message::Refused(_)
        | Message::Closed(_)
        | Message::Response(..)
        | Message::Head(_)
        | Message::Dead(_)
        | Message::Redirected(_)
        | Message::ReportDial(..)
        | Message::Reports(..)
        | Message::ProbeAnswer(..)
        | Message::ProbeAccepted(_)
        | Message::LoadAccepted(..)
        | Message::LoadAnswer(_) => Direction::Down,
    }
}
