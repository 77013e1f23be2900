//! Every proxy that there was in a run, and every set of endpoints that a reload made.
//!
//! A restart and a reload leave the counters of what was before behind; what has drained, or still drains, counts all the
//! same. So a run keeps all of them until its end, and reads them as one.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use policy::endpoint::Endpoint;
use proxy::engine::{Shared, UpstreamShared};

use crate::counters::Counters;

/// Every proxy of a run, and every set of endpoints.
#[derive(Debug, Default)]
pub struct Generations {
    shares: Vec<Arc<Shared>>,
    upstreams: Vec<Arc<UpstreamShared>>,
}

impl Generations {
    /// Another proxy.
    pub fn started(&mut self, shared: Arc<Shared>, upstream: Arc<UpstreamShared>) {
        self.shares.push(shared);
        self.upstreams.push(upstream);
    }

    /// Another set of endpoints in the same proxy.
    pub fn reloaded(&mut self, upstream: Arc<UpstreamShared>) {
        self.upstreams.push(upstream);
    }

    /// What all of them have counted so far.
    pub fn counters(&self) -> Counters {
        Counters::read(self.shares.iter().map(|s| &**s), self.upstreams.iter().map(|u| &**u))
    }

    /// Every endpoint of every set; one that several sets share comes several times.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.upstreams.iter().flat_map(|upstream| upstream.endpoints.list())
    }

    /// The endpoints of the last set.
    pub fn present(&self) -> &[Arc<Endpoint>] {
        self.upstreams.last().map_or(&[], |upstream| upstream.endpoints.list())
    }

    /// How often each endpoint was ejected, and by name: those that were not are left out.
    fn ejections(&self) -> BTreeMap<&str, u64> {
        let mut all = BTreeMap::new();
        for upstream in &self.upstreams {
            for (endpoint, site) in upstream.endpoints.list().iter().zip(&upstream.sites) {
                let times = site.ejections.load(Relaxed);
                if times > 0 {
                    *all.entry(endpoint.name.as_str()).or_insert(0) += times;
                }
            }
        }
        all
    }

    /// Whether any request to the endpoint has failed in a proxy's eyes.
    pub fn has_failed(&self, name: &str) -> bool {
        self.endpoints()
            .filter(|endpoint| endpoint.name == name)
            .any(|endpoint| endpoint.failures() > 0)
    }

    /// What the reader should know: who was ejected, and to whom nothing would be sent now.
    pub fn notes(&self) -> Vec<String> {
        let times = |n: u64| if n == 1 { "once".to_owned() } else { format!("{n} times") };
        let ejections = self.ejections();
        let mut notes = Vec::new();
        if !ejections.is_empty() {
            let each = ejections.iter().map(|(name, n)| format!("{name} {}", times(*n)));
            notes.push(format!("ejected as outliers: {}", each.collect::<Vec<_>>().join(", ")));
        }
        let absent = self.present().iter().filter_map(|endpoint| {
            let why = match (endpoint.is_up(), endpoint.is_ejected()) {
                (false, _) => "held to be down by the health checks",
                (true, true) => "ejected",
                (true, false) => return None,
            };
            Some(format!("at the end {} was {why}", endpoint.name))
        });
        notes.extend(absent);
        notes
    }
}
