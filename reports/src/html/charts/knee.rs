//! The knee: a metric against the offered load, a line a variant.
//!
//! Drawn for a search, from the loads that it tried, and for a comparison, from the loads of its ladder. Confirming runs of a search
//! are left out: they are longer, and a load would stand there twice. The eight best have a colour, the others are grey.

use super::axis::Axis;
use super::canvas::{Layout, draw};
use super::compare::{back_to_front, ink, legend};
use super::{Figure, Ink};
use crate::compare::{
    Contrast,
    knee::{Knee, Line},
};
use crate::format;
use crate::metrics::Unit;
use crate::search::{Capacity, Study};
use std::io;

/// What is drawn: the best line first.
struct Sheet<'a> {
    caption: String,
    unit: Unit,
    /// A label each, and (requests offered in a second, the metric), by the load.
    lines: Vec<(&'a str, Vec<(f64, f64)>)>,
    /// Which of them the others are compared with.
    baseline: Option<usize>,
    /// A threshold on the metric.
    limit: Option<f64>,
    /// Beyond so much load nothing is shown.
    end: f64,
}

/// The metric at every load that a search tried.
pub(crate) fn of_search(study: &Study) -> io::Result<Option<Figure>> {
    // Far beyond the best capacity there is nothing to see but how bad it can get.
    let best = study.capacities.first().map_or(0.0, Capacity::rate);
    draw_sheet(&Sheet {
        caption: format!(
            "{} (upwards) against the requests offered in a second, at each load that was tried; median over seeds.",
            study.metric
        ),
        unit: study.unit,
        lines: study.capacities.iter().map(|c| (c.label.as_str(), points(c))).collect(),
        baseline: None,
        limit: study.limit,
        end: if best > 0.0 { best * 1.25 } else { f64::INFINITY },
    })
}

/// The metric of a comparison at every load of its ladder, in the order and the colours of its other charts.
pub(crate) fn of_comparison(contrast: &Contrast<'_>, knee: &Knee) -> io::Result<Option<Figure>> {
    let line = |label: &str| knee.lines.iter().find(|line| line.label == label);
    let lines = contrast.variants.iter().map(|variant| {
        let points = line(&variant.label).map(Line::points).unwrap_or_default();
        (variant.label.as_str(), points)
    });
    draw_sheet(&Sheet {
        caption: format!(
            "{} (upwards) against the requests offered in a second, from {} to {} times the scenario's own load; median over {}.",
            contrast.metric,
            format::significant(knee.least(), 3),
            format::significant(knee.most(), 3),
            if knee.seeds == 1 { "1 seed".to_owned() } else { format!("{} seeds", knee.seeds) },
        ),
        unit: contrast.unit,
        lines: lines.collect(),
        baseline: Some(contrast.baseline),
        limit: knee.limit,
        end: f64::INFINITY,
    })
}

fn draw_sheet(sheet: &Sheet<'_>) -> io::Result<Option<Figure>> {
    let Sheet { caption, unit, lines, baseline, limit, end } = sheet;
    let all = || lines.iter().flat_map(|(_, points)| points);
    let most_x = all().map(|p| p.0).max_by(f64::total_cmp).unwrap_or(0.0).min(*end);
    let shown = || all().filter(|p| p.0 <= most_x);
    let Some(most) = shown().map(|p| p.1).chain(*limit).max_by(f64::total_cmp) else {
        return Ok(None);
    };
    if most_x <= 0.0 || most <= 0.0 || shown().count() < 2 {
        return Ok(None);
    }
    let least = shown().map(|p| p.1).min_by(f64::total_cmp).unwrap_or(0.0);
    let y = match unit {
        Unit::Milliseconds | Unit::Seconds => Axis::times(least, most),
        Unit::Ratio => Axis::share(most),
        _ => Axis::amount(most),
    };
    let title = "The knee";
    let x = Axis::rate(most_x);
    let end = x.ticks.last().map_or(most_x, |tick| tick.0);
    let layout = Layout { height: 320.0, ..Layout::new(x, y) };
    let svg = draw(layout, title, caption, |canvas| {
        canvas.axes()?;
        for place in back_to_front(lines.len(), *baseline) {
            let (_, points) = &lines[place];
            let points: Vec<(f64, Option<f64>)> =
                points.iter().filter(|p| p.0 <= most_x).map(|(x, y)| (*x, Some(*y))).collect();
            let ink = ink(place, *baseline);
            let (width, dot) = if ink == Ink::Crowd { (1.25, 1.75) } else { (2.0, 2.75) };
            canvas.line(&points, ink, width)?;
            // What was measured, and what only joins it.
            for point in points {
                canvas.line(&[point], ink, dot)?;
            }
        }
        match limit {
            Some(limit) => {
                let text = format!("limit {}", format::metric(*limit, *unit));
                canvas.limit(*limit, (0.0, end), &text, &[])
            }
            None => Ok(()),
        }
    })?;
    let legend = legend(lines.iter().map(|(label, _)| *label), *baseline);
    Ok(Some(Figure { title, caption: caption.clone(), svg, legend }))
}

fn points(capacity: &Capacity) -> Vec<(f64, f64)> {
    let tries = capacity.tries.iter().filter(|tried| !tried.is_confirming);
    let mut points: Vec<(f64, f64)> =
        tries.filter_map(|tried| Some((tried.rate?, tried.value?))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}
