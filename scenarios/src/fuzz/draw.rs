//! Draws what goes wrong when: a random timeline of events that the scenario's own check finds nothing wrong with.
//!
//! Most timelines are short, because most faults need one or two events and what is found in a short one is
//! understood at once. Times come in clusters: faults love what happens at the same instant, or just after something
//! else, more than what happens alone. Endpoints are drawn from those that there are at that moment, and an event often
//! is about the endpoint of the one before. Three timelines of four are healed before the run ends, so that it can be
//! seen whether the system recovers; the others leave everything broken.

use std::time::Duration;

use backend_sim::Fault;
use policy::{Rng, Seed, balance::STRATEGIES, quantity::TimeSpan};
use reports::World;

use super::{heal, values};
use crate::language::{Action, Event, Scenario, Target, Which, timeline::Present, world};

/// At most so many events are drawn, those aside that heal.
pub const MAX_EVENTS: usize = 12;

/// The kinds of events, each as often as it stands here.
const KINDS: [Kind; 20] = [
    Kind::Slow,
    Kind::Slow,
    Kind::Fail,
    Kind::Fail,
    Kind::Crash,
    Kind::Crash,
    Kind::Crash,
    Kind::Restart,
    Kind::Restart,
    Kind::Hang,
    Kind::Hang,
    Kind::Restore,
    Kind::Partition,
    Kind::Repair,
    Kind::Latency,
    Kind::Drop,
    Kind::Add,
    Kind::Remove,
    Kind::Reload,
    Kind::RestartProxy,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Slow,
    Fail,
    Crash,
    Restart,
    Hang,
    Restore,
    Partition,
    Repair,
    Latency,
    Drop,
    Add,
    Remove,
    Reload,
    RestartProxy,
}

/// A timeline for `scenario`, whose own events do not matter, in `world`; the same for the same seed.
pub fn draw(scenario: &Scenario, world: World, seed: Seed) -> Vec<Event> {
    let mut rng = seed.stream("events");
    let duration = scenario.duration.0;
    let healed = rng.chance(0.75);
    let last = if healed { duration.mul_f64(0.6) } else { duration };
    let times = times(&mut rng, last);
    let mut artist = Artist { scenario, world, present: Present::at_start(scenario), before: None };
    let mut events = Vec::with_capacity(times.len() + 2);
    for at in times {
        events.extend(artist.event(at, &mut rng));
    }
    if healed {
        let last = events.last().map_or(Duration::ZERO, |event: &Event| event.at.0);
        let most = duration.mul_f64(0.7).max(last);
        let at = round(&mut rng, (last + most) / 2).clamp(last, duration);
        events.extend(heal::restoring(scenario, &events, TimeSpan(at)));
    }
    events
}

/// When, in order: one to [`MAX_EVENTS`] times, half as many timelines of two events as of one, and so on.
fn times(rng: &mut Rng, last: Duration) -> Vec<Duration> {
    let mut count = 1;
    while count < MAX_EVENTS && rng.chance(0.65) {
        count += 1;
    }
    let mut times: Vec<Duration> = Vec::with_capacity(count);
    for _ in 0..count {
        let before = times.last().copied();
        let at = match (before, rng.below(20)) {
            (Some(before), 0..=2) => before,
            (Some(before), 3..=9) => {
                let gap = values::span(rng, Duration::from_micros(10), Duration::from_secs(3));
                before + gap.0
            }
            (_, 10) => Duration::ZERO,
            (_, 11) => last,
            _ => round_of(rng, last),
        };
        times.push(at.min(last));
    }
    times.sort_unstable();
    times
}

fn round_of(rng: &mut Rng, last: Duration) -> Duration {
    let at = last.mul_f64(rng.unit());
    round(rng, at)
}

/// To the microsecond, the millisecond or the tenth of a second: not everything happens between two ticks.
fn round(rng: &mut Rng, at: Duration) -> Duration {
    let grain = *values::one_of(rng, &[1, 1_000, 100_000]);
    Duration::from_micros(at.as_micros() as u64 / grain * grain)
}

struct Artist<'a> {
    scenario: &'a Scenario,
    world: World,
    /// The endpoints that there are now.
    present: Present,
    /// What the event before was about.
    before: Option<String>,
}

