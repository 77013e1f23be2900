//! Writes the report of a suite that was never run, to look at: `sample_report [DIRECTORY]`.

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let directory = std::env::args_os().nth(1).map_or("windtunnel-report".into(), PathBuf::from);
    let mut suite = sample::suite(10.0);
    let mut wide = sample::Plan::new(60.0, 1500.0);
    wide.endpoints = 40;
    let description = "More endpoints than there are colours.";
    suite.runs.push(sample::run("smoke/many_endpoints", description, reports::World::Model, &wide));
    reports::write_all(&directory, &suite)?;
    let compared: Vec<_> = suite.runs[1..4].iter().map(|run| (run.variant_short(), run)).collect();
    if let Some(svg) = reports::html::picture::spectrum(&compared)? {
        reports::files::write(&directory.join("spectrum.svg"), svg.as_bytes())?;
    }
    print!("{}", reports::terminal::summary(&suite, reports::terminal::Colour::Ansi));
    println!("{}", directory.join("index.html").display());
    Ok(())
}
