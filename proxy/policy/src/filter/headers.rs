//! Fields that are set, added, removed and rewritten, in requests or in responses.
//!
//! Names and values are checked when the configuration is: a value has no control characters, and what an expression takes out of a
//! value and puts into another has none either, because it came out of one. Fields that say how a message is framed or whom it is for
//! are not to be changed: whoever changes them lets one message be taken for two.

use std::collections::BTreeMap;

use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::Template;
use crate::{
    message::{Edits, Fields},
    pattern::{self, Case, Texts},
};

/// What one field's value becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValueRewrite {
    /// A regular expression. What it finds first in the value is replaced; where it finds nothing, nothing is.
    pub regex: String,
    /// By this: `$1`, `${name}` are what the groups have found, `$$` is a `$`.
    pub with: String,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the endpoint.
    There,
    /// To the client.
    Back,
}

/// What is to be different, as the configuration says it.
pub(super) struct Changes<'a> {
    pub(super) set: &'a BTreeMap<String, String>,
    pub(super) add: &'a BTreeMap<String, Texts>,
    pub(super) remove: &'a Texts,
    pub(super) rewrite: &'a BTreeMap<String, ValueRewrite>,
}

/// Fields that nobody but the proxy itself writes: framing, and what is for one hop.
const OWN: [&str; 9] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Those that it writes on the way to an endpoint.
const FORWARDED: [&str; 4] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

impl Changes<'_> {
    /// What is impossible about them: the key, and what it must be.
    pub(super) fn problem(&self, way: Way) -> Option<(String, String)> {
        let Self { set, add, remove, rewrite } = self;
        for (name, value) in *set {
            if let Some(message) = name_problem(name, way).or_else(|| value_problem(value)) {
                return Some((pattern::entry("set", name), message));
            }
        }
        for (name, values) in *add {
            let host = name.eq_ignore_ascii_case("host").then(one_host);
            let message = host
                .or_else(|| name_problem(name, way))
                .or_else(|| values.iter().find_map(|value| value_problem(value)));
            if let Some(message) = message {
                return Some((pattern::entry("add", name), message));
            }
        }
        for (index, name) in remove.iter().enumerate() {
            let host = name.eq_ignore_ascii_case("host").then(one_host);
            let bare = name.strip_suffix('*').unwrap_or(name);
            if let Some(message) = host.or_else(|| name_problem(bare, way)) {
                return Some((format!("remove[{index}]"), message));
            }
        }
        for (name, change) in *rewrite {
            if let Some(message) = name_problem(name, way) {
                return Some((pattern::entry("rewrite", name), message));
            }
            let regex = match pattern::regex(&change.regex, Case::Told) {
                Ok(regex) => regex,
                Err(message) => {
                    return Some((format!("{}.regex", pattern::entry("rewrite", name)), message));
                }
            };
            let problem = value_problem(&change.with)
                .or_else(|| Template::new(&change.with, Some(&regex)).err());
            if let Some(message) = problem {
                return Some((format!("{}.with", pattern::entry("rewrite", name)), message));
            }
        }
        let nothing = set.is_empty() && add.is_empty() && remove.is_empty() && rewrite.is_empty();
        nothing.then(|| {
            let message = "changes nothing; write one of `set`, `add`, `remove` and `rewrite`, like `{ set = { X-Name = \"value\" } }`";
            (String::new(), message.to_owned())
        })
    }

    /// Ready to be applied.
    pub(super) fn ready(&self) -> Ready {
        let rewrite = self.rewrite.iter().filter_map(|(name, change)| {
            let regex = pattern::regex(&change.regex, Case::Told).ok()?;
            let with = Template::new(&change.with, Some(&regex)).ok()?;
            Some((name.clone(), regex, with))
        });
        let add = self.add.iter();
        Ready {
            set: self.set.clone().into_iter().collect(),
            add: add
                .flat_map(|(name, values)| values.iter().map(|v| (name.clone(), v.clone())))
                .collect(),
            remove: self.remove.iter().cloned().collect(),
            rewrite: rewrite.collect(),
        }
    }
}

fn one_host() -> String {
    "a request has exactly one `Host`; write it under `set`".to_owned()
}

fn name_problem(name: &str, way: Way) -> Option<String> {
    if !pattern::is_token(name) {
        return Some(format!("`{name}` is no name of a field; write one like \"X-Name\""));
    }
    let lower = name.to_ascii_lowercase();
    if OWN.contains(&&*lower) {
        return Some(format!(
            "`{name}` is the proxy's own to write, since it says where a message ends or whom it is for; leave it out"
        ));
    }
    if way == Way::There && FORWARDED.contains(&&*lower) {
        return Some(format!("`{name}` is the proxy's own to write; see `forwarding`"));
    }
    None
}

/// What is wrong with a field's value (RFC 9110, 5.5).
pub(super) fn value_problem(value: &str) -> Option<String> {
    if let Some(bad) = value.chars().find(|c| c.is_control() && *c != '\t') {
        return Some(format!("a value must not have control characters; leave {bad:?} out"));
    }
    (value.trim() != value).then(|| "a value has no blanks around it; leave them out".to_owned())
}

/// Changes that are ready to be applied.
#[derive(Debug)]
pub(super) struct Ready {
    set: Box<[(String, String)]>,
    add: Box<[(String, String)]>,
    remove: Box<[String]>,
    rewrite: Box<[(String, Regex, Template)]>,
}

impl Ready {
    /// Says what is to be different in a head with these fields: removed, rewritten, set, added, in this order.
    pub(super) fn apply(&self, fields: &dyn Fields, edits: &mut Edits) {
        for name in &self.remove {
            match name.strip_suffix('*') {
                Some(prefix) => fields.each(&mut |name, _| {
                    if Case::Ignored.begins(name, prefix.as_bytes()) {
                        edits.remove(String::from_utf8_lossy(name).into_owned());
                    }
                    true
                }),
                None => edits.remove(name.clone()),
            }
        }
        for (name, regex, with) in &self.rewrite {
            rewrite(name, regex, with, fields, edits);
        }
        for (name, value) in &self.set {
            edits.set(name.clone(), value.as_bytes());
        }
        for (name, value) in &self.add {
            edits.add(name.clone(), value.as_bytes());
        }
    }
}

fn rewrite(name: &str, regex: &Regex, with: &Template, fields: &dyn Fields, edits: &mut Edits) {
    let mut values: Vec<Vec<u8>> = Vec::new();
    let mut changed = false;
    fields.each(&mut |known, value| {
        if known.eq_ignore_ascii_case(name.as_bytes()) {
            values.push(match regex.captures(value) {
                Some(found) => {
                    changed = true;
                    with.replaced(value, &found)
                }
                None => value.to_vec(),
            });
        }
        true
    });
    if changed {
        let mut values = values.into_iter();
        edits.set(name.to_owned(), values.next().unwrap_or_default());
        for value in values {
            edits.add(name.to_owned(), value);
        }
    }
}
