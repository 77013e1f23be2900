//! The load of a scenario, as the load generator wants it.

use std::net::SocketAddr;

use loadgen::{Carry, NamedLoad, Plan, Share};
use policy::{
    Seed,
    cache::config::{CacheConfig, KeyConfig},
    filter::FilterConfig,
};
use proxy::config::RouteConfig;
use reports::{Phase, RecorderConfig};

use crate::language::Scenario;

/// What is sent to the proxies at these addresses, and what of it is measured.
pub fn plan(scenario: &Scenario, seed: Seed, addresses: Vec<SocketAddr>) -> Plan {
    let phases = scenario.phases.iter().map(|(name, window)| Phase {
        name: name.clone(),
        from: window.from(),
        to: window.to(),
    });
    let recorder = RecorderConfig {
        endpoints: scenario.all_endpoints(),
        phases: phases.collect(),
        ..RecorderConfig::new(Some(scenario.duration.0), scenario.warmup.0)
    };
    // Where all backends are alike, the work is drawn with the request, so that every strategy faces the same.
    let mut services = scenario.backends.values().map(|backend| &backend.service);
    let work = services.next().filter(|first| services.all(|other| other == *first)).cloned();
    let loads = scenario.load.iter().map(|(name, load)| NamedLoad {
        name: name.clone(),
        load: load.clone(),
        work: work.clone(),
    });
    Plan {
        loads: loads.collect(),
        seed: seed.child("load"),
        duration: Some(scenario.duration.0),
        // They all go by one name, as behind one balancer.
        host: addresses.first().map(SocketAddr::to_string).unwrap_or_default(),
        addresses,
        recorder,
        carry: carry(scenario),
        payload: None,
        share: Share::WHOLE,
        only: None,
    }
}

/// Whether clients can expect content to be of the target that they asked for: not where the proxy asks for another, or holds some for
/// the same.
fn carry(scenario: &Scenario) -> Carry {
    let same = |filter: &[FilterConfig], cache: &CacheConfig| {
        filter.is_empty() && cache.key == KeyConfig::default()
    };
    let kept = scenario.configurations().all(|config| {
        let own = |route: &RouteConfig| {
            same(&route.filter, route.cache.as_ref().unwrap_or(&config.cache))
        };
        same(&config.filter, &config.cache) && config.routes.iter().all(own)
    });
    if kept { Carry::Work } else { Carry::Rewritten }
}
