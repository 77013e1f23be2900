//! What rules compare with: lists of words, globs, regular expressions, hosts, fields.
//!
//! A list may be written as a single text. A glob is for a whole path: `*` is anything within a segment, `**` anything at all, `?` one
//! character, and every other character itself. A regular expression (the crate `regex`: linear time whatever the input, so
//! that no client can make one slow) looks anywhere, as in nginx: `^` and `$` tie it to the ends. Both are bounded when
//! they are compiled, since a repetition of repetitions is large.

use std::{borrow::Cow, fmt, ops::Deref};

use regex::bytes::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use crate::message::Fields;

/// How many bytes a compiled pattern may take.
const PATTERN_BYTES: usize = 1 << 20;

/// A list of texts; one alone may be written without brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(pub Vec<String>);

impl Deref for Texts {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl<T: Into<String>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        Self(texts.into_iter().map(Into::into).collect())
    }
}

impl Texts {
    /// Whether there is none: what `skip_serializing_if` asks.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or an array of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            many => many.serialize(serializer),
        }
    }
}

impl JsonSchema for Texts {
    fn schema_name() -> Cow<'static, str> {
        "Texts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json_schema!({ "type": "string" });
        json_schema!({
            "description": "a text or an array of texts",
            "anyOf": [text, { "type": "array", "items": text }],
        })
    }
}

/// A regular expression; `fold` for one that does not tell letters by case.
///
/// # Errors
/// It is none, or it is too large: in words, with what is wrong in it.
pub fn regex(text: &str, fold: Case) -> Result<Regex, String> {
    let built = RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .case_insensitive(fold == Case::Ignored)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!("`{text}` is too large a pattern; write fewer or smaller repetitions")
        }
        // The crate draws a picture of several lines, whose last says what is wrong.
        error => {
            let words = error.to_string();
            let last = words.lines().last().unwrap_or_default();
            let why = last.trim().trim_start_matches("error: ");
            format!("`{text}` is no regular expression: {why}; put a `\\` before a character that means itself")
        }
    })
}

/// A glob for a whole path, as a regular expression.
///
/// # Errors
/// It is too large.
pub fn glob(text: &str, fold: Case) -> Result<Regex, String> {
    let mut expression = String::from("^(?s-u:");
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let (taken, written) = match character {
            '*' if rest.starts_with("**") => (2, ".*"),
            '*' => (1, "[^/]*"),
            '?' => (1, "[^/]"),
            _ => {
                let length = character.len_utf8();
                expression.push_str(&regex::escape(&rest[..length]));
                (length, "")
            }
        };
        expression.push_str(written);
        rest = &rest[taken..];
    }
    expression.push_str(")$");
    regex(&expression, fold).map_err(|_| format!("`{text}` is too large a pattern"))
}

/// Whether letters are told by their case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `a` is not `A`.
    Told,
    /// It is.
    Ignored,
}

impl Case {
    /// What the key `ignore_case` says.
    pub fn ignored_if(ignore: bool) -> Self {
        if ignore { Self::Ignored } else { Self::Told }
    }

    /// Whether both are the same text.
    pub fn same(self, one: &[u8], other: &[u8]) -> bool {
        match self {
            Self::Told => one == other,
            Self::Ignored => one.eq_ignore_ascii_case(other),
        }
    }

    /// Whether `text` begins with `prefix`.
    pub fn begins(self, text: &[u8], prefix: &[u8]) -> bool {
        text.get(..prefix.len()).is_some_and(|start| self.same(start, prefix))
    }
}

/// A host without its port and without the dot that may end it: `[::1]:80` is `[::1]`. In whatever case it came.
pub fn bare_host(host: &[u8]) -> &[u8] {
    let from = host.iter().rposition(|byte| *byte == b']').unwrap_or(0);
    let end = host[from..].iter().position(|byte| *byte == b':').map_or(host.len(), |at| from + at);
    let name = &host[..end];
    name.strip_suffix(b".").unwrap_or(name)
}

/// What is wrong with a host in a rule: `example.org`, `*.example.org`, `192.0.2.1`, `[::1]`.
pub fn host_problem(host: &str) -> Option<String> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let said = |what: &str| Some(format!("`{host}` {what}"));
    if host == "*" {
        return said("is every host; leave `host` out for that");
    }
    if name.contains('*') {
        return said("has a `*` in the wrong place; write it like \"*.example.org\"");
    }
    if name.contains('/') {
        return said("must be a name alone; write it like \"example.org\"");
    }
    if bare_host(name.as_bytes()).len() != name.len() {
        let bare = String::from_utf8_lossy(bare_host(name.as_bytes())).into_owned();
        return said(&format!(
            "must be a name alone, without a port and without a dot at its end; write \"{bare}\""
        ));
    }
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    if let Some(address) = address {
        let known = address.parse::<std::net::Ipv6Addr>().is_ok();
        return if known { None } else { said("is no IPv6 address; write it like \"[::1]\"") };
    }
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=%".contains(&byte);
    let labels = name.split('.').all(|label| !label.is_empty());
    if !labels || name.len() > 255 || !name.bytes().all(fine) {
        return said(
            "is no host; write a name like \"example.org\" (an international one in its `xn--` form)",
        );
    }
    None
}

