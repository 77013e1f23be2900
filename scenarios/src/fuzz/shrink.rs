//! Makes a timeline that breaks something as small as it gets while it still breaks the same.
//!
//! Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002): leave out halves, then
//! quarters, …, then single events, whatever is not needed; then make what is left simpler one by one (`simpler`), and begin anew as
//! long as that helps. Greedy: the first smaller candidate that still breaks is kept. The result is a local
//! minimum, which is what a person can read; the smallest of all would cost more runs than anyone has.
//!
//! What breaks is a function, so that this can be tested without running anything.

use std::collections::BTreeSet;

use super::simpler;
use crate::language::Event;

/// Asks whether a candidate still breaks, each only once and in all only so often.
pub struct Trials<'a, T> {
    /// The name that a candidate is remembered by.
    name: fn(&T) -> String,
    breaks: &'a mut dyn FnMut(&T) -> bool,
    tried: BTreeSet<String>,
    left: u32,
}

impl<'a, T> Trials<'a, T> {
    /// At most `most` trials.
    pub fn new(most: u32, name: fn(&T) -> String, breaks: &'a mut dyn FnMut(&T) -> bool) -> Self {
        Self { name, breaks, tried: BTreeSet::new(), left: most }
    }

    /// How many are left.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Whether it breaks; false where it was asked before (it did not, or it would have been kept), and when the trials are
    /// used up.
    pub fn breaks(&mut self, candidate: &T) -> bool {
        if self.left == 0 || !self.tried.insert((self.name)(candidate)) {
            return false;
        }
        self.left -= 1;
        (self.breaks)(candidate)
    }

    /// The first that breaks.
    pub fn first(&mut self, candidates: impl IntoIterator<Item = T>) -> Option<T> {
        candidates.into_iter().find(|candidate| self.breaks(candidate))
    }
}

/// The smallest timeline that is found. `around` makes of a timeline what is tried.
pub fn events<T>(
    start: Vec<Event>,
    around: &dyn Fn(&[Event]) -> T,
    trials: &mut Trials<'_, T>,
) -> Vec<Event> {
    let mut current = start;
    loop {
        let before = current.clone();
        current = fewer(current, around, trials);
        current = smaller(current, around, trials);
        current = jointly(current, around, trials);
        if current == before || trials.left() == 0 {
            return current;
        }
    }
}

/// Leaves out what is not needed: first large parts, then single events.
fn fewer<T>(
    mut current: Vec<Event>,
    around: &dyn Fn(&[Event]) -> T,
    trials: &mut Trials<'_, T>,
) -> Vec<Event> {
    let mut size = current.len();
    while size > 0 {
        let mut from = 0;
        while from < current.len() {
            let to = (from + size).min(current.len());
            let rest = [&current[..from], &current[to..]].concat();
            if trials.breaks(&around(&rest)) {
                current = rest;
            } else {
                from = to;
            }
        }
        size = if size == 1 { 0 } else { size.min(current.len().max(1)).div_ceil(2) };
    }
    current
}

/// Makes each event simpler for as long as that is possible, the last first: what comes early is more often the cause.
fn smaller<T>(
    mut current: Vec<Event>,
    around: &dyn Fn(&[Event]) -> T,
    trials: &mut Trials<'_, T>,
) -> Vec<Event> {
    for place in (0..current.len()).rev() {
        loop {
            let with = |event: Event| {
                let mut events = current.clone();
                events[place] = event;
                events
            };
            let candidates = simpler::events(&current[place]).into_iter().map(with);
            let Some(found) = candidates.into_iter().find(|c| trials.breaks(&around(c))) else {
                break;
            };
            current = found;
        }
    }
    current
}

