//! Makes the scenario around a timeline smaller: the shortest run with the least load that a person can read.
//!
//! Hierarchical delta debugging (Misherghi and Su, 2006): a file is a tree, so whole tables are tried without before their keys
//! are. Before that the run is made short and light, because every later trial then takes less time. What the check
//! refuses is no candidate and costs no run.

use proxy::config::document::Error;
use serde_json::{Value, json};

use super::{
    draft::Draft,
    judge::{Broken, Kind},
    shrink::{self, Trials},
};
use crate::language::{Event, Scenario};

/// A whole scenario: the draft, what happens, and the seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// All but the events.
    pub draft: Draft,
    /// What happens.
    pub events: Vec<Event>,
    /// The seed.
    pub seed: u64,
}

impl Case {
    /// The file, which is also what it is remembered by.
    pub fn text(&self) -> String {
        self.draft.text(&self.events, self.seed)
    }

    /// What is run.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn scenario(&self) -> Result<Scenario, Error> {
        self.draft.scenario(&self.events, self.seed)
    }

    fn with(&self, events: &[Event]) -> Self {
        Self { events: events.to_vec(), ..self.clone() }
    }
}

/// Only what broke is asked of it any more: without the other thresholds, and without all where an invariant broke.
pub fn only_about(case: &Case, broken: &Broken) -> Case {
    let mut case = case.clone();
    if let Some(Value::Object(thresholds)) = case.draft.tree.get_mut("thresholds") {
        let about = |metric: &str| {
            let rest = broken.name.strip_prefix(metric);
            broken.kind == Kind::Threshold && rest.is_some_and(|rest| rest.starts_with(' '))
        };
        thresholds.retain(|metric, _| about(metric));
        if thresholds.is_empty() {
            case.draft.tree.shift_remove("thresholds");
        }
    }
    case
}

/// The smallest case that is found.
pub fn case(start: Case, trials: &mut Trials<'_, Case>) -> Case {
    let mut current = start;
    loop {
        let before = current.clone();
        let draft = current.clone();
        current.events = shrink::events(current.events, &|events| draft.with(events), trials);
        current = scale(current, trials);
        current = without(current, trials);
        if current == before || trials.left() == 0 {
            return current;
        }
    }
}

fn first(
    candidates: impl IntoIterator<Item = Case>,
    trials: &mut Trials<'_, Case>,
) -> Option<Case> {
    trials.first(candidates.into_iter().filter(|candidate| candidate.scenario().is_ok()))
}

/// Shorter, fewer, slower.
fn scale(mut current: Case, trials: &mut Trials<'_, Case>) -> Case {
    let mut paths = vec!["/duration".to_owned()];
    let named = |case: &Case, part: &str| -> Vec<String> {
        let table = case.draft.tree.get(part).and_then(Value::as_object);
        table.map(|table| table.keys().map(|name| escaped(name)).collect()).unwrap_or_default()
    };
    for load in named(&current, "load") {
        for below in
            ["arrivals", "arrivals/poisson/rate", "arrivals/constant/rate", "users", "think"]
        {
            paths.push(format!("/load/{load}/{below}"));
        }
    }
    for backend in named(&current, "backends") {
        for below in ["count", "workers", "service"] {
            paths.push(format!("/backends/{backend}/{below}"));
        }
    }
    for path in paths {
        loop {
            let tree = Value::Object(current.draft.tree.clone());
            let Some(value) = tree.pointer(&path) else { break };
            let candidates = smaller(&path, value, &current).into_iter();
            let candidates = candidates.filter_map(|new| put(&current, &path, new));
            let Some(found) = first(candidates, trials) else { break };
            current = found;
        }
    }
    current
}

