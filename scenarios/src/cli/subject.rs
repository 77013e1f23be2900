//! What commands about one scenario have in common: which it is with its variants, and where all of them can run.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    path::PathBuf,
};

use clap::Args;
use proxy::config::document::Error;
use reports::World;

use super::start;

use crate::{
    compare::vary::{self, Vary},
    language::{Loaded, Setting, suite},
    run::{Conduct, Patience},
    sim::Network,
};

/// The arguments about which scenario it is, and how its runs are carried out.
#[derive(Clone, Debug, Args)]
pub(super) struct Subject {
    /// The scenario file.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Vary this in place of the file's own matrix; may be given several times, for the product.
    #[arg(long, value_name = "KEY=A,B,C")]
    vary: Vec<Vary>,
    /// Set a value over the file; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
    /// The world to run in: model, sim or live; by default the first of them that the scenario allows.
    #[arg(long, value_name = "WORLD")]
    pub(super) world: Option<World>,
    /// The first seed, in place of the scenario's own.
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// How many runs at a time; one for each processor by default.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroU16>,
}

impl Subject {
    /// So many runs at a time.
    pub(super) fn jobs(&self) -> NonZeroUsize {
        start::jobs(self.jobs)
    }

    /// How to carry out runs that answer one question together.
    pub(super) fn conduct(&self) -> Conduct {
        Conduct {
            patience: Patience::All,
            again: 2,
            jobs: self.jobs(),
            network: Network::default(),
        }
    }
}

/// The one scenario at the path, with the settings, and the axes in place of its own matrix; `done` is what is done with it.
pub(super) fn load(subject: &Subject, done: &str) -> Result<Loaded, suite::Failure> {
    let Subject { path, settings, vary: axes, .. } = subject;
    let mut found = suite::find(std::slice::from_ref(path))?;
    if found.len() > 1 {
        let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
        let why = format!(
            "{} has {} scenarios, and one is {done} at a time; name the file of one of: {}",
            path.display(),
            found.len(),
            names.join(", ")
        );
        return Err(suite::Failure::Wrong(Error::message(why)));
    }
    let nothing = || suite::Failure::Nothing(path.display().to_string());
    let found = found.pop().ok_or_else(nothing)?;
    Ok(vary::load(&found, settings, axes)?)
}

/// The world that was asked for, or the first of model, sim and live that every variant can run in.
///
/// # Errors
/// Why there is none.
pub(super) fn world(asked: Option<World>, loaded: &Loaded) -> Result<World, String> {
    let choice = match asked {
        Some(world) => vec![world],
        None => vec![World::Model, World::Sim, World::Live],
    };
    let all = |world: &World| loaded.variants.iter().all(|variant| variant.allows(*world));
    choice.iter().copied().find(all).ok_or_else(|| {
        let names: Vec<&str> = choice.iter().map(|world| world.as_str()).collect();
        let excluded = loaded.variants.iter().flat_map(|variant| &variant.exclusions);
        let reason =
            excluded.filter(|e| choice.contains(&e.world)).map(|e| e.reason.as_str()).next();
        let reason = reason.unwrap_or("its `worlds` do not have it");
        format!("not every variant can run in {}: {reason}", names.join(", "))
    })
}
