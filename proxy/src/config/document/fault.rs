//! What serde reports, before it has words.
//!
//! serde calls the error's constructors deep inside a derived reader, which knows neither place nor path. A
//! [`Fault`] therefore keeps the *structure* of what went wrong; on its way out each level of the
//! deserializer adds its step of the path, and the innermost one the place. Some readers (internally tagged and
//! untagged enums, flattened structs) first copy a whole node into a buffer of serde's own, where places are
//! lost: then the culprit is looked up by its name in the node that was buffered.

use std::{collections::VecDeque, fmt};

use serde::de::{self, Expected, Unexpected};

use super::{Entry, Node, Origin, Path, Problem, Step, Syntax, Value, nearest, node::quote};

#[derive(Debug)]
pub(super) enum Kind {
    UnknownKey {
        key: String,
        known: Vec<&'static str>,
    },
    UnknownVariant {
        name: String,
        known: Vec<&'static str>,
    },
    MissingKey {
        key: String,
    },
    Duplicate {
        key: String,
    },
    /// Wrong type, value or number of elements.
    Unfit {
        found: String,
        expected: String,
        help: Option<String>,
    },
    /// A choice that is not exactly one of several.
    NotOne {
        found: String,
        known: Vec<&'static str>,
    },
    /// A variant that was named without its parameters.
    NeedsParameters {
        variant: String,
        keys: Vec<&'static str>,
    },
    /// A variant that was given parameters and has none.
    TakesNone {
        variant: String,
    },
    Message(String),
}

/// Something that is wrong with a node.
#[derive(Debug)]
pub(super) struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    origin: Option<Origin>,
    /// From the innermost step outwards.
    steps: Vec<Step>,
}

impl Fault {
    pub(super) fn new(kind: Kind) -> Self {
        Self(Box::new(Inner { kind, origin: None, steps: Vec::new() }))
    }

    /// That `node` is not what was expected.
    pub(super) fn unfit(node: &Node, expected: impl fmt::Display) -> Self {
        let (found, expected) = (node.value.describe(), in_words(&expected.to_string()));
        Self::new(Kind::Unfit { found, expected, help: None })
    }

    /// Places this at `node`, or at the culprit within it, unless it has a place already.
    pub(super) fn at(mut self, node: &Node) -> Self {
        if self.0.origin.is_none() {
            let culprit = self.look_up(node);
            let (steps, origin) = culprit.unwrap_or_else(|| (Vec::new(), node.origin.clone()));
            self.0.steps = steps;
            self.0.steps.reverse();
            self.0.origin = Some(origin);
        }
        self
    }

    /// Places this at a key, unless it has a place already.
    pub(super) fn at_key(mut self, entry: &Entry) -> Self {
        if self.0.origin.is_none() {
            self.0.steps = vec![Step::Key(entry.key.clone())];
            self.0.origin = Some(entry.origin.clone());
        }
        self
    }

    /// Adds a step at the outer end of the path.
    pub(super) fn within(mut self, step: impl FnOnce() -> Step) -> Self {
        self.0.steps.push(step());
        self
    }

    pub(super) fn is_missing_key(&self) -> bool {
        matches!(self.0.kind, Kind::MissingKey { .. })
    }

    /// The way from where reading began to what is wrong.
    pub(super) fn path(&self) -> Path {
        Path(self.0.steps.iter().rev().cloned().collect())
    }

    /// Whether this can be only the consequence of something that was set aside before.
    pub(super) fn can_be_an_echo(&self) -> bool {
        !matches!(
            self.0.kind,
            Kind::UnknownKey { .. } | Kind::UnknownVariant { .. } | Kind::Duplicate { .. }
        )
    }

