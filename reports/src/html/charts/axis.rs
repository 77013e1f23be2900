//! Axes: from values to positions between 0 and 1, with ticks that a person would have chosen.

use crate::format;

/// One axis. Positions run from 0 (left, bottom) to 1.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    /// Where the ticks are, as values, and what they say; an empty text is a line without a label.
    pub(super) ticks: Vec<(f64, String)>,
}

#[derive(Clone, Copy, Debug)]
enum Scale {
    Linear,
    Log,
    /// By how much is left out: log10(1 / (1 - q)).
    Nines,
}

impl Axis {
    pub(super) fn position(&self, value: f64) -> f64 {
        let at = |v: f64| match self.scale {
            Scale::Linear => v,
            Scale::Log => v.max(1e-9).log10(),
            Scale::Nines => -(1.0 - v).max(1e-12).log10(),
        };
        let (from, to) = (at(self.from), at(self.to));
        ((at(value) - from) / (to - from)).clamp(0.0, 1.0)
    }

    /// Whether a value lies within the axis.
    pub(super) fn contains(&self, value: f64) -> bool {
        (self.from..=self.to).contains(&value)
    }

    /// Seconds since the start of the run.
    pub(super) fn seconds(to: f64) -> Axis {
        let to = if to > 0.0 { to } else { 1.0 };
        let step =
            [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0]
                .into_iter()
                .find(|step| to / step <= 6.5)
                .unwrap_or((to / 6.5 / 3600.0).ceil() * 3600.0);
        let count = (to / step + 1e-9).floor() as usize;
        let label = |seconds: f64| {
            if step >= 3600.0 {
                format!("{} h", format::significant(seconds / 3600.0, 4))
            } else if step >= 60.0 {
                format!("{} min", format::significant(seconds / 60.0, 4))
            } else {
                format!("{} s", format::significant(seconds, 4))
            }
        };
        let ticks = (0..=count).map(|i| i as f64 * step).map(|t| (t, label(t))).collect();
        Axis { scale: Scale::Linear, from: 0.0, to, ticks }
    }

    /// From nothing up to at least `most`, in round steps.
    pub(super) fn amount(most: f64) -> Axis {
        Self::linear(most, &compact)
    }

    /// The same of what happens in a second.
    pub(super) fn rate(most: f64) -> Axis {
        Self::linear(most, &|value| {
            if value > 0.0 { format!("{}/s", compact(value)) } else { "0".to_owned() }
        })
    }

    /// A part of all, up to at least `most`.
    pub(super) fn share(most: f64) -> Axis {
        Self::linear(most, &|v| format!("{} %", format::significant(v * 100.0, 3)))
    }

