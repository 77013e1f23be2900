//! `loadgen`: what a person uses instead of `ab`, `wrk` or `hey`.
//!
//! The same generator that scenarios use, pointed at one URL: closed loop by default, open loop with `--rate`. It says
//! when its own figures cannot be believed.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::main()
}
