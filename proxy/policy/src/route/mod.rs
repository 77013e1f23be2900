//! Which route a request takes.
//!
//! A route says which requests it is for by [`Match`]: host, path, method, fields; what it is silent about may be anything. The
//! routes are asked in the order of the file and the first that matches has the request, as in Envoy: the order is what the
//! person wrote, and it needs no table of which kind of rule beats which (nginx and Traefik sort by kind and length; whoever comes from
//! there writes the longer prefixes first). What order gets wrong is a route that can never be reached, because one before it takes all of its
//! requests. Where that is plain ([`Match::covers`]), it is an error in the configuration and not a surprise.
//!
//! Paths are compared in their normal form ([`crate::path`]), so that `/%61pi` takes the same route as `/api`. A prefix is one of characters, not of
//! segments, as in nginx, Envoy and Traefik: `/api` is also for `/apiary`; write `/api/` for what lies below.

mod table;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    path,
    pattern::{self, Case, FieldRule, Texts},
};

pub use table::Table;

/// Which requests a route is for. All that is said must hold; what is silent may be anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// Hosts: names, or `*.example.org` for all below one. Without a port; in any case.
    #[serde(skip_serializing_if = "Texts::is_none")]
    pub host: Texts,
    /// The whole path, without a query. One of `path`, `prefix`, `pattern` and `regex` at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What the path begins with; `/api` is also for `/apiary`, `/api/` is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// A glob for the whole path: `*` within a segment, `**` over several, `?` one character; `/item/*/photo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// A regular expression that finds something in the path; `^` and `$` tie it to its ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Whether letters in the path may be of any case.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_case: bool,
    /// Methods.
    #[serde(skip_serializing_if = "Texts::is_none")]
    pub method: Texts,
    /// Fields by name: a value, `true` (there is one), `false` (there is none), or `{ regex = "…" }`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<String, FieldRule>,
}

impl Match {
    /// What is impossible about it: the key, and what it must be.
    pub fn problem(&self) -> Option<(String, String)> {
        for (index, host) in self.host.iter().enumerate() {
            if let Some(message) = pattern::host_problem(host) {
                return Some((format!("host[{index}]"), message));
            }
        }
        if let Some((key, message)) = self.path_problem() {
            return Some((key.to_owned(), message));
        }
        for (index, method) in self.method.iter().enumerate() {
            if let Some(message) = pattern::method_problem(method) {
                return Some((format!("method[{index}]"), message));
            }
        }
        let mut fields = self.header.iter();
        fields.find_map(|(name, rule)| Some((pattern::entry("header", name), rule.problem(name)?)))
    }

    fn path_problem(&self) -> Option<(&'static str, String)> {
        let forms = self.forms();
        if let [(one, _), (other, _), ..] = forms.as_slice() {
            let message = format!("cannot stand beside `{one}`; keep one, or write two routes");
            return Some((other, message));
        }
        let (key, text) = *forms.first()?;
        if text.is_empty() {
            return Some((key, "must not be empty; leave it out for every path".to_owned()));
        }
        let case = Case::ignored_if(self.ignore_case);
        let message = match key {
            "regex" => pattern::regex(text, case).err(),
            "pattern" => {
                path_form_problem(text, &['*']).or_else(|| pattern::glob(text, case).err())
            }
            _ if text.contains('?') => Some(format!(
                "`{text}` has a query; only paths are compared, leave out what follows `?`"
            )),
            _ => path_form_problem(text, &[]),
        };
        message.map(|message| (key, message))
    }

    /// Which of the four ways to say a path are used.
    fn forms(&self) -> Vec<(&'static str, &str)> {
        let Self { path, prefix, pattern, regex, .. } = self;
        [("path", path), ("prefix", prefix), ("pattern", pattern), ("regex", regex)]
            .into_iter()
            .filter_map(|(key, text)| Some((key, text.as_deref()?)))
            .collect()
    }

    /// Whether every request that `other` matches is plainly one that this matches, too. A no means: not plainly.
    pub fn covers(&self, other: &Self) -> bool {
        let host_covers = |one: &String, other: &String| {
            // `*.b.org` lies below `*.org`, and is itself.
            let host = other.strip_prefix('*').unwrap_or(other).as_bytes();
            one.eq_ignore_ascii_case(other)
                || one.strip_prefix('*').is_some_and(|suffix| {
                    let at = host.len().checked_sub(suffix.len()).filter(|at| *at > 0);
                    at.is_some_and(|at| host[at..].eq_ignore_ascii_case(suffix.as_bytes()))
                })
        };
        let hosts = self.host.is_none()
            || !other.host.is_none()
                && other
                    .host
                    .iter()
                    .all(|other| self.host.iter().any(|one| host_covers(one, other)));
        let methods = self.method.is_none()
            || !other.method.is_none()
                && other.method.iter().all(|method| self.method.contains(method));
        let fields = self.header.iter().all(|(name, rule)| {
            other
                .header
                .iter()
                .any(|(other, theirs)| other.eq_ignore_ascii_case(name) && theirs == rule)
        });
        hosts && methods && fields && self.path_covers(other)
    }

    fn path_covers(&self, other: &Self) -> bool {
        if self.forms().is_empty() {
            return true;
        }
        if other.ignore_case && !self.ignore_case {
            return false;
        }
        let case = Case::ignored_if(self.ignore_case);
        if let Some(prefix) = &self.prefix {
            // A glob begins with what stands before its first wildcard.
            let plain = |glob: &String| {
                let end = glob.find(['*', '?']).unwrap_or(glob.len());
                glob[..end].to_owned()
            };
            let theirs =
                other.prefix.clone().or(other.path.clone()).or(other.pattern.as_ref().map(plain));
            return theirs.is_some_and(|text| case.begins(text.as_bytes(), prefix.as_bytes()));
        }
        let same = |one: &Option<String>, other: &Option<String>| match (one, other) {
            (Some(one), Some(other)) => case.same(one.as_bytes(), other.as_bytes()),
            _ => false,
        };
        same(&self.path, &other.path)
            || same(&self.pattern, &other.pattern)
            || self.regex.is_some() && self.regex == other.regex
    }
}

/// What is wrong with a path in a rule: the paths of requests are compared in their normal form, so one that is written otherwise
/// never matches.
pub(crate) fn path_form_problem(text: &str, may_begin: &[char]) -> Option<String> {
    if !text.starts_with('/') && !text.starts_with(may_begin) {
        return Some(format!("`{text}` must begin with `/`"));
    }
    let normal = path::normal(text.as_bytes());
    if *normal != *text.as_bytes() {
        let normal = String::from_utf8_lossy(&normal);
        return Some(format!(
            "`{text}` is not how paths are compared (decoded, without `//`, `.` and `..`); write \"{normal}\""
        ));
    }
    None
}
