//! What is simpler than an event: what a reader would rather see, if it made no difference.
//!
//! Rounder and earlier times, fewer endpoints and those with lower numbers, plain numbers, kinds of faults that need no
//! explanation. Every candidate costs less than what it comes from (a test holds them to that), so that shrinking ends.

use std::{collections::BTreeSet, time::Duration};

use backend_sim::Fault;
use policy::{distribution::Distribution, quantity::TimeSpan};
use serde_json::{Map, Value};

use crate::language::{Action, Event, Target, Which};

/// Candidates for one event, the simplest first.
pub(super) fn events(event: &Event) -> Vec<Event> {
    let actions = actions(&event.action).into_iter();
    let mut all: Vec<Event> = actions.map(|action| with_action(event, action)).collect();
    all.extend(proxies(event.proxy).into_iter().map(|proxy| Event { proxy, ..event.clone() }));
    let times = spans(event.at).into_iter();
    all.extend(times.map(|at| Event { at, ..event.clone() }));
    all
}

fn with_action(event: &Event, action: Action) -> Event {
    Event { at: event.at, proxy: event.proxy, action }
}

/// All proxies are simpler than one of them, and one with a lower number than another.
fn proxies(proxy: Option<Which>) -> Vec<Option<Which>> {
    let Some(Which(number)) = proxy else { return Vec::new() };
    let lower = (0..number.min(2)).map(|number| Some(Which(number)));
    std::iter::once(None).chain(lower).collect()
}

/// Candidates for all events together, where one alone cannot be changed: an endpoint that has another name in all of them,
/// all of them earlier by the same amount, all of them closer to each other.
pub(super) fn together(events: &[Event]) -> Vec<Vec<Event>> {
    let Some(first) = events.iter().map(|event| event.at.0).min() else { return Vec::new() };
    let moved = |change: &dyn Fn(Duration) -> Duration| -> Vec<Event> {
        let moved =
            events.iter().map(|event| Event { at: TimeSpan(change(event.at.0)), ..event.clone() });
        moved.collect()
    };
    let mut all = renamed(events);
    for to in spans(TimeSpan(first)) {
        if to.0 < first {
            let by = first.saturating_sub(to.0);
            all.push(moved(&|at| at.saturating_sub(by)));
        }
    }
    // Half as far from the first, in two digits.
    let closer = |at: Duration| {
        let half = at.saturating_sub(first).as_nanos() as u64 / 2;
        let grain = 10_u64.pow((half.checked_ilog10().unwrap_or_default()).saturating_sub(1));
        first + Duration::from_nanos(half / grain * grain)
    };
    let halved = moved(&closer);
    if halved != events {
        all.push(halved);
    }
    all
}

fn renamed(events: &[Event]) -> Vec<Vec<Event>> {
    let names: BTreeSet<&str> = events.iter().filter_map(|event| event.action.endpoint()).collect();
    let mut all = Vec::new();
    for old in names {
        for new in places(old) {
            let rename = |event: &Event| match event.action.endpoint() {
                Some(name) if name == old => {
                    with_action(event, with_endpoint(&event.action, new.clone()))
                }
                _ => event.clone(),
            };
            all.push(events.iter().map(rename).collect());
        }
    }
    all
}

/// How many digits a number needs, and the number: less is simpler.
fn cost(nanos: u128) -> (u32, u128) {
    let (mut digits, mut rest) = (0, nanos);
    while rest > 0 && rest.is_multiple_of(10) {
        rest /= 10;
    }
    while rest > 0 {
        digits += 1;
        rest /= 10;
    }
    (digits, nanos)
}

/// Times that are rounder, or as round and shorter; hardly later ones, or there would be no end.
fn spans(span: TimeSpan) -> Vec<TimeSpan> {
    let nanos = span.0.as_nanos();
    let mut found = vec![0];
    for grain in (3..=13).rev().map(|power| 10_u128.pow(power)) {
        found.extend([nanos / grain * grain, nanos / 2 / grain * grain]);
        found.extend(Some(nanos.div_ceil(grain) * grain).filter(|later| *later <= nanos / 4 * 5));
    }
    let mut simpler: Vec<u128> = found.into_iter().filter(|n| cost(*n) < cost(nanos)).collect();
    let mut seen = BTreeSet::new();
    simpler.retain(|nanos| seen.insert(*nanos));
    let span = |nanos: u128| TimeSpan(Duration::from_nanos(nanos as u64));
    simpler.into_iter().map(span).collect()
}

fn actions(action: &Action) -> Vec<Action> {
    let mut all = others(action);
    all.extend(parameters(action));
    let names = action.endpoint().map(places).unwrap_or_default();
    all.extend(names.into_iter().map(|name| with_endpoint(action, name)));
    all
}

/// Another kind that does about the same and needs less explanation: dead is simpler than odd.
fn others(action: &Action) -> Vec<Action> {
    let dead =
        |endpoint: &String| Action::Fault { endpoint: endpoint.clone(), fault: Fault::Crash };
    match action {
        Action::Fault {
            endpoint,
            fault: Fault::Slow { .. } | Fault::Fail { .. } | Fault::Hang,
        } => {
            let hang = Action::Fault { endpoint: endpoint.clone(), fault: Fault::Hang };
            let is_hang = hang == *action;
            let mut all = vec![dead(endpoint)];
            all.extend((!is_hang).then_some(hang));
            all
        }
        Action::Latency { target, .. } | Action::Drop { target, .. } => {
            vec![Action::Partition(target.clone())]
        }
        _ => Vec::new(),
    }
}

