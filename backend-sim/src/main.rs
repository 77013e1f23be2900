//! The program: simulated backends on real sockets until a signal ends them.
//!
//! It prints `NAME ADDRESS`, one line for each endpoint, as soon as all of them listen: whoever starts it reads these and
//! knows that it may begin. Exit codes: 0, 2 for bad usage, 3 when it could not listen.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use backend_sim::{Remote, Snapshot, run_in_thread};
use clap::{CommandFactory, Parser, error::ErrorKind};
use net::Real;
use policy::Seed;
use tokio::signal::unix::{SignalKind, signal};

mod args;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let groups = match args.groups() {
        Ok(groups) => groups,
        Err(problem) => {
            args::Args::command().error(ErrorKind::ValueValidation, problem).exit();
        }
    };
    let net = Real::new();
    let mut threads: Vec<Remote> = Vec::with_capacity(groups.len());
    for group in groups {
        match run_in_thread(net.clone(), Seed(args.seed), vec![group]) {
            Ok(remote) => threads.push(remote),
            Err(error) => {
                eprintln!("backend-sim: {error}");
                return ExitCode::from(3);
            }
        }
    }
    // Whoever reads the addresses may be gone by the time of the summary: that is no reason to panic.
    let _ = announce(&threads);
    if let Err(error) = wait_for_signal() {
        eprintln!("backend-sim: cannot wait for signals: {error}");
        return ExitCode::from(3);
    }
    let seen = threads.into_iter().filter_map(|remote| remote.stop(args.drain.0).ok()).flatten();
    let _ = summary(&seen.collect::<Vec<_>>());
    ExitCode::SUCCESS
}

fn announce(threads: &[Remote]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (name, address) in threads.iter().flat_map(Remote::endpoints) {
        writeln!(out, "{name} {address}")?;
    }
    out.flush()
}

fn wait_for_signal() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

/// A line for each endpoint that has seen something, and their sum.
fn summary(seen: &[(String, Snapshot)]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let width = seen.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(8);
    writeln!(
        out,
        "{:width$} {:>10} {:>10} {:>8} {:>8} {:>9} {:>7} {:>12}",
        "endpoint", "requests", "completed", "rejected", "failed", "cancelled", "resets", "busy"
    )?;
    let mut line = |name: &str, seen: &Snapshot| {
        writeln!(
            out,
            "{name:width$} {:>10} {:>10} {:>8} {:>8} {:>9} {:>7} {:>10.3} s",
            seen.requests,
            seen.completed,
            seen.rejected,
            seen.failed + seen.bad_requests + seen.mismatches + seen.forbidden,
            seen.cancelled,
            seen.resets,
            seen.busy.as_secs_f64(),
        )
    };
    let mut total = Snapshot::default();
    for (name, one) in seen {
        if one.requests + one.forbidden > 0 {
            line(name, one)?;
        }
        total.requests += one.requests;
        total.completed += one.completed;
        total.rejected += one.rejected;
        total.failed += one.failed + one.bad_requests + one.mismatches + one.forbidden;
        total.cancelled += one.cancelled;
        total.resets += one.resets;
        total.busy += one.busy;
    }
    line("all", &total)?;
    out.flush()
}
