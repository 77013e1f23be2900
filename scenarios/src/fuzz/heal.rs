//! What puts everything right again after a timeline: so that it can be asked whether the system recovers.
//!
//! Faults of endpoints are restored, links repaired, settings that a reload changed are set back, and where no endpoint is
//! left one is added. What has been added or removed stays so: that is a change and no fault.

use std::{collections::BTreeSet, ops::Range};

use backend_sim::Fault;
use policy::quantity::TimeSpan;
use serde_json::{Map, Value};

use crate::language::{Action, Event, Scenario, Target, timeline::Present};

/// What is wrong at the end of a timeline.
#[derive(Debug, Default)]
struct Wrong {
    endpoints: BTreeSet<String>,
    /// With the proxies at their other ends, by their numbers: from, and to.
    links: BTreeSet<(String, u32, u32)>,
    loads: BTreeSet<(String, u32, u32)>,
    settings: Map<String, Value>,
    /// How many endpoints there are.
    left: usize,
}

/// The events that heal at `at` what `events` have done to `scenario` (whose own events do not matter). None where
/// everything is right.
pub fn restoring(scenario: &Scenario, events: &[Event], at: TimeSpan) -> Vec<Event> {
    let wrong = wrong(scenario, events);
    let mut actions = Vec::new();
    for endpoint in together(scenario, events, &wrong.endpoints) {
        actions.push(Action::Fault { endpoint, fault: Fault::Restore });
    }
    let names = |links: BTreeSet<(String, u32, u32)>| {
        links.into_iter().map(|(name, ..)| name).collect::<BTreeSet<_>>()
    };
    for endpoint in together(scenario, events, &names(wrong.links)) {
        actions.push(Action::Repair(Target::Endpoint(endpoint)));
    }
    let loads = names(wrong.loads).into_iter();
    actions.extend(loads.map(|load| Action::Repair(Target::Load(load))));
    if !wrong.settings.is_empty() {
        actions.push(Action::Reload { changes: wrong.settings, configs: Vec::new() });
    }
    if let (0, Some(backend)) = (wrong.left, scenario.backends.keys().next()) {
        actions.push(Action::Add { backend: backend.clone(), count: 1 });
    }
    actions.into_iter().map(|action| Event::new(at, action)).collect()
}

/// Whether nothing is wrong after these events.
pub fn is_healed(scenario: &Scenario, events: &[Event]) -> bool {
    restoring(scenario, events, TimeSpan::default()).is_empty()
}

fn with(scenario: &Scenario, events: &[Event]) -> Scenario {
    Scenario { events: events.to_vec(), ..scenario.clone() }
}

fn wrong(scenario: &Scenario, events: &[Event]) -> Wrong {
    let original = serde_json::to_value(&scenario.proxy).unwrap_or_default();
    let mut wrong = Wrong { left: scenario.endpoints().len(), ..Wrong::default() };
    for moment in with(scenario, events).timeline() {
        let (endpoints, proxies) = (moment.endpoints, moment.proxies);
        let link = |name| (name, proxies.start, proxies.end);
        match moment.action {
            Action::Fault { fault: Fault::Restart | Fault::Restore, .. } => {
                wrong.endpoints.retain(|name| !endpoints.contains(name));
            }
            Action::Fault { .. } => wrong.endpoints.extend(endpoints),
            Action::Partition(target)
            | Action::Latency { target, .. }
            | Action::Drop { target, .. } => match target {
                Target::Endpoint(_) => wrong.links.extend(endpoints.into_iter().map(link)),
                Target::Load(load) => wrong.loads.extend([link(load)]),
            },
            Action::Repair(Target::Endpoint(_)) => {
                let is_of = |name: &String| endpoints.contains(name);
                wrong.links.retain(|link| !(is_of(&link.0) && is_within(link, &proxies)));
            }
            Action::Repair(Target::Load(load)) => {
                wrong.loads.retain(|link| !(link.0 == load && is_within(link, &proxies)));
            }
            Action::Add { .. } => wrong.left += endpoints.len(),
            Action::Remove { .. } => {
                wrong.left -= endpoints.len().min(wrong.left);
                wrong.endpoints.retain(|name| !endpoints.contains(name));
                wrong.links.retain(|(name, ..)| !endpoints.contains(name));
            }
            Action::Reload { changes, .. } if proxies == (0..scenario.proxies) => {
                change(&mut wrong.settings, &changes, &original);
            }
            // What sets one proxy right leaves the others as they are.
            Action::Reload { changes, .. } => {
                let mut of_one = Map::new();
                change(&mut of_one, &changes, &original);
                for (key, was) in of_one {
                    add(wrong.settings.entry(key).or_insert(Value::Null), was);
                }
            }
            Action::Purge { .. } | Action::Redis(_) | Action::RestartProxy { .. } => {}
        }
    }
    wrong
}

/// Whether the link's proxies are among these.
fn is_within((_, from, to): &(String, u32, u32), proxies: &Range<u32>) -> bool {
    proxies.start <= *from && *to <= proxies.end
}

/// Adds settings that are not what they were.
fn add(wrong: &mut Value, more: Value) {
    match (wrong, more) {
        (Value::Object(wrong), Value::Object(more)) => {
            for (key, was) in more {
                add(wrong.entry(key).or_insert(Value::Null), was);
            }
        }
        (wrong, more) => *wrong = more,
    }
}

/// Notes which settings are not what they were, and what they were.
fn change(wrong: &mut Map<String, Value>, changes: &Map<String, Value>, original: &Value) {
    for (key, new) in changes {
        let was = original.get(key).filter(|value| !value.is_null());
        if let (Value::Object(new), Some(was)) = (new, was) {
            let mut below = match wrong.shift_remove(key) {
                Some(Value::Object(below)) => below,
                _ => Map::new(),
            };
            change(&mut below, new, was);
            if !below.is_empty() {
                wrong.insert(key.clone(), Value::Object(below));
            }
            continue;
        }
        // What had no value before cannot be taken out again by a reload: then it gets one that does not matter.
        let was = was.cloned().unwrap_or_else(|| Value::from(1_000_000));
        if *new == was {
            wrong.shift_remove(key);
        } else {
            wrong.insert(key.clone(), was);
        }
    }
}

/// Names, those of a whole backend as `web-*`.
fn together(scenario: &Scenario, events: &[Event], names: &BTreeSet<String>) -> Vec<String> {
    let mut present = Present::at_start(scenario);
    for moment in with(scenario, events).timeline() {
        match moment.action {
            Action::Add { backend, count } => drop(present.add(&backend, count)),
            Action::Remove { .. } => present.remove(&moment.endpoints),
            _ => {}
        }
    }
    let mut rest = names.clone();
    let mut written = Vec::new();
    for backend in scenario.backends.keys() {
        let all = format!("{backend}-*");
        let members = present.expand(&all);
        if members.len() > 1 && members.iter().all(|name| rest.contains(name)) {
            rest.retain(|name| !members.contains(name));
            written.push(all);
        }
    }
    written.extend(rest);
    written
}
