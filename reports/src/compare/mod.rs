//! A comparison: several variants of one scenario, each with the same seeds, against one of them.
//!
//! Built from runs and nothing else, so that what the terminal, `compare.csv` and the page say is the same. Values are
//! medians over seeds of each run's own figure; where times of several seeds are shown as one curve their histograms are
//! merged, and no percentile is ever averaged. The baseline is run once more with other seeds, and how far it then is from
//! itself is the noise floor.

pub mod csv;
pub(crate) mod directory;
pub mod junit;
pub mod knee;
pub mod markdown;
pub mod page;
mod quality;
pub(crate) mod sentence;
pub mod text;

pub use directory::write;
pub use quality::Quality;
pub use sentence::sentence;

use crate::metrics::Unit;
use crate::record::{Distribution, Interval};
use crate::run::{Run, Verdict};
use crate::statistics::{Better, Comparison, Judged, NoiseFloor, judge, median, paired_ratios};

/// What else is looked at besides the metric of the question, to see what a variant costs.
const SECOND: [&str; 5] =
    ["latency.mean", "latency.p50", "latency.p99", "success_ratio", "retries"];

/// Several variants against one of them.
#[derive(Debug)]
pub struct Contrast<'a> {
    /// The metric of the question.
    pub metric: String,
    /// Its unit.
    pub unit: Unit,
    /// Which way it is better.
    pub better: Better,
    /// The variants, best first.
    pub variants: Vec<Variant<'a>>,
    /// Where the baseline stands among them.
    pub baseline: usize,
    /// The baseline against itself.
    pub again: Again<'a>,
    /// The endpoint that an event slows, if one does.
    pub slow: Option<String>,
}

/// One variant with its runs.
#[derive(Debug)]
pub struct Variant<'a> {
    /// What tells it from the others.
    pub label: String,
    /// Its runs, in the order of the seeds.
    pub runs: Vec<&'a Run>,
    /// The median over the seeds.
    pub median: Option<f64>,
    /// Against the baseline; `None` for the baseline itself.
    pub judged: Option<Judged>,
    /// Against the baseline by other metrics, each a family of its own; empty for the baseline itself.
    pub others: Vec<(&'static str, Judged)>,
    /// How its decisions were.
    pub quality: Quality,
}

/// The baseline with other seeds.
#[derive(Debug)]
pub struct Again<'a> {
    /// Its runs.
    pub runs: Vec<&'a Run>,
    /// These against the baseline's.
    pub comparison: Comparison,
    /// What follows: how far apart the same is from itself.
    pub floor: NoiseFloor,
}

impl<'a> Contrast<'a> {
    /// Compares by `metric`. `variants` are labels with their runs in the order of the seeds, the same for all;
    /// `baseline` is the place of one of them and `again` are its runs with other seeds.
    pub fn new(
        metric: &str,
        variants: Vec<(String, Vec<&'a Run>)>,
        baseline: usize,
        again: Vec<&'a Run>,
    ) -> Self {
        let better = better(metric);
        let families = Family::of(metric, &variants, baseline, &again);
        let present = |name: &&'static str| {
            *name != metric
                && variants.iter().any(|(_, runs)| median(&figures(runs, name)).is_some())
        };
        let others: Vec<(&'static str, Family)> = SECOND
            .into_iter()
            .filter(present)
            .map(|name| (name, Family::of(name, &variants, baseline, &again)))
            .collect();
        let slow = variants.iter().flat_map(|(_, runs)| runs).find_map(|run| quality::slowed(run));
        let unit = variants
            .iter()
            .flat_map(|(_, runs)| runs)
            .find_map(|run| {
                run.measurement.metrics.iter().find(|(name, _)| *name == metric).map(|m| m.1.unit)
            })
            .unwrap_or(Unit::Ratio);
        let mut all: Vec<(usize, Variant<'a>)> = variants
            .into_iter()
            .enumerate()
            .map(|(place, (label, runs))| {
                let variant = Variant {
                    label,
                    median: median(&figures(&runs, metric)),
                    judged: families.judged[place],
                    others: others
                        .iter()
                        .filter_map(|(name, family)| Some((*name, family.judged[place]?)))
                        .collect(),
                    quality: Quality::of(&runs, slow.as_deref()),
                    runs,
                };
                (place, variant)
            })
            .collect();
        let key = |variant: &Variant<'_>| match (variant.median, better) {
            (None, _) => f64::INFINITY,
            (Some(value), Better::Smaller) => value,
            (Some(value), Better::Larger) => -value,
        };
        // Where clients lose patience the tails of all are equal: then the mean decides.
        let mean = |variant: &Variant<'_>| {
            median(&figures(&variant.runs, "latency.mean")).unwrap_or(f64::INFINITY)
        };
        all.sort_by(|(a, one), (b, other)| {
            let by_metric = key(one).total_cmp(&key(other));
            by_metric.then(mean(one).total_cmp(&mean(other))).then(a.cmp(b))
        });
        let baseline = all.iter().position(|(place, _)| *place == baseline).unwrap_or(0);
        Contrast {
            metric: metric.to_owned(),
            unit,
            better,
            variants: all.into_iter().map(|(_, variant)| variant).collect(),
            baseline,
            again: Again { runs: again, comparison: families.again, floor: families.floor },
            slow,
        }
    }

