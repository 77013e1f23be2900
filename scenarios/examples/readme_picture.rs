//! Makes the picture of the README from a run of five strategies in the simulated world:
//! `cargo run --release -p scenarios --example readme_picture -- docs/strategies.svg`.

use std::num::NonZeroUsize;

use std::{env, fs, process::ExitCode};

use reports::Run;
use scenarios::{
    interrupt::Interrupt,
    language::load_paths,
    run::{self, Conduct, Patience, Progress, WorldChoice},
    sim::Network,
};

/// More lines could not be told apart.
const SHOWN: [&str; 5] = ["round_robin", "random", "p2c", "least_connections", "peak_ewma"];

fn main() -> ExitCode {
    let target = env::args().nth(1).unwrap_or_else(|| "strategies.svg".to_owned());
    let suite = ["scenarios/suites/compare/slow-endpoint.toml".into()];
    let Ok(mut loaded) = load_paths(&suite, &[]) else {
        eprintln!("run this from the root of the repository");
        return ExitCode::FAILURE;
    };
    for each in &mut loaded {
        each.variants
            .retain(|variant| SHOWN.contains(&variant.scenario.proxy.balance.strategy.name()));
    }
    let planned = match run::plan(&loaded, &WorldChoice::First, 1) {
        Ok(planned) => planned,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let conduct = Conduct {
        patience: Patience::All,
        again: 2,
        jobs: NonZeroUsize::MIN,
        network: Network::default(),
    };
    let progress = Progress::new(planned.len());
    let runs = run::carry_out(&planned, conduct, &Interrupt::never(), &progress).runs;
    let labelled: Vec<(String, &Run)> =
        runs.iter().map(|run| (run.variant[0].1.clone(), run)).collect();
    let written = reports::html::picture::spectrum(&labelled)
        .and_then(|picture| fs::write(&target, picture.unwrap_or_default()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{target}: {error}");
            ExitCode::FAILURE
        }
    }
}
