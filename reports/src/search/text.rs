//! A search on a terminal: a table, the highest capacity first, and a sentence.

use super::{Broke, Capacity, Cause, Found, Study, Try};
use crate::{aligned, format};
use std::fmt::Write as _;

/// What stands in the table, for terminal and page alike.
pub(super) fn table(study: &Study) -> (Vec<String>, Vec<Vec<String>>) {
    let head = [
        "variant",
        "capacity",
        "of the best",
        "load",
        study.metric.as_str(),
        "breaks at",
        "by",
        "seeds",
    ];
    let best = study.capacities.first().map_or(0.0, Capacity::rate);
    let rows = study.capacities.iter().map(|capacity| row(study, capacity, best));
    (head.map(str::to_owned).to_vec(), rows.collect())
}

/// Requests offered in a second, as `3,030/s`.
pub(super) fn rate(tried: &Try) -> String {
    let text = |rate: f64| {
        if rate < 100.0 { format::significant(rate, 3) } else { format::count(rate.round()) }
    };
    tried.rate.map_or_else(|| "–".to_owned(), |rate| format!("{}/s", text(rate)))
}

fn times(factor: f64) -> String {
    format!("× {}", format::significant(factor, 4))
}

fn row(study: &Study, capacity: &Capacity, most: f64) -> Vec<String> {
    let none = || "–".to_owned();
    let best = capacity.best();
    let capacity_text = match (capacity.found, best) {
        (Found::Always { .. }, Some(tried)) => format!("> {}", rate(tried)),
        (_, Some(tried)) => rate(tried),
        (_, None) => "none".to_owned(),
    };
    let share = best.filter(|_| most > 0.0).map(|_| format::percent(capacity.rate() / most));
    let value = best.and_then(|tried| tried.value);
    let last = capacity.above().or(best);
    vec![
        capacity.label.clone(),
        capacity_text,
        share.unwrap_or_else(none),
        best.map_or_else(none, |tried| times(tried.factor)),
        value.map_or_else(none, |value| format::metric(value, study.unit)),
        capacity.above().map_or_else(none, rate),
        capacity.above().map_or_else(none, broke),
        last.map_or_else(none, |tried| format!("{}/{}", tried.held, tried.seeds)),
    ]
}

/// Which columns are words.
pub(super) fn is_left(column: usize) -> bool {
    matches!(column, 0 | 6)
}

/// What a variant carries and where it ends: `carries 3,621/s (× 6.037); at 3,627/s it breaks latency.p99 <= 250ms (303 ms)`.
pub(super) fn carries(capacity: &Capacity) -> String {
    let at = |tried: &Try| format!("{} ({})", rate(tried), times(tried.factor));
    match (capacity.best(), capacity.above()) {
        (Some(best), Some(above)) => {
            format!("carries {}; at {} it breaks {}", at(best), rate(above), broke(above))
        }
        (Some(best), None) => format!("held up to {}, and more was not tried", at(best)),
        (None, Some(above)) => {
            format!("holds at no load that was tried: at {} it breaks {}", at(above), broke(above))
        }
        (None, None) => "was not tried".to_owned(),
    }
}

/// What did not hold at this load: `latency.p99 <= 250ms (263 ms)`.
pub fn broke(tried: &Try) -> String {
    let Some(broke) = &tried.broke else { return "–".to_owned() };
    match broke.cause {
        Cause::Threshold | Cause::Unsent if !broke.value.is_empty() => {
            format!("{} ({})", broke.what, broke.value)
        }
        Cause::Threshold => broke.what.clone(),
        Cause::Unsent => "not all was sent".to_owned(),
        Cause::Generator => "the load generator's limit".to_owned(),
        Cause::Error => "could not be run".to_owned(),
    }
}

/// A few sentences: what carries most, how much more than the next and than the last, and what ends it.
pub fn sentence(study: &Study) -> String {
    let Some(best) = study.capacities.first() else { return "Nothing was searched.".to_owned() };
    let Some(tried) = best.best() else {
        let lowest = best.above().map_or(String::new(), |tried| {
            let load = format!("{} ({})", rate(tried), times(tried.factor));
            match &tried.broke {
                Some(Broke { cause: Cause::Error | Cause::Generator, what, .. }) => {
                    format!(": at {load}, {what}")
                }
                _ => format!(": not even at {load} does it hold {}", broke(tried)),
            }
        });
        return format!("No variant holds at any load that was tried{lowest}.");
    };
    let is_alone = study.capacities.len() == 1;
    let who = if is_alone { "It".to_owned() } else { best.label.clone() };
    let mut text = match best.above() {
        Some(above) => format!(
            "{who} carries {}{}; at {} it breaks {}.",
            if is_alone { "" } else { "most: " },
            rate(tried),
            rate(above),
            broke(above)
        ),
        None => format!("{who} held up to {}, and more was not tried.", rate(tried)),
    };
    let ratio =
        |other: &Capacity| format::percent(other.rate() / best.rate().max(f64::MIN_POSITIVE));
    if let Some(next) = study.capacities.get(1).filter(|next| next.best().is_some()) {
        let near = next.rate() * (1.0 + 2.0 * study.precision) >= best.rate();
        let how = if near { ", which is within the precision" } else { "" };
        let _ = write!(text, " {}, the next, carries {} of it{how}.", next.label, ratio(next));
    }
    let carrying: Vec<&Capacity> = study.capacities.iter().filter(|c| c.best().is_some()).collect();
    if let Some(last) = carrying.get(2..).and_then(|rest| rest.last()) {
        let _ = write!(text, " {}, the last, {}.", last.label, ratio(last));
    }
    let none = study.capacities.len() - carrying.len();
    if none > 0 {
        let names: Vec<&str> =
            study.capacities.iter().skip(carrying.len()).map(|c| c.label.as_str()).collect();
        let _ = write!(text, " At no load that was tried: {}.", names.join(", "));
    }
    for (cause, what) in [
        (Cause::Generator, "is the load generator's limit and not the proxy's"),
        (Cause::Error, "is where runs could not be carried out"),
    ] {
        let stopped = study.capacities.iter().find_map(|capacity| {
            let broke = capacity.above()?.broke.as_ref().filter(|broke| broke.cause == cause)?;
            Some((capacity, broke))
        });
        if let Some((capacity, broke)) = stopped {
            let _ = write!(text, " The end of {} {what}: {}.", capacity.label, broke.what);
        }
    }
    text
}

/// How it was searched, in a sentence or two.
pub fn method(study: &Study) -> String {
    let what = match &study.scaled {
        Some(name) => format!("the load `{name}`"),
        None => "every load".to_owned(),
    };
    let seeds =
        if study.seeds == 1 { "1 seed".to_owned() } else { format!("{} seeds", study.seeds) };
    let majority =
        if study.seeds == 1 { "" } else { "; a load holds when it does with more than half" };
    format!(
        "The highest multiple of {what} at which {} (and everything is sent), to {}, in the {} world. Each try has {seeds}{majority}. Confirmed by {}.",
        study.thresholds.join(" and "),
        format::percent(study.precision),
        study.world,
        study.confirmed,
    )
}

/// The whole, for a terminal.
pub fn summary(study: &Study) -> String {
    let (head, rows) = table(study);
    let mut text = aligned::lines(&head, &rows, is_left);
    let _ = write!(text, "\n{}\n{}", method(study), sentence(study));
    text
}
