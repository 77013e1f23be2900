//! The highest load at which a scenario's thresholds hold, for each of its variants.
//!
//! Which load comes next is `bisect`'s decision, and how a scenario with so much of its load looks is `scale`'s. The variants are
//! searched side by side: each round has one try of each that is not done, with every seed, and who carries runs out is the same
//! as for a suite. A load holds when it holds with more than half of the seeds: at the boundary each seed is a coin, so that
//! asking all of them would find less capacity the more one asks. A run holds when it passes and nothing was dropped, so
//! that the load was the one that was asked for.

pub mod bisect;
pub mod scale;

use std::time::Duration;

use bisect::{End, Range, Search, Step};
use policy::quantity::TimeSpan;
use reports::{
    Run, Verdict, World, format,
    search::{Broke, Capacity, Cause, Found, Study, Try},
    statistics::{lower_median, median},
};

use crate::{
    compare::label,
    interrupt::Interrupt,
    language::{Loaded, Threshold, Variant},
    run::{self, Carried, Completion, Conduct, Planned, Progress},
};

/// So many times as long (or with so many times as many seeds) is the confirming run.
pub const LONGER: u32 = 4;
/// From the first load so far in either direction.
pub const REACH: f64 = 1024.0;

/// What is searched, and how.
#[derive(Debug)]
pub struct Question<'a> {
    /// The scenario with its variants.
    pub loaded: &'a Loaded,
    /// Where it runs.
    pub world: World,
    /// The first seed.
    pub seed: u64,
    /// How many seeds a try has.
    pub seeds: u32,
    /// The load that is scaled; all of them where nobody said.
    pub only: Option<String>,
    /// The first load, as a factor of the scenario's.
    pub from: f64,
    /// How closely.
    pub precision: f64,
    /// The metric that is shown for each load.
    pub metric: String,
}

/// What came of it.
#[derive(Debug)]
pub struct Searched {
    /// A capacity for each variant, in their order; none when interrupted.
    pub capacities: Vec<Capacity>,
    /// For each variant that carries something one of the runs that confirmed it, that with the median figure.
    pub confirmed: Vec<Run>,
    /// Whether it came to its end.
    pub completion: Completion,
    /// The real time that runs in virtual time took.
    pub virtual_elapsed: Duration,
}

/// A variant, and how far it is.
struct Cell<'a> {
    variant: &'a Variant,
    search: Search,
    tries: Vec<Try>,
    /// Of the runs that confirmed a load one: no load is tried after it.
    confirmed: Option<Run>,
}

/// One try of a round: the scaled variant and its seeds.
struct Attempt {
    cell: usize,
    factor: f64,
    variant: Variant,
    first_seed: u64,
    seeds: u32,
    is_confirming: bool,
}

