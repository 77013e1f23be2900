//! Many runs, several at a time, and the first that breaks something.
//!
//! What a run is depends on the seed of the campaign and the number of the run alone. *The first* means the one with the lowest
//! number and not the one that ended first, so that the finding is the same however many ran at a time: when a run has broken
//! something, those before it are still waited for, and those after it are given up.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

use policy::Seed;
use reports::World;

use super::{
    draft::Draft,
    draw,
    judge::{Broken, Judge, Kind, Stopped},
    reduce::Case,
};
use crate::interrupt::Interrupt;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The cells of the scenario's matrix; the runs take turns.
    pub drafts: Vec<Draft>,
    /// Who judges.
    pub judge: Judge,
    /// Everything is drawn from it.
    pub seed: u64,
    /// How many runs.
    pub runs: u64,
    /// How many at a time.
    pub jobs: usize,
}

/// A run that broke something.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its number, from 0; none for the run without events that comes before.
    pub number: Option<u64>,
    /// What was run.
    pub case: Case,
    /// What broke, the gravest first.
    pub broken: Vec<Broken>,
}

/// What a campaign has come to.
#[derive(Clone, Debug)]
pub struct Searched {
    /// The first run that broke something.
    pub found: Option<Found>,
    /// How many runs ended.
    pub ended: u64,
    /// Whether a person ended it before all had.
    pub interrupted: bool,
}

impl Campaign {
    /// What run `number` is.
    pub fn case(&self, number: u64) -> Case {
        let seed = Seed(self.seed).child("fuzz").nth(number);
        let draft = self.drafts[(number % self.drafts.len() as u64) as usize].clone();
        let world: World = self.judge.world;
        let bare = draft.scenario(&[], 1);
        let events = bare.map(|scenario| draw::draw(&scenario, world, seed.child("timeline")));
        // Nine digits: a person may have to type it.
        Case {
            draft,
            events: events.unwrap_or_default(),
            seed: seed.child("run").0 % 1_000_000_000,
        }
    }

    /// Runs until all have ended or one has broken something; `each` is told how many have ended.
    pub fn search(&self, interrupt: &Interrupt, each: &mut dyn FnMut(u64)) -> Searched {
        let next = AtomicU64::new(0);
        // The lowest number that has broken something.
        let lowest = Arc::new(AtomicU64::new(u64::MAX));
        let (sender, receiver) = mpsc::channel();
        let mut searched = Searched { found: None, ended: 0, interrupted: false };
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                let (sender, lowest, next) = (sender.clone(), Arc::clone(&lowest), &next);
                scope.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Relaxed);
                        let over = number >= self.runs || number > lowest.load(Relaxed);
                        if over || interrupt.is_wanted() {
                            return;
                        }
                        let verdict = self.one(number, &lowest, interrupt);
                        if let Ok((_, broken)) = &verdict
                            && !broken.is_empty()
                        {
                            lowest.fetch_min(number, Relaxed);
                        }
                        if sender.send((number, verdict)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (number, verdict) in receiver {
                let Ok((case, broken)) = verdict else { continue };
                searched.ended += 1;
                each(searched.ended);
                let earlier =
                    searched.found.as_ref().is_none_or(|found| Some(number) < found.number);
                if !broken.is_empty() && earlier {
                    searched.found = Some(Found { number: Some(number), case, broken });
                }
            }
        });
        searched.interrupted = interrupt.is_wanted();
        searched
    }

    fn one(
        &self,
        number: u64,
        lowest: &Arc<AtomicU64>,
        interrupt: &Interrupt,
    ) -> Result<(Case, Vec<Broken>), Stopped> {
        let case = self.case(number);
        let (lowest, interrupt) = (Arc::clone(lowest), interrupt.clone());
        let stop = move || interrupt.is_wanted() || lowest.load(Relaxed) < number;
        let broken = try_case(&self.judge, &case, stop)?;
        Ok((case, broken))
    }
}

/// Runs a case. One that the check refuses is a fault of ours: it was drawn so that it is right.
pub fn try_case(
    judge: &Judge,
    case: &Case,
    stop: impl Fn() -> bool + Send + 'static,
) -> Result<Vec<Broken>, Stopped> {
    let read = catch_unwind(AssertUnwindSafe(|| case.scenario()));
    let broken = |name: &str, seen: String| {
        vec![Broken { kind: Kind::Error, name: name.to_owned(), promise: String::new(), seen }]
    };
    match read {
        Ok(Ok(scenario)) => judge.run(&scenario, case.seed, stop),
        Ok(Err(error)) => {
            Ok(broken("refused", error.render(proxy::config::document::Paint::Plain)))
        }
        Err(_) => Ok(broken("check", "reading the scenario panicked".to_owned())),
    }
}
