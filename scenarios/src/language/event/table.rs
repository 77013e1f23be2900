//! An event as its table in the file, and the way between the two.
//!
//! Every action is an optional key here, so that an unknown one is found by its name and an editor
//! can offer all of them; that exactly one is there is checked on the way to [`Event`].

use backend_sim::Fault;
use policy::{distribution::Distribution, quantity::TimeSpan};
use proxy::config::ProxyConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, EVENTS, Endpoints, Event, RedisState, Target, Which, purge::PurgeTable};

/// An event: a time and exactly one action.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Event")]
pub(super) struct EventTable {
    /// When, since the start of the run.
    at: TimeSpan,
    /// Of several proxies, the only one that this is about, as "proxy-3" or 3; by default all. For what is done to a proxy
    /// or to its links.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<Which>,
    /// Service takes so many times as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<SlowTable>,
    /// Requests are answered with an error at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    fail: Option<FailTable>,
    /// The process dies: connections are reset, then refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    crash: Option<EndpointTable>,
    /// A new process on the same address.
    #[serde(skip_serializing_if = "Option::is_none")]
    restart: Option<EndpointTable>,
    /// The endpoint accepts and reads, and never answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    hang: Option<EndpointTable>,
    /// Back to normal.
    #[serde(skip_serializing_if = "Option::is_none")]
    restore: Option<EndpointTable>,
    /// A link is cut: what is sent is lost, and nobody is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<LinkTable>,
    /// A link works again.
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<LinkTable>,
    /// A link becomes slower.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<LatencyTable>,
    /// A link loses packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    drop: Option<DropTable>,
    /// A backend gets more endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    add: Option<AddTable>,
    /// Endpoints are drained and leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    remove: Option<EndpointTable>,
    /// The proxy's configuration changes; what is not named stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ProxyConfig>")]
    reload: Option<serde_json::Map<String, serde_json::Value>>,
    /// The proxies' caches forget a path, all below a prefix, what has a tag, or everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    purge: Option<PurgeTable>,
    /// The Redis of the proxies is lost, hung, full, or well again.
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<RedisState>,
    /// The proxy drains and stops, and a new one starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_proxy: Option<RestartTable>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EndpointTable {
    /// Which endpoint: "web-3", or "web-*" for all of `web`.
    endpoint: Endpoints,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SlowTable {
    /// Which endpoint: "web-3", or "web-*" for all of `web`.
    endpoint: Endpoints,
    /// How many times as long everything takes; above 0.
    factor: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FailTable {
    /// Which endpoint: "web-3", or "web-*" for all of `web`.
    endpoint: Endpoints,
    /// The status, 500 by default.
    #[serde(default = "default_status")]
    status: u16,
    /// How likely, 0 to 1; 1 by default.
    #[serde(default = "certain")]
    probability: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LinkTable {
    /// The link between the proxy and this endpoint, or "web-*".
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<Endpoints>,
    /// The link between the clients of this load and the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LatencyTable {
    /// The link between the proxy and this endpoint, or "web-*".
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<Endpoints>,
    /// The link between the clients of this load and the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<String>,
    /// How long a packet is under way in one direction.
    one_way: Distribution<TimeSpan>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DropTable {
    /// The link between the proxy and this endpoint, or "web-*".
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<Endpoints>,
    /// The link between the clients of this load and the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<String>,
    /// How likely each packet is lost, 0 to 1.
    probability: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddTable {
    /// Which backend.
    backend: String,
    /// How many more endpoints; 1 by default.
    #[serde(default = "one")]
    count: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RestartTable {
    /// How long there is no proxy, after it has stopped; no time by default.
    #[serde(default)]
    down: TimeSpan,
}

fn default_status() -> u16 {
    500
}

fn certain() -> f64 {
    1.0
}

fn one() -> u32 {
    1
}

impl JsonSchema for Event {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        EventTable::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        EventTable::json_schema(generator)
    }
}

fn link(endpoint: Option<Endpoints>, load: Option<String>) -> Result<Target, String> {
    match (endpoint, load) {
        (Some(endpoint), None) => Ok(Target::Endpoint(endpoint)),
        (None, Some(load)) => Ok(Target::Load(load)),
        _ => Err(
            "a link needs exactly one end; write `endpoint = \"web-0\"` (between the proxy and \
                  an endpoint) or `load = \"browse\"` (between clients and the proxy)"
                .to_owned(),
        ),
    }
}

fn ends(target: Target) -> (Option<Endpoints>, Option<String>) {
    match target {
        Target::Endpoint(endpoint) => (Some(endpoint), None),
        Target::Load(load) => (None, Some(load)),
    }
}

impl TryFrom<EventTable> for Event {
    type Error = String;

    fn try_from(table: EventTable) -> Result<Self, String> {
        let fault = |endpoint, fault| Action::Fault { endpoint, fault };
        let mut actions = Vec::new();
        actions.extend(table.slow.map(|t| fault(t.endpoint, Fault::Slow { factor: t.factor })));
        actions.extend(table.fail.map(|t| {
            fault(t.endpoint, Fault::Fail { status: t.status, probability: t.probability })
        }));
        actions.extend(table.crash.map(|t| fault(t.endpoint, Fault::Crash)));
        actions.extend(table.restart.map(|t| fault(t.endpoint, Fault::Restart)));
        actions.extend(table.hang.map(|t| fault(t.endpoint, Fault::Hang)));
        actions.extend(table.restore.map(|t| fault(t.endpoint, Fault::Restore)));
        if let Some(t) = table.partition {
            actions.push(Action::Partition(link(t.endpoint, t.load)?));
        }
        if let Some(t) = table.repair {
            actions.push(Action::Repair(link(t.endpoint, t.load)?));
        }
        if let Some(t) = table.latency {
            let target = link(t.endpoint, t.load)?;
            actions.push(Action::Latency { target, one_way: t.one_way });
        }
        if let Some(t) = table.drop {
            let target = link(t.endpoint, t.load)?;
            actions.push(Action::Drop { target, probability: t.probability });
        }
        actions.extend(table.add.map(|t| Action::Add { backend: t.backend, count: t.count }));
        actions.extend(table.remove.map(|t| Action::Remove { endpoint: t.endpoint }));
        let reload = |changes| Action::Reload { changes, configs: Vec::new() };
        actions.extend(table.reload.map(reload));
        if let Some(t) = table.purge {
            let (what, soft) = t.read()?;
            actions.push(Action::Purge { what, soft });
        }
        actions.extend(table.redis.map(Action::Redis));
        actions.extend(table.restart_proxy.map(|t| Action::RestartProxy { down: t.down }));
        let mut actions = actions.into_iter();
        match (actions.next(), actions.next()) {
            (Some(action), None) => Ok(Self { at: table.at, proxy: table.proxy, action }),
            (None, _) => {
                let known: Vec<&str> = EVENTS.iter().map(|event| event.name).collect();
                Err(format!("this event does nothing; give it one of {}", known.join(", ")))
            }
            (Some(first), Some(second)) => Err(format!(
                "an event has one action, but this one has `{}` and `{}`; write an event for each",
                first.name(),
                second.name()
            )),
        }
    }
}

impl From<Event> for EventTable {
    fn from(event: Event) -> Self {
        let mut table = Self { at: event.at, proxy: event.proxy, ..Self::default() };
        match event.action {
            Action::Fault { endpoint, fault } => match fault {
                Fault::Slow { factor } => table.slow = Some(SlowTable { endpoint, factor }),
                Fault::Fail { status, probability } => {
                    table.fail = Some(FailTable { endpoint, status, probability });
                }
                Fault::Hang => table.hang = Some(EndpointTable { endpoint }),
                Fault::Crash => table.crash = Some(EndpointTable { endpoint }),
                Fault::Restart => table.restart = Some(EndpointTable { endpoint }),
                Fault::Restore => table.restore = Some(EndpointTable { endpoint }),
            },
            Action::Partition(target) => {
                let (endpoint, load) = ends(target);
                table.partition = Some(LinkTable { endpoint, load });
            }
            Action::Repair(target) => {
                let (endpoint, load) = ends(target);
                table.repair = Some(LinkTable { endpoint, load });
            }
            Action::Latency { target, one_way } => {
                let (endpoint, load) = ends(target);
                table.latency = Some(LatencyTable { endpoint, load, one_way });
            }
            Action::Drop { target, probability } => {
                let (endpoint, load) = ends(target);
                table.drop = Some(DropTable { endpoint, load, probability });
            }
            Action::Add { backend, count } => table.add = Some(AddTable { backend, count }),
            Action::Remove { endpoint } => table.remove = Some(EndpointTable { endpoint }),
            Action::Reload { changes, .. } => table.reload = Some(changes),
            Action::Purge { what, soft } => table.purge = Some(PurgeTable::write(what, soft)),
            Action::Redis(state) => table.redis = Some(state),
            Action::RestartProxy { down } => table.restart_proxy = Some(RestartTable { down }),
        }
        table
    }
}
