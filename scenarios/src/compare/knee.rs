//! The knee of a comparison: its variants at other loads than the scenario's own.
//!
//! The loads are a ladder from a quarter to six times the scenario's. Each step runs with the first seeds of the comparison, two at most:
//! it draws a course, and what is tested are the runs at the scenario's own load, whose first seeds are the ladder's step at one. The
//! runs go along with those of the comparison, so they share its processors and its progress. How a load is made larger is
//! `search::scale`'s; a load that cannot be, or that would not fit into memory, ends the ladder for all, and the page says why.

use std::num::NonZeroUsize;

use reports::{
    Run, World,
    compare::knee::{Figures, Knee, Line, Step},
};

use super::{Design, MAX_RUNS, label};
use crate::{
    language::Variant,
    run::{Planned, memory},
    search::scale::scaled,
};

/// The loads beside the scenario's own, as factors of it.
pub const FACTORS: [f64; 9] = [0.25, 0.5, 0.75, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0];
/// With so many seeds each, where the comparison has as many.
pub const SEEDS: usize = 2;
/// With more variants than this there is no knee: nobody could tell the lines apart.
pub const VARIANTS: usize = 24;

/// The ladder of a comparison.
#[derive(Debug)]
pub struct Ladder {
    /// Each variant at each factor but one, variant by variant.
    rungs: Vec<Rung>,
    seeds: usize,
    /// Why it ends early, or has no rung at all.
    remark: String,
}

/// One variant at one load.
#[derive(Debug)]
struct Rung {
    factor: f64,
    scaled: Variant,
}

impl Ladder {
    /// The ladder of this comparison; `jobs` runs share the memory.
    pub fn of(design: &Design<'_>, jobs: NonZeroUsize) -> Self {
        let seeds = design.seeds.min(SEEDS);
        let variants = &design.loaded.variants;
        let none = |remark: String| Self { rungs: Vec::new(), seeds, remark };
        if variants.len() > VARIANTS {
            return none(format!("is drawn for {VARIANTS} variants at most; vary less."));
        }
        if variants.iter().any(|variant| variant.scenario.load.is_empty()) {
            return none("takes a load that can be scaled, and there is none.".to_owned());
        }
        let (mut steps, mut remark) = (Vec::new(), String::new());
        for factor in FACTORS {
            match step(design, factor, jobs) {
                Ok(step) => steps.push((factor, step)),
                // What is too little says nothing of what is more.
                Err(_) if factor < 1.0 => {}
                Err(why) => {
                    remark = format!("ends below {factor} times the load: {why}.");
                    break;
                }
            }
        }
        let more = steps.len() * variants.len() * seeds;
        if steps.is_empty() {
            return none(remark);
        }
        if (variants.len() + 1) * design.seeds + more > MAX_RUNS {
            return none(format!(
                "would be {more} runs more, and {MAX_RUNS} in all is the most; vary less."
            ));
        }
        let mut by_variant: Vec<Vec<Rung>> = variants.iter().map(|_| Vec::new()).collect();
        for (factor, step) in steps {
            for (rungs, scaled) in by_variant.iter_mut().zip(step) {
                rungs.push(Rung { factor, scaled });
            }
        }
        Self { rungs: by_variant.into_iter().flatten().collect(), seeds, remark }
    }

    /// Its runs, to be carried out after those of the comparison.
    pub fn plan<'a>(&'a self, design: &'a Design<'_>) -> impl Iterator<Item = Planned<'a>> {
        self.rungs
            .iter()
            .flat_map(move |rung| (0..self.seeds).map(move |place| design.run(&rung.scaled, place)))
    }

    /// What they came to; `own` are the runs of the comparison.
    pub fn knee(&self, design: &Design<'_>, own: &[Run], runs: &[Run]) -> Knee {
        let figures =
            |runs: &[Run]| runs.iter().map(|run| Figures::of(run, &design.metric)).collect();
        let variants = &design.loaded.variants;
        let each = self.rungs.len() / variants.len().max(1);
        let all = runs;
        let mut runs = runs.chunks(self.seeds.max(1));
        let lines =
            variants.iter().zip(own.chunks(design.seeds)).zip(self.rungs.chunks(each.max(1)));
        let lines = lines.map(|((variant, own), rungs)| {
            let mut steps: Vec<Step> = rungs
                .iter()
                .zip(runs.by_ref())
                .map(|(rung, runs)| Step { factor: rung.factor, runs: figures(runs) })
                .collect();
            let place = steps.partition_point(|step| step.factor < 1.0);
            let own = &own[..own.len().min(self.seeds)];
            steps.insert(place, Step { factor: 1.0, runs: figures(own) });
            Line { label: label(variant), steps }
        });
        let lines = lines.collect();
        let error = |run: &Run| Some((reports::compare::error(run)?, run.command.clone()));
        let broken = all.iter().find_map(error);
        let scenario = &variants[design.baseline].scenario;
        let thresholds = scenario.thresholds();
        let shown = thresholds.iter().find(|threshold| threshold.metric == design.metric);
        Knee {
            lines,
            seeds: self.seeds,
            limit: shown.map(|threshold| threshold.limit),
            remark: self.remark.clone(),
            broken,
        }
    }
}

/// Every variant at this load, if all can be.
fn step(design: &Design<'_>, factor: f64, jobs: NonZeroUsize) -> Result<Vec<Variant>, String> {
    let of = |variant: &Variant| {
        let scaled = scaled(variant, None, factor)?;
        match memory::refusal(&scaled.scenario, design.world, jobs, memory::at_hand()) {
            Some(why) => Err(why),
            None => Ok(scaled),
        }
    };
    design.loaded.variants.iter().map(of).collect()
}

/// When a comparison has a knee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// In the model, where it takes seconds.
    #[default]
    Auto,
    /// In any world.
    Always,
    /// Not at all.
    Never,
}

impl When {
    /// Whether it is wanted in this world.
    pub fn wants(self, world: World) -> bool {
        match self {
            Self::Auto => world == World::Model,
            Self::Always => true,
            Self::Never => false,
        }
    }
}
