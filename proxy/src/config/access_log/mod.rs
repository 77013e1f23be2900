//! The access log as it is configured: a word, or a table with more.

use std::{borrow::Cow, fmt, path::PathBuf};

use policy::quantity::{ByteSize, TimeSpan};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de, de::value::MapAccessDeserializer,
};

mod template;

pub use template::{Part, Phase, Template, Variable};

/// The access log: a line for each request, written off the request's path. `"json"`, or `{ format = "json", file = "access.log" }`.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// What a line looks like.
    pub format: LogFormat,
    /// The same by a text with variables, in place of `format`.
    pub template: Option<String>,
    /// Where the lines go; standard output by default.
    pub file: Option<PathBuf>,
    /// The share of requests that are logged, 0 to 1, drawn for each by itself.
    pub sample: f64,
    /// Requests that took this long are logged whatever `sample` says, and marked.
    pub slow: Option<TimeSpan>,
    /// When the file is put aside; never by default.
    pub rotate: Option<RotateConfig>,
}

/// What a line of the access log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// No access log.
    #[default]
    Off,
    /// `name=value`, separated by spaces.
    Text,
    /// One JSON object.
    Json,
    /// As Apache writes it: the combined log format.
    Combined,
}

/// When a log file is put aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RotateConfig {
    /// How large it may grow; at least 1KiB.
    pub size: ByteSize,
    /// How many old ones are kept: `access.log.1` is the youngest.
    #[schemars(range(max = 1000))]
    pub keep: u32,
}

impl Default for RotateConfig {
    fn default() -> Self {
        Self { size: ByteSize(100 << 20), keep: 5 }
    }
}

/// The table form; `AccessLog` reads both.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AccessLogTable {
    /// What a line looks like; `text` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<LogFormat>,
    /// The same by a text with variables, in place of `format`: `"$client $request $status"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    /// Where the lines go; standard output by default. SIGUSR1 opens it anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    /// The share of requests that are logged, 0 to 1, drawn for each by itself; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<f64>,
    /// Requests that took this long are logged whatever `sample` says, and marked.
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<TimeSpan>,
    /// When the file is put aside; never by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotate: Option<RotateConfig>,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self::new(LogFormat::Off)
    }
}

impl AccessLog {
    /// Lines of this format for every request, on standard output.
    pub fn new(format: LogFormat) -> Self {
        Self { format, template: None, file: None, sample: 1.0, slow: None, rotate: None }
    }

    /// Whether there is one.
    pub fn is_on(&self) -> bool {
        self.template.is_some() || self.format != LogFormat::Off
    }

    /// What is impossible about the values: the field, and what it must be.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        if let Some(text) = &self.template
            && let Err(message) = text.parse::<Template>()
        {
            return Some(("template", message));
        }
        if !(0.0..=1.0).contains(&self.sample) {
            return Some(("sample", "must be 0 to 1".to_owned()));
        }
        if self.slow.is_some_and(|limit| limit.0.is_zero()) {
            return Some(("slow", "must be longer than 0".to_owned()));
        }
        if self.file.as_ref().is_some_and(|file| file.file_name().is_none()) {
            return Some(("file", "must be the path of a file, like \"access.log\"".to_owned()));
        }
        let rotate = self.rotate.as_ref()?;
        if self.file.is_none() {
            let message = "needs a file; add `file = \"access.log\"`, or leave it out";
            return Some(("rotate", message.to_owned()));
        }
        if rotate.size.0 < 1 << 10 {
            return Some(("rotate.size", "must be at least 1KiB".to_owned()));
        }
        (rotate.keep > 1000).then(|| ("rotate.keep", "must be at most 1000".to_owned()))
    }
}

