//! Latency and rates over the time of the run, with what happened when.
//!
//! A percentile of one interval obeys the same rule as any other: ten samples beyond it. So where
//! requests are few, the line of a high percentile joins as many intervals as it takes, and has fewer
//! points than that of the median.

use super::axis::Axis;
use super::canvas::{Canvas, Layout, Stroke, draw};
use super::{Figure, Ink, Legend};
use crate::format;
use crate::headline;
use crate::record::{Buckets, Interval, samples_needed};
use crate::run::Run;
use std::io;

/// More events than this are drawn without numbers.
const NUMBERED: usize = 12;
/// More events than this are not drawn.
const DRAWN: usize = 60;

/// Seconds since the start of the run, and the value there.
pub(super) type Course = Vec<(f64, Option<f64>)>;

/// Draws what every chart over time has behind its lines.
pub(super) fn backdrop(canvas: &Canvas<'_>, run: &Run) -> Stroke {
    let end = run.duration.as_secs_f64();
    if !run.warmup.is_zero() {
        canvas.window(0.0, run.warmup.as_secs_f64().min(end), "warm-up", Ink::Warmup)?;
    }
    for phase in &run.phases {
        let (from, to) = (phase.from.as_secs_f64(), phase.to.as_secs_f64().min(end));
        if from < to {
            canvas.window(from, to, &phase.name, Ink::Phase)?;
        }
    }
    backdrop_lines(canvas, run)
}

/// The axes and the events; for charts that fill their area and would cover what lies behind.
pub(super) fn backdrop_lines(canvas: &Canvas<'_>, run: &Run) -> Stroke {
    let end = run.duration.as_secs_f64();
    canvas.axes()?;
    for (index, event) in run.events.iter().take(DRAWN).enumerate() {
        let number =
            if run.events.len() <= NUMBERED { (index + 1).to_string() } else { String::new() };
        canvas.mark(event.at.as_secs_f64().min(end), &number)?;
    }
    Ok(())
}

/// The axis of time of a run.
pub(super) fn time_axis(run: &Run) -> Axis {
    Axis::seconds(run.duration.as_secs_f64())
}

/// A percentile over time: (middle of the intervals joined, milliseconds).
pub(super) fn percentile(intervals: &[Interval], quantile: f64) -> Course {
    let mut points = Vec::new();
    let mut joined: Option<(u64, Buckets<u32>)> = None;
    for interval in intervals {
        let (from, times) = match joined.take() {
            None => (interval.slot.from, interval.buckets.clone()),
            Some((from, mut times)) => {
                times.add(&interval.buckets);
                (from, times)
            }
        };
        if times.len() >= samples_needed(quantile) {
            let middle = (from as f64 + interval.slot.to as f64) / 2e9;
            points.push((middle, Some(times.value_at_quantile(quantile) as f64 / 1e6)));
        } else {
            joined = Some((from, times));
        }
    }
    points
}

