//! A scenario, as its file states it.
//!
//! The tables of the parts are the parts' own types, so there is one place that says what a backend, a load or
//! a proxy can be told, and its documentation is what an editor shows. Maps keep the order of the file:
//! loads, phases and thresholds come out of a report as they were written.

use std::{net::SocketAddr, time::Duration};

use backend_sim::BackendConfig;
use indexmap::IndexMap;
use loadgen::config::Load;
use policy::{
    distribution::Distribution,
    quantity::{Bandwidth, TimeSpan},
};
use proxy::config::{EndpointConfig, ProxyConfig};
use reports::{Names, World};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    event::{Action, Event},
    threshold::{Limit, Threshold},
    world,
};

/// At most so many endpoints at a time.
pub const MAX_ENDPOINTS: usize = 10_000;
/// At most so many proxies.
pub const MAX_PROXIES: u32 = 1_000;

/// A scenario: what the proxy is, what stands behind it, what load arrives, what goes wrong, what must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What this is about, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The seed that everything random is drawn from; 1 by default.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// How long load is offered.
    pub duration: TimeSpan,
    /// The part at the start that no metric counts; none by default.
    #[serde(default)]
    pub warmup: TimeSpan,
    /// Where it may run: "model", "sim", "live"; by default wherever its events are possible.
    #[serde(default = "world::all", with = "world::names")]
    #[schemars(schema_with = "world::schema")]
    pub worlds: Vec<World>,
    /// So many equal proxies side by side, each with a view of its own of the endpoints; 1 by default, 1 to 1,000.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub proxies: u32,
    /// The proxy's own configuration. Its endpoints are the backends below: those of `[backends.api]` are the upstream `api`'s, if there is one or a
    /// route names it; all others are the proxy's own.
    #[serde(default)]
    pub proxy: ProxyConfig,
    /// What stands behind the proxy: groups of equal endpoints, `web-0`, `web-1`, … for `[backends.web]`. A group with the name of an upstream of the
    /// proxy is that upstream's; all others together are the proxy's own endpoints.
    #[serde(default)]
    pub backends: IndexMap<String, BackendConfig>,
    /// The network, in `model` and `sim`; `live` has the machine's own.
    #[serde(default)]
    pub network: Network,
    /// What arrives: open or closed loops.
    #[serde(default)]
    pub load: IndexMap<String, Load>,
    /// What happens when.
    #[serde(default)]
    pub events: Vec<Event>,
    /// Named windows `[from, to]`, for thresholds and charts.
    #[serde(default)]
    pub phases: IndexMap<String, Window>,
    /// What must hold: a metric and a comparison such as "<= 250ms".
    #[serde(default)]
    pub thresholds: IndexMap<String, Limit>,
    /// Values to vary, by dotted path; the runs are the product. Empty in a variant.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub matrix: IndexMap<String, Vec<serde_json::Value>>,
}

fn default_seed() -> u64 {
    1
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

/// The network between clients, proxy and endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// How long a packet is under way, in one direction, on each link; not at all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Distribution<TimeSpan>>,
    /// What each link carries in each direction; no limit by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
}

impl Network {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        self.latency.is_none() && self.bandwidth.is_none()
    }
}

/// A window of the run: from (inclusive) and to (exclusive), since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "(TimeSpan, TimeSpan)", into = "(TimeSpan, TimeSpan)")]
#[schemars(with = "(TimeSpan, TimeSpan)")]
pub struct Window(pub TimeSpan, pub TimeSpan);

impl From<(TimeSpan, TimeSpan)> for Window {
    fn from((from, to): (TimeSpan, TimeSpan)) -> Self {
        Self(from, to)
    }
}

impl From<Window> for (TimeSpan, TimeSpan) {
    fn from(window: Window) -> Self {
        (window.0, window.1)
    }
}

impl Window {
    /// Its start.
    pub fn from(self) -> Duration {
        self.0.0
    }

    /// Its end, not included.
    pub fn to(self) -> Duration {
        self.1.0
    }
}

impl Scenario {
    /// The proxy's configurations: that at the start, and those of later reloads.
    pub fn configurations(&self) -> impl Iterator<Item = &ProxyConfig> {
        let later = self.events.iter().filter_map(|event| match &event.action {
            Action::Reload { configs, .. } => Some(configs.iter().map(|config| &**config)),
            _ => None,
        });
        [&self.proxy].into_iter().chain(later.flatten())
    }

    /// The names of the endpoints at the start, in order: `web-0`, `web-1`, … At most [`MAX_ENDPOINTS`].
    pub fn endpoints(&self) -> Vec<String> {
        let group = |(name, backend): (&String, &BackendConfig)| {
            let name = name.clone();
            (0..backend.count).map(move |index| format!("{name}-{index}"))
        };
        self.backends.iter().flat_map(group).take(MAX_ENDPOINTS).collect()
    }

    /// The names of all endpoints that there ever are, those that events add included.
    pub fn all_endpoints(&self) -> Vec<String> {
        let mut names = self.endpoints();
        for moment in self.timeline() {
            if matches!(moment.action, Action::Add { .. }) {
                names.extend(moment.endpoints);
            }
        }
        names
    }

    /// The backend that an endpoint is one of, and its name: `web-12` is of `web`.
    pub fn backend_of(&self, endpoint: &str) -> Option<(&str, &BackendConfig)> {
        let (name, _) = endpoint.rsplit_once('-')?;
        self.backends.get_key_value(name).map(|(name, backend)| (name.as_str(), backend))
    }

    /// An endpoint of this name and address, as the proxy is told of it.
    pub fn told(&self, endpoint: &str, address: SocketAddr) -> EndpointConfig {
        let backend = self.backend_of(endpoint).map(|(_, backend)| backend);
        EndpointConfig {
            name: Some(endpoint.to_owned()),
            weight: backend.map_or(1, |backend| backend.weight),
            priority: backend.map_or(0, |backend| backend.priority),
            ..EndpointConfig::new(address)
        }
    }

    /// The thresholds in the order of the file. Those on no metric are left out; in a scenario that was checked
    /// there are none.
    pub fn thresholds(&self) -> Vec<Threshold> {
        self.resolved_thresholds().into_iter().filter_map(|(_, resolved)| resolved.ok()).collect()
    }

    /// Each threshold's metric, and what it is or why it cannot be.
    pub(super) fn resolved_thresholds(&self) -> Vec<(&str, Result<Threshold, String>)> {
        let (loads, phases) = (keys(&self.load), keys(&self.phases));
        let endpoints = self.all_endpoints();
        let names = Names { loads: &loads, phases: &phases, endpoints: &endpoints };
        let resolve = |(metric, limit): (&'_ String, &Limit)| Threshold::new(metric, limit, names);
        self.thresholds.iter().map(|pair| (pair.0.as_str(), resolve(pair))).collect()
    }

    /// The scenario as text, defaults filled in: what a report shows and what a configuration's hash is of.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every part of a scenario can be written as TOML")
    }
}

fn keys<T>(map: &IndexMap<String, T>) -> Vec<String> {
    map.keys().cloned().collect()
}
