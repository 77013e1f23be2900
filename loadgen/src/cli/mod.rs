//! The program, from its arguments to its exit code.
//!
//! `args` reads what was asked, `target` the URL, `threads` runs it, `watch` shows how far it is, `summary` and
//! `files` write what came out.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use loadgen::{End, Ledger, validity};
use reports::Measurement;

mod args;
mod files;
mod show;
mod summary;
mod target;
mod threads;
mod watch;

use args::Args;
use target::Target;

/// What a run was and what came of it.
pub(crate) struct Result {
    args: Args,
    target: Target,
    ledger: Ledger,
    end: End,
    measurement: Measurement,
    /// How long load was offered.
    elapsed: Duration,
    /// Why the figures cannot be believed.
    invalid: Vec<String>,
}

/// Why the program ends without a result.
pub(crate) enum Failure {
    /// What was asked makes no sense: exit code 2.
    Usage(String),
    /// It could not be carried out: exit code 3.
    Impossible(String),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    // Prints and exits by itself: 0 for help, 2 for bad usage.
    let args = Args::parse();
    match run(args) {
        Ok(code) => code,
        Err(Failure::Usage(message)) => complain(&message, 2),
        Err(Failure::Impossible(message)) => complain(&message, 3),
    }
}

fn complain(message: &str, code: u8) -> ExitCode {
    eprintln!("loadgen: {message}");
    ExitCode::from(code)
}

fn run(args: Args) -> std::result::Result<ExitCode, Failure> {
    let url = target::parse(&args.url).map_err(Failure::Usage)?;
    let load = args.load(&url.path).map_err(Failure::Usage)?;
    let payload = args.payload().map_err(Failure::Usage)?;
    let target = target::reach(url).map_err(Failure::Impossible)?;
    if !target.address.ip().is_loopback() && !args.quiet {
        eprintln!("note: {} is not this machine; send load only to what is yours", target.address);
    }
    let (ledger, end) = threads::run(&args, &target, load, payload)?;
    let last = Duration::from_nanos(ledger.last);
    let elapsed = match (end, args.requests, args.lasts()) {
        (End::Stopped(at), _, _) => at,
        (End::Complete, None, Some(duration)) => duration,
        (End::Complete, _, duration) => duration.unwrap_or(last).min(last),
    };
    let measurement = ledger.recorder.clone().finish_at(elapsed);
    let invalid = validity::problems(&ledger, &measurement);
    let result = Result { args, target, ledger, end, measurement, elapsed, invalid };
    print!("{}", summary::text(&result));
    files::write(&result).map_err(Failure::Impossible)?;
    Ok(ExitCode::from(code(&result)))
}

fn code(result: &Result) -> u8 {
    let answered = result.measurement.metrics.get("answered").unwrap_or(0.0);
    match result.end {
        End::Stopped(_) => 130,
        End::Complete if answered == 0.0 => {
            eprintln!("loadgen: not one request was answered");
            3
        }
        End::Complete if !result.invalid.is_empty() => 5,
        End::Complete => 0,
    }
}
