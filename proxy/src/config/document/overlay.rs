//! One value on top of what is there: `--set`, environment variables, cells of a matrix, a reload.

use super::{
    Document, Entry, Error, Node, Origin, Path, Problem, Step, Table, Value, from_toml,
    node::descend_mut,
};

impl Document {
    /// Sets the value at a dotted path. The text is read as TOML (`5`, `true`, `{ choices = 2 }`), and taken as
    /// it is when it is none (`p2c`, `20ms`). Tables that are missing on the way are made.
    pub fn set(&mut self, path: &str, text: &str, origin: &Origin) -> Result<(), Error> {
        let refuse = |why: String| Error::from(Problem::new(why).at(origin.clone()));
        if text.len() > super::MAX_BYTES {
            return Err(refuse(format!("the value for `{path}` is too long")));
        }
        let path: Path = path.parse().map_err(refuse)?;
        self.put(&path, from_toml::value_or_text(text, origin)).map_err(Error::from)
    }

    /// Puts a node at `path`, in place of what is there. Tables that are missing on the way are made;
    /// elements of arrays are not.
    pub fn put(&mut self, path: &Path, new: Node) -> Result<(), Problem> {
        let key = new.origin.clone();
        self.put_under(path, &key, new)
    }

    /// The same, when the path itself stands at a place of its own: keys that are made are placed there.
    pub fn put_under(&mut self, path: &Path, key: &Origin, new: Node) -> Result<(), Problem> {
        let origin = key.clone();
        let refuse = |why: String| Problem::new(why).at(origin.clone());
        let Some((last, way)) = path.0.split_last() else {
            return Err(refuse("the root itself cannot be set".to_owned()));
        };
        let mut node = &mut self.root;
        for (depth, step) in way.iter().enumerate() {
            let here = Path(path.0[..depth].to_vec());
            node = enter(node, step, &here, &origin).map_err(refuse)?;
        }
        let key_origin = origin.clone();
        let parent = path.parent();
        match (&mut node.value, last) {
            (Value::Table(table), Step::Key(key)) => match table.get_mut(key) {
                Some(old) => *old = new,
                None => {
                    table.entries.push(Entry { key: key.clone(), origin: key_origin, node: new });
                }
            },
            (Value::Array(items), step) => {
                let length = items.len();
                let old = index_of(step).and_then(|index| items.get_mut(index));
                *old.ok_or_else(|| refuse(no_element(&parent, length, step)))? = new;
            }
            (value, step) => return Err(refuse(no_way(&parent, value, step))),
        }
        Ok(())
    }

    /// Takes a top-level key out.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        let Value::Table(table) = &mut self.root.value else { return None };
        let position = table.entries.iter().position(|entry| entry.key == key)?;
        Some(table.entries.remove(position))
    }

    /// Merges a table into the one at `path`: keys that are in both take the new value, tables in both are
    /// merged in turn.
    pub fn merge(&mut self, path: &Path, new: &Node) -> Result<(), Problem> {
        if let (Some(old), Some(table)) = (descend_mut(&mut self.root, &path.0), new.table())
            && let Value::Table(old) = &mut old.value
        {
            merge_tables(old, table);
            return Ok(());
        }
        self.put(path, new.clone())
    }
}

fn merge_tables(old: &mut Table, new: &Table) {
    for entry in &new.entries {
        match (old.get_mut(&entry.key), entry.node.table()) {
            (None, _) => old.entries.push(entry.clone()),
            (Some(node), Some(below)) => match &mut node.value {
                Value::Table(table) => merge_tables(table, below),
                _ => *node = entry.node.clone(),
            },
            (Some(node), None) => *node = entry.node.clone(),
        }
    }
}

/// The child that `step` leads to; a missing table is made.
fn enter<'a>(
    node: &'a mut Node,
    step: &Step,
    here: &Path,
    origin: &Origin,
) -> Result<&'a mut Node, String> {
    match (&mut node.value, step) {
        (Value::Table(table), Step::Key(key)) => {
            let position = table.entries.iter().position(|entry| entry.key == *key);
            let position = position.unwrap_or_else(|| {
                let node = Node::new(Value::Table(Table::default()), origin.clone());
                table.entries.push(Entry { key: key.clone(), origin: origin.clone(), node });
                table.entries.len() - 1
            });
            Ok(&mut table.entries[position].node)
        }
        (Value::Array(items), step) => {
            let length = items.len();
            index_of(step)
                .and_then(|index| items.get_mut(index))
                .ok_or_else(|| no_element(here, length, step))
        }
        (value, step) => Err(no_way(here, value, step)),
    }
}

fn index_of(step: &Step) -> Option<usize> {
    match step {
        Step::Index(index) => Some(*index),
        Step::Key(key) => key.parse().ok(),
    }
}

fn no_element(here: &Path, length: usize, step: &Step) -> String {
    let asked = match step {
        Step::Index(index) => index.to_string(),
        Step::Key(key) => key.clone(),
    };
    match length {
        0 => format!("`{here}` is an empty array: it has no element `{asked}`"),
        1 => format!("`{here}` is an array of one element, 0; it has no `{asked}`"),
        _ => format!(
            "`{here}` is an array with the elements 0 to {}; it has no `{asked}`",
            length - 1
        ),
    }
}

fn no_way(here: &Path, value: &Value, step: &Step) -> String {
    if here.is_root() {
        return "this path does not begin with a name".to_owned();
    }
    if let (Value::Table(_), Step::Index(index)) = (value, step) {
        return format!("`{here}` is no array with an element `{index}`");
    }
    format!("`{here}` is {} and not a table, so nothing can be set below it", value.describe())
}
