//! The proxies of a scenario: what each is called, what it draws from, and what it is told of itself.
//!
//! `proxies = 10` at the top of a scenario stands for ten equal proxies side by side, each with a view of its own: its balancer,
//! its counts of what is in flight, its health checks, ejections, retry budget and connections. None knows of the others. That is
//! how proxies are run, and where strategies part: what one proxy knows of an endpoint is a tenth of what happens there, and
//! ten that choose by the same stale figures choose alike (Mitzenmacher, "How Useful Is Old Information?", 2000).
//!
//! Which proxy a request goes to is a part of the schedule ([`loadgen::schedule::Route`]), so it is the same in every world and for
//! every strategy.

use policy::Seed;
use proxy::config::ProxyConfig;

use crate::language::Scenario;

/// One of the proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which, from 0.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

impl Member {
    /// Every proxy of a scenario, in order.
    pub fn all(scenario: &Scenario) -> impl Iterator<Item = Self> + use<> {
        let of = scenario.proxies;
        (0..of).map(move |index| Self { index, of })
    }

    /// Its name: `proxy-3`, or just `proxy` when it is the only one.
    pub fn name(self) -> String {
        if self.of == 1 { "proxy".to_owned() } else { named(self.index) }
    }

    /// What it draws from, given the seed of the run.
    pub fn seed(self, run: Seed) -> Seed {
        run.child(&self.name())
    }

    /// The configuration as this one has it, at the start and after each reload. Here, and nowhere else, a proxy is told which
    /// one of how many it is; all the rest of what they are told is the same.
    #[must_use]
    pub fn configure(self, mut config: ProxyConfig) -> ProxyConfig {
        let upstreams = config.upstreams.values_mut().filter_map(|own| own.balance.as_mut());
        for balance in upstreams.chain([&mut config.balance]) {
            if let Some(subset) = &mut balance.subset
                && self.of > 1
            {
                subset.index = self.index;
            }
        }
        config
    }
}

/// The name of the proxy with this number among several.
pub fn named(index: u32) -> String {
    format!("proxy-{index}")
}
