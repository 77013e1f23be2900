//! `windtunnel search PATH`: the highest load at which the thresholds hold, for each variant of a scenario.
//!
//! The table and the sentence go to standard output and are the same for the same seed in `model` and `sim`; progress goes to
//! standard error.

use std::path::PathBuf;

use clap::Args;
use reports::{
    World,
    search::{Try, text},
};

use super::{
    Exit, check, start,
    style::{Style, print},
    subject::{self, Subject},
};
use crate::{
    compare::{self, MAX_RUNS},
    language::Loaded,
    run::Completion,
    search::{LONGER, Question, Searched},
};

const EXAMPLES: &str = "\
Examples:
  windtunnel search scenarios/suites/compare/slow-endpoint.toml
  windtunnel search my.toml --vary proxy.balance.strategy=round_robin,p2c --precision 0.5%
  windtunnel search my.toml --world live --from 0.5 --load browse

Every rate (and the users of closed loops) is multiplied: doubled until the thresholds do not hold, then bisected, and what
is left is confirmed by a run that is longer, or with more seeds where a longer run would not be the same experiment. A load
holds when it holds with more than half of the seeds, and only if everything was sent.

Exit codes: 0 found for every variant, 1 a variant does not hold even at the lowest load, 2 bad usage or a bad scenario,
3 a run could not be carried out, 4 there is no such scenario, 5 the load generator's own limit ended it (live),
130 interrupted: then nothing is concluded.";

/// The arguments of `windtunnel search`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SearchArgs {
    /// Which scenario, and how it runs.
    #[command(flatten)]
    subject: Subject,
    /// Scale this load only; all of them by default.
    #[arg(long, value_name = "NAME")]
    load: Option<String>,
    /// The first load, as a factor of the scenario's own.
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = factor)]
    from: f64,
    /// How closely, as a part of the load.
    #[arg(long, value_name = "PART", default_value = "1%", value_parser = part)]
    precision: f64,
    /// With how many seeds each load is tried; 3 by default, 1 in live.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    seeds: Option<u32>,
    /// The metric that is shown for each load; by default that of the first threshold.
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// The directory of the report: index.html, search.csv, timeseries.csv, junit.xml, summary.md, manifest.json.
    #[arg(long, value_name = "DIR", default_value = "windtunnel-report")]
    out: PathBuf,
}

fn factor(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| (1e-6..=1e6).contains(n));
    number.ok_or_else(|| "write a factor from 0.000001 to 1000000, such as 0.5".to_owned())
}

fn part(text: &str) -> Result<f64, String> {
    let number = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|n| n / 100.0),
        None => text.trim().parse::<f64>(),
    };
    let fits = number.ok().filter(|n| (0.0001..=1.0).contains(n));
    fits.ok_or_else(|| "write a part from 0.01% to 100%, such as 1% or 0.01".to_owned())
}

/// What ends it early: said, and the code.
struct Refusal(Exit, String);

/// Searches, writes the report and prints the answer.
pub(super) fn execute(args: &SearchArgs) -> Exit {
    let style = Style::of_stderr();
    let loaded = match subject::load(&args.subject, "searched") {
        Ok(loaded) => loaded,
        Err(failure) => return check::report(&failure, style),
    };
    check::warn(&loaded, style);
    let found = question(args, &loaded).map_err(|why| Refusal(Exit::Usage, why));
    match found.and_then(|question| carry_out(args, &question)) {
        Ok(exit) => exit,
        Err(Refusal(exit, why)) => {
            eprintln!("{}: {why}", style.red("error"));
            exit
        }
    }
}

fn question<'a>(args: &SearchArgs, loaded: &'a Loaded) -> Result<Question<'a>, String> {
    let Some(first) = loaded.variants.first() else {
        return Err(format!("`{}` has no variant", loaded.name));
    };
    for variant in &loaded.variants {
        let scenario = &variant.scenario;
        if scenario.thresholds.is_empty() {
            return Err(format!(
                "`{}` has no [thresholds], so every load holds; write some, or --set 'thresholds={{ \"latency.p99\" = \"<= 100ms\" }}'",
                loaded.name
            ));
        }
        let names: Vec<&str> = scenario.load.keys().map(String::as_str).collect();
        if let Some(name) = args.load.as_deref().filter(|name| !names.contains(name)) {
            return Err(format!("no load is called `{name}`; there is {}", names.join(", ")));
        }
        if names.is_empty() {
            return Err(format!("`{}` has no load to be scaled", loaded.name));
        }
    }
    let metric = args.metric.clone().unwrap_or_else(|| compare::metric(&first.scenario));
    compare::known(&first.scenario, &metric)?;
    let world = subject::world(args.subject.world, loaded)?;
    let seeds = args.seeds.unwrap_or(if world == World::Live { 1 } else { 3 });
    let runs = loaded.variants.len().saturating_mul(seeds as usize).saturating_mul(LONGER as usize);
    if runs > MAX_RUNS {
        return Err(format!(
            "{} variants with {seeds} seeds are up to {runs} runs at a time, and {MAX_RUNS} is the most; vary less",
            loaded.variants.len()
        ));
    }
    Ok(Question {
        loaded,
        world,
        seed: args.subject.seed.unwrap_or(first.scenario.seed),
        seeds,
        only: args.load.clone(),
        from: args.from,
        precision: args.precision,
        metric,
    })
}

fn carry_out(args: &SearchArgs, question: &Question<'_>) -> Result<Exit, Refusal> {
    let cannot = |why: String| Refusal(Exit::CouldNotRun, why);
    let begun = start::begin(&args.out).map_err(cannot)?;
    let conduct = args.subject.conduct();
    let is_live = question.world == World::Live;
    let mut say = |label: &str, tried: &Try| {
        // In virtual time there are many, and each is over at once.
        if is_live {
            eprintln!("{}", line(label, tried));
        }
    };
    let Searched { capacities, confirmed, completion, virtual_elapsed } = question
        .search(conduct, &begun.interrupt, &mut say)
        .map_err(|why| Refusal(Exit::Usage, format!("the load cannot be scaled: {why}")))?;
    if completion == Completion::Interrupted {
        let why = "interrupted: half a search says nothing, and no report was written";
        return Err(Refusal(Exit::Interrupted, why.to_owned()));
    }
    let manifest = begun.manifest(virtual_elapsed);
    let study = question.study(capacities);
    print(&text::summary(&study));
    reports::search::write(&args.out, &study, &confirmed, manifest)
        .map_err(|error| cannot(format!("the report could not be written: {error}")))?;
    print(&format!("report: {}", args.out.join("index.html").display()));
    Ok(Exit::of_verdict(&study.verdict()))
}

fn line(label: &str, tried: &Try) -> String {
    let rate = tried.rate.map_or(String::new(), |rate| format!(", {rate:.0}/s"));
    let end = if tried.holds { "holds".to_owned() } else { text::broke(tried) };
    format!("{label}: × {:.4}{rate}: {end}", tried.factor)
}
