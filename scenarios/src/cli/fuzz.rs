//! `windtunnel fuzz SCENARIO`: looks for a timeline of events that breaks something, makes it small and writes it down.
//!
//! What is found goes to standard output and is the same for the same seed, however many runs go at a time; how far it is and
//! how long it takes goes to standard error.

use std::{collections::BTreeSet, num::NonZeroU16, path::PathBuf};

use clap::{Args, ValueEnum};
use policy::quantity::TimeSpan;
use reports::World;

use super::{
    Exit, check, start,
    style::{Style, print},
};
use crate::{
    fuzz::{
        campaign::{Campaign, Found, Searched, try_case},
        draft::{self, Draft},
        finding::{self, Origin, Place},
        judge::{Broken, Judge, Judged, Kind},
        progress::Progress,
        reduce::Case,
        smallest::{Smallest, smallest},
    },
    interrupt::Interrupt,
    language::{Setting, suite},
    run::repeat::quote,
};

const EXAMPLES: &str = "\
Examples:
  windtunnel fuzz scenarios/suites/ci/hang.toml --judge invariants
  windtunnel fuzz my.toml --runs 2000 --seed 3 --out found/
  windtunnel fuzz my.toml --world model --set proxy.retry.attempts=3

The scenario's own events are left out. What is found is written as a scenario file that breaks in the same way, with
the fewest and simplest events; no file is overwritten.
The first Ctrl-C ends it and says what is known so far, the second ends the program.

Exit codes: 0 nothing was found, 1 something was, 2 bad usage or a bad scenario, 3 the file could not be written,
4 there is no such scenario, 130 interrupted.";

/// The arguments of `windtunnel fuzz`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct FuzzArgs {
    /// The scenario file. Of one with a matrix the variants take turns.
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// How many timelines are tried.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    runs: u64,
    /// How many runs at a time; one for each processor by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// What everything is drawn from; the scenario's own seed by default.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where it is tried: sim (the engine on a simulated network) or model (decisions and queues, no bytes).
    #[arg(long, value_name = "WORLD", default_value = "sim", value_parser = virtual_world)]
    world: World,
    /// What is looked for.
    #[arg(long, value_name = "WHAT", default_value = "all")]
    judge: What,
    /// A file (.toml) or a directory for what is found.
    #[arg(long, value_name = "PATH", default_value = "windtunnel-found")]
    out: PathBuf,
    /// At most so many runs to make small what was found.
    #[arg(long, value_name = "N", default_value_t = 400)]
    shrink: u32,
    /// Set a value over the file, such as proxy.balance.strategy=p2c; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Whatever breaks.
    All,
    /// What the proxy promises always, and runs that panic or do not end.
    Invariants,
    /// What this scenario asks, and runs that panic or do not end.
    Thresholds,
}

fn virtual_world(text: &str) -> Result<World, String> {
    match text.parse()? {
        World::Live => Err("on real sockets no run can be repeated; write sim or model".to_owned()),
        world => Ok(world),
    }
}

impl FuzzArgs {
    /// The command that does the same again.
    fn command(&self, seed: u64) -> String {
        let path = quote(&self.scenario.display().to_string());
        let mut text = format!(
            "windtunnel fuzz {path} --world {} --seed {seed} --runs {}",
            self.world, self.runs
        );
        match self.judge {
            What::All => {}
            What::Invariants => text.push_str(" --judge invariants"),
            What::Thresholds => text.push_str(" --judge thresholds"),
        }
        for Setting { path, text: value } in &self.settings {
            text.push_str(" --set ");
            text.push_str(&quote(&format!("{path}={value}")));
        }
        text
    }
}

/// What there is to do it with.
struct Tools<'a> {
    args: &'a FuzzArgs,
    place: Place,
    name: String,
    interrupt: Interrupt,
    style: Style,
}

pub(super) fn execute(args: &FuzzArgs) -> Exit {
    let style = Style::of_stderr();
    let fail = |why: &str| eprintln!("{}: {why}", style.red("error"));
    let (name, drafts, own) = match select(args) {
        Ok(selected) => selected,
        Err(failure) => return check::report(&failure, style),
    };
    let place = Place::of(&args.out);
    if let Place::File(file) = &place
        && file.exists()
    {
        fail(&format!("{} is there already, and nothing is overwritten", file.display()));
        return Exit::Usage;
    }
    let interrupt = match start::listen() {
        Ok(interrupt) => interrupt,
        Err(why) => {
            fail(&why);
            return Exit::CouldNotRun;
        }
    };
    let judged = match args.judge {
        What::All => Judged::All,
        What::Invariants => Judged::Invariants,
        What::Thresholds => Judged::Thresholds,
    };
    let mut judge = Judge { judged, ..Judge::of(args.world) };
    let seed = args.seed.unwrap_or(own);
    let tools = Tools { args, place, name, interrupt, style };
    match calm(&mut judge, &drafts, seed, &tools) {
        Ok(None) => {}
        Ok(Some(found)) => return tools.shrink_and_write(&judge, &found, seed),
        Err(exit) => return exit,
    }
    let jobs = start::jobs(args.jobs.and_then(NonZeroU16::new)).get();
    let campaign = Campaign { drafts, judge, seed, runs: args.runs, jobs };
    let progress = Progress::new(args.runs, "fuzzing");
    let Searched { found, ended, interrupted } =
        campaign.search(&tools.interrupt, &mut |ended| progress.at(ended));
    progress.finish();
    match found {
        Some(found) => tools.shrink_and_write(&campaign.judge, &found, seed),
        None if interrupted => {
            print(&format!("interrupted: nothing broke in {ended} of {} runs", args.runs));
            Exit::Interrupted
        }
        None => {
            let runs = if ended == 1 { "run" } else { "runs" };
            print(&format!("nothing broke in {ended} {runs} ({}, seed {seed})", args.world));
            Exit::Success
        }
    }
}

