//! One tree for all configuration text.
//!
//! A proxy's configuration comes from a file in TOML or YAML, from environment variables and from flags; a
//! scenario adds `--set` and the cells of a matrix. All of them end up in one [`Document`]: a tree in which
//! every key and every value knows its [`Origin`]. The typed configuration is then read from the tree
//! with serde, so that one set of types serves every notation and an error, wherever it comes from, points
//! at the line and column, the variable or the flag that is wrong, and says what to write instead.
//!
//! How it fits together:
//!
//! - [`origin`], [`path`]: where a value came from, and dotted paths;
//! - `from_toml`, `from_yaml`: text to tree, bounded in size, depth and aliases;
//! - [`Node`], [`Table`], [`Value`]: the tree itself;
//! - `overlay`: one value set or one table merged on top of what is there;
//! - `de`, `fault`: the serde side; `fault` is what serde reports, before it has a place and words;
//! - [`error`], [`nearest`](mod@nearest): what a person gets to see.
//!
//! Checks that serde cannot make (a dangling name, a warm-up longer than the run) know only a dotted path:
//! [`Document::problem`] turns it into an error at the right place.

mod de;
pub mod error;
mod fault;
mod from_toml;
mod from_yaml;
pub mod nearest;
mod node;
pub mod origin;
mod overlay;
pub mod path;

#[cfg(test)]
mod tests;

use std::{fs::File, io::Read as _};

use serde::de::DeserializeOwned;

use node::{descend, descend_mut};

pub use error::{Error, Paint, Problem};
pub use nearest::nearest;
pub use node::{Entry, Node, Table, Value};
pub use origin::{Origin, Position, Source, Span, Syntax};
pub use path::{Path, Step};

/// The largest file that is read.
pub const MAX_BYTES: usize = 1 << 20;

/// How many problems one reading collects before it gives up.
const MAX_PROBLEMS: usize = 20;

/// A value that is not a table or an array, with its path: what provenance is listed for.
#[derive(Clone, Debug)]
pub struct Leaf<'a> {
    /// The way to it.
    pub path: Path,
    /// The value.
    pub value: &'a Value,
    /// Where it came from.
    pub origin: &'a Origin,
}

/// A tree of configuration.
#[derive(Clone, Debug)]
pub struct Document {
    root: Node,
}

impl Default for Document {
    /// An empty table.
    fn default() -> Self {
        Self { root: Node::new(Value::Table(Table::default()), Origin::Default) }
    }
}

impl Document {
    /// Reads a text; `name` is what errors call it, and its ending says whether it is YAML (`.yaml`, `.yml`)
    /// or TOML (anything else).
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(Error::message(format!(
                "{name} is larger than {} KiB, which is more than any configuration needs",
                MAX_BYTES >> 10
            )));
        }
        let source = Source::new(name, text.strip_prefix('\u{feff}').unwrap_or(text));
        let root = match source.syntax {
            Syntax::Toml => from_toml::parse(&source),
            Syntax::Yaml => from_yaml::parse(&source),
        }?;
        Ok(Self { root })
    }

    /// Reads a file of at most [`MAX_BYTES`].
    pub fn load(path: &std::path::Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let cannot = |why: std::io::Error| Error::message(format!("cannot read {name}: {why}"));
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(cannot)?;
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
        if bytes.len() > MAX_BYTES {
            bytes.truncate(MAX_BYTES + 1);
            // Cut inside a character: what matters is that it is too long.
            return Self::parse(&name, &" ".repeat(MAX_BYTES + 1));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].split(|byte| *byte == b'\n').count();
            Error::message(format!(
                "{name} is not UTF-8 text: a byte on line {line} is no character"
            ))
        })?;
        Self::parse(&name, &text)
    }

    /// Reads the whole tree as `T`. All problems that can be told apart are reported together: what is wrong
    /// is set aside, and the rest is read again.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.read_at(&Path::default())
    }

    /// Reads the part below `path` as `T`; what is not there is read as an empty table.
    pub fn read_at<T: DeserializeOwned>(&self, path: &Path) -> Result<T, Error> {
        let nothing;
        let node = if let Some(node) = self.get(path) {
            node
        } else {
            nothing = Node::new(Value::Table(Table::default()), self.locate(path));
            &nothing
        };
        let mut fault = match de::read(node) {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        let mut copy = node.clone();
        let mut problems: Vec<Problem> = Vec::new();
        loop {
            let place = fault.path();
            let mut set_aside = place.clone();
            // A key that is missing because it was set aside is no news, and neither is an array
            // that has become too short: look again without what encloses it.
            let echo =
                fault.can_be_an_echo() && descend(&copy, &place.0).is_some_and(Node::has_gaps);
            if !echo {
                problems.push(fault.into_problem(path));
            }
            let Some(wrong) = descend_mut(&mut copy, &set_aside.0) else { break };
            if wrong.set_aside || set_aside.is_root() || problems.len() >= MAX_PROBLEMS {
                break;
            }
            wrong.set_aside = true;
            set_aside.0.clear();
            match de::read::<T>(&copy) {
                Ok(_) => break,
                Err(next) => fault = next,
            }
        }
        match Error::from_problems(problems) {
            Err(error) => Err(error),
            Ok(()) => Err(Error::message("this cannot be read")),
        }
    }

    /// The root.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// The node at `path`, if there is one.
    pub fn get(&self, path: &Path) -> Option<&Node> {
        descend(&self.root, &path.0)
    }

    /// Where the value at `path` came from; where there is none, what encloses it. The name of a variant may be
    /// left out of the path: `service.mean` finds `service.exponential.mean`.
    pub fn locate(&self, path: &Path) -> Origin {
        let mut node = &self.root;
        for step in &path.0 {
            let variant = || match node.table().map(|table| table.entries.as_slice()) {
                Some([only]) => only.node.child(step),
                _ => None,
            };
            match node.child(step).or_else(variant) {
                Some(child) => node = child,
                None => break,
            }
        }
        node.origin.clone()
    }

    /// Where the key that `path` ends in stands; where there is none, what encloses it.
    pub fn locate_key(&self, path: &Path) -> Origin {
        let Some(Step::Key(key)) = path.0.last() else { return self.locate(path) };
        let table = descend(&self.root, &path.0[..path.0.len() - 1]).and_then(Node::table);
        match table.and_then(|table| table.entry(key)) {
            Some(entry) => entry.origin.clone(),
            None => self.locate(path),
        }
    }

    /// A problem with the value at a dotted path: `events[1].slow.endpoint`. What is no path is taken
    /// for the root.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem::new(message).at(self.locate(&path.parse().unwrap_or_default()))
    }

    /// Every value that is not a table or an array, in order, with where it came from.
    pub fn leaves(&self) -> Vec<Leaf<'_>> {
        let mut leaves = Vec::new();
        collect(&self.root, &mut Path::default(), &mut leaves);
        leaves
    }
}

fn collect<'a>(node: &'a Node, path: &mut Path, leaves: &mut Vec<Leaf<'a>>) {
    match &node.value {
        Value::Table(table) => {
            for entry in &table.entries {
                path.0.push(Step::Key(entry.key.clone()));
                collect(&entry.node, path, leaves);
                path.0.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.0.push(Step::Index(index));
                collect(item, path, leaves);
                path.0.pop();
            }
        }
        value => leaves.push(Leaf { path: path.clone(), value, origin: &node.origin }),
    }
}
