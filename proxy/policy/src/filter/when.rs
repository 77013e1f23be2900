//! Which requests a filter is for.
//!
//! What is said must hold, all of it; of a list one entry must; what is silent may be anything. Paths are compared in their normal form
//! ([`crate::path`]), so that `/%61dmin` is `/admin`; texts are looked for in the decoded path and query, in any case. Lists of thousands
//! cost what short ones do: addresses are merged into ranges and found by bisection, hosts by hash, texts by one automaton for all
//! of them (Aho and Corasick 1975).

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use aho_corasick::AhoCorasick;
use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FromFile;
use crate::{
    cidr::Cidr,
    message::Asked,
    path,
    pattern::{self, Case, FieldRule, FieldTest, Texts},
    route::path_form_problem,
};

/// For which requests. All that is said must hold, and of each list one entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// Ranges of addresses that the client is in: `"10.0.0.0/8"`, `"2001:db8::/32"`, or single ones.
    #[serde(skip_serializing_if = "Texts::is_none")]
    pub address: Texts,
    /// A file with more of them, one a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_file: Option<FromFile>,
    /// Hosts: names, or `*.example.org` for all below one. Without a port; in any case.
    #[serde(skip_serializing_if = "Texts::is_none")]
    pub host: Texts,
    /// A file with more of them, one a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_file: Option<FromFile>,
    /// Methods.
    #[serde(skip_serializing_if = "Texts::is_none")]
    pub method: Texts,
    /// Whole paths, without a query. Of `path`, `prefix`, `pattern` and `regex` one entry must hold.
    #[serde(skip_serializing_if = "Texts::is_none")]
    pub path: Texts,
    /// What paths begin with; `/admin` is also for `/administrator`, `/admin/` is not.
    #[serde(skip_serializing_if = "Texts::is_none")]
    pub prefix: Texts,
    /// Globs for whole paths: `*` within a segment, `**` over several, `?` one character; `**.php`.
    #[serde(skip_serializing_if = "Texts::is_none")]
    pub pattern: Texts,
    /// Regular expressions that find something in the path; `^` and `$` tie them to its ends.
    #[serde(skip_serializing_if = "Texts::is_none")]
    pub regex: Texts,
    /// Whether letters in the path may be of any case.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_case: bool,
    /// Fields by name: a value, `true` (there is one), `false` (there is none), or `{ regex = "…" }`. Each must hold.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<String, FieldRule>,
    /// Texts that `User-Agent` contains, in any case.
    #[serde(skip_serializing_if = "Texts::is_none")]
    pub user_agent: Texts,
    /// A file with more of them, one a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent_file: Option<FromFile>,
    /// Texts that the path or the query contains, in any case.
    #[serde(skip_serializing_if = "Texts::is_none")]
    pub word: Texts,
    /// A file with more of them, one a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word_file: Option<FromFile>,
}

impl When {
    /// Whether it says nothing, and so is for every request.
    pub fn is_any(&self) -> bool {
        *self == Self { ignore_case: self.ignore_case, ..Self::default() }
    }

