//! What happens when.
//!
//! An event is a time and exactly one action. In the file the action is a key of the event's table, so that a
//! misspelt one is an unknown key with its line and the nearest known name.

use std::{fmt::Write as _, sync::Arc};

use backend_sim::Fault;
use policy::{distribution::Distribution, quantity::TimeSpan};
use proxy::config::ProxyConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod purge;
mod table;
mod which;

pub use purge::Forgotten;
use table::EventTable;
pub use which::Which;

/// A time and what happens then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "EventTable", into = "EventTable")]
pub struct Event {
    /// When, since the start of the run.
    pub at: TimeSpan,
    /// Of several proxies, the only one that it is about; by default all.
    pub proxy: Option<Which>,
    /// What.
    pub action: Action,
}

impl Event {
    /// An event that is about all proxies.
    pub fn new(at: TimeSpan, action: Action) -> Self {
        Self { at, proxy: None, action }
    }

    /// A few words for charts and logs: `slow web-3 ×20`.
    pub fn label(&self) -> String {
        let label = self.action.label();
        self.proxy.map_or_else(|| label.clone(), |proxy| format!("{label} ({proxy})"))
    }
}

/// Which endpoints: `web-3`, or `web-*` for all that `web` has then.
pub type Endpoints = String;

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Something is done to endpoints.
    Fault {
        /// To which.
        endpoint: Endpoints,
        /// What.
        fault: Fault,
    },
    /// A link is cut: what is sent is lost, and nobody is told.
    Partition(Target),
    /// A link works again: not cut, no loss, the network's own latency.
    Repair(Target),
    /// A link becomes slower.
    Latency {
        /// Which link.
        target: Target,
        /// How long a packet is under way in one direction.
        one_way: Distribution<TimeSpan>,
    },
    /// A link loses packets.
    Drop {
        /// Which link.
        target: Target,
        /// How likely each packet is lost.
        probability: f64,
    },
    /// A backend gets more endpoints.
    Add {
        /// Which backend.
        backend: String,
        /// How many more.
        count: u32,
    },
    /// Endpoints leave: the proxy is told, finishes what it has there and sends nothing more.
    Remove {
        /// Which.
        endpoint: Endpoints,
    },
    /// The proxy gets a changed configuration.
    Reload {
        /// What changes, on top of what is in force.
        changes: serde_json::Map<String, serde_json::Value>,
        /// The whole configuration after it, of each proxy that it is about; set once the scenario has been checked.
        configs: Vec<Arc<ProxyConfig>>,
    },
    /// The proxies' caches forget something.
    Purge {
        /// What.
        what: Forgotten,
        /// Whether it is kept all the same, and stale.
        soft: bool,
    },
    /// The Redis of the proxies changes its condition.
    Redis(RedisState),
    /// The proxy drains and stops, and a new one starts in its place.
    RestartProxy {
        /// How long there is none.
        down: TimeSpan,
    },
}

/// How the proxies' Redis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedisState {
    /// It answers.
    Well,
    /// Nothing is there any more, and what it kept is gone.
    Lost,
    /// It takes calls and does not answer.
    Hung,
    /// It answers, and keeps nothing more.
    Full,
}

impl RedisState {
    /// Its name in a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Lost => "lost",
            Self::Hung => "hung",
            Self::Full => "full",
        }
    }
}

/// One end of a link whose other end is the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The link between the proxy and endpoints.
    Endpoint(Endpoints),
    /// The link between the clients of a load and the proxy.
    Load(String),
}

