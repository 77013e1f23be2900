//! From paired figures to what is said of them: ratios, tests, corrections, the noise.
//!
//! In two steps, since a suite asks hundreds of questions and ten seeds can answer 25 (n pairs that all agree have p = 2 / 2^n).
//! First each group is asked as a whole whether anything changed in it ([`joint_sign_flip_p`]), corrected by Holm over the groups;
//! then, in those that did change, which metric, corrected by Holm over the group's. A metric has the larger of both p.
//! Where nothing changed anywhere an alarm so comes in at most 5 % of all diffs, and in a group that did change a wrong metric
//! is named in at most 5 %. (Families tested top-down, as in Yekutieli, "Hierarchical false discovery rate-controlling
//! methodology", *JASA* 2008, with Holm in place of his rates.)

use super::{
    Asked, FEWEST, Finding, Group, Pair, Results, Standing, Told, direction, is_share_of_success,
};
use crate::csv::column;
use crate::run::Verdict;
use crate::statistics::verdict::ALPHA;
use crate::statistics::{
    self, Better, Comparison, Judged, NoiseFloor, holm, joint_sign_flip_p, median, paired_ratios,
    pairs_needed,
};
use std::collections::BTreeMap;

/// Whether what a run measured means anything.
pub(super) fn is_measured(told: &Told) -> bool {
    matches!(told.verdict, Verdict::Pass | Verdict::Fail)
}

/// What is compared of a value.
fn measure(metric: &str, value: f64) -> f64 {
    if is_share_of_success(metric) { (1.0 - value).max(0.0) } else { value }
}

/// One metric of one group, not yet judged; nothing where no pair has it.
pub(super) fn finding(
    group: &Group,
    pairs: &[Pair<'_>],
    asked: &Asked,
    floor: NoiseFloor,
) -> Option<Open> {
    let measurable = |(_, old, new): &&Pair<'_>| is_measured(old) && is_measured(new);
    let both = pairs.iter().filter(measurable);
    let of = |told: &Told| told.values.get(&asked.column).copied();
    let (old, new): (Vec<f64>, Vec<f64>) =
        both.filter_map(|(_, before, after)| Some((of(before)?, of(after)?))).unzip();
    let medians = (median(&old)?, median(&new)?);
    let measured = |values: &[f64]| -> Vec<f64> {
        values.iter().map(|value| measure(&asked.name, *value)).collect()
    };
    let ratios = paired_ratios(&measured(&old), &measured(&new));
    let is_same = old == new;
    let comparison = if is_same {
        // Nothing to resample, and that is so for most of a diff in virtual time.
        Comparison { pairs: ratios.len(), ratio: Some(1.0), interval: None, p: 1.0 }
    } else {
        Comparison::of_ratios(&ratios, pairs.first().map_or(0, |(seed, ..)| *seed))
    };
    let differ = old.iter().zip(&new).filter(|(a, b)| a.total_cmp(b).is_ne()).count();
    let standing = match asked.better {
        _ if is_same => Standing::Unchanged,
        None => Standing::Moved,
        // Whether it is worse or better is judged with all the others; until then it is a question or none.
        Some(_) if differ >= FEWEST => Standing::Worse,
        Some(_) => Standing::TooFew,
    };
    let verdict = statistics::Verdict::NoDifference;
    let judged = Judged { comparison, corrected: 1.0, verdict };
    let (metric, unit) = (asked.name.clone(), asked.unit);
    let effect = |(_, old, new): &Pair<'_>| {
        let values = of(old).zip(of(new)).filter(|_| is_measured(old) && is_measured(new));
        let (old, new) = values?;
        let ratio = paired_ratios(&[measure(&metric, old)], &[measure(&metric, new)]);
        ratio.first().map(|ratio| ratio.ln())
    };
    let effects = pairs.iter().map(|pair| effect(pair).unwrap_or(0.0)).collect();
    let finding = Finding { group: group.clone(), metric, unit, medians, judged, floor, standing };
    Some(Open { finding, effects })
}

/// A finding that is not judged yet.
pub(super) struct Open {
    pub(super) finding: Finding,
    /// The logarithms of the ratios, one for each pair of the group; 0 where a pair has none.
    effects: Vec<f64>,
}

/// How much was judged together.
pub(super) struct Family {
    /// So many groups.
    pub(super) groups: usize,
    /// So many pairs it takes for each of them, and for each of their metrics.
    pub(super) needed: usize,
}

