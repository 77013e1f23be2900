//! `windtunnel compare PATH`: the variants of one scenario, paired by seed.
//!
//! The table and the sentence go to standard output and are the same for the same seed; progress and times to standard error.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    path::PathBuf,
};

use clap::Args;
use net::Clock;
use policy::Instant;
use reports::{Suite, World, compare::text};

use super::{
    Exit, check, descriptors,
    style::{Style, print},
};
use crate::{
    compare::{self, Design, MAX_RUNS, vary::Vary},
    interrupt::Interrupt,
    language::{Loaded, Setting, Variant, suite},
    run::{self, Carried, Completion, Conduct, Patience},
    sim::Network,
};

const EXAMPLES: &str = "\
Examples:
  windtunnel compare scenarios/suites/compare/slow-endpoint.toml
  windtunnel compare my.toml --vary proxy.balance.strategy=round_robin,p2c --baseline p2c
  windtunnel compare my.toml --seeds 20 --metric latency.mean --out reports/today

Every variant faces the same requests, seed by seed. A difference is called only where it is significant (exact paired
permutation test, corrected by Holm) and larger than the noise that the baseline shows against itself.

Exit codes: 0 compared, 2 bad usage or a bad scenario, 3 a run could not be carried out, 4 there is no such scenario,
130 interrupted: then nothing is concluded.";

/// The arguments of `windtunnel compare`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompareArgs {
    /// The scenario file.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Vary this in place of the file's own matrix; may be given several times, for the product.
    #[arg(long, value_name = "KEY=A,B,C")]
    vary: Vec<Vary>,
    /// With how many seeds each variant runs; the baseline runs with as many more against itself.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    seeds: u32,
    /// What the others are compared with: a variant, or the one value that tells it; the first by default.
    #[arg(long, value_name = "VARIANT")]
    baseline: Option<String>,
    /// By which metric; by default that of the first threshold, or latency.p99.
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// The world to run in: model, sim or live; by default the first of them that the scenario allows.
    #[arg(long, value_name = "WORLD")]
    world: Option<World>,
    /// Set a value over the file; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
    /// The first seed, in place of the scenario's own.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many runs at a time; one for each processor by default.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroU16>,
    /// The directory of the report: index.html, compare.csv, summary.csv, manifest.json.
    #[arg(long, value_name = "DIR", default_value = "windtunnel-report")]
    out: PathBuf,
}

/// What ends it early: said, and the code.
struct Refusal(Exit, String);

/// Compares, writes the report and prints the answer.
pub(super) fn execute(args: &CompareArgs) -> Exit {
    let style = Style::of_stderr();
    let loaded = match load(args) {
        Ok(loaded) => loaded,
        Err(failure) => return check::report(&failure, style),
    };
    match design(args, &loaded).and_then(|design| carry_out(args, &design)) {
        Ok(exit) => exit,
        Err(Refusal(exit, why)) => {
            eprintln!("{}: {why}", style.red("error"));
            exit
        }
    }
}

fn load(args: &CompareArgs) -> Result<Loaded, suite::Failure> {
    let mut found = suite::find(std::slice::from_ref(&args.path))?;
    if found.len() > 1 {
        let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
        let why = format!(
            "{} has {} scenarios, and one is compared at a time; name the file of one of: {}",
            args.path.display(),
            found.len(),
            names.join(", ")
        );
        return Err(suite::Failure::Wrong(proxy::config::document::Error::message(why)));
    }
    let nothing = || suite::Failure::Nothing(args.path.display().to_string());
    let found = found.pop().ok_or_else(nothing)?;
    Ok(compare::vary::load(&found, &args.settings, &args.vary)?)
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
    let seed = args.seed.unwrap_or(scenario.seed);
    Ok(Design { loaded, world: world(args, loaded)?, seed, seeds, baseline, metric })
}

/// The one that was asked for, or the first that every variant can run in.
fn world(args: &CompareArgs, loaded: &Loaded) -> Result<World, Refusal> {
    let can = |variant: &Variant, world: World| {
        variant.scenario.worlds.contains(&world)
            && !variant.exclusions.iter().any(|exclusion| exclusion.world == world)
    };
    let choice = match args.world {
        Some(world) => vec![world],
        None => vec![World::Model, World::Sim, World::Live],
    };
    let all = |world: &World| loaded.variants.iter().all(|variant| can(variant, *world));
    choice.iter().copied().find(all).ok_or_else(|| {
        let names: Vec<&str> = choice.iter().map(|world| world.as_str()).collect();
        let excluded = loaded.variants.iter().flat_map(|variant| &variant.exclusions);
        let reason =
            excluded.filter(|e| choice.contains(&e.world)).map(|e| e.reason.as_str()).next();
        let reason = reason.unwrap_or("its `worlds` do not have it");
        let why = format!("not every variant can run in {}: {reason}", names.join(", "));
        Refusal(Exit::Usage, why)
    })
}

fn carry_out(args: &CompareArgs, design: &Design<'_>) -> Result<Exit, Refusal> {
    let cannot = |why: String| Refusal(Exit::CouldNotRun, why);
    // A report that cannot be written is better known before the runs than after them.
    std::fs::create_dir_all(&args.out)
        .map_err(|error| cannot(format!("cannot write to {}: {error}", args.out.display())))?;
    let interrupt = Interrupt::of_signals()
        .map_err(|error| cannot(format!("signals cannot be received: {error}")))?;
    descriptors::raise();
    let clock = Clock::real();
    let started = clock.wall();
    let planned = design.plan();
    let progress = run::Progress::of_comparison(planned.len());
    progress.announce(&planned);
    let jobs = args.jobs.map(NonZeroUsize::from);
    let jobs = jobs.or_else(|| std::thread::available_parallelism().ok());
    let conduct = Conduct {
        patience: Patience::All,
        again: 2,
        jobs: jobs.unwrap_or(NonZeroUsize::MIN),
        network: Network::default(),
    };
    let Carried { runs, completion, virtual_elapsed } =
        run::carry_out(&planned, conduct, &interrupt, &progress);
    progress.finish();
    if completion == Completion::Interrupted {
        let why = "interrupted: half a comparison says nothing, and no report was written";
        return Err(Refusal(Exit::Interrupted, why.to_owned()));
    }
    let manifest = run::manifest(started, clock.now() - Instant::START, virtual_elapsed);
    let suite = Suite { runs, manifest };
    let contrast = design.contrast(&suite.runs);
    print(&text::summary(&contrast));
    compare::write(&args.out, &suite, &contrast)
        .map_err(|error| cannot(format!("the report could not be written: {error}")))?;
    print(&format!("report: {}", args.out.join("index.html").display()));
    match compare::broken(&suite.runs) {
        Some(why) => Err(cannot(format!("a run could not be carried out: {why}"))),
        None => Ok(Exit::Success),
    }
}
