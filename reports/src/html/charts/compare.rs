//! Charts of a comparison: ratios with their intervals (a forest plot), all spectra in one, and response over time.
//!
//! Curves are of merged histograms. The eight best have a colour, the others are grey: more colours could not be told
//! apart.

use super::axis::Axis;
use super::canvas::{Layout, draw};
use super::{COLOURS, Figure, Ink, Legend, knee, overtime, spectrum};
use crate::compare::{Contrast, Variant, knee::Knee};
use crate::record::Distribution;
use crate::statistics::{Comparison, Verdict};
use std::io;

/// More variants than this have no row in the forest plot.
const ROWS: usize = 40;

/// All of them.
pub(crate) fn compared(contrast: &Contrast<'_>, load: Option<&Knee>) -> io::Result<Vec<Figure>> {
    let load = load.map(|load| knee::of_comparison(contrast, load)).transpose()?.flatten();
    let figures = [forest(contrast)?, spectra(contrast)?, load, over_time(contrast)?];
    Ok(figures.into_iter().flatten().collect())
}

/// The colour of the variant at this place: the baseline is never lost among the grey ones.
pub(super) fn ink(place: usize, baseline: Option<usize>) -> Ink {
    match u8::try_from(place).ok().filter(|n| *n < COLOURS) {
        Some(n) => Ink::Series(n),
        None if Some(place) == baseline => Ink::Baseline,
        None => Ink::Crowd,
    }
}

/// The places of so many variants in the order in which they are drawn: the grey ones, then the baseline, the best on top.
pub(super) fn back_to_front(count: usize, baseline: Option<usize>) -> Vec<usize> {
    let is_crowd = |place: &usize| ink(*place, baseline) == Ink::Crowd;
    let (crowd, others): (Vec<usize>, Vec<usize>) = (0..count).rev().partition(is_crowd);
    [crowd, others].concat()
}

/// Names and colours; the grey ones are one entry.
pub(super) fn legend<'a>(
    labels: impl Iterator<Item = &'a str>,
    baseline: Option<usize>,
) -> Vec<Legend> {
    let (mut legend, mut more) = (Vec::new(), 0);
    for (place, label) in labels.enumerate() {
        match ink(place, baseline) {
            Ink::Crowd => more += 1,
            ink if Some(place) == baseline => {
                legend.push(Legend::new(format!("{label}, the baseline"), ink, "line"));
            }
            ink => legend.push(Legend::new(label, ink, "line")),
        }
    }
    if more > 0 {
        legend.push(Legend::new(format!("{more} more"), Ink::Crowd, "line"));
    }
    legend
}

fn legend_of(contrast: &Contrast<'_>) -> Vec<Legend> {
    let labels = contrast.variants.iter().map(|variant| variant.label.as_str());
    legend(labels, Some(contrast.baseline))
}

