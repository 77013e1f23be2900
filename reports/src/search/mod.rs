//! A search for capacity: for each variant the loads that were tried, what they came to, and between which two it ends.
//!
//! Plain data from whoever searched; the terminal, `search.csv` and the page say the same of it. Values of a try are medians over
//! its seeds.

pub mod csv;
mod directory;
pub mod junit;
pub mod markdown;
pub mod page;
pub mod text;

use crate::metrics::Unit;
use crate::run::{Verdict, World};
pub use directory::write;

/// The search of all variants of a scenario.
#[derive(Clone, Debug)]
pub struct Study {
    /// The scenario's name.
    pub scenario: String,
    /// What it is about.
    pub description: String,
    /// Where it ran.
    pub world: World,
    /// The metric that is shown for each load.
    pub metric: String,
    /// Its unit.
    pub unit: Unit,
    /// Its limit, where a threshold is on it.
    pub limit: Option<f64>,
    /// What had to hold, as the scenario writes it.
    pub thresholds: Vec<String>,
    /// The only load that was scaled; `None` when all were.
    pub scaled: Option<String>,
    /// The first seed.
    pub seed: u64,
    /// How many seeds a try had.
    pub seeds: u32,
    /// How far apart holding and breaking may be, as a part of the load.
    pub precision: f64,
    /// By what the result was confirmed: `runs 4 times as long with other seeds`.
    pub confirmed: String,
    /// What was found for each variant, the highest capacity first.
    pub capacities: Vec<Capacity>,
}

/// What was found for a variant.
#[derive(Clone, Debug)]
pub struct Capacity {
    /// What tells it from the others.
    pub label: String,
    /// (dotted path, value) of its cell.
    pub variant: Vec<(String, String)>,
    /// Every load that was tried, in that order.
    pub tries: Vec<Try>,
    /// Where it ends.
    pub found: Found,
}

/// Where the load that holds ends; places in the list of tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The confirmed load, and the lowest one above it that did not hold.
    Between {
        /// The highest load that holds.
        holds: usize,
        /// The lowest above it that does not.
        breaks: usize,
    },
    /// It held as far as was tried.
    Always {
        /// The highest load that was tried.
        holds: usize,
    },
    /// It held at no load that was tried.
    Never {
        /// The lowest load that has figures.
        breaks: usize,
    },
}

/// One load that was tried.
#[derive(Clone, Debug)]
pub struct Try {
    /// The load as a factor of the scenario's.
    pub factor: f64,
    /// Requests due a second.
    pub rate: Option<f64>,
    /// With how many seeds.
    pub seeds: usize,
    /// With how many of them it held.
    pub held: usize,
    /// Whether that is more than half.
    pub holds: bool,
    /// Whether this was to confirm what was found: longer, or with more seeds.
    pub is_confirming: bool,
    /// The study's metric.
    pub value: Option<f64>,
    /// What did not hold, if it did not with a seed.
    pub broke: Option<Broke>,
    /// The command that repeats one of its runs, one that did not hold if there is one.
    pub command: String,
}

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broke {
    /// Of which kind.
    pub cause: Cause,
    /// The threshold as it is written, or the reason.
    pub what: String,
    /// What it was there; empty where that has no figure.
    pub value: String,
}

/// Why a load does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A threshold or an invariant.
    Threshold,
    /// Not all that was due could be sent.
    Unsent,
    /// The load generator, on real sockets, was at its own limit: this says nothing about the proxy.
    Generator,
    /// The run could not be carried out.
    Error,
}

impl Capacity {
    /// The try at the highest load that holds.
    pub fn best(&self) -> Option<&Try> {
        match self.found {
            Found::Between { holds, .. } | Found::Always { holds } => self.tries.get(holds),
            Found::Never { .. } => None,
        }
    }

    /// The try at the lowest load above it that does not.
    pub fn above(&self) -> Option<&Try> {
        match self.found {
            Found::Between { breaks, .. } | Found::Never { breaks } => self.tries.get(breaks),
            Found::Always { .. } => None,
        }
    }

    /// The highest load that holds, as a factor; 0 if none does.
    pub fn factor(&self) -> f64 {
        self.best().map_or(0.0, |tried| tried.factor)
    }

    /// The same in requests a second.
    pub fn rate(&self) -> f64 {
        self.best().and_then(|tried| tried.rate).unwrap_or(0.0)
    }

    /// Whether it was found: a pass; else as the exit code has it. An error where runs could not be carried out, not valid where
    /// the load generator's own limit ended it, and a failure where it does not hold at any load.
    pub fn verdict(&self) -> Verdict {
        let broke = self.above().and_then(|tried| tried.broke.as_ref());
        match broke.map(|broke| (broke.cause, &broke.what)) {
            Some((Cause::Error, why)) => Verdict::Error(why.clone()),
            Some((Cause::Generator, why)) => Verdict::Invalid(why.clone()),
            _ if self.best().is_none() => Verdict::Fail,
            _ => Verdict::Pass,
        }
    }
}