    fn look_up(&self, node: &Node) -> Option<(Vec<Step>, Origin)> {
        match &self.0.kind {
            Kind::UnknownKey { key, .. } | Kind::Duplicate { key } => {
                find(node, &mut |below| match below {
                    Below::Entry(entry) => (entry.key == *key).then(|| entry.origin.clone()),
                    Below::Node(_) => None,
                })
            }
            Kind::UnknownVariant { name, .. } => find(node, &mut |below| match below {
                Below::Entry(entry) => (entry.key == *name).then(|| entry.origin.clone()),
                Below::Node(node) => {
                    (node.text() == Some(name.as_str())).then(|| node.origin.clone())
                }
            }),
            Kind::Unfit { found, .. } => {
                let mut count = 0;
                let first = find(node, &mut |below| match below {
                    Below::Node(node) if node.value.describe() == *found => {
                        Some(node.origin.clone())
                    }
                    _ => None,
                });
                find(node, &mut |below| {
                    count += usize::from(
                        matches!(below, Below::Node(node) if node.value.describe() == *found),
                    );
                    None
                });
                first.filter(|_| count == 1)
            }
            _ => None,
        }
    }

    /// In words, and with the path of where reading began put in front.
    pub(super) fn into_problem(self, base: &Path) -> Problem {
        let mut path = base.clone();
        path.0.extend(self.path().0);
        let Inner { kind, origin, .. } = *self.0;
        let syntax =
            origin.as_ref().and_then(Origin::span).map_or(Syntax::Toml, |s| s.source().syntax);
        let table = |path: &Path| table_name(path, syntax);
        let name = path.last();
        let mut help = Vec::new();
        let message = match kind {
            Kind::UnknownKey { key, known } => {
                help.push(
                    suggestion(&key, "keys", &known).unwrap_or_else(|| "leave it out".to_owned()),
                );
                format!("unknown key `{key}` {}", table(&path.parent()))
            }
            Kind::UnknownVariant { name: variant, known } => {
                // A distribution that was meant to be a plain value.
                if known.contains(&"constant") && variant.starts_with(|c: char| c.is_ascii_digit())
                {
                    help.push(format!("write `{name} = {{ constant = \"{variant}\" }}`"));
                }
                help.extend(suggestion(&variant, "names", &known));
                // A variant that is a key stands in the table that is the value.
                let owner = if name == variant { path.parent().last() } else { name };
                if owner.is_empty() {
                    format!("`{variant}` is not known here")
                } else {
                    format!("`{owner}` cannot be `{variant}`")
                }
            }
            Kind::MissingKey { key } => format!("`{key}` is missing {}", table(&path)),
            Kind::Duplicate { key } => format!("`{key}` is given twice {}", table(&path.parent())),
            Kind::Unfit { found, expected, help: more } => {
                help.extend(more);
                match name.as_str() {
                    "" => format!("expected {expected}, but found {found}"),
                    name => format!("`{name}` should be {expected}, but is {found}"),
                }
            }
            Kind::NotOne { found, known } => {
                format!("`{name}` should be exactly one of {}, but is {found}", list(&known))
            }
            Kind::NeedsParameters { variant, keys } => {
                let inner: Vec<String> = keys.iter().map(|key| format!("{key} = …")).collect();
                let inner = inner.join(", ");
                help.push(format!("write `{name} = {{ {variant} = {{ {inner} }} }}`"));
                format!("`{variant}` needs parameters")
            }
            Kind::TakesNone { variant } => {
                help.push(format!("write `{name} = \"{variant}\"`"));
                format!("`{variant}` takes no parameters")
            }
            Kind::Message(message) => {
                // What policy's quantities say ends in advice, which has a line of its own here.
                let (what, advice) = match message.split_once("; ") {
                    Some((what, advice)) => (what.to_owned(), Some(advice.to_owned())),
                    None => (message, None),
                };
                help.extend(advice);
                if name.is_empty() { what } else { format!("`{name}`: {what}") }
            }
        };
        Problem { message, origin, help }
    }
}

