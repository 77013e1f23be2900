//! `windtunnel run PATH…`: its arguments, which scenarios they choose, and what it prints.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    path::PathBuf,
    str::FromStr,
};

use clap::Args;
use reports::{Suite, World, terminal};

use super::{
    Exit, check, start,
    style::{Style, print},
    verbose,
};
use crate::{
    language::{Loaded, Setting, load_paths, suite},
    run::{self, Carried, Completion, Conduct, Patience, WorldChoice},
    sim::Network,
};

const EXAMPLES: &str = "\
Examples:
  windtunnel run scenarios/suites/ci --filter crash
  windtunnel run my.toml --set proxy.balance.strategy=p2c --set backends.web.count=10
  windtunnel run my.toml --seed 7 --repeat 5 --out reports/today

A run that does not pass prints the exact command that repeats it.
The first Ctrl-C ends the runs and the report is still written, the second ends the program.";

/// The arguments of `windtunnel run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Scenario files, or directories that are searched for them.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The world to run in: model (decisions and queues, no bytes), sim (the engine on a simulated network), live (real
    /// sockets), several with commas, or all that the scenario allows. By default the first that it allows of sim,
    /// model and live.
    #[arg(long, value_name = "WORLDS")]
    pub world: Option<Worlds>,
    /// The network of the sim world: memory (ours, exact to the microsecond) or turmoil (an independent simulator, slower
    /// and coarser, that judges it).
    #[arg(long, value_name = "NETWORK", default_value_t)]
    pub network: Network,
    /// The seed, in place of the scenario's own.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Run each so many times, with the seeds N, N+1, … from its seed on.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeat: u32,
    /// Set a value over the files, such as proxy.balance.strategy=p2c; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<Setting>,
    /// Only scenarios whose name contains this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub filter: Vec<String>,
    /// The directory of the report: index.html, summary.csv, junit.xml and more.
    #[arg(long, value_name = "DIR", default_value = "windtunnel-report")]
    pub out: PathBuf,
    /// Run only part M of N of the scenarios, for machines that share a suite: 1/3, 2/3 and 3/3.
    #[arg(long, value_name = "M/N")]
    pub shard: Option<Shard>,
    /// How many runs at a time in model and sim, one for each processor by default; live runs always go one at a time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Measure again, up to so many times, when the machine was too busy for a live measurement to be valid.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub again: u32,
    /// Stop at the first run that does not pass.
    #[arg(long)]
    pub fail_fast: bool,
    /// Say on standard error what the proxy reports while it runs: ejections, health checks, cut connections.
    #[arg(long, short)]
    pub verbose: bool,
}

impl RunArgs {
    /// So many runs go on at once.
    fn jobs(&self) -> NonZeroUsize {
        start::jobs(self.jobs.and_then(NonZeroU16::new))
    }
}

/// Which worlds to run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worlds {
    /// All that the scenario allows.
    All,
    /// These.
    These(Vec<World>),
}

impl FromStr for Worlds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let mut worlds: Vec<World> = Vec::new();
        for name in text.split(',') {
            let world = name.trim().parse().map_err(|why| format!("{why}, or all"))?;
            if !worlds.contains(&world) {
                worlds.push(world);
            }
        }
        Ok(Self::These(worlds))
    }
}

/// One of several equal parts of a suite, for machines that share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part, from 1.
    pub part: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// Whether the `index`th scenario, from 0, belongs to it.
    pub fn has(self, index: usize) -> bool {
        index % self.of == self.part - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(part, of)| {
            Some(Self { part: part.trim().parse().ok()?, of: of.trim().parse().ok()? })
        });
        parts.filter(|shard| (1..=shard.of).contains(&shard.part)).ok_or_else(|| {
            format!("`{text}` is no part of a suite; write the first of three as 1/3")
        })
    }
}