    /// What is impossible about it: the key, and what it must be.
    pub(super) fn problem(&self) -> Option<(String, String)> {
        let case = Case::ignored_if(self.ignore_case);
        type Check<'a> = &'a dyn Fn(&str) -> Option<String>;
        let address: Check<'_> = &|text| text.parse::<Cidr>().err();
        let words: Check<'_> = &|text| {
            text.is_empty().then(|| "an empty text is in everything; leave it out".to_owned())
        };
        let lists: [(&str, &Texts, Check<'_>); 9] = [
            ("address", &self.address, address),
            ("host", &self.host, &pattern::host_problem),
            ("method", &self.method, &pattern::method_problem),
            ("path", &self.path, &path_problem),
            ("prefix", &self.prefix, &path_problem),
            ("pattern", &self.pattern, &|text| {
                path_form_problem(text, &['*']).or_else(|| pattern::glob(text, case).err())
            }),
            ("regex", &self.regex, &|text| match text {
                "" => words(text),
                _ => pattern::regex(text, case).err(),
            }),
            ("user_agent", &self.user_agent, words),
            ("word", &self.word, words),
        ];
        for (key, list, check) in lists {
            for (index, text) in list.iter().enumerate() {
                if let Some(message) = check(text) {
                    return Some((format!("{key}[{index}]"), message));
                }
            }
        }
        let files: [(&str, &Option<FromFile>, Check<'_>); 4] = [
            ("address_file", &self.address_file, address),
            ("host_file", &self.host_file, &pattern::host_problem),
            ("user_agent_file", &self.user_agent_file, words),
            ("word_file", &self.word_file, words),
        ];
        for (key, file, check) in files {
            if let Some(message) = file.as_ref().and_then(|file| file.problem_of_lines(check)) {
                return Some((key.to_owned(), message));
            }
        }
        let mut fields = self.header.iter();
        fields.find_map(|(name, rule)| Some((pattern::entry("header", name), rule.problem(name)?)))
    }

    /// The same below a key of its own.
    pub(super) fn problem_below(&self, key: &str) -> Option<(String, String)> {
        self.problem().map(|(own, message)| (format!("{key}.{own}"), message))
    }

    /// The files that it names.
    pub(super) fn files(&mut self) -> Vec<(&'static str, &mut FromFile)> {
        let Self { address_file, host_file, user_agent_file, word_file, .. } = self;
        let all = [
            ("address_file", address_file),
            ("host_file", host_file),
            ("user_agent_file", user_agent_file),
            ("word_file", word_file),
        ];
        all.into_iter().filter_map(|(key, file)| Some((key, file.as_mut()?))).collect()
    }

    /// The same for a filter that has it under `when`.
    pub(super) fn files_below(&mut self) -> Vec<(&'static str, &mut FromFile)> {
        let named = |key| match key {
            "address_file" => "when.address_file",
            "host_file" => "when.host_file",
            "user_agent_file" => "when.user_agent_file",
            _ => "when.word_file",
        };
        self.files().into_iter().map(|(key, file)| (named(key), file)).collect()
    }
}

fn path_problem(text: &str) -> Option<String> {
    if text.contains('?') {
        let message = "has a query; only paths are compared, leave out what follows `?`";
        return Some(format!("`{text}` {message}"));
    }
    path_form_problem(text, &[])
}

/// A [`When`] that is ready to be asked.
#[derive(Debug)]
pub(super) struct Test {
    addresses: Option<Addresses>,
    hosts: Option<Hosts>,
    methods: Box<[Box<[u8]>]>,
    paths: Option<Paths>,
    fields: Box<[FieldTest]>,
    agents: Option<AhoCorasick>,
    words: Option<AhoCorasick>,
}

impl Test {
    pub(super) fn new(when: &When) -> Self {
        Self {
            addresses: Addresses::new(entries(&when.address, when.address_file.as_ref())),
            hosts: Hosts::new(entries(&when.host, when.host_file.as_ref())),
            methods: when.method.iter().map(|method| method.as_bytes().into()).collect(),
            paths: Paths::new(when),
            fields: when.header.iter().map(|(name, rule)| FieldTest::new(name, rule)).collect(),
            agents: finder(entries(&when.user_agent, when.user_agent_file.as_ref())),
            words: finder(entries(&when.word, when.word_file.as_ref())),
        }
    }