/// `in [proxy.balance]`, `in `events[1].slow``, `at the top level`.
fn table_name(path: &Path, syntax: Syntax) -> String {
    let plain = path.0.iter().all(|step| matches!(step, Step::Key(_)));
    if path.is_root() {
        "at the top level".to_owned()
    } else if plain && syntax == Syntax::Toml {
        format!("in [{path}]")
    } else {
        format!("in `{path}`")
    }
}

fn suggestion(word: &str, what: &str, known: &[&'static str]) -> Option<String> {
    if known.is_empty() {
        return None;
    }
    let all = format!("known {what}: {}", known.join(", "));
    Some(match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? {all}"),
        None => all,
    })
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

enum Below<'a> {
    Node(&'a Node),
    Entry(&'a Entry),
}

/// Breadth first: the outermost match wins.
fn find(
    root: &Node,
    matches: &mut dyn FnMut(Below<'_>) -> Option<Origin>,
) -> Option<(Vec<Step>, Origin)> {
    let mut queue: VecDeque<(Vec<Step>, &Node)> = VecDeque::from([(Vec::new(), root)]);
    while let Some((steps, node)) = queue.pop_front() {
        if let Some(origin) = matches(Below::Node(node)) {
            return Some((steps, origin));
        }
        match &node.value {
            Value::Table(table) => {
                for entry in table.entries.iter().filter(|entry| !entry.node.set_aside) {
                    let mut steps = steps.clone();
                    steps.push(Step::Key(entry.key.clone()));
                    if let Some(origin) = matches(Below::Entry(entry)) {
                        return Some((steps, origin));
                    }
                    queue.push_back((steps, &entry.node));
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate().filter(|(_, item)| !item.set_aside) {
                    let mut steps = steps.clone();
                    steps.push(Step::Index(index));
                    queue.push_back((steps, item));
                }
            }
            _ => {}
        }
    }
    None
}

/// What serde's derived readers expect, in words that are not Rust's.
fn in_words(expected: &str) -> String {
    let words = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "u128" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "a character" | "a borrowed string" => "a text",
        "a sequence" => "an array",
        "a map" => "a table",
        "socket address" => "an address with a port, like 127.0.0.1:8080",
        "IP address" => "an IP address, like 127.0.0.1",
        _ if expected.starts_with("struct ") || expected.starts_with("internally tagged ") => {
            "a table"
        }
        _ => match expected.strip_prefix("a nonzero ") {
            Some(_) => "a whole number, 1 or more",
            None => match expected.strip_prefix("a tuple of size ") {
                Some(size) => return format!("an array of {size}"),
                None => expected,
            },
        },
    };
    words.to_owned()
}

fn describe(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Char(value) => quote(&value.to_string()),
        Unexpected::Str(value) => format!("the text {}", quote(value)),
        Unexpected::Unit | Unexpected::Option => "nothing (null)".to_owned(),
        Unexpected::Seq => "an array".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        // Flattened structs that deny unknown keys say so only in words.
        let key = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        if let Some(key) = key {
            return Self::new(Kind::UnknownKey { key: key.to_owned(), known: Vec::new() });
        }
        if message.starts_with("data did not match any variant") {
            return Self::new(Kind::Message("this fits none of the forms that are known".into()));
        }
        if message == "invalid socket address syntax" {
            let message = "no address with a port; write it like 127.0.0.1:8080".to_owned();
            return Self::new(Kind::Message(message));
        }
        Self::new(Kind::Message(message))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (found, expected) = (describe(found), in_words(&expected.to_string()));
        Self::new(Kind::Unfit { found, expected, help: None })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let elements = if length == 1 { "element" } else { "elements" };
        let (found, expected) =
            (format!("an array of {length} {elements}"), in_words(&expected.to_string()));
        Self::new(Kind::Unfit { found, expected, help: None })
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownVariant { name: variant.to_owned(), known: expected.to_vec() })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownKey { key: field.to_owned(), known: expected.to_vec() })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::MissingKey { key: field.to_owned() })
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Kind::Duplicate { key: field.to_owned() })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.kind)
    }
}

impl std::error::Error for Fault {}
