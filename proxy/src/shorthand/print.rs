//! The configuration that holds in the end, and where each value came from: `--print-config`.
//!
//! What is printed is TOML and can be read again, but for secrets, which are not shown. What is switched off by leaving it out is left out.

use std::fmt::Write as _;

use proxy::config::{
    ProxyConfig,
    document::{Document, Path, Step, Value as Written},
};
use serde_json::Value;

/// Column of the remarks.
const REMARKS: usize = 48;

/// The whole, with a remark behind each value.
pub(crate) fn print(document: &Document, config: &ProxyConfig) -> String {
    let mut out = String::new();
    match serde_json::to_value(config) {
        Ok(value) => walk(&mut out, document, &Path::default(), &value),
        // Writing to a string cannot fail.
        Err(error) => drop(writeln!(out, "# cannot be shown: {error}")),
    }
    out
}

fn walk(out: &mut String, document: &Document, path: &Path, value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(table) => {
            for (key, value) in table {
                walk(out, document, &path.clone().key(key), value);
            }
        }
        Value::Array(items) if come_from_several_places(document, path, items.len()) => {
            let _ = writeln!(out, "{path} = [");
            for (index, item) in items.iter().enumerate() {
                let place = path.clone().index(index);
                line(out, &format!("  {},", toml(item, &place)), &origin(document, &place));
            }
            out.push_str("]\n");
        }
        Value::Array(items) if !items.is_empty() => {
            let text = format!("{path} = {}", toml(value, path));
            line(out, &text, &origin(document, &path.clone().index(0)));
        }
        value => line(out, &format!("{path} = {}", toml(value, path)), &origin(document, path)),
    }
}

/// Then each element has a line of its own.
fn come_from_several_places(document: &Document, path: &Path, count: usize) -> bool {
    let of = |index: usize| origin(document, &path.clone().index(index));
    (1..count).any(|index| of(index) != of(0))
}

fn line(out: &mut String, text: &str, remark: &str) {
    let _ = writeln!(out, "{text:REMARKS$} # {remark}");
}

/// Where the value at a path came from: as far down as it was written, and by default where it was not.
fn origin(document: &Document, path: &Path) -> String {
    let mut node = document.root();
    for step in &path.0 {
        let next = match (&node.value, step) {
            (Written::Table(table), Step::Key(key)) => table.get(key),
            (Written::Array(items), Step::Index(index)) => items.get(*index),
            // Written in short: `strategy = "p2c"`.
            (Written::Table(_) | Written::Array(_), _) => None,
            _ => return node.origin.to_string(),
        };
        match next {
            Some(next) => node = next,
            None => return "default".to_owned(),
        }
    }
    node.origin.to_string()
}

/// A value on one line.
fn toml(value: &Value, path: &Path) -> String {
    let is_secret =
        matches!(path.0.last(), Some(Step::Key(key)) if key == "password" || key == "secret");
    match value {
        Value::String(_) if is_secret => "\"(not shown)\"".to_owned(),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            let items: Vec<String> =
                items.map(|(index, item)| toml(item, &path.clone().index(index))).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(table) => {
            let entries = table.iter().filter(|(_, value)| !value.is_null());
            let entries: Vec<String> = entries
                .map(|(key, value)| {
                    format!(
                        "{} = {}",
                        Path::default().key(key),
                        toml(value, &path.clone().key(key))
                    )
                })
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        // JSON's texts are TOML's.
        other => other.to_string(),
    }
}
