//! The percentile spectrum: the chart for comparing latencies. Across is the part of requests that
//! were at least as fast, spaced by what is left (each step to the right is ten times rarer), so that
//! the tail, which decides, gets most of the room. It ends where fewer than ten requests are left.

use super::axis::Axis;
use super::canvas::{Layout, draw};
use super::{COLOURS, Figure, Ink, Legend};
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
        ("response time, from the intended send", &measured.response, Ink::Series(0)),
        ("service time, from the actual send", &measured.service, Ink::Series(1)),
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
    let curves: Vec<(&str, &Distribution, Ink)> = (0..COLOURS)
        .zip(runs)
        .map(|(n, (label, run))| (label.as_str(), &run.measurement.response, Ink::Series(n)))
        .collect();
    let mut caption = "Response time that this part of the requests did not exceed.".to_owned();
    if runs.len() > curves.len() {
        let _ = write!(caption, " The first {} of {}.", curves.len(), runs.len());
    }
    spectrum("Latency by percentile, compared", caption, &curves, &[])
}

/// Curves of distributions, the last on top.
pub(super) fn spectrum(
    title: &'static str,
    caption: String,
    curves: &[(&str, &Distribution, Ink)],
    widths: &[f64],
) -> io::Result<Option<Figure>> {
    let curves: Vec<_> = curves
        .iter()
        .map(|(label, times, ink)| (*label, times.spectrum(STEPS), *ink))
        .filter(|(_, points, _)| points.len() >= 2)
        .collect();
    let all = || curves.iter().flat_map(|(_, points, _)| points.iter());
    let Some(last) = all().map(|p| p.0).max_by(f64::total_cmp) else { return Ok(None) };
    // The very fastest request stretches a logarithmic axis for nothing.
    let least = curves.iter().filter_map(|(_, points, _)| points.get(1)).map(|p| p.1);
    let least = least.min_by(f64::total_cmp).unwrap_or(0.0);
    let most = all().map(|p| p.1).max_by(f64::total_cmp).unwrap_or(1.0);
    let layout = Layout::new(Axis::nines(last), Axis::times(least, most));
    let svg = draw(layout, title, &caption, |canvas| {
        canvas.axes()?;
        for (index, (_, points, ink)) in curves.iter().enumerate() {
            let points: Vec<_> = points.iter().map(|(q, ms)| (*q, Some(*ms))).collect();
            let width = widths.get(index).copied().unwrap_or(2.0);
            canvas.line(&points, *ink, width)?;
        }
        Ok(())
    })?;
    let legend = curves.iter().map(|(label, _, ink)| Legend::new(*label, *ink, "line")).collect();
    Ok(Some(Figure { title, caption, svg, legend }))
}