/// The scenarios that are chosen, read and checked.
pub fn select(args: &RunArgs) -> Result<Vec<Loaded>, suite::Failure> {
    let mut loaded = load_paths(&args.paths, &args.settings)?;
    let chosen = |name: &str| {
        args.filter.is_empty() || args.filter.iter().any(|text| name.contains(text.as_str()))
    };
    loaded.retain(|scenario| chosen(&scenario.name));
    if loaded.is_empty() {
        let filters = args.filter.join("`, `");
        let why = format!("no scenario's name contains `{filters}`");
        return Err(suite::Failure::Nothing(why));
    }
    for (place, scenario) in loaded.iter_mut().enumerate() {
        scenario.place = place;
    }
    if let Some(shard) = args.shard {
        let mut index = 0..;
        loaded.retain(|_| index.next().is_some_and(|index| shard.has(index)));
    }
    if let Some(seed) = args.seed {
        for variant in loaded.iter_mut().flat_map(|scenario| &mut scenario.variants) {
            variant.scenario.seed = seed;
        }
    }
    Ok(loaded)
}

/// Runs what was asked for, writes the report and prints the summary.
pub fn execute(args: &RunArgs) -> Exit {
    let style = Style::of_stderr();
    let fail = |why: &str| eprintln!("{}: {why}", style.red("error"));
    let loaded = match select(args) {
        Ok(loaded) => loaded,
        Err(failure) => return check::report(&failure, style),
    };
    for scenario in &loaded {
        check::warn(scenario, style);
    }
    let choice = match &args.world {
        None => WorldChoice::First,
        Some(Worlds::All) => WorldChoice::All,
        Some(Worlds::These(worlds)) => WorldChoice::These(worlds.clone()),
    };
    if loaded.is_empty() {
        fail("nothing matched: this shard has no scenario");
        return Exit::NothingMatched;
    }
    let planned = match run::plan(&loaded, &choice, args.repeat) {
        Ok(planned) => planned,
        Err(why) => {
            fail(&why.to_string());
            return Exit::Usage;
        }
    };
    let begun = match start::begin(&args.out) {
        Ok(begun) => begun,
        Err(why) => {
            fail(&why);
            return Exit::CouldNotRun;
        }
    };
    if args.verbose {
        verbose::start(style);
    }
    let progress = run::Progress::new(planned.len());
    progress.announce(&planned);
    let patience = if args.fail_fast { Patience::FirstFailure } else { Patience::All };
    let conduct = Conduct { patience, again: args.again, jobs: args.jobs(), network: args.network };
    let Carried { runs, completion, virtual_elapsed } =
        run::carry_out(&planned, conduct, &begun.interrupt, &progress);
    progress.finish();
    let manifest = begun.manifest(virtual_elapsed);
    let suite = Suite { runs, manifest };
    print(&terminal::summary(&suite, Style::of_stdout().colour()));
    if let Err(error) = run::write(&args.out, &suite) {
        fail(&format!("the report could not be written: {error}"));
        return Exit::CouldNotRun;
    }
    print(&format!("report: {}", args.out.join("index.html").display()));
    match completion {
        Completion::Interrupted => Exit::Interrupted,
        Completion::Done => Exit::of_verdict(&suite.worst()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_a_suite_without_gaps() {
        for of in 1..5 {
            for index in 0..20 {
                let parts = (1..=of).filter(|part| Shard { part: *part, of }.has(index));
                assert_eq!(parts.count(), 1);
            }
        }
        assert_eq!("2/3".parse(), Ok(Shard { part: 2, of: 3 }));
        for wrong in ["0/3", "4/3", "3", "a/b", "1/0", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn worlds_are_a_list_or_all() {
        assert_eq!("all".parse(), Ok(Worlds::All));
        assert_eq!("live, sim,live".parse(), Ok(Worlds::These(vec![World::Live, World::Sim])));
        assert!(
            "mars".parse::<Worlds>().expect_err("no world").contains("model, sim or live, or all")
        );
    }
}