impl Artist<'_> {
    /// An event that is possible now; none when a few tries found none.
    fn event(&mut self, at: Duration, rng: &mut Rng) -> Option<Event> {
        const TRIES: usize = 20;
        let mut tries = 0..TRIES;
        let action = tries.find_map(|_| {
            let kind = *values::one_of(rng, &KINDS);
            let action = self.action(kind, rng)?;
            world::cannot(self.world, &action).is_none().then_some(action)
        })?;
        match &action {
            Action::Add { backend, count } => {
                self.before = self.present.add(backend, *count).pop();
            }
            Action::Remove { endpoint } => {
                let gone = self.present.expand(endpoint);
                self.present.remove(&gone);
                self.before = None;
            }
            action => self.before = action.endpoint().map(str::to_owned),
        }
        let proxy = match action {
            // Half of the restarts of several are of one alone. Where there is one, nothing is drawn.
            Action::RestartProxy { .. } if self.scenario.proxies > 1 && rng.chance(0.5) => {
                Some(Which(rng.below(u64::from(self.scenario.proxies)) as u32))
            }
            _ => None,
        };
        Some(Event { at: TimeSpan(at), proxy, action })
    }

    fn action(&self, kind: Kind, rng: &mut Rng) -> Option<Action> {
        let fault = |endpoint: Option<String>, fault| {
            endpoint.map(|endpoint| Action::Fault { endpoint, fault })
        };
        match kind {
            Kind::Slow => fault(self.endpoint(rng), Fault::Slow { factor: values::factor(rng) }),
            Kind::Fail => {
                let (status, probability) = (values::status(rng), values::probability(rng));
                fault(self.endpoint(rng), Fault::Fail { status, probability })
            }
            Kind::Crash => fault(self.endpoint(rng), Fault::Crash),
            Kind::Restart => fault(self.endpoint(rng), Fault::Restart),
            Kind::Hang => fault(self.endpoint(rng), Fault::Hang),
            Kind::Restore => fault(self.endpoint(rng), Fault::Restore),
            Kind::Partition => self.link(rng).map(Action::Partition),
            Kind::Repair => self.link(rng).map(Action::Repair),
            Kind::Latency => {
                let one_way = values::latency(rng);
                self.link(rng).map(|target| Action::Latency { target, one_way })
            }
            Kind::Drop => {
                let probability = values::loss(rng);
                self.link(rng).map(|target| Action::Drop { target, probability })
            }
            Kind::Add => {
                let backends: Vec<&String> = self.scenario.backends.keys().collect();
                let backend = (*backends.get(rng.index(backends.len()))?).clone();
                let count = *values::one_of(rng, &[1, 1, 1, 2, 5]);
                let room = self.present.len() < self.scenario.endpoints().len() + 20;
                room.then_some(Action::Add { backend, count })
            }
            Kind::Remove => {
                let endpoint = self.endpoint(rng)?;
                let emptied = self.present.emptied_by(self.scenario, &endpoint).is_some();
                (!emptied).then_some(Action::Remove { endpoint })
            }
            Kind::Reload => {
                let strategies: Vec<&str> = STRATEGIES.iter().map(|info| info.name).collect();
                let changes = values::changes(rng, &strategies);
                Some(Action::Reload { changes, configs: Vec::new() })
            }
            Kind::RestartProxy => {
                let down = match rng.below(3) {
                    0 => TimeSpan::default(),
                    _ => values::span(rng, Duration::from_millis(1), Duration::from_secs(2)),
                };
                Some(Action::RestartProxy { down })
            }
        }
    }

    /// One endpoint, often the one before; sometimes all of a backend. None where there is none left.
    fn endpoint(&self, rng: &mut Rng) -> Option<String> {
        let names: Vec<&str> = self.present.names().collect();
        let name = *names.get(rng.index(names.len()))?;
        if let Some(before) = &self.before
            && rng.chance(0.4)
            && !self.present.expand(before).is_empty()
        {
            return Some(before.clone());
        }
        if rng.chance(0.2) {
            let (backend, _) = name.rsplit_once('-')?;
            return Some(format!("{backend}-*"));
        }
        Some(name.to_owned())
    }

    fn link(&self, rng: &mut Rng) -> Option<Target> {
        if rng.chance(0.2) {
            let loads: Vec<&String> = self.scenario.load.keys().collect();
            return loads.get(rng.index(loads.len())).map(|load| Target::Load((*load).clone()));
        }
        self.endpoint(rng).map(Target::Endpoint)
    }
}
