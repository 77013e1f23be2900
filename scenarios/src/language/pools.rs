//! Which endpoints stand behind which upstream of the proxy.
//!
//! A scenario writes no addresses. The endpoints of an upstream with a name are the group of backends of the same name: `[backends.api]` is the pool of
//! `[proxy.upstreams.api]`, and of a route with `upstream = "api"`, which needs no table of its own if the upstream has no settings of its own. All
//! other groups together are the proxy's own endpoints, to which those requests go that take no such route. Which group is which is so from
//! the start of a run to its end; what an upstream is told may change.

use std::borrow::Cow;

use backend_sim::BackendConfig;
use indexmap::IndexMap;
use proxy::config::{EndpointConfig, ProxyConfig};

/// What the pool of the proxy's own endpoints is called.
pub const OWN: &str = "";

/// Adds the upstreams that only a route names, if there is a group for them.
pub(super) fn complete(config: &mut ProxyConfig, groups: &IndexMap<String, BackendConfig>) {
    let wanted = config.routes.iter().filter_map(|route| route.upstream.as_ref());
    for name in wanted.filter(|name| groups.contains_key(*name)) {
        config.upstreams.entry(name.clone()).or_default();
    }
}

/// The pool that a group of backends belongs to: the upstream of its name, or the proxy's own.
pub fn of_group<'a>(config: &'a ProxyConfig, group: &str) -> &'a str {
    config.upstreams.get_key_value(group).map_or(OWN, |(name, _)| name)
}

/// The group that an endpoint is of, by its name: `web-12` is of `web`.
fn group_of(endpoint: &EndpointConfig) -> String {
    let name = endpoint.name();
    name.rsplit_once('-').map_or_else(String::new, |(group, _)| group.to_owned())
}

/// Puts each of these endpoints into its pool, behind those that are there.
pub fn add(config: &mut ProxyConfig, endpoints: impl IntoIterator<Item = EndpointConfig>) {
    for endpoint in endpoints {
        match config.upstreams.get_mut(&group_of(&endpoint)) {
            Some(upstream) => upstream.endpoints.push(endpoint),
            None => config.endpoints.push(endpoint),
        }
    }
}

/// Keeps those endpoints, in whatever pool, that `stays` says of.
pub fn retain(config: &mut ProxyConfig, stays: impl Fn(&EndpointConfig) -> bool) {
    config.endpoints.retain(&stays);
    for upstream in config.upstreams.values_mut() {
        upstream.endpoints.retain(&stays);
    }
}

/// The same configuration with the endpoints of another.
#[must_use]
pub fn with_endpoints_of(mut config: ProxyConfig, before: &mut ProxyConfig) -> ProxyConfig {
    config.endpoints = std::mem::take(&mut before.endpoints);
    for (name, upstream) in &mut config.upstreams {
        if let Some(before) = before.upstreams.get_mut(name) {
            upstream.endpoints = std::mem::take(&mut before.endpoints);
        }
    }
    config
}

/// Every pool by its name, with the configuration as it holds for it: the proxy's own first, then those with names in their order.
pub fn all(config: &ProxyConfig) -> impl Iterator<Item = (&str, Cow<'_, ProxyConfig>)> {
    let named = config.upstreams.iter();
    let named = named.map(|(name, own)| (name.as_str(), Cow::Owned(config.of_upstream(own))));
    [(OWN, Cow::Borrowed(config))].into_iter().chain(named)
}
