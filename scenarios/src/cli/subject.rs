//! What commands about one scenario have in common: which it is with its variants, and where all of them can run.

use std::path::PathBuf;

use proxy::config::document::Error;
use reports::World;

use crate::{
    compare::vary::{self, Vary},
    language::{Loaded, Setting, suite},
};

/// The one scenario at `path`, with these settings, and these axes in place of its own matrix; `done` is what is done with it.
pub(super) fn load(
    path: &PathBuf,
    settings: &[Setting],
    axes: &[Vary],
    done: &str,
) -> Result<Loaded, suite::Failure> {
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