impl Study {
    /// The verdict that weighs most: what the whole search ends with.
    pub fn verdict(&self) -> Verdict {
        let worst = self.capacities.iter().map(Capacity::verdict);
        worst.max_by_key(Verdict::severity).unwrap_or(Verdict::Pass)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn tried(factor: f64, value: f64, holds: bool, is_confirming: bool) -> Try {
        let broke = Broke {
            cause: Cause::Threshold,
            what: "latency.p99 <= 250ms".to_owned(),
            value: format!("{value} ms"),
        };
        Try {
            factor,
            rate: Some(600.0 * factor),
            seeds: 3,
            held: if holds { 3 } else { 0 },
            holds,
            is_confirming,
            value: Some(value),
            broke: (!holds).then_some(broke),
            command: "windtunnel run a.toml".to_owned(),
        }
    }

    pub(crate) fn study() -> Study {
        let capacity = |label: &str, tries, found| Capacity {
            label: label.to_owned(),
            variant: vec![("proxy.balance.strategy".to_owned(), label.to_owned())],
            tries,
            found,
        };
        let tries = |best: f64| {
            vec![
                tried(1.0, 80.0, true, false),
                tried(best * 1.01, 260.0, false, false),
                tried(best, 249.0, true, true),
            ]
        };
        let found = Found::Between { holds: 2, breaks: 1 };
        Study {
            scenario: "compare/slow-endpoint".to_owned(),
            description: "One endpoint is slow.".to_owned(),
            world: World::Model,
            metric: "latency.p99".to_owned(),
            unit: Unit::Milliseconds,
            limit: Some(250.0),
            thresholds: vec!["latency.p99 <= 250ms".to_owned()],
            scaled: None,
            seed: 7,
            seeds: 3,
            precision: 0.01,
            confirmed: "runs 4 times as long with other seeds".to_owned(),
            capacities: vec![
                capacity("first", vec![tried(64.0, 9.0, true, true)], Found::Always { holds: 0 }),
                capacity("peak_ewma", tries(5.0), found),
                capacity("p2c", tries(4.0), found),
                capacity(
                    "random",
                    vec![tried(0.001, 900.0, false, false)],
                    Found::Never { breaks: 0 },
                ),
            ],
        }
    }

    #[test]
    fn the_sentence_and_the_table() {
        insta::assert_snapshot!(text::summary(&study()));
    }

    #[test]
    fn a_search_in_which_nothing_could_be_run_says_why() {
        let mut study = study();
        let mut broken = study.capacities.pop().expect("one that holds at no load");
        let what = "the address is taken".to_owned();
        broken.tries[0].broke = Some(Broke { cause: Cause::Error, what, value: String::new() });
        study.capacities = vec![broken];
        assert_eq!(
            text::sentence(&study),
            "No variant holds at any load that was tried: at 0.6/s (× 0.001), the address is taken."
        );
    }

    #[test]
    fn the_figures() {
        let csv = csv::search(&study()).expect("in memory");
        insta::assert_snapshot!(String::from_utf8(csv).expect("text"));
    }

    #[test]
    fn for_ci_it_says_what_the_exit_code_says() {
        let xml = |study: &Study| {
            String::from_utf8(junit::report(study).expect("in memory")).expect("text")
        };
        let mut study = study();
        insta::assert_snapshot!(xml(&study));
        insta::assert_snapshot!(markdown::summary(&study));
        assert_eq!(study.verdict(), Verdict::Fail, "one holds at no load");
        let last = study.capacities.pop().expect("that one");
        let counts = |study: &Study| {
            ["<failure", "<error"].map(|element| xml(study).matches(element).count())
        };
        assert_eq!((study.verdict(), counts(&study)), (Verdict::Pass, [0, 0]));
        for (cause, verdict) in [
            (Cause::Generator, Verdict::Invalid("why".to_owned())),
            (Cause::Error, Verdict::Error("why".to_owned())),
        ] {
            let mut broken = last.clone();
            let what = "why".to_owned();
            broken.tries[0].broke = Some(Broke { cause, what, value: String::new() });
            study.capacities.push(broken);
            assert_eq!((study.verdict(), counts(&study)), (verdict, [0, 1]));
            study.capacities.pop();
        }
    }

    #[test]
    fn the_page_has_all_variants_and_the_chart() {
        let page = page::index(&study()).expect("in memory");
        for text in ["peak_ewma", "p2c", "first", "random", "<svg", "search.csv"] {
            assert!(page.contains(text), "{text}");
        }
    }
}