/// Smaller values for what stands at `path`.
fn smaller(path: &str, value: &Value, case: &Case) -> Vec<Value> {
    match (path.rsplit('/').next().unwrap_or_default(), value) {
        ("duration", Value::String(text)) => durations(text, case),
        ("arrivals", Value::Object(arrivals)) => {
            let simple = arrivals.contains_key("poisson") || arrivals.contains_key("constant");
            let rates = [100.0, 1000.0].iter().filter(|_| !simple);
            rates.map(|rate| json!({ "constant": { "rate": rate } })).collect()
        }
        ("rate", Value::Number(rate)) => {
            let rate = rate.as_f64().unwrap_or_default();
            let half = (rate / 2.0).floor();
            let fewer = [1.0, 10.0, 100.0, half].into_iter().filter(|n| *n >= 1.0 && *n < rate);
            fewer.map(Value::from).collect()
        }
        ("users" | "count" | "workers", Value::Number(count)) => {
            let count = count.as_u64().unwrap_or_default();
            let fewer = [1, 2, count / 2].into_iter().filter(|n| (1..count).contains(n));
            fewer.map(Value::from).collect()
        }
        ("service" | "think", Value::Object(distribution))
            if !distribution.contains_key("constant") =>
        {
            vec![json!({ "constant": "10ms" }), json!({ "constant": "100ms" })]
        }
        _ => Vec::new(),
    }
}

/// Shorter durations, none of which cuts an event off.
fn durations(text: &str, case: &Case) -> Vec<Value> {
    let Ok(now) = text.parse::<policy::quantity::TimeSpan>() else { return Vec::new() };
    let (now, last) = (now.0.as_secs_f64(), last(case));
    let after = [1.0, 2.0, 5.0, 10.0].map(|more| last.floor() + more);
    let all = after.into_iter().chain([(now / 2.0).floor()]);
    let shorter = all.filter(|seconds| *seconds >= 1.0 && *seconds >= last && *seconds < now);
    shorter.map(|seconds| Value::from(format!("{seconds}s"))).collect()
}

fn last(case: &Case) -> f64 {
    let events = case.events.iter().map(|event| event.at.0);
    events.max().unwrap_or_default().as_secs_f64()
}

/// Leaves out every table and every key that is not needed.
fn without(mut current: Case, trials: &mut Trials<'_, Case>) -> Case {
    let mut paths = Vec::new();
    collect(&Value::Object(current.draft.tree.clone()), "", 0, &mut paths);
    for path in paths {
        let Some(shorter) = cut(&current, &path) else { continue };
        if let Some(found) = first([shorter], trials) {
            current = found;
        }
    }
    current
}

/// Every path that could be left out, outer ones first, elements of lists from the last.
fn collect(value: &Value, path: &str, depth: usize, paths: &mut Vec<String>) {
    const DEEP: usize = 4;
    if depth == DEEP {
        return;
    }
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let asked = matches!(key.as_str(), "duration" | "worlds" | "thresholds");
                if depth == 0 && asked {
                    continue;
                }
                let path = format!("{path}/{}", escaped(key));
                // Without them there would be no scenario.
                if depth > 0 || !matches!(key.as_str(), "backends" | "load") {
                    paths.push(path.clone());
                }
                collect(value, &path, depth + 1, paths);
            }
        }
        Value::Array(items) if items.len() > 1 => {
            paths.extend((0..items.len()).rev().map(|index| format!("{path}/{index}")));
        }
        _ => {}
    }
}

fn put(case: &Case, path: &str, new: Value) -> Option<Case> {
    let mut tree = Value::Object(case.draft.tree.clone());
    *tree.pointer_mut(path)? = new;
    with_tree(case, tree)
}

fn cut(case: &Case, path: &str) -> Option<Case> {
    let mut tree = Value::Object(case.draft.tree.clone());
    let (parent, last) = path.rsplit_once('/')?;
    match tree.pointer_mut(parent)? {
        Value::Object(table) => {
            table.shift_remove(&last.replace("~1", "/").replace("~0", "~"))?;
        }
        Value::Array(items) => {
            let index =
                last.parse().ok().filter(|index| *index < items.len() && items.len() > 1)?;
            items.remove(index);
        }
        _ => return None,
    }
    with_tree(case, tree)
}

fn with_tree(case: &Case, tree: Value) -> Option<Case> {
    let Value::Object(tree) = tree else { return None };
    Some(Case { draft: Draft { tree, ..case.draft.clone() }, ..case.clone() })
}

/// A key as a step of a JSON pointer (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
