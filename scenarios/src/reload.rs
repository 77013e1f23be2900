//! What an event does to the proxy's configuration.
//!
//! Endpoints come and go, and settings change; the addresses, the workers and, but for `add` and `remove`, the
//! endpoints stay what they are.

use proxy::config::{EndpointConfig, ProxyConfig};

use crate::language::{Action, Moment, pools};

/// Changes the `config` of one proxy, by its number, as the event says. `told` is an endpoint as the proxy is told of it.
pub fn change(
    config: &mut ProxyConfig,
    moment: &Moment,
    proxy: u32,
    told: impl Fn(&str) -> Option<EndpointConfig>,
) {
    match &moment.action {
        Action::Add { .. } => {
            pools::add(config, moment.endpoints.iter().filter_map(|name| told(name)));
        }
        Action::Remove { .. } => {
            let goes = |name: &str| moment.endpoints.iter().any(|gone| gone == name);
            pools::retain(config, |endpoint| !goes(&endpoint.name()));
        }
        Action::Reload { configs, .. } => {
            let place = proxy.checked_sub(moment.proxies.start);
            let Some(new) = place.and_then(|place| configs.get(place as usize)) else { return };
            let (listen, workers) = (config.listen, config.workers);
            let new = ProxyConfig { listen, workers, ..(**new).clone() };
            *config = pools::with_endpoints_of(new, config);
        }
        _ => {}
    }
}
