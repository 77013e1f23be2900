//! What is right and still hardly what was meant: a scenario runs all the same, and the reader is told.
//!
//! So far there is one. A strategy that goes by a key of the request sends equal keys to one endpoint. Under a load whose requests all have
//! the same key it is no balancing at all, and a comparison with it says nothing about the strategy.

use loadgen::{
    Load, Text,
    config::{Arrivals, Request},
};
use policy::balance::{Strategy, key::Key};
use proxy::config::document::{Document, Problem};

use super::Scenario;

/// What the reader of this scenario should know, each at its place in `document`.
pub(super) fn of(document: &Document, scenario: &Scenario) -> Vec<Problem> {
    let strategy = &scenario.proxy.balance.strategy;
    let Some(key) = strategy.key().filter(|_| !spreads_anyway(strategy)) else { return Vec::new() };
    // Whoever has several upstreams may not mean this load at all.
    if scenario.endpoints().len() < 2 || !scenario.proxy.upstreams.is_empty() {
        return Vec::new();
    }
    let name = strategy.name();
    let trusts = !scenario.proxy.forwarding.trusted.is_empty();
    let loads = scenario.load.iter();
    let warnings = loads.filter_map(|(load, config)| {
        let (place, what, help) = match key {
            Key::Path if has_one_path(config) => (
                format!("load.{load}.request[0].path"),
                "asks for one path alone",
                "write `path = \"/item/{key}\"` and `key = { uniform = { n = 1000 } }`, or hash something else of the request",
            ),
            Key::Address if has_one_address(config, trusts) => (
                format!("load.{load}"),
                "has one client address",
                "write `clients = 200` and, in its requests, `headers = { X-Forwarded-For = \"10.0.0.{client}\" }`, and \
                 `trusted = [\"0.0.0.0/0\"]` below `[proxy.forwarding]`",
            ),
            _ => return None,
        };
        let message =
            format!("load `{load}` {what}: `{name}` sends all of its requests to one endpoint");
        Some(document.problem(&place, message).help(help))
    });
    warnings.collect()
}

/// Whether an endpoint that has much more than the others is passed over, whatever the key.
fn spreads_anyway(strategy: &Strategy) -> bool {
    match strategy {
        Strategy::Ring(ring) => ring.load_bound > 0.0,
        Strategy::Maglev(maglev) => maglev.load_bound > 0.0,
        _ => false,
    }
}

/// Whether the requests have this in common, and nothing is filled in.
fn is_one<'a>(requests: &'a [Request], part: impl Fn(&'a Request) -> Option<&'a str>) -> bool {
    let mut parts = requests.iter().map(part);
    let first = parts.next().flatten();
    parts.all(|other| other == first) && first.is_none_or(|text| Text::new(text).is_fixed())
}

fn has_one_path(load: &Load) -> bool {
    let is_traced = matches!(load.arrivals, Some(Arrivals::Trace(_)));
    !is_traced && is_one(&load.request, |request| request.path.split('?').next())
}

fn has_one_address(load: &Load, trusts: bool) -> bool {
    let said = |request| -> Option<&str> {
        let request: &Request = request;
        let mut fields = request.headers.iter();
        let found = fields.find(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"));
        found.map(|(_, value)| value.as_str())
    };
    !trusts || is_one(&load.request, said)
}
