//! The answer in plain words: what won, by how much, how sure that is, and where it costs.

use super::{Contrast, Variant, text};
use crate::format;
use crate::statistics::{Comparison, Verdict};
use std::fmt::Write as _;

/// A few sentences.
pub fn sentence(contrast: &Contrast<'_>) -> String {
    let Some(best) = contrast.variants.first() else { return "Nothing was compared.".to_owned() };
    let base = &contrast.variants[contrast.baseline];
    let metric = &contrast.metric;
    let value = |variant: &Variant<'_>| text::value(contrast, variant);
    let mut text = match &best.judged {
        None if contrast.variants.iter().any(|v| verdict(v) == Some(Verdict::TooFew)) => format!(
            "No variant's {metric} is better than that of {}, the baseline, but there are too few seeds to tell.",
            base.label
        ),
        None => {
            format!("Nothing beats {}, the baseline, by {metric} ({}).", base.label, value(base))
        }
        Some(judged) => {
            let ratio = ratio(&judged.comparison);
            let (best_value, base_value) = (value(best), value(base));
            match judged.verdict {
                Verdict::Better => format!(
                    "{} wins by {metric}: {best_value} where {} has {base_value}, {ratio} (p {} after Holm).",
                    best.label,
                    base.label,
                    p(judged.corrected)
                ),
                Verdict::TooFew => format!(
                    "{} has the best {metric} ({best_value}, {ratio} of {}), but {} seeds are too few to tell it from chance.",
                    best.label,
                    base.label,
                    contrast.seeds()
                ),
                Verdict::Worse | Verdict::NoDifference => format!(
                    "{} has the best {metric} ({best_value}, {ratio} of {}), but that is no more than chance or the noise of {:.1} %.",
                    best.label,
                    base.label,
                    contrast.again.floor.percent()
                ),
            }
        }
    };
    if let Some(second) = contrast.variants.get(1) {
        let _ = write!(text, " {}", runner_up(contrast, best, second));
    }
    if let Some(costs) = costs(best) {
        let _ = write!(text, " {costs}");
    }
    text
}

fn verdict(variant: &Variant<'_>) -> Option<Verdict> {
    variant.judged.map(|judged| judged.verdict)
}

/// A p-value with as many digits as mean something.
pub(crate) fn p(value: f64) -> String {
    if value < 0.001 { "< 0.001".to_owned() } else { format::significant(value, 2) }
}

/// `0.12 × (0.11 to 0.13)`.
pub(crate) fn ratio(comparison: &Comparison) -> String {
    let times = |value: f64| format::significant(value, 3);
    match (comparison.ratio, comparison.interval) {
        (Some(ratio), Some(interval)) => {
            format!("{} × ({} to {})", times(ratio), times(interval.low), times(interval.high))
        }
        (Some(ratio), None) => format!("{} ×", times(ratio)),
        (None, _) => "–".to_owned(),
    }
}

fn runner_up(contrast: &Contrast<'_>, best: &Variant<'_>, second: &Variant<'_>) -> String {
    let figures = |variant: &Variant<'_>| super::figures(&variant.runs, &contrast.metric);
    let seed = best.runs.first().map_or(0, |run| run.seed);
    let near = Comparison::of(&figures(best), &figures(second), seed);
    let is_apart = near.interval.is_some_and(|interval| !interval.contains(1.0))
        && near.ratio.is_some_and(|ratio| contrast.again.floor.is_below(ratio));
    let how = if is_apart { "is behind it" } else { "cannot be told from it" };
    format!("{}, the next, {how}: {} of it.", second.label, ratio(&near))
}

fn costs(best: &Variant<'_>) -> Option<String> {
    if best.others.is_empty() {
        return None;
    }
    let worse: Vec<String> = best
        .others
        .iter()
        .filter(|(_, judged)| judged.verdict == Verdict::Worse)
        .map(|(name, judged)| format!("{name} ({})", ratio(&judged.comparison)))
        .collect();
    if worse.is_empty() {
        let names: Vec<&str> = best.others.iter().map(|(name, _)| *name).collect();
        return Some(format!("It is not worse than the baseline by {}.", names.join(", ")));
    }
    Some(format!("It costs: worse than the baseline by {}.", worse.join(", ")))
}
