//! `rewrite`: changes the path that the endpoint is asked for. The query stays, and so does the route: that was chosen before.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Filter, FromFile, Verdict,
    target::{Change, Wanted},
    when::{Test, When},
};
use crate::{
    Instant, Seed,
    message::{Asked, Edits},
};

/// What becomes of the path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// For which requests; all by default.
    #[serde(skip_serializing_if = "When::is_any")]
    pub when: When,
    /// What the path begins with, and what `to` replaces. Other paths stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// A regular expression; what it finds first in the path (decoded, without `//`, `.` and `..`) is replaced by `to`. Other paths stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// What comes in its place; without `prefix` and `regex` in the place of every path. With `regex`, `$1` and `${name}` are what its groups have found.
    /// If it has a query, the request's own is appended to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl Config {
    fn change(&self) -> Result<Option<Change>, (&'static str, String)> {
        let Self { prefix, regex, to, .. } = self;
        Wanted { prefix: prefix.as_deref(), regex: regex.as_deref(), to: to.as_deref() }.change()
    }
}

impl super::Config for Config {
    fn problem(&self) -> Option<(String, String)> {
        if let Some(problem) = self.when.problem_below("when") {
            return Some(problem);
        }
        match self.change() {
            Ok(Some(_)) => None,
            Ok(None) => {
                let message = "changes nothing; write what replaces what, like `{ prefix = \"/api/\", to = \"/\" }`";
                Some((String::new(), message.to_owned()))
            }
            Err((key, message)) => Some((key.to_owned(), message)),
        }
    }

    fn files(&mut self) -> Vec<(&'static str, &mut FromFile)> {
        self.when.files_below()
    }

    fn build(&self, _seed: Seed) -> Box<dyn Filter> {
        Box::new(Rewrite { test: Test::new(&self.when), change: self.change().ok().flatten() })
    }
}

#[derive(Debug)]
struct Rewrite {
    test: Test,
    change: Option<Change>,
}

impl Filter for Rewrite {
    fn on_request(&self, asked: &Asked<'_>, _now: Instant, edits: &mut Edits) -> Verdict {
        // `OPTIONS *` has no path.
        if asked.target.starts_with(b"/") && self.test.passes(asked) {
            let made = self.change.as_ref().and_then(|change| change.apply(asked.target));
            if let Some(target) = made {
                edits.target = Some(target);
            }
        }
        Verdict::Pass
    }
}
