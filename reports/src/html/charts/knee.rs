//! The knee: a metric against the offered load, a line a variant, from the loads that a search tried.
//!
//! Confirming runs are left out of the lines: they are longer, and a load would stand there twice. The eight best have a
//! colour, the others are grey.

use super::axis::Axis;
use super::canvas::{Layout, draw};
use super::compare::ink;
use super::{COLOURS, Figure, Ink, Legend};
use crate::metrics::Unit;
use crate::search::{Capacity, Study};
use std::io;

/// The metric at every load that was tried.
pub(crate) fn knee(study: &Study) -> io::Result<Option<Figure>> {
    let lines: Vec<Vec<(f64, f64)>> = study.capacities.iter().map(points).collect();
    let all = || lines.iter().flatten();
    // Far beyond the best capacity there is nothing to see but how bad it can get.
    let best = study.capacities.first().map_or(0.0, Capacity::rate);
    let most_x = all().map(|p| p.0).max_by(f64::total_cmp).unwrap_or(0.0);
    let most_x = if best > 0.0 { most_x.min(best * 1.25) } else { most_x };
    let shown = || all().filter(|p| p.0 <= most_x);
    let Some(most) = shown().map(|p| p.1).chain(study.limit).max_by(f64::total_cmp) else {
        return Ok(None);
    };
    if most_x <= 0.0 || most <= 0.0 || shown().count() < 2 {
        return Ok(None);
    }
    let least = shown().map(|p| p.1).min_by(f64::total_cmp).unwrap_or(0.0);
    let y = match study.unit {
        Unit::Milliseconds | Unit::Seconds => Axis::times(least, most),
        Unit::Ratio => Axis::share(most),
        _ => Axis::amount(most),
    };
    let title = "The knee";
    let caption = format!(
        "{} (upwards) against the requests offered in a second, at each load that was tried; median over seeds.",
        study.metric
    );
    let x = Axis::amount(most_x);
    let end = x.ticks.last().map_or(most_x, |tick| tick.0);
    let layout = Layout { height: 320.0, ..Layout::new(x, y) };
    let svg = draw(layout, title, &caption, |canvas| {
        canvas.axes()?;
        // The best on top.
        for (place, points) in lines.iter().enumerate().rev() {
            let points: Vec<(f64, Option<f64>)> =
                points.iter().filter(|p| p.0 <= most_x).map(|(x, y)| (*x, Some(*y))).collect();
            let ink = ink(place);
            canvas.line(&points, ink, if ink == Ink::Crowd { 1.25 } else { 2.0 })?;
        }
        match study.limit {
            Some(limit) => {
                let text = format!("limit {}", crate::format::metric(limit, study.unit));
                canvas.limit(limit, (0.0, end), &text, &[])
            }
            None => Ok(()),
        }
    })?;
    let coloured = study.capacities.iter().take(usize::from(COLOURS)).enumerate();
    let mut legend: Vec<Legend> =
        coloured.map(|(place, c)| Legend::new(&c.label, ink(place), "line")).collect();
    if let Some(more) = lines.len().checked_sub(usize::from(COLOURS)).filter(|n| *n > 0) {
        legend.push(Legend::new(format!("{more} more"), Ink::Crowd, "line"));
    }
    Ok(Some(Figure { title, caption, svg, legend }))
}

fn points(capacity: &Capacity) -> Vec<(f64, f64)> {
    let tries = capacity.tries.iter().filter(|tried| !tried.is_confirming);
    let mut points: Vec<(f64, f64)> =
        tries.filter_map(|tried| Some((tried.rate?, tried.value?))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}
