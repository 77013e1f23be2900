//! A scenario file that is being changed: what it says, as a tree, without its events and its seed.
//!
//! Everything that is run was written as text first and read back with the language's own check, so a file that `fuzz` leaves
//! behind is to the letter what was run. A matrix is no part of it: each of its cells is a draft of its own.

use std::path::{Component, Path, PathBuf};

use proxy::config::document::{Document, Error, Node, Origin, Value as Leaf};
use reports::World;
use serde_json::{Map, Value};

use super::text;
use crate::language::{Event, Scenario, Setting, matrix, suite::Found};

/// A scenario without events, in one world.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// What the file says.
    pub tree: Map<String, Value>,
    /// Where the files are that it names.
    pub base: PathBuf,
    /// Thresholds that it cannot have: they are about endpoints that only the scenario's own events add.
    pub dropped: Vec<String>,
}

/// The drafts of a scenario file for `world`: one for each cell of its matrix.
///
/// # Errors
/// What is wrong with the file, or why it cannot run in this world.
pub fn drafts(found: &Found, settings: &[Setting], world: World) -> Result<Vec<Draft>, Error> {
    let variants = found.load(settings)?.variants;
    let mut plain = found.document(settings)?;
    plain.take("matrix");
    let base = found.path.parent().unwrap_or(Path::new("")).to_owned();
    let mut drafts = Vec::with_capacity(variants.len());
    for variant in variants {
        let refused = variant.exclusions.iter().all(|exclusion| exclusion.world != world);
        if refused && !variant.scenario.worlds.contains(&world) {
            let why = format!("`{}` does not allow the world `{world}`", found.path.display());
            return Err(Error::message(why));
        }
        let mut document = plain.clone();
        for (path, value) in &variant.cell {
            document.set(path, value, &Origin::Default)?;
        }
        let Value::Object(mut tree) = value_of(document.root()) else { continue };
        for replaced in ["events", "seed", "description"] {
            tree.shift_remove(replaced);
        }
        tree.insert("worlds".to_owned(), Value::from(vec![world.as_str()]));
        let bare = Scenario { events: Vec::new(), ..variant.scenario };
        let known: Vec<String> = bare.thresholds().into_iter().map(|known| known.metric).collect();
        let mut dropped = Vec::new();
        if let Some(Value::Object(thresholds)) = tree.get_mut("thresholds") {
            let unknown = |metric: &&String| !known.contains(metric);
            dropped.extend(thresholds.keys().filter(unknown).cloned());
            thresholds.retain(|metric, _| known.contains(metric));
        }
        drafts.push(Draft { tree, base: base.clone(), dropped });
    }
    Ok(drafts)
}

impl Draft {
    /// The file with these events.
    pub fn text(&self, events: &[Event], seed: u64) -> String {
        let mut tree = Map::new();
        tree.insert("seed".to_owned(), Value::from(seed));
        // What a person reads in this order: the head, the parts, what happens, what must hold.
        let late = |key: &str| matches!(key, "phases" | "thresholds");
        let parts = |wanted: bool| self.tree.iter().filter(move |(key, _)| late(key) == wanted);
        tree.extend(parts(false).map(|(key, value)| (key.clone(), value.clone())));
        tree.insert("events".to_owned(), events.iter().map(written).collect());
        tree.extend(parts(true).map(|(key, value)| (key.clone(), value.clone())));
        text::write(&tree)
    }

    /// The scenario with these events, read and checked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn scenario(&self, events: &[Event], seed: u64) -> Result<Scenario, Error> {
        let document = Document::parse("fuzz.toml", &self.text(events, seed))?;
        let variant = matrix::variants(document, &self.base)?.into_iter().next();
        let variant = variant.ok_or_else(|| Error::message("there is no variant"))?;
        match variant.exclusions.first() {
            Some(exclusion) => Err(Error::message(exclusion.reason.clone())),
            None => Ok(variant.scenario),
        }
    }

    /// The same for a file in another directory: the files that it names are named from there.
    pub fn moved_to(&self, directory: &Path) -> Self {
        let mut moved = self.clone();
        let way = way(directory, &self.base);
        for part in ["backends", "load", "network"] {
            if let Some(value) = moved.tree.get_mut(part) {
                rename_files(value, &way);
            }
        }
        directory.clone_into(&mut moved.base);
        moved
    }
}

fn rename_files(value: &mut Value, way: &Path) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                match value {
                    Value::String(file) if key == "file" => {
                        *file = way.join(&*file).display().to_string();
                    }
                    value => rename_files(value, way),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_files(item, way)),
        _ => {}
    }
}

/// How to get from one directory to another; the whole path where there is no short way.
fn way(from: &Path, to: &Path) -> PathBuf {
    let whole = |path: &Path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    };
    let (from, to) = (whole(from), whole(to));
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    if shared == 0 {
        return to;
    }
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

/// The tree without its places.
fn value_of(node: &Node) -> Value {
    match &node.value {
        Leaf::Null => Value::Null,
        Leaf::Bool(value) => Value::from(*value),
        Leaf::Int(value) => i64::try_from(*value)
            .map_or_else(|_| Value::from(u64::try_from(*value).unwrap_or(u64::MAX)), Value::from),
        Leaf::Float(value) => Value::from(*value),
        Leaf::Text(value) => Value::from(value.as_str()),
        Leaf::Array(items) => items.iter().map(value_of).collect(),
        Leaf::Table(table) => {
            let entries = table.entries.iter();
            Value::Object(entries.map(|e| (e.key.clone(), value_of(&e.node))).collect())
        }
    }
}

/// An event as a person writes it.
fn written(event: &Event) -> Value {
    let mut value = serde_json::to_value(event).unwrap_or_default();
    if let Value::Object(table) = &mut value {
        table.retain(|_, value| !value.is_null());
        if event.at.0.is_zero() {
            table.insert("at".to_owned(), Value::from("0s"));
        }
    }
    value
}
