//! What each endpoint got: its share of the requests, and how many it had in hand over time.

use super::axis::Axis;
use super::canvas::{Layout, draw};
use super::{COLOURS, Figure, Ink, Legend, overtime};
use crate::format;
use crate::record::Line;
use crate::run::Run;
use std::fmt::Write as _;
use std::io;

/// The most bars that a chart has.
const BARS: usize = 24;

/// Share of the requests, a bar an endpoint; an even share is marked by the grid's own words.
pub(super) fn share(run: &Run) -> io::Result<Option<Figure>> {
    let rows = &run.measurement.endpoints;
    if rows.len() < 2 || rows.iter().all(|row| row.requests == 0) {
        return Ok(None);
    }
    // Too many: those at both ends say most.
    let mut shown: Vec<usize> = (0..rows.len()).collect();
    if rows.len() > BARS {
        shown.sort_by_key(|i| (std::cmp::Reverse(rows[*i].requests), *i));
        shown.drain(BARS / 2..rows.len() - BARS / 2);
    }
    let names: Vec<String> = shown.iter().map(|i| shorten(&rows[*i].name, 14)).collect();
    let most = shown.iter().map(|i| rows[*i].share).fold(0.0, f64::max);
    let title = "Requests by endpoint";
    let mut caption = format!(
        "Share of the requests that an endpoint answered; an even share is {}.",
        format::percent(1.0 / rows.len() as f64)
    );
    if rows.len() > BARS {
        let half = BARS / 2;
        let _ =
            write!(caption, " Of {} endpoints the {half} busiest and {half} idlest.", rows.len());
    }
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let layout = Layout {
        x: Axis::share(most * 1.05),
        y: Axis::amount(1.0),
        height: 52.0 + if names.len() > 10 { 16.0 } else { 26.0 } * names.len().max(8) as f64,
        left: 14.0 + 7.2 * longest as f64,
    };
    let svg = draw(layout, title, &caption, |canvas| {
        canvas.axes_of_bars(&names)?;
        for (index, row) in shown.iter().map(|i| &rows[*i]).enumerate() {
            let label = format::percent(row.share);
            canvas.bar_to((index, names.len()), row.share, &label, Ink::Series(0))?;
        }
        Ok(())
    })?;
    Ok(Some(Figure { title, caption, svg, legend: Vec::new() }))
}

/// Requests in flight over time: a line an endpoint, the fullest ones in colour.
pub(super) fn in_flight(run: &Run) -> io::Result<Option<Figure>> {
    let series = &run.measurement.series;
    let peak = |line: &Line| line.values.iter().flatten().copied().fold(0.0, f64::max);
    let mut lines: Vec<&Line> = series.lines_of("endpoint_in_flight").collect();
    let mut title = "In flight by endpoint";
    if lines.is_empty() {
        lines = series.lines_of("in_flight").collect();
        title = "In flight";
    }
    let most = lines.iter().map(|line| peak(line)).fold(0.0, f64::max);
    if most <= 0.0 || series.slots.len() < 3 {
        return Ok(None);
    }
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|a, b| peak(lines[*b]).total_cmp(&peak(lines[*a])).then(a.cmp(b)));
    let coloured = lines.len().min(usize::from(COLOURS));
    let caption = "Mean number of requests sent and not yet finished, in each interval.".to_owned();
    let layout = Layout::new(overtime::time_axis(run), Axis::amount(most));
    let points = |line: &Line| -> Vec<(f64, Option<f64>)> {
        let middle = series.slots.iter().map(|slot| (slot.from as f64 + slot.to as f64) / 2e9);
        middle.zip(line.values.iter().copied()).collect()
    };
    // The coloured ones keep the order of their names in the legend.
    let mut chosen: Vec<usize> = order[..coloured].to_vec();
    chosen.sort_unstable();
    let svg = draw(layout, title, &caption, |canvas| {
        overtime::backdrop(canvas, run)?;
        for index in &order[coloured..] {
            canvas.line(&points(lines[*index]), Ink::Crowd, 1.0)?;
        }
        for (colour, index) in chosen.iter().enumerate().rev() {
            canvas.line(&points(lines[*index]), Ink::Series(colour as u8), 1.75)?;
        }
        Ok(())
    })?;
    let mut legend: Vec<Legend> = chosen
        .iter()
        .enumerate()
        .map(|(colour, index)| {
            let label = &lines[*index].label;
            let label = if label.is_empty() { "all requests" } else { label };
            Legend::new(label, Ink::Series(colour as u8), "line")
        })
        .collect();
    if lines.len() > coloured {
        legend.push(Legend::new(format!("{} more", lines.len() - coloured), Ink::Crowd, "line"));
    }
    Ok(Some(Figure { title, caption, svg, legend }))
}

/// The end of a name that is longer than `most`.
pub(super) fn shorten(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    // The end tells endpoints apart: web-1, web-2.
    let tail: String = name.chars().skip(name.chars().count() + 1 - most).collect();
    format!("…{tail}")
}