impl Question<'_> {
    /// Whether the confirming run is longer, or has more seeds.
    pub fn is_longer(&self) -> bool {
        self.loaded.variants.iter().all(scale::may_be_longer)
    }

    /// What a try of this step is.
    fn attempt(&self, cell: usize, step: Step) -> Result<Option<Attempt>, String> {
        let (factor, is_confirming) = match step {
            Step::Try(factor) => (factor, false),
            Step::Confirm(factor) => (factor, true),
            Step::Done(_) => return Ok(None),
        };
        let only = self.only.as_deref();
        let mut variant = scale::scaled(&self.loaded.variants[cell], only, factor)?;
        let (mut first_seed, mut seeds) = (self.seed, self.seeds);
        if is_confirming {
            // Other seeds: what passed by luck does not confirm itself.
            first_seed = first_seed.wrapping_add(u64::from(seeds));
            if self.is_longer() {
                let duration = TimeSpan(variant.scenario.duration.0 * LONGER);
                variant.scenario.duration = duration;
                variant.cell.retain(|(path, _)| path != "duration");
                variant.cell.push(("duration".to_owned(), duration.to_string()));
            } else {
                seeds = seeds.saturating_mul(LONGER);
            }
        }
        Ok(Some(Attempt { cell, factor, variant, first_seed, seeds, is_confirming }))
    }

    /// Searches every variant; `say` is called with each try that has ended.
    ///
    /// # Errors
    /// What the first load makes impossible.
    pub fn search(
        &self,
        conduct: Conduct,
        interrupt: &Interrupt,
        say: &mut dyn FnMut(&str, &Try),
    ) -> Result<Searched, String> {
        let only = self.only.as_deref();
        let mut cells = Vec::with_capacity(self.loaded.variants.len());
        for variant in &self.loaded.variants {
            scale::scaled(variant, only, self.from)?;
            let ceiling = scale::ceiling(variant, only, self.from, self.from * REACH);
            let range = Range {
                from: self.from,
                floor: self.from / REACH,
                ceiling,
                precision: self.precision,
            };
            cells.push(Cell {
                variant,
                search: Search::new(range),
                tries: Vec::new(),
                confirmed: None,
            });
        }
        let mut virtual_elapsed = Duration::ZERO;
        loop {
            let mut attempts = Vec::new();
            for (place, cell) in cells.iter().enumerate() {
                attempts.extend(self.attempt(place, cell.search.next())?);
            }
            if attempts.is_empty() {
                break;
            }
            let planned: Vec<Planned<'_>> =
                attempts.iter().flat_map(|attempt| self.runs(attempt)).collect();
            let progress = Progress::of_comparison(planned.len());
            let carried = run::carry_out(&planned, conduct, interrupt, &progress);
            progress.finish();
            let Carried { runs, completion, virtual_elapsed: elapsed } = carried;
            virtual_elapsed += elapsed;
            if completion == Completion::Interrupted {
                let (capacities, confirmed) = (Vec::new(), Vec::new());
                return Ok(Searched { capacities, confirmed, completion, virtual_elapsed });
            }
            let mut runs = runs.as_slice();
            for attempt in &attempts {
                let (own, rest) = runs.split_at(runs.len().min(attempt.seeds as usize));
                runs = rest;
                let cell = &mut cells[attempt.cell];
                let tried = self.judge(attempt, own);
                say(&label(cell.variant), &tried);
                if tried.is_confirming && tried.holds {
                    cell.confirmed = self.typical(own).cloned();
                }
                cell.search.tell(tried.holds);
                cell.tries.push(tried);
            }
        }
        let confirmed = cells.iter_mut().filter_map(|cell| cell.confirmed.take()).collect();
        let capacities = cells.into_iter().filter_map(Cell::capacity).collect();
        Ok(Searched { capacities, confirmed, completion: Completion::Done, virtual_elapsed })
    }

    fn runs<'r>(&'r self, attempt: &'r Attempt) -> impl Iterator<Item = Planned<'r>> {
        (0..attempt.seeds).map(|n| Planned {
            loaded: self.loaded,
            variant: &attempt.variant,
            world: self.world,
            seed: attempt.first_seed.wrapping_add(u64::from(n)),
        })
    }

    /// The run with the median figure.
    fn typical<'r>(&self, runs: &'r [Run]) -> Option<&'r Run> {
        let figure = |run: &Run| match run.verdict {
            Verdict::Error(_) => f64::NAN,
            _ => run.measurement.metrics.get(&self.metric).unwrap_or(f64::NAN),
        };
        let values: Vec<f64> = runs.iter().map(figure).collect();
        runs.get(lower_median(&values).unwrap_or(0))
    }

    fn judge(&self, attempt: &Attempt, runs: &[Run]) -> Try {
        let broken: Vec<&Run> = runs.iter().filter(|run| !holds(run)).collect();
        let held = runs.len() - broken.len();
        let of = |metric: &str| {
            let values: Vec<f64> =
                runs.iter().filter_map(|run| run.measurement.metrics.get(metric)).collect();
            median(&values)
        };
        Try {
            factor: attempt.factor,
            rate: of("offered_rate"),
            seeds: runs.len(),
            held,
            holds: 2 * held > runs.len(),
            is_confirming: attempt.is_confirming,
            value: of(&self.metric),
            broke: why(self.world, &broken),
            command: broken
                .first()
                .or(runs.first().as_ref())
                .map(|r| r.command.clone())
                .unwrap_or_default(),
        }
    }

    /// The whole, for the reports.
    pub fn study(&self, mut capacities: Vec<Capacity>) -> Study {
        capacities.sort_by(|a, b| b.factor().total_cmp(&a.factor()));
        capacities.sort_by(|a, b| b.rate().total_cmp(&a.rate()));
        let variant = self.loaded.variants.first();
        let thresholds = variant.map(|v| v.scenario.thresholds()).unwrap_or_default();
        let shown = thresholds.iter().find(|threshold| threshold.metric == self.metric);
        Study {
            scenario: self.loaded.name.clone(),
            description: variant.map(|v| v.scenario.description.clone()).unwrap_or_default(),
            world: self.world,
            metric: self.metric.clone(),
            unit: reports::resolve(&self.metric, reports::Names::default())
                .map_or_else(|_| shown.map_or(reports::Unit::Count, |t| t.unit), |info| info.unit),
            limit: shown.map(|threshold| threshold.limit),
            thresholds: thresholds.iter().map(Threshold::expression).collect(),
            scaled: self.only.clone(),
            seed: self.seed,
            seeds: self.seeds,
            precision: self.precision,
            confirmed: if self.is_longer() {
                format!("runs {LONGER} times as long with other seeds")
            } else {
                format!("{LONGER} times as many other seeds")
            },
            capacities,
        }
    }
}

