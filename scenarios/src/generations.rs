//! Every proxy that there was in a run, and every set of endpoints that a reload made.
//!
//! A restart and a reload leave the counters of what was before behind; what has drained, or still drains, counts all the
//! same. So a run keeps all of them until its end, and reads them as one.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use policy::endpoint::Endpoint;
use proxy::engine::{Shared, State, UpstreamShared};

use crate::{counters::Counters, language::pools::OWN, sent::Sent};

/// Every proxy of a run, and every set of endpoints: by the scenario's proxies.
#[derive(Debug)]
pub struct Generations(Vec<Line>);

/// One proxy of the scenario, and those that have taken its place.
#[derive(Debug, Default)]
struct Line {
    shares: Vec<Arc<Shared>>,
    upstreams: Vec<Arc<UpstreamShared>>,
    /// Those that are in force, by the names of their pools.
    present: Vec<(String, Arc<UpstreamShared>)>,
}

impl Line {
    fn note(&mut self, state: &State) {
        let names = state.config.upstreams.keys().cloned();
        let named = names.zip(state.named.iter().cloned());
        let own = (OWN.to_owned(), Arc::clone(&state.upstream));
        self.present = [own].into_iter().chain(named).collect();
        self.upstreams.extend(self.present.iter().map(|(_, upstream)| Arc::clone(upstream)));
    }
}

impl Generations {
    /// For a scenario of so many proxies.
    pub fn new(proxies: u32) -> Self {
        Self((0..proxies).map(|_| Line::default()).collect())
    }

    /// Another process is the scenario's proxy of this number.
    pub fn started(&mut self, proxy: u32, shared: Arc<Shared>, state: &State) {
        let line = &mut self.0[proxy as usize];
        line.shares.push(shared);
        line.note(state);
    }

    /// Other sets of endpoints in the same process.
    pub fn reloaded(&mut self, proxy: u32, state: &State) {
        self.0[proxy as usize].note(state);
    }

    /// What all of them have counted so far.
    pub fn counters(&self) -> Counters {
        let shares = self.0.iter().flat_map(|line| &line.shares);
        Counters::read(shares.map(|s| &**s), self.upstreams().map(|u| &**u)).with(self.sent())
    }

    /// What each proxy has sent to endpoints, whichever process and set it was.
    fn sent(&self) -> Sent {
        let lines = self.0.iter();
        Sent::read(
            lines.map(|line| line.upstreams.iter().flat_map(|upstream| upstream.endpoints.list())),
        )
    }

    fn upstreams(&self) -> impl Iterator<Item = &Arc<UpstreamShared>> {
        self.0.iter().flat_map(|line| &line.upstreams)
    }

    /// Every endpoint of every set; one that several sets share comes several times.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.upstreams().flat_map(|upstream| upstream.endpoints.list())
    }

    /// The endpoints that each of the scenario's proxies has now, in order: the proxy's number, the name of the pool, and who is in it.
    pub fn present(&self) -> impl Iterator<Item = (u32, &str, &[Arc<Endpoint>])> {
        (0..).zip(&self.0).flat_map(|(number, line)| {
            let pools = line.present.iter();
            pools.map(move |(name, pool)| (number, name.as_str(), pool.endpoints.list()))
        })
    }

    /// How often each endpoint was ejected, and by name: those that were not are left out.
    fn ejections(&self) -> BTreeMap<&str, u64> {
        let mut all = BTreeMap::new();
        for upstream in self.upstreams() {
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
        let present = self.present().flat_map(|(.., endpoints)| endpoints);
        notes.extend(absent(self.0.len(), present));
        notes.extend(self.sent().note());
        notes
    }
}

/// To whom nothing would be sent now, in words, by the endpoints that each of so many proxies has: in the order of the first.
pub fn absent<'a>(proxies: usize, present: impl Iterator<Item = &'a Arc<Endpoint>>) -> Vec<String> {
    let mut found: Vec<(&str, &str, u32)> = Vec::new();
    for endpoint in present {
        let why = match (endpoint.is_up(), endpoint.is_ejected()) {
            (false, _) => "held to be down by the health checks",
            (true, true) => "ejected",
            (true, false) => continue,
        };
        match found.iter_mut().find(|(name, other, _)| *name == endpoint.name && *other == why) {
            Some((.., count)) => *count += 1,
            None => found.push((&endpoint.name, why, 1)),
        }
    }
    let note = |(name, why, count): &(&str, &str, u32)| match proxies {
        0 | 1 => format!("at the end {name} was {why}"),
        _ => format!("at the end {name} was {why}, for {count} of {proxies} proxies"),
    };
    found.iter().map(note).collect()
}