fn forest(contrast: &Contrast<'_>) -> io::Result<Option<Figure>> {
    let again = ("A/A, the noise".to_owned(), contrast.again.comparison, Ink::Axis);
    let rows = contrast.variants.iter().filter_map(|variant| {
        let judged = variant.judged?;
        let ink = match judged.verdict {
            Verdict::Better => Ink::Series(2),
            Verdict::Worse => Ink::Series(1),
            Verdict::NoDifference | Verdict::TooFew => Ink::Text,
        };
        Some((variant.label.clone(), judged.comparison, ink))
    });
    let rows: Vec<(String, Comparison, Ink)> = rows
        .take(ROWS)
        .chain([again])
        .filter(|(_, comparison, _)| comparison.ratio.is_some())
        .collect();
    if rows.len() < 2 {
        return Ok(None);
    }
    let ends = |(_, comparison, _): &(String, Comparison, Ink)| match comparison.interval {
        Some(interval) => [interval.low, interval.high],
        None => [comparison.ratio.unwrap_or(1.0); 2],
    };
    let all = || rows.iter().flat_map(ends).chain([1.0]);
    let least = all().min_by(f64::total_cmp).unwrap_or(1.0);
    let most = all().max_by(f64::total_cmp).unwrap_or(1.0);
    let names: Vec<String> =
        rows.iter().map(|(name, ..)| super::endpoints::shorten(name, 24)).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let title = "Ratio to the baseline";
    let caption = format!(
        "{} of each variant over that of {}: median of paired ratios and its 95 % interval. Shaded: the noise floor.",
        contrast.metric, contrast.variants[contrast.baseline].label
    );
    let layout = Layout {
        x: Axis::ratios(least, most),
        y: Axis::amount(1.0),
        height: 52.0 + 20.0 * names.len().max(6) as f64,
        left: 14.0 + 7.2 * longest as f64,
    };
    let floor = 1.0 + contrast.again.floor.percent() / 100.0;
    let svg = draw(layout, title, &caption, |canvas| {
        canvas.window(1.0 / floor, floor, "", Ink::Phase)?;
        canvas.axes_of_bars(&names)?;
        canvas.line(&[(1.0, Some(0.0)), (1.0, Some(1.0))], Ink::Axis, 1.5)?;
        for (place, row) in rows.iter().enumerate() {
            let y = Some(1.0 - (place as f64 + 0.5) / rows.len() as f64);
            let [low, high] = ends(row);
            canvas.line(&[(low, y), (high, y)], row.2, 2.0)?;
            canvas.line(&[(row.1.ratio.unwrap_or(1.0), y)], row.2, 4.0)?;
        }
        Ok(())
    })?;
    let legend = [
        ("better", Ink::Series(2)),
        ("worse", Ink::Series(1)),
        ("no difference, or too few seeds", Ink::Text),
    ];
    let legend = legend.map(|(word, ink)| Legend::new(word, ink, "line")).into();
    Ok(Some(Figure { title, caption, svg, legend }))
}

fn spectra(contrast: &Contrast<'_>) -> io::Result<Option<Figure>> {
    let merged: Vec<Distribution> = contrast.variants.iter().map(Variant::response).collect();
    let baseline = Some(contrast.baseline);
    let curves: Vec<(&str, &Distribution, Ink)> = back_to_front(merged.len(), baseline)
        .into_iter()
        .map(|place| {
            (contrast.variants[place].label.as_str(), &merged[place], ink(place, baseline))
        })
        .collect();
    let caption =
        "Response time that this part of the requests did not exceed, all seeds merged.".to_owned();
    let figure = spectrum::spectrum("Latency by percentile", caption, &curves, &[])?;
    Ok(figure.map(|figure| Figure { legend: legend_of(contrast), ..figure }))
}

fn over_time(contrast: &Contrast<'_>) -> io::Result<Option<Figure>> {
    let Some(run) = contrast.variants[contrast.baseline].runs.first() else { return Ok(None) };
    let curves: Vec<_> = contrast
        .variants
        .iter()
        .map(|variant| overtime::percentile(&variant.intervals(), 0.99))
        .collect();
    let values = || curves.iter().flatten().filter_map(|point| point.1);
    let (Some(least), Some(most)) =
        (values().min_by(f64::total_cmp), values().max_by(f64::total_cmp))
    else {
        return Ok(None);
    };
    let title = "Response over time";
    let caption =
        "The 99th percentile of the response time by when a request was due, all seeds merged."
            .to_owned();
    let layout = Layout::new(overtime::time_axis(run), Axis::times(least, most));
    let svg = draw(layout, title, &caption, |canvas| {
        overtime::backdrop(canvas, run)?;
        let baseline = Some(contrast.baseline);
        for place in back_to_front(curves.len(), baseline) {
            canvas.line(&curves[place], ink(place, baseline), 1.75)?;
        }
        Ok(())
    })?;
    Ok(Some(Figure { title, caption, svg, legend: legend_of(contrast) }))
}
