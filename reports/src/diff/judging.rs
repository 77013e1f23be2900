//! From paired figures to what is said of them: ratios, their test, the correction over the whole diff, the noise.

use super::{
    Asked, FEWEST, Finding, Group, Pair, Results, Standing, Told, direction, is_share_of_success,
};
use crate::csv::column;
use crate::run::Verdict;
use crate::statistics::verdict::ALPHA;
use crate::statistics::{
    self, Better, Comparison, Judged, NoiseFloor, holm, median, paired_ratios, pairs_needed,
};

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
) -> Option<Finding> {
    let both = pairs.iter().filter(|(_, old, new)| is_measured(old) && is_measured(new));
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
    Some(Finding { group: group.clone(), metric, unit, medians, judged, floor, standing })
}

/// Judges all findings; how many questions there were, and how many pairs each needs.
pub(super) fn judge(findings: &mut [Finding], stated: NoiseFloor, old: &Results) -> (usize, usize) {
    let mut judge_family = |standing: Standing| {
        let family: Vec<usize> =
            (0..findings.len()).filter(|place| findings[*place].standing == standing).collect();
        let p: Vec<f64> = family.iter().map(|place| findings[*place].judged.comparison.p).collect();
        let needed = pairs_needed(family.len());
        for (place, corrected) in family.iter().zip(holm(&p)) {
            judge_one(&mut findings[*place], corrected, needed, stated, old);
        }
        family.len()
    };
    // What is neither good nor bad has a family of its own, so as to cost the others nothing.
    judge_family(Standing::Moved);
    let family = judge_family(Standing::Worse);
    let undecided = findings.iter().filter(|finding| finding.standing == Standing::TooFew).count();
    let needed = pairs_needed(family + undecided);
    for finding in findings.iter_mut().filter(|finding| finding.standing == Standing::TooFew) {
        let Comparison { pairs, ratio, .. } = finding.judged.comparison;
        // With pairs enough of which hardly one differs, there is no difference worth a word.
        if pairs >= needed || !ratio.is_some_and(|ratio| stated.is_below(ratio)) {
            finding.standing = Standing::Unchanged;
        } else {
            finding.judged.verdict = statistics::Verdict::TooFew;
        }
    }
    (family, needed)
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
    let mut next = values.clone();
    if !next.is_empty() {
        next.rotate_left(1);
    }
    let ratios = paired_ratios(&values, &next);
    let floor = NoiseFloor::of(&ratios, seeds.first().copied().unwrap_or(0));
    let stated_percent = stated.percent();
    floor.unwrap_or(NoiseFloor::NONE).at_least(stated_percent)
}