impl Action {
    /// The key that stands for it in a file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fault { fault, .. } => match fault {
                Fault::Slow { .. } => "slow",
                Fault::Fail { .. } => "fail",
                Fault::Hang => "hang",
                Fault::Crash => "crash",
                Fault::Restart => "restart",
                Fault::Restore => "restore",
            },
            Self::Partition(_) => "partition",
            Self::Repair(_) => "repair",
            Self::Latency { .. } => "latency",
            Self::Drop { .. } => "drop",
            Self::Add { .. } => "add",
            Self::Remove { .. } => "remove",
            Self::Reload { .. } => "reload",
            Self::Purge { .. } => "purge",
            Self::Redis(_) => "redis",
            Self::RestartProxy { .. } => "restart_proxy",
        }
    }

    /// The endpoints that it is done to, as written.
    pub fn endpoint(&self) -> Option<&str> {
        match self {
            Self::Fault { endpoint, .. } | Self::Remove { endpoint } => Some(endpoint),
            Self::Partition(target)
            | Self::Repair(target)
            | Self::Latency { target, .. }
            | Self::Drop { target, .. } => match target {
                Target::Endpoint(endpoint) => Some(endpoint),
                Target::Load(_) => None,
            },
            Self::Add { .. }
            | Self::Reload { .. }
            | Self::Purge { .. }
            | Self::Redis(_)
            | Self::RestartProxy { .. } => None,
        }
    }

    /// The load whose link it is done to.
    pub fn load(&self) -> Option<&str> {
        match self {
            Self::Partition(Target::Load(load))
            | Self::Repair(Target::Load(load))
            | Self::Latency { target: Target::Load(load), .. }
            | Self::Drop { target: Target::Load(load), .. } => Some(load),
            _ => None,
        }
    }

    /// Why it cannot be about one proxy of several; `None` where it can.
    pub fn why_not_of_one_proxy(&self) -> Option<&'static str> {
        match self {
            Self::Fault { .. } => Some("it is done to endpoints, whichever proxy asks them"),
            Self::Add { .. } | Self::Remove { .. } => Some("all proxies are told of it"),
            Self::Redis(_) => Some("the proxies share their Redis"),
            Self::Partition(_)
            | Self::Repair(_)
            | Self::Latency { .. }
            | Self::Drop { .. }
            | Self::Reload { .. }
            | Self::Purge { .. }
            | Self::RestartProxy { .. } => None,
        }
    }

    /// A few words for charts and logs, whichever proxy it is about.
    fn label(&self) -> String {
        let mut label = self.name().replace('_', " ");
        if let Some(name) = self.endpoint().or(self.load()) {
            let _ = write!(label, " {name}");
        }
        let _ = match self {
            Self::Fault { fault: Fault::Slow { factor }, .. } => write!(label, " ×{factor}"),
            Self::Fault { fault: Fault::Fail { status, probability }, .. }
                if *probability < 1.0 =>
            {
                write!(label, " {status} {}%", probability * 100.0)
            }
            Self::Fault { fault: Fault::Fail { status, .. }, .. } => write!(label, " {status}"),
            Self::Drop { probability, .. } => write!(label, " {}%", probability * 100.0),
            Self::Add { backend, count } => write!(label, " {count} to {backend}"),
            Self::Reload { changes, .. } => {
                let what: Vec<&str> = changes.keys().map(String::as_str).collect();
                write!(label, " {}", what.join(", "))
            }
            Self::RestartProxy { down } => write!(label, ", {down} down"),
            Self::Purge { what, soft: true } => write!(label, " {what}, soft"),
            Self::Purge { what, .. } => write!(label, " {what}"),
            Self::Redis(state) => write!(label, " {}", state.as_str()),
            _ => Ok(()),
        };
        label
    }
}

/// One kind of event, for `windtunnel list events`.
#[derive(Clone, Copy, Debug)]
pub struct EventInfo {
    /// Its key.
    pub name: &'static str,
    /// How it is written.
    pub example: &'static str,
    /// What it does.
    pub doc: &'static str,
}

const fn info(name: &'static str, example: &'static str, doc: &'static str) -> EventInfo {
    EventInfo { name, example, doc }
}

/// Every kind of event.
pub const EVENTS: [EventInfo; 16] = [
    info("slow", "{ endpoint = \"web-3\", factor = 20.0 }", "service takes so many times as long"),
    info(
        "fail",
        "{ endpoint = \"web-*\", status = 503, probability = 0.5 }",
        "answers an error, at once",
    ),
    info(
        "crash",
        "{ endpoint = \"web-3\" }",
        "the process dies: connections are reset, then refused",
    ),
    info("restart", "{ endpoint = \"web-3\" }", "a new process on the same address"),
    info("hang", "{ endpoint = \"web-3\" }", "accepts and reads, and never answers"),
    info("restore", "{ endpoint = \"web-3\" }", "back to normal"),
    info("partition", "{ endpoint = \"web-3\" }", "a link is cut; also { load = \"browse\" }"),
    info("repair", "{ endpoint = \"web-3\" }", "the link works again"),
    info(
        "latency",
        "{ endpoint = \"web-3\", one_way = { constant = \"50ms\" } }",
        "a link becomes slower",
    ),
    info("drop", "{ endpoint = \"web-3\", probability = 0.05 }", "a link loses packets"),
    info("add", "{ backend = \"web\", count = 2 }", "a backend gets more endpoints"),
    info("remove", "{ endpoint = \"web-3\" }", "an endpoint is drained and leaves"),
    info("reload", "{ balance = { strategy = \"random\" } }", "the proxy's configuration changes"),
    info(
        "purge",
        "{ prefix = \"/item/\", soft = true }",
        "caches forget a path, a prefix, a tag or everything, or hold it to be stale",
    ),
    info("redis", "\"lost\"", "the proxies' Redis is lost, hung, full, or well again"),
    info("restart_proxy", "{ down = \"1s\" }", "the proxy drains, stops and starts again"),
];
