//! `windtunnel compare PATH`: the variants of one scenario, paired by seed.
//!
//! The table and the sentence go to standard output and are the same for the same seed; progress and times to standard error.

use std::path::PathBuf;

use clap::Args;
use reports::{Suite, compare::text};

use super::{
    Exit, check, start,
    style::{Style, print},
    subject::{self, Subject},
};
use crate::{
    compare::{
        self, Design, MAX_RUNS,
        knee::{Ladder, When},
    },
    language::Loaded,
    run::{self, Carried, Completion},
};

const EXAMPLES: &str = "\
Examples:
  windtunnel compare scenarios/suites/compare/slow-endpoint.toml
  windtunnel compare my.toml --vary proxy.balance.strategy=round_robin,p2c --baseline p2c
  windtunnel compare my.toml --seeds 20 --metric latency.mean --out reports/today

Every variant faces the same requests, seed by seed. A difference is called only where it is significant (exact paired
permutation test, corrected by Holm) and larger than the noise that the baseline shows against itself.

Exit codes: 0 compared, 2 bad usage or a bad scenario, 3 a run could not be carried out, 4 there is no such scenario,
5 some run is no measurement (the generator could not send what was due, or a fault hit nothing), 130 interrupted: then
nothing is concluded.";

/// The arguments of `windtunnel compare`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompareArgs {
    /// Which scenario, and how it runs.
    #[command(flatten)]
    subject: Subject,
    /// With how many seeds each variant runs; the baseline runs with as many more against itself.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    seeds: u32,
    /// What the others are compared with: a variant, or the one value that tells it; the first by default.
    #[arg(long, value_name = "VARIANT")]
    baseline: Option<String>,
    /// By which metric; by default that of the first threshold, or latency.p99.
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// Draw the knee, the metric at a quarter to six times the load: auto (in the model), always or never.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, hide_possible_values = true)]
    knee: When,
    /// The directory of the report: index.html, compare.csv, summary.csv, timeseries.csv, junit.xml, summary.md and others.
    #[arg(long, value_name = "DIR", default_value = "windtunnel-report")]
    out: PathBuf,
}

/// What ends it early: said, and the code.
struct Refusal(Exit, String);

/// Compares, writes the report and prints the answer.
pub(super) fn execute(args: &CompareArgs) -> Exit {
    let style = Style::of_stderr();
    let loaded = match subject::load(&args.subject, "compared") {
        Ok(loaded) => loaded,
        Err(failure) => return check::report(&failure, style),
    };
    check::warn(&loaded, style);
    match design(args, &loaded).and_then(|design| carry_out(args, &design)) {
        Ok(exit) => exit,
        Err(Refusal(exit, why)) => {
            eprintln!("{}: {why}", style.red("error"));
            exit
        }
    }
}

fn design<'a>(args: &CompareArgs, loaded: &'a Loaded) -> Result<Design<'a>, Refusal> {
    let usage = |why: String| Refusal(Exit::Usage, why);
    let variants = &loaded.variants;
    if variants.len() < 2 {
        return Err(usage(format!(
            "`{}` has one variant, and it takes two to compare: write a [matrix], or --vary proxy.balance.strategy=round_robin,p2c",
            loaded.name
        )));
    }
    let seeds = args.seeds as usize;
    let runs = (variants.len() + 1).saturating_mul(seeds);
    if runs > MAX_RUNS {
        return Err(usage(format!(
            "{} variants with {seeds} seeds are {runs} runs, and {MAX_RUNS} is the most; vary less",
            variants.len()
        )));
    }
    let baseline = match &args.baseline {
        None => 0,
        Some(name) => compare::baseline(variants, name).map_err(usage)?,
    };
    let scenario = &variants[baseline].scenario;
    let metric = args.metric.clone().unwrap_or_else(|| compare::metric(scenario));
    compare::known(scenario, &metric).map_err(usage)?;
    let seed = args.subject.seed.unwrap_or(scenario.seed);
    let world = subject::world(args.subject.world, loaded).map_err(usage)?;
    Ok(Design { loaded, world, seed, seeds, baseline, metric })
}

fn carry_out(args: &CompareArgs, design: &Design<'_>) -> Result<Exit, Refusal> {
    let cannot = |why: String| Refusal(Exit::CouldNotRun, why);
    let begun = start::begin(&args.out).map_err(cannot)?;
    let conduct = args.subject.conduct();
    let ladder = args.knee.wants(design.world).then(|| Ladder::of(design, conduct.jobs));
    let mut planned = design.plan();
    let own = planned.len();
    planned.extend(ladder.iter().flat_map(|ladder| ladder.plan(design)));
    let progress = run::Progress::of_comparison(planned.len());
    progress.announce(&planned);
    let Carried { mut runs, completion, virtual_elapsed } =
        run::carry_out(&planned, conduct, &begun.interrupt, &progress);
    progress.finish();
    if completion == Completion::Interrupted {
        let why = "interrupted: half a comparison says nothing, and no report was written";
        return Err(Refusal(Exit::Interrupted, why.to_owned()));
    }
    let manifest = begun.manifest(virtual_elapsed);
    let others = runs.split_off(own.min(runs.len()));
    let knee = ladder.map(|ladder| ladder.knee(design, &runs, &others));
    let suite = Suite { runs, manifest };
    let contrast = design.contrast(&suite.runs);
    print(&text::summary(&contrast));
    reports::compare::write(&args.out, &suite, &contrast, knee.as_ref())
        .map_err(|error| cannot(format!("the report could not be written: {error}")))?;
    print(&format!("report: {}", args.out.join("index.html").display()));
    let in_knee = || Some(knee.as_ref()?.broken.as_ref()?.0.clone());
    if let Some(why) = contrast.broken().or_else(in_knee) {
        return Err(cannot(format!("a run could not be carried out: {why}")));
    }
    match contrast.invalid() {
        Some(why) => {
            let why = format!("what is compared is not all measured: {why}");
            Err(Refusal(Exit::Invalid, why))
        }
        None => Ok(Exit::Success),
    }
}
