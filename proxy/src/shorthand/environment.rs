//! Environment variables, and the file `.env` that stands in for them.
//!
//! A real variable wins over the file's line, as everywhere. Lines of the file that are not for us are none of our business: other programs have
//! theirs in it. An empty value is none.

use std::{env, ffi::OsString, fs::File, io::Read as _, sync::Arc};

use proxy::config::document::{Error, MAX_BYTES, Origin, Problem, Source, Span};

use super::{Given, Short};

/// Every variable, and what it stands for.
pub(crate) const VARIABLES: [(&str, Short); 15] = [
    ("HOST", Short::Host),
    ("PORT", Short::Port),
    ("THREAD_POOL_SIZE", Short::Threads),
    ("REQUEST_QUEUE_SIZE", Short::Queue),
    ("CONNECTION_TIMEOUT", Short::Timeout),
    ("REDIS_HOST", Short::RedisHost),
    ("REDIS_PORT", Short::RedisPort),
    ("REDIS_DB", Short::RedisDb),
    ("REDIS_PASSWORD", Short::RedisPassword),
    ("CACHE_EXPIRATION", Short::CacheExpiry),
    ("BACKEND_SERVERS", Short::Backends),
    ("ENABLE_COMPRESSION", Short::Compression),
    ("RATE_LIMIT_REQUESTS", Short::RateRequests),
    ("RATE_LIMIT_WINDOW", Short::RateWindow),
    ("REQUEST_FILTERS", Short::Words),
];

/// Where variables may stand, too, in the folder where the program is started.
const FILE: &str = ".env";

/// What the environment says, and the file `.env`.
pub(crate) fn read() -> Result<Vec<Given>, Error> {
    collect(|name| env::var_os(name), dotenv()?.as_ref())
}

fn dotenv() -> Result<Option<Arc<Source>>, Error> {
    let cannot = |why: std::io::Error| Error::message(format!("cannot read {FILE}: {why}"));
    let file = match File::open(FILE) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    let mut text = String::new();
    file.take(MAX_BYTES as u64).read_to_string(&mut text).map_err(cannot)?;
    Ok(Some(Source::new(FILE, text)))
}

fn collect(
    variable: impl Fn(&str) -> Option<OsString>,
    file: Option<&Arc<Source>>,
) -> Result<Vec<Given>, Error> {
    let mut problems = Vec::new();
    let mut lines = file.map(lines).unwrap_or_default();
    let mut all = Vec::new();
    for (name, short) in VARIABLES {
        let real = variable(name).filter(|value| !value.is_empty());
        let line = lines.iter().rposition(|line| line.name == name);
        let line = line.map(|at| lines.swap_remove(at)).filter(|line| !line.value.is_empty());
        let (text, origin) = match (real.map(OsString::into_string), line) {
            (Some(Ok(text)), _) => {
                let shown = if short == Short::RedisPassword { "…" } else { text.as_str() };
                let origin = Origin::Environment { variable: name.into(), text: shown.into() };
                (text, origin)
            }
            (Some(Err(_)), _) => {
                let origin = Origin::Environment { variable: name.into(), text: "…".into() };
                problems.push(Problem::new(format!("`{name}` is not UTF-8 text")).at(origin));
                continue;
            }
            (None, Some(line)) => (line.value, Origin::File(line.span)),
            (None, None) => continue,
        };
        all.push(Given { short, name, text: text.trim().to_owned(), origin });
    }
    Error::from_problems(problems).map(|()| all)
}

struct Line<'a> {
    name: &'a str,
    value: String,
    span: Span,
}

/// The lines that set something: `NAME=value`, `export NAME="value"  # and why`.
fn lines(source: &Arc<Source>) -> Vec<Line<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let begin = start;
        start += line.len();
        let Some((name, value)) = line.split_once('=') else { continue };
        let at = begin + name.len() + 1;
        let name = name.trim();
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        let lead = value.len() - value.trim_start().len();
        let raw = value.trim();
        let (value, length) = unquoted(raw);
        let at = at + lead;
        found.push(Line { name, value, span: Span::new(source, at..at + length) });
    }
    found
}

/// A value without its quotes or the comment behind it, and how long it was as written.
fn unquoted(raw: &str) -> (String, usize) {
    for quote in ['"', '\''] {
        if let Some(inner) = raw.strip_prefix(quote)
            && let Some(end) = inner.find(quote)
        {
            return (inner[..end].to_owned(), end + 2);
        }
    }
    let end = raw.find(" #").or_else(|| raw.starts_with('#').then_some(0)).unwrap_or(raw.len());
    let value = raw[..end].trim_end();
    (value.to_owned(), value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(env: &[(&str, &str)], file: &str) -> Vec<(&'static str, String, String)> {
        let variable = |name: &str| {
            env.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        let all = collect(variable, Some(&Source::new(".env", file))).expect("it is text");
        all.into_iter().map(|given| (given.name, given.text, given.origin.to_string())).collect()
    }

    #[test]
    fn a_file_of_variables() {
        let file = "# a comment with PORT=1\n\
                    OTHER=thing\n\
                    PORT=8080\n\
                    export HOST = \"0.0.0.0\"  # everywhere\n\
                    REDIS_HOST='redis'\n\
                    CACHE_EXPIRATION=60 # a minute\n\
                    REDIS_DB=\n\
                    not a line\n\
                    PORT=8081\n";
        let is = |name, text: &str, at: &str| (name, text.to_owned(), at.to_owned());
        let expected = [
            is("HOST", "0.0.0.0", ".env:4:15"),
            is("PORT", "8081", ".env:9:6"),
            is("REDIS_HOST", "redis", ".env:5:12"),
            is("CACHE_EXPIRATION", "60", ".env:6:18"),
        ];
        assert_eq!(given(&[], file), expected);
    }

    #[test]
    fn real_variables_win() {
        let all = given(&[("PORT", "1"), ("HOST", "")], "PORT=2\nHOST=::1\n");
        let expected = [
            ("HOST", "::1".to_owned(), ".env:2:6".to_owned()),
            ("PORT", "1".to_owned(), "environment variable PORT".to_owned()),
        ];
        assert_eq!(all, expected);
    }
}
