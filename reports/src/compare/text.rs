//! The comparison on a terminal: a table, the noise floor, and a sentence.

use super::{Contrast, Variant, sentence};
use crate::statistics::NoiseFloor;
use crate::{aligned, format};
use std::fmt::Write as _;

/// What stands in the table, for terminal and page alike.
pub(super) fn table(contrast: &Contrast<'_>) -> (Vec<String>, Vec<Vec<String>>) {
    let to = contrast.slow.as_deref().unwrap_or("the busiest");
    let head = vec![
        "variant".to_owned(),
        contrast.metric.clone(),
        "ratio (95 % interval)".to_owned(),
        "p, Holm".to_owned(),
        "verdict".to_owned(),
        "mean".to_owned(),
        "success".to_owned(),
        format!("to {to}"),
        "imbalance".to_owned(),
    ];
    let rows = contrast.variants.iter().map(|variant| row(contrast, variant));
    (head, rows.collect())
}

fn row(contrast: &Contrast<'_>, variant: &Variant<'_>) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let of = |name: &str| crate::statistics::median(&super::figures(&variant.runs, name));
    let judged = variant.judged.as_ref();
    vec![
        variant.label.clone(),
        value(contrast, variant),
        judged.map_or("1".to_owned(), |judged| sentence::ratio(&judged.comparison)),
        judged.map_or("–".to_owned(), |judged| sentence::p(judged.corrected)),
        judged.map_or("baseline", |judged| judged.verdict.as_str()).to_owned(),
        or_none(of("latency.mean").map(format::time)),
        or_none(of("success_ratio").map(format::percent)),
        or_none(variant.quality.share.map(format::percent)),
        or_none(variant.quality.imbalance.map(|value| format::significant(value, 3))),
    ]
}

/// The median of the metric with its unit, or a dash.
pub(super) fn value(contrast: &Contrast<'_>, variant: &Variant<'_>) -> String {
    variant.median.map_or("–".to_owned(), |value| format::metric(value, contrast.unit))
}

/// What was compared: how many variants with which seeds, where, and for how long.
pub(super) fn facts(contrast: &Contrast<'_>) -> String {
    let seconds = |d: std::time::Duration| format::seconds(d.as_secs_f64());
    let base = &contrast.variants[contrast.baseline];
    let Some(run) = base.runs.first() else { return String::new() };
    format!(
        "{} variants × {} seeds from {} on, in the {} world; {} each, warm-up {}",
        contrast.variants.len(),
        contrast.seeds(),
        run.seed,
        run.world,
        seconds(run.duration),
        seconds(run.warmup)
    )
}

/// What the A/A runs showed, in a sentence.
pub fn noise(contrast: &Contrast<'_>) -> String {
    let base = &contrast.variants[contrast.baseline].label;
    let again = &contrast.again;
    if again.comparison.pairs < 2 {
        return "No noise floor: it takes two A/A pairs at least.".to_owned();
    }
    let bound = if again.floor == NoiseFloor::NONE {
        " It shows no noise at all: the figure is at a bound there, such as the clients' patience."
    } else {
        ""
    };
    format!(
        "Noise floor ±{} %: {base} against itself with other seeds, {} A/A pairs, came to {}.{bound}",
        format::significant(again.floor.percent(), 2),
        again.comparison.pairs,
        sentence::ratio(&again.comparison)
    )
}

/// The whole, for a terminal.
pub fn summary(contrast: &Contrast<'_>) -> String {
    let (head, rows) = table(contrast);
    let mut text = aligned::lines(&head, &rows, |column| column == 0);
    let seeds = contrast.seeds();
    let _ = write!(
        text,
        "\nMedians over {seeds} seeds, the same for every variant. {}\n{}",
        noise(contrast),
        sentence(contrast)
    );
    text
}