/// Whether a host (as a request has it) is that of a rule: a name, or `*.` and one whose subdomains are meant.
pub fn host_is(rule: &str, host: &[u8]) -> bool {
    let host = bare_host(host);
    match rule.strip_prefix('*') {
        Some(suffix) => {
            let at = host.len().checked_sub(suffix.len()).filter(|at| *at > 0);
            at.is_some_and(|at| host[at..].eq_ignore_ascii_case(suffix.as_bytes()))
        }
        None => host.eq_ignore_ascii_case(rule.as_bytes()),
    }
}

/// What is wrong with a method in a rule.
pub fn method_problem(method: &str) -> Option<String> {
    if !is_token(method) {
        return Some(format!("`{method}` is no method; write one like \"GET\""));
    }
    let upper = method.to_ascii_uppercase();
    (upper != method).then(|| {
        format!("`{method}` is not what clients send: methods are told by case; write \"{upper}\"")
    })
}

/// The path of an entry of a table, quoted where its key has dots.
pub fn entry(table: &str, key: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(plain) {
        format!("{table}.{key}")
    } else {
        format!("{table}.{key:?}")
    }
}

/// Whether this is a token (RFC 9110, 5.6.2): a method, a field's name.
pub fn is_token(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fine)
}

/// What a field must be: there (`true`), not there (`false`), this text, or one that a regular expression finds something in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldRule {
    /// There is one of this name, or there is none.
    Present(bool),
    /// One of this name has this value.
    Is(String),
    /// In one of this name the expression finds something.
    Regex(String),
}

/// The table form of [`FieldRule`].
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FieldRegex {
    /// A regular expression that finds something in the value.
    regex: String,
}

impl<'de> Deserialize<'de> for FieldRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = FieldRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, true, false, or a table like { regex = \"^v[12]$\" }")
            }

            fn visit_bool<E: de::Error>(self, present: bool) -> Result<FieldRule, E> {
                Ok(FieldRule::Present(present))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<FieldRule, E> {
                Ok(FieldRule::Is(value.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldRule, A::Error> {
                let form = FieldRegex::deserialize(MapAccessDeserializer::new(map))?;
                Ok(FieldRule::Regex(form.regex))
            }
        }
        deserializer.deserialize_any(Form)
    }
}

impl Serialize for FieldRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Present(present) => present.serialize(serializer),
            Self::Is(value) => value.serialize(serializer),
            Self::Regex(regex) => serializer.collect_map([("regex", regex)]),
        }
    }
}

impl JsonSchema for FieldRule {
    fn schema_name() -> Cow<'static, str> {
        "FieldRule".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<FieldRegex>();
        json_schema!({
            "description": "the field's value; true where it must be there, false where it must not; or { regex = \"…\" }",
            "anyOf": [{ "type": "boolean" }, { "type": "string" }, table],
        })
    }
}

impl FieldRule {
    /// What is wrong with it, as the rule for fields of this name.
    pub fn problem(&self, name: &str) -> Option<String> {
        if !is_token(name) {
            return Some(format!("`{name}` is no name of a field; write one like \"X-Version\""));
        }
        match self {
            Self::Regex(text) => regex(text, Case::Told).err(),
            _ => None,
        }
    }
}

/// A [`FieldRule`] that is ready to be asked.
#[derive(Clone, Debug)]
pub struct FieldTest {
    name: Box<str>,
    rule: Ready,
}

#[derive(Clone, Debug)]
enum Ready {
    Present(bool),
    Is(Box<[u8]>),
    Regex(Regex),
    /// What the expression said was refused when the configuration was checked.
    Never,
}

impl FieldTest {
    /// For fields of this name.
    pub fn new(name: &str, rule: &FieldRule) -> Self {
        let rule = match rule {
            FieldRule::Present(present) => Ready::Present(*present),
            FieldRule::Is(value) => Ready::Is(value.as_bytes().into()),
            FieldRule::Regex(text) => regex(text, Case::Told).map_or(Ready::Never, Ready::Regex),
        };
        Self { name: name.into(), rule }
    }

    /// Whether a head with these fields passes.
    pub fn passes(&self, fields: &dyn Fields) -> bool {
        let any = |holds: &dyn Fn(&[u8]) -> bool| {
            let mut found = false;
            fields.each(&mut |name, value| {
                found = name.eq_ignore_ascii_case(self.name.as_bytes()) && holds(value);
                !found
            });
            found
        };
        match &self.rule {
            Ready::Present(present) => fields.find(&self.name).is_some() == *present,
            Ready::Is(wanted) => any(&|value| value == &**wanted),
            Ready::Regex(regex) => any(&|value| regex.is_match(value)),
            Ready::Never => false,
        }
    }
}
