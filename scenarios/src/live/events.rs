//! Performing events on a live system.
//!
//! What is done to an endpoint is done by the backends' own thread; what is done to the proxy, by reloading it or by
//! starting another one on the same port. Nothing here waits.

use proxy::config::ProxyConfig;

use super::{backends::Backends, proxies::Proxies};
use crate::language::{Action, Moment, Scenario};

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
        Action::Add { .. } => proxies.reload(|config| {
            let added = moment.endpoints.iter();
            config.endpoints.extend(added.filter_map(|name| backends.endpoint(scenario, name)));
        }),
        Action::Remove { .. } => proxies.reload(|config| {
            let goes = |name: &str| moment.endpoints.iter().any(|gone| gone == name);
            config.endpoints.retain(|endpoint| !goes(&endpoint.name()));
        }),
        Action::Reload { config: None, .. } => proxies.reload(|_| {}),
        Action::Reload { config: Some(new), .. } => proxies.reload(|config| {
            *config = ProxyConfig {
                listen: config.listen,
                workers: config.workers,
                endpoints: std::mem::take(&mut config.endpoints),
                ..(**new).clone()
            };
        }),
        Action::RestartProxy { down } => {
            proxies.restart(down.0);
            Ok(())
        }
        Action::Partition(_) | Action::Repair(_) | Action::Latency { .. } | Action::Drop { .. } => {
            Err("only a simulated network can do this".to_owned())
        }
    }
}