    /// Why a run of it could not be carried out; nothing where all could.
    pub fn broken(&self) -> Option<String> {
        let runs = self.variants.iter().flat_map(|variant| &variant.runs);
        runs.chain(&self.again.runs).find_map(|run| error(run))
    }

    /// Why a run of it is no measurement, and how many are none; nothing where all are.
    pub fn invalid(&self) -> Option<String> {
        let runs = self.variants.iter().flat_map(|variant| &variant.runs).chain(&self.again.runs);
        let mut invalid = runs.filter(|run| matches!(run.verdict, Verdict::Invalid(_)));
        let first = invalid.next()?;
        let others = match invalid.count() {
            0 => String::new(),
            1 => "; and another run".to_owned(),
            more => format!("; and {more} other runs"),
        };
        Some(format!("{}: {}{others}", first.title(), first.verdict.reason().unwrap_or_default()))
    }

    /// How many seeds each variant has.
    pub fn seeds(&self) -> usize {
        self.variants.iter().map(|variant| variant.runs.len()).max().unwrap_or(0)
    }
}

impl Variant<'_> {
    /// All its response times in one.
    pub fn response(&self) -> Distribution {
        let mut all = Distribution::new();
        for run in &self.runs {
            all.merge(&run.measurement.response);
        }
        all
    }

    /// The same by interval.
    pub fn intervals(&self) -> Vec<Interval> {
        let mut runs = self.runs.iter().map(|run| &run.measurement.intervals);
        let mut all: Vec<Interval> = runs.next().cloned().unwrap_or_default();
        for interval in runs.flatten() {
            match all.binary_search_by_key(&interval.slot.from, |one| one.slot.from) {
                Ok(place) => {
                    let one = &mut all[place];
                    one.buckets.add(&interval.buckets);
                    one.greatest = one.greatest.max(interval.greatest);
                }
                Err(place) => all.insert(place, interval.clone()),
            }
        }
        all
    }
}

/// All variants by one metric.
struct Family {
    judged: Vec<Option<Judged>>,
    again: Comparison,
    floor: NoiseFloor,
}

impl Family {
    fn of(metric: &str, variants: &[(String, Vec<&Run>)], baseline: usize, again: &[&Run]) -> Self {
        let base = variants.get(baseline).map(|(_, runs)| figures(runs, metric));
        let base = base.unwrap_or_default();
        // Resampling is seeded by the first seed: the same runs, the same report.
        let seed = variants.first().and_then(|(_, runs)| runs.first()).map_or(0, |run| run.seed);
        let ratios = paired_ratios(&base, &figures(again, metric));
        let floor = NoiseFloor::of(&ratios, seed).unwrap_or(NoiseFloor::NONE);
        let candidates = variants.iter().enumerate().filter(|(place, _)| *place != baseline);
        let family: Vec<Comparison> = candidates
            .map(|(_, (_, runs))| Comparison::of(&base, &figures(runs, metric), seed))
            .collect();
        let mut rest = judge(&family, floor, better(metric)).into_iter();
        let judged = (0..variants.len())
            .map(|place| if place == baseline { None } else { rest.next() })
            .collect();
        Family { judged, again: Comparison::of_ratios(&ratios, seed), floor }
    }
}

/// Why the run could not be carried out, with its name; nothing where it could.
pub fn error(run: &Run) -> Option<String> {
    match &run.verdict {
        Verdict::Error(why) => Some(format!("{}: {why}", run.title())),
        _ => None,
    }
}

/// A run's figure each; not a number where a run has none.
pub fn figures(runs: &[&Run], metric: &str) -> Vec<f64> {
    let figure = |run: &&Run| match run.verdict {
        Verdict::Error(_) => f64::NAN,
        _ => run.measurement.metrics.get(metric).unwrap_or(f64::NAN),
    };
    runs.iter().map(figure).collect()
}

/// Which way a metric is better, by its last word.
pub fn better(metric: &str) -> Better {
    match metric.rsplit('.').next().unwrap_or(metric) {
        "ok" | "answered" | "rate" | "goodput" | "offered_rate" | "success_ratio" | "jain"
        | "hit_ratio" | "bytes_saved_ratio" => Better::Larger,
        _ => Better::Smaller,
    }
}
