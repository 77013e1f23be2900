//! Filters: what is done to a request between its route and its endpoints, besides carrying it.
//!
//! A filter is one file here and one line in the registry below. It is asked twice: when a request is about to go on, and when its
//! answer is about to go back. It says what is to be different ([`Edits`]) and whether the request goes on at all ([`Verdict`]). The filters of a proxy
//! stand in the order of the file, the proxy's own before those of the route, and each is one table with one key:
//!
//! ```toml
//! [[filter]]
//! deny = { address = ["10.0.0.0/8"] }
//! ```
//!
//! So the order is what the person wrote, and nothing is done to a request that is not written down there. Each filter can be told for
//! which requests it is by [`When`]. A filter sees the path that those before it have made, and the fields that the client sent. The first
//! that answers ends the row; what it answers passes the response side of the filters before it, as any answer would.
//!
//! A filter that has to compute for long (a password's hash) says [`Verdict::Check`] and does not do it: who drives it does that where it hurts
//! nobody, tells the outcome to [`Chain::learn`], and asks again.

mod allow;
mod answer;
mod basic_auth;
mod deny;
mod file;
mod headers;
mod password;
mod redirect;
mod request_header;
mod response_header;
mod rewrite;
mod size;
mod target;
mod verified;
mod when;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Instant, Seed,
    message::{Answered, Asked, Edits, Fields, Reply},
};

pub use basic_auth::Check;
pub use file::{Contents, FromFile};
pub use when::When;

/// A filter at work. It belongs to one worker.
pub trait Filter: fmt::Debug {
    /// A request is about to go on.
    fn on_request(&self, _asked: &Asked<'_>, _now: Instant, _edits: &mut Edits) -> Verdict {
        Verdict::Pass
    }

    /// The answer to a request is about to go back.
    fn on_response(&self, _asked: &Asked<'_>, _answered: &Answered<'_>, _edits: &mut Edits) {}

    /// A check that it has asked for has come out so.
    fn learn(&self, _check: &Check, _passed: bool, _now: Instant) {}
}

/// What a filter says of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It goes on, and its body may have at most so many bytes.
    Body(u64),
    /// It is answered here.
    Answer(Reply),
    /// That depends on what has to be computed first.
    Check(Check),
}

/// What a filter is told in the configuration.
pub(crate) trait Config {
    /// What is impossible about it: the key, and what it must be.
    fn problem(&self) -> Option<(String, String)>;

    /// The files that it names, with the keys that do.
    fn files(&mut self) -> Vec<(&'static str, &mut FromFile)>;

    /// The filter.
    fn build(&self, seed: Seed) -> Box<dyn Filter>;
}

/// What a filter is called, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterInfo {
    /// Its key in the configuration, and its name in figures.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
}

/// The registry: a name, its configuration, what it does.
macro_rules! filters {
    ($($(#[doc = $summary:literal])+ $variant:ident = $module:ident $name:literal,)*) => {
        /// Every filter there is.
        pub const FILTERS: [FilterInfo; [$($name),*].len()] =
            [$(FilterInfo { name: $name, summary: concat!($($summary),+).trim_ascii() }),*];

        /// A filter: a table with one key, which names it.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum FilterConfig {
            $($(#[doc = $summary])+ $variant($module::Config),)*
        }

        impl FilterConfig {
            /// What it is called.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            fn inner(&self) -> &dyn Config {
                match self { $(Self::$variant(config) => config,)* }
            }

            fn inner_mut(&mut self) -> &mut dyn Config {
                match self { $(Self::$variant(config) => config,)* }
            }
        }
    };
}

filters! {
    /// Refuses what it does not match.
    Allow = allow "allow",
    /// Refuses what it matches.
    Deny = deny "deny",
    /// Refuses what is larger than this.
    Size = size "size",
    /// Asks for a name and a password (RFC 7617).
    BasicAuth = basic_auth "basic_auth",
    /// Sends the client elsewhere.
    Redirect = redirect "redirect",
    /// Gives the same answer always.
    Answer = answer "answer",
    /// Changes the path that the endpoint is asked for.
    Rewrite = rewrite "rewrite",
    /// Changes the fields of the request.
    RequestHeader = request_header "request_header",
    /// Changes the fields of the response.
    ResponseHeader = response_header "response_header",
}

impl FilterConfig {
    /// What is impossible about it: the key, and what it must be.
    pub fn problem(&self) -> Option<(String, String)> {
        let (key, message) = self.inner().problem()?;
        let dot = if key.is_empty() { "" } else { "." };
        Some((format!("{}{dot}{key}", self.name()), message))
    }

    /// The files that it names, with the keys that do. Whoever loads a configuration reads them.
    pub fn files(&mut self) -> Vec<(String, &mut FromFile)> {
        let name = self.name();
        let files = self.inner_mut().files().into_iter();
        files.map(|(key, file)| (format!("{name}.{key}"), file)).collect()
    }

    fn number(&self) -> usize {
        FILTERS.iter().position(|info| info.name == self.name()).unwrap_or_default()
    }
}

/// The filters of a service, in their order. One worker's.
#[derive(Debug)]
pub struct Chain {
    links: Box<[Link]>,
}

#[derive(Debug)]
struct Link {
    /// Its place in [`FILTERS`].
    number: usize,
    filter: Box<dyn Filter>,
}

/// How far a request has come through a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    at: usize,
    /// How many bytes its body may have.
    pub body: u64,
}

impl Default for Passage {
    fn default() -> Self {
        Self { at: 0, body: u64::MAX }
    }
}

/// What a chain says of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It goes on.
    Pass,
    /// It is answered, by the filter of this number in [`FILTERS`].
    Answer(Reply, usize),
    /// Compute this, tell [`Chain::learn`], and ask again.
    Check(Check),
}

