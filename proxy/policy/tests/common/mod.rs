//! What the tests of the decisions share: upstreams to order, and one worker that picks from them.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::sync::Arc;

use policy::{
    Balancer, Candidates, Endpoint, Endpoints, Instant, Rng, Seed,
    balance::{STRATEGIES, Strategy},
};

/// An upstream of endpoints with these weights and no limits.
pub(crate) fn weighted(weights: &[u32]) -> Endpoints {
    limited(&weights.iter().map(|&weight| (weight, u32::MAX)).collect::<Vec<_>>())
}

/// An upstream of endpoints with these weights and limits.
pub(crate) fn limited(endpoints: &[(u32, u32)]) -> Endpoints {
    let endpoint = |(i, &(weight, limit))| Arc::new(Endpoint::new(format!("e{i}"), weight, limit));
    Endpoints::new(endpoints.iter().enumerate().map(endpoint).collect())
}

/// Every strategy at its defaults.
pub(crate) fn strategies() -> impl Iterator<Item = Strategy> {
    STRATEGIES.iter().filter_map(|info| Strategy::named(info.name))
}

/// One worker: its candidates, its balancer, its random stream.
pub(crate) struct Worker {
    pub(crate) candidates: Candidates,
    pub(crate) balancer: Box<dyn Balancer>,
    pub(crate) rng: Rng,
}

impl Worker {
    pub(crate) fn new(strategy: &Strategy, panic_threshold: f64, seed: u64) -> Self {
        Self {
            candidates: Candidates::new(panic_threshold),
            balancer: strategy.build(),
            rng: Seed(seed).stream("balancer"),
        }
    }

    pub(crate) fn pick(&mut self, endpoints: &Endpoints, tried: &[u32]) -> Option<u32> {
        self.candidates.refresh(endpoints);
        let view = self.candidates.view(endpoints, tried, Instant::START);
        self.balancer.pick(&view, &mut self.rng)
    }

    /// So many picks in a row.
    pub(crate) fn picks(&mut self, endpoints: &Endpoints, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.pick(endpoints, &[]).expect("some endpoint is ready")).collect()
    }
}
