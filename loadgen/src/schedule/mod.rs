//! What will be asked and when: the load's schedule, drawn from the seed alone.
//!
//! Nothing random happens while a run runs. A request is its *number*: in an open loop its place in the order of
//! arrivals, in a closed one its user and that user's count. Each thing that is drawn for it (which template, key,
//! sizes, work, client) comes from a stream of its own that is seeded by the name of the load, the name of the
//! thing and that number, so that nothing shifts anything else: another load, another distribution of sizes or a
//! strategy that makes a user faster changes not one of the other draws. The same schedule drives the generator
//! on real sockets, on simulated ones, and the queueing model.
//!
//! It streams: an open loop holds its arrival process and nothing of the past, a closed one 4 bytes a user. Tables
//! (Zipf keys, a trace) are shared. No request allocates.

use std::{sync::Arc, time::Duration};

use policy::{Instant, Seed, distribution::Distribution, quantity::TimeSpan, work::Work};

use crate::config::Load;

mod arrivals;
mod draws;
mod route;
pub mod trace;
mod zipf;

pub use arrivals::{Arrival, ArrivalTimes};
pub use draws::RequestDraws;
pub use route::Route;
pub use zipf::Zipf;

use trace::TraceRequests;

/// One request of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When it is due, since the start of the load. In a closed loop nobody knows before: the start.
    pub at: Instant,
    /// Its number among all requests of the run; the bodies are made from it.
    pub id: u64,
    /// The load's place among the loads of the run.
    pub load: u16,
    /// Which of the load's `request` tables.
    pub template: u16,
    /// The client, from 0.
    pub client: u32,
    /// The key, from 1; 0 when the template draws none.
    pub key: u64,
    /// Bytes of the request's body.
    pub body: u64,
    /// Bytes of the answer's body; `None` lets the backend choose.
    pub size: Option<u64>,
    /// Service demand in nanoseconds; `None` lets the backend draw.
    pub work: Option<u64>,
    /// The request of the trace that this one repeats.
    pub traced: Option<u32>,
}

impl Planned {
    /// What it asks of a simulated backend.
    pub fn work(&self) -> Work {
        Work { id: self.id, service: self.work.map(Duration::from_nanos), size: self.size }
    }
}

/// A load of a run, with the name that its streams are drawn by.
#[derive(Clone, Debug)]
pub struct NamedLoad {
    /// Its name.
    pub name: String,
    /// What it is; without a [`problem`](Load::problem).
    pub load: Load,
    /// The work of requests whose template says nothing of it; `None` lets the backend draw.
    pub work: Option<Distribution<TimeSpan>>,
}

/// The requests of an open loop, in the order in which they are due.
#[derive(Clone, Debug)]
pub struct OpenSchedule {
    times: ArrivalTimes,
    draws: Arc<RequestDraws>,
    number: u64,
    limit: u64,
    end: Instant,
}

impl OpenSchedule {
    /// The schedule of the `index`th load of the run, until `end` (not included). `None` for a closed loop.
    pub fn new(index: u16, load: &NamedLoad, seed: Seed, end: Instant) -> Option<Self> {
        let arrivals = load.load.arrivals.as_ref()?;
        let draws = Arc::new(RequestDraws::new(index, load, seed));
        let times = ArrivalTimes::new(arrivals, draws.seed());
        Some(Self { times, draws, number: 0, limit: load.load.requests.unwrap_or(u64::MAX), end })
    }

    /// The trace behind it, where there is one.
    pub fn trace(&self) -> Option<&Arc<TraceRequests>> {
        self.draws.trace()
    }

    /// Adds the next requests to a list, at most so many: the same as one by one, and sooner done.
    fn draw_row(&mut self, many: usize, into: &mut Vec<Planned>) {
        let left = usize::try_from(self.limit - self.number).unwrap_or(usize::MAX);
        let (before, end) = (into.len(), self.end);
        let due = self.times.by_ref().take(many.min(left)).take_while(|next| next.at < end);
        self.draws.draw_row(self.number, due, into);
        self.number += (into.len() - before) as u64;
    }
}

impl Iterator for OpenSchedule {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        if self.number >= self.limit {
            return None;
        }
        let arrival = self.times.next().filter(|arrival| arrival.at < self.end)?;
        let planned = self.draws.draw(self.number, arrival);
        self.number += 1;
        Some(planned)
    }
}

/// The requests of several open loops in the order in which they are due; at the same time, in the loads' order.
#[derive(Clone, Debug)]
pub struct MergedSchedule {
    /// Where there is nothing to merge.
    only: Option<OpenSchedule>,
    /// Each with its next request.
    loads: Vec<(Option<Planned>, OpenSchedule)>,
}

