//! Which runs there are: scenarios × cells of their matrix × worlds × seeds.

use std::fmt;

use reports::World;

use crate::language::{Loaded, Variant, world};

/// A run that is to be.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    /// The scenario.
    pub loaded: &'a Loaded,
    /// The cell of its matrix.
    pub variant: &'a Variant,
    /// Where.
    pub world: World,
    /// With which seed.
    pub seed: u64,
}

/// Which worlds were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorldChoice {
    /// Nobody said: the first that the scenario allows.
    First,
    /// All that the scenario allows.
    All,
    /// These; a scenario that does not allow one of them runs in the others.
    These(Vec<World>),
}

/// Why there is nothing to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplannable {
    /// No scenario allows any of the worlds that were asked for.
    NoneAllowed(String),
}

impl fmt::Display for Unplannable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoneAllowed(why) => f.write_str(why),
        }
    }
}

/// The runs, in the order of the scenarios, their cells, worlds and seeds.
///
/// # Errors
/// When there is none.
pub fn plan<'a>(
    loaded: &'a [Loaded],
    choice: &WorldChoice,
    repeat: u32,
) -> Result<Vec<Planned<'a>>, Unplannable> {
    let mut planned = Vec::new();
    let mut refused = String::new();
    for scenario in loaded {
        for variant in &scenario.variants {
            let worlds = worlds(variant, choice);
            if worlds.is_empty() {
                refused = refusal(scenario, variant);
            }
            for world in worlds {
                let seeds = (0..u64::from(repeat)).map(|n| variant.scenario.seed.wrapping_add(n));
                planned.extend(seeds.map(|seed| Planned {
                    loaded: scenario,
                    variant,
                    world,
                    seed,
                }));
            }
        }
    }
    if planned.is_empty() { Err(Unplannable::NoneAllowed(refused)) } else { Ok(planned) }
}

fn worlds(variant: &Variant, choice: &WorldChoice) -> Vec<World> {
    let allowed = |world: &World| variant.allows(*world);
    match choice {
        WorldChoice::First => world::ALL.into_iter().filter(allowed).take(1).collect(),
        WorldChoice::All => world::ALL.into_iter().filter(allowed).collect(),
        WorldChoice::These(worlds) => worlds.iter().copied().filter(allowed).collect(),
    }
}

fn refusal(scenario: &Loaded, variant: &Variant) -> String {
    let reasons: Vec<&str> = variant.exclusions.iter().map(|e| e.reason.as_str()).collect();
    let names: Vec<&str> = variant.scenario.worlds.iter().map(|world| world.as_str()).collect();
    let why = if reasons.is_empty() {
        format!("its `worlds` are {}", names.join(", "))
    } else {
        reasons.join("; ")
    };
    format!("`{}` cannot run in a world that was asked for: {why}", scenario.name)
}
