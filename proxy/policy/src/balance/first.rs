//! First: the first endpoint that has room, in the order in which they are configured.
//!
//! HAProxy's `first`. It packs instead of spreading: the first endpoint is filled up to its limit before the second gets anything, so that those at
//! the end of the list idle and can be switched off (Gandhi, Harchol-Balter and Kozuch 2011, CMU-CS-12-109, show how much energy
//! that saves, and that the limit decides what it costs). As with HAProxy weights mean nothing to it. It needs a limit
//! (`limits.endpoint_in_flight`, or an endpoint's own `max_in_flight`): without any the first endpoint gets everything.
//!
//! Parameters: none. Cost of a pick: a pass over those that are full, up to the first that is not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Balancer, Parameters, StrategyInfo};
use crate::{Rng, endpoint::View};

/// What `first` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "first",
    summary: "The first endpoint that is below its limit: fills one up before it uses the next.",
    parameters: &[],
};

/// `first` has no parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(First)
    }
}

#[derive(Debug)]
struct First;

impl Balancer for First {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, _: &mut Rng) -> Option<u32> {
        view.ready.iter().copied().find(|&index| view.may_take(index))
    }
}
