//! The command line: one file a command.
//!
//! Results go to standard output and are for reading or for pipes; errors and progress go to standard error.
//! Colours only where a terminal is looking and `NO_COLOR` is not set.

mod check;
mod compare;
mod descriptors;
pub mod exit;
mod fuzz;
mod list;
mod report;
pub mod run;
mod schema;
mod search;
mod start;
pub mod style;
mod subject;
mod verbose;

use clap::{Parser, Subcommand};

pub use exit::Exit;
use style::{Style, help_styles};

/// A wind tunnel for HTTP proxies: runs scenarios against a reverse proxy and tells what held.
///
/// A scenario is a file that says what the proxy is, what stands behind it, what load arrives, what goes wrong when, and
/// what must hold.
#[derive(Debug, Parser)]
#[command(
    name = "windtunnel",
    version,
    styles = help_styles(),
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  windtunnel run scenarios/suites/smoke   run a suite, then open windtunnel-report/index.html
  windtunnel check my.toml                is it right, and what would run?
  windtunnel list metrics                 what a threshold can be on
  windtunnel schema > scenario.json       for the editor in which you write scenarios

Exit codes:
  0  every threshold held                 3    a run could not be carried out
  1  a threshold did not hold             4    nothing matched
  2  bad usage, or a bad scenario         5    a measurement is not valid
                                          130  interrupted";

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios, and write a report.
    Run(run::RunArgs),
    /// Compare the variants of a scenario, with the same seeds for each: what is best, by how much, and how sure that is.
    Compare(compare::CompareArgs),
    /// Search the highest load at which the thresholds of a scenario hold, for each of its variants.
    Search(search::SearchArgs),
    /// Write a report again, merge those of shards, or say what became worse since another.
    Report(report::ReportArgs),
    /// Look for a timeline of events that breaks a scenario, and make it as small as it gets.
    Fuzz(fuzz::FuzzArgs),
    /// Check scenarios without running them: what is wrong where, or what would run.
    Check(check::CheckArgs),
    /// Print the JSON Schema of scenario files, for editors.
    Schema,
    /// List what there is: scenarios, strategies, metrics, distributions, events.
    List(list::ListArgs),
}

/// Parses the command line and does what it says.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors, and go to standard output. A closed pipe is nobody's fault.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Success };
        }
    };
    match cli.command {
        Command::Run(args) => run::execute(&args),
        Command::Compare(args) => compare::execute(&args),
        Command::Search(args) => search::execute(&args),
        Command::Report(args) => report::execute(&args),
        Command::Fuzz(args) => fuzz::execute(&args),
        Command::Check(args) => check::execute(&args, Style::of_stdout(), Style::of_stderr()),
        Command::Schema => schema::execute(),
        Command::List(args) => list::execute(&args, Style::of_stdout()),
    }
}