impl MergedSchedule {
    /// Merges them.
    pub fn new(loads: impl IntoIterator<Item = OpenSchedule>) -> Self {
        let mut loads: Vec<_> = loads.into_iter().collect();
        let only = if loads.len() == 1 { loads.pop() } else { None };
        let loads = loads.into_iter().map(|mut load| (load.next(), load)).collect();
        Self { only, loads }
    }

    /// Adds the next requests to a list, at most so many; none when there are no more.
    pub fn draw_row(&mut self, many: usize, into: &mut Vec<Planned>) {
        match &mut self.only {
            Some(only) => only.draw_row(many, into),
            None => into.extend(self.by_ref().take(many)),
        }
    }
}

impl Iterator for MergedSchedule {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        if let Some(only) = &mut self.only {
            return only.next();
        }
        let (next, load) = self
            .loads
            .iter_mut()
            .filter(|(next, _)| next.is_some())
            .min_by_key(|(next, _)| next.map(|planned| planned.at))?;
        std::mem::replace(next, load.next())
    }
}

/// A user of a closed loop: thinks, asks, waits, thinks.
#[derive(Clone, Debug)]
pub struct User {
    draws: Arc<RequestDraws>,
    number: u32,
    count: u32,
}

impl User {
    /// The user with this number, from 0, who starts with a thought.
    pub fn new(draws: Arc<RequestDraws>, number: u32) -> Self {
        Self { draws, number, count: 0 }
    }

    /// How long the user thinks before the next request. The first time only a random part of it, so that the
    /// users do not march in step.
    pub fn think(&self) -> Duration {
        Duration::from_nanos(self.draws.think(self.number, self.count))
    }

