//! Runs a scenario and says what broke.
//!
//! What is looked for: an invariant that did not hold, a threshold that did not hold, a panic anywhere in the world, a run that
//! could not be carried out although its scenario was checked, and one that does not end. A run whose figures cannot be
//! believed (its load could not be sent) is not held to its thresholds. A virtual run is bounded in virtual time and in
//! events, so that the same one is endless on every machine; only where that does not help (something turns in circles
//! without time passing) the real clock does.

use std::{
    collections::BTreeSet,
    fmt,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use reports::World;

use crate::{
    interrupt::{Cord, Interrupt},
    language::Scenario,
    model,
    outcome::{Outcome, Watcher},
    panics, sim,
};

/// A run may go on for so long in virtual time after its load and its clients' patience have ended.
const GRACE: Duration = Duration::from_mins(5);
/// A run may take so long in real time.
const STUCK: Duration = Duration::from_mins(5);
/// The name of a run that took longer.
pub(super) const STUCK_NAME: &str = "stuck";
/// The engine's and the simulated network's futures are large in a debug build.
const STACK: usize = 16 << 20;

/// What kind of promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something panicked.
    Panic,
    /// What the proxy promises always.
    Invariant,
    /// The run does not end.
    Endless,
    /// The run could not be carried out.
    Error,
    /// What this scenario asks.
    Threshold,
}

/// Something that broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What kind.
    pub kind: Kind,
    /// Which one: the invariant's name, the threshold's expression, where it panicked.
    pub name: String,
    /// What it promises, in a sentence; may be empty.
    pub promise: String,
    /// What was seen instead.
    pub seen: String,
}

impl Broken {
    /// Whether the two are one fault, as far as it can be told.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.kind, &self.name) == (other.kind, &other.name)
    }

    fn new(kind: Kind, name: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { kind, name: name.into(), promise: String::new(), seen: seen.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Panic => write!(f, "a panic: {}", self.seen),
            Kind::Invariant => write!(f, "the invariant {}: {}", self.name, self.seen),
            Kind::Endless => write!(f, "a run that does not end: {}", self.seen),
            Kind::Error => write!(f, "a run that cannot be carried out: {}", self.seen),
            Kind::Threshold => write!(f, "the threshold {}: {}", self.name, self.seen),
        }
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Everything.
    All,
    /// Everything but thresholds.
    Invariants,
    /// Everything but invariants.
    Thresholds,
}

/// Who judges runs.
#[derive(Clone, Debug)]
pub struct Judge {
    /// Where they run.
    pub world: World,
    /// What is judged.
    pub judged: Judged,
    /// Thresholds that are not: they do not hold without any event either.
    pub aside: BTreeSet<String>,
    /// What is done first on the thread of each run: a test plants a bug there.
    pub before: fn(),
}

impl Judge {
    /// Judges everything in `world`.
    pub fn of(world: World) -> Self {
        Self { world, judged: Judged::All, aside: BTreeSet::new(), before: || () }
    }
}

