//! The three worlds: their names in a file, and what cannot be done in each.
//!
//! The simulated network is ours, so in `sim` everything can happen. On real sockets nobody can lose a packet
//! without privileges over the machine. The model has no bytes and no processes, only decisions and queues.

use policy::filter::FilterConfig;
use proxy::config::{Mode, ProxyConfig, RouteConfig};
use reports::World;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::event::Action;

/// Every world, in the order in which a run without `--world` tries them.
pub const ALL: [World; 3] = [World::Sim, World::Model, World::Live];

/// Every world, in the order of the documentation.
pub(super) fn all() -> Vec<World> {
    vec![World::Model, World::Sim, World::Live]
}

/// What `worlds` may be, for editors.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "enum": ["model", "sim", "live"] },
        "minItems": 1,
        "uniqueItems": true,
    })
}

/// Why `action` cannot be performed in `world`; `None` where it can.
pub fn cannot(world: World, action: &Action) -> Option<&'static str> {
    match (world, action) {
        (World::Live, Action::Partition(_) | Action::Repair(_)) => Some(
            "real sockets cannot be cut off from each other without privileges over the machine",
        ),
        (World::Live, Action::Latency { .. } | Action::Drop { .. }) => {
            Some("the machine's own network is not ours to slow down or to lose packets in")
        }
        (World::Model, Action::Drop { .. }) => Some("the model moves no bytes that could be lost"),
        (World::Live, Action::Redis(_)) => {
            Some("a real Redis is somebody else's: it is not ours to take away")
        }
        (World::Model, Action::Redis(_)) => Some("the model has no Redis"),
        (World::Model, Action::RestartProxy { .. }) => {
            Some("the model's proxy is its decisions: there is no process and no connection to end")
        }
        (World::Sim | World::Live | World::Model, _) => None,
    }
}

/// What of a proxy's configuration `world` has not: the key below `proxy`, and why; `None` where it has everything.
pub fn lacks(world: World, proxy: &ProxyConfig) -> Option<(&'static str, &'static str)> {
    if world != World::Model {
        return None;
    }
    let heads = "the model does not write out all fields of a head, so it cannot say how large one is; of `size` it knows `body` and `target`";
    if proxy.filter.iter().any(looks_at_whole_heads) {
        return Some(("filter", heads));
    }
    if proxy.routes.iter().flat_map(|route| &route.filter).any(looks_at_whole_heads) {
        return Some(("routes", heads));
    }
    if proxy.cache.redis.is_some() {
        return Some(("cache.redis", "the model has no Redis"));
    }
    if proxy.limit.redis.is_some() {
        return Some(("limit.redis", "the model has no Redis"));
    }
    let elsewhere =
        "what clients fetch from the endpoints themselves does not come by the model's cache";
    if proxy.mode == Mode::Redirect {
        let keeps = |route: &RouteConfig| route.cache.as_ref().is_some_and(|cache| cache.enabled);
        if proxy.cache.enabled {
            return Some(("cache", elsewhere));
        }
        if proxy.routes.iter().any(keeps) {
            return Some(("routes", elsewhere));
        }
    }
    None
}

/// Whether a filter counts fields and their bytes.
fn looks_at_whole_heads(filter: &FilterConfig) -> bool {
    let FilterConfig::Size(size) = filter else { return false };
    size.fields.is_some() || size.field.is_some() || size.head.is_some()
}

/// Worlds by name, for serde.
pub(super) mod names {
    use reports::World;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    struct Name(World);

    impl<'de> de::Deserialize<'de> for Name {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            const KNOWN: &[&str] = &["model", "sim", "live"];
            let text = String::deserialize(deserializer)?;
            let world = text.parse();
            world.map(Self).map_err(|_| de::Error::unknown_variant(&text, KNOWN))
        }
    }

    pub(in super::super) fn serialize<S: Serializer>(
        worlds: &[World],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(worlds.iter().map(|world| world.as_str()))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<World>, D::Error> {
        let names = Vec::<Name>::deserialize(deserializer)?;
        Ok(names.into_iter().map(|name| name.0).collect())
    }
}