    /// Whether the request is one of those.
    pub(super) fn passes(&self, asked: &Asked<'_>) -> bool {
        let methods = &self.methods;
        (methods.is_empty() || methods.iter().any(|method| **method == *asked.method))
            && self.addresses.as_ref().is_none_or(|list| list.contain(asked.client))
            && self.hosts.as_ref().is_none_or(|list| list.contain(asked.host))
            && self.paths.as_ref().is_none_or(|list| list.contain(&path::normal(asked.path())))
            && self.fields.iter().all(|field| field.passes(asked.fields))
            && self.agents.as_ref().is_none_or(|agents| is_agent(agents, asked))
            && self.words.as_ref().is_none_or(|words| has_word(words, asked))
    }
}

/// The entries of a list and of the file that goes with it; nothing if neither is said. (An empty file is a list of nobody.)
fn entries<'a>(list: &'a Texts, file: Option<&'a FromFile>) -> Option<Vec<&'a str>> {
    if list.is_empty() && file.is_none() {
        return None;
    }
    let own = list.iter().map(String::as_str);
    Some(own.chain(file.into_iter().flat_map(FromFile::lines)).collect())
}

/// One automaton for all of these.
fn finder(texts: Option<Vec<&str>>) -> Option<AhoCorasick> {
    let texts = texts?;
    let built = AhoCorasick::builder().ascii_case_insensitive(true).build(texts);
    // It fails only beyond 2^31 states, and no list is that long.
    built.ok().or_else(|| AhoCorasick::new([""; 0]).ok())
}

fn is_agent(agents: &AhoCorasick, asked: &Asked<'_>) -> bool {
    let mut found = false;
    asked.fields.each(&mut |name, value| {
        found = name.eq_ignore_ascii_case(b"user-agent") && agents.is_match(value);
        !found
    });
    found
}

fn has_word(words: &AhoCorasick, asked: &Asked<'_>) -> bool {
    words.is_match(&*path::normal(asked.path()))
        || asked.query().is_some_and(|query| words.is_match(&*path::decoded_query(query)))
}

/// Ranges of addresses, merged and in order: both ends of each belong to it.
#[derive(Debug)]
struct Addresses {
    v4: Box<[(u128, u128)]>,
    v6: Box<[(u128, u128)]>,
}

impl Addresses {
    fn new(texts: Option<Vec<&str>>) -> Option<Self> {
        let ranges: Vec<Cidr> = texts?.iter().filter_map(|text| text.parse().ok()).collect();
        let of = |wanted: fn(&IpAddr) -> bool| {
            let ends = ranges.iter().map(Cidr::ends).filter(|ends| wanted(&ends.0));
            merged(ends.map(|(first, last)| (number(first), number(last))).collect())
        };
        Some(Self { v4: of(IpAddr::is_ipv4), v6: of(IpAddr::is_ipv6) })
    }

    fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let ranges = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let address = number(address);
        let next = ranges.partition_point(|(first, _)| *first <= address);
        next.checked_sub(1).is_some_and(|last| address <= ranges[last].1)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => address.into(),
    }
}

fn merged(mut ranges: Vec<(u128, u128)>) -> Box<[(u128, u128)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged.into()
}

/// Hosts: exact names, and domains whose subdomains are meant (with their dot). Lower case; only looked into, never walked through.
#[derive(Debug)]
struct Hosts {
    names: HashSet<Box<[u8]>>,
    below: HashSet<Box<[u8]>>,
}

impl Hosts {
    fn new(texts: Option<Vec<&str>>) -> Option<Self> {
        let texts: Vec<String> = texts?.iter().map(|text| text.to_ascii_lowercase()).collect();
        let (below, names): (Vec<&String>, Vec<&String>) =
            texts.iter().partition(|name| name.starts_with('*'));
        let bytes = |text: &str| text.as_bytes().into();
        Some(Self {
            names: names.iter().map(|name| bytes(name)).collect(),
            below: below.iter().map(|name| bytes(&name[1..])).collect(),
        })
    }

    fn contain(&self, host: &[u8]) -> bool {
        let name = pattern::bare_host(host);
        let name: Cow<'_, [u8]> = if name.iter().any(u8::is_ascii_uppercase) {
            name.to_ascii_lowercase().into()
        } else {
            name.into()
        };
        let mut dots = (1..name.len()).filter(|at| name[*at] == b'.');
        self.names.contains(&*name) || dots.any(|at| self.below.contains(&name[at..]))
    }
}

