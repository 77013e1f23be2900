//! A line of the access log as a text with variables: `$client [$time_local] "$request" $status`.
//!
//! A variable is a name behind a `$`, or in braces where letters follow; `$$` is a dollar. `${header:NAME}` is a field of the request, whichever. What a
//! request does not have is written `-`. The text is taken apart once, when the configuration is read, so that a name that nobody knows is an
//! error then and not an empty place in every line.

use std::str::FromStr;

/// A text with variables, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<Part>);

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text that stands as it is.
    Text(String),
    /// What is known of the request.
    Variable(Variable),
    /// The request's field of this name.
    Header(String),
}

/// What can be said of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are what their names in NAMES say")]
pub enum Variable {
    BytesReceived,
    BytesSent,
    Client,
    Duration,
    Endpoint,
    Fault,
    Host,
    Method,
    Peer,
    Phase(Phase),
    Protocol,
    Referer,
    Request,
    RequestId,
    Retries,
    Route,
    Slow,
    Status,
    Target,
    Time,
    TimeLocal,
    TimeUnix,
    TraceId,
    UserAgent,
}

/// A part of the time that a request took; together they are all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From its head to the choice of the endpoint that answered: queues, and tries that failed before.
    Waiting,
    /// Until there was a connection to it.
    Connecting,
    /// Until its response began.
    FirstByte,
    /// Until the response had been sent.
    Body,
}

/// Every variable by its name.
const NAMES: [(&str, Variable); 27] = [
    ("bytes_received", Variable::BytesReceived),
    ("bytes_sent", Variable::BytesSent),
    ("client", Variable::Client),
    ("duration_ms", Variable::Duration),
    ("endpoint", Variable::Endpoint),
    ("fault", Variable::Fault),
    ("host", Variable::Host),
    ("method", Variable::Method),
    ("peer", Variable::Peer),
    ("protocol", Variable::Protocol),
    ("referer", Variable::Referer),
    ("request", Variable::Request),
    ("request_id", Variable::RequestId),
    ("retries", Variable::Retries),
    ("route", Variable::Route),
    ("slow", Variable::Slow),
    ("status", Variable::Status),
    ("target", Variable::Target),
    ("time", Variable::Time),
    ("time_local", Variable::TimeLocal),
    ("time_unix", Variable::TimeUnix),
    ("trace_id", Variable::TraceId),
    ("user_agent", Variable::UserAgent),
    ("waiting_ms", Variable::Phase(Phase::Waiting)),
    ("connecting_ms", Variable::Phase(Phase::Connecting)),
    ("first_byte_ms", Variable::Phase(Phase::FirstByte)),
    ("body_ms", Variable::Phase(Phase::Body)),
];

/// What a field is called in braces.
const HEADER: &str = "header:";

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty; write something like \"$client $request $status\"".to_owned());
        }
        // A line that holds a line end would be two, whatever the variables are.
        if text.chars().any(char::is_control) {
            return Err("must be one line, without control characters".to_owned());
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix('$') {
                plain.push('$');
                rest = behind;
                continue;
            }
            let name;
            (name, rest) = match rest.strip_prefix('{') {
                Some(inner) => inner
                    .split_once('}')
                    .ok_or_else(|| format!("has a `${{` without its `}}`: `${{{inner}`"))?,
                None => rest.split_at(
                    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                        .unwrap_or(rest.len()),
                ),
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part(name)?);
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }
}

fn part(name: &str) -> Result<Part, String> {
    if let Some(field) = name.strip_prefix(HEADER) {
        if http1::encode::is_name(field.as_bytes()) {
            return Ok(Part::Header(field.to_owned()));
        }
        return Err(format!(
            "`{field}` is not the name of a field; write one like `${{header:Accept}}`"
        ));
    }
    let known = NAMES.iter().find(|(known, _)| *known == name);
    known.map(|(_, variable)| Part::Variable(*variable)).ok_or_else(|| {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        let what = if name.is_empty() {
            "has a `$` without a name (write `$$` for a dollar)".to_owned()
        } else {
            format!("has an unknown variable `${name}`")
        };
        format!("{what}; known are {} and header:NAME in braces", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart() {
        let template: Template =
            "$client \"${method}x\" $$5 ${header:X-Y}.".parse().expect("it is good");
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(
            template.0,
            [
                Part::Variable(Variable::Client),
                text(" \""),
                Part::Variable(Variable::Method),
                text("x\" $5 "),
                Part::Header("X-Y".to_owned()),
                text("."),
            ]
        );
        for (name, variable) in NAMES {
            let template: Template = format!("${name}").parse().expect(name);
            assert_eq!(template.0, [Part::Variable(variable)]);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, message) in [
            (
                "$clinet",
                "has an unknown variable `$clinet`; known are bytes_received, bytes_sent, client",
            ),
            ("5 $", "has a `$` without a name (write `$$` for a dollar); known are"),
            ("${client", "has a `${` without its `}`: `${client`"),
            (
                "${header:a b}",
                "`a b` is not the name of a field; write one like `${header:Accept}`",
            ),
            ("", "is empty; write something like"),
            ("$client\n$host", "must be one line"),
        ] {
            let found = text.parse::<Template>().expect_err(text);
            assert!(found.starts_with(message), "{text}: {found}");
        }
    }
}
