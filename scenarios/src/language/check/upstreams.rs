//! Upstreams with names: each has its group of backends, which is there from the start of a run to its end.

use proxy::config::{
    ProxyConfig, RouteConfig,
    document::{Document, Path, Problem},
};

use super::{super::scenario::Scenario, Check};

const NO_ADDRESSES: &str = "a scenario's endpoints are its backends";

/// Whether a problem of the proxy's own is about which endpoints an upstream has, or which upstreams there are: of a scenario that is said
/// in other words.
pub(super) fn is_of_pools(path: &str) -> bool {
    let upstream = path.strip_prefix("upstreams.");
    let route = path.strip_prefix("routes[").and_then(|rest| rest.split_once(']'));
    upstream.is_some_and(|name| !name.contains('.'))
        || route.is_some_and(|(_, key)| key == ".upstream")
}

impl Check<'_> {
    /// Each upstream has a group of backends, and each route an upstream or a group.
    pub(super) fn upstreams(&mut self, scenario: &Scenario) {
        let table = Path::default().key("proxy").key("upstreams");
        for (name, upstream) in &scenario.proxy.upstreams {
            let path = table.clone().key(name);
            if !scenario.backends.contains_key(name) {
                let message = format!("the upstream `{name}` has no backends");
                let help = format!(
                    "its endpoints are the group of its name: write `[backends.{name}]`; {}",
                    groups(scenario)
                );
                self.complain_of_key(&path, message, Some(help));
            } else if !upstream.endpoints.is_empty() {
                let help = format!(
                    "leave `endpoints` out: those of `[backends.{name}]` are this upstream's"
                );
                self.advise(&path.key("endpoints").to_string(), NO_ADDRESSES, help);
            }
        }
        for (index, route) in scenario.proxy.routes.iter().enumerate() {
            let Some(name) = &route.upstream else { continue };
            if !scenario.proxy.upstreams.contains_key(name) {
                let path = format!("proxy.routes[{index}].upstream");
                self.dangling(&path, "backend", name, scenario.backends.keys().map(String::as_str));
            }
        }
    }

    /// Whoever goes must leave somebody behind in the pool of an upstream with a name.
    pub(super) fn emptied(&mut self, part: &str, upstream: &str) {
        let message = format!("the upstream `{upstream}` would have no endpoint left");
        let help = format!("leave one of `{upstream}-*`, or let the last `crash`");
        self.advise(&format!("{part}.endpoint"), message, help);
    }
}

/// What a reload cannot do to pools.
pub(super) fn changed_pools(
    current: &Document,
    changed: &ProxyConfig,
    scenario: &Scenario,
) -> Vec<Problem> {
    let known = &scenario.proxy.upstreams;
    let mut problems = Vec::new();
    for (name, upstream) in &changed.upstreams {
        let path = Path::default().key("proxy").key("upstreams").key(name).to_string();
        if !known.contains_key(name) {
            let message =
                format!("there is no upstream `{name}` at the start, and none can come later");
            let help = format!(
                "write `[proxy.upstreams.{name}]`: its endpoints are those of `[backends.{name}]`, from the start to the end"
            );
            let leads = |route: &RouteConfig| route.upstream.as_ref() == Some(name);
            let place = match changed.routes.iter().position(leads) {
                Some(route) if current.get(&path.parse().unwrap_or_default()).is_none() => {
                    format!("proxy.routes[{route}].upstream")
                }
                _ => path,
            };
            problems.push(current.problem(&place, message).help(help));
        } else if upstream.endpoints != known[name].endpoints {
            let help = "use the events `add` and `remove`";
            problems.push(current.problem(&format!("{path}.endpoints"), NO_ADDRESSES).help(help));
        }
    }
    for (index, route) in changed.routes.iter().enumerate() {
        let Some(name) = &route.upstream else { continue };
        if !changed.upstreams.contains_key(name) {
            let message = format!("no backend is called `{name}`");
            let path = format!("proxy.routes[{index}].upstream");
            problems.push(current.problem(&path, message).help(groups(scenario)));
        }
    }
    problems
}

fn groups(scenario: &Scenario) -> String {
    let names: Vec<String> =
        scenario.backends.keys().map(|name| format!("`[backends.{name}]`")).collect();
    if names.is_empty() {
        "there is no group at all".to_owned()
    } else {
        format!("there is {}", names.join(", "))
    }
}
