//! How requests ended, over time: what went wrong lies at the bottom, where its amount can be read
//! off, and what went well on top of it.

use super::axis::Axis;
use super::canvas::{Layout, draw};
use super::{Figure, Ink, Legend, overtime};
use crate::record::Line;
use crate::run::Run;
use std::io;

/// The outcomes as areas, one on the other. Not drawn where every request went well.
pub(super) fn outcomes(run: &Run) -> io::Result<Option<Figure>> {
    let series = &run.measurement.series;
    let mut layers: Vec<(String, &Line)> = Vec::new();
    for line in series.lines_of("failed_class_rps") {
        layers.push((format!("failed: {}", words(&line.label)), line));
    }
    for (metric, label) in
        [("timed_out_rps", "timed out"), ("refused_rps", "refused"), ("dropped_rps", "dropped")]
    {
        let lines =
            series.lines_of(metric).filter(|line| line.values.iter().flatten().any(|v| *v > 0.0));
        layers.extend(lines.map(|line| (label.to_owned(), line)));
    }
    if layers.is_empty() || series.slots.len() < 3 {
        return Ok(None);
    }
    let bad = layers.len();
    layers.extend(series.lines_of("ok_rps").map(|line| ("ok".to_owned(), line)));
    // Warm colours for trouble; the last is that of `answered ok` in the other charts.
    let palette = [1, 5, 3, 6, 7, 4, 2];
    let ink = |index: usize| {
        if index == bad { Ink::Series(0) } else { Ink::Series(palette[index % palette.len()]) }
    };
    // Steps, not slopes: a value holds for its whole interval.
    let mut floor: Vec<(f64, f64)> = series
        .slots
        .iter()
        .flat_map(|slot| [(slot.from as f64 / 1e9, 0.0), (slot.to as f64 / 1e9, 0.0)])
        .collect();
    let mut bands = Vec::new();
    for (_, line) in &layers {
        let raise = |(index, (t, y)): (usize, &(f64, f64))| {
            (*t, y + line.values.get(index / 2).copied().flatten().unwrap_or(0.0))
        };
        let top: Vec<(f64, f64)> = floor.iter().enumerate().map(raise).collect();
        bands.push((floor, top.clone()));
        floor = top;
    }
    let most = floor.iter().map(|p| p.1).fold(0.0, f64::max);
    let title = "Outcomes over time";
    let caption = "Requests per second by how they ended, one kind on top of the other.".to_owned();
    let layout = Layout::new(overtime::time_axis(run), Axis::amount(most));
    let svg = draw(layout, title, &caption, |canvas| {
        for (index, (lower, upper)) in bands.iter().enumerate() {
            canvas.band(lower, upper, ink(index))?;
        }
        overtime::backdrop_lines(canvas, run)
    })?;
    let legend = layers
        .iter()
        .enumerate()
        .rev()
        .map(|(index, (label, _))| Legend::new(label.clone(), ink(index), "area"))
        .collect();
    Ok(Some(Figure { title, caption, svg, legend }))
}

fn words(class: &str) -> String {
    match class {
        "status_4xx" => "status 4xx".to_owned(),
        "status_5xx" => "status 5xx".to_owned(),
        other => other.replace('_', " "),
    }
}