    /// The next request; its time is the start, because only the run knows it.
    pub fn request(&mut self) -> Planned {
        let planned = self.draws.draw_for_user(self.number, self.count);
        self.count = self.count.wrapping_add(1) % (1 << draws::COUNT_BITS);
        planned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Arrivals;

    fn named(name: &str, text: &str) -> NamedLoad {
        let load: Load = toml::from_str(text).expect("a load");
        assert_eq!(load.problem(), None);
        NamedLoad { name: name.to_owned(), load, work: None }
    }

    fn open(index: u16, load: &NamedLoad, seconds: u64) -> OpenSchedule {
        let end = Instant::from_nanos(seconds * 1_000_000_000);
        OpenSchedule::new(index, load, Seed(7), end).expect("an open loop")
    }

    const BROWSE: &str = "arrivals = { poisson = { rate = 400.0 } }\nclients = 20\nrequest = [\
        { weight = 9, path = \"/item/{key}\", key = { zipf = { n = 1000, s = 1.1 } }, work = { lognormal = { mean = \"20ms\", cv = 2.0 } } },\
        { weight = 1, method = \"POST\", path = \"/buy\", body = { exponential = { mean = \"2KiB\" } }, size = { uniform = { min = \"0B\", max = \"9KiB\" } } }]";

    /// FNV-1a over every field of every request.
    fn hash(requests: impl Iterator<Item = Planned>) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for planned in requests {
            let fields = [
                planned.at.as_nanos(),
                planned.id,
                u64::from(planned.load),
                u64::from(planned.template),
                u64::from(planned.client),
                planned.key,
                planned.body,
                planned.size.map_or(u64::MAX, |size| size),
                planned.work.map_or(u64::MAX, |work| work),
                planned.traced.map_or(u64::MAX, u64::from),
            ];
            for byte in fields.into_iter().flat_map(u64::to_le_bytes) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        hash
    }

    #[test]
    fn a_schedule_is_pinned_for_ever() {
        let load = named("browse", BROWSE);
        assert_eq!(open(0, &load, 60).count(), 23_849);
        assert_eq!(
            hash(open(0, &load, 60)),
            4_379_426_774_665_404_434,
            "a seed must mean the same on every machine"
        );
        let sessions = named(
            "sessions",
            "users = 3\nthink = { exponential = { mean = \"1s\" } }\nrequest = [{ path = \"/{key}\", key = { uniform = { n = 9 } } }]",
        );
        let draws = Arc::new(RequestDraws::new(1, &sessions, Seed(7)));
        let mut user = User::new(Arc::clone(&draws), 2);
        let drawn = std::iter::from_fn(|| {
            let at = Instant::from_nanos(policy::time::nanos(user.think()));
            Some(Planned { at, ..user.request() })
        });
        assert_eq!(
            hash(drawn.take(1000)),
            12_604_279_874_980_374_623,
            "a user must do the same on every machine"
        );
    }

    #[test]
    fn nothing_shifts_anything_else() {
        let load = named("browse", BROWSE);
        let plain: Vec<Planned> = open(0, &load, 10).collect();
        // Another place among the loads changes the ids alone.
        for (one, other) in plain.iter().zip(open(3, &load, 10)) {
            assert_eq!(*one, Planned { load: 0, id: one.id, ..other });
            assert_eq!(other.id, one.id | 3 << 48);
        }
        // Other sizes change the sizes alone; constant work changes the work alone.
        let changed = named("browse", &BROWSE.replace("max = \"9KiB\"", "max = \"1KiB\""));
        for (one, other) in plain.iter().zip(open(0, &changed, 10)) {
            assert_eq!(*one, Planned { size: one.size, ..other });
        }
        let changed = named("browse", &BROWSE.replace("s = 1.1", "s = 0.2"));
        for (one, other) in plain.iter().zip(open(0, &changed, 10)) {
            assert_eq!(*one, Planned { key: one.key, ..other });
        }
        // Other arrivals change the times alone.
        let changed = named("browse", &BROWSE.replace("poisson", "constant"));
        for (one, other) in plain.iter().zip(open(0, &changed, 10)) {
            assert_eq!(*one, Planned { at: one.at, ..other });
        }
        // Another name changes everything.
        let renamed = named("buy", BROWSE);
        assert!(plain.iter().zip(open(0, &renamed, 10)).all(|(one, other)| one.at != other.at));
    }

    #[test]
    fn the_mix_and_the_sizes_are_as_asked() {
        let load = named("browse", BROWSE);
        let drawn: Vec<Planned> = open(0, &load, 200).collect();
        let buys: Vec<&Planned> = drawn.iter().filter(|planned| planned.template == 1).collect();
        // Binomial: five standard deviations.
        let (n, k) = (drawn.len() as f64, buys.len() as f64);
        assert!((k - 0.1 * n).abs() < 5.0 * (n * 0.09).sqrt(), "{k} of {n}");
        let mean = buys.iter().map(|planned| planned.body as f64).sum::<f64>() / k;
        assert!((mean - 2048.0).abs() < 5.0 * 2048.0 / k.sqrt(), "{mean}");
        assert!(drawn.iter().all(|p| (p.template == 1) == (p.key == 0) && p.client < 20));
        assert!(drawn.iter().all(|p| p.work.is_some() == (p.template == 0)));
    }

    #[test]
    fn in_rows_they_are_the_same() {
        let mut few = named("few", BROWSE);
        few.load.requests = Some(1000);
        for loads in [vec![few.clone()], vec![named("all", BROWSE)], vec![few, named("b", BROWSE)]]
        {
            let schedule = || {
                let loads = (0..).zip(&loads).map(|(index, load)| open(index, load, 10));
                MergedSchedule::new(loads)
            };
            let (mut rows, mut row, mut merged) = (Vec::new(), Vec::new(), schedule());
            loop {
                row.clear();
                merged.draw_row(32, &mut row);
                if row.is_empty() {
                    break;
                }
                rows.append(&mut row);
            }
            assert_eq!(rows, schedule().collect::<Vec<_>>());
        }
    }

    #[test]
    fn loads_are_merged_in_order_and_limits_hold() {
        let mut few = named("few", "arrivals = { constant = { rate = 10 } }\nrequests = 7");
        few.work = Some(Distribution::Constant(TimeSpan::millis(3)));
        let many = named("many", "arrivals = { bursts = { size = 4, every = \"100ms\" } }");
        let merged: Vec<Planned> =
            MergedSchedule::new([open(0, &few, 1), open(1, &many, 1)]).collect();
        assert_eq!(merged.len(), 7 + 40);
        assert!(merged.is_sorted_by_key(|planned| (planned.at, planned.load)));
        assert!(merged.iter().all(|p| p.work == (p.load == 0).then_some(3_000_000)));
        assert!(matches!(few.load.arrivals, Some(Arrivals::Constant(_))));
    }

    #[test]
    fn users_start_out_of_step_and_are_clients() {
        let load = named("s", "users = 100\nthink = { constant = \"1s\" }");
        let draws = Arc::new(RequestDraws::new(0, &load, Seed(1)));
        let mut firsts: Vec<Duration> = Vec::new();
        for number in 0..100 {
            let mut user = User::new(Arc::clone(&draws), number);
            firsts.push(user.think());
            let first = user.request();
            assert_eq!((first.client, first.at), (number, Instant::START));
            assert_eq!(user.think(), Duration::from_secs(1));
            assert_ne!(first.id, user.request().id);
        }
        firsts.sort();
        assert!(firsts[10] < Duration::from_millis(300) && firsts[90] > Duration::from_millis(700));
    }
}
