//! What became worse: two result directories against each other.
//!
//! Runs are paired by scenario, variant, world and seed: both of a pair faced the very same requests. For each of these
//! groups and each metric the statistics are those of a comparison (see [`crate::statistics`]): the median of the paired
//! ratios NEW / OLD with its bootstrap interval, the exact sign-flip test, and Holm's correction. One wrong alarm is enough to
//! stop somebody's work, so it is the *whole* diff that is wrong in at most 5 % of cases where nothing changed, however
//! many scenarios it has: how ten seeds suffice for that is told in `judging`.
//!
//! Most questions of a diff cannot be answered anyway: where fewer than six pairs differ no outcome is significant, and in virtual
//! time most pairs do not differ at all. Such a question is not in the family (Tarone, "A modified Bonferroni method for
//! discrete data", *Biometrics* 1990: what cannot become significant whatever its signs are costs nothing; the sizes of
//! the differences decide that, and the test is conditional on these).
//!
//! A difference is called where it is significant and beyond the noise floor: the one that was stated, or what OLD shows
//! against itself if that is more (each seed against the next: A/A pairs). Three things need no statistics: a verdict that
//! turned, a run that is missing, and (in virtual time, where the same seed and configuration give the same bytes) a run that is not the same.

pub mod cells;
pub mod github;
pub mod json;
mod judging;
pub mod markdown;
pub mod read;
mod rows;
pub mod text;
pub mod trackers;

pub use read::{Group, Key, Results, Told};

use crate::compare;
use crate::csv::{ALWAYS, column};
use crate::metrics::Unit;
use crate::run::Verdict;
use crate::statistics::{Better, Judged, NoiseFloor};
use judging::{Family, finding, judge};
use std::collections::{BTreeMap, BTreeSet};

/// Fewer pairs that differ than this cannot be significant, whatever they say: 2 / 2^5 > 0.05.
pub const FEWEST: usize = 6;

/// What is asked of a diff.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The noise floor that is stated, in percent.
    pub noise: f64,
    /// The metrics to compare, by their dotted names; empty for those that every summary has.
    pub metrics: Vec<String>,
}

/// How a metric moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// For the worse; significant and beyond the noise.
    Worse,
    /// For the better; likewise.
    Better,
    /// It moved, and is neither good nor bad.
    Moved,
    /// Beyond the noise, but too few pairs to tell it from chance.
    TooFew,
    /// Not that one could say so.
    Unchanged,
}

impl Standing {
    /// In a word or two.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Moved => "moved",
            Self::TooFew => "too few runs",
            Self::Unchanged => "unchanged",
        }
    }
}

/// One metric of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Of which runs.
    pub group: Group,
    /// The metric's dotted name.
    pub metric: String,
    /// Its unit.
    pub unit: Unit,
    /// The medians over the paired runs of OLD and NEW.
    pub medians: (f64, f64),
    /// The ratio NEW / OLD and what the statistics say. Of `success_ratio` it is the ratio of the requests that did not
    /// succeed: whether 0.1 % or 1 % are lost is a factor of ten, and not 0.9 %.
    pub judged: Judged,
    /// The noise floor that it was held against.
    pub floor: NoiseFloor,
    /// How it moved.
    pub standing: Standing,
}

impl Finding {
    /// Whether the ratio is that of what was lost.
    pub fn is_of_losses(&self) -> bool {
        is_share_of_success(&self.metric)
    }

    /// How far the ratio is from 1, the same for a half and for twice.
    fn size(&self) -> f64 {
        self.judged.comparison.ratio.map_or(0.0, |ratio| ratio.ln().abs())
    }
}

/// Runs of a group whose verdict turned in the same way.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Of which runs.
    pub group: Group,
    /// The verdicts of OLD and NEW.
    pub verdicts: (&'static str, &'static str),
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Of how many pairs.
    pub pairs: usize,
    /// Why, as NEW says for the first of them.
    pub reason: Option<String>,
    /// The command that repeats the first of them.
    pub command: Option<String>,
    /// [`Standing::Worse`], [`Standing::Better`] or [`Standing::Moved`].
    pub standing: Standing,
}