    fn linear(most: f64, label: &dyn Fn(f64) -> String) -> Axis {
        let most = if most > 0.0 { most } else { 1.0 };
        let rough = most / 4.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power);
        let step = step.clone().find(|s| *s >= rough * 0.999).unwrap_or(10.0 * power);
        let count = (most / step - 1e-6).ceil().max(1.0);
        let ticks = (0..=count as usize).map(|i| i as f64 * step).map(|v| (v, label(v))).collect();
        Axis { scale: Scale::Linear, from: 0.0, to: count * step, ticks }
    }

    /// Ratios around 1, logarithmic.
    pub(super) fn ratios(least: f64, most: f64) -> Axis {
        let (least, most) = (least.clamp(1e-9, 0.95), most.clamp(1.05, 1e9));
        let decades = -9..=9;
        let fine: &[f64] = match most / least {
            span if span < 1.5 => &[1.0, 1.1, 1.2, 7.0, 8.0, 9.0],
            span if span < 12.0 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let steps = decades.flat_map(|d| fine.iter().map(move |m| m * 10_f64.powi(d)));
        let steps: Vec<f64> = steps.map(|v| format!("{v:.9}").parse().unwrap_or(v)).collect();
        let from = steps.iter().rev().copied().find(|v| *v <= least).unwrap_or(least);
        let to = steps.iter().copied().find(|v| *v >= most).unwrap_or(most);
        let ticks = steps.into_iter().filter(|v| (from..=to).contains(v));
        let ticks = ticks.map(|v| (v, format!("{} ×", format::significant(v, 3)))).collect();
        Axis { scale: Scale::Log, from, to, ticks }
    }

    /// Times in milliseconds: logarithmic where they span much, else linear from zero.
    pub(super) fn times(least: f64, most: f64) -> Axis {
        let most = if most > 0.0 { most } else { 1.0 };
        let least = least.clamp(most / 1e6, most);
        if most / least < 12.0 {
            return Self::linear(most, &format::time);
        }
        let first = least.log10().floor() as i32;
        let last = most.log10().ceil() as i32;
        let fine = last - first <= 3;
        let mut ticks = Vec::new();
        for decade in first..=last {
            for (m, is_labelled) in [(1.0, true), (2.0, fine), (5.0, fine)] {
                let value = m * 10_f64.powi(decade);
                // Rounding: 0.1 and its like must be themselves.
                let value: f64 = format!("{value:.9}").parse().unwrap_or(value);
                let label = if is_labelled { format::time(value) } else { String::new() };
                ticks.push((value, label));
            }
        }
        // From the last tick that lies below everything to the first that lies above.
        let from = ticks.iter().rev().map(|t| t.0).find(|t| *t <= least).unwrap_or(ticks[0].0);
        let to = ticks.iter().map(|t| t.0).find(|t| *t >= most).unwrap_or(most);
        ticks.retain(|t| (from..=to).contains(&t.0));
        // The top says how much it is, unless it would stand on the label below it.
        if let Some(top) = ticks.last_mut().filter(|_| last - first <= 5) {
            top.1 = format::time(top.0);
        }
        Axis { scale: Scale::Log, from, to, ticks }
    }

    /// Quantiles from 0 to `most` (below 1), spaced by what is beyond them.
    pub(super) fn nines(most: f64) -> Axis {
        let ticks = [
            (0.0, "0 %"),
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
            (0.9999, "99.99 %"),
            (0.99999, "99.999 %"),
            (0.999_999, "99.9999 %"),
        ];
        let to = most.clamp(0.6, 0.999_999_9);
        // The median lies so near to the least that their labels touch on a long axis.
        let ticks =
            ticks.into_iter().filter(|(q, label)| *q <= to && (*label != "50 %" || to < 0.9995));
        let ticks = ticks.map(|(q, label)| (q, label.to_owned())).collect();
        Axis { scale: Scale::Nines, from: 0.0, to, ticks }
    }
}

/// A number in little room: `250`, `1.5 k`, `2 M`.
fn compact(value: f64) -> String {
    let size = value.abs();
    if size >= 1e6 {
        format!("{} M", format::significant(value / 1e6, 3))
    } else if size >= 1e4 {
        format!("{} k", format::significant(value / 1e3, 3))
    } else {
        format::significant(value, 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|t| t.1.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            labels(&Axis::seconds(60.0)),
            ["0 s", "10 s", "20 s", "30 s", "40 s", "50 s", "60 s"]
        );
        assert_eq!(labels(&Axis::amount(437.0)), ["0", "200", "400", "600"]);
        assert_eq!(labels(&Axis::amount(3.0)), ["0", "1", "2", "3"]);
        let times = Axis::times(0.9, 5000.0);
        let shown: Vec<&str> = labels(&times).into_iter().filter(|l| !l.is_empty()).collect();
        assert_eq!(shown, ["1 ms", "10 ms", "100 ms", "1 s", "5 s"]);
    }

    #[test]
    fn positions_stay_within_the_axis() {
        for axis in
            [Axis::times(0.0, 0.0), Axis::times(1.0, 1e7), Axis::amount(0.0), Axis::nines(1.0)]
        {
            for value in [-1.0, 0.0, 0.5, 1e12] {
                assert!((0.0..=1.0).contains(&axis.position(value)), "{axis:?} {value}");
            }
        }
    }
}
