//! What happens when, with names resolved.
//!
//! Events stand in the file in any order and speak of endpoints by name or by `web-*`; whoever performs them wants
//! them by time, with the endpoints that there are at that moment.

use std::{ops::Range, time::Duration};

use indexmap::{IndexMap, IndexSet};

use super::{
    event::{Action, Event},
    pools,
    scenario::{MAX_ENDPOINTS, Scenario},
};

/// Something that happens at an instant of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// When, since the start of the run.
    pub at: Duration,
    /// Which event of the file it is, from 0.
    pub index: usize,
    /// What.
    pub action: Action,
    /// To which endpoints; for `add` those that come.
    pub endpoints: Vec<String>,
    /// To which proxies, by their numbers: all, or one.
    pub proxies: Range<u32>,
    /// A few words for charts and logs.
    pub label: String,
}

impl Scenario {
    /// The events by time; those of the same time in the order of the file.
    pub fn timeline(&self) -> Vec<Moment> {
        let mut present = Present::at_start(self);
        let in_order = self.events_by_time().into_iter();
        let moments = in_order.map(|index| {
            let event = &self.events[index];
            let endpoints = match &event.action {
                Action::Add { backend, count } => present.add(backend, *count),
                action => action.endpoint().map_or_else(Vec::new, |name| present.expand(name)),
            };
            if matches!(event.action, Action::Remove { .. }) {
                present.remove(&endpoints);
            }
            let (action, label) = (event.action.clone(), event.label());
            let proxies = self.proxies_of(event);
            Moment { at: event.at.0, index, action, endpoints, proxies, label }
        });
        moments.collect()
    }

    /// The proxies that an event is about, by their numbers.
    pub(crate) fn proxies_of(&self, event: &Event) -> Range<u32> {
        event.proxy.map_or(0..self.proxies, |one| one.0..one.0.saturating_add(1))
    }

    /// The indices of the events in the order in which they happen.
    pub(crate) fn events_by_time(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.events.len()).collect();
        order.sort_by_key(|index| self.events[*index].at);
        order
    }
}

/// The endpoints that there are at some moment.
pub(crate) struct Present {
    names: IndexSet<String>,
    /// How many each backend has ever had.
    counts: IndexMap<String, u64>,
}

impl Present {
    pub(crate) fn at_start(scenario: &Scenario) -> Self {
        let counts = scenario.backends.iter();
        Self {
            names: scenario.endpoints().into_iter().collect(),
            counts: counts
                .map(|(name, backend)| (name.clone(), u64::from(backend.count)))
                .collect(),
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The endpoints that a name stands for now; none when it is dangling.
    pub(crate) fn expand(&self, name: &str) -> Vec<String> {
        let Some(backend) = name.strip_suffix("-*") else {
            return self.names.get(name).cloned().into_iter().collect();
        };
        let of_backend = |endpoint: &&String| {
            let number = endpoint.strip_prefix(backend).and_then(|rest| rest.strip_prefix('-'));
            number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        };
        self.names.iter().filter(of_backend).cloned().collect()
    }

    /// Adds endpoints to a backend: the numbers go on where they were, removed ones are not given again.
    pub(crate) fn add(&mut self, backend: &str, count: u32) -> Vec<String> {
        let Some(next) = self.counts.get_mut(backend) else { return Vec::new() };
        let first = *next;
        let room = (MAX_ENDPOINTS - self.names.len().min(MAX_ENDPOINTS)) as u64;
        *next += u64::from(count).min(room);
        let added: Vec<String> = (first..*next).map(|index| format!("{backend}-{index}")).collect();
        self.names.extend(added.iter().cloned());
        added
    }

    pub(crate) fn remove(&mut self, names: &[String]) {
        if let [name] = names {
            self.names.shift_remove(name);
        } else {
            self.names.retain(|name| !names.contains(name));
        }
    }

    /// The upstream with a name that would have no endpoint left without these, if there is one: the proxy takes none that is empty.
    pub(crate) fn emptied_by<'n>(&self, scenario: &Scenario, name: &'n str) -> Option<&'n str> {
        let (group, _) = name.rsplit_once('-')?;
        let is_named = pools::of_group(&scenario.proxy, group) != pools::OWN;
        let all = is_named.then(|| self.expand(&format!("{group}-*")).len())?;
        (all > 0 && self.expand(name).len() == all).then_some(group)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}
