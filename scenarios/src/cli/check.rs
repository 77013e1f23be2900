//! `windtunnel check PATH…`: says of each scenario that it is right and what it will do, or what is wrong with it.

use std::path::PathBuf;

use clap::Args;
use reports::World;

use super::{
    Exit,
    style::{Style, print},
};
use crate::language::{Loaded, Setting, suite};

/// The arguments of `windtunnel check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Scenario files, or directories of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Set a value over the files, such as proxy.balance.strategy=p2c.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
}

pub(super) fn execute(args: &CheckArgs, out: Style, err: Style) -> Exit {
    let found = match suite::find(&args.paths) {
        Ok(found) => found,
        Err(failure) => return report(&failure, err),
    };
    let mut wrong = 0;
    let width = found.iter().map(|scenario| scenario.name.chars().count()).max().unwrap_or(0);
    for scenario in &found {
        match scenario.load(&args.settings) {
            Ok(loaded) => {
                print(&line(&loaded, width, out));
                warn(&loaded, err);
            }
            Err(error) => {
                wrong += 1;
                print(&format!("{}  {}", out.red("bad"), scenario.name));
                eprintln!("{}", error.render(err.paint()));
            }
        }
    }
    if wrong == 0 {
        return Exit::Success;
    }
    let scenarios = if found.len() == 1 { "scenario" } else { "scenarios" };
    eprintln!("{wrong} of {} {scenarios} cannot be run as written", found.len());
    Exit::Usage
}

/// Says what is right and hardly what was meant.
pub(super) fn warn(loaded: &Loaded, style: Style) {
    for warning in loaded.warnings(style.paint()) {
        eprintln!("{warning}");
    }
}

/// Prints why nothing was loaded.
pub(super) fn report(failure: &suite::Failure, style: Style) -> Exit {
    match failure {
        suite::Failure::Nothing(why) => {
            eprintln!("{}: nothing matched: {why}", style.red("error"));
            Exit::NothingMatched
        }
        suite::Failure::Wrong(error) => {
            eprint!("{}", error.render(style.paint()));
            Exit::Usage
        }
    }
}

/// `ok   ci/slow_backend  model sim live  3 variants  24000 requests each`
fn line(loaded: &Loaded, width: usize, style: Style) -> String {
    let Some(first) = loaded.variants.first() else { return String::new() };
    let same_worlds =
        loaded.variants.iter().all(|variant| variant.scenario.worlds == first.scenario.worlds);
    let worlds = if same_worlds {
        let names: Vec<&str> = first.scenario.worlds.iter().map(|world| world.as_str()).collect();
        names.join(" ")
    } else {
        "worlds vary".to_owned()
    };
    let mut parts = vec![format!("{worlds:<14}")];
    if loaded.variants.len() > 1 {
        parts.push(format!("{} variants", loaded.variants.len()));
    }
    parts.push(requests(loaded));
    let mut line = format!("{}   {:<width$}  {}", style.green("ok"), loaded.name, parts.join("  "));
    for exclusion in &first.exclusions {
        line.push_str(&style.dim(&format!("\n     not {}: {}", exclusion.world, exclusion.reason)));
    }
    let live = first.scenario.worlds.contains(&World::Live);
    if live && !first.scenario.network.is_default() {
        let note = "in live, `[network]` is the machine's own loopback";
        line.push_str(&style.dim(&format!("\n     note: {note}")));
    }
    line
}

/// How much will be asked for by each variant, in words.
fn requests(loaded: &Loaded) -> String {
    let expected: Vec<_> =
        loaded.variants.iter().map(|variant| variant.scenario.expected()).collect();
    let least = expected.iter().map(|e| e.requests).fold(f64::INFINITY, f64::min).round();
    let most = expected.iter().map(|e| e.requests).fold(0.0, f64::max).round();
    let users = expected.iter().map(|e| e.users).max().unwrap_or(0);
    let each = if loaded.variants.len() > 1 { " each" } else { "" };
    let open = if least < most {
        format!("about {least} to {most} requests{each}")
    } else {
        format!("about {most} requests{each}")
    };
    match (most > 0.0, users) {
        (true, 0) => open,
        (true, users) => format!("{open} and those of {users} users"),
        (false, users) => format!("those of {users} users"),
    }
}