/// Paths in all the ways to say them.
#[derive(Debug)]
struct Paths {
    case: Case,
    exact: Box<[Box<[u8]>]>,
    prefixes: Box<[Box<[u8]>]>,
    patterns: Box<[Regex]>,
}

impl Paths {
    fn new(when: &When) -> Option<Self> {
        let case = Case::ignored_if(when.ignore_case);
        let bytes = |texts: &Texts| texts.iter().map(|text| text.as_bytes().into()).collect();
        let globs = when.pattern.iter().filter_map(|text| pattern::glob(text, case).ok());
        let expressions = when.regex.iter().filter_map(|text| pattern::regex(text, case).ok());
        let said = [&when.path, &when.prefix, &when.pattern, &when.regex];
        said.iter().any(|list| !list.is_empty()).then(|| Self {
            case,
            exact: bytes(&when.path),
            prefixes: bytes(&when.prefix),
            patterns: globs.chain(expressions).collect(),
        })
    }

    fn contain(&self, path: &[u8]) -> bool {
        self.exact.iter().any(|wanted| self.case.same(path, wanted))
            || self.prefixes.iter().any(|wanted| self.case.begins(path, wanted))
            || self.patterns.iter().any(|pattern| pattern.is_match(path))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_of_ranges_against_each_range(
            ranges in prop::collection::vec((any::<u32>(), 0_u8..=32, any::<bool>()), 0..12),
            drawn in any::<u32>(), near in any::<prop::sample::Index>(), by in -2_i64..3,
        ) {
            let texts: Vec<String> = ranges.iter().map(|(base, bits, six)| {
                let v4 = std::net::Ipv4Addr::from(*base);
                if *six {
                    let [a, b, c, d] = v4.octets();
                    format!("2001:db8::{a:x}{b:02x}:{c:x}{d:02x}/{}", bits + 96)
                } else {
                    format!("{v4}/{bits}")
                }
            }).collect();
            let cidrs: Vec<Cidr> = texts.iter().map(|text| text.parse().expect("a range")).collect();
            let set = Addresses::new(Some(texts.iter().map(String::as_str).collect())).expect("some");
            // Any address, and those around the ends of a range.
            let mut addresses = vec![IpAddr::from(std::net::Ipv4Addr::from(drawn))];
            if !cidrs.is_empty() {
                let (first, last) = near.get(&cidrs).ends();
                for end in [first, last] {
                    addresses.push(match end {
                        IpAddr::V4(end) => {
                            let moved = i64::from(u32::from(end)) + by;
                            std::net::Ipv4Addr::from(moved.clamp(0, u32::MAX.into()) as u32).into()
                        }
                        IpAddr::V6(end) => {
                            let moved = u128::from(end).wrapping_add_signed(by.into());
                            std::net::Ipv6Addr::from(moved).into()
                        }
                    });
                }
            }
            for address in addresses {
                let expected = cidrs.iter().any(|cidr| cidr.contains(address));
                prop_assert_eq!(set.contain(address), expected, "{} in {:?}", address, texts);
                if let IpAddr::V4(v4) = address {
                    prop_assert_eq!(set.contain(v4.to_ipv6_mapped().into()), expected);
                }
            }
        }

        #[test]
        fn a_set_of_hosts_against_each_host(
            rules in prop::collection::vec("(\\*\\.)?[ab](\\.[abAB]){0,2}", 0..6),
            host in "[abAB](\\.[ab]){0,3}\\.?(:80)?",
        ) {
            let set = Hosts::new(Some(rules.iter().map(String::as_str).collect())).expect("some");
            let expected = rules.iter().any(|rule| pattern::host_is(rule, host.as_bytes()));
            prop_assert_eq!(set.contain(host.as_bytes()), expected);
        }
    }
}
