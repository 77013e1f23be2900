//! `deny`: what it matches is refused (403).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Filter, FromFile, Verdict,
    when::{Test, When},
};
use crate::{
    Instant, Seed,
    message::{Asked, Edits, Reply},
};

/// Which requests are refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Config(pub When);

impl super::Config for Config {
    fn problem(&self) -> Option<(String, String)> {
        nothing_said(&self.0, "refuses every request").or_else(|| self.0.problem())
    }

    fn files(&mut self) -> Vec<(&'static str, &mut FromFile)> {
        self.0.files()
    }

    fn build(&self, _seed: Seed) -> Box<dyn Filter> {
        Box::new(Deny(Test::new(&self.0)))
    }
}

#[derive(Debug)]
struct Deny(Test);

impl Filter for Deny {
    fn on_request(&self, asked: &Asked<'_>, _now: Instant, _edits: &mut Edits) -> Verdict {
        if self.0.passes(asked) { refusal("denied") } else { Verdict::Pass }
    }
}

/// A gate without a condition is a slip of the pen.
pub(super) fn nothing_said(when: &When, does: &str) -> Option<(String, String)> {
    when.is_any().then(|| {
        let message = format!(
            "has no condition, and so {does}; say which requests are meant, like `{{ address = \"10.0.0.0/8\" }}` \
             (every one is `{{ address = [\"0.0.0.0/0\", \"::/0\"] }}`)"
        );
        (String::new(), message)
    })
}

/// The answer to what may not pass. It does not say why: who is kept out need not know by what.
pub(super) fn refusal(reason: &'static str) -> Verdict {
    Verdict::Answer(Reply::text(403, reason, "forbidden"))
}
