//! What an event does to the proxy's configuration.
//!
//! Endpoints come and go, and settings change; the addresses, the workers and, but for `add` and `remove`, the
//! endpoints stay what they are.

use proxy::config::{EndpointConfig, ProxyConfig};

use crate::language::{Action, Moment};

/// Changes `config` as the event says; false when it is none that changes a configuration. `told` is an endpoint as the
/// proxy is told of it.
pub fn change(
    config: &mut ProxyConfig,
    moment: &Moment,
    told: impl Fn(&str) -> Option<EndpointConfig>,
) -> bool {
    match &moment.action {
        Action::Add { .. } => {
            config.endpoints.extend(moment.endpoints.iter().filter_map(|name| told(name)));
        }
        Action::Remove { .. } => {
            let goes = |name: &str| moment.endpoints.iter().any(|gone| gone == name);
            config.endpoints.retain(|endpoint| !goes(&endpoint.name()));
        }
        Action::Reload { config: None, .. } => {}
        Action::Reload { config: Some(new), .. } => {
            *config = ProxyConfig {
                listen: config.listen,
                workers: config.workers,
                endpoints: std::mem::take(&mut config.endpoints),
                ..(**new).clone()
            };
        }
        _ => return false,
    }
    true
}