/// A group in virtual time whose runs are not what they were, though seed and configuration are.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Of which runs.
    pub group: Group,
    /// So many runs differ …
    pub differ: usize,
    /// … of so many with the same seed and configuration.
    pub pairs: usize,
}

/// What two result directories say against each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Diff {
    /// What the person calls the old directory.
    pub old: String,
    /// What the person calls the new one.
    pub new: String,
    /// The noise floor that was stated, in percent.
    pub noise: f64,
    /// How many runs have a counterpart.
    pub pairs: usize,
    /// In how many groups enough differs to be judged.
    pub family: usize,
    /// How many pairs it takes for each of their metrics to be judged.
    pub needed: usize,
    /// Every metric of every group that has figures on both sides: worse first, then better, the largest first.
    pub findings: Vec<Finding>,
    /// Verdicts that turned, the worse first.
    pub turns: Vec<Turn>,
    /// What changed in virtual time.
    pub changes: Vec<Change>,
    /// Groups whose configuration differs.
    pub reconfigured: Vec<Group>,
    /// Groups that NEW lacks.
    pub missing: Vec<Group>,
    /// Groups that OLD lacks.
    pub added: Vec<Group>,
    /// Runs of groups that both have, with a seed that only one has.
    pub lonely: usize,
}

/// Two runs of one key.
type Pair<'a> = (u64, &'a Told, &'a Told);

impl Diff {
    /// Compares two directories.
    ///
    /// # Errors
    /// When a metric that was asked for is in neither of them.
    pub fn of(old: &Results, new: &Results, question: &Question) -> Result<Self, String> {
        let groups = |results: &Results| -> BTreeSet<Group> {
            results.runs.keys().map(|key| key.group.clone()).collect()
        };
        let (before, after) = (groups(old), groups(new));
        let metrics = metrics(old, new, &question.metrics)?;
        let mut pairs: BTreeMap<&Group, Vec<Pair<'_>>> = BTreeMap::new();
        let mut lonely = 0;
        for (key, told) in &old.runs {
            match new.runs.get(key) {
                Some(now) => pairs.entry(&key.group).or_default().push((key.seed, told, now)),
                None => lonely += usize::from(after.contains(&key.group)),
            }
        }
        let is_new = |key: &&Key| before.contains(&key.group) && !old.runs.contains_key(key);
        lonely += new.runs.keys().filter(is_new).count();
        let stated = NoiseFloor::NONE.at_least(question.noise);
        let mut open = Vec::new();
        for (group, pairs) in &pairs {
            let of = |metric: &Asked| finding(group, pairs, metric, stated);
            open.extend(metrics.iter().filter_map(of));
        }
        let (mut findings, Family { groups: family, needed }) = judge(open, stated, old);
        findings.sort_by(|a, b| a.standing.cmp(&b.standing).then(b.size().total_cmp(&a.size())));
        let mut turns: Vec<Turn> =
            pairs.iter().flat_map(|(group, pairs)| turns(group, pairs)).collect();
        turns.sort_by_key(|turn| turn.standing);
        let reconfigured = pairs.iter().filter(|(_, pairs)| pairs.iter().any(is_reconfigured));
        Ok(Self {
            old: old.name.clone(),
            new: new.name.clone(),
            noise: question.noise,
            pairs: pairs.values().map(Vec::len).sum(),
            family,
            needed,
            findings,
            turns,
            changes: pairs.iter().filter_map(|(group, pairs)| change(group, pairs)).collect(),
            reconfigured: reconfigured.map(|(group, _)| (*group).clone()).collect(),
            missing: before.difference(&after).cloned().collect(),
            added: after.difference(&before).cloned().collect(),
            lonely,
        })
    }

    /// Whether anything became worse: a metric or a verdict.
    pub fn is_worse(&self) -> bool {
        self.found(Standing::Worse).next().is_some()
            || self.turned(Standing::Worse).next().is_some()
    }

    /// The findings of one standing.
    pub fn found(&self, standing: Standing) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.standing == standing)
    }

    /// The turned verdicts of one standing.
    pub fn turned(&self, standing: Standing) -> impl Iterator<Item = &Turn> {
        self.turns.iter().filter(move |turn| turn.standing == standing)
    }
}

/// A metric that is compared.
struct Asked {
    name: String,
    column: String,
    unit: Unit,
    /// `None` where it is neither good nor bad.
    better: Option<Better>,
}

