//! Keys that other proxies' files have, for what is called otherwise here.
//!
//! ```yaml
//! servers: [{ url: "http://10.0.0.1:9001", weight: 2 }]
//! load_balancing: { strategy: round_robin }
//! health_checks: { interval: 10s, path: /health }
//! ```
//!
//! They are renamed and keep their places, so that whatever is wrong inside is found where it stands.

use proxy::config::document::{Document, Entry, Node, Path, Problem, Value};

use super::server;

/// Renames what is there of them. All problems are found at once.
pub(crate) fn apply(document: &mut Document) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(entry) = document.take("servers") {
        servers(document, entry, &mut problems);
    }
    if let Some(entry) = document.take("load_balancing") {
        section(document, entry, ("balance", "strategy"), balancing, &mut problems);
    }
    if let Some(entry) = document.take("health_checks") {
        health_kind(document, &entry);
        section(document, entry, ("health", "kind"), health, &mut problems);
    }
    problems
}

fn servers(document: &mut Document, entry: Entry, problems: &mut Vec<Problem>) {
    let endpoints = Path::default().key("endpoints");
    if document.get(&endpoints).is_some() {
        let problem = Problem::new("`servers` stands beside `endpoints`, which means the same");
        problems.push(problem.at(entry.origin).help("write one of them"));
        return;
    }
    let Node { value, origin, .. } = entry.node;
    let Value::Array(items) = value else {
        let problem = Problem::new("`servers` must be a list").at(origin);
        problems
            .push(problem.help("write for example `servers: [{ url: \"http://10.0.0.1:9001\" }]`"));
        return;
    };
    let mut found = Vec::new();
    for item in items {
        match one_server(item) {
            Ok(node) => found.push(node),
            Err(problem) => problems.push(problem),
        }
    }
    let node = Node::new(Value::Array(found), origin);
    problems.extend(document.put_under(&endpoints, &entry.origin, node).err());
}

fn one_server(item: Node) -> Result<Node, Problem> {
    let wrong = |what: String, node: &Node| {
        let problem = Problem::new(what).at(node.origin.clone());
        problem.help("write for example `url: \"http://10.0.0.1:9001\"`")
    };
    if let Some(text) = item.text() {
        return server::endpoint(text, &item.origin).map_err(|what| wrong(what, &item));
    }
    let Value::Table(mut table) = item.value else {
        return Err(wrong("a server must be a URL, or a table with a `url`".to_owned(), &item));
    };
    let url = table.entries.iter().position(|entry| entry.key == "url");
    if let Some(at) = url {
        let entry = table.entries.remove(at);
        let text = entry
            .node
            .text()
            .ok_or_else(|| wrong("a server's `url` must be text".to_owned(), &entry.node))?;
        let found = server::endpoint(text, &entry.node.origin);
        let found = found.map_err(|what| wrong(what, &entry.node))?;
        let made = match found.value {
            Value::Table(made) => made.entries,
            _ => {
                vec![Entry { key: "address".to_owned(), origin: entry.origin, node: found }]
            }
        };
        for part in made {
            // A name of its own is better than that of its host.
            if table.get(&part.key).is_none() {
                table.entries.push(part);
            }
        }
    }
    Ok(Node::new(Value::Table(table), item.origin))
}

/// Moves the entries of a table under the name that they have here; a value alone is that of one key.
fn section(
    document: &mut Document,
    entry: Entry,
    (name, only): (&str, &str),
    rename: fn(&mut Entry),
    problems: &mut Vec<Problem>,
) {
    let entries = match entry.node.value {
        Value::Table(table) => table.entries,
        _ => vec![Entry { key: only.to_owned(), origin: entry.origin, node: entry.node }],
    };
    for mut entry in entries {
        rename(&mut entry);
        let path = Path::default().key(name).key(&entry.key);
        problems.extend(document.put_under(&path, &entry.origin, entry.node).err());
    }
}

fn balancing(entry: &mut Entry) {
    if let ("strategy" | "algorithm" | "method", Value::Text(name)) =
        (entry.key.as_str(), &entry.node.value)
    {
        let plain = name.to_ascii_lowercase().replace('-', "_");
        let known = match plain.as_str() {
            // Weights count wherever there are any.
            "roundrobin" | "weighted_round_robin" => "round_robin",
            "least_conn" | "leastconn" | "least_connection" => "least_connections",
            "iphash" | "source" => "ip_hash",
            other => other,
        };
        if known != name {
            entry.node.value = Value::Text(known.to_owned());
        }
        "strategy".clone_into(&mut entry.key);
    }
}

fn health(entry: &mut Entry) {
    let key = match entry.key.as_str() {
        "healthy_threshold" => "rise",
        "unhealthy_threshold" => "fall",
        "endpoint" => "path",
        other => other,
    };
    if let ("interval" | "timeout", Value::Int(seconds)) = (key, &entry.node.value) {
        entry.node.value = Value::Text(format!("{seconds}s"));
    }
    if let ("kind", Value::Bool(on)) = (key, &entry.node.value) {
        entry.node.value = Value::Text(if *on { "tcp" } else { "off" }.to_owned());
    }
    entry.key = key.to_owned();
}

/// Health checks that are written are wanted: by HTTP where there is a path, else by connecting.
fn health_kind(document: &mut Document, entry: &Entry) {
    let Some(table) = entry.node.table() else { return };
    let has = |key: &str| table.get(key).is_some();
    if has("kind") {
        return;
    }
    let off = table.get("enabled").is_some_and(|node| matches!(node.value, Value::Bool(false)));
    let kind = match off {
        true => "off",
        false if has("path") || has("endpoint") => "http",
        false => "tcp",
    };
    let node = Node::new(Value::Text(kind.to_owned()), entry.origin.clone());
    // Fails only where `health` is no table, which is reported then.
    let _ = document.put_under(&Path::default().key("health").key("kind"), &entry.origin, node);
}
