//! The routes of a proxy, ready to be asked.
//!
//! For every host that a rule names there is the list of the routes that are for it, made when the table is made, and one for all
//! other hosts. So a request looks its host up, once by its whole name and once for each dot in it (`*.example.org`), and then asks
//! the routes of one list in their order. Nothing is allocated, but for a path that is not in normal form.

use std::{borrow::Cow, collections::HashMap};

use regex::bytes::Regex;

use super::Match;
use crate::{
    message::Asked,
    path,
    pattern::{self, Case, FieldTest},
};

/// Which request takes which route.
#[derive(Clone, Debug)]
pub struct Table {
    routes: Box<[Route]>,
    /// For each host that is named: the routes that are for it. Only looked into, never walked through.
    hosts: HashMap<Box<[u8]>, Box<[u32]>>,
    /// For each `*.example.org`, without the star.
    below: HashMap<Box<[u8]>, Box<[u32]>>,
    /// For every other host.
    others: Box<[u32]>,
}

/// All of a [`Match`] but the host.
#[derive(Clone, Debug)]
struct Route {
    path: PathTest,
    methods: Box<[Box<[u8]>]>,
    fields: Box<[FieldTest]>,
}

/// What a path must be.
#[derive(Clone, Debug)]
pub(crate) enum PathTest {
    /// Anything.
    Any,
    /// This.
    Exact(Box<[u8]>, Case),
    /// This, and then anything.
    Prefix(Box<[u8]>, Case),
    /// A glob or an expression.
    Regex(Regex),
    /// What it says was refused when the configuration was checked.
    Never,
}

impl PathTest {
    fn new(rule: &Match) -> Self {
        let case = Case::ignored_if(rule.ignore_case);
        let bytes = |text: &String| text.as_bytes().into();
        let ready = |regex: Result<Regex, String>| regex.map_or(Self::Never, Self::Regex);
        if let Some(text) = &rule.path {
            Self::Exact(bytes(text), case)
        } else if let Some(text) = &rule.prefix {
            Self::Prefix(bytes(text), case)
        } else if let Some(text) = &rule.pattern {
            ready(pattern::glob(text, case))
        } else if let Some(text) = &rule.regex {
            ready(pattern::regex(text, case))
        } else {
            Self::Any
        }
    }

    /// Whether a path in normal form passes.
    fn passes(&self, path: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(wanted, case) => case.same(path, wanted),
            Self::Prefix(wanted, case) => case.begins(path, wanted),
            Self::Regex(regex) => regex.is_match(path),
            Self::Never => false,
        }
    }
}

/// No host has more characters (RFC 1035, 3.1).
const LONGEST_HOST: usize = 255;

impl Table {
    /// Of these rules, in their order. What [`Match::problem`] refuses matches nothing.
    pub fn new<'a>(rules: impl IntoIterator<Item = &'a Match>) -> Self {
        let rules: Vec<&Match> = rules.into_iter().collect();
        let numbers = |is_for: &dyn Fn(&Match) -> bool| -> Box<[u32]> {
            let all = rules.iter().enumerate();
            all.filter(|(_, rule)| is_for(rule)).map(|(number, _)| number as u32).collect()
        };
        let mut hosts: HashMap<Box<[u8]>, Box<[u32]>> = HashMap::new();
        let mut below: HashMap<Box<[u8]>, Box<[u32]>> = HashMap::new();
        for name in rules.iter().flat_map(|rule| rule.host.iter()) {
            let name = name.to_ascii_lowercase();
            // Somebody below a domain is as good as any other.
            let one = if let Some(domain) = name.strip_prefix('*') {
                format!("x{domain}")
            } else {
                name.clone()
            };
            let (map, key) = match name.strip_prefix('*') {
                Some(domain) => (&mut below, domain),
                None => (&mut hosts, &*name),
            };
            map.entry(key.as_bytes().into()).or_insert_with(|| {
                let is_for = |rule: &str| match name.strip_prefix('*') {
                    // Of the names below a domain a rule for one of them is not.
                    Some(_) if !rule.starts_with('*') => false,
                    _ => pattern::host_is(rule, one.as_bytes()),
                };
                numbers(&|rule| rule.host.is_none() || rule.host.iter().any(|rule| is_for(rule)))
            });
        }
        let others = numbers(&|rule| rule.host.is_none());
        let routes = rules.iter().map(|rule| Route {
            path: PathTest::new(rule),
            methods: rule.method.iter().map(|method| method.as_bytes().into()).collect(),
            fields: rule.header.iter().map(|(name, rule)| FieldTest::new(name, rule)).collect(),
        });
        Self { routes: routes.collect(), hosts, below, others }
    }

    /// The number of the route that a request takes; none if it matches none.
    pub fn find(&self, asked: &Asked<'_>) -> Option<usize> {
        let mut normal: Option<Cow<'_, [u8]>> = None;
        let candidates = self.candidates(asked.host).iter().map(|number| *number as usize);
        let mut found = candidates.filter(|number| {
            let Some(route) = self.routes.get(*number) else { return false };
            let methods = &route.methods;
            (methods.is_empty() || methods.iter().any(|method| **method == *asked.method))
                && (matches!(route.path, PathTest::Any)
                    || route.path.passes(normal.get_or_insert_with(|| path::normal(asked.path()))))
                && route.fields.iter().all(|field| field.passes(asked.fields))
        });
        found.next()
    }

    /// The routes that are for this host, in their order.
    fn candidates(&self, host: &[u8]) -> &[u32] {
        if self.hosts.is_empty() && self.below.is_empty() {
            return &self.others;
        }
        let name = pattern::bare_host(host);
        let mut lower = [0; LONGEST_HOST];
        let Some(lower) = lower.get_mut(..name.len()) else { return &self.others };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        if let Some(list) = self.hosts.get(&*lower) {
            return list;
        }
        if self.below.is_empty() {
            return &self.others;
        }
        // The longest domain first: its list has the routes for the shorter ones, too.
        let dots = (1..lower.len()).filter(|at| lower[*at] == b'.');
        let mut lists = dots.filter_map(|at| self.below.get(&lower[at..]));
        lists.next().unwrap_or(&self.others)
    }
}