/// The scenario's name, its drafts and its seed.
fn select(args: &FuzzArgs) -> Result<(String, Vec<Draft>, u64), suite::Failure> {
    let wrong = |why: String| suite::Failure::Wrong(proxy::config::document::Error::message(why));
    if args.scenario.is_dir() {
        let why = format!("{} is a directory; name one scenario file", args.scenario.display());
        return Err(wrong(why));
    }
    let mut found = suite::find(std::slice::from_ref(&args.scenario))?.into_iter();
    let Some(found) = found.next() else {
        return Err(suite::Failure::Nothing(format!("{}", args.scenario.display())));
    };
    let drafts = draft::drafts(&found, &args.settings, args.world)?;
    let loaded = found.load(&args.settings)?;
    let seed = loaded.variants.first().map_or(1, |variant| variant.scenario.seed);
    if drafts.is_empty() {
        return Err(wrong(format!("`{}` has no variant", found.name)));
    }
    Ok((found.name, drafts, seed))
}

/// Runs each draft without any event. A threshold that does not hold then (because it asks for the effect of the scenario's own
/// events, say) would only be found again; anything else is a finding.
fn calm(
    judge: &mut Judge,
    drafts: &[Draft],
    seed: u64,
    tools: &Tools<'_>,
) -> Result<Option<Found>, Exit> {
    let dropped: BTreeSet<&String> = drafts.iter().flat_map(|draft| &draft.dropped).collect();
    for metric in dropped {
        print(&format!(
            "not judged: {metric}, which is about an endpoint that is added by an event"
        ));
    }
    for draft in drafts {
        let case = Case { draft: draft.clone(), events: Vec::new(), seed };
        let interrupt = tools.interrupt.clone();
        let Ok(broken) = try_case(judge, &case, move || interrupt.is_wanted()) else {
            print("interrupted before the first run had ended");
            return Err(Exit::Interrupted);
        };
        let (thresholds, grave): (Vec<Broken>, Vec<Broken>) =
            broken.into_iter().partition(|broken| broken.kind == Kind::Threshold);
        if !grave.is_empty() {
            return Ok(Some(Found { number: None, case, broken: grave }));
        }
        for threshold in thresholds {
            if judge.aside.insert(threshold.name.clone()) {
                print(&format!(
                    "not judged: {}, which does not hold without events either ({})",
                    threshold.name, threshold.seen
                ));
            }
        }
    }
    Ok(None)
}

/// `0s` for the start, whatever unit it is in.
fn time(at: TimeSpan) -> String {
    if at.0.is_zero() { "0s".to_owned() } else { at.to_string() }
}

impl Tools<'_> {
    fn shrink_and_write(&self, judge: &Judge, found: &Found, seed: u64) -> Exit {
        let Some(broken) = found.broken.first() else { return Exit::Success };
        let style = Style::of_stdout();
        let run =
            found.number.map_or_else(|| "without events".to_owned(), |n| format!("in run {n}"));
        print(&format!("{} {run}: {broken}", style.red("broken")));
        for other in &found.broken[1..] {
            print(&format!("  and {other}"));
        }
        let progress = Progress::new(u64::from(self.args.shrink), "shrinking");
        let most = self.args.shrink;
        let small = smallest(judge, found, most, &self.interrupt, &mut |runs| progress.at(runs));
        progress.finish();
        let Some(Smallest { case, broken, runs }) = small else { return Exit::Success };
        let drawn = found.case.events.len();
        let left = case.events.len();
        let are = if left == 1 { "is" } else { "are" };
        print(&format!("{left} of {drawn} events {are} left after {runs} runs:"));
        for event in &case.events {
            print(&format!("  {:>8}  {}", time(event.at), event.label()));
        }
        print(&format!("it breaks {broken}"));
        let origin = Origin { command: self.args.command(seed), number: found.number, drawn, runs };
        let text = finding::text(&case, &broken, &origin, self.place.directory());
        let path = match self.place.write(&finding::name(&self.name, &broken), &text) {
            Ok(path) => path,
            Err(error) => {
                let why = format!("the finding could not be written: {error}; here it is:");
                eprintln!("{}: {why}", self.style.red("error"));
                print(&text);
                return Exit::CouldNotRun;
            }
        };
        print(&format!("written: {}", path.display()));
        print(&format!("repeat:  {}", finding::command(&path, judge.world)));
        if self.interrupt.is_wanted() { Exit::Interrupted } else { Exit::ThresholdFailed }
    }
}