/// Changes all events at once: what matters is often the distance between two, or that both are about the same endpoint, and
/// neither can be changed alone.
fn jointly<T>(
    mut current: Vec<Event>,
    around: &dyn Fn(&[Event]) -> T,
    trials: &mut Trials<'_, T>,
) -> Vec<Event> {
    loop {
        let found = simpler::together(&current).into_iter().find(|c| trials.breaks(&around(c)));
        match found {
            Some(found) => current = found,
            None => return current,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backend_sim::Fault;
    use policy::{Seed, quantity::TimeSpan};
    use proptest::prelude::*;
    use reports::World;

    use super::*;
    use crate::{
        fuzz::{draw, heal},
        language::{Action, Scenario},
    };

    fn scenario() -> Scenario {
        let text = "duration = '20s'\n[backends.web]\ncount = 4\nservice = { constant = '5ms' }\n\
                    [load.all]\narrivals = { poisson = { rate = 50.0 } }\n";
        toml::from_str(text).expect("a scenario")
    }

    fn name(events: &Vec<Event>) -> String {
        format!("{events:?}")
    }

    fn shrunk(start: Vec<Event>, mut breaks: impl FnMut(&Vec<Event>) -> bool) -> (Vec<Event>, u32) {
        let mut count = 0;
        let mut counted = |events: &Vec<Event>| {
            count += 1;
            breaks(events)
        };
        let mut trials = Trials::new(5_000, name, &mut counted);
        let found = events(start, &|events| events.to_vec(), &mut trials);
        (found, count)
    }

    fn drawn(seed: u64) -> Vec<Event> {
        draw::draw(&scenario(), World::Sim, Seed(seed))
    }

    fn kinds(events: &[Event]) -> Vec<&'static str> {
        events.iter().map(|event| event.action.name()).collect()
    }

    #[test]
    fn what_breaks_always_shrinks_to_nothing() {
        for seed in 0..50 {
            assert_eq!(shrunk(drawn(seed), |_| true).0, []);
        }
    }

    #[test]
    fn what_breaks_no_more_when_touched_stays() {
        let start = drawn(3);
        assert_eq!(shrunk(start.clone(), |_| false).0, start);
    }

    #[test]
    fn two_events_that_need_each_other_are_found_among_many() {
        // A crash, and a restart of the same endpoint at least 100 ms later.
        let breaks = |events: &Vec<Event>| {
            events.iter().any(|crash| {
                let Action::Fault { endpoint, fault: Fault::Crash } = &crash.action else {
                    return false;
                };
                events.iter().any(|restart| {
                    let fault = Fault::Restart;
                    restart.action == Action::Fault { endpoint: endpoint.clone(), fault }
                        && restart.at.0 >= crash.at.0 + Duration::from_millis(100)
                })
            })
        };
        let mut met = 0;
        for seed in 0..3_000 {
            let start = drawn(seed);
            if !breaks(&start) {
                continue;
            }
            met += 1;
            let (found, trials) = shrunk(start.clone(), breaks);
            assert!(breaks(&found));
            assert_eq!(kinds(&found), ["crash", "restart"], "{start:#?}");
            let distance = found[1].at.0.saturating_sub(found[0].at.0);
            assert!(distance <= Duration::from_secs(1), "{found:?}");
            assert_eq!(found[0].action.endpoint(), Some("web-0"), "{found:?}");
            assert!(trials < 400, "{trials} trials for {} events", start.len());
        }
        assert!(met > 20, "{met}");
    }

    #[test]
    fn the_trials_are_bounded() {
        let mut count = 0;
        let mut breaks = |_: &Vec<Event>| {
            count += 1;
            false
        };
        let mut trials = Trials::new(7, name, &mut breaks);
        let long: Vec<Event> = (0..100).flat_map(drawn).collect();
        events(long, &|events| events.to_vec(), &mut trials);
        assert_eq!(count, 7);
    }

    proptest! {
        // Few of the timelines that are drawn crash something and heal it.
        #![proptest_config(ProptestConfig { max_global_rejects: 65_536, ..ProptestConfig::default() })]

        #[test]
        fn what_is_found_breaks_and_is_no_longer(seed: u64, wanted: prop::sample::Index) {
            let start = drawn(seed);
            prop_assume!(!start.is_empty());
            let wanted = start[wanted.index(start.len())].action.name();
            let breaks = |events: &Vec<Event>| kinds(events).contains(&wanted);
            let (found, _) = shrunk(start, breaks);
            prop_assert_eq!(kinds(&found), vec![wanted]);
            prop_assert_eq!(found[0].at, TimeSpan::default());
        }

        #[test]
        fn a_timeline_that_has_to_heal_stays_healed(seed: u64) {
            let scenario = scenario();
            let start = drawn(seed);
            let breaks = |events: &Vec<Event>| {
                events.iter().any(|event| matches!(event.action, Action::Fault { fault: Fault::Crash, .. }))
                    && heal::is_healed(&scenario, events)
            };
            prop_assume!(breaks(&start));
            let (found, _) = shrunk(start, breaks);
            prop_assert!(breaks(&found));
            prop_assert!(found.len() <= 2, "{:?}", found);
        }
    }
}
