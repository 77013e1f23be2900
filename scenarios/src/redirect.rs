//! What redirect mode needs in a run: a secret that proxies and endpoints share.
//!
//! A scenario need not state one: then it is drawn from the run's seed, the same for all of its proxies and endpoints and for every
//! configuration that a reload brings. The model signs nothing and needs none.

use std::{borrow::Cow, sync::Arc};

use backend_sim::Admission;
use policy::Seed;
use proxy::config::{Mode, ProxyConfig, Secret};

use crate::language::{Action, Scenario};

/// The scenario with its secret, where it needs one: its proxies have it, and its backends let in only whom they have sent.
pub fn with_secret(scenario: &Scenario, seed: u64) -> Cow<'_, Scenario> {
    if scenario.proxy.mode == Mode::Forward {
        return Cow::Borrowed(scenario);
    }
    let mut rng = Seed(seed).stream("redirect secret");
    let drawn = || Secret(format!("{:016x}{:016x}", rng.bits(), rng.bits()));
    let secret = scenario.proxy.redirect.secret.clone().unwrap_or_else(drawn);
    let mut scenario = scenario.clone();
    let tell = |config: &mut ProxyConfig| config.redirect.secret = Some(secret.clone());
    tell(&mut scenario.proxy);
    for event in &mut scenario.events {
        if let Action::Reload { configs, .. } = &mut event.action {
            for config in configs {
                tell(Arc::make_mut(config));
            }
        }
    }
    let admission = Admission::by(&secret.0).ok();
    for backend in scenario.backends.values_mut() {
        backend.admission.clone_from(&admission);
    }
    Cow::Owned(scenario)
}
