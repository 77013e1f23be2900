//! Parts that can be exchanged, for tests of the tests.
//!
//! A test that compares the model with a formula is worth something only if it fails where the model is wrong. So a test may put a
//! part of its own in: a balancer around the configured one, a station that serves in another order. Nothing in a scenario or on the
//! command line leads here.

use std::{fmt, ops::ControlFlow};

use backend_sim::station::Station;
use policy::balance::Balancer;

use super::{Outcome, run_with};
use crate::language::Scenario;

/// What is made of the parts that a scenario asks for. By default nothing: they are used as they are.
#[derive(Clone, Copy)]
pub struct Parts {
    /// Of the balancer of each configuration.
    pub balancer: fn(Box<dyn Balancer>) -> Box<dyn Balancer>,
    /// Of the station of each endpoint.
    pub station: fn(Station) -> Station,
}

impl Default for Parts {
    fn default() -> Self {
        Self { balancer: |as_asked| as_asked, station: |as_asked| as_asked }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl Parts {
    /// Runs a scenario with these parts, as [`run`](super::run) does with the product's own.
    ///
    /// # Errors
    /// In words: what there is in the scenario that the model cannot do.
    pub fn run(self, scenario: &Scenario, seed: u64) -> Result<Outcome, String> {
        run_with(scenario, seed, self, &mut |_| ControlFlow::Continue(()))
    }
}
