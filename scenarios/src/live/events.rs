//! Performing events on a live system.
//!
//! What is done to an endpoint is done by the backends' own thread; what is done to a proxy, by reloading it or by
//! starting another one on the same port. Nothing here waits.

use super::{backends::Backends, proxies::Proxies};
use crate::{
    language::{Action, Moment, Scenario},
    reload,
};

/// Does what is to happen now, or says why it cannot be done.
pub(super) fn perform(
    moment: &Moment,
    scenario: &Scenario,
    backends: &Backends,
    proxies: &mut Proxies,
) -> Result<(), String> {
    match &moment.action {
        Action::Fault { fault, .. } => {
            backends.apply(moment, *fault);
            Ok(())
        }
        Action::Add { .. } | Action::Remove { .. } | Action::Reload { .. } => {
            proxies.reload(moment.proxies.clone(), |proxy, config| {
                reload::change(config, moment, proxy, |name| backends.endpoint(scenario, name));
            })
        }
        Action::Purge { what, soft } => {
            proxies.purge(moment, |host| what.purging(scenario, host), *soft);
            Ok(())
        }
        Action::RestartProxy { down } => {
            proxies.restart(moment.proxies.clone(), down.0);
            Ok(())
        }
        Action::Partition(_) | Action::Repair(_) | Action::Latency { .. } | Action::Drop { .. } => {
            Err("only a simulated network can do this".to_owned())
        }
        Action::Redis(_) => Err("only a simulated Redis can do this".to_owned()),
    }
}