/// A run was ended from outside: nothing can be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl Judge {
    /// Runs a scenario, on a thread of its own, and says what broke: the gravest first. `stop` is asked now and then
    /// whether the run is still wanted.
    ///
    /// # Errors
    /// [`Stopped`] when it was not wanted any more.
    pub fn run(
        &self,
        scenario: &Scenario,
        seed: u64,
        stop: impl Fn() -> bool + Send + 'static,
    ) -> Result<Vec<Broken>, Stopped> {
        let (sender, receiver) = mpsc::channel();
        let (judge, scenario) = (self.clone(), scenario.clone());
        let begun =
            thread::Builder::new().name("run".to_owned()).stack_size(STACK).spawn(move || {
                // Nobody hears it where the run has been given up.
                let _ = sender.send(judge.verdict(&scenario, seed, &stop));
            });
        if let Err(error) = begun {
            let seen = format!("no thread can be started: {error}");
            return Ok(vec![Broken::new(Kind::Error, "no thread", seen)]);
        }
        match receiver.recv_timeout(STUCK) {
            Ok(verdict) => verdict,
            Err(RecvTimeoutError::Timeout) => {
                let seen = format!("it was given up after {} s of real time", STUCK.as_secs());
                Ok(vec![Broken::new(Kind::Endless, STUCK_NAME, seen)])
            }
            Err(RecvTimeoutError::Disconnected) => {
                Ok(vec![Broken::new(Kind::Panic, "the run's thread", "its thread has died")])
            }
        }
    }

    fn verdict(
        &self,
        scenario: &Scenario,
        seed: u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Broken>, Stopped> {
        let panics = panics::watch();
        let mut bound = Bound::new(scenario, stop);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            (self.before)();
            perform(self.world, scenario, seed, &mut bound)
        }));
        let Bound { endless, stopped, .. } = bound;
        if let Some(message) = panics.first() {
            return Ok(vec![Broken::new(Kind::Panic, place(&message), message.replace('\n', " "))]);
        }
        if stopped {
            return Err(Stopped);
        }
        let outcome = match outcome {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(why)) => return Ok(vec![Broken::new(Kind::Error, "could not run", why)]),
            Err(_) => return Ok(vec![Broken::new(Kind::Panic, "unknown", "nobody saw where")]),
        };
        if let Some(seen) = endless {
            return Ok(vec![Broken::new(Kind::Endless, "endless", seen)]);
        }
        Ok(self.broken(scenario, &outcome))
    }

    fn broken(&self, scenario: &Scenario, outcome: &Outcome) -> Vec<Broken> {
        let mut broken = Vec::new();
        if self.judged != Judged::Thresholds {
            let failed = outcome.invariants.iter().filter(|invariant| invariant.broken > 0);
            broken.extend(failed.map(|invariant| Broken {
                kind: Kind::Invariant,
                name: invariant.name.clone(),
                promise: invariant.promise.clone(),
                seen: invariant.examples.first().cloned().unwrap_or_else(|| {
                    format!("broken {} of {} times", invariant.broken, invariant.checked)
                }),
            }));
        }
        if !outcome.undone.is_empty() {
            broken.push(Broken::new(Kind::Error, "undone", outcome.undone.join("; ")));
        }
        if self.judged != Judged::Invariants && outcome.problems.is_empty() {
            for threshold in scenario.thresholds() {
                let result = threshold.evaluate(&outcome.measurement.metrics);
                if result.holds || self.aside.contains(&result.expression) {
                    continue;
                }
                let seen = match result.value {
                    Some(value) => format!(
                        "{} is {}",
                        result.metric,
                        reports::format::metric(value, result.unit)
                    ),
                    None => format!("{} {}", result.metric, result.remark),
                };
                broken.push(Broken::new(Kind::Threshold, result.expression, seen));
            }
        }
        broken
    }
}

/// Runs a scenario in a virtual world.
fn perform(
    world: World,
    scenario: &Scenario,
    seed: u64,
    bound: &mut Bound<'_>,
) -> Result<Outcome, String> {
    match world {
        World::Sim => {
            let interrupt = bound.interrupt.clone();
            sim::run(scenario, seed, sim::Network::Memory, &interrupt, bound)
        }
        World::Model => {
            let mut watch = |beat: model::Beat| {
                bound.looks += 1;
                bound.look(beat.elapsed)
            };
            model::run_watched(scenario, seed, &mut watch).map(Outcome::from)
        }
        World::Live => Err("on real sockets no run can be repeated".to_owned()),
    }
}

/// What keeps a run from going on for ever.
struct Bound<'a> {
    stop: &'a dyn Fn() -> bool,
    /// The latest virtual time at which it still may run.
    last: Duration,
    /// So often the model may look in; it looks once in 65,536 events.
    most_looks: u64,
    looks: u64,
    cord: Cord,
    interrupt: Interrupt,
    stopped: bool,
    endless: Option<String>,
}

impl<'a> Bound<'a> {
    fn new(scenario: &Scenario, stop: &'a dyn Fn() -> bool) -> Self {
        let patience = scenario.load.values().map(|load| load.timeout.0).max().unwrap_or_default();
        let (cord, interrupt) = Interrupt::by_hand();
        Self {
            stop,
            last: scenario.duration.0 + patience + GRACE,
            most_looks: 500 + scenario.expected().requests as u64 / 100,
            looks: 0,
            cord,
            interrupt,
            stopped: false,
            endless: None,
        }
    }

    fn look(&mut self, elapsed: Duration) -> ControlFlow<()> {
        if (self.stop)() {
            self.stopped = true;
        } else if elapsed > self.last {
            let at = self.last.as_secs_f64();
            self.endless =
                Some(format!("it still runs at {at} s, when everything should have ended"));
        } else if self.looks > self.most_looks {
            let (events, at) = (self.looks << 16, elapsed.as_secs_f64());
            self.endless = Some(format!("after {events} events it has come to {at} s"));
        } else {
            return ControlFlow::Continue(());
        }
        self.cord.pull();
        ControlFlow::Break(())
    }
}

impl Watcher for Bound<'_> {
    fn at(&mut self, elapsed: Duration, _: loadgen::Snapshot) {
        let _ = self.look(elapsed);
    }
}

/// Where a panic was: `panicked at src/x.rs:1:2:\n…` without the column, which any edit changes.
fn place(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let place = first.strip_prefix("panicked at ").unwrap_or(first).trim_end_matches(':');
    place.rsplit_once(':').map_or(place, |(place, _)| place).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_known_by_its_line() {
        assert_eq!(place("panicked at a/b.rs:12:5:\nwhat"), "a/b.rs:12");
    }
}
