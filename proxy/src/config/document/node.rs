//! The nodes of the tree: a value and where it came from.

use std::{fmt, sync::Arc};

use super::{Origin, Path, Step};

/// A value, without its place.
#[derive(Clone, Debug)]
pub enum Value {
    /// YAML's `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number between the least `i64` and the greatest `u64`.
    Int(i128),
    /// Any other number; always finite.
    Float(f64),
    /// Text.
    Text(String),
    /// An array.
    Array(Vec<Node>),
    /// A table.
    Table(Table),
}

impl Value {
    /// What this is, in the words of an error: `the text "x"`, `the number 5`, `a table`.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing (null)".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Int(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Text(value) => format!("the text {}", quote(value)),
            Self::Array(_) => "an array".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

/// A text in quotes, cut where it would fill the page.
pub(super) fn quote(text: &str) -> String {
    if text.chars().count() > 60 {
        let start: String = text.chars().take(60).collect();
        format!("\"{start}…\"")
    } else {
        format!("\"{text}\"")
    }
}

/// A value as one line of TOML: for `--print-config`, labels and messages.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Array(items) => {
                f.write_str("[")?;
                for (position, item) in items.iter().enumerate() {
                    let comma = if position > 0 { ", " } else { "" };
                    write!(f, "{comma}{}", item.value)?;
                }
                f.write_str("]")
            }
            Self::Table(table) => {
                f.write_str("{")?;
                for (position, entry) in table.entries.iter().enumerate() {
                    let comma = if position > 0 { "," } else { "" };
                    let key = Path::default().key(&entry.key);
                    write!(f, "{comma} {key} = {}", entry.node.value)?;
                }
                f.write_str(" }")
            }
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
    /// Left out of the reading, because it has been reported as wrong.
    pub(super) set_aside: bool,
}

impl Node {
    /// A node.
    pub fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin, set_aside: false }
    }

    /// The table that this is, if it is one.
    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The array that this is, if it is one.
    pub fn array(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The text that this is, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn child(&self, step: &Step) -> Option<&Node> {
        match (&self.value, step) {
            (Value::Table(table), Step::Key(key)) => table.get(key),
            (Value::Array(items), Step::Index(index)) => items.get(*index),
            (Value::Array(items), Step::Key(key)) => items.get(key.parse::<usize>().ok()?),
            _ => None,
        }
    }

    fn child_mut(&mut self, step: &Step) -> Option<&mut Node> {
        match (&mut self.value, step) {
            (Value::Table(table), Step::Key(key)) => table.get_mut(key),
            (Value::Array(items), Step::Index(index)) => items.get_mut(*index),
            (Value::Array(items), Step::Key(key)) => items.get_mut(key.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// Whether anything in this was left out.
    pub(super) fn has_gaps(&self) -> bool {
        self.set_aside
            || match &self.value {
                Value::Array(items) => items.iter().any(Node::has_gaps),
                Value::Table(table) => table.entries.iter().any(|entry| entry.node.has_gaps()),
                _ => false,
            }
    }

    /// The same value as the cell of a matrix that stands for `path`.
    pub fn in_cell(&self, path: &str) -> Node {
        let path: Arc<str> = path.into();
        let mut node = self.clone();
        node.for_each_origin(&mut |origin| {
            if let Origin::File(span) = origin {
                *origin = Origin::Cell { path: Arc::clone(&path), at: span.clone() };
            }
        });
        node
    }

    fn for_each_origin(&mut self, change: &mut dyn FnMut(&mut Origin)) {
        change(&mut self.origin);
        match &mut self.value {
            Value::Array(items) => items.iter_mut().for_each(|item| item.for_each_origin(change)),
            Value::Table(table) => {
                for entry in &mut table.entries {
                    change(&mut entry.origin);
                    entry.node.for_each_origin(change);
                }
            }
            _ => {}
        }
    }
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub origin: Origin,
    /// The value.
    pub node: Node,
}

/// Keys and their values, in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The entries; no key is there twice.
    pub entries: Vec<Entry>,
}

impl Table {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// A key with its value.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }
}

pub(super) fn descend<'a>(mut node: &'a Node, steps: &[Step]) -> Option<&'a Node> {
    for step in steps {
        node = node.child(step)?;
    }
    Some(node)
}

pub(super) fn descend_mut<'a>(mut node: &'a mut Node, steps: &[Step]) -> Option<&'a mut Node> {
    for step in steps {
        node = node.child_mut(step)?;
    }
    Some(node)
}