impl Chain {
    /// Of these, in their order; nothing if there are none. What is hashed is hashed by `seed`.
    pub fn new<'a>(
        configs: impl IntoIterator<Item = &'a FilterConfig>,
        seed: Seed,
    ) -> Option<Self> {
        let links = configs
            .into_iter()
            .map(|config| Link { number: config.number(), filter: config.inner().build(seed) });
        let links: Box<[Link]> = links.collect();
        (!links.is_empty()).then_some(Self { links })
    }

    /// What becomes of a request that has come so far.
    pub fn on_request(
        &self,
        asked: &Asked<'_>,
        now: Instant,
        passage: &mut Passage,
        edits: &mut Edits,
    ) -> Outcome {
        let mut target = edits.target.clone();
        while let Some(link) = self.links.get(passage.at) {
            let seen = Asked { target: target.as_deref().unwrap_or(asked.target), ..*asked };
            match link.filter.on_request(&seen, now, edits) {
                Verdict::Pass => {}
                Verdict::Body(most) => passage.body = passage.body.min(most),
                Verdict::Answer(reply) => {
                    let reply = self.dressed(asked, reply, passage.at);
                    return Outcome::Answer(reply, link.number);
                }
                Verdict::Check(check) => return Outcome::Check(check),
            }
            if edits.target != target {
                target.clone_from(&edits.target);
            }
            passage.at += 1;
        }
        Outcome::Pass
    }

    /// The check that the request waited for has come out so.
    pub fn learn(&self, passage: &Passage, check: &Check, passed: bool, now: Instant) {
        if let Some(link) = self.links.get(passage.at) {
            link.filter.learn(check, passed, now);
        }
    }

    /// What is to be different in an answer that goes back. `asked` is the request as the client sent it.
    pub fn on_response(&self, asked: &Asked<'_>, answered: &Answered<'_>, edits: &mut Edits) {
        for link in &self.links {
            link.filter.on_response(asked, answered, edits);
        }
    }

    /// An answer of our own, as the filters before the one that gave it want it.
    fn dressed(&self, asked: &Asked<'_>, mut reply: Reply, before: usize) -> Reply {
        let mut edits = Edits::default();
        let fields = ReplyFields(&reply);
        let answered = Answered { status: reply.status, fields: &fields };
        for link in &self.links[..before] {
            link.filter.on_response(asked, &answered, &mut edits);
        }
        if !edits.is_empty() {
            reply.fields.retain(|(name, _)| !edits.omits(name.as_bytes()));
            let new = edits.added().map(|(name, value)| (name.to_owned().into(), value.to_vec()));
            reply.fields.extend(new);
        }
        reply
    }
}

/// The fields of a reply.
struct ReplyFields<'a>(&'a Reply);

impl Fields for ReplyFields<'_> {
    fn each(&self, see: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        for (name, value) in &self.0.fields {
            if !see(name.as_bytes(), value) {
                return;
            }
        }
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.0.fields.iter();
        fields.find(|field| field.0.eq_ignore_ascii_case(name)).map(|field| &*field.1)
    }
}
