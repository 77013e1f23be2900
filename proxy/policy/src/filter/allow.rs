//! `allow`: what it does not match is refused (403).
//!
//! Several of them are several gates, and a request must pass each. Alternatives go into one list of one `allow`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Filter, FromFile, Verdict,
    deny::{nothing_said, refusal},
    when::{Test, When},
};
use crate::{
    Instant, Seed,
    message::{Asked, Edits},
};

/// Which requests may pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Config(pub When);

impl super::Config for Config {
    fn problem(&self) -> Option<(String, String)> {
        nothing_said(&self.0, "lets everything through, as no filter would")
            .or_else(|| self.0.problem())
    }

    fn files(&mut self) -> Vec<(&'static str, &mut FromFile)> {
        self.0.files()
    }

    fn build(&self, _seed: Seed) -> Box<dyn Filter> {
        Box::new(Allow(Test::new(&self.0)))
    }
}

#[derive(Debug)]
struct Allow(Test);

impl Filter for Allow {
    fn on_request(&self, asked: &Asked<'_>, _now: Instant, _edits: &mut Edits) -> Verdict {
        if self.0.passes(asked) { Verdict::Pass } else { refusal("not_allowed") }
    }
}
