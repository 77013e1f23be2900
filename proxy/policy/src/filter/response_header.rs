//! `response_header`: changes the fields of the response.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Filter, FromFile,
    headers::{Changes, Ready, ValueRewrite, Way},
    when::{Test, When},
};
use crate::{
    Seed,
    message::{Answered, Asked, Edits},
    pattern::Texts,
};

/// What is to be different in the response. Removed, rewritten, set, added, in this order; `Connection` and what says where a message ends are not to be changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// For which requests; all by default.
    #[serde(skip_serializing_if = "When::is_any")]
    pub when: When,
    /// Fields that are there once, with these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Fields that are there once more: a value, or several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, Texts>,
    /// Names of fields that are left out; `X-Internal-*` is all that begin so.
    #[serde(skip_serializing_if = "Texts::is_none")]
    pub remove: Texts,
    /// Fields in whose values something is replaced: `{ regex = "…", with = "…" }`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rewrite: BTreeMap<String, ValueRewrite>,
}

impl Config {
    fn changes(&self) -> Changes<'_> {
        let Self { set, add, remove, rewrite, .. } = self;
        Changes { set, add, remove, rewrite }
    }
}

impl super::Config for Config {
    fn problem(&self) -> Option<(String, String)> {
        self.when.problem_below("when").or_else(|| self.changes().problem(Way::Back))
    }

    fn files(&mut self) -> Vec<(&'static str, &mut FromFile)> {
        self.when.files_below()
    }

    fn build(&self, _seed: Seed) -> Box<dyn Filter> {
        Box::new(ResponseHeader { test: Test::new(&self.when), changes: self.changes().ready() })
    }
}

#[derive(Debug)]
struct ResponseHeader {
    test: Test,
    changes: Ready,
}

impl Filter for ResponseHeader {
    fn on_response(&self, asked: &Asked<'_>, answered: &Answered<'_>, edits: &mut Edits) {
        if self.test.passes(asked) {
            self.changes.apply(answered.fields, edits);
        }
    }
}
