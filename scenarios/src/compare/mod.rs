//! Comparing the variants of a scenario: which runs that takes, and what they come to.
//!
//! Every variant runs with the same seeds, so that in each pair both face the very same requests; and the baseline runs
//! with as many seeds more, so that everybody can see how far the same thing is from itself (A/A runs). Who carries the runs
//! out is the same as for a suite, and so are the runs. `knee` has more of them, at other loads.

pub mod knee;
pub mod vary;

use reports::{Names, Run, World, compare::Contrast, resolve};

use crate::{
    language::{Loaded, Scenario, Variant},
    run::Planned,
};

/// At most so many runs in one comparison: each is held in memory until the end.
pub const MAX_RUNS: usize = 20_000;

/// What is compared, and how.
#[derive(Debug)]
pub struct Design<'a> {
    /// The scenario with its variants.
    pub loaded: &'a Loaded,
    /// Where it runs.
    pub world: World,
    /// The first seed.
    pub seed: u64,
    /// How many seeds.
    pub seeds: usize,
    /// Which variant is the baseline.
    pub baseline: usize,
    /// By which metric.
    pub metric: String,
}

impl Design<'_> {
    /// Every run: the variants in their order, each with every seed, then the baseline with as many other seeds.
    pub fn plan(&self) -> Vec<Planned<'_>> {
        let paired = self
            .loaded
            .variants
            .iter()
            .flat_map(|variant| (0..self.seeds).map(move |place| self.run(variant, place)));
        let again = (self.seeds..2 * self.seeds)
            .map(|place| self.run(&self.loaded.variants[self.baseline], place));
        paired.chain(again).collect()
    }

    /// A run of this variant with the seed at this place.
    fn run<'a>(&'a self, variant: &'a Variant, place: usize) -> Planned<'a> {
        let seed = self.seed.wrapping_add(place as u64);
        Planned { loaded: self.loaded, variant, world: self.world, seed }
    }

    /// What the runs of the whole plan came to.
    pub fn contrast<'r>(&self, runs: &'r [Run]) -> Contrast<'r> {
        let mut groups = runs.chunks(self.seeds).map(|group| group.iter().collect::<Vec<&Run>>());
        let variants = &self.loaded.variants;
        let groups_of: Vec<(String, Vec<&Run>)> =
            variants.iter().map(|v| (label(v), groups.next().unwrap_or_default())).collect();
        let again = groups.next().unwrap_or_default();
        Contrast::new(&self.metric, groups_of, self.baseline, again)
    }
}

/// A variant's name where one thing is varied: its value; else all of them, by the last word of each path.
pub fn label(variant: &Variant) -> String {
    match &variant.cell[..] {
        [] => "as it is".to_owned(),
        [(_, value)] => value.clone(),
        cells => {
            let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
            let cells: Vec<String> =
                cells.iter().map(|(k, v)| format!("{}={v}", last(k))).collect();
            cells.join(", ")
        }
    }
}

/// The place of the variant that `name` means: its whole label, or the one value in it.
///
/// # Errors
/// When there is none, or several; and which there are.
pub fn baseline(variants: &[Variant], name: &str) -> Result<usize, String> {
    let whole = |variant: &Variant| {
        let cells: Vec<String> = variant.cell.iter().map(|(k, v)| format!("{k}={v}")).collect();
        label(variant) == name || cells.join("; ") == name
    };
    if let Some(place) = variants.iter().position(whole) {
        return Ok(place);
    }
    let part = |variant: &Variant| variant.cell.iter().any(|(_, value)| value == name);
    let mut places = (0..variants.len()).filter(|place| part(&variants[*place]));
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (found, _) => {
            let all: Vec<String> = variants.iter().take(30).map(label).collect();
            let why = if found.is_some() { "several variants have" } else { "no variant is" };
            Err(format!("{why} `{name}`; write one of: {}", all.join("; ")))
        }
    }
}

/// The metric of the question where nobody said: that of the first threshold, if it is a figure that can be compared.
pub fn metric(scenario: &Scenario) -> String {
    scenario.thresholds.keys().next().cloned().unwrap_or_else(|| "latency.p99".to_owned())
}

/// Whether the scenario has this metric.
///
/// # Errors
/// What is wrong with the name, and what is nearest.
pub fn known(scenario: &Scenario, metric: &str) -> Result<(), String> {
    let loads: Vec<String> = scenario.load.keys().cloned().collect();
    let phases: Vec<String> = scenario.phases.keys().cloned().collect();
    let endpoints = scenario.all_endpoints();
    let names = Names { loads: &loads, phases: &phases, endpoints: &endpoints };
    resolve(metric, names).map(|_| ())
}