/// The word alone where it says everything.
impl Serialize for AccessLog {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Self::new(self.format) {
            return self.format.serialize(serializer);
        }
        let Self { format, template, file, sample, slow, rotate } = self.clone();
        let table = AccessLogTable {
            format: template.is_none().then_some(format),
            template,
            file,
            sample: Some(sample).filter(|share| *share < 1.0),
            slow,
            rotate,
        };
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AccessLog {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = AccessLog;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\", \"text\", \"json\" or \"combined\", or a table like { format = \"json\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AccessLog, E> {
                LogFormat::deserialize(de::value::StrDeserializer::new(text)).map(AccessLog::new)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<AccessLog, A::Error> {
                let table = AccessLogTable::deserialize(MapAccessDeserializer::new(map))?;
                if table.format.is_some() && table.template.is_some() {
                    let message =
                        "`format` and `template` exclude each other; leave out one of them";
                    return Err(de::Error::custom(message));
                }
                Ok(AccessLog {
                    format: table.format.unwrap_or(LogFormat::Text),
                    template: table.template,
                    file: table.file,
                    sample: table.sample.unwrap_or(1.0),
                    slow: table.slow,
                    rotate: table.rotate,
                })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for AccessLog {
    fn schema_name() -> Cow<'static, str> {
        "AccessLog".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = generator.subschema_for::<LogFormat>();
        let table = generator.subschema_for::<AccessLogTable>();
        json_schema!({
            "description": "The access log: a line for each request, written off the request's path. A word, or a table with more.",
            "anyOf": [word, table],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AccessLog, String> {
        let document: Result<super::super::ProxyConfig, _> = toml::from_str(text);
        document.map(|config| config.access_log).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_word_or_a_table() {
        for (word, format) in [
            ("off", LogFormat::Off),
            ("text", LogFormat::Text),
            ("json", LogFormat::Json),
            ("combined", LogFormat::Combined),
        ] {
            assert_eq!(read(&format!("access_log = \"{word}\"")), Ok(AccessLog::new(format)));
        }
        let log = read(
            "[access_log]\nformat = \"json\"\nfile = \"a.log\"\nsample = 0.1\nslow = \"1s\"\n\
             rotate = { size = \"100MiB\", keep = 3 }",
        );
        let expected = AccessLog {
            file: Some("a.log".into()),
            sample: 0.1,
            slow: Some(TimeSpan::secs(1)),
            rotate: Some(RotateConfig { size: ByteSize(100 << 20), keep: 3 }),
            ..AccessLog::new(LogFormat::Json)
        };
        assert_eq!(log.as_ref(), Ok(&expected));
        let written = serde_json::to_string(&expected).expect("it can be written");
        assert_eq!(serde_json::from_str::<AccessLog>(&written).ok(), Some(expected));
        assert_eq!(read("access_log = {}"), Ok(AccessLog::new(LogFormat::Text)));
        assert!(!AccessLog::default().is_on());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, message) in [
            (
                "access_log = \"xml\"",
                "unknown variant `xml`, expected one of `off`, `text`, `json`, `combined`",
            ),
            (
                "access_log = { format = \"json\", template = \"$client\" }",
                "`format` and `template` exclude each other",
            ),
            (
                "access_log = { sampel = 1 }",
                "unknown field `sampel`, expected one of `format`, `template`",
            ),
            (
                "access_log = 3",
                "invalid type: integer `3`, expected \"off\", \"text\", \"json\" or \"combined\", or a table",
            ),
        ] {
            let found = read(text).expect_err(text);
            assert!(found.starts_with(message), "{text}: {found}");
        }
    }

    #[test]
    fn impossible_values_are_named() {
        for (text, field) in [
            ("template = \"$clinet\"", "template"),
            ("sample = 1.5", "sample"),
            ("slow = \"0s\"", "slow"),
            ("file = \"..\"", "file"),
            ("rotate = {}", "rotate"),
            ("file = \"a\"\nrotate = { size = \"1B\" }", "rotate.size"),
            ("file = \"a\"\nrotate = { keep = 1001 }", "rotate.keep"),
        ] {
            let log = read(&format!("[access_log]\n{text}")).expect(text);
            assert_eq!(log.problem().map(|(field, _)| field), Some(field), "{text}");
        }
    }
}