fn parameters(action: &Action) -> Vec<Action> {
    match action {
        Action::Fault { endpoint, fault: Fault::Slow { factor } } => {
            let fault = |factor| Action::Fault {
                endpoint: endpoint.clone(),
                fault: Fault::Slow { factor },
            };
            numbers(*factor, &[2.0, 10.0, 100.0, 1000.0]).into_iter().map(fault).collect()
        }
        Action::Fault { endpoint, fault: Fault::Fail { status, probability } } => {
            let fault = |status, probability| Action::Fault {
                endpoint: endpoint.clone(),
                fault: Fault::Fail { status, probability },
            };
            let plain = [500, 503].into_iter().take_while(|plain| plain != status);
            let mut all: Vec<Action> = plain.map(|status| fault(status, *probability)).collect();
            let likely = numbers(*probability, &[1.0, 0.5]).into_iter();
            all.extend(likely.map(|probability| fault(*status, probability)));
            all
        }
        Action::Drop { target, probability } => {
            let drop = |probability| Action::Drop { target: target.clone(), probability };
            numbers(*probability, &[0.5, 0.1]).into_iter().map(drop).collect()
        }
        Action::Latency { target, one_way } => {
            let latency = |one_way| Action::Latency { target: target.clone(), one_way };
            let constant = |time| latency(Distribution::Constant(time));
            match one_way {
                Distribution::Constant(time) => spans(*time).into_iter().map(constant).collect(),
                Distribution::Uniform { max: time, .. }
                | Distribution::Exponential { mean: time } => {
                    vec![constant(*time)]
                }
                _ => Vec::new(),
            }
        }
        Action::Add { backend, count } => {
            let counts = [1, *count / 2].into_iter().filter(|n| (1..*count).contains(n));
            counts.map(|count| Action::Add { backend: backend.clone(), count }).collect()
        }
        Action::RestartProxy { down } => {
            spans(*down).into_iter().map(|down| Action::RestartProxy { down }).collect()
        }
        Action::Reload { changes, .. } => {
            let fewer = without(changes).into_iter();
            fewer.map(|changes| Action::Reload { changes, configs: Vec::new() }).collect()
        }
        _ => Vec::new(),
    }
}

/// What is plainer than a number: those of `plain` that come before it, or all of them.
fn numbers(number: f64, plain: &[f64]) -> Vec<f64> {
    let same = |other: f64| (number - other).abs() < 1e-9;
    let before = plain.iter().copied().take_while(|other| !same(*other));
    before.collect()
}

/// The same changes with one setting fewer, whole sections first.
fn without(changes: &Map<String, Value>) -> Vec<Map<String, Value>> {
    let mut all = Vec::new();
    for (key, value) in changes {
        let mut fewer = changes.clone();
        fewer.shift_remove(key);
        all.push(fewer);
        let Value::Object(settings) = value else { continue };
        for below in without(settings) {
            if !below.is_empty() {
                let mut fewer = changes.clone();
                fewer.insert(key.clone(), Value::Object(below));
                all.push(fewer);
            }
        }
    }
    all
}

/// `web-*` becomes one endpoint, and an endpoint one with a lower number.
fn places(name: &str) -> Vec<String> {
    let Some((backend, number)) = name.rsplit_once('-') else { return Vec::new() };
    let most = number.parse::<u64>().unwrap_or(2);
    (0..most.min(2)).map(|number| format!("{backend}-{number}")).collect()
}

fn with_endpoint(action: &Action, name: String) -> Action {
    let place = |target: &Target| match target {
        Target::Endpoint(_) => Target::Endpoint(name.clone()),
        load @ Target::Load(_) => load.clone(),
    };
    match action.clone() {
        Action::Fault { fault, .. } => Action::Fault { endpoint: name, fault },
        Action::Remove { .. } => Action::Remove { endpoint: name },
        Action::Partition(target) => Action::Partition(place(&target)),
        Action::Repair(target) => Action::Repair(place(&target)),
        Action::Latency { target, one_way } => Action::Latency { target: place(&target), one_way },
        Action::Drop { target, probability } => {
            Action::Drop { target: place(&target), probability }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use policy::Seed;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounder_is_simpler() {
        let span = |text: &str| -> TimeSpan { text.parse().expect("a time") };
        let of = |text: &str| -> Vec<String> {
            spans(span(text)).iter().map(ToString::to_string).collect()
        };
        assert_eq!(of("0"), [] as [&str; 0]);
        assert!(of("12345678us").contains(&"12s".to_owned()));
        assert!(of("9700ms").contains(&"10s".to_owned()));
        assert!(of("20s").contains(&"10s".to_owned()));
        assert!(
            !of("10s").contains(&"9s".to_owned()) || cost(9_000_000_000) < cost(10_000_000_000)
        );
    }

    proptest! {
        /// Whatever is chosen each time, it comes to an end.
        #[test]
        fn every_way_down_ends(seed: u64) {
            let text = "duration = '20s'\n[backends.web]\ncount = 4\nservice = { constant = '5ms' }\n\
                        [load.all]\narrivals = { poisson = { rate = 50.0 } }\n";
            let scenario = toml::from_str(text).map_err(|e| TestCaseError::fail(format!("{e}")))?;
            let mut rng = Seed(seed).rng();
            for mut event in crate::fuzz::draw::draw(&scenario, reports::World::Sim, Seed(seed)) {
                let mut steps = 0;
                loop {
                    let candidates = events(&event);
                    let Some(next) = candidates.get(rng.index(candidates.len())) else { break };
                    prop_assert_ne!(next, &event);
                    event = next.clone();
                    steps += 1;
                    prop_assert!(steps < 300, "{:?}", event);
                }
            }
        }
    }
}
