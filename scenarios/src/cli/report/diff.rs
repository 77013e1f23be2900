//! `windtunnel report diff OLD NEW`: regressions between two result directories.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use reports::{
    diff::{Diff, Question, Results, github, json, markdown, text, trackers},
    files,
    statistics::Better,
    terminal::Colour,
};

use super::super::{
    Exit,
    style::{Style, print},
};

const EXAMPLES: &str = "\
Examples:
  windtunnel run suites/ci --repeat 10 --out old      before the change
  windtunnel run suites/ci --repeat 10 --out new      with it
  windtunnel report diff old new
  windtunnel report diff old new --format github      annotations in a workflow
  windtunnel report diff old new --format customSmallerIsBetter --out benchmarks.json

Runs are paired by scenario, world, variant and seed. A difference is called only where it is significant (exact paired
sign-flip tests, corrected by Holm) and larger than the noise; ten seeds are enough for a suite of which 25 scenarios
changed.

Exit codes: 0 nothing became worse, 1 something did, 2 bad usage or a bad directory, 4 no run of one has a counterpart in
the other.";

/// The arguments of `windtunnel report diff`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DiffArgs {
    /// The results before the change: a directory that `windtunnel run --out` or `compare --out` wrote.
    old: PathBuf,
    /// The results after it.
    new: PathBuf,
    /// Differences smaller than this are not worth a word; larger where OLD's seeds differ by more among themselves.
    #[arg(long, value_name = "PERCENT", default_value = "2%")]
    noise: Percent,
    /// Compare this metric in place of those that every summary has; may be given several times.
    #[arg(long, value_name = "NAME")]
    metric: Vec<String>,
    /// How to say it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write it into this file, and the text to the terminal.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How to say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person at a terminal.
    #[default]
    Text,
    /// Annotations of a GitHub workflow.
    Github,
    /// For a CI step's summary, or a comment.
    Markdown,
    /// Everything that was compared, for programs.
    Json,
    /// NEW's latencies and failures for benchmark-action/github-action-benchmark.
    #[value(name = "customSmallerIsBetter")]
    CustomSmallerIsBetter,
    /// NEW's successes for the same.
    #[value(name = "customBiggerIsBetter")]
    CustomBiggerIsBetter,
    /// NEW's figures in Bencher's metric format.
    Bencher,
}

/// A part in hundred: `2%` or `2`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Percent(f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().trim_end_matches('%').trim_end();
        let value = number.parse::<f64>().ok().filter(|value| (0.0..=1000.0).contains(value));
        value.map(Self).ok_or_else(|| format!("`{text}` is no noise; write such as 2%"))
    }
}

/// Compares, and says what became worse.
pub(super) fn execute(args: &DiffArgs) -> Exit {
    match carry_out(args) {
        Ok(exit) => exit,
        Err((exit, why)) => {
            eprintln!("{}: {why}", Style::of_stderr().red("error"));
            exit
        }
    }
}

fn carry_out(args: &DiffArgs) -> Result<Exit, (Exit, String)> {
    let usage = |why: String| (Exit::Usage, why);
    let old = Results::read(&args.old).map_err(usage)?;
    let new = Results::read(&args.new).map_err(usage)?;
    let question = Question { noise: args.noise.0, metrics: args.metric.clone() };
    let diff = Diff::of(&old, &new, &question).map_err(usage)?;
    if diff.pairs == 0 {
        let why = format!(
            "nothing can be compared: no run of {} has the same scenario, world, variant and seed as one of {}",
            old.name, new.name
        );
        return Err((Exit::NothingMatched, why));
    }
    let colour = Style::of_stdout().colour();
    let said = match (args.format, &args.out) {
        (Format::Text, None) => text::summary(&diff, colour),
        (format, _) => rendered(&diff, &new, format)
            .map_err(|error| (Exit::CouldNotRun, format!("it cannot be written: {error}")))?,
    };
    match &args.out {
        None => print(said.trim_end_matches('\n')),
        Some(file) => {
            files::write(file, said.as_bytes())
                .map_err(|error| (Exit::CouldNotRun, error.to_string()))?;
            print(text::summary(&diff, colour).trim_end_matches('\n'));
        }
    }
    Ok(if diff.is_worse() { Exit::ThresholdFailed } else { Exit::Success })
}

fn rendered(diff: &Diff, new: &Results, format: Format) -> std::io::Result<String> {
    match format {
        Format::Text => Ok(text::summary(diff, Colour::Plain)),
        Format::Github => Ok(github::annotations(diff)),
        Format::Markdown => Ok(markdown::summary(diff)),
        Format::Json => json::document(diff),
        Format::CustomSmallerIsBetter => trackers::action(diff, new, Better::Smaller),
        Format::CustomBiggerIsBetter => trackers::action(diff, new, Better::Larger),
        Format::Bencher => trackers::bencher(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_a_part_in_hundred() {
        assert_eq!(("2%".parse(), "0.5 %".parse()), (Ok(Percent(2.0)), Ok(Percent(0.5))));
        for wrong in ["", "%", "-1%", "nan", "inf", "1e9", "x"] {
            assert!(wrong.parse::<Percent>().is_err(), "{wrong}");
        }
    }
}