/// Which way a metric is better; `None` for what is neither good nor bad: how much was asked and carried.
///
/// In an open loop those are what the schedule says, and in a closed loop `ok` says the same with more meaning.
pub fn direction(metric: &str) -> Option<Better> {
    match metric.rsplit('.').next().unwrap_or(metric) {
        "requests" | "rate" | "offered_rate" | "answered" | "bytes_in" | "bytes_out" | "share" => {
            None
        }
        _ if metric.contains("status.") => None,
        _ => Some(compare::better(metric)),
    }
}

fn is_share_of_success(metric: &str) -> bool {
    metric.rsplit('.').next() == Some("success_ratio")
}

fn metrics(old: &Results, new: &Results, wanted: &[String]) -> Result<Vec<Asked>, String> {
    let asked = |name: &str, column: String, unit| Asked {
        name: name.to_owned(),
        column,
        unit,
        better: direction(name),
    };
    if wanted.is_empty() {
        return Ok(ALWAYS
            .iter()
            .map(|(name, unit)| asked(name, column(name, *unit), *unit))
            .collect());
    }
    let known: BTreeSet<&str> = [old, new]
        .into_iter()
        .flat_map(|results| results.runs.values())
        .flat_map(|told| told.values.keys().map(String::as_str))
        .collect();
    let units = [
        Unit::Milliseconds,
        Unit::PerSecond,
        Unit::Seconds,
        // A count and a ratio have the same column; of the two a ratio shows more digits.
        Unit::Ratio,
    ];
    let find = |name: &String| {
        let columns = units.into_iter().map(|unit| (column(name, unit), unit));
        // Where two metrics claim one column, both keep their dotted names.
        let mut columns = columns.chain([(name.clone(), Unit::Ratio)]);
        let found = columns.find(|(column, _)| known.contains(column.as_str()));
        found.map(|(column, unit)| asked(name, column, unit)).ok_or_else(|| {
            format!("no run of either directory has the metric `{name}`; `windtunnel list metrics` shows how they are called")
        })
    };
    wanted.iter().map(find).collect()
}

fn turns(group: &Group, pairs: &[Pair<'_>]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for (seed, old, new) in pairs {
        let verdicts = (old.verdict.as_str(), new.verdict.as_str());
        if verdicts.0 == verdicts.1 {
            continue;
        }
        if let Some(known) = turns.iter_mut().find(|turn| turn.verdicts == verdicts) {
            known.seeds.push(*seed);
            continue;
        }
        let standing = match (&old.verdict, &new.verdict) {
            (Verdict::Pass, _) | (_, Verdict::Error(_)) => Standing::Worse,
            (_, Verdict::Pass) => Standing::Better,
            _ => Standing::Moved,
        };
        turns.push(Turn {
            group: group.clone(),
            verdicts,
            seeds: vec![*seed],
            pairs: pairs.len(),
            reason: new.verdict.reason().filter(|why| !why.is_empty()).map(str::to_owned),
            command: new.command.clone(),
            standing,
        });
    }
    turns
}

fn is_reconfigured((_, old, new): &Pair<'_>) -> bool {
    old.configuration.is_some()
        && new.configuration.is_some()
        && old.configuration != new.configuration
}

/// Whether runs that must be the same are not.
fn change(group: &Group, pairs: &[Pair<'_>]) -> Option<Change> {
    if !group.world.is_virtual() {
        return None;
    }
    let same = pairs.iter().filter(|(_, old, new)| {
        old.configuration.is_some() && old.configuration == new.configuration
    });
    let (mut pairs, mut differ) = (0, 0);
    for (_, old, new) in same {
        pairs += 1;
        // A column that only one of the two has is another program's, and no difference of the run.
        let values = old.values.iter().any(|(column, value)| {
            new.values.get(column).is_some_and(|now| now.total_cmp(value).is_ne())
        });
        let latency = matches!((old.latency, new.latency), (Some(a), Some(b)) if a != b);
        let verdict = old.verdict.as_str() != new.verdict.as_str();
        differ += usize::from(values || latency || verdict);
    }
    (differ > 0).then(|| Change { group: group.clone(), differ, pairs })
}
