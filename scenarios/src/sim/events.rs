//! Performing events on a simulated system.
//!
//! What is done to an endpoint is what its own control does; what is done to the proxy is a reload or a restart; what is
//! done to a link is told to the network. Every fault must be felt by somebody: what the network says of each is asked
//! before it is overruled and at the end.

use std::time::Duration;

use net::{Faults, NetworkFault, SimulatedNet};
use proxy::engine::redis::Condition;

use super::{
    Actors,
    stage::{link, load_host},
};
use crate::{
    fleet::Member,
    language::{Action, Moment, RedisState, Scenario, Target},
    reload,
};

/// A fault of the network that was inflicted by an event.
#[derive(Debug)]
struct Inflicted {
    label: String,
    at: Duration,
    /// Each direction of each link.
    faults: Vec<NetworkFault>,
    touched: u64,
    over: bool,
}

/// The faults of the network so far.
#[derive(Debug, Default)]
pub(super) struct Trouble(Vec<Inflicted>);

impl Trouble {
    /// Asks the network what came of the faults that are in force.
    fn look(&mut self, network: &impl Faults) {
        for inflicted in self.0.iter_mut().filter(|inflicted| !inflicted.over) {
            let touched: u64 = inflicted.faults.iter().map(|fault| network.touched(fault)).sum();
            inflicted.touched = inflicted.touched.max(touched);
        }
    }

    /// What touched nobody, in words.
    pub(super) fn unfelt(mut self, network: &impl Faults) -> Vec<String> {
        self.look(network);
        let unfelt = self.0.iter().filter(|inflicted| inflicted.touched == 0);
        unfelt
            .map(|each| format!("the event at {:?}, {}, touched nobody", each.at, each.label))
            .collect()
    }
}

/// Does what is to happen now, or says why it cannot be done.
pub(super) fn perform<N: SimulatedNet>(
    moment: &Moment,
    scenario: &Scenario,
    actors: &mut Actors<N>,
) -> Result<(), String> {
    let Actors { stage, backends, proxies, trouble, .. } = actors;
    match &moment.action {
        Action::Fault { fault, .. } => {
            let results = moment.endpoints.iter().map(|name| backends.apply(name, fault));
            results.collect::<Result<(), String>>()
        }
        Action::Add { .. } | Action::Remove { .. } | Action::Reload { .. } => {
            let address = |name: &str| stage.address(name);
            proxies.reload(moment.proxies.clone(), |proxy, config| {
                let told = |name: &str| Some(scenario.told(name, address(name)?));
                reload::change(config, moment, proxy, told);
            })
        }
        Action::Purge { what, soft } => {
            proxies.purge(moment, |host| what.purging(scenario, host), *soft)
        }
        Action::Redis(state) => {
            proxies.redis().become_(match state {
                RedisState::Well => Condition::Well,
                RedisState::Lost => Condition::Lost,
                RedisState::Hung => Condition::Hung,
                RedisState::Full => Condition::Full,
            });
            Ok(())
        }
        Action::RestartProxy { down } => proxies.restart(moment.proxies.clone(), down.0),
        Action::Partition(target) => {
            let cut = |from, to| vec![NetworkFault::Cut { from, to }];
            trouble.inflict(&stage.network, moment, links(scenario, target, moment, cut))
        }
        Action::Latency { target, one_way } => {
            let latency =
                |from, to| vec![NetworkFault::Latency { from, to, latency: one_way.clone() }];
            trouble.inflict(&stage.network, moment, links(scenario, target, moment, latency))
        }
        Action::Drop { target, probability } => {
            let probability = *probability;
            let loss = |from, to| vec![NetworkFault::Loss { from, to, probability }];
            trouble.inflict(&stage.network, moment, links(scenario, target, moment, loss))
        }
        Action::Repair(target) => {
            trouble.look(&stage.network);
            let own = link(&scenario.network);
            let whole = |from: String, to: String| {
                let (one, other) = (from.clone(), to.clone());
                vec![
                    NetworkFault::Loss {
                        from: one.clone(),
                        to: other.clone(),
                        probability: own.loss,
                    },
                    NetworkFault::Latency { from: one, to: other, latency: own.latency.clone() },
                    NetworkFault::Repair { from, to },
                ]
            };
            let faults = links(scenario, target, moment, whole);
            faults.iter().try_for_each(|fault| inflict(&stage.network, fault))
        }
    }
}

impl Trouble {
    fn inflict(
        &mut self,
        network: &impl Faults,
        moment: &Moment,
        faults: Vec<NetworkFault>,
    ) -> Result<(), String> {
        self.look(network);
        for fault in &faults {
            inflict(network, fault)?;
            for before in &mut self.0 {
                before.over |= before.faults.iter().any(|other| overrules(fault, other));
            }
        }
        let (label, at) = (moment.label.clone(), moment.at);
        self.0.push(Inflicted { label, at, faults, touched: 0, over: false });
        Ok(())
    }
}

fn inflict(network: &impl Faults, fault: &NetworkFault) -> Result<(), String> {
    network.inflict(fault).map_err(|error| error.to_string())
}

/// Whether one fault is of the same kind and on the same link as another.
fn overrules(one: &NetworkFault, other: &NetworkFault) -> bool {
    use NetworkFault::{Cut, Latency, Loss};
    match (one, other) {
        (Cut { from, to }, Cut { from: f, to: t })
        | (Latency { from, to, .. }, Latency { from: f, to: t, .. })
        | (Loss { from, to, .. }, Loss { from: f, to: t, .. }) => from == f && to == t,
        _ => false,
    }
}

/// The faults on both directions of each link that an event is about.
fn links(
    scenario: &Scenario,
    target: &Target,
    moment: &Moment,
    fault: impl Fn(String, String) -> Vec<NetworkFault>,
) -> Vec<NetworkFault> {
    let peers = match target {
        Target::Endpoint(_) => moment.endpoints.clone(),
        Target::Load(load) => vec![load_host(load)],
    };
    let proxies = Member::all(scenario).filter(|one| moment.proxies.contains(&one.index));
    let both = proxies.map(Member::name).flat_map(|proxy| {
        let fault = &fault;
        peers.iter().flat_map(move |peer| {
            let mut faults = fault(proxy.clone(), peer.clone());
            faults.extend(fault(peer.clone(), proxy.clone()));
            faults
        })
    });
    both.collect()
}
