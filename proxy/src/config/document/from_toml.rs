//! TOML to tree.
//!
//! The `toml` crate keeps the span of every key and value and bounds the depth itself. A table that was
//! written with a header, `[proxy.balance]`, has the header as its place.

use std::{ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{Entry, Error, Node, Origin, Problem, Source, Span, Table, Value};

/// Parses a file.
pub(super) fn parse(source: &Arc<Source>) -> Result<Node, Error> {
    let table = DeTable::parse(&source.text).map_err(|error| syntax_error(source, &error))?;
    let at = |range: Range<usize>| Origin::File(Span::new(source, range));
    let value = table_of(table.into_inner(), &at)?;
    Ok(Node::new(value, Origin::File(Span::whole(source))))
}

/// Parses one value as it stands behind a `key =`, or takes the text as it is when it is no TOML: on a
/// command line nobody wants to quote `p2c` or `20ms` twice.
pub(super) fn value_or_text(text: &str, origin: &Origin) -> Node {
    let parsed = DeValue::parse(text).ok().and_then(|value| {
        let at = |_: Range<usize>| origin.clone();
        node_of(value.into_inner(), origin.clone(), &at).ok()
    });
    parsed.unwrap_or_else(|| Node::new(Value::Text(text.to_owned()), origin.clone()))
}

fn node_of(
    value: DeValue<'_>,
    origin: Origin,
    at: &dyn Fn(Range<usize>) -> Origin,
) -> Result<Node, Error> {
    let refuse = |why: String| Err(Error::from(Problem::new(why).at(origin.clone())));
    let value = match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Integer(integer) => {
            let read = i128::from_str_radix(integer.as_str(), integer.radix());
            match read {
                Ok(value) if in_range(value) => Value::Int(value),
                _ => return refuse(format!("the number {integer} is too large")),
            }
        }
        DeValue::Float(float) => match float.as_str().parse::<f64>() {
            Ok(value) if value.is_finite() => Value::Float(value),
            _ => return refuse(format!("{float} is not a finite number")),
        },
        DeValue::Datetime(date) => {
            return refuse(format!(
                "{date} is a date or a time of day, which is not used here; write it in quotes if it \
                 is meant as text"
            ));
        }
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| {
                let origin = at(item.span());
                node_of(item.into_inner(), origin, at)
            });
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => table_of(table, at)?,
    };
    Ok(Node::new(value, origin))
}

fn table_of(table: DeTable<'_>, at: &dyn Fn(Range<usize>) -> Origin) -> Result<Value, Error> {
    let entry = |(key, value): (Spanned<DeString<'_>>, Spanned<DeValue<'_>>)| {
        let origin = at(key.span());
        let place = at(value.span());
        let node = node_of(value.into_inner(), place, at)?;
        Ok(Entry { key: key.into_inner().into_owned(), origin, node })
    };
    let entries = table.into_iter().map(entry).collect::<Result<_, Error>>()?;
    Ok(Value::Table(Table { entries }))
}

/// What fits an `i64` or a `u64`.
pub(super) fn in_range(value: i128) -> bool {
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value)
}

fn syntax_error(source: &Arc<Source>, error: &toml::de::Error) -> Error {
    let span = error.span().unwrap_or(source.text.len()..source.text.len());
    let span = Span::new(source, span);
    let help = advice(error.message(), &span);
    let mut problem =
        Problem::new(format!("this is not TOML: {}", error.message())).at(Origin::File(span));
    problem.help.extend(help);
    problem.into()
}

/// What to write instead, for the mistakes that people make most.
fn advice(message: &str, span: &Span) -> Option<String> {
    let line = span.line_text().trim();
    if message.contains("duplicate key") {
        return Some("each key may stand only once in a table; remove one of the two".to_owned());
    }
    let Some((key, value)) = line.split_once('=') else {
        let colon = line.split_once(':');
        return colon.filter(|_| !line.starts_with('[')).map(|(key, value)| {
            format!("in TOML a value is set with `=`: `{} = {}`", key.trim(), value.trim())
        });
    };
    let (key, value) = (key.trim(), value.trim());
    if value.is_empty() {
        return Some(format!("a value is missing after `{key} =`"));
    }
    let plain = |c: char| c.is_alphanumeric() || "_-./%".contains(c);
    if !value.starts_with(['"', '\'']) && value.chars().all(plain) {
        return Some(format!("text goes in quotes: `{key} = \"{value}\"`"));
    }
    None
}