/// Percentiles of the response time over time, with the thresholds on them.
pub(super) fn latency(run: &Run) -> io::Result<Option<Figure>> {
    let intervals = &run.measurement.intervals;
    let seconds = |i: &Interval| (i.slot.from as f64 + i.slot.to as f64) / 2e9;
    let longest: Course =
        intervals.iter().map(|i| (seconds(i), Some(i.greatest as f64 / 1e6))).collect();
    let curves: Vec<(&str, Ink, f64, Course)> = vec![
        ("longest", Ink::Crowd, 1.0, longest),
        ("p99", Ink::Series(1), 2.0, percentile(intervals, 0.99)),
        ("p90", Ink::Series(2), 2.0, percentile(intervals, 0.9)),
        ("median", Ink::Series(0), 2.0, percentile(intervals, 0.5)),
    ];
    let curves: Vec<_> = curves.into_iter().filter(|(.., points)| points.len() >= 3).collect();
    let values = || curves.iter().flat_map(|(.., p)| p.iter().filter_map(|(_, ms)| *ms));
    let Some(most) = values().max_by(f64::total_cmp) else { return Ok(None) };
    let least = values().min_by(f64::total_cmp).unwrap_or(most);
    let is_limit = |metric: &str| metric.starts_with("latency.") || is_phase_latency(metric);
    let mut limits: Vec<_> = run
        .thresholds
        .iter()
        .filter(|t| is_limit(&t.metric) && t.limit > 0.0 && t.limit < most * 5.0)
        .collect();
    limits.sort_by(|a, b| b.limit.total_cmp(&a.limit));
    let top = limits.iter().map(|t| t.limit).fold(most, f64::max);
    let title = "Latency over time";
    let caption = "Response time of the requests that were due at that moment. A point of a \
                   percentile joins as many intervals as give it ten requests beyond it."
        .to_owned();
    let layout = Layout::new(time_axis(run), Axis::times(least, top));
    let svg = draw(layout, title, &caption, |canvas| {
        backdrop(canvas, run)?;
        for (_, ink, width, points) in &curves {
            canvas.line(points, *ink, *width)?;
        }
        for (index, threshold) in limits.iter().enumerate() {
            let label =
                threshold.metric.trim_start_matches("latency.").trim_start_matches("phase.");
            let label = label.replace(".latency.", " ");
            let (_, limit) = headline::value_and_limit(threshold);
            let above: Vec<f64> = limits[..index].iter().map(|other| other.limit).collect();
            let label = format!("{label} {limit}");
            canvas.limit(threshold.limit, reach(run, &threshold.metric), &label, &above)?;
        }
        Ok(())
    })?;
    let mut legend: Vec<Legend> =
        curves.iter().rev().map(|(label, ink, ..)| Legend::new(*label, *ink, "line")).collect();
    if !limits.is_empty() {
        legend.push(Legend::new("threshold", Ink::Limit, "dash"));
    }
    Ok(Some(Figure { title, caption, svg, legend }))
}

fn is_phase_latency(metric: &str) -> bool {
    metric.starts_with("phase.") && metric.contains(".latency.")
}

/// The time that a metric is about: that of its phase, or else of the whole run.
fn reach(run: &Run, metric: &str) -> (f64, f64) {
    let end = run.duration.as_secs_f64();
    let rest = metric.strip_prefix("phase.").unwrap_or_default();
    let of = |name: &str| rest.strip_prefix(name).is_some_and(|tail| tail.starts_with('.'));
    let phase = run.phases.iter().find(|phase| of(&phase.name));
    phase.map_or((0.0, end), |p| (p.from.as_secs_f64(), p.to.as_secs_f64().min(end)))
}

/// What was offered, sent, answered, and went wrong, per second.
pub(super) fn rates(run: &Run) -> io::Result<Option<Figure>> {
    let series = &run.measurement.series;
    let middle: Vec<f64> =
        series.slots.iter().map(|slot| (slot.from as f64 + slot.to as f64) / 2e9).collect();
    let sum = |metrics: &[&str]| -> Course {
        let value = |index: usize| {
            let values =
                metrics.iter().filter_map(|m| series.line(m, "")?.values.get(index).copied()?);
            Some(values.sum::<f64>())
        };
        middle.iter().enumerate().map(|(index, t)| (*t, value(index))).collect()
    };
    let curves = [
        ("offered", Ink::Crowd, 3.0, sum(&["offered_rps"])),
        ("sent", Ink::Series(2), 1.5, sum(&["sent_rps"])),
        ("answered ok", Ink::Series(0), 2.0, sum(&["ok_rps"])),
        (
            "failed, timed out, refused or dropped",
            Ink::Series(1),
            2.0,
            sum(&["failed_rps", "timed_out_rps", "refused_rps", "dropped_rps"]),
        ),
    ];
    let most = curves.iter().flat_map(|(.., p)| p.iter().filter_map(|(_, v)| *v));
    let most = most.fold(0.0, f64::max);
    if middle.len() < 3 || most <= 0.0 {
        return Ok(None);
    }
    let title = "Rate over time";
    let interval = series.slots.iter().map(crate::record::Slot::seconds).fold(0.0, f64::max);
    let caption = format!("Requests per second, in intervals of {}.", format::seconds(interval));
    let layout = Layout::new(time_axis(run), Axis::amount(most));
    let svg = draw(layout, title, &caption, |canvas| {
        backdrop(canvas, run)?;
        for (_, ink, width, points) in &curves {
            canvas.line(points, *ink, *width)?;
        }
        Ok(())
    })?;
    let legend = curves.iter().map(|(label, ink, ..)| Legend::new(*label, *ink, "line")).collect();
    Ok(Some(Figure { title, caption, svg, legend }))
}
