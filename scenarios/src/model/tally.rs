//! What the model's proxy counts, and what its clients were told when something went wrong.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use proxy::engine::{FAULTS, Fault};
use reports::Outcome;

use super::{cache::Counts, proxies::Proxy, world::World};
use crate::{counters::Counters, generations::absent, sent::Sent};

/// The proxy's counters, by the names that the engine's have.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) retries: u64,
    pub(super) retries_refused: u64,
    pub(super) queued: u64,
    pub(super) client_connections: u64,
    pub(super) upstream_connects: u64,
    pub(super) upstream_reuses: u64,
    pub(super) cache: Counts,
    /// Requests that were one too many of their client's.
    pub(super) limited: u64,
    /// Requests that an upstream near its limit has no room for.
    pub(super) shed: u64,
    faults: [u64; FAULTS.len()],
    lengths: [u64; FAULTS.len()],
}

fn place(fault: &Fault) -> Option<usize> {
    let name = fault.name();
    FAULTS.iter().position(|known| *known == name)
}

impl Tally {
    /// Counts a request that ended with this fault.
    pub(super) fn fault(&mut self, fault: &Fault) {
        if let Some(place) = place(fault) {
            self.faults[place] += 1;
        }
    }

    /// The bytes of the answer that the proxy makes up for it; written out once.
    pub(super) fn length_of(&mut self, fault: &Fault) -> u64 {
        let written = || format!("{} {fault}\n", fault.status()).len() as u64;
        let Some(place) = place(fault) else { return written() };
        if self.lengths[place] == 0 {
            self.lengths[place] = written();
        }
        self.lengths[place]
    }

    fn get(&self, name: &str) -> u64 {
        match name {
            "retries" => self.retries,
            "retries_refused" => self.retries_refused,
            "queued" => self.queued,
            "client_connections" => self.client_connections,
            "upstream_connects" => self.upstream_connects,
            "upstream_reuses" => self.upstream_reuses,
            "cache.hits" => self.cache.hits,
            "cache.stale" => self.cache.stale,
            "cache.revalidated" => self.cache.revalidated,
            "cache.misses" => self.cache.misses,
            "cache.passed" => self.cache.passed,
            "cache.collapsed" => self.cache.collapsed,
            "cache.stored" => self.cache.stored,
            "cache.refreshes" => self.cache.refreshes,
            "limited" => self.limited,
            "shed" => self.shed,
            _ => {
                let fault = name.strip_prefix("faults.");
                let place = FAULTS.iter().position(|known| Some(*known) == fault);
                place.map_or(0, |place| self.faults[place])
            }
        }
    }
}

/// What went wrong, by kind: how often, and the first of them in words.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures(BTreeMap<&'static str, (u64, String)>);

impl Failures {
    /// Counts one.
    pub(super) fn note(&mut self, outcome: Outcome, example: impl FnOnce() -> String) {
        let kind = match outcome {
            Outcome::Failed(class) => class.as_str(),
            other => other.as_str(),
        };
        self.0.entry(kind).or_insert_with(|| (0, example())).0 += 1;
    }

    fn notes(&self) -> impl Iterator<Item = String> + '_ {
        let note = |(kind, (count, example)): (&&str, &(u64, String))| {
            format!("{kind}: {count} times, first: {example}")
        };
        self.0.iter().map(note)
    }
}

impl World<'_> {
    /// The counters as they stand.
    pub(super) fn counters(&self) -> Counters {
        let ejections = || self.ejections().values().sum();
        Counters::of(|name| match name {
            "ejections" => ejections(),
            name => self.tally.get(name),
        })
        .with(self.sent())
    }

    /// What each proxy has sent, whichever setup was in force.
    fn sent(&self) -> Sent {
        Sent::read(self.proxies.iter().map(|proxy| {
            let setups = proxy.setups.iter().map(|number| &self.setups[*number as usize]);
            setups.flat_map(|setup| setup.shared.endpoints.list())
        }))
    }

    /// How often each endpoint was ejected; those that were not are left out.
    fn ejections(&self) -> BTreeMap<&str, u64> {
        let mut all = BTreeMap::new();
        for setup in &self.setups {
            for (endpoint, site) in setup.shared.endpoints.list().iter().zip(&setup.shared.sites) {
                let times = site.ejections.load(Relaxed);
                if times > 0 {
                    *all.entry(endpoint.name.as_str()).or_insert(0) += times;
                }
            }
        }
        all
    }

    /// What a reader should know: faults that nobody felt, ejections, what clients were told.
    pub(super) fn remarks(&self) -> Vec<String> {
        use backend_sim::Fault::{Crash, Fail, Hang, Slow};

        use crate::language::Action;
        let mut notes = self.notes.clone();
        let begun = |at: &std::time::Duration| *at <= self.now.since(policy::Instant::START);
        let mut unfelt = std::collections::BTreeSet::new();
        for moment in self.timeline.iter().filter(|moment| begun(&moment.at)) {
            for name in &moment.endpoints {
                let Some(place) = self.places.get(name).copied() else { continue };
                let hits = &self.backends[place as usize].hits;
                let felt = match &moment.action {
                    Action::Fault { fault: Slow { .. }, .. } => ("slow", hits.slow),
                    Action::Fault { fault: Fail { .. }, .. } => ("fail", hits.fail),
                    Action::Fault { fault: Hang, .. } => ("hang", hits.hang),
                    Action::Fault { fault: Crash, .. } => ("crash", hits.crash),
                    Action::Partition(_) => {
                        let links = moment.proxies.clone().map(|proxy| self.link_to(proxy, place));
                        ("partition", links.map(|link| self.links[link as usize].hits).sum())
                    }
                    _ => continue,
                };
                if felt.1 == 0 {
                    unfelt.insert((name.clone(), felt.0));
                }
            }
        }
        let unfelt = unfelt.into_iter();
        notes.extend(
            unfelt.map(|(name, fault)| format!("the fault `{fault}` on {name} touched nobody")),
        );
        let times = |n: u64| if n == 1 { "once".to_owned() } else { format!("{n} times") };
        let ejections = self.ejections();
        if !ejections.is_empty() {
            let each = ejections.iter().map(|(name, n)| format!("{name} {}", times(*n)));
            notes.push(format!("ejected as outliers: {}", each.collect::<Vec<_>>().join(", ")));
        }
        let present = self.proxies.iter().flat_map(Proxy::in_force);
        let present = present.flat_map(|setup| self.setups[setup as usize].shared.endpoints.list());
        notes.extend(absent(self.proxies.len(), present));
        notes.extend(self.sent().note());
        notes.extend(self.failures.notes());
        notes
    }

    /// Why the measurement cannot be believed: the generator could not send what was asked. (It is never late here.)
    pub(super) fn problems(&self) -> Vec<String> {
        let open = self.clients.iter().filter(|clients| clients.is_open);
        let problem = |clients: &super::clients::Clients| {
            let super::clients::Clients { name, offered, dropped, .. } = clients;
            let sent = offered - dropped;
            if *offered == 0 {
                return Some(format!("load `{name}`: no request was due in the measured time"));
            }
            ((sent as f64) < loadgen::validity::MIN_SENT * *offered as f64).then(|| {
                format!(
                    "load `{name}`: of {offered} requests that were due only {sent} were sent, {dropped} were dropped; ask \
                     for a lower rate, give the generator more connections (`max_connections`) or a shorter `timeout`"
                )
            })
        };
        open.filter_map(problem).collect()
    }
}
