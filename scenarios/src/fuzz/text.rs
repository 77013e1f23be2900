//! A scenario's tree as the text that a person would have written.
//!
//! What a file says and no more: no default is filled in. The head comes first, then a table for each part, with its
//! values on one line each; lists of tables that do not fit on a line have a line for each.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A line is not made longer than this where it can be broken.
const WIDTH: usize = 100;
/// Tables whose own tables have headings: `[proxy.balance]`, `[backends.web]`.
const HOUSES: [&str; 3] = ["proxy", "backends", "load"];

/// The text of a scenario.
pub(super) fn write(tree: &Map<String, Value>) -> String {
    let mut out = String::new();
    for (key, value) in tree {
        if !value.is_object() && key != "events" {
            line(&mut out, key, value);
        }
    }
    for (key, value) in tree {
        match value {
            Value::Object(table) if HOUSES.contains(&key.as_str()) => house(&mut out, key, table),
            Value::Object(table) => section(&mut out, key, table.iter()),
            Value::Array(events) if key == "events" => {
                for event in events.iter().filter_map(Value::as_object) {
                    out.push_str("\n[[events]]\n");
                    for (key, value) in event {
                        line(&mut out, key, value);
                    }
                }
            }
            _ => {}
        }
    }
    out
}

fn house(out: &mut String, name: &str, table: &Map<String, Value>) {
    let plain = || table.iter().filter(|(_, value)| !value.is_object());
    if plain().count() > 0 {
        section(out, name, plain());
    }
    for (key, value) in table {
        if let Value::Object(below) = value {
            section(out, &format!("{name}.{}", quoted_key(key)), below.iter());
        }
    }
}

fn section<'a>(
    out: &mut String,
    heading: &str,
    entries: impl Iterator<Item = (&'a String, &'a Value)>,
) {
    let _ = write!(out, "\n[{heading}]\n");
    for (key, value) in entries {
        line(out, key, value);
    }
}

fn line(out: &mut String, key: &str, value: &Value) {
    let key = quoted_key(key);
    let inline = inline(value);
    match value {
        Value::Array(items)
            if key.len() + inline.len() + 3 > WIDTH && items.iter().all(Value::is_object) =>
        {
            let _ = writeln!(out, "{key} = [");
            for item in items {
                let _ = writeln!(out, "  {},", self::inline(item));
            }
            out.push_str("]\n");
        }
        _ => {
            let _ = writeln!(out, "{key} = {inline}");
        }
    }
}

/// A value on one line.
pub(super) fn inline(value: &Value) -> String {
    match value {
        // There is no such thing in TOML, and none in a scenario.
        Value::Null => "\"\"".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let entry = |(key, value): (&String, &Value)| {
                format!("{} = {}", quoted_key(key), inline(value))
            };
            let entries: Vec<String> = table.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

fn quoted_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { quoted(key) }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_would_write_it_so() {
        let tree = json!({
            "description": "Two \"words\".", "seed": 7, "duration": "10s",
            "proxy": { "workers": 1, "balance": { "strategy": "p2c" } },
            "backends": { "web": { "count": 2, "service": { "constant": "5ms" } } },
            "load": { "browse": { "arrivals": { "poisson": { "rate": 100.0 } }, "request": [
                { "path": "/a/quite/long/path/for/something", "weight": 1 },
                { "path": "/another/quite/long/path/for/something/else", "weight": 2 },
            ] } },
            "events": [{ "at": "1s", "crash": { "endpoint": "web-0" } }, { "at": "2s", "reload": {} }],
            "thresholds": { "latency.p99": "<= 1s", "ok": "> 1" },
        });
        insta::assert_snapshot!(write(tree.as_object().expect("a table")));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9_f64).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(value in value()) {
            let text = format!("x = {}", inline(&value));
            let read: Map<String, Value> = toml::from_str(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(read.get("x"), Some(&value));
        }
    }
}
