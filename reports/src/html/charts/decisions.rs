//! What the proxy did about faults over the time of the run: retries and ejections, where there were any.
//!
//! Beside the charts of what clients saw, these say whether the proxy noticed, how soon, and whether its retries
//! calmed down again.

use super::axis::Axis;
use super::canvas::{Layout, draw};
use super::overtime::{backdrop, time_axis};
use super::{Figure, Ink};
use crate::run::Run;
use std::io;

/// Extra tries per second.
pub(super) fn retries(run: &Run) -> io::Result<Option<Figure>> {
    let caption = "Extra tries that the proxy made, per second.";
    over_time(run, "retries_rps", "Retries over time", caption)
}

/// Ejections of endpoints.
pub(super) fn ejections(run: &Run) -> io::Result<Option<Figure>> {
    let caption = "Endpoints that were ejected as outliers in each interval.";
    over_time(run, "ejections", "Ejections over time", caption)
}

fn over_time(
    run: &Run,
    metric: &str,
    title: &'static str,
    caption: &str,
) -> io::Result<Option<Figure>> {
    let series = &run.measurement.series;
    let Some(line) = series.line(metric, "") else { return Ok(None) };
    let middles = series.slots.iter().map(|slot| (slot.from as f64 + slot.to as f64) / 2e9);
    let points = middles.zip(&line.values).filter(|(_, value)| value.is_some());
    let points: Vec<(f64, Option<f64>)> = points.map(|(at, value)| (at, *value)).collect();
    let most = points.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max);
    if points.len() < 3 || most <= 0.0 {
        return Ok(None);
    }
    let caption = caption.to_owned();
    let layout = Layout::new(time_axis(run), Axis::amount(most));
    let svg = draw(layout, title, &caption, |canvas| {
        backdrop(canvas, run)?;
        canvas.line(&points, Ink::Series(0), 2.0)
    })?;
    Ok(Some(Figure { title, caption, svg, legend: Vec::new() }))
}
