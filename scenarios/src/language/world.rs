//! The three worlds: their names in a file, and what cannot be done in each.
//!
//! The simulated network is ours, so in `sim` everything can happen. On real sockets nobody can lose a packet
//! without privileges over the machine. The model has no bytes and no processes, only decisions and queues.

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
        (World::Model, Action::RestartProxy { .. }) => {
            Some("the model's proxy is its decisions: there is no process and no connection to end")
        }
        (World::Sim | World::Live | World::Model, _) => None,
    }
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
