//! The knee of a comparison: each variant's metric at other loads than the scenario's own.
//!
//! A ladder of loads, each with the first few seeds of the comparison. It shows a course and proves nothing, so nothing is tested on it and
//! no sentence rests on it; the highest load that holds is what `windtunnel search` finds.

use super::figures;
use crate::format::plain;
use crate::run::Run;
use crate::statistics::median;
use std::io;

/// The ladders of all variants.
#[derive(Clone, Debug, Default)]
pub struct Knee {
    /// A line a variant, in the order of the scenario.
    pub lines: Vec<Line>,
    /// With how many seeds each load ran.
    pub seeds: usize,
    /// The limit of a threshold on the metric of the comparison.
    pub limit: Option<f64>,
    /// Why there is no line, or why the lines end where they do; empty where there is nothing to say.
    pub remark: String,
    /// Why a run of it could not be carried out, and the command that repeats it.
    pub broken: Option<(String, String)>,
}

/// One variant at several loads.
#[derive(Clone, Debug)]
pub struct Line {
    /// What tells it from the others; that of the comparison.
    pub label: String,
    /// By the load.
    pub steps: Vec<Step>,
}

/// One variant at one load.
#[derive(Clone, Debug)]
pub struct Step {
    /// The load as a factor of the scenario's.
    pub factor: f64,
    /// A run for each seed.
    pub runs: Vec<Figures>,
}

/// What a run of a step came to.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Its seed.
    pub seed: u64,
    /// Requests due a second.
    pub rate: f64,
    /// The metric of the comparison; not a number where the run has none.
    pub value: f64,
    /// The part of the requests that succeeded.
    pub success: f64,
    /// The command that repeats the run.
    pub command: String,
}

impl Figures {
    /// Of a run, by the metric of the comparison.
    pub fn of(run: &Run, metric: &str) -> Self {
        let of = |name: &str| figures(&[run], name)[0];
        Figures {
            seed: run.seed,
            rate: of("offered_rate"),
            value: of(metric),
            success: of("success_ratio"),
            command: run.command.clone(),
        }
    }
}

impl Line {
    /// (requests offered in a second, the metric): medians over seeds, for each load that has both.
    pub fn points(&self) -> Vec<(f64, f64)> {
        let of = |step: &Step| {
            let all = |of: fn(&Figures) -> f64| step.runs.iter().map(of).collect::<Vec<f64>>();
            Some((median(&all(|run| run.rate))?, median(&all(|run| run.value))?))
        };
        self.steps.iter().filter_map(of).collect()
    }
}

impl Knee {
    fn factors(&self) -> impl Iterator<Item = f64> {
        self.lines.iter().flat_map(|line| &line.steps).map(|step| step.factor)
    }

    /// The smallest factor.
    pub fn least(&self) -> f64 {
        self.factors().min_by(f64::total_cmp).unwrap_or(1.0)
    }

    /// The largest factor.
    pub fn most(&self) -> f64 {
        self.factors().max_by(f64::total_cmp).unwrap_or(1.0)
    }
}

/// `knee.csv`: a row a run.
///
/// # Errors
/// None in memory; the signature is the CSV writer's.
pub fn csv(knee: &Knee, scenario: &str, world: &str, metric: &str) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "scenario",
        "world",
        "variant",
        "load_factor",
        "seed",
        "offered_rate_rps",
        "metric",
        "value",
        "success_ratio",
        "command",
    ])?;
    let cell = |value: f64| if value.is_finite() { plain(value) } else { String::new() };
    for line in &knee.lines {
        for step in &line.steps {
            for run in &step.runs {
                writer.write_record([
                    scenario.to_owned(),
                    world.to_owned(),
                    line.label.clone(),
                    plain(step.factor),
                    run.seed.to_string(),
                    cell(run.rate),
                    metric.to_owned(),
                    cell(run.value),
                    cell(run.success),
                    run.command.clone(),
                ])?;
            }
        }
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(factor: f64, values: [f64; 2]) -> Step {
        let run = |(place, value): (usize, f64)| Figures {
            seed: 7 + place as u64,
            rate: 600.0 * factor + place as f64,
            value,
            success: 1.0,
            command: "windtunnel run a.toml".to_owned(),
        };
        Step { factor, runs: values.into_iter().enumerate().map(run).collect() }
    }

    fn knee() -> Knee {
        let line = |label: &str, steps| Line { label: label.to_owned(), steps };
        Knee {
            lines: vec![
                line("p2c", vec![step(0.5, [10.0, 12.0]), step(2.0, [20.0, f64::NAN])]),
                line("random", vec![step(0.5, [f64::NAN; 2]), step(2.0, [30.0, 40.0])]),
            ],
            seeds: 2,
            limit: Some(250.0),
            remark: String::new(),
            broken: None,
        }
    }

    #[test]
    fn points_are_medians_of_what_there_is() {
        let knee = knee();
        assert_eq!(knee.lines[0].points(), [(300.5, 11.0), (1200.5, 20.0)]);
        assert_eq!(knee.lines[1].points(), [(1200.5, 35.0)]);
        assert_eq!((knee.least(), knee.most()), (0.5, 2.0));
        assert!(Knee::default().lines.is_empty());
    }

    #[test]
    fn the_file_has_a_row_a_run() {
        let csv = csv(&knee(), "compare/slow", "model", "latency.p99").expect("in memory");
        insta::assert_snapshot!(String::from_utf8(csv).expect("text"));
    }
}
