//! Writes the report of a suite that was never run, to look at: `sample_report [DIRECTORY]`.

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let directory = std::env::args_os().nth(1).map_or("windtunnel-report".into(), PathBuf::from);
    let suite = sample::suite(10.0);
    reports::write_all(&directory, &suite)?;
    print!("{}", reports::terminal::summary(&suite, reports::terminal::Colour::Ansi));
    println!("{}", directory.join("index.html").display());
    Ok(())
}