/// Judges all findings.
pub(super) fn judge(open: Vec<Open>, stated: NoiseFloor, old: &Results) -> (Vec<Finding>, Family) {
    let (mut findings, effects): (Vec<Finding>, Vec<Vec<f64>>) =
        open.into_iter().map(|open| (open.finding, open.effects)).unzip();
    // What is neither good nor bad has a family of its own, so as to cost the others nothing.
    judge_family(&mut findings, &effects, Standing::Moved, stated, old);
    let groups = judge_family(&mut findings, &effects, Standing::Worse, stated, old);
    let undecided: BTreeMap<&Group, usize> = count(&findings, Standing::TooFew);
    let all = groups.len().max(undecided.len());
    let leaves = groups.values().chain(undecided.values()).copied().max().unwrap_or(1);
    let needed = pairs_needed(all).max(pairs_needed(leaves));
    for finding in findings.iter_mut().filter(|finding| finding.standing == Standing::TooFew) {
        let Comparison { pairs, ratio, .. } = finding.judged.comparison;
        // With pairs enough of which hardly one differs, there is no difference worth a word.
        if pairs >= needed || !ratio.is_some_and(|ratio| stated.is_below(ratio)) {
            finding.standing = Standing::Unchanged;
        } else {
            finding.judged.verdict = statistics::Verdict::TooFew;
        }
    }
    (findings, Family { groups: groups.len(), needed })
}

fn count(findings: &[Finding], standing: Standing) -> BTreeMap<&Group, usize> {
    let mut groups = BTreeMap::new();
    for finding in findings.iter().filter(|finding| finding.standing == standing) {
        *groups.entry(&finding.group).or_default() += 1;
    }
    groups
}

/// Judges the findings of a standing, group by group; how many metrics each group had.
fn judge_family(
    findings: &mut [Finding],
    effects: &[Vec<f64>],
    standing: Standing,
    stated: NoiseFloor,
    old: &Results,
) -> BTreeMap<Group, usize> {
    let mut groups: BTreeMap<Group, Vec<usize>> = BTreeMap::new();
    for (place, finding) in findings.iter().enumerate() {
        if finding.standing == standing {
            groups.entry(finding.group.clone()).or_default().push(place);
        }
    }
    let anything = |places: &Vec<usize>| {
        let effects: Vec<Vec<f64>> = places.iter().map(|place| effects[*place].clone()).collect();
        joint_sign_flip_p(&effects, 0)
    };
    let changed = holm(&groups.values().map(anything).collect::<Vec<f64>>());
    for (places, changed) in groups.values().zip(changed) {
        let p: Vec<f64> = places.iter().map(|place| findings[*place].judged.comparison.p).collect();
        let needed = pairs_needed(groups.len()).max(pairs_needed(places.len()));
        for (place, corrected) in places.iter().zip(holm(&p)) {
            judge_one(&mut findings[*place], corrected.max(changed), needed, stated, old);
        }
    }
    groups.into_iter().map(|(group, places)| (group, places.len())).collect()
}

fn judge_one(
    finding: &mut Finding,
    corrected: f64,
    needed: usize,
    stated: NoiseFloor,
    old: &Results,
) {
    let direction = direction(&finding.metric);
    // The ratio is of what was lost, and to lose less is better.
    let better = if finding.is_of_losses() { Some(Better::Smaller) } else { direction };
    let comparison = finding.judged.comparison;
    let judged =
        |floor| comparison.judged(corrected, needed, floor, better.unwrap_or(Better::Smaller));
    finding.judged = judged(stated);
    if corrected <= ALPHA {
        finding.floor = again(old, finding, stated);
        finding.judged = judged(finding.floor);
    }
    let is_beyond = comparison.ratio.is_some_and(|ratio| stated.is_below(ratio));
    finding.standing = match (finding.judged.verdict, better) {
        (statistics::Verdict::Better | statistics::Verdict::Worse, None) => Standing::Moved,
        (statistics::Verdict::Better, Some(_)) => Standing::Better,
        (statistics::Verdict::Worse, Some(_)) => Standing::Worse,
        (statistics::Verdict::TooFew, Some(_)) if is_beyond => Standing::TooFew,
        _ => Standing::Unchanged,
    };
}

/// The stated noise floor, or what OLD shows against itself if that is more: each seed against the next.
fn again(old: &Results, finding: &Finding, stated: NoiseFloor) -> NoiseFloor {
    let columns = [column(&finding.metric, finding.unit), finding.metric.clone()];
    let of = |told: &Told| columns.iter().find_map(|column| told.values.get(column)).copied();
    let runs =
        old.runs.iter().filter(|(key, told)| key.group == finding.group && is_measured(told));
    let seeds: Vec<u64> = runs.clone().map(|(key, _)| key.seed).collect();
    let values = runs.filter_map(|(_, told)| of(told));
    let values: Vec<f64> = values.map(|value| measure(&finding.metric, value)).collect();
    let next: Vec<f64> = values.iter().cycle().skip(1).take(values.len()).copied().collect();
    let ratios = paired_ratios(&values, &next);
    let floor = NoiseFloor::of(&ratios, seeds.first().copied().unwrap_or(0));
    floor.unwrap_or(NoiseFloor::NONE).at_least(stated.percent())
}
