//! The `windtunnel` program.

fn main() -> std::process::ExitCode {
    scenarios::cli::main().into()
}
