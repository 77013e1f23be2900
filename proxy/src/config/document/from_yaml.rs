//! YAML to tree.
//!
//! The parser gives events with places; the tree is built here, so that its size stays in our hands: a file of a
//! few hundred bytes can, by aliases of aliases, stand for billions of nodes. An alias is a copy, and
//! copies count against the same budget as what is written. Scalars follow YAML 1.2's core schema, in which
//! `no` is a text and not `false`.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::{Entry, Error, Node, Origin, Problem, Source, Span, Table, Value, from_toml::in_range};

const MAX_NODES: usize = 100_000;
const MAX_DEPTH: usize = 64;

/// A container that is being read.
struct Open {
    node: Node,
    anchor: usize,
    /// Nodes in it so far, itself included.
    size: usize,
    /// A key that waits for its value.
    key: Option<(String, Origin)>,
    /// Where each key of a table stands in it.
    keys: BTreeMap<String, usize>,
}

struct Builder {
    source: Arc<Source>,
    /// Where each character starts, when not every character is a byte.
    offsets: Option<Vec<u32>>,
    stack: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

/// Parses a file; an empty one is an empty table.
pub(super) fn parse(source: &Arc<Source>) -> Result<Node, Error> {
    let offsets = (!source.text.is_ascii())
        .then(|| source.text.char_indices().map(|(at, _)| at as u32).collect());
    let mut builder = Builder {
        source: Arc::clone(source),
        offsets,
        stack: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        root: None,
    };
    for event in Parser::new_from_str(&source.text) {
        let (event, span) = event.map_err(|error| {
            let origin = builder.origin(error.marker().index(), error.marker().index() + 1);
            Problem::new(format!("this is not YAML: {}", error.info())).at(origin)
        })?;
        let origin = builder.origin(span.start.index(), span.end.index());
        builder.take(event, origin)?;
    }
    let mut root = builder.root.take().unwrap_or_else(|| {
        Node::new(Value::Table(Table::default()), Origin::File(Span::whole(source)))
    });
    if matches!(root.value, Value::Null) {
        root.value = Value::Table(Table::default());
    }
    root.origin = Origin::File(Span::whole(source));
    Ok(root)
}

impl Builder {
    fn origin(&self, start: usize, end: usize) -> Origin {
        let byte = |index: usize| match &self.offsets {
            None => index,
            Some(offsets) => {
                offsets.get(index).map_or(self.source.text.len(), |offset| *offset as usize)
            }
        };
        let (start, end) = (byte(start), byte(end));
        let text = self.source.text.get(start..end).unwrap_or_default();
        // Block scalars and tables end where the next thing begins.
        let trimmed = text.trim_end().len();
        Origin::File(Span::new(&self.source, start..start + trimmed))
    }

    fn take(&mut self, event: Event<'_>, origin: Origin) -> Result<(), Problem> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Problem::new("only one YAML document belongs in a file").at(origin))
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(text, style, tag.as_deref())
                    .map_err(|why| Problem::new(why).at(origin.clone()))?;
                self.finish(Node::new(value, origin), anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(Value::Array(Vec::new()), origin, anchor, tag.as_deref())
            }
            Event::MappingStart(anchor, tag) => {
                self.open(Value::Table(Table::default()), origin, anchor, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(mut open) = self.stack.pop() else { return Ok(()) };
                if let (Origin::File(start), Origin::File(end)) = (&open.node.origin, &origin) {
                    open.node.origin = Origin::File(start.to(end));
                }
                self.finish(open.node, open.anchor, open.size)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(
                        Problem::new("this alias stands inside what it stands for").at(origin)
                    );
                };
                if self.nodes + size > MAX_NODES {
                    return Err(too_much(origin));
                }
                let (node, size) = (node.clone(), *size);
                self.nodes += size - 1;
                self.finish(node, 0, size)
            }
        }
    }

    fn open(
        &mut self,
        value: Value,
        origin: Origin,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Problem> {
        if self.stack.len() >= MAX_DEPTH {
            let why = format!("this is nested deeper than {MAX_DEPTH} levels");
            return Err(Problem::new(why).at(origin));
        }
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            return Err(Problem::new(no_tag(tag)).at(origin));
        }
        if let Some(Open { node: Node { value: Value::Table(_), .. }, key: None, .. }) =
            self.stack.last()
        {
            return Err(Problem::new("a key must be a text, not an array or a table").at(origin));
        }
        self.stack.push(Open {
            node: Node::new(value, origin),
            anchor,
            size: 1,
            key: None,
            keys: BTreeMap::new(),
        });
        Ok(())
    }

    /// A node is complete: it becomes a key, a value, an element or the root.
    fn finish(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Problem> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(too_much(node.origin));
        }
        if anchor > 0 {
            // An anchor is a copy too, so that nested anchors cannot grow without bound.
            self.nodes += size;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.size += size;
        match &mut open.node.value {
            Value::Array(items) => items.push(node),
            Value::Table(table) => match open.key.take() {
                None => {
                    let key = match node.value {
                        Value::Text(text) => text,
                        Value::Table(_) | Value::Array(_) => {
                            let why = "a key must be a text, not an array or a table";
                            return Err(Problem::new(why).at(node.origin));
                        }
                        other => other.to_string(),
                    };
                    if let Some(first) = open.keys.get(&key) {
                        let first = &table.entries[*first].origin;
                        return Err(Problem::new(format!("duplicate key `{key}`"))
                            .at(node.origin)
                            .help(format!("it stands at {first} already; remove one of the two")));
                    }
                    open.keys.insert(key.clone(), table.entries.len());
                    open.key = Some((key, node.origin));
                }
                Some((key, origin)) => table.entries.push(Entry { key, origin, node }),
            },
            _ => {}
        }
        Ok(())
    }
}

fn too_much(origin: Origin) -> Problem {
    Problem::new(format!("with all aliases written out this has more than {MAX_NODES} values"))
        .at(origin)
}

fn no_tag(tag: &Tag) -> String {
    format!("the tag `{}{}` is not known here; leave it out", tag.handle, tag.suffix)
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    if let Some(tag) = tag {
        if tag.is_yaml_core_schema() && tag.suffix == "str" {
            return Ok(Value::Text(text.into_owned()));
        }
        if !tag.is_yaml_core_schema() {
            return Err(no_tag(tag));
        }
    }
    if style != ScalarStyle::Plain {
        return Ok(Value::Text(text.into_owned()));
    }
    Ok(match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        plain => match number(plain)? {
            Some(value) => value,
            None => Value::Text(text.into_owned()),
        },
    })
}

/// The number that a plain scalar is, if it is one; an error when it is one that we cannot hold.
fn number(text: &str) -> Result<Option<Value>, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = if let Some(hex) = text.strip_prefix("0x") {
        Some((hex, 16))
    } else if let Some(octal) = text.strip_prefix("0o") {
        Some((octal, 8))
    } else {
        (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some((text, 10))
    };
    if let Some((digits, radix)) = whole.filter(|(digits, _)| !digits.is_empty()) {
        return match i128::from_str_radix(digits, radix) {
            Ok(value) if in_range(value) => Ok(Some(Value::Int(value))),
            Err(error) if *error.kind() == std::num::IntErrorKind::InvalidDigit => Ok(None),
            _ => Err(format!("the number {text} is too large")),
        };
    }
    if matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Err(format!("{text} is not a finite number"));
    }
    let numeric = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits.bytes().all(numeric) {
        return match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Some(Value::Float(value))),
            Ok(_) => Err(format!("the number {text} is too large")),
            Err(_) => Ok(None),
        };
    }
    Ok(None)
}