/// Whether a run passed with the load that was asked for.
fn holds(run: &Run) -> bool {
    run.verdict == Verdict::Pass && run.measurement.metrics.get("dropped").unwrap_or(0.0) <= 0.0
}

/// What most of the runs that did not hold did not hold by.
fn why(world: World, broken: &[&Run]) -> Option<Broke> {
    let first = broken.first()?;
    let plain =
        |cause, what: &str| Some(Broke { cause, what: what.to_owned(), value: String::new() });
    for run in broken {
        match &run.verdict {
            Verdict::Error(why) => return plain(Cause::Error, why),
            Verdict::Invalid(why) if world == World::Live => return plain(Cause::Generator, why),
            _ => {}
        }
    }
    // The first in the file of those that broke with most seeds.
    let mut worst: Option<(usize, usize)> = None;
    for (place, threshold) in first.thresholds.iter().enumerate().rev() {
        let same =
            |run: &&&Run| run.failed_thresholds().any(|t| t.expression == threshold.expression);
        let count = broken.iter().filter(same).count();
        if count > 0 && worst.is_none_or(|(_, most)| count >= most) {
            worst = Some((place, count));
        }
    }
    if let Some((place, _)) = worst {
        let values: Vec<f64> = broken
            .iter()
            .filter_map(|run| run.thresholds.get(place).filter(|t| !t.holds)?.value)
            .collect();
        let threshold = &first.thresholds[place];
        let value = match median(&values) {
            Some(value) => format::against(value, threshold.limit, threshold.unit).0,
            None => format!("no value: {}", threshold.remark),
        };
        let what = threshold.expression.clone();
        return Some(Broke { cause: Cause::Threshold, what, value });
    }
    if let Some(invariant) = broken.iter().find_map(|run| run.broken_invariants().next()) {
        return plain(Cause::Threshold, &invariant.name);
    }
    if let Verdict::Invalid(why) = &first.verdict {
        return plain(Cause::Unsent, why);
    }
    let dropped = first.measurement.metrics.get("dropped").unwrap_or(0.0);
    let value = format::count(dropped);
    Some(Broke { cause: Cause::Unsent, what: "dropped == 0".to_owned(), value })
}

impl Cell<'_> {
    /// What was found, with the tries that show it.
    fn capacity(self) -> Option<Capacity> {
        let Step::Done(end) = self.search.next() else { return None };
        let find = |factor: f64, held: bool| {
            let of =
                |tried: &Try| tried.holds == held && tried.factor.to_bits() == factor.to_bits();
            self.tries.iter().rposition(of)
        };
        let found = match end {
            End::Between { holds, breaks } => {
                Found::Between { holds: find(holds, true)?, breaks: find(breaks, false)? }
            }
            End::Always(holds) => Found::Always { holds: find(holds, true)? },
            End::Never(breaks) => {
                // At very low loads there may be too few samples for a figure; what shows more is the lowest that has one.
                let shown = |tried: &&Try| !tried.holds && tried.value.is_some();
                let lowest = self.tries.iter().filter(shown).map(|tried| tried.factor);
                let lowest = lowest.min_by(f64::total_cmp).unwrap_or(breaks);
                Found::Never { breaks: find(lowest, false)? }
            }
        };
        let variant = self.variant.cell.clone();
        Some(Capacity { label: label(self.variant), variant, tries: self.tries, found })
    }
}
