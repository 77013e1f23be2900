//! `windtunnel report`: what can be made of results that are there already.

mod diff;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reports::{manifest, results, terminal};

use super::{
    Exit,
    style::{Style, print},
};
use crate::run;

const EXAMPLES: &str = "\
Examples:
  windtunnel report shard-1 shard-2 --out whole     two machines had a half each (run --shard 1/2 and 2/2)
  windtunnel report old-results                     with the pages of this version
  windtunnel report diff old new                    what became worse?

The verdict is that of all runs together, and so are the exit codes of `windtunnel run`.";

/// The arguments of `windtunnel report`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = EXAMPLES,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(super) struct ReportArgs {
    /// What to make of them, if not a report.
    #[command(subcommand)]
    what: Option<What>,
    /// The directories that `windtunnel run --out` wrote; several become one report.
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// The directory of the report.
    #[arg(long, value_name = "DIR", default_value = "windtunnel-report")]
    out: PathBuf,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// What became worse: two result directories against each other.
    Diff(diff::DiffArgs),
}

/// Does what was asked for.
pub(super) fn execute(args: &ReportArgs) -> Exit {
    match &args.what {
        Some(What::Diff(args)) => diff::execute(args),
        None => match render(args) {
            Ok(exit) => exit,
            Err((exit, why)) => {
                eprintln!("{}: {why}", Style::of_stderr().red("error"));
                exit
            }
        },
    }
}

/// Reads, merges and writes again.
fn render(args: &ReportArgs) -> Result<Exit, (Exit, String)> {
    let usage = |why: String| (Exit::Usage, why);
    let mut parts = Vec::new();
    let mut manifests = Vec::new();
    for directory in &args.directories {
        let runs = results::read(directory).map_err(usage)?;
        manifests.push(manifest::read(directory).map_err(usage)?);
        parts.push((directory.display().to_string(), runs));
    }
    let mut suite = results::merge(parts).map_err(usage)?;
    suite.manifest = manifest::merge(&manifests);
    if suite.runs.is_empty() {
        return Err((Exit::NothingMatched, "there is no run in what was named".to_owned()));
    }
    print(&terminal::summary(&suite, Style::of_stdout().colour()));
    run::write(&args.out, &suite).map_err(|error| {
        (Exit::CouldNotRun, format!("the report could not be written: {error}"))
    })?;
    print(&format!("report: {}", args.out.join("index.html").display()));
    Ok(Exit::of_verdict(&suite.worst()))
}
