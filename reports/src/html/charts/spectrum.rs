//! The percentile spectrum: the chart for comparing latencies. Across is the part of requests that
//! were at least as fast, spaced by what is left (each step to the right is ten times rarer), so that
//! the tail, which decides, gets most of the room. It ends where fewer than ten requests are left.

use super::axis::Axis;
use super::canvas::{Layout, draw};
use super::compare::ink;
use super::{COLOURS, Figure, Legend};
use crate::record::Distribution;
use crate::run::Run;
use std::fmt::Write as _;
use std::io;

/// Points for each halving of what is left.
const STEPS: u32 = 8;

/// Response and service time of one run.
pub(super) fn of_run(run: &Run) -> io::Result<Option<Figure>> {
    let measured = &run.measurement;
    let curves = [
        ("response time, from the intended send", &measured.response),
        ("service time, from the actual send", &measured.service),
    ];
    let caption = format!(
        "Time that this part of the requests did not exceed; {} timed requests.",
        crate::format::count(measured.response.count() as f64)
    );
    // The second often lies on the first: broad below, narrow above, both are seen.
    spectrum("Latency by percentile", caption, &curves, &[4.0, 1.75])
}

/// Response times of several runs, one over the other.
pub(crate) fn overlay(runs: &[(String, &Run)]) -> io::Result<Option<Figure>> {
    let curves: Vec<(&str, &Distribution)> = runs
        .iter()
        .take(usize::from(COLOURS))
        .map(|(label, run)| (label.as_str(), &run.measurement.response))
        .collect();
    let mut caption = "Response time that this part of the requests did not exceed.".to_owned();
    if runs.len() > curves.len() {
        let _ = write!(caption, " The first {} of {}.", curves.len(), runs.len());
    }
    spectrum("Latency by percentile, compared", caption, &curves, &[])
}

/// Curves of distributions, each in its own colour; beyond the last colour in grey.
pub(super) fn spectrum(
    title: &'static str,
    caption: String,
    curves: &[(&str, &Distribution)],
    widths: &[f64],
) -> io::Result<Option<Figure>> {
    let curves: Vec<(&str, Vec<(f64, f64)>)> = curves
        .iter()
        .map(|(label, times)| (*label, times.spectrum(STEPS)))
        .filter(|(_, points)| points.len() >= 2)
        .collect();
    let all = || curves.iter().flat_map(|(_, points)| points.iter());
    let Some(last) = all().map(|p| p.0).max_by(f64::total_cmp) else { return Ok(None) };
    // The very fastest request stretches a logarithmic axis for nothing.
    let least = curves.iter().filter_map(|(_, points)| points.get(1)).map(|p| p.1);
    let least = least.min_by(f64::total_cmp).unwrap_or(0.0);
    let most = all().map(|p| p.1).max_by(f64::total_cmp).unwrap_or(1.0);
    let layout = Layout::new(Axis::nines(last), Axis::times(least, most));
    let svg = draw(layout, title, &caption, |canvas| {
        canvas.axes()?;
        for (index, (_, points)) in curves.iter().enumerate() {
            let points: Vec<_> = points.iter().map(|(q, ms)| (*q, Some(*ms))).collect();
            let width = widths.get(index).copied().unwrap_or(2.0);
            canvas.line(&points, ink(index), width)?;
        }
        Ok(())
    })?;
    let legend = curves
        .iter()
        .enumerate()
        .map(|(index, (label, _))| Legend::new(*label, ink(index), "line"))
        .collect();
    Ok(Some(Figure { title, caption, svg, legend }))
}
