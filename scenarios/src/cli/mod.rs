//! The command line: one file a command.
//!
//! Results go to standard output and are for reading or for pipes; errors and progress go to standard error.
//! Colours only where a terminal is looking and `NO_COLOR` is not set.

mod check;
mod descriptors;
pub mod exit;
mod list;
pub mod run;
mod schema;
pub mod style;
mod verbose;

use clap::{Parser, Subcommand};

pub use exit::Exit;
use style::{Style, help_styles};

/// A wind tunnel for HTTP proxies: runs scenarios against a reverse proxy and tells what held.
#[derive(Debug, Parser)]
#[command(name = "windtunnel", version, styles = help_styles(), arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 all thresholds held · 1 a threshold failed · 2 bad usage or a bad scenario ·\n\
    3 the run could not be carried out · 4 nothing matched · 5 the measurement is not valid · 130 interrupted"
)]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios: files, or directories of them.
    Run(run::RunArgs),
    /// Check scenarios without running them.
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
        Command::Check(args) => check::execute(&args, Style::of_stdout(), Style::of_stderr()),
        Command::Schema => schema::execute(),
        Command::List(args) => list::execute(&args, Style::of_stdout()),
    }
}
